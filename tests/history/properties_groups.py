"""Properties of consumer groups: committed offsets, what members read, who holds what."""
from collections import defaultdict

GRACE_NS = 3_000_000_000      # how long two members may both believe that they hold a partition, faults not counted
RECOVERY_NS = 8_000_000_000   # after a fault: members that were told nothing meanwhile (a session timeout is 6 s)


class Register:
    """The committed offset of one partition: written by commits, read by whoever is assigned or asks.

    A read may return a commit that began before it ended, unless a commit that is known to have happened lies wholly
    between the two. A commit of unknown outcome may take effect at any later time. Without one, nothing is committed.
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
        """None when a read from `begin` to `end` may return `offset` (None: no offset); else (what it is, the
        commits)."""
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
    """A partition has one member of a group: by what the broker says, by what members believe, by whose commits
    count."""
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
                    yield (f"{group} partition {partition}: a commit of {op.client} counted after {stay.client} took "
                           "over", [stay.assigned, first, op])
