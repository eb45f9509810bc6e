# kcat: metadata, records with keys and headers, reading from the beginning, the end and an offset, offsets by time.
# argument: HOST:PORT
set -euo pipefail
bootstrap=$1
"$PYTHON" "$(dirname "$0")/make_topic.py" "$bootstrap" things:2
kcat -b "$bootstrap" -L -t things >/dev/null
printf 'a:one\nb:two\nc:three\n' | kcat -b "$bootstrap" -P -t things -p 0 -K : -H colour=blue
printf 'x' | kcat -b "$bootstrap" -P -t things -p 1 -X acks=1
[ "$(kcat -b "$bootstrap" -C -t things -p 0 -o beginning -e -q)" = $'one\ntwo\nthree' ]
[ "$(kcat -b "$bootstrap" -C -t things -p 0 -o 1 -c 1 -e -q)" = two ]
[ -z "$(kcat -b "$bootstrap" -C -t things -p 1 -o end -e -q)" ]
kcat -b "$bootstrap" -Q -t things:0:1700000000000 -t things:1:-1 >/dev/null
