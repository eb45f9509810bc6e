"""A history (history.py), sorted into what properties ask for: View. A property is a function that takes one and yields
(text, operations) for each thing that breaks it; properties_*.py hold them. Nothing here judges.
"""
from collections import defaultdict
from dataclasses import dataclass


class View:
    """A history, sorted into what properties ask for."""

    def __init__(self, ops):
        self.ops = ops
        self.by_f = defaultdict(list)
        for op in ops:
            self.by_f[op.f].append(op)
        self.logs = {op["partition"]: op["records"] for op in self.by_f["log"] if op.is_ok}
        self.values_at = {p: dict(map(tuple, records)) for p, records in self.logs.items()}
        self.sends = {op["value"]: op for op in self.by_f["send"]}
        self.groups = sorted({op["group"] for op in ops if "group" in op.fields})
        self.queues = sorted({op["queue"] for op in ops if "queue" in op.fields})

    def of(self, f, **fields):
        return [op for op in self.by_f[f] if all(op.get(k) == v for k, v in fields.items())]

    def stays(self, group):
        """[Stay]: each time that a member held a partition, with what it read there."""
        return stays(self, group)


@dataclass
class Stay:
    client: str
    partition: int
    assigned: object      # the op
    end: int              # when the member let go, or could no longer know: infinity when it never did
    records: list


def stays(view, group):
    open_stays, done = {}, []

    def close(client, partitions, at):
        for partition in partitions:
            if (client, partition) in open_stays:
                stay = open_stays.pop((client, partition))
                stay.end = at
                done.append(stay)

    for op in view.ops:
        if op.f == "assigned" and op["group"] == group:
            close(op.client, op["partitions"], op.begin)
            for partition in op["partitions"]:
                open_stays[op.client, partition] = Stay(op.client, partition, op, None, [])
        elif op.f == "revoked" and op["group"] == group:
            close(op.client, op["partitions"], op.begin)
        elif op.f == "fault" and op.get("target") in {client for client, _ in open_stays}:
            if op["kind"] == "kill member":
                close(op["target"], [p for client, p in open_stays if client == op["target"]], op.begin)
        elif op.f == "record" and op["group"] == group and (op.client, op["partition"]) in open_stays:
            open_stays[op.client, op["partition"]].records.append(op)
    for stay in open_stays.values():
        stay.end = float("inf")
    return sorted(done + list(open_stays.values()), key=lambda s: s.assigned.begin)


def number_of(value):
    """(its writer, its number there)."""
    writer, _, number = value.rpartition(":")
    return writer, int(number)
