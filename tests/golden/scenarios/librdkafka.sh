# librdkafka by way of kcat: an idempotent producer, packed batches, a consumer group that commits and comes back.
# argument: HOST:PORT
set -euo pipefail
bootstrap=$1
"$PYTHON" "$(dirname "$0")/make_topic.py" "$bootstrap" things:1
printf 'one\ntwo\n' | kcat -b "$bootstrap" -P -t things -X enable.idempotence=true
for codec in snappy lz4 zstd; do
  printf '%s %s\n' "$codec" "$codec $codec $codec $codec" | kcat -b "$bootstrap" -P -t things -z "$codec" -X linger.ms=20
done
group() {
  kcat -b "$bootstrap" -G readers -q -e -c "$1" -X auto.offset.reset=earliest -X session.timeout.ms=6000 \
    -X heartbeat.interval.ms=1000 things 2>/dev/null
}
[ "$(group 2)" = $'one\ntwo' ]
group 3 >/dev/null
