#!/bin/sh
# Builds mkikc.ko and mkfault.ko for one kernel version.
#
#   build.sh HEADERS_ROOT OUT_DIR
#
# HEADERS_ROOT holds the unpacked trees (dpkg -x) of one kernel's packages, merged or one folder per package:
#   [<package>/]usr/src/linux-headers-<version>-<flavour>        exactly one; KERNEL=<release> chooses among several
#   [<package>/]usr/src/linux-headers-<version>-common[-rt]
#   [<package>/]usr/lib/linux-kbuild-<version>
#
# Debian's headers name each other by absolute paths (/usr/src, /usr/lib). A private copy in a temp folder names the
# unpacked trees instead, so nothing is installed and HEADERS_ROOT is not written to.
set -eu

fail() { echo "build.sh: $1" >&2; exit 1; }
[ $# -eq 2 ] || fail 'usage: build.sh HEADERS_ROOT OUT_DIR'
[ -d "$1" ] || fail "no folder $1"
root=$(cd "$1" && pwd)
out=$2
source=$(cd "$(dirname "$0")" && pwd)

# The flavoured tree is the one with a .config.
# shellcheck disable=SC2086 -- without a release the star is meant
set -- "$root"/usr/src/linux-headers-${KERNEL:-*}/.config "$root"/*/usr/src/linux-headers-${KERNEL:-*}/.config
headers=
for config in "$@"; do
	[ -f "$config" ] || continue
	[ -z "$headers" ] || fail "several kernels below $root: set KERNEL=<release>"
	headers=${config%/.config}
done
[ -n "$headers" ] || fail "no usr/src/linux-headers-*/.config below $root"

locate() {
	for found in "$root/$1" "$root"/*/"$1"; do
		[ -d "$found" ] && { echo "$found"; return; }
	done
	fail "the headers need $1: unpack its package below $root"
}
common=$(locate "$(sed -n 's|^include /\(usr/src/[^/]*\)/Makefile$|\1|p' "$headers/Makefile")")
kbuild=$(locate "usr/lib/$(readlink "$headers/scripts" | sed 's|.*\(linux-kbuild-[^/]*\).*|\1|')")

mkdir -p "$out"
out=$(cd "$out" && pwd)
temp=$(mktemp -d "$out/.build-XXXXXX")
trap 'rm -rf "$temp"' EXIT
trap 'exit 130' INT TERM

# Symlinks of the top level stand for the big trees; only files that hold paths are copied.
copy_tree() { # FROM TO
	mkdir "$2"
	for entry in "$1"/* "$1"/.config "$1"/.kernelvariables; do
		[ -e "$entry" ] || [ -L "$entry" ] || continue
		case ${entry##*/} in
		scripts | tools) ln -s "$kbuild/${entry##*/}" "$2/${entry##*/}" ;;
		Makefile | .config | .kernelvariables) cp "$entry" "$2/${entry##*/}" ;;
		*) ln -s "$entry" "$2/${entry##*/}" ;;
		esac
	done
}
copy_tree "$common" "$temp/common"
copy_tree "$headers" "$temp/headers"
echo "include $temp/common/Makefile" >"$temp/headers/Makefile"

mkdir "$temp/module"
cp "$source"/*.c "$source"/*.h "$source/Kbuild" "$temp/module/"

# The compiler that Debian built the kernel with, or else what there is.
compiler=$(sed -n 's|.*\(gcc-[0-9]*\)$|\1|p' "$headers/.kernelvariables")
command -v "${compiler:-none}" >/dev/null || compiler=gcc

# Without pahole there is no BTF for modules; the probes do not need it.
make -s -j"$(nproc)" CC="$compiler" -C "$temp/headers" M="$temp/module" CONFIG_DEBUG_INFO_BTF_MODULES= modules >"$temp/log" 2>&1 || {
	cat "$temp/log" >&2
	fail "make failed for ${headers##*/}"
}
cat "$temp/log" >&2
for module in mkikc mkfault; do
	strip --strip-debug -o "$out/$module.ko" "$temp/module/$module.ko"
done
