"""Judges what a soak delivered by identity: each message is a writer and a number. Pure: what clients reported in,
verdicts out.

A number that was stored is received; none that was not sent is. A consumer of a partition gets its numbers in order and
without a gap, one of a queue gets new ones in order: it looks itself, and says where that broke. What comes again comes
soon after a restart, as at-least-once has it; from a queue it is flagged.

Memory: a byte a message.
"""
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from soak_report import Verdict

AGAIN_SECONDS = 30  # after a restart: a session of 6 s, new connections, the consumer's next report
STORED, RECEIVED = 1, 2
COMPACTED_SHARE_MAX = 0.5   # of the records that were written to a compacted topic


def ranges(numbers):
    """[[first, last]] of the numbers, as short as it gets."""
    found = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def in_order(ops):
    """What consumers told, by when it began: one tells at once what another one keeps for its next report."""
    return sorted(ops, key=lambda op: op.get("begin") or op.end)


class Order:
    """What a consumer of partitions may get next. Number n of a writer goes to partition n % partitions."""

    def __init__(self):
        self.expected = {}

    def begin(self, place):
        """Of an assignment: where it begins is told by the group's offset, not by what was read here before."""
        self.expected.pop(place, None)

    def take(self, place, number, partitions):
        """None when it is this one's turn; else whose turn it is."""
        expected = self.expected.get(place, number)
        self.expected[place] = number + partitions
        return None if number == expected else expected


@dataclass
class Delivery:
    """All that a kind of client stored and received."""
    restarts: list = field(default_factory=list)  # nanoseconds
    marks: dict = field(default_factory=lambda: defaultdict(bytearray))  # writer -> a byte a number
    found: Counter = field(default_factory=Counter)
    examples: list = field(default_factory=list)

    def stored(self, writer, numbers):
        for first, last in numbers:
            marks = self.grown(writer, last)
            for number in range(first, last + 1):
                marks[number] |= STORED
                self.found["stored"] += 1

    def received(self, at, writer, numbers, flagged=None):
        """`flagged`: whether the broker said that they come again; None where it never does. In the order of time."""
        for first, last in numbers:
            marks = self.grown(writer, last)
            for number in range(first, last + 1):
                self.found["received"] += 1
                if marks[number] & RECEIVED:
                    self.came_again(at, writer, number, flagged)
                marks[number] |= RECEIVED

    def came_again(self, at, writer, number, flagged):
        if flagged is False:
            self.bad("twice as if new", writer, number)
        elif not any(restart <= at <= restart + AGAIN_SECONDS * 1e9 for restart in self.restarts):
            self.bad("again without a restart", writer, number)
        else:
            self.found["again"] += 1

    def broken(self, writer, number, expected):
        self.bad(f"out of order, instead of {expected}", writer, number, "out of order")

    def judge(self, name, sent):
        """`sent`: {writer: how many}. What was sent and not stored may be received or not."""
        for writer, marks in self.marks.items():
            for number, mark in enumerate(marks):
                if mark == STORED:
                    self.bad("missing", writer, number)
                elif mark and number >= sent.get(writer, 0):
                    self.bad("never sent", writer, number)
        bad = {what: self.found[what] for what in ("missing", "never sent", "out of order", "twice as if new",
                                                   "again without a restart") if self.found[what]}
        why = (f"{self.found['stored']} stored, {self.found['received']} received, {self.found['again']} of them again "
               "after restarts; " + (f"{bad}: {'; '.join(self.examples)}" if bad else "each in its place"))
        return Verdict(f"{name} delivery", not bad and self.found["stored"] > 0, why)

    def bad(self, what, writer, number, kind=None):
        self.found[kind or what] += 1
        if len(self.examples) < 5:
            self.examples.append(f"{writer}:{number} {what}")

    def grown(self, writer, number):
        marks = self.marks[writer]
        if number >= len(marks):
            marks.extend(bytes(number + 1 - len(marks)))
        return marks


def key_of(number, keys):
    """Of a record: each `keys` numbers in a row have each key once (7919 is prime)."""
    return number * 7919 % keys


def compacted(written, left, keys):
    """`left`: [(key, number)] of a compacted topic to which the numbers below `written` were written, in its order."""
    limit = max(2 * keys, written * COMPACTED_SHARE_MAX)
    newest = dict(left)
    lost = [n for n in range(max(0, written - keys), written) if newest.get(key_of(n, keys)) != n]
    newest_are = f"the newest of {len(lost)} keys are gone: {lost[:5]}" if lost else "the newest of each key is there"
    return Verdict("compaction", len(left) <= limit and not lost and written >= keys,
                   f"{len(left)} of {written} records of {keys} keys are left, limit {limit:.0f}; {newest_are}")
