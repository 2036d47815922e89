#!/bin/sh
# Builds the guest forwarder: build.sh [OUT]   (default ./mkfwd). One static program, stripped; CC and CFLAGS are honoured, so
# that `CC=aarch64-linux-gnu-gcc build.sh OUT` builds it for another machine.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-mkfwd}
${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O2 -static -s -Wall -Wextra ${CFLAGS:-} -o "$out" "$here"/*.c
