"""The new group protocol with librdkafka (confluent-kafka): members share a topic, come, go, are killed, and so is the broker."""
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from confluent_kafka import (Consumer, ConsumerGroupState, ConsumerGroupTopicPartitions, ConsumerGroupType, KafkaError,
                             KafkaException, Producer, TopicPartition)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                   ResourceType)

from harness import Broker, wait_for

SECONDS_MAX = 40
OPTIONS = ("--set", "kafka.initial_rebalance_delay_ms=0", "--set", "kafka.consumer_heartbeat_interval_ms=200",
           "--set", "kafka.consumer_session_timeout_ms=3000")


class Member:
    """One managed_member.py; `mine` follows what it says."""

    def __init__(self, broker, group, topic, *options):
        self.mine, self.records, self.errors = set(), [], []
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("managed_member.py")), broker.address("kafka"), group, topic, *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            word, _, rest = line.rstrip("\n").partition(" ")
            if word == "assigned":
                self.mine = {int(p) for p in rest.split(",") if p}
            elif word == "record":
                partition, offset, value = rest.split(" ", 2)
                self.records.append((int(partition), int(offset), value))
            else:
                self.errors.append(line)

    def end(self, how=signal.SIGKILL):
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(20)
        self.thread.join(5)


@pytest.fixture
def broker():
    with Broker(*OPTIONS, keep_ports=True) as started:
        yield started


@pytest.fixture
def member(broker):
    started = []

    def start(*args):
        started.append(Member(broker, *args))
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.fixture
def admin(broker):
    return connect(broker)


def connect(broker):
    """An admin client; a fresh one after a restart, since this one takes its time to find back."""
    return AdminClient({"bootstrap.servers": broker.address("kafka")})


def create(admin, topic, partitions):
    for future in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
        future.result(10)


def send(broker, topic, values, partitions=4):
    producer = Producer({"bootstrap.servers": broker.address("kafka")})
    for i, value in enumerate(values):
        producer.produce(topic, str(value), partition=i % partitions)
    assert producer.flush(20) == 0


def share(members, partitions):
    """Whether the members have all partitions among them, each one."""
    return sorted(p for m in members for p in m.mine) == list(range(partitions))


def values_of(*members):
    return {int(value) for m in members for _, _, value in m.records}


def described(admin, group):
    return admin.describe_consumer_groups([group])[group].result(10)


def committed(admin, group, topic, partitions=4):
    asked = [ConsumerGroupTopicPartitions(group, [TopicPartition(topic, p) for p in range(partitions)])]
    found = admin.list_consumer_group_offsets(asked)[group].result(10)
    return {p.partition: p.offset for p in found.topic_partitions}


def test_a_member_gets_everything_reads_commits_and_leaves(broker, member, admin):
    create(admin, "t", 4)
    send(broker, "t", range(100))
    one = member("g", "t")
    wait_for(lambda: len(one.records) == 100, SECONDS_MAX, "all records")
    assert values_of(one) == set(range(100))
    wait_for(lambda: committed(admin, "g", "t") == {p: 25 for p in range(4)}, SECONDS_MAX, "all commits")
    group = described(admin, "g")
    assert (group.state, group.type) == (ConsumerGroupState.STABLE, ConsumerGroupType.CONSUMER)
    assert group.partition_assignor == "uniform"
    assert {p.partition for p in group.members[0].assignment.topic_partitions} == set(range(4))
    listed = admin.list_consumer_groups(types={ConsumerGroupType.CONSUMER}).result(10)
    assert [(g.group_id, g.state) for g in listed.valid] == [("g", ConsumerGroupState.STABLE)]
    assert not admin.list_consumer_groups(types={ConsumerGroupType.CLASSIC}).result(10).valid
    one.end(signal.SIGTERM)
    assert described(admin, "g").state == ConsumerGroupState.EMPTY
    assert not one.errors


def test_members_share_and_take_over_from_those_who_leave_or_are_killed(broker, member, admin):
    create(admin, "t", 4)
    one, two, three = (member("g", "t") for _ in range(3))
    wait_for(lambda: share([one, two, three], 4) and all(m.mine for m in (one, two, three)), SECONDS_MAX, "each a share")
    three.end(signal.SIGTERM)
    wait_for(lambda: share([one, two], 4), SECONDS_MAX, "the shares of two")
    assert len(one.mine) == len(two.mine) == 2
    two.end(signal.SIGKILL)
    wait_for(lambda: share([one], 4), SECONDS_MAX, "all to the last one")
    send(broker, "t", range(40))
    wait_for(lambda: len(one.records) == 40, SECONDS_MAX, "all records")


def test_topics_that_come_and_grow_are_found_by_pattern(broker, member, admin):
    one = member("g", "^t-.*")
    create(admin, "t-1", 2)
    create(admin, "other", 2)
    wait_for(lambda: share([one], 2), SECONDS_MAX, "the new topic")
    for future in admin.create_partitions([NewPartitions("t-1", 5)]).values():
        future.result(10)
    wait_for(lambda: share([one], 5), SECONDS_MAX, "the new partitions")
    two = member("g", "t-1", "group.remote.assignor=range")
    wait_for(lambda: share([one, two], 5) and two.mine, SECONDS_MAX, "a share of it")


def test_a_static_member_comes_back_to_its_partitions(broker, member, admin):
    create(admin, "t", 4)
    one, two = member("g", "t", "group.instance.id=one"), member("g", "t", "group.instance.id=two")
    wait_for(lambda: share([one, two], 4) and one.mine and two.mine, SECONDS_MAX, "each a share")
    had = set(one.mine)
    epoch = {m.group_instance_id for m in described(admin, "g").members}
    assert epoch == {"one", "two"}
    one.end(signal.SIGTERM)
    assert two.mine == set(range(4)) - had
    again = member("g", "t", "group.instance.id=one")
    wait_for(lambda: again.mine == had, SECONDS_MAX, "what it had")
    assert two.mine == set(range(4)) - had


def test_acked_work_survives_a_broker_killed_while_members_rebalance(broker, member, admin):
    create(admin, "t", 4)
    send(broker, "t", range(200))
    one = member("g", "t")
    wait_for(lambda: len(one.records) >= 20, SECONDS_MAX, "the first records")
    two, three = member("g", "t"), member("g", "t")
    for round in range(3):
        wait_for(lambda: share([one, two, three], 4) or round < 2, SECONDS_MAX, "the shares")
        broker.kill()
        broker.start()
    wait_for(lambda: share([one, two, three], 4) and all(m.mine for m in (one, two, three)), SECONDS_MAX, "each a share")
    two.end(signal.SIGKILL)
    send(broker, "t", range(200, 300))
    wait_for(lambda: values_of(one, two, three) == set(range(300)), SECONDS_MAX, "all records")
    admin = connect(broker)
    wait_for(lambda: committed(admin, "g", "t") == {p: 75 for p in range(4)}, SECONDS_MAX, "all commits")


def test_a_group_changes_its_protocol_when_it_is_empty_and_keeps_its_offsets(broker, member, admin):
    create(admin, "t", 4)
    send(broker, "t", range(40))
    classic = Consumer({"bootstrap.servers": broker.address("kafka"), "group.id": "g", "auto.offset.reset": "earliest",
                        "enable.auto.commit": False})
    classic.subscribe(["t"])
    seen = []
    while len(seen) < 40:
        message = classic.poll(1)
        if message is not None and not message.error():
            seen.append(message)
    classic.commit(asynchronous=False)
    assert described(admin, "g").type == ConsumerGroupType.CLASSIC
    classic.close()
    send(broker, "t", range(40, 80))
    one = member("g", "t")
    wait_for(lambda: len(one.records) >= 40, SECONDS_MAX, "the rest")
    assert values_of(one) == set(range(40, 80))
    assert described(admin, "g").type == ConsumerGroupType.CONSUMER


@pytest.mark.parametrize("strategy", ["range", "cooperative-sticky"])
def test_a_group_moves_to_the_new_protocol_and_back_member_by_member(broker, member, admin, strategy):
    create(admin, "t", 4)
    classic = ("group.protocol=classic", f"partition.assignment.strategy={strategy}", "session.timeout.ms=6000",
               "heartbeat.interval.ms=300")
    old = [member("g", "t", *classic), member("g", "t", *classic)]
    wait_for(lambda: share(old, 4) and all(m.mine for m in old), SECONDS_MAX, "each a share")
    send(broker, "t", range(40))
    wait_for(lambda: values_of(*old) == set(range(40)), SECONDS_MAX, "the first records")
    new = [member("g", "t")]
    wait_for(lambda: share(old + new, 4) and all(m.mine for m in old + new), SECONDS_MAX, "shares among both kinds")
    assert described(admin, "g").type == ConsumerGroupType.CONSUMER
    send(broker, "t", range(40, 80))
    wait_for(lambda: values_of(*old, *new) == set(range(80)), SECONDS_MAX, "records for both kinds")
    old.pop().end(signal.SIGTERM)
    new.append(member("g", "t"))
    wait_for(lambda: share(old + new, 4) and all(m.mine for m in old + new), SECONDS_MAX, "after one has moved")
    broker.kill()
    broker.start()
    admin = connect(broker)
    old.append(member("g", "t", *classic))
    wait_for(lambda: share(old + new, 4) and all(m.mine for m in old + new), SECONDS_MAX, "one has moved back")
    for one in new:
        one.end(signal.SIGTERM)
    wait_for(lambda: share(old, 4) and all(m.mine for m in old), SECONDS_MAX, "the classic ones have all")
    assert described(admin, "g").type == ConsumerGroupType.CLASSIC
    send(broker, "t", range(80, 120))
    wait_for(lambda: values_of(*old, *new) >= set(range(80, 120)), SECONDS_MAX, "the last records")
    wait_for(lambda: committed(admin, "g", "t") == {p: 30 for p in range(4)}, SECONDS_MAX, "all commits")


def group_config(admin, group):
    """{name: value} of the group's own configs and those that it has from the broker."""
    resource = ConfigResource(ResourceType.GROUP, group)
    return {name: entry.value for name, entry in admin.describe_configs([resource])[resource].result(10).items()}


def set_group_config(admin, group, operation, **values):
    entries = [ConfigEntry(name.replace("_", "."), value, incremental_operation=operation) for name, value in values.items()]
    resource = ConfigResource(ResourceType.GROUP, group, incremental_configs=entries)
    return admin.incremental_alter_configs([resource])[resource].result(10)


def test_a_group_has_times_of_its_own_that_act_at_once_and_outlive_a_kill(broker, member, admin):
    create(admin, "t", 4)
    one, two = member("g", "t"), member("g", "t")
    wait_for(lambda: share([one, two], 4) and one.mine and two.mine, SECONDS_MAX, "each a share")
    assert group_config(admin, "g") == {"consumer.heartbeat.interval.ms": "200", "consumer.session.timeout.ms": "3000"}
    set_group_config(admin, "g", AlterConfigOpType.SET, consumer_session_timeout_ms="1800000")
    with pytest.raises(KafkaException) as refused:
        set_group_config(admin, "g", AlterConfigOpType.SET, share_session_timeout_ms="45000")
    assert refused.value.args[0].code() == KafkaError.INVALID_CONFIG
    broker.kill()
    broker.start()
    admin = connect(broker)
    assert group_config(admin, "g")["consumer.session.timeout.ms"] == "1800000"
    assert group_config(admin, "other")["consumer.session.timeout.ms"] == "3000"
    wait_for(lambda: share([one, two], 4), SECONDS_MAX, "the shares")
    two.end(signal.SIGKILL)  # silent, and not out for half an hour
    killed_at = time.monotonic()
    while time.monotonic() - killed_at < 5:  # longer than the broker's own timeout
        assert len(described(admin, "g").members) == 2
    set_group_config(admin, "g", AlterConfigOpType.DELETE, consumer_session_timeout_ms=None)
    wait_for(lambda: share([one], 4), SECONDS_MAX, "all to the one that is left")
