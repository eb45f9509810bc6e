#!/bin/bash
# build.sh KIND [TARGET...]: configures build/KIND when needed and builds it. KIND: release, debug, asan, tsan or fuzz.
set -euo pipefail
cd "$(dirname "$0")/../.."
kind=$1
shift
case $kind in
  release) options=(-DCMAKE_BUILD_TYPE=Release) ;;
  debug) options=(-DCMAKE_BUILD_TYPE=Debug) ;;
  asan) options=(-DCMAKE_BUILD_TYPE=Release -DPOLYLOG_SANITIZE=address,undefined) ;;
  tsan) options=(-DCMAKE_BUILD_TYPE=Release -DPOLYLOG_SANITIZE=thread) ;;
  fuzz) options=(-DCMAKE_BUILD_TYPE=Release -DPOLYLOG_SANITIZE=address,undefined -DPOLYLOG_FUZZ=ON) ;;
  *) echo "build: unknown kind '$kind': release, debug, asan or tsan" >&2; exit 2 ;;
esac
if [ ! -f "build/$kind/build.ninja" ]; then
  mkdir -p "build/$kind"
  cmake -S . -B "build/$kind" -G Ninja -DCMAKE_CXX_COMPILER=clang++-19 "${options[@]}" >"build/$kind/configure.log" 2>&1 ||
    { rm -f "build/$kind/build.ninja"; cat "build/$kind/configure.log"; exit 1; }
fi
# Targets that this checkout has no sources for are left out, so that callers need not know.
if [ $# -gt 0 ]; then
  ninja -C "build/$kind" build.ninja >/dev/null  # looks for new and removed sources
  known=$(ninja -C "build/$kind" -t targets all | cut -d: -f1)
  targets=()
  for target in "$@"; do
    if grep -qx "$target" <<<"$known"; then targets+=("$target"); fi
  done
  [ "${#targets[@]}" -gt 0 ] || exit 0
  exec ninja -C "build/$kind" "${targets[@]}"
fi
exec ninja -C "build/$kind"
