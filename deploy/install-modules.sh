#!/bin/sh
# Installs the npm modules when they are missing or older than the lockfile; nothing to do costs a millisecond.
set -e
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "mkscope: installing npm modules (once; the embedded ClickHouse engine is about 550 MB)" >&2
  # The system's own Node may be older than what some packages ask for: npm's warning about that is beside the point here,
  # because the modules bring Node 26 with them.
  npm ci --loglevel=error >&2
  touch node_modules/.package-lock.json
fi
