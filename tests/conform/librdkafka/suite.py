"""suite.py NAME DIRECTORY: librdkafka's own broker tests against polylog, and against Apache Kafka beside it.

Every test that Apache Kafka passes must pass, and so must every test that expected.txt lists, which says who passed it when the
list was made (`--record`). Without Kafka at hand (./dev bench --install-peers) that list is all there is to go by. A test of a
feature that is not there yet is named by excused.txt and is a skipped check; one that is excused and passes is a failed one: it
is to be taken off the list. So is a listed test that the release does not have, or that was not run. `--only TEXT`, any number of
times, runs the tests whose names contain one of them.
"""
import argparse
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(HERE), str(HERE.parent), str(ROOT / "tests" / "system"), str(ROOT / "bench")]

import brokers  # noqa: E402
import harness  # noqa: E402
import runner  # noqa: E402
import sources  # noqa: E402
from clients import BuildFailed, Unavailable  # noqa: E402

PEERS = ROOT / "build" / "peers"
KAFKA_VERSION = "4.3.1"
EXCUSED = HERE / "excused.txt"
EXPECTED = HERE / "expected.txt"
PROCESSES = 2
PROCESS_SECONDS_MAX = 600  # the test program has limits of its own, most of them shorter
EXCUSED_SECONDS_MAX = 30
PARTITIONS = 4
REBALANCE_DELAY_MS = 100  # so that the members that a test starts together find each other
EVERY_CPU = ",".join(map(str, os.sched_getaffinity(0)))


# ---- The lists: a line is a release, a test and the rest

def read_list(path, release):
    """{test: rest of its line} of the lines about `release`, or about every release (*)."""
    rows = (line.split(maxsplit=2) for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return {row[1]: " ".join(row[2:]) for row in rows if row[0] in (release, "*")}


def record(release, passed):
    """Replaces what expected.txt says of the release. passed: {test: who passed it}"""
    others = [line for line in EXPECTED.read_text().splitlines() if not line.startswith(f"{release} ")]
    lines = [f"{release} {name} {','.join(who)}" for name, who in sorted(passed.items()) if who]
    EXPECTED.write_text("\n".join([*others, *lines]) + "\n")


def not_run(release, ran):
    """[(test, why)] of the tests that the lists name and that were not run: a list that nobody looks at proves nothing. What is
    excused for every release need not be in each."""
    rows = [line.split(maxsplit=2) for line in EXCUSED.read_text().splitlines() if line.startswith(f"{release} ")]
    return ([(name, "it is expected to pass, and was not run") for name in read_list(EXPECTED, release) if name not in ran]
            + [(name, "it is excused, and was not run: take it off the list") for _, name, _ in rows if name not in ran])


def verdict(outcome, kafka, excuse, expected):
    """(result, why) of a check. `kafka` is an Outcome or None, `excuse` the feature that is missing, or None."""
    if outcome.state == "passed":
        return ("not ok", f"it passes, and is listed for want of {excuse}: take it off the list") if excuse else ("ok", "")
    if excuse:
        return "skip", f"needs {excuse}"
    if expected or (kafka and kafka.state == "passed"):
        return "not ok", f"{outcome.state}: {outcome.why}"
    if outcome.state == "skipped":
        return "skip", outcome.why or "it skips itself"
    if kafka is None:
        return "skip", f"nobody passed it when the list was made: {outcome.why}"
    return "skip", f"Apache Kafka does not pass it either: {kafka.why}"


# ---- The brokers

class Polylog:
    name = "polylog"

    def __init__(self, scenario):
        create = "false" if scenario == "noautocreate" else "true"
        settings = {"kafka.num_partitions": PARTITIONS, "kafka.auto_create_topics": create,
                    "kafka.initial_rebalance_delay_ms": REBALANCE_DELAY_MS}
        self.broker = harness.Broker(*(word for key, value in settings.items() for word in ("--set", f"{key}={value}")))

    def __enter__(self):
        self.broker.__enter__()
        self.address = self.broker.address("kafka")
        return self

    def __exit__(self, *error):
        self.broker.__exit__(*error)


class Kafka:
    name = "kafka"

    def __init__(self, scenario, data):
        create = "false" if scenario == "noautocreate" else "true"
        settings = [f"num.partitions={PARTITIONS}", f"auto.create.topics.enable={create}",
                    f"group.initial.rebalance.delay.ms={REBALANCE_DELAY_MS}"]
        self.broker = brokers.Kafka(data, EVERY_CPU, PEERS, settings)

    def __enter__(self):
        self.broker.__enter__()
        self.address = f"127.0.0.1:{self.broker.ports['kafka']}"
        return self

    def __exit__(self, *error):
        self.broker.__exit__(*error)


# ---- The run

def stop(pool):
    pool.shutdown(wait=False, cancel_futures=True)
    runner.end_all()
    pool.shutdown()


def run_scenario(scenario, jobs, excused, directory, logs, with_kafka):
    """(test, its outcome against polylog, and against Kafka or None) as they come; PROCESSES run at a time. Excused tests run
    against polylog alone, and not for long."""
    with ExitStack() as stack:
        running = [stack.enter_context(Polylog(scenario))]
        if with_kafka:
            running.append(stack.enter_context(Kafka(scenario, logs / f"kafka-{os.getpid()}-{scenario}")))
        pool = ThreadPoolExecutor(PROCESSES)
        stack.callback(stop, pool)

        def start(job):
            is_excused = all(name in excused for name in job.names)
            seconds_max = EXCUSED_SECONDS_MAX if is_excused else PROCESS_SECONDS_MAX
            return [pool.submit(runner.run, directory, job, broker.address, KAFKA_VERSION,
                                logs / f"{job.number}.{scenario}.{broker.name}.log", seconds_max)
                    for broker in (running[:1] if is_excused else running)]

        waiting = [(job, start(job)) for job in jobs]
        for job, futures in waiting:
            polylog, *kafka = (future.result() for future in futures)
            for name in job.names:
                yield name, polylog[name], kafka[0][name] if kafka else None


def check_release(release, directory, options):
    """Prints a line a check; the number that failed."""
    logs = options.directory / f"{release.name}-logs"
    logs.mkdir(parents=True, exist_ok=True)
    excused, expected = read_list(EXCUSED, release.name), read_list(EXPECTED, release.name)
    only = options.only or [""]
    jobs = [job for job in runner.jobs_of(directory) if any(text in name for text in only for name in job.names)]
    passed, failed = {}, 0
    for scenario in dict.fromkeys(job.scenario for job in jobs):
        chosen = [job for job in jobs if job.scenario == scenario]
        for name, outcome, kafka in run_scenario(scenario, chosen, excused, directory, logs, options.kafka):
            passed[name] = [who for who, what in (("polylog", outcome), ("kafka", kafka)) if what and what.state == "passed"]
            result, why = verdict(outcome, kafka, excused.get(name), name in expected)
            failed += result == "not ok"
            print(f"{result} {name}" + (f": {why}" if why else ""), flush=True)
    for name, why in [] if options.only or options.record else not_run(release.name, passed):
        failed += 1
        print(f"not ok {name}: {why}", flush=True)
    if options.record:
        record(release.name, passed)
    return failed


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", choices=[release.name for release in sources.RELEASES])
    parser.add_argument("directory", type=lambda text: Path(text).resolve())
    parser.add_argument("--only", action="append", metavar="TEXT")
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    missing = brokers.Kafka.missing(PEERS)
    if options.record and (missing or options.only):
        sys.exit("--record needs Apache Kafka and every test")
    options.kafka = not missing
    return options


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # leaving by an exception stops the brokers
    options = arguments()
    release = next(release for release in sources.RELEASES if release.name == options.release)
    try:
        directory = sources.installed(release, options.directory)
    except Unavailable as error:
        print(f"skip install: {error}")
        return 0
    except BuildFailed as error:
        print(f"not ok build: {error}")
        return 1
    print(f"Apache Kafka {KAFKA_VERSION} " + ("runs beside it" if options.kafka else "is not here: its list is compared with"), flush=True)
    return 1 if check_release(release, directory, options) else 0


if __name__ == "__main__":
    sys.exit(main())
