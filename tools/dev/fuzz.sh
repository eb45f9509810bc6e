#!/bin/bash
# fuzz.sh [SECONDS]: each fuzz target under libFuzzer for SECONDS, starting from its committed corpus in
# tests/fuzz/corpus/TARGET. What it finds stays in build/corpus/TARGET. Ends with a count of targets.
set -uo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
bash tools/dev/build.sh fuzz fuzz_targets || exit 1
passed=0
failed=0
for target in build/fuzz/fuzz/*_fuzz; do
  [ -x "$target" ] || continue
  name=$(basename "$target" _fuzz)
  mkdir -p "build/corpus/$name"
  corpus=("build/corpus/$name")
  [ -d "tests/fuzz/corpus/$name" ] && corpus+=("tests/fuzz/corpus/$name")
  echo "$name: $seconds s"
  if "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="build/corpus/$name-" \
    "${corpus[@]}" >"build/corpus/$name.log" 2>&1; then
    passed=$((passed + 1))
    grep -E '^Done' "build/corpus/$name.log"
  else
    failed=$((failed + 1))
    tail -n 40 "build/corpus/$name.log"
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
