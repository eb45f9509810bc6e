"""The rules by which the conformance run judges clients; librdkafka's own tests, with a stand-in for their program."""
import importlib.machinery
import importlib.util
import json
import sys
from pathlib import Path

import pytest

CONFORM = Path(__file__).resolve().parents[1] / "conform"
sys.path[:0] = [str(CONFORM), str(CONFORM / "librdkafka")]

import clients  # noqa: E402
import runner  # noqa: E402
import sources  # noqa: E402
import suite  # noqa: E402

TABLE = """
static void other(void) { _TEST(9999_not_in_the_table, 0) }
struct test tests[] = {
    _TEST(0001_plain, 0, TEST_BRKVER(0, 9, 0, 0)),
    _TEST(0002_mock, TEST_F_LOCAL),
    _TEST(0003_a, 0),
    _TEST(0003_b,
          0,
          TEST_BRKVER(1, 0, 0, 0),
          .scenario = "noautocreate"),
    _TEST(0003_c, 0, .scenario = "default,ak23"),
    _TEST(8000_hand, TEST_F_MANUAL),
    {NULL}};
"""
PROGRAM = """#!{python}
import json, os, sys, time
assert open(os.environ["RDKAFKA_TEST_CONF"]).readline() == "bootstrap.servers=127.0.0.1:9\\n"
assert sys.argv[1:] == ["-L", "-s", "default"] and os.environ["TESTS"] == "0003"
{body}
"""
JOB = runner.Job("0003", "default", ("0003_a", "0003_c"))


def run(directory, body, seconds_max=20):
    program = directory / "test-runner"
    program.write_text(PROGRAM.format(python=sys.executable, body=body))
    program.chmod(0o755)
    return runner.run(directory, JOB, "127.0.0.1:9", "4.3.1", directory / "log", seconds_max)


def reporting(code, **states):
    report = json.dumps({"tests": {f"0003_{name}": {"state": state} for name, state in states.items()}})
    return (f"open(os.environ['TEST_REPORT'], 'w').write('{report}')\n"
            "print('### Test \"0003_a (sub:1: part)\" failed at a.c:7:f() at Sat: ###\\nExpected 1, not 2')\n"
            f"sys.exit({code})")


def test_tests_that_want_a_broker_are_found_with_their_scenario(tmp_path):
    (tmp_path / "test.c").write_text(TABLE)
    assert runner.jobs_of(tmp_path) == [runner.Job("0001", "default", ("0001_plain",)), JOB,
                                        runner.Job("0003", "noautocreate", ("0003_b",))]


def test_what_became_of_a_test_is_what_the_report_says(tmp_path):
    assert {o.state for o in run(tmp_path, reporting(0, a="PASSED", c="PASSED")).values()} == {"passed"}
    outcomes = run(tmp_path, reporting(1, a="FAILED", c="PASSED"))
    assert outcomes["0003_a"] == runner.Outcome("failed", "a.c:7: Expected 1, not 2 [0003_a (sub:1: part)]")
    assert outcomes["0003_c"].state == "passed"
    assert run(tmp_path, reporting(0, a="SKIPPED", c="PASSED"))["0003_a"].state == "skipped"


@pytest.mark.parametrize("body, why", [
    ("os.abort()", "exit code -6"),
    (reporting(1, a="PASSED", c="PASSED"), "a.c:7"),  # the program found something after its tests
    (reporting(0, a="RUNNING", c="RUNNING"), "a.c:7"),
    ("sys.exit(0)", "exit code 0"),
    ("time.sleep(60)", "not within 1 s"),
])
def test_a_program_that_does_not_end_well_has_failed(tmp_path, body, why):
    outcome = run(tmp_path, body, seconds_max=1 if "sleep" in body else 20)["0003_a"]
    assert outcome.state == "failed" and outcome.why.startswith(why)


PASSED, FAILED, SKIPPED = (runner.Outcome(state, "because") for state in ("passed", "failed", "skipped"))


@pytest.mark.parametrize("outcome, kafka, excuse, expected, result", [
    (PASSED, FAILED, None, False, "ok"),
    (PASSED, PASSED, "a feature", False, "not ok"),  # the excuse is stale
    (FAILED, PASSED, "a feature", False, "skip"),
    (FAILED, PASSED, None, False, "not ok"),
    (SKIPPED, PASSED, None, False, "not ok"),
    (FAILED, FAILED, None, False, "skip"),
    (FAILED, FAILED, None, True, "not ok"),  # it passed once
    (FAILED, None, None, True, "not ok"),
    (FAILED, None, None, False, "skip"),
    (SKIPPED, SKIPPED, None, False, "skip"),
])
def test_a_test_fails_the_run_exactly_if_it_should_pass(outcome, kafka, excuse, expected, result):
    got, why = suite.verdict(outcome, kafka, excuse, expected)
    assert got == result
    assert ("Apache Kafka does not pass it" in why) == bool(kafka == FAILED and got == "skip" and not excuse), why


@pytest.fixture
def lists(tmp_path, monkeypatch):
    (tmp_path / "expected").write_text("# who\nnew 0001_a polylog\nnew 0002_b polylog,kafka\nold 0003_c polylog\n")
    (tmp_path / "excused").write_text("* 0004_d transactions\nnew 0005_e SASL\nold 0006_f SASL\n")
    monkeypatch.setattr(suite, "EXPECTED", tmp_path / "expected")
    monkeypatch.setattr(suite, "EXCUSED", tmp_path / "excused")


def test_a_listed_test_that_was_not_run_is_found(lists):
    assert suite.not_run("new", {"0001_a", "0002_b", "0005_e", "0007_g"}) == []
    assert [name for name, _why in suite.not_run("new", {"0001_a"})] == ["0002_b", "0005_e"]


def run_suite(capsys, monkeypatch, tmp_path, installed):
    monkeypatch.setattr(suite.sources, "installed", installed)
    monkeypatch.setattr(sys, "argv", ["suite.py", "librdkafka-npm", str(tmp_path)])
    monkeypatch.setattr(suite.signal, "signal", lambda *_: None)
    return suite.main(), capsys.readouterr().out


def test_a_source_that_does_not_build_is_a_failure_and_one_that_cannot_be_had_is_not(capsys, monkeypatch, tmp_path):
    def build(_release, _out):
        (tmp_path / "configure").write_text("exit 7\n")
        sources.build(tmp_path, tmp_path)

    def fetch(_release, _out):
        clients.install_run(["false"])

    code, printed = run_suite(capsys, monkeypatch, tmp_path, build)
    assert code == 1 and printed.startswith("not ok build: ") and "exit status 7" in printed and "build.log" in printed
    code, printed = run_suite(capsys, monkeypatch, tmp_path, fetch)
    assert code == 0 and printed == "skip install: false: failed\n"


def load_run():
    loader = importlib.machinery.SourceFileLoader("conform_run", str(CONFORM / "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module  # dataclasses look for it there
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("install, outcome, name", [
    (lambda _out: clients.compile_run(["bash", "-c", "echo line 7 >&2; exit 1"]), "not ok", "build"),
    (lambda _out: clients.install_run(["bash", "-c", "echo no such version; exit 1"]), "skip", "install"),
    (lambda _out: clients.need("no-such-program"), "skip", "install"),
])
def test_a_client_that_cannot_be_had_is_skipped_and_one_that_does_not_build_has_failed(install, outcome, name):
    (check,) = load_run().check_client(clients.Client("c", "1", None, install)).checks
    assert check[:2] == (outcome, name) and any(text in check[2] for text in ("line 7", "no such version", "not installed"))


def test_no_test_is_both_expected_and_excused():
    for release in (release.name for release in suite.sources.RELEASES):
        expected = suite.read_list(suite.EXPECTED, release)
        excused = suite.read_list(suite.EXCUSED, release)
        assert len(expected) > 70
        assert not set(expected) & set(excused)
        assert all(excused.values())
