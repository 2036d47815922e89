#!/bin/sh
# Builds the lab's bus, one static program: build.sh OUT
set -eu
dir=$(dirname "$0")
${CC:-cc} -O2 -static -Wall -Wextra -I "$dir/../mkikc" -o "$1" "$dir/mkbus.c"
