"""Compacted topics through real clients: what stays, what goes, and what a reader sees meanwhile."""
import itertools
import random
import subprocess
import threading
import time

import confluent_kafka as confluent
import kafka
import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic
from kafka import KafkaConsumer, TopicPartition

import prometheus
from compacted_log import EAGER, Writer, check_log, read_all
from harness import Broker, seeds, wait_for

DUE_SECONDS = 30  # a log that is due is compacted within
PASSES_SECONDS_MAX = 90  # for three passes
names = (f"compacted{n}" for n in itertools.count())


@pytest.fixture(scope="module")
def shared():
    with Broker() as broker:
        yield broker


def create(broker, **config):
    topic = next(names)
    config = {name.replace("_", "."): value for name, value in config.items()}
    admin = AdminClient({"bootstrap.servers": broker.address("kafka")})
    admin.create_topics([NewTopic(topic, 1, 1, config=config)])[topic].result(10)
    return topic


def create_eager(broker, **config):
    return create(broker, **EAGER, **config)


def read_with_kafka_python(broker, topic):
    consumer = KafkaConsumer(bootstrap_servers=broker.address("kafka"), enable_auto_commit=False)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek(partition, 0)
    end = consumer.end_offsets([partition])[partition]
    records, deadline = [], time.monotonic() + 30
    while consumer.position(partition) < end:
        assert time.monotonic() < deadline, f"stuck at {consumer.position(partition)} of {end}"
        for polled in consumer.poll(timeout_ms=500).values():
            records += [(r.offset, r.key, r.value) for r in polled]
    consumer.close()
    return records


def read_with_kcat(broker, topic):
    out = subprocess.run(["kcat", "-b", broker.address("kafka"), "-C", "-t", topic, "-e", "-q", "-f", "%o\t%k\t%s\n"],
                         capture_output=True, timeout=60, check=True).stdout
    lines = [line.split(b"\t") for line in out.splitlines()]
    return [(int(offset), key, value) for offset, key, value in lines]


def is_compacted(broker, topic, keys):
    return lambda: len(read_all(broker, topic)) == keys


def metric(broker, name):
    return prometheus.value(broker.http("/metrics")[1], name)


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_the_last_record_of_every_key_stays_whatever_the_codec(shared, codec):
    topic = create_eager(shared)
    writer = Writer(shared, topic, **{"compression.type": codec})
    for turn in range(60):
        for key in range(50):
            if key % 7 == 0 or turn % (key + 1) == 0:
                writer.send(b"key %d" % key, b"value %d %d " % (key, turn) * 5)
        writer.flush()
    wait_for(is_compacted(shared, topic, 50), DUE_SECONDS, "compacted to one record a key")
    records = read_all(shared, topic)
    assert sorted((key, offset, value) for offset, key, value in records) == sorted(
        (key, offset, value) for key, (offset, value) in writer.last.items())
    if codec in ("none", "gzip"):  # what kafka-python can unpack by itself
        assert read_with_kafka_python(shared, topic) == records
    assert read_with_kcat(shared, topic) == records
    middle = records[len(records) // 2][0]
    assert read_all(shared, topic, middle) == [r for r in records if r[0] >= middle]


def test_compacted_data_and_what_is_dirty_outlive_restarts():
    with Broker() as broker:
        topic = create_eager(broker)
        writer = Writer(broker, topic)
        for turn in range(20):
            for key in range(100):
                writer.send(b"%d" % key, b"%d" % turn)
            writer.flush()
        wait_for(is_compacted(broker, topic, 100), DUE_SECONDS, "compacted")
        passes = metric(broker, "polylog_compaction_passes_total")
        assert passes >= 1
        assert metric(broker, "polylog_compaction_removed_records_total") == 1900
        broker.restart()
        check_log(read_all(broker, topic), writer.last)
        # What is clean is known to be: nothing is read again until there is something new.
        writer = Writer(broker, topic)
        writer.send(b"1", b"new")
        writer.flush()
        wait_for(lambda: metric(broker, "polylog_compaction_passes_total") == 1, DUE_SECONDS, "the new part compacted")
        records = read_all(broker, topic)
        assert len(records) == 100 and records[-1] == (2000, b"1", b"new")
        broker.kill()
        broker.start()
        assert read_all(broker, topic) == records


def test_a_mark_that_deletes_a_key_stays_for_delete_retention_and_then_goes(shared):
    topic = create_eager(shared, delete_retention_ms="4000")
    writer = Writer(shared, topic)
    for key in (b"kept", b"deleted"):
        for turn in range(5):
            writer.send(key, b"%d" % turn)
    writer.flush()
    writer.send(b"deleted", None)
    writer.flush()
    expected = [(4, b"kept", b"4"), (10, b"deleted", None)]
    wait_for(lambda: read_all(shared, topic) == expected, DUE_SECONDS, "the mark is what is left of the key")
    wait_for(lambda: read_all(shared, topic) == expected[:1], DUE_SECONDS, "the mark is gone too")
    writer.send(b"last", b"1")  # the offset of what is gone is not used again
    writer.flush()
    assert read_all(shared, topic) == expected[:1] + [(11, b"last", b"1")]


def test_a_mark_stays_when_delete_retention_is_long(shared):
    topic = create_eager(shared)
    writer = Writer(shared, topic)
    for turn in range(30):
        writer.send(b"k", b"%d" % turn)
        writer.flush()
    writer.send(b"k", None)
    writer.flush()
    wait_for(is_compacted(shared, topic, 1), DUE_SECONDS, "compacted")
    writer.send(b"other", b"1")
    writer.send(b"other", b"2")
    writer.flush()
    wait_for(is_compacted(shared, topic, 2), DUE_SECONDS, "compacted again")
    assert read_all(shared, topic) == [(30, b"k", None), (32, b"other", b"2")]


def test_a_record_without_key_is_refused_alone_on_a_compacted_topic(shared):
    topic = create_eager(shared)
    errors = []
    producer = confluent.Producer({"bootstrap.servers": shared.address("kafka"), "retries": 0})
    producer.produce(topic, value=b"no key", partition=0, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(10) == 0
    assert errors[0].code() == confluent.KafkaError.INVALID_RECORD
    assert read_all(shared, topic) == []


@pytest.mark.parametrize("config", [
    {"segment.ms": "600000"},  # all of it is active
    {"min.compaction.lag.ms": "600000"},
    {"min.cleanable.dirty.ratio": "1.0"},
], ids=lambda config: next(iter(config)))
def test_what_is_not_due_is_left_alone(shared, config):
    untouched = create(shared, **{**EAGER, **config})
    due = create_eager(shared)
    for topic in (untouched, due):
        writer = Writer(shared, topic)
        for turn in range(20):
            writer.send(b"k", b"%d" % turn)
            writer.flush()
    wait_for(is_compacted(shared, due, 1), DUE_SECONDS, "what is due is compacted")
    writer = Writer(shared, due)
    writer.send(b"k", b"again")
    writer.flush()
    wait_for(is_compacted(shared, due, 1), DUE_SECONDS, "a whole round later")
    assert len(read_all(shared, untouched)) == 20


def test_max_compaction_lag_makes_old_records_due_whatever_the_ratio(shared):
    topic = create(shared, **{"cleanup.policy": "compact", "max.compaction.lag.ms": "1000",
                              "min.cleanable.dirty.ratio": "1.0"})
    writer = Writer(shared, topic)
    for turn in range(20):
        writer.send(b"k", b"%d" % turn)
        writer.flush()
    wait_for(is_compacted(shared, topic, 1), DUE_SECONDS, "compacted for its age")


def test_compact_and_delete_together_do_both(shared):
    topic = create(shared, **{**EAGER, "cleanup.policy": "compact,delete", "retention.ms": "9000"})
    writer = Writer(shared, topic)
    for turn in range(20):
        writer.send(b"k", b"%d" % turn)
        writer.flush()
    wait_for(is_compacted(shared, topic, 1), DUE_SECONDS, "compacted")
    wait_for(is_compacted(shared, topic, 0), DUE_SECONDS, "and deleted when it is old")


def test_the_brokers_cleanup_policy_rules_topics_that_have_none():
    with Broker() as broker:
        admin = AdminClient({"bootstrap.servers": broker.address("kafka")})
        settings = {"log.cleanup.policy": "compact", "log.roll.ms": "100", "log.cleaner.min.cleanable.ratio": "0.01",
                    "log.retention.ms": "1000"}
        node = next(iter(admin.list_topics(timeout=10).brokers))
        resource = ConfigResource(ConfigResource.Type.BROKER, str(node), incremental_configs=[
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()])
        admin.incremental_alter_configs([resource])[resource].result(10)
        compacted = create(broker)
        deleted = create(broker, cleanup_policy="delete")
        for topic in (compacted, deleted):
            writer = Writer(broker, topic)
            for turn in range(20):
                writer.send(b"k", b"%d" % turn)
                writer.flush()
        wait_for(is_compacted(broker, compacted, 1), DUE_SECONDS, "compacted")
        wait_for(is_compacted(broker, deleted, 0), DUE_SECONDS, "its own policy goes before the broker's")
        assert read_all(broker, compacted) == [(19, b"k", b"19")]


def test_readers_see_a_whole_log_while_it_is_compacted(shared):
    topic = create_eager(shared)
    writer = Writer(shared, topic)
    keys = [b"%d" % key for key in range(300)]
    for key in keys:
        writer.send(key, b"0")
    writer.flush()
    ended = threading.Event()
    failures = []

    def read_on():
        while not ended.is_set():
            seen = read_all(shared, topic)
            offsets = [offset for offset, _, _ in seen]
            if offsets != sorted(set(offsets)) or {key for _, key, _ in seen} != set(keys):
                failures.append(seen)
    threads = [threading.Thread(target=read_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    before = metric(shared, "polylog_compaction_passes_total")
    turn = 0
    give_up = time.monotonic() + PASSES_SECONDS_MAX
    while metric(shared, "polylog_compaction_passes_total") < before + 3 and time.monotonic() < give_up:
        turn += 1
        for key in random.sample(keys, 100):
            writer.send(key, b"%d " % turn * 20)
        writer.flush()
    ended.set()
    for thread in threads:
        thread.join()
    assert metric(shared, "polylog_compaction_passes_total") >= before + 3
    assert not failures, failures[0]
    check_log(read_all(shared, topic), writer.last)


def test_nothing_is_lost_when_the_broker_is_killed_while_it_compacts():
    # Many small log files and a slow pace: most of the time a compaction is under way.
    with Broker("--set", "storage.wal_file_bytes=1MiB", "--set", "storage.pack_bytes_per_second=1MiB") as broker:
        topic = create_eager(broker)
        last, unsure = {}, {}
        for seed in seeds(8):
            chance = random.Random(seed)
            writer = Writer(broker, topic)
            for _ in range(chance.randrange(4, 12)):
                for _ in range(400):
                    writer.send(b"%d" % chance.randrange(500), b"%d" % chance.randrange(1 << 60) * 20)
                writer.flush()
            last.update(writer.last)
            pause = threading.Event()
            pause.wait(chance.uniform(3, 8))
            broker.kill()
            broker.start()
            check_log(read_all(broker, topic), last, unsure)
        wait_for(is_compacted(broker, topic, len(last)), DUE_SECONDS, "compacted in the end")
        check_log(read_all(broker, topic), last, unsure)
