"""own_tests.py SUITE DIRECTORY BOOTSTRAP: the integration tests that a Python client brings along, unpacked in DIRECTORY.

Their fixtures get the broker that runs at BOOTSTRAP, from a plugin of ours for each suite. Prints a line a test. What
excused.txt names is run all the same: it must fail, and counts as skipped; if it passes, or is not there, the list is out
of date, and that is a failure.
"""
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
WHY_CHARACTERS_MAX = 300
TEST_SECONDS_MAX = 120


@dataclass
class Suite:
    plugin: str  # a module beside this file
    tests: str
    environment: dict = field(default_factory=dict)  # {} stands for the broker's address


SUITES = {
    "kafka-python": Suite("kafka_python_plugin", "test/integration",
                          {"KAFKA_URI": "kafka://{}", "KAFKA_VERSION": "4.3.1"}),
    "confluent-kafka": Suite("confluent_plugin", "tests/integration", {"BROKERS": "{}"}),
    "confluent-kafka-new-groups": Suite("confluent_plugin", "tests/integration",
                                        {"BROKERS": "{}", "TEST_CONSUMER_GROUP_PROTOCOL": "consumer"}),
}


def excused(suite):
    """{test, or directory with a slash at its end: the feature that it needs}"""
    rows = [line.split(maxsplit=2) for line in (HERE / "excused.txt").read_text().splitlines()
            if line.strip() and not line.startswith("#")]
    return {name: feature for suites, name, feature in rows if suite in suites.split(",")}


class Lines:
    """Prints the outcome of each test, from its setup, its call and its teardown together."""

    def __init__(self, tests, excused):
        self.tests, self.excused, self.is_good = tests, excused, True
        self.missing = {name for name in excused if not name.endswith("/")}

    def name(self, nodeid):
        return nodeid.removeprefix(self.tests + "/").replace("::", " ").replace(":", " ")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.reports = []
        outcome = yield
        self.say(self.name(item.nodeid))
        return outcome

    def pytest_runtest_logreport(self, report):
        self.reports.append(report)

    def say(self, name):
        self.missing.discard(name.replace(" ", "::"))
        failed = next((report for report in self.reports if report.failed), None)
        feature = self.excused.get(name.replace(" ", "::"))
        if failed and feature:
            print(f"\nskip {name}: needs {feature}", flush=True)
        elif failed:
            why = str(getattr(failed.longrepr, "reprcrash", None) or failed.longrepr)
            self.bad(name, " ".join(why.split())[-WHY_CHARACTERS_MAX:])
        elif skipped := next((report for report in self.reports if report.skipped), None):
            why = skipped.longrepr[2] if isinstance(skipped.longrepr, tuple) else skipped.wasxfail
            print(f"\nskip {name}: {' '.join(why.split())}", flush=True)
        elif feature:
            self.bad(name, "it passes: take it off excused.txt")
        else:
            print(f"\nok {name}", flush=True)

    def bad(self, name, why):
        self.is_good = False
        print(f"\nnot ok {name}: {why}", flush=True)


def main():
    suite_name, directory, bootstrap = sys.argv[1:]
    suite = SUITES[suite_name]
    os.chdir(directory)
    sys.path[:0] = [directory, str(HERE)]
    os.environ.update({name: value.format(bootstrap) for name, value in suite.environment.items()})
    reasons = excused(suite_name)
    left_out = [name for name in reasons if name.endswith("/")]
    for name in left_out:
        print(f"skip {name.rstrip('/')}: needs {reasons[name]}")
    arguments = ["-p", suite.plugin, "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", f"--timeout={TEST_SECONDS_MAX}",
                 "--tb=short", "--color=no", "-W", "ignore", *(f"--ignore={suite.tests}/{name.rstrip('/')}" for name in left_out),
                 suite.tests]
    lines = Lines(suite.tests, reasons)
    code = pytest.main(arguments, plugins=[lines])
    for name in sorted(lines.missing):
        lines.bad(name.replace("::", " "), "it is excused, and was not run: take it off excused.txt")
    if code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return 0 if lines.is_good else 1  # else what failed is excused
    return code


if __name__ == "__main__":
    sys.exit(main())
