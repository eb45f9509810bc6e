"""Every limit a client can meet: the largest thing goes through whole, one past it is refused by name, life goes on."""
import struct

import pika
import pytest

from harness import Broker, closed_within, wait_for
from kafka_wire import (INVALID_TOPIC, MESSAGE_TOO_LARGE, METADATA, NONE, POLICY_VIOLATION, TOPIC_EXISTS, Batches, Wire,
                        batch, batch_of_bytes)

MESSAGE_BYTES_MAX_DEFAULT = 1_048_588
LARGE = 20_000_000
REQUEST_BYTES_MAX = 104_857_600
AMQP_MESSAGE_BYTES_MAX = 16 << 20
MEMORY_BYTES, MEMORY_BYTES_PER_PARTITION = 64 << 20, 10 << 10


@pytest.fixture(scope="module")
def broker():
    with Broker() as started:
        yield started


@pytest.fixture
def wire(broker):
    with Wire(broker, 30) as connection:
        yield connection


@pytest.fixture
def amqp(broker):
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"], heartbeat=0))
    yield connection
    if connection.is_open:
        connection.close()


@pytest.mark.parametrize("limit,configs", [(MESSAGE_BYTES_MAX_DEFAULT, {}), (LARGE, {"max_message_bytes": LARGE})],
                         ids=["default", "20 MB"])
def test_a_batch_at_max_message_bytes_is_kept_whole_and_one_past_it_is_refused(wire, limit, configs):
    topic = f"limit-{limit}"
    assert wire.create_topic(topic, **configs) == NONE
    largest = batch_of_bytes(limit)
    assert wire.produce(topic, largest) == (NONE, 0)
    assert wire.produce(topic, batch_of_bytes(limit + 1))[0] == MESSAGE_TOO_LARGE
    assert wire.produce(topic, batch(b"the connection lives on")) == (NONE, 1)
    error, _high, records = wire.fetch(topic, 0, bytes_max=1 << 20)  # the first batch comes whole, whatever the limit
    assert error == NONE
    assert [(offset, crc, covered == largest[21:]) for offset, crc, covered in Batches(records)][:1] == [(0, True, True)]


def test_a_request_at_the_length_limit_is_read_and_one_past_it_closes_the_connection(broker, wire):
    assert wire.create_topic("request") == NONE
    empty = len(wire.produce_body("request", b"")) + 10
    assert wire.produce("request", b"\0" * (REQUEST_BYTES_MAX - empty))[0] not in (NONE, None)
    assert wire.works()
    with broker.connect("kafka") as other:
        other.sendall(struct.pack(">i", REQUEST_BYTES_MAX + 1) + b"\0" * 1000)
        assert closed_within(other, 5)
    assert wire.works()


@pytest.mark.parametrize("length,error", [(249, NONE), (250, INVALID_TOPIC)])
def test_a_topic_name_has_at_most_249_characters(wire, length, error):
    assert wire.create_topic("t" * length) == error
    if error == NONE:
        assert wire.create_topic("t" * length) == TOPIC_EXISTS
        assert wire.produce("t" * length, batch(b"x")) == (NONE, 0)


def test_auto_creation_refuses_a_name_of_250_characters(wire):
    name = b"a" * 250
    wire.send(METADATA, 4, struct.pack(">ih", 1, len(name)) + name + b"\1")
    assert struct.pack(">h", INVALID_TOPIC) + struct.pack(">h", len(name)) + name in wire.receive()
    assert wire.works()


def test_there_are_as_many_partitions_and_queues_as_memory_allows_and_one_more_is_refused():
    most = MEMORY_BYTES // MEMORY_BYTES_PER_PARTITION
    with Broker("--set", f"memory_bytes_max={MEMORY_BYTES}") as small, Wire(small, 30) as wire:
        amqp = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", small.ports["amqp"]))
        amqp.channel().queue_declare("q", durable=True)
        assert wire.create_topic("wide", partitions=most) == POLICY_VIOLATION
        assert wire.create_topic("wide", partitions=most - 1) == NONE
        assert wire.create_topic("more") == POLICY_VIOLATION
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
            amqp.channel().queue_declare("more", durable=True)
        assert closed.value.reply_code == 406 and "memory_bytes_max" in closed.value.reply_text
        assert small.memory_bytes() <= 1.25 * MEMORY_BYTES
        assert wire.delete_topic("wide") == NONE
        wait_for(lambda: wire.create_topic("more") == NONE, 10, "room for a topic, when the one before is dropped")
        amqp.close()


def test_a_queue_name_of_255_bytes_works_and_longer_ones_cannot_be_said(amqp):
    name = "q" * 255
    channel = amqp.channel()
    channel.confirm_delivery()
    channel.queue_declare(name, durable=True)
    channel.basic_publish("", name, b"body")
    assert channel.basic_get(name, auto_ack=True)[2] == b"body"
    with pytest.raises(pika.exceptions.ShortStringTooLong):
        channel.queue_declare("q" * 256, durable=True)  # a short string's length is one byte: pika itself refuses


def test_an_amqp_message_of_16_mib_is_kept_whole_and_one_byte_more_is_refused(amqp):
    channel = amqp.channel()
    channel.confirm_delivery()
    channel.queue_declare("large", durable=True)
    body = bytes(range(256)) * (AMQP_MESSAGE_BYTES_MAX // 256)
    channel.basic_publish("", "large", body)
    assert channel.basic_get("large", auto_ack=True)[2] == body
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        channel.basic_publish("", "large", body + b"x")
    assert closed.value.reply_code == 406
    again = amqp.channel()
    assert again.queue_declare("large", passive=True).method.message_count == 0


def amqp_frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def open_amqp(sock, frame_max):
    """The handshake by hand, up to an open channel 1."""
    def read_frame():
        head = sock.recv(7, 0x100)  # MSG_WAITALL
        return head[0], sock.recv(struct.unpack(">I", head[3:7])[0] + 1, 0x100)[:-1]
    login = b"\0guest\0guest"
    sock.sendall(b"AMQP\0\0\x09\x01")
    assert read_frame()[1][:4] == b"\0\x0a\0\x0a"
    sock.sendall(amqp_frame(1, 0, struct.pack(">HHI", 10, 11, 0) + b"\x05PLAIN" + struct.pack(">I", len(login)) + login +
                            b"\x05en_US"))
    assert read_frame()[1][:4] == b"\0\x0a\0\x1e"
    sock.sendall(amqp_frame(1, 0, struct.pack(">HHHIH", 10, 31, 10, frame_max, 0)) +
                 amqp_frame(1, 0, struct.pack(">HH", 10, 40) + b"\x01/\0\0"))
    assert read_frame()[1][:4] == b"\0\x0a\0\x29"
    sock.sendall(amqp_frame(1, 1, struct.pack(">HH", 20, 10) + b"\0"))
    assert read_frame()[1][:4] == b"\0\x14\0\x0b"
    return read_frame


@pytest.mark.parametrize("frame_max", [4096, 131_072])
def test_a_frame_of_frame_max_is_read_and_one_past_it_closes_the_connection(broker, amqp, frame_max):
    queue = f"frames-{frame_max}"
    channel = amqp.channel()
    channel.queue_declare(queue, durable=True)
    body = b"f" * frame_max  # 8 bytes of framing around it are tolerated: clients count them differently
    with broker.connect("amqp") as sock:
        read_frame = open_amqp(sock, frame_max)
        publish = amqp_frame(1, 1, struct.pack(">HHHB", 60, 40, 0, 0) + bytes([len(queue)]) + queue.encode() + b"\0")
        sock.sendall(publish + amqp_frame(2, 1, struct.pack(">HHQH", 60, 0, len(body), 0)) + amqp_frame(3, 1, body) +
                     amqp_frame(1, 1, struct.pack(">HHIHB", 60, 10, 0, 1, 0)))
        assert read_frame()[1][:4] == b"\0\x3c\0\x0b"  # basic.qos-ok
        sock.sendall(publish + amqp_frame(2, 1, struct.pack(">HHQH", 60, 0, len(body) + 1, 0)) +
                     amqp_frame(3, 1, body + b"f"))
        kind, payload = read_frame()
        assert (kind, payload[:6]) == (1, struct.pack(">HHH", 10, 50, 501))  # connection.close, frame error
        assert closed_within(sock, 15)
    assert channel.basic_get(queue, auto_ack=True)[2] == body
    assert channel.basic_get(queue)[0] is None


def test_an_exclusive_queue_goes_even_if_its_connection_failed_before_it_was_there(broker):
    exclusive = 4
    declare = struct.pack(">HHH", 50, 10, 0) + b"\x04mine" + bytes([exclusive]) + struct.pack(">I", 0)
    no_such_method, close_ok = struct.pack(">HH", 10, 99), struct.pack(">HH", 10, 51)
    with broker.connect("amqp") as sock:
        read_frame = open_amqp(sock, 131_072)
        sock.sendall(amqp_frame(1, 1, declare) + amqp_frame(1, 0, no_such_method))
        while read_frame()[1][:4] != struct.pack(">HH", 10, 50):
            pass
        wait_for(lambda: "mine" in broker.http("/v1/queues")[1], 5, "the queue of the connection that is being closed")
        sock.sendall(amqp_frame(1, 0, close_ok))

    def is_free():
        connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"]))
        try:
            connection.channel().queue_declare("mine", exclusive=True)
            return True
        except pika.exceptions.ChannelClosedByBroker as locked:
            assert locked.reply_code == 405
            return False
        finally:
            connection.close()
    wait_for(is_free, 5, "the name of the exclusive queue")
