"""Runs the stages of `./dev check`, `./dev test` and `.ci/run`, one after the other but for those that wait most of the
time, and adds up their test cases.

A stage is a command whose log goes to build/logs/NAME.log and whose counts are read from it. Every stage runs, whatever the
ones before it found, except that a build that fails ends the stages that need it. The last line is
`N passed, N failed[, N skipped]`.

Environment: POLYLOG_SIM_SEEDS (default 20), POLYLOG_LOSS_ROUNDS (default 30, read by the system tests).
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / "build" / "logs"
TAIL_LINES = 60
WAITING = ("clients/test_compaction.py", "clients/test_kafkajs.py", "clients/test_kcat_groups.py",
           "clients/test_pika_consumers.py", "clients/test_together.py", "history/test_soak.py")  # of tests/


@dataclass
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other):
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else "")


# Readers of counts: (log text) -> Counts, or None when the log has none, which makes the exit code one case.

def count_plain(log):
    found = re.findall(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", log, re.M)
    return Counts(*(int(n or 0) for n in found[-1])) if found else None


def count_doctest(log):
    found = re.findall(r"test cases:\s*\d+\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed", re.sub(r"\x1b\[[\d;]*m", "", log))
    return Counts(*(int(n) for n in found[-1])) if found else None


def count_junit(path):
    def count(_log):
        if not path.exists():
            return None
        total = Counts()
        for suite in ElementTree.parse(path).getroot().iter("testsuite"):
            tests, skipped = int(suite.get("tests")), int(suite.get("skipped"))
            failed = int(suite.get("failures")) + int(suite.get("errors"))
            total += Counts(tests - failed - skipped, failed, skipped)
        return total
    return count


def count_nothing(_log):
    return Counts()


@dataclass
class Stage:
    name: str
    command: list
    count: Callable = lambda log: None
    env: dict = field(default_factory=dict)
    minutes_max: int = 15
    needs: Path = None  # the stage is left out when this does not exist
    exit_codes: tuple = (0,)


class Running:
    """A stage under way, in a process group of its own, so that one that hangs is ended with all that it started."""

    def __init__(self, stage):
        self.stage, self.log_path = stage, LOGS / f"{stage.name.replace(' ', '-')}.log"
        self.begin, self.ended = time.monotonic(), False
        print(f"{stage.name} ...", flush=True)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [str(part) for part in stage.command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **stage.env}, start_new_session=True)

    def is_over(self):
        if self.process.poll() is None and time.monotonic() > self.begin + self.stage.minutes_max * 60:
            self.end()
            self.ended = True
            with open(self.log_path, "ab") as log:
                log.write(f"\nended after {self.stage.minutes_max} minutes\n".encode())
        return self.process.poll() is not None

    def report(self):
        """Its counts, once it is over."""
        seconds = time.monotonic() - self.begin
        log = self.log_path.read_text(errors="replace")
        counts = counts_of(self.stage, None if self.ended else self.process.returncode, log)
        if counts.failed:
            print(f"--- the end of {self.log_path.relative_to(ROOT)}:")
            print("\n".join(log.splitlines()[-TAIL_LINES:]))
            print("---")
        print(f"{self.stage.name}: {counts} ({seconds:.0f} s)", flush=True)
        return counts

    def end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def counts_of(stage, code, log):
    good = code in stage.exit_codes
    counts = stage.count(log)
    if counts is None:
        return Counts(passed=1) if good else Counts(failed=1)
    return counts + Counts(failed=1) if not good and counts.failed == 0 else counts  # it crashed, or was ended


def run_stages(*stages):
    """Runs them side by side."""
    total, running = Counts(), []
    try:
        running += map(Running, stages)
        while running:
            for each in [one for one in running if one.is_over()]:
                total += each.report()
                running.remove(each)
            time.sleep(0.05)
        return total
    finally:
        for each in running:
            each.end()


def build(kind, *targets):
    return Stage(f"build {kind}", ["bash", "tools/dev/build.sh", kind, *targets], count_nothing, minutes_max=40)


def unit(kind, *args):
    binary = ROOT / "build" / kind / "polylog_unit"
    return Stage(f"unit {kind}", [binary, "--no-colors", *args], count_doctest, needs=binary)


def sim(kind, seeds):
    binary = ROOT / "build" / kind / "polylog_sim"
    return Stage(f"sim {kind}", [binary, "--seeds", seeds], count_plain, needs=binary, minutes_max=20)


def fuzz_smoke(kind):
    stages = []
    for target in sorted((ROOT / "build" / kind / "fuzz").glob("*_fuzz")):
        corpus = ROOT / "tests" / "fuzz" / "corpus" / target.name.removesuffix("_fuzz")
        stages.append(Stage(f"fuzz {kind} {target.name}", [target] + ([corpus] if corpus.exists() else [])))
    return stages


def pytest(name, *paths):
    junit = LOGS / f"{name.replace(' ', '-')}.xml"
    junit.unlink(missing_ok=True)
    command = [ROOT / "build/venv/bin/python", "-m", "pytest", "-v", "-rs", "-p", "no:cacheprovider", "--durations=10",
               f"--junitxml={junit}", *paths]
    return Stage(name, command, count_junit(junit), minutes_max=40, needs=ROOT / "build/release/polylog",
                 exit_codes=(0, 5))  # 5: no test collected


def system_tests():
    """Two stages side by side: what waits most of its time for intervals and sessions takes little from the others."""
    shutil.rmtree(ROOT / "build/scratch", ignore_errors=True)  # what failed tests of the last run kept
    folders = [ROOT / "tests" / name for name in ("system", "clients", "formats", "history")]
    waiting = [ROOT / "tests" / name for name in WAITING]
    return [pytest("system", *folders, *(f"--ignore={path}" for path in waiting)), pytest("system waiting", *waiting)]


def stages_after_release_build(verb):
    if verb == "check":
        return [unit("release")]
    golden = ROOT / "build/release/polylog_golden"
    return [
        Stage("rules", [sys.executable, "tools/dev/tidy.py", "--rules"], count_plain),
        *[Stage(f"gen {generator.stem}", [sys.executable, generator, "--check"])
          for generator in sorted((ROOT / "tools/gen").glob("*.py"))],
        unit("release"),
        *fuzz_smoke("release"),
        Stage("golden", [golden], count_plain, needs=golden),
        sim("release", os.environ.get("POLYLOG_SIM_SEEDS", "20")),
        system_tests(),
    ]


def run_group(build_stage, then):
    """Builds, then runs the stages that `then()` names: which of them there are is known only after the build. A list of
    stages runs side by side."""
    total = run_stages(build_stage)
    if total.failed:
        return total
    for stages in then():
        stages = stages if isinstance(stages, list) else [stages]
        total += run_stages(*(stage for stage in stages if stage.needs is None or stage.needs.exists()))
    return total


def sanitized_groups():
    yield build("asan", "polylog_unit", "polylog_sim", "fuzz_targets"), lambda: [
        unit("asan"), *fuzz_smoke("asan"), sim("asan", os.environ.get("POLYLOG_SIM_SEEDS_SANITIZED", "5"))]
    yield build("tsan", "polylog_unit"), lambda: [unit("tsan", "--test-suite=cross-core*")]


def main():
    verb = sys.argv[1]
    LOGS.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    total = run_group(build("release"), lambda: stages_after_release_build(verb))
    if verb == "ci":
        for build_stage, then in sanitized_groups():
            total += run_group(build_stage, then)
    print(f"took {time.monotonic() - begin:.0f} s")
    print(total)
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
