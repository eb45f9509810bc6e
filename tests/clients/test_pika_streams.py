"""Streams over AMQP 0-9-1 with pika, and the same stream as a Kafka topic."""
import pika
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from pika import exceptions

from amqp_kit import Broker, bodies, channel, connected, durable, publish, publish_confirmed, ready_count


@pytest.fixture(scope="module")
def broker():
    with Broker() as broker:
        yield broker


def numbers(first, last):
    return [b"%d" % i for i in range(first, last)]


def read(broker, name, count, offset, prefetch=100):
    """Acknowledges as it goes, which is what lets more messages out."""
    got = []
    with channel(broker) as ch:
        ch.basic_qos(prefetch_count=prefetch)
        for method, properties, body in ch.consume(name, inactivity_timeout=10, arguments={"x-stream-offset": offset}):
            assert method is not None, f"only {len(got)} of {count} messages came"
            got.append((method, properties, body))
            ch.basic_ack(method.delivery_tag)
            if len(got) == count:
                return got


def offsets(got):
    return [properties.headers["x-stream-offset"] for _, properties, _ in got]


@pytest.fixture(scope="module")
def log(broker):
    with channel(broker) as ch:
        durable(ch, "log", "stream")
    publish_confirmed(broker, "log", *numbers(0, 500))
    return "log"


def test_a_stream_is_read_as_often_as_wanted(broker, log):
    for prefetch in (1, 100):
        got = read(broker, log, 500, "first", prefetch)
        assert bodies(got) == numbers(0, 500)
        assert offsets(got) == list(range(500))


def test_from_an_offset(broker, log):
    got = read(broker, log, 100, 400)
    assert bodies(got) == numbers(400, 500)
    assert offsets(got) == list(range(400, 500))


def test_last_ends_with_the_last_message(broker, log):
    assert bodies(read(broker, log, 1, "last")) != [b"0"]


def test_next_gives_only_what_comes_later(broker):
    with channel(broker) as ch:
        durable(ch, "live", "stream")
    publish_confirmed(broker, "live", b"old")
    with connected(broker) as connection:
        ch = connection.channel()
        ch.basic_qos(prefetch_count=10)
        got = []
        ch.basic_consume("live", lambda _c, method, _p, body: got.append(body), arguments={"x-stream-offset": "next"})
        publish_confirmed(broker, "live", b"new")
        connection.sleep(2)
        assert got == [b"new"]


def test_by_time(broker):
    with channel(broker) as ch:
        durable(ch, "timed", "stream")
    publish_confirmed(broker, "timed", b"early")
    assert bodies(read(broker, "timed", 1, "1h")) == [b"early"]


def test_prefetch_is_credit(broker, log):
    with connected(broker) as connection:
        ch = connection.channel()
        ch.basic_qos(prefetch_count=7)
        got = []
        ch.basic_consume(log, lambda _c, method, _p, body: got.append(method.delivery_tag),
                         arguments={"x-stream-offset": "first"})
        connection.sleep(1)
        assert len(got) == 7
        ch.basic_ack(got[2], multiple=True)
        connection.sleep(1)
        assert len(got) == 10


def test_what_streams_do_not_do(broker, log):
    def consume(ch, **settings):
        ch.basic_consume(log, lambda *_: None, **settings)

    with pytest.raises(exceptions.ChannelClosedByBroker) as caught:
        with channel(broker) as ch:
            consume(ch)
    assert caught.value.reply_code == 406
    assert "prefetch count is not set" in caught.value.reply_text
    for act in (lambda ch: (ch.basic_qos(prefetch_count=1), consume(ch, auto_ack=True)),
                lambda ch: ch.basic_get(log), lambda ch: ch.queue_purge(log)):
        with pytest.raises(exceptions.ConnectionClosedByBroker) as caught:
            with channel(broker) as ch:
                act(ch)
        assert caught.value.reply_code == 540


def test_a_kafka_topic_is_a_stream_queue(broker):
    producer = KafkaProducer(bootstrap_servers=broker.address("kafka"), acks="all")
    for i in range(100):
        producer.send("topic", b"%d" % i, key=b"k%d" % i, headers=[("colour", "grün".encode())])
    producer.send("topic", b"")
    producer.flush()
    with channel(broker) as ch:
        assert ready_count(ch, "topic") == 101
        assert durable(ch, "topic", "stream").method.message_count == 101
        publish(ch, "topic", b"from AMQP")
    got = read(broker, "topic", 102, "first")
    assert bodies(got) == numbers(0, 100) + [b"", b"from AMQP"]
    assert offsets(got) == list(range(102))
    assert got[7][1].headers["colour"] == "grün"
    assert got[7][1].headers["x-polylog-key"] == "k7"
    producer.close()


def test_a_stream_queue_is_a_kafka_topic(broker):
    with channel(broker) as ch:
        durable(ch, "declared", "stream")
    publish_confirmed(broker, "declared", *numbers(0, 50), b"",
                      properties=pika.BasicProperties(delivery_mode=2, headers={"colour": "grün"}))
    consumer = KafkaConsumer(bootstrap_servers=broker.address("kafka"), auto_offset_reset="earliest",
                             consumer_timeout_ms=5000)
    partition = TopicPartition("declared", 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    got = []
    for record in consumer:
        got.append(record)
        if len(got) == 51:
            break
    consumer.close()
    assert [record.value for record in got] == numbers(0, 50) + [b""]
    assert [record.offset for record in got] == list(range(51))
    assert ("colour", "grün".encode()) in got[0].headers


def test_a_stream_survives_kill():
    with Broker() as broker:
        with channel(broker) as ch:
            durable(ch, "log", "stream")
        publish_confirmed(broker, "log", *numbers(0, 100))
        broker.kill()
        broker.start()
        assert bodies(read(broker, "log", 100, "first")) == numbers(0, 100)
