#!/bin/sh
# Installs the Debian packages that the test suite uses, when root and missing; tests that need one skip with a reason otherwise.
set -e
missing=""
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v trace-cmd >/dev/null 2>&1 || missing="$missing trace-cmd"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "mkscope: the tests that need$missing will skip (not root, or no apt-get)" >&2
  exit 0
fi
echo "mkscope: installing$missing for the tests" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null && apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
  echo "mkscope: apt-get could not install$missing; the tests that need them will skip" >&2
