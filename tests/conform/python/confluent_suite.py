"""confluent-kafka-python: confluent_suite.py BOOTSTRAP, or confluent_suite.py member TOPIC BOOTSTRAP for a member that is killed."""
import subprocess
import sys
import time

from confluent_kafka import (Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicCollection,
                             TopicPartition)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                   OffsetSpec, ResourceType)

BOOTSTRAP = sys.argv[-1]
LIMIT_SECONDS = 30
ADMIN = AdminClient({"bootstrap.servers": BOOTSTRAP})  # results of a client that is gone are gone
checks = []
topics = 0


def check(name):
    def add(run):
        checks.append((name, run))
        return run
    return add


def until(what, condition):
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT_SECONDS} s: {what}"
        time.sleep(0.02)


def done(futures):
    """The results of an admin call, by key."""
    return {key: future.result(LIMIT_SECONDS) for key, future in futures.items()}


def new_name():
    global topics
    topics += 1
    return f"py-{topics}"


def topic(partitions=1, **config):
    name = new_name()
    done(ADMIN.create_topics([NewTopic(name, partitions, 1, config=config)]))
    return name


def send(name, count, prefix="m", **config):
    offsets, errors = [], []

    def delivered(error, message):
        errors.append(error) if error else offsets.append(message.offset())

    producer = Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 5, **config})
    for i in range(count):
        producer.produce(name, f"{prefix}{i}", callback=delivered)
    assert producer.flush(LIMIT_SECONDS) == 0
    assert not errors, errors[0]
    return offsets


def member(name, **config):
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": name, "auto.offset.reset": "earliest",
                         "session.timeout.ms": 6000, "heartbeat.interval.ms": 300, **config})
    consumer.subscribe([name])
    return consumer


def poll(consumer, count):
    messages = []
    deadline = time.monotonic() + LIMIT_SECONDS
    while len(messages) < count:
        assert time.monotonic() < deadline, f"{len(messages)} of {count} records came"
        message = consumer.poll(0.1)
        if message is not None:
            assert not message.error(), message.error()
            messages.append(message)
    return messages


def read(name, count, offset=0, **config):
    consumer = member(name, **config)
    consumer.unsubscribe()
    consumer.assign([TopicPartition(name, 0, offset)])
    try:
        return poll(consumer, count)
    finally:
        consumer.close()


def shares(members, partitions):
    owned = []
    for consumer in members:
        consumer.poll(0.05)
    for consumer in members:
        part = [p.partition for p in consumer.assignment()]
        if not part:
            return False
        owned += part
    return sorted(owned) == list(range(partitions))


def check_codec(codec):
    name = topic()
    send(name, 500, "a text that repeats itself, that repeats itself ", **{"compression.type": codec})
    assert [m.value() for m in read(name, 500)] == [b"a text that repeats itself, that repeats itself %d" % i for i in range(500)]


for each in ("none", "gzip", "snappy", "lz4", "zstd"):
    check(f"codec {each} comes back")(lambda each=each: check_codec(each))


@check("a record keeps key, headers, timestamp, null and empty")
def _():
    name = topic()
    producer = Producer({"bootstrap.servers": BOOTSTRAP})
    producer.produce(name, b"", key="k", headers=[("colour", "grün"), ("none", None)], timestamp=1700000000123)
    producer.produce(name, None, key="gone")
    assert producer.flush(LIMIT_SECONDS) == 0
    first, second = read(name, 2)
    assert (first.key(), first.value(), second.value()) == (b"k", b"", None)
    assert first.headers() == [("colour", "grün".encode()), ("none", None)]
    assert first.timestamp()[1] == 1700000000123


@check("an idempotent producer keeps order over many batches")
def _():
    name = topic()
    assert send(name, 5000, **{"enable.idempotence": True, "batch.num.messages": 20}) == list(range(5000))
    assert [m.value() for m in read(name, 5000)] == [b"m%d" % i for i in range(5000)]


@check("records sent with each kind of acks arrive")
def _():
    name = topic()
    for acks in (0, 1, "all"):
        send(name, 50, acks=acks)
    read(name, 150)


@check("a transactional producer is refused as not authorized")
def _():
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": "t"})
    try:
        producer.init_transactions(LIMIT_SECONDS)
    except KafkaException as error:
        assert error.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, error
    else:
        raise AssertionError("it is not refused")


@check("consuming starts at an offset, offsets are found by time")
def _():
    name = topic()
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "batch.num.messages": 1})
    for i in range(10):
        producer.produce(name, f"m{i}", timestamp=1700000000000 + i * 1000)
    assert producer.flush(LIMIT_SECONDS) == 0
    assert read(name, 3, 7)[0].value() == b"m7"
    consumer = member(name)
    assert consumer.offsets_for_times([TopicPartition(name, 0, 1700000003500)], LIMIT_SECONDS)[0].offset == 4
    assert consumer.get_watermark_offsets(TopicPartition(name, 0), LIMIT_SECONDS) == (0, 10)
    consumer.close()


@check("a group goes on where it committed")
def _():
    name = topic()
    send(name, 10, "a")
    first = member(name, **{"enable.auto.commit": False})
    poll(first, 10)
    first.commit(asynchronous=False)
    first.close()
    send(name, 5, "b")
    second = member(name)
    assert [m.value() for m in poll(second, 5)] == [b"b%d" % i for i in range(5)]
    second.close()


def check_sharing(assignor):
    name = topic(6)
    members = [member(name, **{"partition.assignment.strategy": assignor}) for _ in range(3)]
    until("three share", lambda: shares(members, 6))
    members.pop().close()
    until("two share", lambda: shares(members, 6))
    for consumer in members:
        consumer.close()


for each in ("range", "roundrobin", "cooperative-sticky"):
    check(f"members share partitions as they come and go, {each}")(lambda each=each: check_sharing(each))


@check("the partitions of a killed member go to the others")
def _():
    name = topic(4)
    victim = subprocess.Popen([sys.executable, __file__, "member", name, BOOTSTRAP])
    try:
        time.sleep(2)
        other = member(name)
        until("both share", lambda: other.poll(0.05) or len(other.assignment()) == 2)
    finally:
        victim.kill()
        victim.wait()
    until("the other has all", lambda: shares([other], 4))
    other.close()


@check("topics are created, described, altered and deleted")
def _():
    name = topic(3, **{"retention.ms": "60000"})
    described = done(ADMIN.describe_topics(TopicCollection([name])))[name]
    assert len(described.partitions) == 3
    done(ADMIN.create_partitions([NewPartitions(name, 5)]))
    assert len(ADMIN.list_topics(name, LIMIT_SECONDS).topics[name].partitions) == 5
    done(ADMIN.delete_topics([name]))
    assert name not in ADMIN.list_topics(timeout=LIMIT_SECONDS).topics


@check("configs are altered and described")
def _():
    name = topic()
    change = ConfigEntry("max.message.bytes", "2000000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[change])
    done(ADMIN.incremental_alter_configs([resource]))
    (described,) = done(ADMIN.describe_configs([ConfigResource(ResourceType.TOPIC, name)])).values()
    assert described["max.message.bytes"].value == "2000000"


@check("offsets are listed and records deleted")
def _():
    name = topic()
    send(name, 10)
    partition = TopicPartition(name, 0)
    assert done(ADMIN.list_offsets({partition: OffsetSpec.latest()}))[partition].offset == 10
    assert done(ADMIN.delete_records([TopicPartition(name, 0, 4)]))[TopicPartition(name, 0, 4)].low_watermark == 4
    assert done(ADMIN.list_offsets({partition: OffsetSpec.earliest()}))[partition].offset == 4


@check("groups are listed, described, altered and deleted")
def _():
    name = topic()
    send(name, 3)
    running = member(name)
    poll(running, 3)
    assert done(ADMIN.describe_consumer_groups([name]))[name].state.name == "STABLE"
    running.commit(asynchronous=False)
    running.close()
    assert name in [group.group_id for group in ADMIN.list_consumer_groups().result(LIMIT_SECONDS).valid]
    partitions = [TopicPartition(name, 0, 1)]
    done(ADMIN.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(name, partitions)]))
    fetched = done(ADMIN.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)]))[name]
    assert fetched.topic_partitions[0].offset == 1
    done(ADMIN.delete_consumer_groups([name]))


@check("the cluster is described")
def _():
    cluster = ADMIN.describe_cluster().result(LIMIT_SECONDS)
    assert cluster.cluster_id and len(cluster.nodes) == 1


def main():
    if sys.argv[1] == "member":
        consumer = member(sys.argv[2])
        for _ in range(600):
            consumer.poll(0.1)
        return 0
    failed = 0
    for name, run in checks:
        try:
            run()
            print(f"ok {name}", flush=True)
        except Exception as error:
            failed += 1
            print(f"not ok {name}: {type(error).__name__} {error}".replace("\n", " "), flush=True)
    return 1 if failed else 0


sys.exit(main())
