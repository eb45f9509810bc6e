"""librdkafka's broker tests, each in a process of its own: which there are, running one, and what became of it.

The test program chooses tests by number only. What shares a number and a scenario therefore shares a process; so it is with two
tests of the older release and five of the newer one.
"""
import json
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

WHY_CHARACTERS_MAX = 240
NUMBER_DIGITS = 4
DEFAULT_SCENARIO = "default"
FAILURE = re.compile(r'^### Test "(.*)" failed at ([^:]+:\d+):\S* at .*\n(.*)$', re.M)
SKIPPED = re.compile(r"^\|\s*(\w+)\s*\|\s*SKIPPED \|[^|]*\|(.*)$", re.M)
COLOUR = re.compile(r"\x1b\[[\d;]*m")
running = set()


@dataclass(frozen=True)
class Job:
    number: str
    scenario: str  # the broker settings that its tests ask for
    names: tuple


@dataclass(frozen=True)
class Outcome:
    state: str  # "passed", "failed" or "skipped"
    why: str = ""


def jobs_of(directory):
    """The tests that want a broker and no hand, as the test program's own table declares them."""
    table = (directory / "test.c").read_text()
    table = table[table.index("struct test tests[]"):]
    table = table[:table.index("{NULL}")]
    jobs = {}
    for entry in table.split("_TEST(")[1:]:
        if "TEST_F_LOCAL" not in entry and "TEST_F_MANUAL" not in entry:
            name = re.match(r"\w+", entry)[0]
            scenario = re.search(r'\.scenario\s*=\s*"([^",]+)', entry)
            jobs.setdefault((name[:NUMBER_DIGITS], scenario[1] if scenario else DEFAULT_SCENARIO), []).append(name)
    return [Job(number, scenario, tuple(names)) for (number, scenario), names in jobs.items()]


def one_line(text):
    return " ".join(text.split())[:WHY_CHARACTERS_MAX]


def failure(name, code, output):
    """Where the first failure of the test is, and its message; failing that, how the process ended."""
    for subtest, place, message in FAILURE.findall(output):
        if subtest.split(" ")[0] in (name, "<MAIN>"):
            return one_line(f"{place}: {message} [{subtest}]")
    return one_line(f"exit code {code}: {output[-WHY_CHARACTERS_MAX:]}")


def outcomes_of(job, code, states, output, seconds_max):
    """{name: Outcome}. `states` is what the program's report says of each test; a program that crashed leaves none."""
    output = COLOUR.sub("", output)
    skipped = dict(SKIPPED.findall(output))
    blamed = [name for name in job.names if states.get(name) not in ("PASSED", "SKIPPED")]
    outcomes = {}
    for name in job.names:
        if code is None:
            outcomes[name] = Outcome("failed", f"not within {seconds_max} s")
        elif name in blamed or (code != 0 and not blamed):  # the program also fails for what its tests leave behind
            outcomes[name] = Outcome("failed", failure(name, code, output))
        elif states[name] == "SKIPPED":
            outcomes[name] = Outcome("skipped", one_line(skipped.get(name, "")))
        else:
            outcomes[name] = Outcome("passed")
    return outcomes


def read_report(path):
    try:
        return {name: test["state"] for name, test in json.loads(path.read_text())["tests"].items()}
    except (OSError, ValueError, KeyError):
        return {}


def run(directory, job, address, broker_version, log, seconds_max):
    """Runs it against the broker at `address`; what it prints is left in `log`."""
    with tempfile.TemporaryDirectory() as scratch:
        config, report = Path(scratch) / "test.conf", Path(scratch) / "report.json"
        config.write_text(f"bootstrap.servers={address}\ntest.topic.random=true\n")
        settings = {"RDKAFKA_TEST_CONF": str(config), "TEST_REPORT": str(report), "TESTS": job.number,
                    "TEST_KAFKA_VERSION": broker_version, "LD_LIBRARY_PATH": "../src:../src-cpp", "PATH": "/usr/bin:/bin"}
        command = ["nice", "./test-runner", "-L", "-s", job.scenario]
        with open(log, "wb") as file:
            process = subprocess.Popen(command, cwd=directory, env=settings, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
            running.add(process)
            try:
                code = process.wait(seconds_max)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                process.kill()
                process.wait()
                running.discard(process)
        return outcomes_of(job, code, read_report(report), Path(log).read_text(errors="replace"), seconds_max)


def end_all():
    """Ends the tests that run in other threads."""
    for process in list(running):
        process.kill()
