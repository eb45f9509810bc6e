#!/bin/sh
# generate.sh BINARY OUT: the files of the package that the program itself writes, so that they say what it does: its
# configuration and its manual.
set -eu
binary=$1 out=$2
mkdir -p "$out"
"$binary" settings --toml --set data_dir=/var/lib/polylog >"$out/polylog.toml"
"$binary" man | gzip -9n >"$out/polylog.1.gz"
for group in stream group queue; do
  "$binary" man "$group" | gzip -9n >"$out/polylog-$group.1.gz"
done
