"""Judges a history (history.py): each property is one function that takes a View of it and yields what breaks it.

The list is that of the anomalies which fault tests found in brokers. Nothing here looks at a broker: what clients were told
and saw is all there is. Where a client cannot know (info), both outcomes are allowed.

A violation names the operations that show it. check() runs all properties; report() is what people read.
"""
import bisect
from collections import defaultdict
from dataclasses import dataclass

GRACE_NS = 3_000_000_000      # how long two members may both believe that they hold a partition, faults not counted
RECOVERY_NS = 8_000_000_000   # after a fault: members that were told nothing meanwhile (a session timeout is 6 s)


@dataclass
class Violation:
    property: str
    text: str
    ops: list

    def __str__(self):
        return "\n".join([f"{self.property}: {self.text}", *(f"    {op}" for op in self.ops)])


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


# ---- the log: what producers were told, what it holds in the end

def lost_record(view):
    """A record that was acked, or read by anybody, is in the log at its offset."""
    for op in view.by_f["send"]:
        if op.is_ok and op["partition"] in view.values_at:
            if op["offset"] not in view.values_at[op["partition"]]:
                yield "an acked record is not in the log", [op]
    for op in view.by_f["record"]:
        if op["partition"] in view.values_at and op["offset"] not in view.values_at[op["partition"]]:
            yield "a record that was read is not in the log", [op]


def inconsistent_offset(view):
    """An offset names one record, whoever asks and whenever."""
    known = {}
    seen = [(op["partition"], op["offset"], op["value"], op)
            for op in view.ops if op.f == "record" or (op.f == "send" and op.is_ok)]
    seen += [(op["partition"], offset, value, op)
             for op in view.by_f["log"] if op.is_ok for offset, value in op["records"]]
    for partition, offset, value, op in seen:
        first_value, first = known.setdefault((partition, offset), (value, op))
        if value != first_value:
            yield f"offset {offset} of partition {partition} is {first_value} and {value}", [first, op]


def duplicate_record(view):
    """What an idempotent producer sent is in the log once, retried or not; nobody's is there oftener than it was sent."""
    places = defaultdict(list)
    for partition, records in view.logs.items():
        for offset, value in records:
            places[value].append((partition, offset))
    for value, found in places.items():
        op = view.sends.get(value)
        if op is not None and op.get("once") and len(found) > 1:
            yield f"{value} is in the log {len(found)} times, at {found}", [op]


def phantom_record(view):
    """What the log holds was sent, to that partition, and was not refused for good."""
    for partition, records in view.logs.items():
        for offset, value in records:
            op = view.sends.get(value)
            if op is None or op["partition"] != partition or op.outcome == "fail":
                yield f"{value} at offset {offset} of partition {partition} has no business there", [op] if op else []


def reordered_record(view):
    """First appearances of a producer's records in a partition are in the order of sending."""
    for partition, records in view.logs.items():
        last, seen = {}, set()
        for offset, value in records:
            writer, number = number_of(value)
            if value not in seen and number < last.get(writer, -1):
                yield f"{value} at offset {offset} of partition {partition} is behind {writer}:{last[writer]}", [
                    op for op in (view.sends.get(value), view.sends.get(f"{writer}:{last[writer]}")) if op]
            seen.add(value)
            last[writer] = max(number, last.get(writer, -1))


def gap_in_log(view):
    """Offsets are handed out one after the other."""
    for op in view.by_f["log"]:
        if op.is_ok:
            offsets = [offset for offset, _ in op["records"]]
            for before, after in zip(offsets, offsets[1:]):
                if after != before + 1:
                    yield f"partition {op['partition']} goes from offset {before} to {after}", [op]


def end_back(view):
    """The end of a partition covers what was acked before it was asked for, and never moves back (to zero, say)."""
    acked = defaultdict(list)  # partition -> [(end ns, offset + 1, op)], the highest so far at each time
    for op in sorted((o for o in view.by_f["send"] if o.is_ok), key=lambda o: o.end):
        rising = acked[op["partition"]]
        if not rising or op["offset"] + 1 > rising[-1][1]:
            rising.append((op.end, op["offset"] + 1, op))
    for ends in view.by_f["ends"]:
        if not ends.is_ok:
            continue
        for partition, offset in ends["offsets"]:
            rising = acked[partition]
            at = bisect.bisect_left(rising, ends.begin, key=lambda e: e[0]) - 1
            if at >= 0 and rising[at][1] > offset:
                yield f"partition {partition} ends at {offset}, its record {rising[at][1] - 1} was acked before", [
                    rising[at][2], ends]
    last = {}
    for ends in sorted((o for o in view.by_f["ends"] if o.is_ok), key=lambda o: o.end):
        for partition, offset in ends["offsets"]:
            before = last.get(partition)
            if before and before[0] > offset and before[1].end < ends.begin:
                yield f"the end of partition {partition} went back from {before[0]} to {offset}", [before[1], ends]
            if not before or offset > before[0]:
                last[partition] = (offset, ends)


def refused_write(view):
    """A producer that retries is never refused for good."""
    for op in view.by_f["send"]:
        if op.outcome == "fail":
            yield "a send was refused for good", [op]


def stuck_producer(view):
    """When all is healed, every send comes to an end."""
    for op in view.by_f["send"]:
        if op.outcome == "info":
            yield "nobody heard of this send again", [op]


# ---- groups

class Register:
    """The committed offset of one partition: written by commits, read by whoever is assigned or asks.

    A read may return a commit that began before it ended, unless a commit that is known to have happened lies wholly between
    the two. A commit of unknown outcome may take effect at any later time. Without one, nothing is committed.
    """

    def __init__(self, commits, partition):
        self.writes = []
        for op in commits:
            offsets = dict(map(tuple, op["offsets"]))
            if op.outcome != "fail" and partition in offsets:
                self.writes.append((offsets[partition], op))
        self.known = [(offset, op) for offset, op in self.writes if op.is_ok]

    def known_before(self, at):
        """The newest commit that was surely over."""
        return max(((op.begin, offset, op) for offset, op in self.known if op.end < at), default=None,
                   key=lambda entry: entry[0])

    def why_not(self, offset, begin, end):
        """None when a read from `begin` to `end` may return `offset` (None: no offset); else (what it is, the commits)."""
        newest = self.known_before(begin)
        if not offset and newest is None:
            return None
        for written, op in self.writes:
            if written == offset and op.begin <= end and not (op.is_ok and newest and newest[0] > op.end):
                return None
        if newest is None:
            return "was never committed", []
        if not offset:
            return f"is zero or gone after {newest[1]} was committed", [newest[2]]
        return f"is {'behind' if offset < newest[1] else 'ahead of'} the committed {newest[1]}", [newest[2]]


def registers(view, group):
    commits = view.of("commit", group=group)
    partitions = {p for op in commits for p, _ in op["offsets"]}
    return defaultdict(lambda: Register([], 0), {p: Register(commits, p) for p in partitions})


def offset_back(view):
    """A group's committed offset is what was committed last: not an older one, not zero, not another one."""
    for group in view.groups:
        by_partition = registers(view, group)
        for op in view.of("committed", group=group):
            if op.is_ok:
                there = dict(map(tuple, op["offsets"]))
                for partition in {*there, *by_partition}:
                    if why := by_partition[partition].why_not(there.get(partition), op.begin, op.end):
                        yield f"{group} partition {partition}: {there.get(partition)} {why[0]}", [*why[1], op]
        for stay in view.stays(group):
            if stay.records:
                first = stay.records[0]
                why = by_partition[stay.partition].why_not(first["offset"], stay.assigned.begin, first.begin)
                if why:
                    yield (f"{group} partition {stay.partition}: reading begins at {first['offset']}, which {why[0]}",
                           [*why[1], stay.assigned, first])


def poll_back(view):
    """Within an assignment a member's records come in order, none twice."""
    for group in view.groups:
        for stay in view.stays(group):
            for before, after in zip(stay.records, stay.records[1:]):
                if after["offset"] <= before["offset"]:
                    yield f"{group}: {after['offset']} after {before['offset']}", [before, after]


def poll_skip(view):
    """Within an assignment a member skips nothing that the log holds."""
    for group in view.groups:
        for stay in view.stays(group):
            there = view.values_at.get(stay.partition, {})
            for before, after in zip(stay.records, stay.records[1:]):
                skipped = [o for o in range(before["offset"] + 1, after["offset"]) if o in there]
                if skipped:
                    yield f"{group} partition {stay.partition}: skipped {skipped[:5]}", [before, after]


def unseen_record(view):
    """A group that has read all there is has seen all there is."""
    for group in {op["what"] for op in view.by_f["drain"] if op.is_ok} & set(view.groups):
        seen = {(op["partition"], op["offset"]) for op in view.of("record", group=group)}
        for partition, records in view.logs.items():
            for offset, value in records:
                if (partition, offset) not in seen:
                    yield f"{group} never saw {value} at offset {offset} of partition {partition}", [
                        op for op in [view.sends.get(value)] if op]


def stuck_consumer(view):
    """When all is healed, groups and queues are read to their ends."""
    for op in view.by_f["drain"]:
        if not op.is_ok:
            yield f"{op['what']} was not read to its end", [op]


def excused(view, begin, end):
    """How much of a time lies outside of faults and of the time that members take to hear of them."""
    left, at = 0, begin
    for fault in sorted(view.by_f["fault"], key=lambda op: op.begin):
        left += max(0, min(fault.begin, end) - at)
        at = max(at, (fault.end or fault.begin) + RECOVERY_NS)
    return left + max(0, end - at)


def double_assigned(view):
    """A partition has one member of a group: by what the broker says, by what members believe, by whose commits count."""
    for op in view.by_f["described"]:
        holders = defaultdict(list)
        for member, partitions in op.get("members", {}).items():
            for partition in partitions:
                holders[partition].append(member)
        for partition, members in holders.items():
            if len(members) > 1:
                yield f"partition {partition} is assigned to {members}", [op]
    for group in view.groups:
        yield from two_believe(view, group)
        yield from fenced_commits(view, group)


def two_believe(view, group):
    by_partition = defaultdict(list)
    for stay in view.stays(group):
        by_partition[stay.partition].append(stay)
    last = max((op.end or op.begin for op in view.ops), default=0)
    for partition, held in by_partition.items():
        for i, first in enumerate(held):
            for second in held[i + 1:]:
                begin, end = second.assigned.begin, min(first.end, second.end, last)
                if first.client != second.client and end > begin and excused(view, begin, end) > GRACE_NS:
                    yield (f"{group} partition {partition}: {first.client} and {second.client} both held it for "
                           f"{(end - begin) / 1e9:.1f} s", [first.assigned, second.assigned])


def fenced_commits(view, group):
    """Once the next holder of a partition has committed, a commit of the one before it is refused."""
    held = view.stays(group)
    commits = [op for op in view.of("commit", group=group) if op.is_ok]
    takeovers = defaultdict(list)  # partition -> [(stay, its first commit)]
    for stay in held:
        own = [op for op in commits if op.client == stay.client and stay.assigned.begin < op.begin < stay.end
               and stay.partition in dict(op["offsets"])]
        if own:
            takeovers[stay.partition].append((stay, min(own, key=lambda op: op.end)))
    for op in commits:
        for partition in dict(op["offsets"]):
            since = max((stay.assigned.begin for stay in held if stay.client == op.client
                         and stay.partition == partition and stay.assigned.begin <= op.begin), default=float("inf"))
            for stay, first in takeovers[partition]:
                if stay.client != op.client and stay.assigned.begin > since and first.end < op.begin:
                    yield (f"{group} partition {partition}: a commit of {op.client} counted after {stay.client} took over",
                           [stay.assigned, first, op])


# ---- queues

def lost_message(view):
    """A confirmed message is delivered."""
    drained = {op["what"] for op in view.by_f["drain"] if op.is_ok}
    delivered = {(op["queue"], op["value"]) for op in view.by_f["delivered"]}
    for op in view.by_f["publish"]:
        if op.is_ok and op["queue"] in drained and (op["queue"], op["value"]) not in delivered:
            yield "a confirmed message was never delivered", [op]


def phantom_message(view):
    """What is delivered was published."""
    published = {(op["queue"], op["value"]) for op in view.by_f["publish"]}
    for op in view.by_f["delivered"]:
        if (op["queue"], op["value"]) not in published:
            yield "nobody published this", [op]


def settled_message(view):
    """What was acked for good never comes again."""
    settled = {}
    for op in view.by_f["settle"]:
        if op.is_ok:
            for value in op["values"]:
                settled.setdefault((op["queue"], value), op)
    for op in view.by_f["delivered"]:
        settle = settled.get((op["queue"], op["value"]))
        if settle is not None and settle.end < op.begin:
            yield f"{op['value']} came again after its ack", [settle, op]


def duplicate_message(view):
    """A message that comes again is flagged: a second one without the flag is a second copy."""
    fresh = {}
    for op in view.by_f["delivered"]:
        key = op["queue"], op["value"]
        if not op["redelivered"] and key in fresh:
            yield f"{op['value']} came twice as if new", [fresh[key], op]
        fresh[key] = op


def reordered_message(view):
    """What a consumer gets for the first time comes in each publisher's order."""
    last = {}
    for op in view.by_f["delivered"]:
        if op["redelivered"]:
            continue
        writer, number = number_of(op["value"])
        key = op["queue"], op.client, writer
        if key in last and number < number_of(last[key]["value"])[1]:
            yield f"{op['value']} came after {last[key]['value']}", [last[key], op]
        last[key] = op


def leased_message(view):
    """What one consumer holds is given to nobody else: not before it is settled or the consumer's connection is gone."""
    freed = defaultdict(list)  # client -> [(begin, end)] when all that it held became free; "broker": everybody's
    for op in view.by_f["closed"] + view.by_f["fault"]:
        freed[op.get("target", op.client)].append((op.begin, op.end or op.begin))
    let_go = defaultdict(list)  # (queue, value) -> the same for one message, whoever held it
    for op in view.by_f["returned"]:
        let_go[op["queue"], op["value"]].append((op.begin, op.end))
    for op in view.by_f["settle"]:  # one that fails on its way leaves the message to the next consumer
        for value in op["values"]:
            let_go[op["queue"], value].append((op.begin, op.end or op.begin))
    holder = {}
    for op in view.by_f["delivered"]:
        key = op["queue"], op["value"]
        before = holder.get(key)
        if before is not None and before.client != op.client:
            times = freed[before.client] + freed["broker"] + let_go[key]
            if not any(begin <= op.begin and end >= before.begin for begin, end in times):
                yield f"{op['value']} is held by {before.client} and was given to {op.client}", [before, op]
        holder[key] = op


PROPERTIES = (
    lost_record, inconsistent_offset, duplicate_record, phantom_record, reordered_record, gap_in_log, end_back, refused_write,
    stuck_producer, offset_back, poll_back, poll_skip, unseen_record, stuck_consumer, double_assigned, lost_message,
    phantom_message, settled_message, duplicate_message, reordered_message, leased_message)


def check(ops, properties=PROPERTIES):
    view = View(ops)
    return [Violation(prop.__name__, text, shown) for prop in properties for text, shown in prop(view)]


def counts(ops):
    """How many operations of each kind came to which end: a check of nothing finds nothing."""
    found = defaultdict(lambda: defaultdict(int))
    for op in ops:
        found[op.f][op.outcome] += 1
    return {f: dict(by_outcome) for f, by_outcome in sorted(found.items())}


def report(ops, violations, each_max=5):
    lines = [f"{f}: " + ", ".join(f"{n} {outcome}" for outcome, n in by.items()) for f, by in counts(ops).items()]
    lines.append(f"{len(violations)} violations")
    by_property = defaultdict(list)
    for violation in violations:
        by_property[violation.property].append(violation)
    for found in by_property.values():
        lines += ["", *map(str, found[:each_max])]
        if len(found) > each_max:
            lines.append(f"    and {len(found) - each_max} more of {found[0].property}")
    return "\n".join(lines)
