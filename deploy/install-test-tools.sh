#!/bin/sh
# Installs the Debian packages that the test suite uses, when root and missing; tests that need one skip with a reason otherwise.
set -e
# Tests that look at the running kernel read it through tracefs.
if [ "$(id -u)" = 0 ] && [ -d /sys/kernel/tracing ] && [ ! -e /sys/kernel/tracing/instances ]; then
  mount -t tracefs nodev /sys/kernel/tracing 2>/dev/null || echo "mkscope: tracefs cannot be mounted; the tests that need it will skip" >&2
fi
missing=""
need() { # PACKAGE PROGRAM
  command -v "$2" >/dev/null 2>&1 || missing="$missing $1"
}
need chromium chromium
need trace-cmd trace-cmd
need gcc gcc
need make make
need device-tree-compiler dtc
need cpio cpio
need socat socat
# The lab (deploy/lab/prerequisites.ts) boots x86-64 kernels only.
stale=""
exists() { [ -e "$1" ]; }
if [ "$(uname -m)" = x86_64 ]; then
  need qemu-system-x86 qemu-system-x86_64
  need busybox-static busybox
  need xz-utils xz
  # These have no program.
  exists /usr/include/stdio.h || missing="$missing libc6-dev"
  exists /usr/lib/*/libelf.so.1 || missing="$missing libelf1"
  # Without package lists it finds no kernel to fetch.
  exists /var/lib/apt/lists/*_Packages* || stale=yes
fi
[ -n "$missing$stale" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  [ -z "$missing" ] || echo "mkscope: the tests that need$missing will skip (not root, or no apt-get)" >&2
  exit 0
fi
[ -z "$missing" ] || echo "mkscope: installing$missing for the tests" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null || echo "mkscope: apt-get could not update the package lists" >&2
[ -z "$missing" ] || apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
  echo "mkscope: apt-get could not install$missing; the tests that need them will skip" >&2
