"""pika: durable, transient and server-named queues, confirms, get, consume, acks of all kinds, purge, delete, and what
the broker refuses. argv: HOST:PORT."""
import sys

import pika
from pika import exceptions

host, port = sys.argv[1].split(":")
connection = pika.BlockingConnection(pika.ConnectionParameters(host, int(port), heartbeat=0))
durable = pika.BasicProperties(content_type="text/plain", delivery_mode=2, headers={"colour": "blue", "n": 7},
                               message_id="m", timestamp=1_700_000_000, priority=0)


def refused(code, call):
    """Runs `call` on a channel of its own, which the broker closes."""
    channel = connection.channel()
    try:
        call(channel)
        raise SystemExit(f"was not refused with {code}")
    except exceptions.ChannelClosedByBroker as error:
        assert error.reply_code == code, error


def work_queue():
    channel = connection.channel()
    channel.confirm_delivery()
    assert channel.queue_declare("work", durable=True).method.message_count == 0
    channel.queue_declare("work", passive=True)
    for body in (b"one", b"two", b"", b"four"):
        channel.basic_publish("", "work", body, durable)
    try:
        channel.basic_publish("", "nowhere", b"lost", durable, mandatory=True)
        raise SystemExit("was not returned")
    except exceptions.UnroutableError:
        pass
    method, properties, body = channel.basic_get("work")
    assert (body, method.redelivered, properties.headers["colour"]) == (b"one", False, "blue")
    channel.basic_nack(method.delivery_tag, requeue=True)
    channel.basic_qos(prefetch_count=10)
    bodies = []
    for method, _, body in channel.consume("work", inactivity_timeout=5):
        bodies.append((body, method.redelivered))
        if len(bodies) == 4:
            channel.basic_ack(method.delivery_tag, multiple=True)
            break
    assert bodies == [(b"one", True), (b"two", False), (b"", False), (b"four", False)], bodies
    channel.cancel()
    assert channel.basic_get("work")[0] is None
    channel.close()


def tidy_up():
    channel = connection.channel()
    for _ in range(3):
        channel.basic_publish("", "work", b"again", durable)
    assert channel.queue_purge("work").method.message_count == 3
    named = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", named, b"mine")
    assert channel.basic_get(named, auto_ack=True)[2] == b"mine"
    channel.queue_delete(named)
    channel.queue_delete("work")
    channel.queue_delete("work")
    channel.close()


def refusals():
    refused(404, lambda c: c.queue_declare("absent", passive=True))
    refused(404, lambda c: c.basic_get("absent"))
    connection.channel().queue_declare("fixed", durable=True)
    refused(406, lambda c: c.queue_declare("fixed", durable=False))
    refused(406, lambda c: c.queue_declare("fixed", durable=True, arguments={"x-max-length": 5}))
    refused(403, lambda c: c.queue_declare("amq.mine"))
    channel = connection.channel()
    channel.basic_ack(99)
    try:
        channel.queue_declare("fixed", passive=True)
    except exceptions.ChannelClosedByBroker as error:
        assert error.reply_code == 406, error
    channel = connection.channel()
    channel.queue_delete("fixed")
    channel.close()


def transaction():
    channel = connection.channel()
    channel.queue_declare("ledger", durable=True)
    channel.tx_select()
    channel.basic_publish("", "ledger", b"undone", durable)
    channel.tx_rollback()
    channel.basic_publish("", "ledger", b"kept", durable)
    channel.tx_commit()
    method, _, body = channel.basic_get("ledger")
    assert body == b"kept"
    channel.basic_reject(method.delivery_tag, requeue=False)
    channel.tx_commit()
    channel.queue_delete("ledger")
    channel.close()


work_queue()
tidy_up()
refusals()
transaction()
connection.close()
