"""Each property of the checker finds the history that was planted for it, and finds nothing in a good one."""
import pytest

import checker
import history
import properties_groups as groups

SECOND = 1_000_000_000


class Story:
    """Builds a history by hand: each operation takes a millisecond of a clock that only goes on."""

    def __init__(self):
        self.now, self.ops = SECOND, []

    def add(self, client, f, outcome="ok", ms=1, **fields):
        op = history.Op(client, f, self.now, self.now + ms * 1_000_000, outcome, fields)
        if outcome == "info":
            op.end = None
        self.now += ms * 1_000_000 + 1
        self.ops.append(op)
        return op

    def send(self, number, offset=None, outcome="ok", writer="w", once=True, partition=0):
        placed = {} if offset is None else {"offset": offset}
        return self.add(writer, "send", outcome, value=f"{writer}:{number}", partition=partition, once=once, **placed)

    def log(self, *records, partition=0):
        return self.add("reader", "log", partition=partition, records=[list(record) for record in records])

    def assigned(self, client, *partitions):
        return self.add(client, "assigned", group="g", partitions=list(partitions))

    def revoked(self, client, *partitions):
        return self.add(client, "revoked", group="g", partitions=list(partitions))

    def record(self, client, offset, value=None, partition=0):
        return self.add(client, "record", group="g", partition=partition, offset=offset, value=value or f"w:{offset}")

    def commit(self, client, offset, outcome="ok", partition=0):
        return self.add(client, "commit", outcome, group="g", offsets=[[partition, offset]])

    def committed(self, *offsets):
        return self.add("observer", "committed", group="g", offsets=[list(each) for each in offsets])

    def drain(self, what, outcome="ok", **fields):
        return self.add("drain", "drain", outcome, what=what, **fields)

    def publish(self, number, outcome="ok"):
        return self.add("p", "publish", outcome, queue="q", value=f"p:{number}")

    def delivered(self, client, number, redelivered=False):
        return self.add(client, "delivered", queue="q", value=f"p:{number}", redelivered=redelivered)

    def settle(self, client, *numbers, outcome="ok"):
        return self.add(client, "settle", outcome, queue="q", values=[f"p:{number}" for number in numbers])

    def fault(self, kind, target="broker", ms=100):
        return self.add("nemesis", "fault", ms=ms, kind=kind, target=target)

    def found(self):
        """The names of the properties that are broken."""
        return {violation.property for violation in checker.check(self.ops)}


def good():
    """Everything that happens in a round, faults too, and nothing that is wrong."""
    s = Story()
    s.send(0, 0), s.send(1, 1)
    s.assigned("a", 0)
    s.record("a", 0), s.record("a", 1)
    s.commit("a", 2)
    s.committed([0, 2])
    s.send(2, 2, writer="plain", once=False)
    s.add("observer", "ends", offsets=[[0, 3]])
    s.add("observer", "described", group="g", state="STABLE", members={"a": [0], "b": []})
    s.fault("kill")
    s.publish(0), s.publish(1), s.publish(2, "info")
    s.delivered("c", 0), s.delivered("c", 1)
    s.settle("c", 0)
    s.add("c", "closed")
    s.delivered("d", 1, redelivered=True)
    s.settle("d", 1)
    s.record("a", 2, "plain:2")
    s.commit("a", 3, "info")
    s.revoked("a", 0)
    s.assigned("b", 0)
    s.record("b", 2, "plain:2")   # the commit of unknown outcome did not happen
    s.record("b", 3, "plain:2")   # a producer that is not idempotent sent it again
    s.commit("b", 4)
    s.log((0, "w:0"), (1, "w:1"), (2, "plain:2"), (3, "plain:2"))
    s.drain("g"), s.drain("q")
    return s


def test_a_good_history_breaks_nothing():
    assert checker.check(good().ops) == []


def test_an_empty_history_breaks_nothing():
    assert checker.check([]) == []


# ---- what was planted: (properties that must find it, the story)

def acked_and_not_in_the_log(s):
    s.send(9, 9)


def read_and_not_in_the_log(s):
    s.record("x", 9)


def two_values_at_an_offset(s):
    s.record("x", 1, "w:7")


def idempotent_and_twice_in_the_log(s):
    s.ops = [op for op in s.ops if op.f != "log"]
    s.log((0, "w:0"), (1, "w:1"), (2, "plain:2"), (3, "plain:2"), (4, "w:1"))


def in_the_log_and_never_sent(s):
    s.log((0, "w:77"), partition=1)


def in_another_partition_than_it_was_sent_to(s):
    s.send(5, outcome="info", partition=2)
    s.log((0, "w:5"), partition=1)


def refused_and_in_the_log(s):
    s.send(5, outcome="fail", partition=1)
    s.log((0, "w:5"), partition=1)


def order_of_sending_is_lost(s):
    s.send(5, 1, partition=1), s.send(6, 0, partition=1)
    s.log((0, "w:6"), (1, "w:5"), partition=1)


def a_hole_in_the_log(s):
    s.send(5, 0, partition=1), s.send(6, 2, partition=1)
    s.log((0, "w:5"), (2, "w:6"), partition=1)


def end_before_what_was_acked(s):
    s.add("observer", "ends", offsets=[[0, 2]])


def end_goes_to_zero(s):
    s.add("observer", "ends", offsets=[[1, 5]])
    s.add("observer", "ends", offsets=[[1, 0]])


def send_without_an_end(s):
    s.send(5, outcome="info")


def committed_offset_goes_back(s):
    s.commit("b", 5), s.committed([0, 4])


def committed_offset_goes_to_zero(s):
    s.committed([0, 0])


def committed_offset_is_gone(s):
    s.committed()


def committed_offset_that_nobody_committed(s):
    s.committed([0, 77])


def reading_begins_before_the_committed_offset(s):
    s.revoked("b", 0), s.assigned("a", 0), s.record("a", 2, "plain:2")


def reading_begins_behind_the_committed_offset(s):
    s.assigned("x", 1), s.record("x", 1, "w:1", partition=1)


def polls_go_back(s):
    s.record("b", 2, "plain:2")


def polls_skip(s):
    s.assigned("x", 0)
    s.ops = [op for op in s.ops if op.f != "commit"]
    s.record("x", 0), s.record("x", 2, "plain:2")


def nobody_in_the_group_saw_it(s):
    s.ops = [op for op in s.ops if op.get("offset") != 3]


def group_is_not_read_to_its_end(s):
    s.drain("g", "info", left=[[0, 2, 4]])


def broker_assigns_twice(s):
    s.add("observer", "described", group="g", state="STABLE", members={"a": [0, 1], "b": [1]})


def members_believe_both_for_long(s):
    s.now += 20 * SECOND
    s.assigned("x", 0)
    s.now += 20 * SECOND
    s.revoked("x", 0)


def partition_of_a_living_member_is_given_away(s):
    s.commit("b", 4)
    s.fault("kill"), s.fault("pause")
    s.assigned("x", 0), s.commit("x", 4)
    s.revoked("b", 0)


def ghost_commits(s):
    s.assigned("x", 0), s.commit("x", 4), s.commit("b", 4)


def confirmed_and_never_delivered(s):
    s.publish(9)


def delivered_and_never_published(s):
    s.delivered("c", 99)


def delivered_after_its_ack(s):
    s.delivered("d", 0, redelivered=True)


def delivered_twice_as_if_new(s):
    s.delivered("d", 2), s.add("d", "closed"), s.delivered("c", 2)


def delivered_in_another_order(s):
    s.publish(3), s.publish(4)
    s.delivered("d", 4), s.delivered("d", 3)


def delivered_while_another_holds_it(s):
    s.publish(3)
    s.delivered("c", 3), s.delivered("d", 3, redelivered=True)


PLANTED = [
    (acked_and_not_in_the_log, {"lost_record"}),
    (read_and_not_in_the_log, {"lost_record"}),
    (two_values_at_an_offset, {"inconsistent_offset"}),
    (idempotent_and_twice_in_the_log, {"duplicate_record", "unseen_record"}),
    (in_the_log_and_never_sent, {"phantom_record", "unseen_record"}),
    (in_another_partition_than_it_was_sent_to, {"phantom_record", "stuck_producer", "unseen_record"}),
    (refused_and_in_the_log, {"phantom_record", "refused_write", "unseen_record"}),
    (order_of_sending_is_lost, {"reordered_record", "unseen_record"}),
    (a_hole_in_the_log, {"gap_in_log", "unseen_record"}),
    (end_before_what_was_acked, {"end_back"}),
    (end_goes_to_zero, {"end_back"}),
    (send_without_an_end, {"stuck_producer"}),
    (committed_offset_goes_back, {"offset_back"}),
    (committed_offset_goes_to_zero, {"offset_back"}),
    (committed_offset_is_gone, {"offset_back"}),
    (committed_offset_that_nobody_committed, {"offset_back"}),
    (reading_begins_before_the_committed_offset, {"offset_back"}),
    (reading_begins_behind_the_committed_offset, {"offset_back"}),
    (polls_go_back, {"poll_back"}),
    (polls_skip, {"poll_skip", "offset_back"}),
    (nobody_in_the_group_saw_it, {"unseen_record"}),
    (group_is_not_read_to_its_end, {"stuck_consumer"}),
    (broker_assigns_twice, {"double_assigned"}),
    (members_believe_both_for_long, {"double_assigned"}),
    (partition_of_a_living_member_is_given_away, {"double_assigned"}),
    (ghost_commits, {"double_assigned"}),
    (confirmed_and_never_delivered, {"lost_message"}),
    (delivered_and_never_published, {"phantom_message"}),
    (delivered_after_its_ack, {"settled_message"}),
    (delivered_twice_as_if_new, {"duplicate_message"}),
    (delivered_in_another_order, {"reordered_message"}),
    (delivered_while_another_holds_it, {"leased_message"}),
]


@pytest.mark.parametrize("plant, expected", PLANTED, ids=[plant.__name__ for plant, _ in PLANTED])
def test_a_planted_fault_is_found_and_nothing_else(plant, expected):
    story = good()
    plant(story)
    assert story.found() == expected, checker.report(story.ops, checker.check(story.ops))


def test_every_property_has_a_planted_fault():
    assert {prop.__name__ for prop in checker.PROPERTIES} == set.union(*(expected for _, expected in PLANTED))


# ---- where a client cannot know, both outcomes are allowed

def test_a_commit_of_unknown_outcome_may_take_effect_late():
    s = Story()
    s.assigned("a", 0)
    s.commit("a", 5, "info"), s.commit("a", 9)
    s.committed([0, 9]), s.committed([0, 5])
    assert s.found() == set()


def test_a_producer_that_is_not_idempotent_may_overtake_itself():
    s = Story()
    s.send(5, 1, once=False), s.send(6, 0, once=False)
    s.log((0, "w:6"), (1, "w:5"))
    assert s.found() == set()


MS = 1_000_000
HEARING, SESSION = groups.HEARING_NS, groups.SESSION_NS


def overlap_after(s, fault, target, heard_ns):
    """A member's partition goes to another one meanwhile; the member hears of it so long after the fault."""
    s.assigned("a", 0)
    s.assigned("b", 0)
    s.fault(fault, target, ms=8000)
    s.now += heard_ns
    s.revoked("a", 0)
    return s.found()


@pytest.mark.parametrize("fault, target", [("pause member", "a"), ("kill", "broker")])
def test_a_member_may_hear_of_its_loss_after_a_fault_but_soon(fault, target):
    assert overlap_after(Story(), fault, target, HEARING - 10 * MS) == set()
    assert overlap_after(Story(), fault, target, HEARING + 10 * MS) == {"double_assigned"}


def test_a_fault_of_somebody_else_keeps_no_member_from_hearing():
    assert overlap_after(Story(), "pause member", "b", 0) == {"double_assigned"}


@pytest.mark.parametrize("between_ns, expected", [(HEARING - 10 * MS, set()), (HEARING + 10 * MS, {"double_assigned"})])
def test_each_time_between_faults_is_long_enough_to_hear(between_ns, expected):
    s = Story()
    s.assigned("a", 0), s.assigned("b", 0)
    for _ in range(2):
        s.fault("kill")
        s.now += between_ns
    s.revoked("a", 0)
    assert s.found() == expected


def test_a_member_that_waits_for_a_commit_hears_nothing_else():
    s = Story()
    s.assigned("a", 0), s.assigned("b", 0)
    s.add("a", "commit", "fail", ms=15_000, group="g", offsets=[[0, 1]])
    s.now += HEARING - 10 * MS
    s.revoked("a", 0)
    assert s.found() == set()
    s.ops[2].end = s.ops[2].begin + 14_900 * MS
    assert s.found() == {"double_assigned"}


@pytest.mark.parametrize("later_ns, expected", [(SESSION - 10 * MS, {"double_assigned"}), (SESSION + 10 * MS, set())])
def test_a_silent_members_partition_goes_to_another_when_its_session_is_over_not_before(later_ns, expected):
    s = Story()
    s.assigned("a", 0)
    alive = s.commit("a", 1)
    s.fault("pause member", "a", ms=4000)
    s.now = alive.begin + later_ns
    s.assigned("b", 0), s.commit("b", 1)
    s.revoked("a", 0)
    assert s.found() == expected


def test_an_assignment_that_nothing_came_of_may_be_old_news():
    """Here b was stopped when it was told of what had been its own."""
    s = Story()
    s.assigned("a", 0), s.commit("a", 1)
    s.assigned("b", 0), s.commit("b", 1, "fail")
    s.revoked("b", 0)
    assert s.found() == set()


def test_a_killed_member_holds_nothing():
    s = Story()
    s.assigned("a", 0)
    s.fault("kill member", "a")
    s.now += 20 * SECOND
    s.assigned("b", 0)
    s.now += 20 * SECOND
    s.revoked("b", 0)
    assert s.found() == set()


# ---- the record itself

def test_what_a_killed_client_wrote_is_read_up_to_the_torn_line(tmp_path):
    recorder = history.Recorder(tmp_path, "client")
    recorder.invoke("send", value="w:0", partition=0).ok(offset=7)
    recorder.saw("record", offset=7)
    recorder.invoke("send", value="w:1", partition=0)
    with open(tmp_path / "client.jsonl", "a") as file:
        file.write('{"type": "ok", "n": 1, "of')
    first, record, second = history.load(tmp_path)
    assert (first.f, first.outcome, first["offset"], first.end >= first.begin) == ("send", "ok", 7, True)
    assert (record.f, record.outcome, record.begin) == ("record", "ok", record.end)
    assert (second["value"], second.outcome, second.end) == ("w:1", "info", None)


def test_the_report_names_the_operations_and_counts_what_it_leaves_out():
    s = good()
    for number in range(10, 20):
        s.send(number, number)
    text = checker.report(s.ops, checker.check(s.ops))
    assert "10 violations" in text and "and 5 more of lost_record" in text
    assert 'w send ok value="w:10" partition=0 once=true offset=10' in text
