"""The soak's verdicts: each finds what grows, and a short soak runs from end to end."""
import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from harness import ROOT, scratch_dir

sys.path.insert(0, str(ROOT / "bench"))
import history  # noqa: E402
import soak_identity  # noqa: E402
import soak_load  # noqa: E402
import soak_report  # noqa: E402

FLAT = {"rss_mb": 40, "fds": 90, "kafka_p99_ms": 5, "amqp_p99_ms": 6, "disk_mb": 60}
GROWTH = {"rss_mb": 30, "fds": 25, "kafka_p99_ms": 20, "amqp_p99_ms": 20, "disk_mb": 25}


def samples(**slopes):
    """A hundred of them; `slopes`: what a figure grows by over the second half."""
    return [{"at": at, **{key: value + slopes.get(key, 0) * max(0, at - 50) / 50 for key, value in FLAT.items()}}
            for at in range(101)]


def missed(found):
    return {verdict.property for verdict in found if not verdict.is_good}


def judged(some, limit_mb=100):
    return soak_report.verdicts(some, limit_mb, "retention")


def test_what_is_flat_is_good():
    assert missed(judged(samples())) == set()


@pytest.mark.parametrize("key", list(GROWTH))
def test_what_grows_is_missed(key):
    assert missed(judged(samples(**{key: GROWTH[key]}))) == {key}


def test_what_a_restart_in_the_first_half_changes_does_not_count():
    some = samples()
    for sample in some[:40]:
        sample["rss_mb"] = 10
    assert missed(judged(some)) == set()


def test_a_disk_above_what_retention_allows_is_missed_though_it_is_flat():
    assert missed(judged(samples(), limit_mb=59)) == {"disk_mb bound"}


def test_a_figure_that_was_never_measured_is_missed():
    assert "amqp_p99_ms" in missed(judged([{**sample, "amqp_p99_ms": None} for sample in samples()]))


def newest(keys, written):
    return [(soak_identity.key_of(number, keys), number) for number in range(written - keys, written)]


def test_compaction_that_keeps_too_much_or_loses_the_newest_of_a_key_is_missed():
    left = newest(500, 10_000)
    assert soak_identity.compacted(10_000, left, 500).is_good
    assert soak_identity.compacted(10_000, [(0, 0)] * 4_500 + left, 500).is_good
    assert not soak_identity.compacted(10_000, [(0, 0)] * 4_501 + left, 500).is_good
    assert not soak_identity.compacted(10_000, left[1:], 500).is_good
    assert not soak_identity.compacted(10_000, left + [(left[0][0], 3)], 500).is_good  # an older one behind it


SECOND = 1_000_000_000
AGAIN = soak_identity.AGAIN_SECONDS * SECOND


def delivered(*received, stored=((0, 9),), sent=10, broken=(), restarts=(100 * SECOND,)):
    """The verdict when a writer's numbers are stored, and these received: (nanoseconds, first, last[, flagged])."""
    found = soak_identity.Delivery(list(restarts))
    found.stored("w", stored)
    for at, first, last, *flagged in received:
        found.received(at, "w", [[first, last]], *flagged)
    for number, expected in broken:
        found.broken("w", number, expected)
    return found.judge("Kafka", {"w": sent})


def test_each_stored_message_must_be_received():
    assert delivered((1, 0, 4), (2, 5, 9)).is_good
    verdict = delivered((1, 0, 4), (2, 6, 9))
    assert not verdict.is_good and "{'missing': 1}: w:5 missing" in verdict.why
    assert not delivered(stored=()).is_good, "nothing was stored"


def test_as_many_others_do_not_stand_in_for_a_missing_message():
    assert not delivered((1, 0, 8), (100 * SECOND, 8, 8)).is_good


def test_what_was_sent_and_not_stored_may_come_and_what_was_never_sent_must_not():
    assert delivered((1, 0, 10), sent=11).is_good
    assert not delivered((1, 0, 11), sent=11).is_good


def test_messages_come_again_after_a_restart_only():
    assert delivered((1, 0, 9), (100 * SECOND, 3, 5)).is_good
    assert delivered((1, 0, 9), (100 * SECOND + AGAIN, 3, 5)).is_good
    assert not delivered((1, 0, 9), (100 * SECOND - 1, 3, 5)).is_good
    assert not delivered((1, 0, 9), (100 * SECOND + AGAIN + 1, 3, 5)).is_good


def test_what_comes_again_from_a_queue_is_flagged():
    assert delivered((1, 0, 9, False), (100 * SECOND, 3, 3, True)).is_good
    assert not delivered((1, 0, 9, False), (100 * SECOND, 3, 3, False)).is_good
    assert not delivered((1, 0, 9, False), (2, 3, 3, True)).is_good


def test_a_message_that_came_when_it_was_anothers_turn_is_missed():
    assert not delivered((1, 0, 9), broken=[(4, 3)]).is_good


def test_a_partition_is_read_in_order_and_begins_anew_with_an_assignment():
    order = soak_identity.Order()
    assert [order.take("p1", number, 4) for number in (5, 9, 13)] == [None] * 3
    assert order.take("p2", 2, 4) is None
    assert order.take("p1", 21, 4) == 17  # a gap
    assert order.take("p1", 21, 4) == 25  # twice
    order.begin("p1")
    assert order.take("p1", 9, 4) is None
    assert order.take("p2", 10, 4) == 6


def test_ranges_hold_the_numbers_and_no_others():
    assert soak_identity.ranges([5, 1, 2, 3, 7, 8]) == [[1, 3], [5, 5], [7, 8]]
    assert soak_identity.ranges([]) == []


def test_reports_keep_what_came_again_in_its_place():
    told = []
    report = soak_load.Report(SimpleNamespace(history=SimpleNamespace(saw=lambda _what, **fields: told.append(fields))))
    for number, again in (1, True), (2, False), (2, True):
        report.add("w", number, again=again)
    report.tell_when_due(now=True)
    assert [numbers for report in told for numbers in report["numbers"]] == [
        ["w", True, [[1, 1]]], ["w", False, [[2, 2]]], ["w", True, [[2, 2]]]]


def test_what_another_consumer_told_later_and_received_before_a_restart_comes_first(tmp_path):
    for name, numbers, begin, end in (("slow", ["w", False, [[7, 7]]], 100, 900), ("quick", ["w", True, [[7, 7]]], 400, 410)):
        line = {"type": "ok", "n": None, "at": end, "f": "report", "begin": begin, "numbers": [numbers]}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(line) + "\n")
    ops = [op for name in ("slow", "quick") for op in history.read_client(tmp_path / f"{name}.jsonl")]
    found = soak_identity.Delivery(restarts=[300])
    found.stored("w", [[7, 7]])
    for op in soak_identity.in_order(ops):
        for writer, again, numbers in op["numbers"]:
            found.received(op.end, writer, numbers, again)
    assert found.found["again"] == 1 and found.found["twice as if new"] == 0


def test_a_short_soak_delivers_all_through_restarts_and_draws_its_plot():
    out = scratch_dir("soak")
    done = subprocess.run([ROOT / "bench" / "soak", "--minutes", "0.25", "--out", out], capture_output=True, text=True,
                          timeout=150)
    print(done.stdout, done.stderr)
    result = json.loads((out / "soak.json").read_text())
    by_property = {verdict["property"]: verdict["is_good"] for verdict in result["verdicts"]}
    assert by_property["Kafka delivery"] and by_property["AMQP delivery"]
    assert len(by_property) == 9  # too short to say anything of the others
    assert [how for _at, how in result["restarts"]] == ["restart", "kill -9"] * 2
    assert (out / "soak.svg").read_text().count("<polyline") == len(soak_report.PANELS)
    shutil.rmtree(out)
