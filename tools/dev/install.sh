#!/bin/bash
# Installs what is missing on a Debian 12, asking nothing. `install.sh build`: what building needs; `install.sh test`: also
# the clients of the tests, in build/venv and build/node. Quick when nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."

build_packages=(
  clang-19 clang-format-19 clang-tidy-19 lld-19 llvm-19 libclang-rt-19-dev cmake ninja-build ccache python3
  libboost1.81-dev libcli11-dev libtomlplusplus-dev doctest-dev libfmt-dev libisal-dev libssl-dev
  libzstd-dev liblz4-dev libsnappy-dev zlib1g-dev libre2-dev libsimdjson-dev librdkafka-dev
  dpkg-dev
)
test_packages=(kcat python3-venv procps systemd groff-base)
python_packages=(pytest==8.3.5 kafka-python==2.2.15 pika==1.3.2 confluent-kafka==2.16.1 jsonschema==4.23.0
  PyYAML==6.0.2)
node_packages=(kafkajs@2.2.4 amqplib@0.10.8)

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# The names among "$@" that are not installed.
missing() {
  local have
  have=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null | awk '$2 == "installed" {print $1}' || true)
  comm -23 <(printf '%s\n' "$@" | sort -u) <(sort -u <<<"$have")
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  echo "installing: $*"
  as_root apt-get install -y -q --no-install-recommends "$@" </dev/null >build/apt.log 2>&1 && return
  # The package lists may be absent or old.
  as_root apt-get update -q </dev/null >>build/apt.log 2>&1 || true
  as_root apt-get install -y -q --no-install-recommends "$@" </dev/null >>build/apt.log 2>&1 && return
  tail -n 20 build/apt.log
  echo "could not install: $*" >&2
  return 1
}

install_debian_packages() {
  local wanted=("${build_packages[@]}") absent
  [ "$1" = test ] && wanted+=("${test_packages[@]}")
  mapfile -t absent < <(missing "${wanted[@]}")
  # Node may be there from elsewhere than Debian, and Debian's npm would then not install beside it.
  if [ "$1" = test ]; then
    command -v node >/dev/null || absent+=(nodejs)
    command -v npm >/dev/null || absent+=(npm)
  fi
  [ "${#absent[@]}" -eq 0 ] || apt_install "${absent[@]}"
}

# The stamp holds the list that is installed, so that a changed list installs again.
install_python_packages() {
  local stamp=build/venv/installed.txt
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "${python_packages[*]}" ] && return
  echo "installing: ${python_packages[*]} into build/venv"
  rm -rf build/venv
  python3 -m venv build/venv
  build/venv/bin/pip install -q --disable-pip-version-check "${python_packages[@]}" </dev/null
  echo "${python_packages[*]}" >"$stamp"
}

install_node_packages() {
  local stamp=build/node/installed.txt
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "${node_packages[*]}" ] && return
  echo "installing: ${node_packages[*]} into build/node"
  mkdir -p build/node
  echo '{"private": true}' >build/node/package.json
  npm install --prefix build/node --no-audit --no-fund --loglevel=error "${node_packages[@]}" </dev/null
  echo "${node_packages[*]}" >"$stamp"
}

# promtool checks metrics and alert rules. Only that program is taken out of its package: to install the package would
# start a Prometheus on this machine.
install_promtool() {
  [ -x build/tools/promtool ] && return
  echo "installing: promtool into build/tools"
  local scratch=build/tools/scratch
  rm -rf "$scratch" && mkdir -p "$scratch"
  if ! (cd "$scratch" && apt-get download -q prometheus) >build/apt.log 2>&1; then
    as_root apt-get update -q </dev/null >>build/apt.log 2>&1 || true
    if ! (cd "$scratch" && apt-get download -q prometheus) >>build/apt.log 2>&1; then
      tail -n 20 build/apt.log
      echo "could not download: prometheus" >&2
      return 1
    fi
  fi
  dpkg-deb --fsys-tarfile "$scratch"/prometheus_*.deb | tar -x -C "$scratch" ./usr/bin/promtool
  mv "$scratch/usr/bin/promtool" build/tools/promtool
  rm -rf "$scratch"
}

mkdir -p build
install_debian_packages "${1:-build}"
if [ "${1:-build}" = test ]; then
  install_python_packages
  install_node_packages
  install_promtool
fi
