"""AMQP clients of a round: unmodified pika. They connect again over whatever happens to the broker."""
import random

import pika

from client import QUEUE, value_in

SETTLE_COUNT = 20
PREFETCH = 100


def amqp_connection(client):
    return pika.BlockingConnection(pika.ConnectionParameters(
        "127.0.0.1", client.setup["amqp"], heartbeat=0, socket_timeout=5, blocked_connection_timeout=None))


def over_connections(client, work):
    """Runs `work(connection)` until the client is stopped, on a new connection whenever the old one breaks."""
    while not client.stopping.is_set():
        try:
            connection = amqp_connection(client)
        except (pika.exceptions.AMQPError, OSError, ValueError):  # ValueError: it broke at once
            client.stopping.wait(0.05)
            continue
        try:
            work(connection)
            client.history.saw("closed")
            connection.close()
        except (pika.exceptions.AMQPError, OSError) as error:
            client.history.saw("closed", error=repr(error)[:100])


def amqp_publisher(client):
    numbers = client.paced()

    def publish(connection):
        channel = connection.channel()
        channel.confirm_delivery()
        for number in numbers:
            op = client.history.invoke("publish", queue=QUEUE, value=client.value(number))
            channel.basic_publish("", QUEUE, client.body(client.value(number)), pika.BasicProperties(delivery_mode=2))
            op.ok()
    # Numbers go on over connections: a message whose confirm never came is not published again.
    over_connections(client, publish)


def amqp_consumer(client):
    dice = random.Random(client.setup["seed"])

    def settle(channel, values, tags):
        op = client.history.invoke("settle", queue=QUEUE, values=values)
        for tag in tags:
            channel.basic_ack(tag)
        channel.basic_qos(prefetch_count=PREFETCH)  # its answer says that the acks are durable
        op.ok()

    def consume(connection):
        channel = connection.channel()
        channel.basic_qos(prefetch_count=PREFETCH)
        values, tags = [], []
        for method, _properties, body in channel.consume(QUEUE, inactivity_timeout=0.1):
            if method is not None:
                client.history.saw("delivered", queue=QUEUE, value=value_in(body), redelivered=method.redelivered)
                if dice.random() < 0.02:
                    client.history.saw("returned", queue=QUEUE, value=value_in(body))
                    channel.basic_reject(method.delivery_tag, requeue=True)
                    continue
                values.append(value_in(body))
                tags.append(method.delivery_tag)
            if values and (method is None or len(values) >= SETTLE_COUNT):
                settle(channel, values, tags)
                values, tags = [], []
            if client.stopping.is_set():
                break
    over_connections(client, consume)
