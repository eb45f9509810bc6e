"""Queues over AMQP 0-9-1 with pika: declare, publish, get, purge, delete, and the error for each thing that is wrong."""
import pika
import pytest
from pika import exceptions

from amqp_kit import (Broker, PERSISTENT, bodies, channel, connected, durable, get, publish, publish_confirmed, ready_count)


@pytest.fixture(scope="module")
def broker():
    with Broker() as broker:
        yield broker


def closes_channel(broker, code, act, text=""):
    with connected(broker) as connection:
        with pytest.raises(exceptions.ChannelClosedByBroker) as caught:
            act(connection.channel())
        assert caught.value.reply_code == code, caught.value.reply_text
        assert text in caught.value.reply_text
        assert connection.channel().is_open  # the connection lives on


def closes_connection(broker, code, act):
    with pytest.raises(exceptions.ConnectionClosedByBroker) as caught:
        with channel(broker) as ch:
            act(ch)
    assert caught.value.reply_code == code, caught.value.reply_text


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_confirmed_messages_come_out_in_order_and_are_gone_after_the_ack(broker, kind):
    name = f"orders-{kind}"
    sent = [b"%d" % i for i in range(200)]
    with channel(broker) as ch:
        assert durable(ch, name, kind).method.queue == name
    publish_confirmed(broker, name, *sent)
    with channel(broker) as ch:
        got = get(ch, name, 200)
        assert bodies(got) == sent
        assert [method.delivery_tag for method, _, _ in got] == list(range(1, 201))
        assert [method.message_count for method, _, _ in got] == list(range(199, -1, -1))
        ch.basic_ack(200, multiple=True)
        assert ready_count(ch, name) == 0
    with channel(broker) as ch:
        assert ch.basic_get(name) == (None, None, None)


def test_properties_headers_and_bodies_come_back_untouched(broker):
    sent = pika.BasicProperties(content_type="text/plain", content_encoding="utf-8", delivery_mode=2, priority=3,
                                correlation_id="c", reply_to="r", message_id="m", timestamp=1700000000, type="t",
                                user_id="guest", app_id="a",
                                headers={"text": "grün", "number": 7, "big": 1 << 40, "yes": True, "none": None,
                                         "list": [1, "two"], "table": {"inner": "x"}})
    with channel(broker) as ch:
        durable(ch, "properties")
        publish(ch, "properties", b"", b"\x00\xff" * 100_000, properties=sent)
        for body in (b"", b"\x00\xff" * 100_000):
            [(_, properties, got)] = get(ch, "properties", 1, auto_ack=True)
            assert got == body
            assert properties == sent


def test_an_unconfirmed_publish_is_there_for_the_next_method(broker):
    with channel(broker) as ch:
        durable(ch, "pipelined")
        publish(ch, "pipelined", b"a", b"b")
        assert ready_count(ch, "pipelined") == 2


def test_server_named_queues(broker):
    with channel(broker) as ch:
        name = ch.queue_declare("", exclusive=True).method.queue
        assert name.startswith("amq.gen-") and len(name) == len("amq.gen-") + 22
        publish(ch, name, b"x")
        assert bodies(get(ch, "", 1)) == [b"x"]  # the channel's last declared queue


def test_purge_counts_and_spares_what_is_unacknowledged(broker):
    with channel(broker) as ch:
        durable(ch, "purged")
        publish(ch, "purged", *[b"x"] * 5)
        get(ch, "purged", 2)
        assert ch.queue_purge("purged").method.message_count == 3
        ch.basic_nack(0, multiple=True, requeue=True)
        assert ready_count(ch, "purged") == 2


def test_delete_counts_and_is_idempotent(broker):
    with channel(broker) as ch:
        durable(ch, "deleted")
        publish(ch, "deleted", b"x", b"y")
        assert ch.queue_delete("deleted").method.message_count == 2
        assert ch.queue_delete("deleted").method.message_count == 0
    closes_channel(broker, 404, lambda ch: ch.queue_declare("deleted", passive=True),
                   "NOT_FOUND - no queue 'deleted' in vhost '/'")


def test_delete_if_empty_and_if_unused(broker):
    with channel(broker) as ch:
        durable(ch, "kept")
        publish(ch, "kept", b"x")
        ch.basic_consume("kept", lambda *_: None)
        closes_channel(broker, 406, lambda other: other.queue_delete("kept", if_unused=True), "in use")
    closes_channel(broker, 406, lambda other: other.queue_delete("kept", if_empty=True), "not empty")


def test_redeclaring_the_same_is_fine_and_anything_else_is_406(broker):
    with channel(broker) as ch:
        durable(ch, "same", **{"x-max-length": 10})
        durable(ch, "same", **{"x-max-length": 10})
    closes_channel(broker, 406, lambda ch: ch.queue_declare("same", durable=False),
                   "inequivalent arg 'durable' for queue 'same' in vhost '/': received 'false' but current is 'true'")
    closes_channel(broker, 406, lambda ch: durable(ch, "same", **{"x-max-length": 11}), "inequivalent arg 'x-max-length'")
    closes_channel(broker, 406, lambda ch: durable(ch, "same", "quorum"), "inequivalent arg 'x-queue-type'")


def test_arguments_are_checked(broker):
    closes_channel(broker, 406, lambda ch: durable(ch, "bad", **{"x-message-ttl": -1}), "invalid arg 'x-message-ttl'")
    closes_channel(broker, 406, lambda ch: durable(ch, "bad", "quorun"))
    closes_channel(broker, 406, lambda ch: ch.queue_declare("bad", arguments={"x-queue-type": "quorum"}))
    closes_channel(broker, 403, lambda ch: ch.queue_declare("amq.mine"), "reserved prefix")


def test_an_exclusive_queue_is_its_connections_and_goes_with_it(broker):
    with channel(broker) as ch:
        ch.queue_declare("mine", exclusive=True)
        ch.queue_declare("mine", exclusive=True)
        closes_channel(broker, 405, lambda other: other.queue_declare("mine", exclusive=True), "RESOURCE_LOCKED")
        closes_channel(broker, 405, lambda other: other.basic_get("mine"))
    for _ in range(100):
        try:
            with channel(broker) as ch:
                ch.queue_declare("mine", passive=True)
        except exceptions.ChannelClosedByBroker as closed:
            if closed.reply_code == 404:
                return
    pytest.fail("the queue is still there")


def test_unroutable_messages(broker):
    with channel(broker) as ch:
        ch.confirm_delivery()
        ch.basic_publish("", "nowhere", b"dropped")  # confirmed all the same
        with pytest.raises(exceptions.UnroutableError) as caught:
            ch.basic_publish("", "nowhere", b"returned", PERSISTENT, mandatory=True)
        [returned] = caught.value.messages
        assert (returned.method.reply_code, returned.method.reply_text) == (312, "NO_ROUTE")
        assert returned.body == b"returned"
        ch.basic_publish("amq.topic", "a.b", b"no bindings yet")


def test_what_is_wrong_with_a_publish(broker):
    def publish_and_wait(ch, exchange="", **settings):
        ch.basic_publish(exchange, "q", b"x", pika.BasicProperties(**settings))
        ch.basic_qos(prefetch_count=1)

    closes_channel(broker, 404, lambda ch: publish_and_wait(ch, "missing"), "no exchange 'missing' in vhost '/'")
    closes_channel(broker, 406, lambda ch: publish_and_wait(ch, user_id="somebody"), "user_id")
    closes_channel(broker, 406, lambda ch: publish_and_wait(ch, expiration="soon"), "expiration")


def test_copies_by_cc_and_hidden_copies_by_bcc(broker):
    with channel(broker) as ch:
        for name in ("to", "cc", "bcc"):
            durable(ch, name)
        ch.confirm_delivery()
        publish(ch, "to", b"x", properties=pika.BasicProperties(headers={"CC": ["cc", "to"], "BCC": ["bcc", "cc"]}))
        for name in ("to", "cc", "bcc"):
            [(_, properties, body)] = get(ch, name, 1, auto_ack=True)
            assert body == b"x"
            assert properties.headers == {"CC": ["cc", "to"]}
            assert ready_count(ch, name) == 0


def test_exchanges_that_are_always_there(broker):
    with channel(broker) as ch:
        for name, kind in [("amq.direct", "direct"), ("amq.topic", "topic"), ("amq.fanout", "fanout")]:
            ch.exchange_declare(name, passive=True)
            ch.exchange_declare(name, kind, durable=True)
        ch.exchange_delete("never-there")
    closes_channel(broker, 404, lambda ch: ch.exchange_declare("missing", passive=True))
    closes_channel(broker, 406, lambda ch: ch.exchange_declare("amq.direct", "topic", durable=True), "inequivalent")
    with channel(broker) as ch:
        durable(ch, "bound")
    closes_channel(broker, 403, lambda ch: ch.queue_bind("bound", "", "key"))


def test_what_is_not_there_yet_says_so(broker):
    closes_connection(broker, 540, lambda ch: ch.exchange_declare("mine", "topic"))
    closes_connection(broker, 540, lambda ch: (durable(ch, "bound"), ch.queue_bind("bound", "amq.topic", "#")))
    closes_connection(broker, 540, lambda ch: ch.basic_qos(prefetch_size=1))


def test_two_queues_in_one_burst_are_confirmed_each(broker):
    with channel(broker) as ch:
        durable(ch, "left"), durable(ch, "right")
        ch.confirm_delivery()
        for i in range(50):
            publish(ch, "left" if i % 2 else "right", b"%d" % i)
        assert ready_count(ch, "left") == ready_count(ch, "right") == 25


def test_a_message_at_the_limit_and_one_past_it(broker):
    limit = 16 * 1024 * 1024
    with channel(broker) as ch:
        durable(ch, "large")
    publish_confirmed(broker, "large", b"x" * limit)
    with channel(broker) as ch:
        assert len(bodies(get(ch, "large", 1, auto_ack=True))[0]) == limit
    closes_channel(broker, 406, lambda ch: (publish(ch, "large", b"x" * (limit + 1)), ch.basic_qos(prefetch_count=1)),
                   "larger than configured max size")
