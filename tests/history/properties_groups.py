"""Properties of consumer groups: committed offsets, what members read, who holds what."""
from collections import defaultdict

# The session timeout of a round, 6 s, less what may lie between a heartbeat and the commit that shows a member alive.
SESSION_NS = 5_000_000_000
# Until a member that can hear has heard that it lost a partition: a heartbeat every 0.3 s, a new connection after
# 0.3 s, a poll every 0.1 s, on a machine where others work too.
HEARING_NS = 3_000_000_000


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
        held = view.stays(group)
        taken = takeovers(view, group, held)
        yield from taken_from_the_living(view, group, held, taken)
        yield from two_believe(view, group, held)
        yield from fenced_commits(view, group, held, taken)


def takeovers(view, group, held):
    """{partition: [(stay, its first commit that counted)]}: the commit shows that the broker meant the assignment. One
    without may be old news, which a member hears that was stopped."""
    commits = [op for op in view.of("commit", group=group) if op.is_ok]
    found = defaultdict(list)
    for stay in held:
        own = [op for op in commits if op.client == stay.client and stay.assigned.begin < op.begin < stay.end
               and stay.partition in dict(op["offsets"])]
        if own:
            found[stay.partition].append((stay, min(own, key=lambda op: op.end)))
    return found


def taken_from_the_living(view, group, held, taken):
    """A member keeps its partition until it gives it back or its session ends: whatever else happens, nobody gets it
    before."""
    commits = [op for op in view.of("commit", group=group) if op.is_ok]
    for before in held:
        for stay, first in taken[before.partition]:
            begin = stay.assigned.begin
            if stay.client == before.client or not before.assigned.begin < begin < before.end:
                continue
            alive = max((op for op in commits if op.client == before.client and op.begin < begin), default=None,
                        key=lambda op: op.begin)
            if alive and begin - alive.begin < SESSION_NS:
                yield (f"{group} partition {stay.partition}: {stay.client} got it {(begin - alive.begin) / 1e9:.1f} s "
                       f"after a commit of {before.client}, which still held it",
                       [before.assigned, alive, stay.assigned, first])


def two_believe(view, group, held):
    """A member that lost its partition hears of it: soon, or soon after a fault that kept it from hearing."""
    last = max((op.end or op.begin for op in view.ops), default=0)
    for i, first in enumerate(held):
        for second in held[i + 1:]:
            begin, end = second.assigned.begin, min(first.end, second.end, last)
            if first.client == second.client or first.partition != second.partition or end <= begin:
                continue
            if hearing(view, first.client, begin, end) > HEARING_NS:
                yield (f"{group} partition {first.partition}: {first.client} and {second.client} both held it for "
                       f"{(end - begin) / 1e9:.1f} s", [first.assigned, second.assigned])


def hearing(view, client, begin, end):
    """The longest time between faults of the broker or the client, less that of the client's commits: it hears nothing
    while it waits for their answers."""
    longest, at = 0, begin
    for fault in [*view.by_f["fault"], None]:
        if fault is None or fault["target"] in ("broker", client):
            until = min(fault.begin, end) if fault else end
            waited = sum(max(0, min(op.end or until, until) - max(op.begin, at))
                         for op in view.of("commit") if op.client == client)
            longest = max(longest, until - at - waited)
            at = max(at, (fault.end or end) if fault else end)
    return longest


def fenced_commits(view, group, held, taken):
    """Once the next holder of a partition has committed, a commit of the one before it is refused."""
    for op in view.of("commit", group=group):
        for partition in dict(op["offsets"]) if op.is_ok else ():
            since = max((stay.assigned.begin for stay in held if stay.client == op.client
                         and stay.partition == partition and stay.assigned.begin <= op.begin), default=float("inf"))
            for stay, first in taken[partition]:
                if stay.client != op.client and stay.assigned.begin > since and first.end < op.begin:
                    yield (f"{group} partition {partition}: a commit of {op.client} counted after {stay.client} took "
                           "over", [stay.assigned, first, op])
