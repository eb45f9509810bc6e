"""Kafka clients of a round: unmodified librdkafka (confluent-kafka) and kafka-python. They retry over whatever happens
to the broker: what they are told is the history.
"""
import os
import time

import confluent_kafka
import kafka
from confluent_kafka.admin import AdminClient

from client import PARTITIONS, TOPIC, value_in

DELIVERY_SECONDS = 300    # a producer does not give up within a round
COMMIT_SECONDS = 0.1
SESSION_MS = 6000
REQUEST_SECONDS = 15      # longer than any pause, so that few outcomes stay unknown
OBSERVE_SECONDS = 3       # what only looks may as well look again
LIBRDKAFKA = {"socket.timeout.ms": REQUEST_SECONDS * 1000, "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 300,
              "log_level": 0, "error_cb": lambda _error: None}


# ---- producers

def librdkafka_producer(client, once):
    producer = confluent_kafka.Producer({
        **LIBRDKAFKA, "bootstrap.servers": client.bootstrap, "enable.idempotence": once, "acks": "all", "linger.ms": 2,
        "max.in.flight": 5 if once else 1, "message.timeout.ms": DELIVERY_SECONDS * 1000, "retry.backoff.ms": 50})

    def told(op):
        def callback(error, message):
            if error is None:
                op.ok(offset=message.offset())
            elif error.code() == confluent_kafka.KafkaError._MSG_TIMED_OUT:
                op.info(error=str(error))
            else:
                op.fail(error=str(error))
        return callback

    for number in client.paced():
        value = client.value(number)
        op = client.history.invoke("send", value=value, partition=number % PARTITIONS, once=once)
        producer.produce(TOPIC, client.body(value), partition=number % PARTITIONS, on_delivery=told(op))
        producer.poll(0)
    producer.flush(client.setup["patience_seconds"])


# Else kafka-python asks on each new connection, and takes a broker that goes away while it is asked, as happens here,
# for a very old one from then on: it sends requests that nobody has offered since Kafka 4, and reads nothing for good.
KAFKA_PYTHON_API_VERSION = (4, 0)


def kafka_python(client, make):
    """kafka-python gives up at once when the broker is down while it is made."""
    while True:
        try:
            return make()
        except kafka.errors.NoBrokersAvailable:
            if client.stopping.wait(0.05):
                raise


def kafka_python_producer(client):
    producer = kafka_python(client, lambda: kafka.KafkaProducer(
        bootstrap_servers=client.bootstrap, acks="all", enable_idempotence=True, retries=2 ** 31 - 1, linger_ms=2,
        max_block_ms=DELIVERY_SECONDS * 1000, delivery_timeout_ms=DELIVERY_SECONDS * 1000, retry_backoff_ms=50,
        request_timeout_ms=REQUEST_SECONDS * 1000, reconnect_backoff_ms=20, reconnect_backoff_max_ms=300,
        api_version=KAFKA_PYTHON_API_VERSION))
    for number in client.paced():
        value = client.value(number)
        op = client.history.invoke("send", value=value, partition=number % PARTITIONS, once=True)
        sent = producer.send(TOPIC, client.body(value), partition=number % PARTITIONS)
        sent.add_callback(lambda told, op=op: op.ok(offset=told.offset))
        sent.add_errback(lambda error, op=op: op.fail(error=repr(error)))
    producer.flush(client.setup["patience_seconds"])


# ---- consumers

class Member:
    """What a consumer of a group holds, has read, and must commit. The two libraries differ in how they are asked."""

    def __init__(self, client, group):
        self.client, self.group, self.history = client, group, client.history
        self.held, self.next, self.commit_due = set(), {}, 0

    def on_assigned(self, partitions):
        self.held |= set(partitions)
        self.history.saw("assigned", group=self.group, partitions=sorted(partitions))

    def on_revoked(self, partitions):
        self.held -= set(partitions)
        for partition in partitions:
            self.next.pop(partition, None)
        if partitions:
            self.history.saw("revoked", group=self.group, partitions=sorted(partitions))

    def on_record(self, partition, offset, body):
        self.history.saw("record", group=self.group, partition=partition, offset=offset, value=value_in(body))
        self.next[partition] = offset + 1

    def commit_when_due(self, commit):
        """`commit` returns why it is not known to have happened, or None. A refusal is no certain no: librdkafka sends
        a commit again whose answer was lost, and the second one may be refused."""
        if not self.next or time.monotonic() < self.commit_due:
            return
        self.commit_due = time.monotonic() + COMMIT_SECONDS
        offsets, self.next = self.next, {}
        op = self.history.invoke("commit", group=self.group, offsets=sorted(offsets.items()))
        error = commit(offsets)
        if error is None:
            op.ok()
        else:
            op.info(error=error)


def librdkafka_member(client, group, strategy):
    consumer_settings = {"group.protocol": "consumer"} if strategy == "consumer" else {
        "partition.assignment.strategy": strategy, "session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": 300}
    consumer = confluent_kafka.Consumer({
        **LIBRDKAFKA, **consumer_settings, "bootstrap.servers": client.bootstrap, "group.id": group,
        "enable.auto.commit": False, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 100, "retry.backoff.ms": 50})
    member = Member(client, group)

    def places(found):
        return [place.partition for place in found]

    def commit(offsets):
        try:
            told = consumer.commit(asynchronous=False, offsets=[
                confluent_kafka.TopicPartition(TOPIC, p, o) for p, o in offsets.items()])
            return next((place.error.name() for place in told if place.error), None)
        except confluent_kafka.KafkaException as error:
            return error.args[0].name()

    consumer.subscribe([TOPIC], on_assign=lambda _, found: member.on_assigned(places(found)),
                       on_revoke=lambda _, found: member.on_revoked(places(found)),
                       on_lost=lambda _, found: member.on_revoked(places(found)))
    while not client.stopping.is_set():
        message = consumer.poll(0.1)
        if message is not None and not message.error():
            member.on_record(message.partition(), message.offset(), message.value())
        member.commit_when_due(commit)
    member.on_revoked(sorted(member.held))
    consumer.close()


class Listener(kafka.ConsumerRebalanceListener):
    """Also works around a flaw of kafka-python 2.2: it keeps a request for committed offsets that a poll() gave up
    waiting for, and takes its answer for the one to a later assignment of the same partitions."""

    def __init__(self, member, consumer):
        self.member, self.consumer = member, consumer

    def on_partitions_assigned(self, assigned):
        self.consumer._coordinator._offset_fetch_futures.clear()
        self.member.on_assigned([place.partition for place in assigned])

    def on_partitions_revoked(self, revoked):
        self.member.on_revoked([place.partition for place in revoked])


def kafka_python_member(client, group):
    consumer = kafka_python(client, lambda: kafka.KafkaConsumer(
        bootstrap_servers=client.bootstrap, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False,
        session_timeout_ms=SESSION_MS, heartbeat_interval_ms=300, fetch_max_wait_ms=100, retry_backoff_ms=50,
        request_timeout_ms=REQUEST_SECONDS * 1000, reconnect_backoff_ms=20, reconnect_backoff_max_ms=300,
        max_poll_records=50, api_version=KAFKA_PYTHON_API_VERSION))
    member = Member(client, group)

    def commit(offsets):
        try:
            consumer.commit({kafka.TopicPartition(TOPIC, p): kafka.OffsetAndMetadata(o, "", -1)
                             for p, o in offsets.items()}, timeout_ms=REQUEST_SECONDS * 1000)
        except kafka.errors.KafkaError as error:
            return repr(error)

    consumer.subscribe([TOPIC], listener=Listener(member, consumer))
    while not client.stopping.is_set():
        for records in consumer.poll(timeout_ms=100).values():
            for record in records:
                member.on_record(record.partition, record.offset, record.value)
        member.commit_when_due(commit)
    member.on_revoked(sorted(member.held))
    consumer.close(autocommit=False)


def observer(client, groups):
    """Asks from outside, over and over: committed offsets, ends of partitions, who holds what."""
    readers = {group: confluent_kafka.Consumer({**LIBRDKAFKA, "bootstrap.servers": client.bootstrap, "group.id": group})
               for group in groups}
    descriptions = [Description(client, group) for group in groups]
    places = [confluent_kafka.TopicPartition(TOPIC, p) for p in range(PARTITIONS)]
    while not client.stopping.wait(0.15):
        for group, reader in readers.items():
            ask_committed(client.history, group, reader, places)
        for description in descriptions:
            description.look()
        ask_ends(client.history, reader, places)
    os._exit(0)  # not by way of what librdkafka does to a description that is still asked for


def ask_committed(history, group, reader, places):
    op = history.invoke("committed", group=group)
    try:
        told = reader.committed(places, timeout=OBSERVE_SECONDS)
        if any(place.error for place in told):
            return op.info(error=str([place.error for place in told]))
        op.ok(offsets=[[place.partition, place.offset] for place in told if place.offset >= 0])
    except confluent_kafka.KafkaException as error:
        op.info(error=error.args[0].name())


def ask_ends(history, reader, places):
    op = history.invoke("ends")
    try:
        op.ok(offsets=[[p.partition, reader.get_watermark_offsets(p, timeout=OBSERVE_SECONDS)[1]] for p in places])
    except confluent_kafka.KafkaException as error:
        op.info(error=error.args[0].name())


class Description:
    """What the broker says of a group's members. Asked for again and again, never waited for: after a reconnect
    librdkafka 2.16 may sit on such a request for long, and it crashes on one that it gives up."""

    def __init__(self, client, group):
        self.history, self.group = client.history, group
        self.admin = AdminClient({**LIBRDKAFKA, "bootstrap.servers": client.bootstrap})
        self.op = self.told = None

    def look(self):
        if self.told is not None and self.told.done():
            self.tell()
            self.told = None
        if self.told is None:
            self.op = self.history.invoke("described", group=self.group)
            self.told = self.admin.describe_consumer_groups([self.group], request_timeout=DELIVERY_SECONDS)[self.group]

    def tell(self):
        try:
            told = self.told.result()
        except confluent_kafka.KafkaException as error:
            return self.op.info(error=error.args[0].name())
        self.op.ok(state=told.state.name, members={
            member.member_id: [p.partition for p in member.assignment.topic_partitions if p.topic == TOPIC]
            for member in told.members if member.assignment})
