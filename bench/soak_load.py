"""The clients of the soak: each a process, paced, over whatever happens to the broker; reports every few seconds.

A report is a `report` of its history file (tests/history/history.py): what it has done since the last one, and for
producers p50 and p99, in milliseconds, from the time at which it sent to the time at which it knew that the message was
stored.
"""
import time

import confluent_kafka
import pika

from amqp_clients import amqp_connection, over_connections
from client import run
from kafka_clients import DELIVERY_SECONDS, LIBRDKAFKA

REPORT_SECONDS = 5
QUEUE = "soak"


class Report:
    """Counts and latencies, told every REPORT_SECONDS."""

    def __init__(self, client):
        self.history, self.count, self.latencies = client.history, 0, []
        self.due = time.monotonic() + REPORT_SECONDS

    def add(self, begin=None):
        self.count += 1
        if begin is not None:
            self.latencies.append((time.monotonic() - begin) * 1000)
        self.tell_when_due()

    def tell_when_due(self, now=False):
        if time.monotonic() < self.due and not now:
            return
        self.due = time.monotonic() + REPORT_SECONDS
        ordered = sorted(self.latencies)
        percentiles = {name: round(ordered[int(len(ordered) * share)], 3)
                       for name, share in (("p50", 0.5), ("p99", 0.99)) if ordered}
        self.history.saw("report", count=self.count, **percentiles)
        self.count, self.latencies = 0, []


def kafka_producer(client):
    setup, report = client.setup, Report(client)
    producer = confluent_kafka.Producer({
        **LIBRDKAFKA, "bootstrap.servers": client.bootstrap, "enable.idempotence": True, "linger.ms": 0,
        "message.timeout.ms": DELIVERY_SECONDS * 1000})

    def told(begin):
        def callback(error, _message):
            if error is not None:
                raise AssertionError(f"a record was refused: {error}")
            report.add(begin)
        return callback

    for number in client.paced(wait=producer.poll):
        key = b"%d" % (number * 7919 % setup["keys"])
        producer.produce(setup["topic"], client.body(client.value(number)), key, on_delivery=told(time.monotonic()))
        producer.poll(0)
    producer.flush(60)
    report.tell_when_due(now=True)


def kafka_consumer(client):
    report = Report(client)
    consumer = confluent_kafka.Consumer({
        **LIBRDKAFKA, "bootstrap.servers": client.bootstrap, "group.id": "soak", "auto.offset.reset": "earliest",
        "session.timeout.ms": 6000, "auto.commit.interval.ms": 1000})
    consumer.subscribe(client.setup["topics"])
    while not client.stopping.is_set():
        for message in consumer.consume(200, 0.1):
            if not message.error():
                report.add()
    report.tell_when_due(now=True)
    consumer.close()


def amqp_publisher(client):
    numbers, report = client.paced(), Report(client)

    def publish(connection):
        channel = connection.channel()
        channel.confirm_delivery()
        for number in numbers:
            begin = time.monotonic()
            channel.basic_publish("", QUEUE, client.body(client.value(number)), pika.BasicProperties(delivery_mode=2))
            report.add(begin)
    over_connections(client, publish)
    report.tell_when_due(now=True)


def amqp_consumer(client):
    report = Report(client)

    def consume(connection):
        channel = connection.channel()
        channel.basic_qos(prefetch_count=100)
        for method, _properties, _body in channel.consume(QUEUE, inactivity_timeout=0.1):
            if method is not None:
                channel.basic_ack(method.delivery_tag)
                report.add()
            if client.stopping.is_set():
                return
    over_connections(client, consume)
    report.tell_when_due(now=True)


def amqp_short_lived(client):
    """Connects, does a little, and leaves, as a web request does: what such a client leaves behind would add up."""
    report = Report(client)
    for number in client.paced():
        try:
            connection = amqp_connection(client)
            channel = connection.channel()
            channel.queue_declare(f"soak-short-{number}", exclusive=True)
            channel.basic_publish("", f"soak-short-{number}", b"short")
            channel.basic_get(f"soak-short-{number}", auto_ack=True)
            connection.close()
            report.add()
        except (pika.exceptions.AMQPError, OSError, ValueError):
            continue  # the broker is being restarted
    report.tell_when_due(now=True)


ROLES = {f.__name__: f for f in (kafka_producer, kafka_consumer, amqp_publisher, amqp_consumer, amqp_short_lived)}


def play(role, name, setup):
    run(ROLES[role], name, setup)
