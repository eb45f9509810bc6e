#!/bin/bash
# package.sh [VERSION]: builds the release and leaves polylog_VERSION_ARCH.deb in build/package. Without VERSION: the
# project's own.
set -euo pipefail
cd "$(dirname "$0")/../.."
bash tools/dev/build.sh release polylog
options=(-B build/package -G DEB)
[ $# -gt 0 ] && options+=(-D "CPACK_PACKAGE_VERSION=$1")
mkdir -p build/package build/logs
cpack --config build/release/CPackConfig.cmake "${options[@]}" >build/logs/package.log 2>&1 ||
  { cat build/logs/package.log >&2; exit 1; }
sed -n 's/^CPack: - package: \(.*\) generated\.$/\1/p' build/logs/package.log
