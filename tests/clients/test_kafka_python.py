"""kafka-python: producers, consumers, groups whose members come, go and are killed, and the admin client."""
import itertools
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness import Broker, wait_for
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka import errors
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic

MEMBER = Path(__file__).with_name("group_member.py")
names = (f"t{n}" for n in itertools.count())


@pytest.fixture(scope="module")
def shared():
    with Broker("--set", "kafka.initial_rebalance_delay_ms=0") as broker:
        yield broker


@pytest.fixture
def topic():
    return next(names)


@pytest.fixture
def admin(shared):
    client = KafkaAdminClient(bootstrap_servers=shared.address("kafka"))
    yield client
    client.close()


def create(admin, topic, partitions=1, **configs):
    admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)])


def produce(broker, topic, values, partition=None, **options):
    """Sends all; returns the offset each got."""
    producer = KafkaProducer(bootstrap_servers=broker.address("kafka"), acks="all", **options)
    sent = [producer.send(topic, value, partition=partition) for value in values]
    producer.flush(timeout=30)
    producer.close()
    return [(s.get(5).partition, s.get(5).offset) for s in sent]


def consumer_of(broker, group=None, **options):
    options = {"auto_offset_reset": "earliest", "enable_auto_commit": False, **options}
    return KafkaConsumer(bootstrap_servers=broker.address("kafka"), group_id=group, **options)


def take(consumer, count, seconds=20):
    """The first `count` records."""
    records = []

    def poll():
        for batch in consumer.poll(timeout_ms=200, max_records=count - len(records)).values():
            records.extend(batch)
        return len(records) >= count

    wait_for(poll, seconds, f"{count} records")
    return records


def read_all(broker, topic, count, **options):
    consumer = consumer_of(broker, **options)
    consumer.subscribe([topic])
    try:
        return take(consumer, count)
    finally:
        consumer.close(autocommit=False)


class Member:
    """One group_member.py and what it has printed."""

    def __init__(self, broker, group, topic, *options):
        self.assigned, self.records = None, []
        self.process = subprocess.Popen(
            [sys.executable, MEMBER, broker.address("kafka"), group, topic, *options], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            kind, _, rest = line.rstrip("\n").partition(" ")
            if kind == "assigned" and line.endswith("\n"):
                self.assigned = {int(p) for p in rest.split(",") if p}
            elif line.endswith("\n"):  # else it was killed on the way
                partition, offset, value = rest.split(" ", 2)
                self.records.append((int(partition), int(offset), value))

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(5)
        self.assigned = None

    def leave(self):
        self.process.terminate()
        self.process.wait(20)
        self.reader.join(5)
        self.assigned = None


@pytest.fixture
def members():
    """Starts members; what is left of them is killed at the end."""
    started = []

    def start(*args):
        started.append(Member(*args))
        return started[-1]

    yield start
    for member in started:
        member.kill()


def share(members, partitions):
    """Whether the members hold all partitions, each one of them at most once, and none holds nothing."""
    held = [m.assigned for m in members]
    return all(held) and sorted(p for h in held for p in h) == list(range(partitions))


# ---- producing and consuming

def test_records_come_back_with_key_headers_and_timestamp(shared, topic):
    producer = KafkaProducer(bootstrap_servers=shared.address("kafka"))
    producer.send(topic, b"value", key=b"key", headers=[("h", b"1"), ("empty", b"")], timestamp_ms=1_700_000_000_123)
    producer.send(topic, None, key=b"tombstone")
    producer.close()
    first, second = read_all(shared, topic, 2)
    assert (first.key, first.value, first.timestamp) == (b"key", b"value", 1_700_000_000_123)
    assert first.headers == [("h", b"1"), ("empty", b"")]
    assert (second.key, second.value, second.offset) == (b"tombstone", None, 1)


@pytest.mark.parametrize("acks", [1, "all"])  # with 0, kafka-python 2.2 sends nothing
def test_every_ack_level_stores(shared, topic, acks):
    producer = KafkaProducer(bootstrap_servers=shared.address("kafka"), acks=acks)
    for i in range(500):
        producer.send(topic, b"%d" % i)
    producer.flush(30)
    producer.close()
    assert [r.value for r in read_all(shared, topic, 500)] == [b"%d" % i for i in range(500)]


def test_gzip_batches_come_back(shared, topic):
    values = [b"%d " % i + b"x" * 200 for i in range(1000)]
    produce(shared, topic, values, compression_type="gzip", linger_ms=20)
    assert [r.value for r in read_all(shared, topic, 1000)] == values


def test_an_idempotent_producer_gets_dense_offsets(shared, admin, topic):
    create(admin, topic, partitions=3)
    places = produce(shared, topic, [b"%d" % i for i in range(3000)], enable_idempotence=True, batch_size=512,
                     max_in_flight_requests_per_connection=1)
    for partition in range(3):
        offsets = [offset for p, offset in places if p == partition]
        assert offsets == list(range(len(offsets)))


def test_a_record_over_max_message_bytes_is_refused(shared, admin, topic):
    create(admin, topic, **{"max.message.bytes": "1000"})
    with pytest.raises(errors.MessageSizeTooLargeError):
        produce(shared, topic, [b"x" * 2000])
    assert produce(shared, topic, [b"x" * 500]) == [(0, 0)]


def test_offsets_are_found_by_place_and_by_time(shared, admin, topic):
    create(admin, topic)
    producer = KafkaProducer(bootstrap_servers=shared.address("kafka"))
    for i in range(10):
        producer.send(topic, b"x", timestamp_ms=1_700_000_000_000 + 1000 * i).get(10)
    producer.close()
    consumer, place = consumer_of(shared), TopicPartition(topic, 0)
    assert consumer.beginning_offsets([place]) == {place: 0}
    assert consumer.end_offsets([place]) == {place: 10}
    found = consumer.offsets_for_times({place: 1_700_000_004_500})[place]
    assert (found.offset, found.timestamp) == (5, 1_700_000_005_000)
    assert consumer.offsets_for_times({place: 1_800_000_000_000})[place] is None
    consumer.close()


def test_the_broker_puts_its_own_time_into_records_of_a_topic_that_says_so(shared, admin, topic):
    create(admin, topic, **{"message.timestamp.type": "LogAppendTime"})
    before = int(time.time() * 1000)
    producer = KafkaProducer(bootstrap_servers=shared.address("kafka"), compression_type="gzip")
    sent = producer.send(topic, b"value", timestamp_ms=1000).get(10)
    producer.close()
    record = read_all(shared, topic, 1)[0]
    assert record.timestamp_type == 1 and record.timestamp == sent.timestamp >= before
    consumer = consumer_of(shared)
    partition = TopicPartition(topic, 0)
    assert consumer.offsets_for_times({partition: before})[partition].offset == 0
    assert consumer.offsets_for_times({partition: record.timestamp + 1})[partition] is None
    consumer.close()


def test_a_consumer_keeps_a_session_of_its_fetches(shared, admin, topic):
    create(admin, topic, 20)

    def sessions():
        return int(re.search(r"^polylog_kafka_fetch_sessions (\d+)$", shared.http("/metrics")[1], re.M)[1])

    before = sessions()
    consumer = consumer_of(shared)
    consumer.assign([TopicPartition(topic, p) for p in range(20)])
    wait_for(lambda: consumer.poll(timeout_ms=200) == {} and sessions() > before, 10, "a session")
    for partition in (3, 17, 3):  # each in an answer that names this partition alone
        produce(shared, topic, [b"%d" % partition], partition=partition)
        assert [r.partition for r in take(consumer, 1)] == [partition]
    consumer.close()


def test_a_seek_behind_the_end_resets_to_the_earliest(shared, topic):
    produce(shared, topic, [b"a", b"b"])
    consumer, place = consumer_of(shared), TopicPartition(topic, 0)
    consumer.assign([place])
    consumer.seek(place, 1000)
    assert [r.value for r in take(consumer, 2)] == [b"a", b"b"]
    consumer.close()


# ---- groups

def test_a_group_goes_on_where_it_committed(shared, topic):
    produce(shared, topic, [b"%d" % i for i in range(10)])
    first = consumer_of(shared, topic)
    first.subscribe([topic])
    assert len(take(first, 4)) == 4
    first.commit({TopicPartition(topic, 0): OffsetAndMetadata(4, "note", -1)})
    first.close(autocommit=False)
    second = consumer_of(shared, topic)
    second.subscribe([topic])
    assert [r.offset for r in take(second, 6)] == [4, 5, 6, 7, 8, 9]
    assert second.committed(TopicPartition(topic, 0), metadata=True).metadata == "note"
    second.close(autocommit=False)


def test_members_share_the_partitions_and_take_over_from_one_that_leaves(shared, admin, topic, members):
    create(admin, topic, partitions=6)
    group = [members(shared, topic, topic) for _ in range(3)]
    wait_for(lambda: share(group, 6), 30, "three members share")
    group.pop().leave()
    wait_for(lambda: share(group, 6), 15, "two members share")
    group.append(members(shared, topic, topic))
    wait_for(lambda: share(group, 6), 15, "three members share again")


def test_the_partitions_of_killed_members_go_to_the_others(shared, admin, topic, members):
    create(admin, topic, partitions=4)
    group = [members(shared, topic, topic, "commit") for _ in range(4)]
    wait_for(lambda: share(group, 4), 30, "four members share")
    produce(shared, topic, [b"before %d" % i for i in range(200)])
    group.pop().kill()
    group.pop().kill()
    produce(shared, topic, [b"after %d" % i for i in range(200)])
    everyone = list(group)
    wait_for(lambda: share(group, 4), 30, "two members share")
    produce(shared, topic, [b"later %d" % i for i in range(200)])
    wanted = {f"{when} {i}" for when in ("after", "later") for i in range(200)}
    wait_for(lambda: wanted <= {r[2] for m in everyone for r in m.records}, 20, "every record is read")


def test_members_are_given_the_partitions_that_a_topic_gains(shared, admin, topic, members):
    create(admin, topic, partitions=2)
    member = members(shared, topic, topic)
    wait_for(lambda: share([member], 2), 20, "two partitions")
    admin.create_partitions({topic: NewPartitions(5)})
    wait_for(lambda: share([member], 5), 20, "five partitions")


def test_a_group_outlives_a_kill_of_the_broker(members):
    with Broker("--set", "kafka.initial_rebalance_delay_ms=0", keep_ports=True) as broker:
        produce(broker, "orders", [b"%d" % i for i in range(100)])
        member = members(broker, "workers", "orders", "commit")
        wait_for(lambda: len(member.records) == 100, 20, "100 records")
        broker.kill()
        broker.start()
        produce(broker, "orders", [b"%d" % i for i in range(100, 200)])
        wait_for(lambda: len(member.records) >= 200, 30, "the records after the kill")
        assert [r[2] for r in member.records] == [str(i) for i in range(200)]  # nothing read twice: it was committed


def test_committed_offsets_survive_a_kill_of_the_broker():
    with Broker() as broker:
        produce(broker, "orders", [b"x"] * 10)
        consumer, place = consumer_of(broker, "manual"), TopicPartition("orders", 0)
        consumer.assign([place])
        for offset in range(1, 8):
            consumer.commit({place: OffsetAndMetadata(offset, "", -1)})
        broker.kill()
        consumer.close(autocommit=False)
        broker.start()
        consumer = consumer_of(broker, "manual")
        assert consumer.committed(place) == 7
        consumer.close(autocommit=False)


def test_an_outsider_cannot_commit_for_a_group_with_members(shared, topic):
    produce(shared, topic, [b"x"])
    member = consumer_of(shared, topic)
    member.subscribe([topic])
    take(member, 1)
    outsider = consumer_of(shared, topic)
    outsider.assign([TopicPartition(topic, 0)])
    with pytest.raises(errors.CommitFailedError):
        outsider.commit({TopicPartition(topic, 0): OffsetAndMetadata(1, "", -1)})
    outsider.close(autocommit=False)
    member.close(autocommit=False)


def test_metadata_of_a_commit_has_a_limit(shared, topic):
    produce(shared, topic, [b"x"])
    consumer, place = consumer_of(shared, topic), TopicPartition(topic, 0)
    consumer.assign([place])
    consumer.commit({place: OffsetAndMetadata(1, "x" * 4096, -1)})
    with pytest.raises(errors.OffsetMetadataTooLargeError):
        consumer.commit({place: OffsetAndMetadata(1, "x" * 4097, -1)})
    consumer.close(autocommit=False)


# ---- admin: topics

def test_topics_are_created_described_and_deleted(shared, admin, topic):
    create(admin, topic, partitions=3)
    assert topic in admin.list_topics()
    described = admin.describe_topics([topic])[0]
    assert described["error_code"] == 0
    assert sorted(p["partition"] for p in described["partitions"]) == [0, 1, 2]
    with pytest.raises(errors.TopicAlreadyExistsError):
        create(admin, topic)
    admin.delete_topics([topic])
    assert topic not in admin.list_topics()
    with pytest.raises(errors.UnknownTopicOrPartitionError):
        admin.delete_topics([topic])


def test_a_topic_created_again_is_empty_and_has_no_committed_offsets(shared, admin, topic):
    produce(shared, topic, [b"old"] * 5)
    place = TopicPartition(topic, 0)
    consumer = consumer_of(shared, topic)
    consumer.assign([place])
    consumer.commit({place: OffsetAndMetadata(5, "", -1)})
    admin.delete_topics([topic])
    create(admin, topic)
    assert consumer.committed(place) is None
    consumer.close(autocommit=False)
    assert produce(shared, topic, [b"new"]) == [(0, 0)]
    assert [r.value for r in read_all(shared, topic, 1)] == [b"new"]


@pytest.mark.parametrize("name, partitions, configs, error", [
    ("bad name", 1, {}, errors.InvalidTopicError),
    ("no-partitions", 0, {}, errors.InvalidPartitionsError),
    ("bad-config", 1, {"no.such.config": "1"}, errors.InvalidConfigurationError),
    ("bad-value", 1, {"retention.ms": "soon"}, errors.InvalidConfigurationError),
])
def test_topics_that_make_no_sense_are_refused(admin, name, partitions, configs, error):
    with pytest.raises(error):
        create(admin, name, partitions, **configs)
    assert name not in admin.list_topics()


def test_validating_creates_nothing(admin, topic):
    admin.create_topics([NewTopic(topic, 1, 1)], validate_only=True)
    assert topic not in admin.list_topics()


def test_partitions_are_added_but_never_taken(admin, topic):
    create(admin, topic, partitions=2)
    admin.create_partitions({topic: NewPartitions(4)})
    assert len(admin.describe_topics([topic])[0]["partitions"]) == 4
    with pytest.raises(errors.InvalidPartitionsError):
        admin.create_partitions({topic: NewPartitions(3)})


def test_deleted_records_are_gone(shared, admin, topic):
    produce(shared, topic, [b"%d" % i for i in range(10)])
    place = TopicPartition(topic, 0)
    assert admin.delete_records({place: 4})[place]["low_watermark"] == 4
    assert [r.value for r in read_all(shared, topic, 6)] == [b"%d" % i for i in range(4, 10)]


# ---- admin: configs

def configs_of(admin, resource_type, name, configs=None):
    """{name: (value, read only, source)}"""
    response = admin.describe_configs([ConfigResource(resource_type, name, configs)])[0]
    error, message, _, _, entries = response.resources[0]
    if error:
        raise errors.for_code(error)(message)
    return {entry[0]: (entry[1], entry[2], entry[3]) for entry in entries}


def alter(admin, topic, **configs):
    response = admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])
    return response.resources[0][0]


def test_configs_of_a_topic_are_described_altered_and_go_back_to_their_defaults(admin, topic):
    create(admin, topic, **{"cleanup.policy": "compact", "retention.ms": "1000"})
    before = configs_of(admin, ConfigResourceType.TOPIC, topic)
    assert before["cleanup.policy"][0] == "compact" and before["cleanup.policy"][2] == 1
    assert before["segment.bytes"][2] == 5
    assert alter(admin, topic, **{"retention.ms": "2000"}) == 0
    after = configs_of(admin, ConfigResourceType.TOPIC, topic)
    assert after["retention.ms"] == ("2000", False, 1)
    assert after["cleanup.policy"][0] == "delete"  # AlterConfigs replaces all


def test_altered_configs_survive_a_restart():
    with Broker() as broker:
        admin = KafkaAdminClient(bootstrap_servers=broker.address("kafka"))
        create(admin, "kept")
        assert alter(admin, "kept", **{"retention.ms": "5000"}) == 0
        admin.close()
        broker.restart()
        admin = KafkaAdminClient(bootstrap_servers=broker.address("kafka"))
        assert configs_of(admin, ConfigResourceType.TOPIC, "kept")["retention.ms"][0] == "5000"
        admin.close()


@pytest.mark.parametrize("name, value", [
    ("no.such.config", "1"), ("retention.ms", "soon"), ("cleanup.policy", "shred")])
def test_altering_to_what_makes_no_sense_is_refused_and_changes_nothing(admin, topic, name, value):
    create(admin, topic, **{"retention.ms": "1000"})
    assert alter(admin, topic, **{"segment.bytes": "4096", name: value}) == errors.InvalidConfigurationError.errno
    assert configs_of(admin, ConfigResourceType.TOPIC, topic)["retention.ms"][0] == "1000"


def test_configs_can_be_asked_for_by_name(admin, topic):
    create(admin, topic)
    wanted = {"cleanup.policy": None, "retention.ms": None}
    assert set(configs_of(admin, ConfigResourceType.TOPIC, topic, wanted)) == set(wanted)


def test_configs_of_an_unknown_topic_are_an_error(admin, topic):
    with pytest.raises(errors.UnknownTopicOrPartitionError):
        configs_of(admin, ConfigResourceType.TOPIC, topic)


def test_configs_of_the_broker_are_described(admin):
    configs = configs_of(admin, ConfigResourceType.BROKER, "1")
    assert configs["auto.create.topics.enable"] == ("true", False, 5)
    assert configs["message.max.bytes"] == ("1048588", False, 5)
    assert configs["log.retention.ms"][0] is None and configs["log.retention.hours"][0] == "168"
    assert configs["broker.id"] == ("1", True, 5)


def test_a_config_of_the_broker_acts_at_once_and_survives_a_kill():
    def alter_broker(broker, **configs):
        admin = KafkaAdminClient(bootstrap_servers=broker.address("kafka"))
        response = admin.alter_configs([ConfigResource(ConfigResourceType.BROKER, "1", configs)])
        described = configs_of(admin, ConfigResourceType.BROKER, "1")["message.max.bytes"]
        admin.close()
        return response.resources[0][0], described

    with Broker() as broker:
        produce(broker, "t", [b"x" * 5000])
        assert alter_broker(broker, **{"message.max.bytes": "2000"}) == (0, ("2000", False, 2))
        with pytest.raises(errors.MessageSizeTooLargeError):
            produce(broker, "t", [b"x" * 5000])
        broker.kill()
        broker.start()
        with pytest.raises(errors.MessageSizeTooLargeError):
            produce(broker, "t", [b"x" * 5000])
        assert alter_broker(broker) == (0, ("1048588", False, 5))
        produce(broker, "t", [b"x" * 5000])


def test_the_brokers_retention_is_that_of_topics_without_their_own():
    with Broker() as broker:
        admin = KafkaAdminClient(bootstrap_servers=broker.address("kafka"))
        create(admin, "inherits")
        create(admin, "owns", **{"retention.ms": "-1"})
        for topic in ("inherits", "owns"):
            produce(broker, topic, [b"x"] * 3)
        change = ConfigResource(ConfigResourceType.BROKER, "1", {"log.retention.ms": "1"})
        assert admin.alter_configs([change]).resources[0][0] == 0
        assert configs_of(admin, ConfigResourceType.TOPIC, "inherits")["retention.ms"] == ("1", False, 2)
        admin.close()
        consumer = consumer_of(broker)
        inherits, owns = TopicPartition("inherits", 0), TopicPartition("owns", 0)
        wait_for(lambda: consumer.beginning_offsets([inherits])[inherits] == 3, 20, "the records to go")
        assert consumer.beginning_offsets([owns])[owns] == 0
        consumer.close()


# ---- admin: groups

def test_a_group_is_listed_and_described_with_its_members(shared, admin, topic, members):
    create(admin, topic, partitions=4)
    group = [members(shared, topic, topic), members(shared, topic, topic)]
    wait_for(lambda: share(group, 4), 30, "two members share")
    wait_for(lambda: admin.describe_consumer_groups([topic])[0].state == "Stable", 10, "the group is stable")
    described = admin.describe_consumer_groups([topic])[0]
    assert (topic, "consumer") in admin.list_consumer_groups()
    assert described.protocol_type == "consumer" and described.protocol == "range"
    assert [m.client_id for m in described.members] == ["member", "member"]
    assert all(m.client_host == "/127.0.0.1" for m in described.members)
    assert all(m.member_metadata.subscription == [topic] for m in described.members)
    assigned = [p for m in described.members for _, partitions in m.member_assignment.assignment for p in partitions]
    assert sorted(assigned) == [0, 1, 2, 3]


def test_an_unknown_group_is_described_as_dead(admin):
    assert admin.describe_consumer_groups(["nobody"])[0].state == "Dead"


def test_a_group_is_deleted_only_when_it_has_no_members(shared, admin, topic, members):
    create(admin, topic)
    member = members(shared, topic, topic, "commit")
    wait_for(lambda: share([member], 1), 20, "a member")
    assert admin.delete_consumer_groups([topic]) == [(topic, errors.NonEmptyGroupError)]
    member.leave()
    wait_for(lambda: admin.describe_consumer_groups([topic])[0].state == "Empty", 10, "the group is empty")
    assert admin.delete_consumer_groups([topic]) == [(topic, errors.NoError)]
    assert topic not in [name for name, _ in admin.list_consumer_groups()]
    assert admin.delete_consumer_groups([topic]) == [(topic, errors.GroupIdNotFoundError)]


def test_offsets_of_a_group_are_listed_and_can_be_set_back(shared, admin, topic):
    create(admin, topic, partitions=2)
    produce(shared, topic, [b"%d" % i for i in range(5)], partition=0)
    produce(shared, topic, [b"%d" % i for i in range(5)], partition=1)
    places = [TopicPartition(topic, p) for p in range(2)]
    consumer = consumer_of(shared, topic)
    consumer.assign(places)
    consumer.commit({place: OffsetAndMetadata(5, "", -1) for place in places})
    listed = admin.list_consumer_group_offsets(topic)
    assert {place: listed[place].offset for place in listed} == {place: 5 for place in places}
    consumer.commit({places[1]: OffsetAndMetadata(2, "", -1)})
    consumer.close(autocommit=False)
    again = consumer_of(shared, topic)
    again.subscribe([topic])
    assert [(r.partition, r.value) for r in take(again, 3)] == [(1, b"2"), (1, b"3"), (1, b"4")]
    again.close(autocommit=False)


def test_a_group_that_never_committed_has_no_offsets(admin, topic):
    create(admin, topic)
    assert admin.list_consumer_group_offsets("nobody") == {}
    place = TopicPartition(topic, 0)
    assert admin.list_consumer_group_offsets("nobody", partitions=[place])[place].offset == -1


# ---- admin: the cluster

def test_the_cluster_is_one_broker_that_is_its_controller(shared, admin):
    cluster = admin.describe_cluster()
    assert [(b["node_id"], b["port"]) for b in cluster["brokers"]] == [(1, shared.ports["kafka"])]
    assert cluster["controller_id"] == 1 and cluster["cluster_id"]


def test_the_broker_has_the_number_that_it_was_given():
    with Broker("--set", "kafka.broker_id=0") as broker:
        admin = KafkaAdminClient(bootstrap_servers=broker.address("kafka"))
        cluster = admin.describe_cluster()
        assert [b["node_id"] for b in cluster["brokers"]] == [0] and cluster["controller_id"] == 0
        assert configs_of(admin, ConfigResourceType.BROKER, "0")["node.id"] == ("0", True, 4)
        create(admin, "t")
        assert admin.describe_topics(["t"])[0]["partitions"][0]["replicas"] == [0]
        produce(broker, "t", [b"x"])
        assert [r.value for r in read_all(broker, "t", 1)] == [b"x"]
        admin.close()


def test_log_directories_tell_the_sizes_of_partitions(shared, admin, topic):
    create(admin, topic, 2)
    produce(shared, topic, [b"x" * 1000] * 3, partition=1)
    error, path, topics = admin.describe_log_dirs().log_dirs[0]
    sizes = {(name, p[0]): p[1] for name, partitions in topics for p in partitions}
    assert error == 0 and path
    assert sizes[topic, 0] == 0 and 3000 < sizes[topic, 1] < 4000
