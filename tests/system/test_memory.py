"""Memory stays within 1.25 times memory_bytes_max whatever clients do, and nothing acknowledged is dropped for it."""
import contextlib
import os
import re
import struct
import threading
import time
import zlib
from pathlib import Path

import pika
import pytest

from harness import Broker, wait_for
from kafka_wire import BATCH_HEADER_BYTES, GZIP, NONE, ZSTD, Batches, Wire, batch, batch_of, varint

MEMORY_BYTES = 400 << 20
PEAK_BYTES_MAX = MEMORY_BYTES * 5 // 4
MIB = 1 << 20
VALUE = os.urandom(1_000_000)
PRODUCERS = 24
SECONDS_OF_LOAD = 5
BOMB_BYTES = 100_000_000
REQUEST_BYTES_MAX = 104_857_600


def peak_bytes(broker):
    """The largest resident set there ever was."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{broker.process.pid}/status").read_text())[1]) * 1024


@contextlib.contextmanager
def bounded_broker(*args):
    with Broker("--set", f"memory_bytes_max={MEMORY_BYTES // MIB}MiB", *args) as broker:
        yield broker
        peak = peak_bytes(broker)
        print(f"peak {peak // MIB} MiB of {PEAK_BYTES_MAX // MIB}")
        assert peak <= PEAK_BYTES_MAX, f"{peak // MIB} MiB resident with memory_bytes_max {MEMORY_BYTES // MIB} MiB"


def in_threads(works, seconds=60):
    errors = []

    def guarded(work):
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)
    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
        assert not thread.is_alive(), f"still busy after {seconds} s"
    if errors:
        raise errors[0]


def produce_without_waiting(broker, topic, partition, seconds, counts):
    """As fast as the socket takes it; the answers are read by another thread. What is too much is held back, not refused."""
    data = batch(VALUE)
    with Wire(broker, 60) as wire:
        sent, deadline = 0, time.monotonic() + seconds
        total = []

        def read_answers():
            acked = 0
            while not total or acked < total[0]:
                assert wire.receive_produced() == (NONE, acked)
                acked += 1
            counts[partition] = acked
        reader_errors = []

        def guarded():
            try:
                read_answers()
            except BaseException as error:  # noqa: BLE001 - raised again below
                reader_errors.append(error)
        reader = threading.Thread(target=guarded, daemon=True)
        reader.start()
        while time.monotonic() < deadline and not reader_errors:
            wire.send_produce(topic, data, partition)
            sent += 1
        total.append(sent + 1)
        wire.send_produce(topic, data, partition)
        reader.join(60)
        assert not reader.is_alive() and not reader_errors, f"of {sent} batches: {reader_errors}"


def fill(wire, topic, megabytes):
    """So many records of a megabyte, all acked."""
    assert wire.create_topic(topic) == NONE
    data = batch(VALUE)
    for number in range(megabytes + 4):
        if number < megabytes:
            wire.send_produce(topic, data)
        if number >= 4:
            assert wire.receive_produced() == (NONE, number - 4)


def test_producers_at_full_speed_are_slowed_down_and_lose_nothing():
    with bounded_broker() as broker:
        counts = {}
        with Wire(broker) as wire:
            assert wire.create_topic("load", PRODUCERS) == NONE
        in_threads([lambda p=p: produce_without_waiting(broker, "load", p, SECONDS_OF_LOAD, counts)
                    for p in range(PRODUCERS)], 90)
        print(f"{sum(counts.values())} MB acked")
        with Wire(broker, 30) as wire:
            for partition in range(PRODUCERS):
                error, high, records = wire.fetch("load", counts[partition] - 1, partition, bytes_max=2 * MIB)
                assert (error, high) == (NONE, counts[partition])
                assert [crc for _, crc, _ in Batches(records)] == [True]


def test_amqp_publishers_at_full_speed_are_slowed_down_and_lose_nothing():
    publishers, each = 8, 60
    with bounded_broker() as broker:
        def publish(number):
            connection = amqp(broker)
            channel = connection.channel()
            channel.queue_declare(f"q{number}", durable=True)
            for _ in range(each):
                channel.basic_publish("", f"q{number}", VALUE, pika.BasicProperties(delivery_mode=2))
            assert channel.queue_declare(f"q{number}", passive=True) is not None
            connection.close()  # what came before the close is stored
        in_threads([lambda n=n: publish(n) for n in range(publishers)])
        connection = amqp(broker)
        for number in range(publishers):
            assert connection.channel().queue_declare(f"q{number}", passive=True).method.message_count == each
        connection.close()


def amqp(broker, **settings):
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"], heartbeat=0, **settings))


@pytest.mark.parametrize("readers,asked", [(200, 1), (40, 40)], ids=["many", "greedy"])
def test_kafka_consumers_that_never_read_their_answers(readers, asked):
    """The data is on disk only: what is loaded for them is theirs alone."""
    with bounded_broker() as broker, Wire(broker, 30) as wire:
        fill(wire, "data", 600)
        stuck = [Wire(broker) for _ in range(readers)]
        for number, reader in enumerate(stuck):
            for _ in range(asked):
                reader.send_fetch("data", number % 100, bytes_max=50 * MIB, wait_ms=100)
        time.sleep(2)
        assert wire.works() and wire.produce("data", batch(b"others go on"))[0] == NONE

        def can_read():  # who does not read is sent away when memory is short
            error, _high, records = wire.fetch("data", 300, bytes_max=2 * MIB, wait_ms=500)
            assert error == NONE
            return next(iter(Batches(records)), (None, None))[:2] == (300, True)
        wait_for(can_read, 20, "those who read are served")
        for reader in stuck:
            reader.sock.close()


def test_amqp_consumers_that_never_read():
    consumers = 20
    with bounded_broker() as broker:
        connection = amqp(broker)
        channel = connection.channel()
        channel.confirm_delivery()
        for number in range(consumers):
            channel.queue_declare(f"q{number}", durable=True)
        stuck = []
        for number in range(consumers):
            sock = broker.connect("amqp")
            open_amqp(sock)
            queue = f"q{number}".encode()
            sock.sendall(frame(1, struct.pack(">HHHB", 60, 20, 0, len(queue)) + queue + b"\x00\x02\0\0\0\0"))  # no-ack
            stuck.append(sock)
        for number in range(consumers * 40):
            channel.basic_publish("", f"q{number % consumers}", VALUE, pika.BasicProperties(delivery_mode=2))
        time.sleep(1)
        connection.close()
        for sock in stuck:
            sock.close()


def frame(channel, payload):
    return struct.pack(">BHI", 1, channel, len(payload)) + payload + b"\xce"


def open_amqp(sock):
    login = b"\0guest\0guest"
    sock.sendall(b"AMQP\0\0\x09\x01" +
                 frame(0, struct.pack(">HHI", 10, 11, 0) + b"\x05PLAIN" + struct.pack(">I", len(login)) + login + b"\x05en_US") +
                 frame(0, struct.pack(">HHHIH", 10, 31, 100, 131_072, 0)) +
                 frame(0, struct.pack(">HH", 10, 40) + b"\x01/\0\0") + frame(1, struct.pack(">HH", 20, 10) + b"\0"))


@pytest.mark.parametrize("sent_bytes", [10, 60_000, 90_000_000], ids=["a little", "60 KB", "90 MB"])
def test_requests_that_claim_100_mib_and_are_never_finished(sent_bytes):
    """200 connections claim; for the largest, as many send as would fill memory five times over."""
    connections = 200 if sent_bytes < MIB else 20
    with bounded_broker() as broker:
        socks = [broker.connect("kafka", 10) for _ in range(connections)]
        body = b"\0\0\0\7" + b"\0" * (sent_bytes - 4)

        def claim(sock):
            sock.settimeout(2)
            with contextlib.suppress(TimeoutError, ConnectionError):  # held back, or closed, at some time
                sock.sendall(struct.pack(">i", REQUEST_BYTES_MAX) + body)
        in_threads([lambda s=s: claim(s) for s in socks])
        with Wire(broker) as wire:
            assert wire.works() and wire.create_topic("others") == NONE
            assert wire.produce("others", batch(b"go on")) == (NONE, 0)
        for sock in socks:
            sock.close()


def zstd_of_zeros(head, zeros):
    """A frame of one raw block and then run-length blocks: a thousand bytes for a hundred million."""
    def block(kind, size, data, last=0):
        return (last | kind << 1 | size << 3).to_bytes(3, "little") + data
    out, step = b"\x28\xb5\x2f\xfd\x00\x58" + block(0, len(head), head), 128 * 1024  # window 2 MiB
    while zeros > step:
        out += block(1, step, b"\0")
        zeros -= step
    return out + block(1, zeros, b"\0", 1)


def bomb(codec):
    """One record of 100 MB of zeros, sound in every respect."""
    value_bytes = BOMB_BYTES - 100
    inner = b"\0" + varint(0) + varint(0) + varint(-1) + varint(value_bytes)
    head = varint(len(inner) + value_bytes + 1) + inner
    if codec == ZSTD:
        return batch_of(zstd_of_zeros(head, value_bytes + 1), 1, ZSTD)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = packer.compress(head)
    for _ in range(value_bytes // MIB):
        packed += packer.compress(bytes(MIB))
    return batch_of(packed + packer.compress(bytes(value_bytes % MIB + 1)) + packer.flush(), 1, GZIP)


@pytest.mark.parametrize("codec", [GZIP, ZSTD], ids=["gzip", "zstd"])
def test_compression_bombs_are_taken_apart_within_bounds(codec):
    data = bomb(codec)
    assert BATCH_HEADER_BYTES < len(data) < 500_000
    with bounded_broker() as broker:
        with Wire(broker, 60) as wire:
            assert wire.create_topic("bombs", 1, message_timestamp_type="LogAppendTime") == NONE
            assert wire.create_topic("plain") == NONE

        def produce():
            with Wire(broker, 60) as wire:
                for _ in range(2):
                    wire.produce("bombs", data)
                    wire.produce("plain", data)
                assert wire.works()
        in_threads([produce] * 6)
        print(f"peak {peak_bytes(broker) // MIB} MiB for producing")

        def read_as_stream():
            connection = amqp(broker, blocked_connection_timeout=5)
            channel = connection.channel()
            channel.basic_qos(prefetch_count=1)
            with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
                channel.basic_consume("plain", lambda *_: None, arguments={"x-stream-offset": "first"})
                deadline = time.monotonic() + 20
                while time.monotonic() < deadline:
                    channel.basic_qos(prefetch_count=1)  # pika tells of the close to who waits for an answer
            assert closed.value.reply_code == 406 and "longer than what is converted" in closed.value.reply_text
            connection.close()
        in_threads([read_as_stream] * 4)
        with Wire(broker, 60) as wire:
            assert wire.produce("plain", batch(b"others go on"))[0] == NONE


def test_a_backlog_of_100_000_unacked_messages_is_kept_and_comes_back():
    count, size = 100_000, 1000
    with bounded_broker() as broker:
        connection = amqp(broker)
        channel = connection.channel()
        channel.queue_declare("backlog", durable=True)
        for number in range(count):
            channel.basic_publish("", "backlog", b"%0*d" % (size, number), pika.BasicProperties(delivery_mode=2))
        channel.queue_declare("backlog", passive=True)
        got = []
        channel.basic_consume("backlog", lambda _c, _m, _p, body: got.append(int(body)))
        deadline = time.monotonic() + 60
        while len(got) < count and time.monotonic() < deadline:
            connection.process_data_events(time_limit=0.2)
        assert got == list(range(count))
        connection.close()
        connection = amqp(broker)
        assert connection.channel().queue_declare("backlog", passive=True).method.message_count == count
        connection.close()
