"""Judges a history (history.py): each property is one function that takes a View of it and yields what breaks it.

The list is that of the anomalies which fault tests found in brokers. Nothing here looks at a broker: what clients were
told and saw is all there is. Where a client cannot know (info), both outcomes are allowed.

A violation names the operations that show it. check() runs all properties; report() is what people read.
"""
from collections import defaultdict
from dataclasses import dataclass

import properties_groups as groups
import properties_log as log
import properties_queues as queues
from view import View


@dataclass
class Violation:
    property: str
    text: str
    ops: list

    def __str__(self):
        return "\n".join([f"{self.property}: {self.text}", *(f"    {op}" for op in self.ops)])


PROPERTIES = (
    log.lost_record,
    log.inconsistent_offset,
    log.duplicate_record,
    log.phantom_record,
    log.reordered_record,
    log.gap_in_log,
    log.end_back,
    log.refused_write,
    log.stuck_producer,
    groups.offset_back,
    groups.poll_back,
    groups.poll_skip,
    groups.unseen_record,
    groups.stuck_consumer,
    groups.double_assigned,
    queues.lost_message,
    queues.phantom_message,
    queues.settled_message,
    queues.duplicate_message,
    queues.reordered_message,
    queues.leased_message,
)


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
