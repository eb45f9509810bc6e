"""kcat's balanced consumers (librdkafka): they share a topic, commit, and take over from one that is killed."""
import re
import subprocess
import threading

import pytest

from harness import Broker, run, wait_for


class Balanced:
    """One `kcat -G`; `assigned` follows what it says on stderr."""

    def __init__(self, broker, group, topic, *options):
        self.assigned, self.values = set(), []
        self.process = subprocess.Popen(
            ["kcat", "-b", broker.address("kafka"), "-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000",
             "-X", "heartbeat.interval.ms=300", "-X", "auto.commit.interval.ms=200", *options, "-u", "-G", group, topic],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.threads = [threading.Thread(target=self.read_values, daemon=True),
                        threading.Thread(target=self.read_assignments, daemon=True)]
        for thread in self.threads:
            thread.start()

    def read_values(self):
        for line in self.process.stdout:
            self.values.append(line.rstrip("\n"))

    def read_assignments(self):
        for line in self.process.stderr:
            if "rebalanced" in line:
                places = {int(p) for p in re.findall(r"\[(\d+)\]", line)}
                if "incremental" in line:
                    self.assigned = self.assigned - places if "revoke" in line else self.assigned | places
                else:
                    self.assigned = places if "assigned" in line else set()

    def end(self, how):
        how()
        self.process.wait(20)
        for thread in self.threads:
            thread.join(5)
        self.assigned = set()


@pytest.fixture
def broker():
    with Broker("--set", "kafka.initial_rebalance_delay_ms=0", "--set", "kafka.num_partitions=4") as broker:
        yield broker


@pytest.fixture
def balanced(broker):
    started = []

    def start(*args):
        started.append(Balanced(broker, *args))
        return started[-1]

    yield start
    for consumer in started:
        consumer.end(consumer.process.kill)


def produce(broker, topic, prefix, count):
    lines = b"".join(b"%d:%s%d\n" % (i, prefix.encode(), i) for i in range(count))
    run("kcat", "-P", "-b", broker.address("kafka"), "-t", topic, "-K", ":", input=lines)
    return {f"{prefix}{i}" for i in range(count)}


def share(consumers):
    held = [c.assigned for c in consumers]
    return all(held) and sorted(p for h in held for p in h) == [0, 1, 2, 3]


def test_members_share_a_topic_and_take_over_from_one_that_is_killed(broker, balanced):
    before = produce(broker, "shared", "before", 100)
    first, second = balanced("group", "shared"), balanced("group", "shared")
    wait_for(lambda: share([first, second]), 30, "both share")
    wait_for(lambda: before <= set(first.values + second.values), 20, "all is read")
    first.end(first.process.kill)
    after = produce(broker, "shared", "after", 100)
    wait_for(lambda: after <= set(second.values), 30, "the other reads all")
    assert share([second])


def test_members_share_cooperatively(broker, balanced):
    cooperative = ("-X", "partition.assignment.strategy=cooperative-sticky")
    before = produce(broker, "shared", "before", 100)
    first = balanced("group", "shared", *cooperative)
    wait_for(lambda: before <= set(first.values) and share([first]), 20, "one member reads all")
    second = balanced("group", "shared", *cooperative)
    wait_for(lambda: share([first, second]), 20, "both share")
    after = produce(broker, "shared", "after", 100)
    wait_for(lambda: after <= set(first.values + second.values), 20, "both read all")
    assert len(first.values + second.values) == 200  # nobody read anything twice: what stayed was not taken away


def test_a_group_goes_on_where_it_committed(broker, balanced):
    before = produce(broker, "shared", "before", 100)
    first = balanced("group", "shared")
    wait_for(lambda: before <= set(first.values), 20, "all is read")
    first.end(first.process.terminate)  # commits and leaves
    after = produce(broker, "shared", "after", 100)
    second = balanced("group", "shared")
    wait_for(lambda: after <= set(second.values), 20, "the rest is read")
    assert not before & set(second.values)


def test_a_static_member_that_restarts_keeps_its_partitions_without_a_rebalance(broker, balanced):
    produce(broker, "shared", "before", 10)
    seats = [("-X", f"group.instance.id=seat-{i}") for i in range(2)]
    first, second = balanced("group", "shared", *seats[0]), balanced("group", "shared", *seats[1])
    wait_for(lambda: share([first, second]), 30, "both share")
    held_by_first, held_by_second = first.assigned, second.assigned
    first.end(first.process.kill)
    again = balanced("group", "shared", *seats[0])
    wait_for(lambda: again.assigned, 20, "the restarted member is back")
    assert again.assigned == held_by_first and second.assigned == held_by_second
