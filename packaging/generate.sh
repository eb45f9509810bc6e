#!/bin/sh
# generate.sh BINARY OUT: the files of the package that the program itself writes, so that they say what it does: its
# configuration, and its manual if it has one.
set -eu
binary=$1 out=$2
mkdir -p "$out"
"$binary" settings --toml --set data_dir=/var/lib/polylog >"$out/polylog.toml"
rm -f "$out/polylog.1" "$out/polylog.1.gz"
if "$binary" man >"$out/polylog.1" 2>/dev/null; then
  gzip -9n "$out/polylog.1"
else
  rm -f "$out/polylog.1"
fi
