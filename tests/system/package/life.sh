#!/bin/bash
# life.sh OLD.deb NEW.deb SCRATCH: the life of the package on this machine's system, of which nothing is changed: all of it
# happens on an overlay, with a network of its own. Run it as
#   unshare --mount --net bash life.sh OLD.deb NEW.deb SCRATCH
# It prints `ok WHAT` for each thing that holds, and ends with the first that does not.
set -euo pipefail
old=$1 new=$2 scratch=$3
root=$scratch/root
config=$root/etc/polylog/polylog.toml
broker=

fail() { echo "not ok $1"; [ ! -s "$scratch/log" ] || tail -n 20 "$scratch/log"; exit 1; }
check() { local what=$1; shift; "$@" >"$scratch/out" 2>&1 || { cat "$scratch/out"; fail "$what"; }; echo "ok $what"; }
absent() { [ ! -e "$1" ]; }
inside() { chroot "$root" "$@" </dev/null; }
version_is() { [ "$(inside dpkg-query -W -f '${Version} ${db:Status-Status}' polylog)" = "$1 installed" ]; }
field() { dpkg-deb -f "$1" Version; }

make_root() {
  mount -t tmpfs tmpfs "$scratch"
  mkdir "$scratch/upper" "$scratch/work" "$root"
  mount -t overlay overlay -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" "$root"
  mount --rbind /proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs tmpfs "$root/tmp"
  cp "$old" "$root/tmp/old.deb"
  cp "$new" "$root/tmp/new.deb"
  # SIOCSIFFLAGS: the loopback interface up.
  python3 -c 'import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh22x", b"lo", 0x41))'
}

# As the unit does it: its command, its user, its directory.
start() {
  local command
  command=$(sed -n 's/^ExecStart=//p' "$root/usr/lib/systemd/system/polylog.service")
  # shellcheck disable=SC2086
  chroot --userspec=polylog:polylog "$root" sh -c "cd /var/lib/polylog && exec $command" \
    </dev/null >"$scratch/ready" 2>"$scratch/log" &
  broker=$!
  for _ in $(seq 200); do
    if grep -q '^polylog ready' "$scratch/ready"; then return 0; fi
    kill -0 "$broker" 2>/dev/null || return 1
    sleep 0.05
  done
  return 1
}
stop() { kill -TERM "$broker" && wait "$broker" && broker=; }
trap '[ -z "$broker" ] || kill -KILL "$broker"' EXIT

produce() { seq "$2" "$3" | timeout 20 kcat -P -b 127.0.0.1:9092 -t "$1" -p 0 -X acks=all; }
holds() { [ "$(timeout 20 kcat -C -q -e -o beginning -b 127.0.0.1:9092 -t "$1" -p 0)" = "$(seq "$2" "$3")" ]; }
partitions_are() { timeout 20 kcat -L -b 127.0.0.1:9092 -t "$1" | grep -q "with $2 partitions"; }

make_root

check "the older version installs" inside dpkg -i /tmp/old.deb
check "its version is the older one" version_is "$(field "$old")"
check "it made a user without a shell" grep -q '^polylog:.*:/var/lib/polylog:/usr/sbin/nologin$' "$root/etc/passwd"
check "the data directory is that user's alone" \
  test "$(inside stat -c '%U:%G %a' /var/lib/polylog)" = "polylog:polylog 750"
check "the service is enabled" test -L "$root/etc/systemd/system/multi-user.target.wants/polylog.service"
check "it starts as installed" start
check "it takes messages" produce orders 1 100
check "it gives them back" holds orders 1 100
check "it stops" stop

sed -i 's/^#kafka.num_partitions = 1$/kafka.num_partitions = 3/' "$config"
check "a setting can be set where it stands" grep -q '^kafka.num_partitions = 3$' "$config"
check "the newer version installs over it, asking nothing" inside dpkg -i /tmp/new.deb
check "its version is the newer one" version_is "$(field "$new")"
check "the changed configuration stays" grep -q '^kafka.num_partitions = 3$' "$config"
check "it starts after the upgrade" start
check "the messages are still there" holds orders 1 100
check "the setting acts" produce more 1 10
check "on new topics" partitions_are more 3
check "it stops after the upgrade" stop

inside systemctl --root=/ disable polylog.service >/dev/null 2>&1
check "it installs again" inside dpkg -i /tmp/new.deb
check "a service that was disabled stays so" absent "$root/etc/systemd/system/multi-user.target.wants/polylog.service"

check "it can be removed" inside dpkg -r polylog
check "the program is gone" absent "$root/usr/bin/polylog"
check "the configuration stays when it is removed" grep -q '^kafka.num_partitions = 3$' "$config"
check "the data stays when it is removed" test -e "$root/var/lib/polylog/polylog.id"
check "it installs after it was removed" inside dpkg -i /tmp/new.deb
check "it starts again" start
check "the messages are there again" holds orders 1 100
check "it stops again" stop

check "it can be purged" inside dpkg -P polylog
check "the configuration is purged" absent "$root/etc/polylog"
check "the data is purged" absent "$root/var/lib/polylog"
check "nothing of the service is left" \
  test -z "$(find "$root/etc/systemd" "$root/var/lib/systemd/deb-systemd-helper-enabled" -name '*polylog*' 2>/dev/null)"
echo "ok the end"
