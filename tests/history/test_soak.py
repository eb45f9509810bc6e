"""The soak's verdicts: each finds what grows, and a short soak runs from end to end."""
import json
import shutil
import subprocess
import sys

import pytest

from harness import ROOT, scratch_dir

sys.path.insert(0, str(ROOT / "bench"))
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


def test_compaction_that_keeps_too_much_or_loses_keys_is_missed():
    assert soak_report.compacted(10_000, 2_000, 500).is_good
    assert not soak_report.compacted(10_000, 6_000, 500).is_good
    assert not soak_report.compacted(10_000, 400, 500).is_good


def test_what_was_stored_must_be_received():
    assert soak_report.caught_up("Kafka", 100, 103).is_good
    assert not soak_report.caught_up("Kafka", 100, 99).is_good
    assert not soak_report.caught_up("Kafka", 0, 0).is_good


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
