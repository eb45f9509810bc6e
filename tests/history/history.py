"""The history of one round: what each client asked for, what it was told and what it saw, with times.

Each client, a process of its own, writes one file of JSON lines while it goes: `invoke` before it asks, `ok`, `fail` or
`info` when it knows more, so that kill -9 leaves all but a torn last line. `info` means that nobody knows whether it
happened: so does an `invoke` that nothing follows. What a client merely saw (a record, an assignment) is one `ok` line.
Times are nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share. Nothing here judges: that is
checker.py.

What is recorded (f), and its fields:
  send       value, partition, once (whether its producer is idempotent); ok: offset
  assigned, revoked   group, partitions
  record     group, partition, offset, value
  commit     group, offsets [[partition, offset]]
  committed  group; ok: offsets, those of partitions without one left out
  ends       ok: offsets: the end of each partition
  described  group; ok: state, members {id: partitions}
  log        partition; ok: records [[offset, value]]: the whole partition, read at the end
  publish    queue, value; ok: confirmed
  delivered  queue, value, redelivered
  settle     queue, values; ok: the acks are durable
  returned   queue, value: given back, to be delivered again
  closed     the client lost or closed its connection: what it held is free
  drain      what (a group or a queue); ok: all was consumed; info: left
  setup      what the round was told to do
  fault      kind, target; its end is when it was healed
"""
import json
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Op:
    """One operation. `end` is None as long as nothing came back."""
    client: str
    f: str
    begin: int
    end: int = None
    outcome: str = "info"
    fields: dict = field(default_factory=dict)

    def __getitem__(self, name):
        return self.fields[name]

    def get(self, name, default=None):
        return self.fields.get(name, default)

    @property
    def is_ok(self):
        return self.outcome == "ok"

    def __str__(self):
        fields = " ".join(f"{name}={short(value)}" for name, value in self.fields.items())
        ended = f"..{self.end / 1e9:.3f}" if self.end else "..?"
        return f"[{self.begin / 1e9:.3f}{ended}] {self.client} {self.f} {self.outcome} {fields}"


def short(value, limit=120):
    text = json.dumps(value)
    return text if len(text) <= limit else text[:limit] + "..."


class Pending:
    """An operation that was asked for; exactly one of ok, fail, info follows, or nothing."""

    def __init__(self, recorder, number):
        self.recorder, self.number = recorder, number

    def ok(self, **fields):
        self.recorder.write("ok", self.number, fields)

    def fail(self, **fields):
        self.recorder.write("fail", self.number, fields)

    def info(self, **fields):
        self.recorder.write("info", self.number, fields)


class Recorder:
    """Writes one client's file. For one process; callbacks may come from several of its threads."""

    def __init__(self, folder, client):
        self.file = open(Path(folder) / f"{client}.jsonl", "a", buffering=1)
        self.next = 0

    def invoke(self, f, **fields):
        number = self.next
        self.next += 1
        self.write("invoke", number, {"f": f, **fields})
        return Pending(self, number)

    def saw(self, f, **fields):
        self.write("ok", None, {"f": f, **fields})

    def write(self, kind, number, fields):
        # One write() of a whole line: threads do not mix theirs, and a kill tears the last one only.
        self.file.write(json.dumps({"type": kind, "n": number, "at": time.monotonic_ns(), **fields}) + "\n")


def read_client(path):
    """The operations of one client's file, in the order of their begin."""
    ops, pending = [], {}
    for line in path.read_text().splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        event = json.loads(line)
        kind, number, at = event.pop("type"), event.pop("n"), event.pop("at")
        if kind == "invoke":
            pending[number] = Op(path.stem, event.pop("f"), at, fields=event)
            ops.append(pending[number])
        elif number is None:
            ops.append(Op(path.stem, event.pop("f"), at, at, kind, event))
        else:
            op = pending.pop(number)
            op.end, op.outcome = at, kind
            op.fields.update(event)
    return ops


def load(folder):
    ops = [op for path in sorted(Path(folder).glob("*.jsonl")) for op in read_client(path)]
    return sorted(ops, key=lambda op: op.begin)
