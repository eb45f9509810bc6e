"""The clients of the soak: each a process, paced, over whatever happens to the broker; reports every few seconds.

A report is a `report` of its history file (tests/history/history.py): which messages it stored or received since the
last one, as `numbers` [[writer, whether the broker said that they come again, [[first, last]]]], and for producers p50
and p99, in milliseconds, from the time at which it sent to the time at which it knew that the message was stored. The
last one of a producer says how many it `sent`. A `broken` of a consumer: a message came when it was another one's turn.
"""
import time
from collections import defaultdict

import confluent_kafka
import pika

from amqp_clients import amqp_connection, over_connections
from client import run, value_in
from kafka_clients import DELIVERY_SECONDS, LIBRDKAFKA
from soak_identity import Order, key_of, ranges
from view import number_of

REPORT_SECONDS = 5
QUEUE = "soak"


class Report:
    """Counts, latencies and identities, told every REPORT_SECONDS: memory is that of one report."""

    def __init__(self, client):
        self.history = client.history
        self.due = time.monotonic() + REPORT_SECONDS
        self.again = False
        self.clear()

    def clear(self):
        self.count, self.latencies, self.numbers, self.begin = 0, [], defaultdict(list), None

    def add(self, writer=None, number=None, begin=None, again=False):
        """`again`: the broker said that it comes again. One report has but one of the two, so that their order shows."""
        if again != self.again and self.count > 0:
            self.tell_when_due(now=True)
        self.again = again
        self.begin = self.begin or time.monotonic_ns()
        self.count += 1
        if writer is not None:
            self.numbers[writer, again].append(number)
        if begin is not None:
            self.latencies.append((time.monotonic() - begin) * 1000)
        self.tell_when_due()

    def tell_when_due(self, now=False, **more):
        if time.monotonic() < self.due and not now:
            return
        self.due = time.monotonic() + REPORT_SECONDS
        ordered = sorted(self.latencies)
        percentiles = {name: round(ordered[int(len(ordered) * share)], 3)
                       for name, share in (("p50", 0.5), ("p99", 0.99)) if ordered}
        numbers = [[*key, ranges(found)] for key, found in self.numbers.items()]
        self.history.saw("report", count=self.count, begin=self.begin, numbers=numbers, **percentiles, **more)
        self.clear()


def kafka_producer(client):
    setup, report, sent = client.setup, Report(client), 0
    producer = confluent_kafka.Producer({
        **LIBRDKAFKA, "bootstrap.servers": client.bootstrap, "enable.idempotence": True, "linger.ms": 0,
        "message.timeout.ms": DELIVERY_SECONDS * 1000})

    def told(number, begin):
        def callback(error, _message):
            if error is not None:
                raise AssertionError(f"a record was refused: {error}")
            report.add(client.name, number, begin)
        return callback

    for number in client.paced(wait=producer.poll):
        producer.produce(setup["topic"], client.body(client.value(number)), b"%d" % key_of(number, setup["keys"]),
                         number % setup["partitions"], on_delivery=told(number, time.monotonic()))
        sent = number + 1
        producer.poll(0)
    producer.flush(60)
    report.tell_when_due(now=True, sent=sent)


def kafka_consumer(client):
    report, order, topics = Report(client), Order(), client.setup["topics"]
    consumer = confluent_kafka.Consumer({
        **LIBRDKAFKA, "bootstrap.servers": client.bootstrap, "group.id": "soak", "auto.offset.reset": "earliest",
        "session.timeout.ms": 6000, "auto.commit.interval.ms": 1000})

    def assigned(_consumer, places):
        for place in places:
            order.begin((place.topic, place.partition))

    consumer.subscribe(list(topics), on_assign=assigned)
    while not client.stopping.is_set():
        message = consumer.poll(0.1)
        if message is None or message.error():
            report.tell_when_due()
            continue
        writer, number = number_of(value_in(message.value()))
        place = message.topic(), message.partition()
        expected = order.take(place, number, topics[message.topic()])
        if expected is not None:
            client.history.saw("broken", writer=writer, number=number, expected=expected)
        report.add(writer, number)
    report.tell_when_due(now=True)
    consumer.close()


def amqp_publisher(client):
    numbers, report, sent = client.paced(), Report(client), 0

    def publish(connection):
        nonlocal sent
        channel = connection.channel()
        channel.confirm_delivery()
        for number in numbers:
            begin, sent = time.monotonic(), number + 1
            channel.basic_publish("", QUEUE, client.body(client.value(number)), pika.BasicProperties(delivery_mode=2))
            report.add(client.name, number, begin)
    over_connections(client, publish)
    report.tell_when_due(now=True, sent=sent)


def amqp_consumer(client):
    report, newest = Report(client), -1

    def consume(connection):
        nonlocal newest
        channel = connection.channel()
        channel.basic_qos(prefetch_count=100)
        for method, _properties, body in channel.consume(QUEUE, inactivity_timeout=0.1):
            if method is not None:
                writer, number = number_of(value_in(body))
                if not method.redelivered:
                    if number <= newest:
                        client.history.saw("broken", writer=writer, number=number, expected=newest + 1)
                    newest = max(newest, number)
                report.add(writer, number, again=method.redelivered)
                channel.basic_ack(method.delivery_tag)
            if client.stopping.is_set():
                return

    def consume_and_tell(connection):
        try:
            consume(connection)
        finally:  # no report reaches over a restart: what comes again to another consumer began later
            report.tell_when_due(now=True)
    over_connections(client, consume_and_tell)


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
