#!/bin/sh
# Usage: packaging/onnxruntime/fetch.sh DEST
# Puts ONNX Runtime's shared libraries at DEST/x64/libonnxruntime.so.1 and DEST/arm64/libonnxruntime.so.1.
#
# They come out of the npm package onnxruntime-node, which is only packed, never installed: none of its scripts runs
# (its install script would look for CUDA). The package and both libraries are pinned by hash. 1.23.2 and no later:
# from 1.29 on the official builds carry telemetry that is on by default.
#
# Idempotent: libraries with the pinned hashes are left alone, without any network. The packed file is kept in
# ${DROVER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/drover} for other build folders.
# Needs: npm (apt-get install npm), tar, gzip and coreutils.
set -eu

package=onnxruntime-node
version=1.23.2
# The registry's own "integrity" value is the base64 form of the same SHA-512.
package_sha512=3814ec1b45bc75d05539e555572721a55052f3b03d615e6c6b6849ea5734db94fdecb7be278bfef8fc120b85c5b350bad925b235da1fd0c8782af9d982db786b
x64_sha256=733854c3d7ce45256cc1c22cd4a30373247e1f7b7de8f40beab24211ef8e2a76
arm64_sha256=648ffa64fbe027ae27139109410900cf776a030dec2dbbac51053318cc44c286

fail() {
  echo "fetch.sh: $*" >&2
  exit 1
}

has_hash() { # has_hash sha256|sha512 HEX FILE
  [ -f "$3" ] && [ "$("$1sum" <"$3" | cut -d' ' -f1)" = "$2" ]
}

complete() {
  has_hash sha256 "$x64_sha256" "$1/x64/libonnxruntime.so.1" &&
    has_hash sha256 "$arm64_sha256" "$1/arm64/libonnxruntime.so.1"
}

# Leaves the packed file at $tgz, whole and with the pinned hash, or fails.
pack() {
  has_hash sha512 "$package_sha512" "$tgz" && return
  command -v npm >/dev/null 2>&1 || fail "npm is not installed (apt-get install npm), and $tgz is not there"
  rm -f "$tgz"
  mkdir "$work/pack"
  echo "fetch.sh: packing $package@$version (97 MB) with npm" >&2
  # An empty folder as working directory: a package.json around it must not change what npm does.
  (cd "$work/pack" && npm pack --silent --ignore-scripts "$package@$version" >npm.out 2>npm.err) ||
    fail "npm pack $package@$version failed: $(tail -n 3 "$work/pack/npm.err" | tr '\n' ' ')"
  packed="$work/pack/$package-$version.tgz"
  [ -f "$packed" ] || fail "npm pack made no $package-$version.tgz"
  has_hash sha512 "$package_sha512" "$packed" ||
    fail "$package-$version.tgz has SHA-512 $(sha512sum <"$packed" | cut -d' ' -f1), not the pinned $package_sha512"
  mv "$packed" "$tgz"
}

[ $# -eq 1 ] || { echo "usage: fetch.sh DEST" >&2; exit 2; }
dest=$1
complete "$dest" && exit 0

cache=${DROVER_CACHE:-${XDG_CACHE_HOME:-${HOME:?"set HOME or DROVER_CACHE"}/.cache}/drover}
mkdir -p "$cache" "$dest" || fail "cannot make $cache or $dest"
cache=$(cd "$cache" && pwd)
tgz=$cache/$package-$version.tgz
work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

pack
tar -xzf "$tgz" -C "$work" --strip-components=4 --no-same-owner \
  package/bin/napi-v6/linux/x64/libonnxruntime.so.1 package/bin/napi-v6/linux/arm64/libonnxruntime.so.1 ||
  fail "cannot unpack $tgz"
complete "$work" || fail "the libraries inside $tgz do not have the pinned hashes"
for arch in x64 arm64; do
  mkdir -p "$dest/$arch"
  # Written beside and renamed: a program that has the library open keeps the old file.
  cp "$work/$arch/libonnxruntime.so.1" "$dest/$arch/.libonnxruntime.so.1.$$"
  chmod 0644 "$dest/$arch/.libonnxruntime.so.1.$$"
  mv -f "$dest/$arch/.libonnxruntime.so.1.$$" "$dest/$arch/libonnxruntime.so.1"
done
echo "fetch.sh: ONNX Runtime $version is in $dest" >&2
