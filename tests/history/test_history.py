"""A round of each nemesis, judged by the checker, and a broker whose syncs cease to happen, which it must catch.

`./dev conform history --rounds 100` plays more of them. POLYLOG_LOSS_SEED repeats a run.
"""
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

import nemesis
import rounds
from harness import may_mount, seeds

JOBS = 6
PER_SECOND = 50   # of each producer: there are many clients at once
NEGATIVE_ROUNDS = 2
SEEN_AFTER_A_LOSS = {"lost_record", "inconsistent_offset", "end_back", "offset_back", "lost_message"}
needs_mount = pytest.mark.skipif(not may_mount(), reason="mounting a tmpfs takes root")
NAMES = [pytest.param(name, marks=needs_mount) if name in ("full", "mix") else name for name in nemesis.NAMES]


@pytest.fixture(scope="module")
def played():
    """{name: Result}, all played side by side: a round waits most of its time."""
    names = [name for name in nemesis.NAMES if may_mount() or name not in ("full", "mix")]
    names.sort(key=lambda name: name not in ("freeze", "mix"))  # the longest first
    with ThreadPoolExecutor(JOBS) as pool:
        playing = {name: pool.submit(rounds.play, number, seed, name, faults=2, per_second=PER_SECOND)
                   for number, (seed, name) in enumerate(zip(seeds(len(names)), names))}
        caught = [pool.submit(rounds.play, 100 + number, seed, "unsynced", faults=1, per_second=PER_SECOND,
                              patience=2)
                  for number, seed in enumerate(seeds(NEGATIVE_ROUNDS))]
        return {**{name: each.result() for name, each in playing.items()}, "unsynced": [c.result() for c in caught]}


@pytest.mark.parametrize("name", NAMES)
def test_no_anomaly_in_the_history_of_a_round(played, name):
    result = played[name]
    print(result)
    assert result.is_good, (result.folder / "report.txt").read_text()
    assert result.faults and result.operations > 500, "the round tested nothing"
    if name in ("kill", "pause", "full", "power"):
        assert result.held > 0, "no write met a fault"


def test_a_broker_whose_syncs_cease_is_caught_by_its_history(played):
    """The negative control: when syncs are stubbed out before power is lost, the checker must find in the clients'
    histories what they lost. A broker that does not start, a client that is late or stuck shows nothing."""
    for result in played["unsynced"]:
        found = {violation.property for violation in result.violations}
        print(result, *sorted(found))
        assert result.faults == {"unsynced": 1} and "BrokerFailed" not in (result.error or ""), result.error
        assert found & SEEN_AFTER_A_LOSS, f"nothing was lost, or the checker is blind: {found or 'no violation'}"
    for result in played["unsynced"]:
        shutil.rmtree(result.folder, ignore_errors=True)
