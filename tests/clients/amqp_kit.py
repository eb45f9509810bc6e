"""What the pika tests share."""
import sys
from contextlib import contextmanager
from pathlib import Path

import pika

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))
from harness import Broker, wait_for  # noqa: E402, F401

PERSISTENT = pika.BasicProperties(delivery_mode=2)


def parameters(broker, **changes):
    settings = {"heartbeat": 0, "blocked_connection_timeout": 20, "socket_timeout": 10, **changes}
    return pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"], **settings)


@contextmanager
def connected(broker, **changes):
    connection = pika.BlockingConnection(parameters(broker, **changes))
    try:
        yield connection
    finally:
        if connection.is_open:
            connection.close()


@contextmanager
def channel(broker, **changes):
    with connected(broker, **changes) as connection:
        yield connection.channel()


def durable(channel, name, kind="classic", **arguments):
    return channel.queue_declare(name, durable=True, arguments={"x-queue-type": kind, **arguments})


def publish(channel, queue, *bodies, properties=PERSISTENT):
    for body in bodies:
        channel.basic_publish("", queue, body, properties)


def publish_confirmed(broker, queue, *bodies, properties=PERSISTENT):
    """Returns once all are stored."""
    with channel(broker) as ch:
        ch.confirm_delivery()
        publish(ch, queue, *bodies, properties=properties)


def get(channel, queue, count, auto_ack=False):
    """(method, properties, body) of as many messages, which must be there now."""
    got = [channel.basic_get(queue, auto_ack=auto_ack) for _ in range(count)]
    assert all(method is not None for method, _, _ in got), f"{queue} holds fewer than {count} messages"
    return got


def receive(channel, queue, count, seconds=15, **settings):
    """Consumes until `count` messages came; the consumer is gone afterwards, the messages stay open."""
    got = []
    for method, properties, body in channel.consume(queue, inactivity_timeout=seconds, **settings):
        assert method is not None, f"only {len(got)} of {count} messages came within {seconds} s"
        got.append((method, properties, body))
        if len(got) == count:
            return got


def bodies(got):
    return [body for _, _, body in got]


def ready_count(channel, queue):
    return channel.queue_declare(queue, passive=True).method.message_count
