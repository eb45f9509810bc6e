"""Clients of different libraries and protocols at work on the same data, as where many teams share a broker."""
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import confluent_kafka as confluent
import pika
import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaConsumer, TopicPartition

from amqp_kit import Broker, bodies, channel, durable, publish_confirmed, receive, wait_for

MIB = 1 << 20
LARGE_BYTES = 20 * MIB
SHARE_SECONDS_MAX = 40  # a session of 6 s or 45 s is not waited for: who is killed has the short one


class Member:
    """A consumer of a group in a process of its own, and what it has printed. `program`: group_member.py is
    kafka-python, managed_member.py librdkafka. Both say what they hold, and each record, which they commit."""

    def __init__(self, broker, program, *arguments):
        self.held, self.values = set(), []
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name(program), broker.address("kafka"), "shared", "t", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            word, _, rest = line.rstrip("\n").partition(" ")
            if word == "assigned":
                self.held = {int(p) for p in rest.split(",") if p}
            elif word == "record":
                self.values.append(rest.split(" ", 2)[2])

    def end(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait(20)
        self.reader.join(5)
        self.held = set()


def python_member(broker):
    return Member(broker, "group_member.py", "commit")


def librdkafka_member(broker):
    return Member(broker, "managed_member.py", "group.protocol=classic", "session.timeout.ms=6000",
                  "partition.assignment.strategy=range,roundrobin", "heartbeat.interval.ms=300")


def send(broker, values, partitions):
    producer = confluent.Producer({"bootstrap.servers": broker.address("kafka")})
    for number, value in enumerate(values):
        producer.produce("t", value, partition=number % partitions)
    assert producer.flush(20) == 0


@pytest.mark.parametrize("leader, follower", [(python_member, librdkafka_member), (librdkafka_member, python_member)],
                         ids=["kafka-python leads", "librdkafka leads"])
def test_members_of_two_libraries_share_a_group_whichever_of_them_assigns(leader, follower):
    partitions, started = 4, []
    with Broker("--set", "kafka.initial_rebalance_delay_ms=0") as broker:
        admin = AdminClient({"bootstrap.servers": broker.address("kafka")})
        admin.create_topics([NewTopic("t", partitions, 1)])["t"].result(10)

        def wait_shared(*members):
            wait_for(lambda: all(m.held for m in members) and
                     sorted(p for m in members for p in m.held) == list(range(partitions)), SHARE_SECONDS_MAX,
                     f"{len(members)} members share all partitions")
        try:
            started.append(leader(broker))
            wait_shared(*started)
            started.append(follower(broker))
            wait_shared(*started)
            send(broker, [f"both {n}" for n in range(100)], partitions)
            wait_for(lambda: sum(len(m.values) for m in started) == 100, 20, "each record came to one of them")
            assert all(started[0].values) and all(started[1].values)
            started[0].end()  # the one that made the assignment is killed: the other library takes over
            wait_shared(started[1])
            send(broker, [f"one {n}" for n in range(100)], partitions)
            wait_for(lambda: {f"one {n}" for n in range(100)} <= set(started[1].values), 20, "all of them")
            started.append(leader(broker))
            wait_shared(*started[1:])
        finally:
            for member in started:
                if member.process.poll() is None:
                    member.end()


def kafka_records(broker, count):
    """Of stream t, with kafka-python: [(key, headers, value)]."""
    consumer = KafkaConsumer(bootstrap_servers=broker.address("kafka"), enable_auto_commit=False)
    place = TopicPartition("t", 0)
    consumer.assign([place])
    consumer.seek(place, 0)
    found = []

    def poll():
        for records in consumer.poll(timeout_ms=200).values():
            found.extend((record.key, dict(record.headers), record.value) for record in records)
        return len(found) >= count
    wait_for(poll, 30, f"{count} records")
    consumer.close()
    return found


def confluent_records(broker, count):
    """The same with librdkafka."""
    consumer = confluent.Consumer({"bootstrap.servers": broker.address("kafka"), "group.id": "none"})
    consumer.assign([confluent.TopicPartition("t", 0, 0)])
    found = []

    def poll():
        message = consumer.poll(0.2)
        if message is not None:
            assert not message.error(), message.error()
            found.append((message.key(), dict(message.headers()), message.value()))
        return len(found) >= count
    wait_for(poll, 30, f"{count} records")
    consumer.close()
    return found


def amqp_messages(broker, count):
    with channel(broker) as ch:
        ch.basic_qos(prefetch_count=count)
        return receive(ch, "t", count, arguments={"x-stream-offset": "first"})


def test_messages_of_20_mb_with_headers_go_both_ways_and_survive_a_kill():
    chance = random.Random(1)
    from_amqp, from_kafka = chance.randbytes(LARGE_BYTES), chance.randbytes(LARGE_BYTES)
    with Broker("--set", "amqp.message_bytes_max=32MiB", "--set", "kafka.message_max_bytes=32MiB") as broker:
        with channel(broker) as ch:
            durable(ch, "t", "stream")
        publish_confirmed(broker, "t", from_amqp, properties=pika.BasicProperties(
            delivery_mode=2, content_type="application/x-film", headers={"colour": "grün", "part": 7}))
        producer = confluent.Producer({"bootstrap.servers": broker.address("kafka"), "message.max.bytes": 32 * MIB})
        refused = []
        producer.produce("t", from_kafka, "a key", headers=[("colour", "blau".encode()), ("part", b"8")],
                         on_delivery=lambda error, _message: refused.append(error))
        assert producer.flush(30) == 0 and refused == [None]
        for _ in range(2):
            for read in (kafka_records, confluent_records):
                first, second = read(broker, 2)
                assert (first[0], first[2] == from_amqp, second[2] == from_kafka) == (None, True, True)
                assert (first[1]["colour"], first[1]["part"]) == ("grün".encode(), b"7")
                assert first[1]["content-type"] == b"application/x-film"
                assert second[:2] == (b"a key", {"colour": "blau".encode(), "part": b"8"})
            got = amqp_messages(broker, 2)
            assert [body == sent for body, sent in zip(bodies(got), (from_amqp, from_kafka))] == [True, True]
            (_, first, _), (_, second, _) = got
            assert first.content_type == "application/x-film"
            assert (first.headers["colour"], first.headers["part"]) == ("grün", 7)
            assert {name: second.headers[name] for name in ("x-polylog-key", "colour", "part")} == {
                "x-polylog-key": "a key", "colour": "blau", "part": "8"}
            broker.kill()
            broker.start()
