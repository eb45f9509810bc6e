"""Properties of the log: what producers were told, and what it holds in the end."""
import bisect
from collections import defaultdict

from view import number_of


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
    """What an idempotent producer sent is in the log once, retried or not; nobody's is there oftener than it was
    sent."""
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
    """First appearances of an idempotent producer's records in a partition are in the order of sending."""
    for partition, records in view.logs.items():
        last, seen = {}, set()
        for offset, value in records:
            writer, number = number_of(value)
            if value in view.sends and not view.sends[value].get("once"):
                continue  # librdkafka lets a new record overtake those that wait for their retry
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
