"""A file system of 256 MB runs full: producers are told or held back, the rest goes on, and writing resumes by itself."""
import contextlib
import os
import subprocess
import threading
import time

import pika
import pytest

from harness import Broker, may_mount, scratch_dir, wait_for
from kafka_wire import MESSAGE_TOO_LARGE, NONE, STORAGE_ERROR, Batches, Wire, batch, batch_of_bytes
pytestmark = pytest.mark.skipif(not may_mount(), reason="mounting a tmpfs takes root")

DISK_BYTES = 256 << 20
REFUSED_SECONDS_MAX = 10
RESUME_AFTER_SPACE_SECONDS_MAX = 5
RESUME_AFTER_DELETE_SECONDS_MAX = 60
VALUE = os.urandom(200_000)


@contextlib.contextmanager
def small_disk(size=DISK_BYTES):
    mount_point = scratch_dir("tmpfs")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "polylog-test", mount_point], check=True)
    try:
        yield mount_point
    finally:
        subprocess.run(["umount", "-l", mount_point], check=True)
        mount_point.rmdir()


@contextlib.contextmanager
def broker_on_small_disk(filler_bytes=0):
    with small_disk() as disk:
        if filler_bytes:
            with open(disk / "filler", "wb") as filler:
                os.posix_fallocate(filler.fileno(), 0, filler_bytes)
        with Broker(data_dir=disk / "data") as broker:
            yield broker, disk


def fill(wire, topic, first=0):
    """Produces until the disk is full; returns how many records were acked. The refusal must come in time."""
    data, acked = batch(VALUE), 0
    while True:
        begin = time.monotonic()
        error, offset = wire.produce(topic, data)
        waited = time.monotonic() - begin
        if error != NONE:
            assert error == STORAGE_ERROR, f"error {error} after {acked} records"
            assert waited < REFUSED_SECONDS_MAX
            return acked
        assert offset == first + acked
        acked += 1
        assert acked * len(VALUE) < 2 * DISK_BYTES, "the disk never fills"


def count_readable(wire, topic):
    count = 0
    while True:
        error, _high, records = wire.fetch(topic, count, bytes_max=8 << 20)
        assert error == NONE
        got = list(Batches(records))
        if not got:
            return count
        for offset, crc_is_right, covered in got:
            assert offset == count and crc_is_right and VALUE in covered
            count += 1


def can_produce(wire, topic):
    return wire.produce(topic, batch(b"small"))[0] == NONE


def connect_amqp(broker):
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"], heartbeat=0,
                                                             socket_timeout=10))


def publish_some(connection, queue, count):
    channel = connection.channel()
    channel.confirm_delivery()
    for number in range(count):
        channel.basic_publish("", queue, b"%d" % number, pika.BasicProperties(delivery_mode=2))


class InThread:
    """Work with a connection of its own until stop()."""

    def __init__(self, broker):
        self.broker, self.error, self.done = broker, None, threading.Event()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.guarded, daemon=True)
        self.thread.start()
        assert self.ready.wait(10)

    def guarded(self):
        try:
            self.run()
        except BaseException as error:  # noqa: BLE001 - the test's thread looks at it
            self.error = error
        self.ready.set()

    def stop(self):
        self.done.set()
        self.thread.join(15)
        assert not self.thread.is_alive(), "the publisher was never let go"
        assert self.error is None, f"the publisher failed: {self.error!r}"


class HeldPublisher(InThread):
    """Publishes with confirms, one after the other."""

    def __init__(self, broker, queue):
        self.queue, self.confirmed = queue, 0
        super().__init__(broker)

    def run(self):
        connection = connect_amqp(self.broker)
        channel = connection.channel()
        channel.confirm_delivery()
        self.ready.set()
        while not self.done.is_set():
            channel.basic_publish("", self.queue, b"%d" % self.confirmed, pika.BasicProperties(delivery_mode=2))
            self.confirmed += 1
            time.sleep(0.005)
        connection.close()


class BlockedWatcher(InThread):
    """A connection that has published and listens for connection.blocked (pika tells only who is not busy publishing)."""

    def __init__(self, broker, queue):
        self.queue, self.blocked, self.unblocked = queue, threading.Event(), threading.Event()
        super().__init__(broker)

    def run(self):
        connection = connect_amqp(self.broker)
        connection.add_on_connection_blocked_callback(lambda *_: self.blocked.set())
        connection.add_on_connection_unblocked_callback(lambda *_: self.unblocked.set())
        connection.channel().basic_publish("", self.queue, b"once")
        self.ready.set()
        while not self.done.is_set():
            connection.process_data_events(time_limit=0.05)
        connection.close()


def test_a_full_disk_refuses_and_holds_producers_serves_reads_and_acks_and_resumes_after_a_topic_is_deleted():
    with broker_on_small_disk() as (broker, _disk), Wire(broker, 20) as wire:
        before = connect_amqp(broker)
        before.channel().queue_declare("work", durable=True)
        publish_some(before, "work", 50)
        before.close()
        consumer = connect_amqp(broker)  # one that never publishes: it is not held
        channel = consumer.channel()
        tags = [channel.basic_get("work")[0].delivery_tag for _ in range(50)]
        assert wire.create_topic("bulk") == NONE
        assert wire.create_topic("kept") == NONE and can_produce(wire, "kept")
        channel.queue_declare("held", durable=True)
        channel.queue_declare("watched", durable=True)
        watcher = BlockedWatcher(broker, "watched")

        acked = fill(wire, "bulk")
        assert acked * len(VALUE) > DISK_BYTES // 4, "most of the disk is for data"
        # Only now: a WAL file goes when nothing live lies in it, and messages of a slow queue would lie in all of them.
        publisher = HeldPublisher(broker, "held")
        assert watcher.blocked.wait(REFUSED_SECONDS_MAX), "no connection.blocked"
        assert count_readable(wire, "bulk") == acked
        for tag in tags:  # acks go to the reserve
            channel.basic_ack(tag)
        channel.basic_qos(prefetch_count=1)  # its answer says that the acks are durable
        assert channel.queue_declare("work", passive=True).method.message_count == 0
        assert wire.produce("bulk", batch(VALUE))[0] == STORAGE_ERROR
        confirmed_while_full = publisher.confirmed

        assert wire.delete_topic("bulk") == NONE
        wait_for(lambda: can_produce(wire, "kept"), RESUME_AFTER_DELETE_SECONDS_MAX, "producing works again")
        assert watcher.unblocked.wait(RESUME_AFTER_SPACE_SECONDS_MAX)
        wait_for(lambda: publisher.confirmed > confirmed_while_full, 5, "the held publisher goes on")
        publisher.stop()
        watcher.stop()
        assert wire.create_topic("again") == NONE
        assert fill(wire, "again") > acked // 2, "the deleted topic's space is used again"
        consumer.close()

        broker.restart()
        with Wire(broker) as again:
            error, high, _records = again.fetch("kept", 0)
            assert error == NONE and high >= 2
            assert again.delete_topic("again") == NONE  # deliveries may wait for space: one reserve file may be left
        consumer = connect_amqp(broker)
        channel = consumer.channel()
        assert channel.queue_declare("work", passive=True).method.message_count == 0
        there = channel.queue_declare("held", passive=True).method.message_count
        assert there >= publisher.confirmed, "confirmed and lost"
        for number in range(publisher.confirmed):
            assert channel.basic_get("held", auto_ack=True)[2] == b"%d" % number
        consumer.close()


def test_writing_resumes_when_someone_else_frees_space():
    with broker_on_small_disk(filler_bytes=128 << 20) as (broker, disk), Wire(broker, 20) as wire:
        assert wire.create_topic("bulk") == NONE
        acked = fill(wire, "bulk")
        publisher, watcher = HeldPublisher(broker, "bulk"), BlockedWatcher(broker, "bulk")
        assert watcher.blocked.wait(REFUSED_SECONDS_MAX), "no connection.blocked"
        (disk / "filler").unlink()
        wait_for(lambda: can_produce(wire, "bulk"), RESUME_AFTER_SPACE_SECONDS_MAX, "producing works again")
        assert watcher.unblocked.wait(RESUME_AFTER_SPACE_SECONDS_MAX)
        wait_for(lambda: publisher.confirmed > 0, 5, "the held publisher goes on")
        publisher.stop()
        watcher.stop()
        assert fill_more(wire, "bulk") > 0
        broker.kill()
        broker.start()
        with Wire(broker) as again:
            assert again.fetch("bulk", acked)[0] == NONE


def fill_more(wire, topic):
    """Large records again, at whatever offset."""
    count = 0
    while wire.produce(topic, batch(VALUE))[0] == NONE:
        count += 1
    return count


def test_a_full_disk_can_be_stopped_and_started():
    with broker_on_small_disk() as (broker, _disk):
        with Wire(broker, 20) as wire:
            assert wire.create_topic("bulk") == NONE
            acked = fill(wire, "bulk")
        broker.restart()
        with Wire(broker, 20) as wire:
            assert count_readable(wire, "bulk") == acked
        broker.kill()
        broker.start()
        with Wire(broker, 20) as wire:
            assert count_readable(wire, "bulk") == acked
            assert wire.delete_topic("bulk") == NONE
            assert wire.create_topic("next") == NONE
            wait_for(lambda: can_produce(wire, "next"), RESUME_AFTER_DELETE_SECONDS_MAX, "producing works again")


def test_a_message_may_need_more_log_files_than_are_ready_but_not_half_of_the_disk():
    with small_disk(40 << 20) as disk, Broker(data_dir=disk / "data") as broker, Wire(broker, 20) as wire:
        assert wire.create_topic("t", max_message_bytes=100 << 20) == NONE
        assert wire.produce("t", batch_of_bytes(10 << 20)) == (NONE, 0)
        assert wire.produce("t", batch_of_bytes(20 << 20)) == (MESSAGE_TOO_LARGE, -1)
        assert wire.produce("t", batch(b"goes on")) == (NONE, 1)
        channel = connect_amqp(broker).channel()
        channel.queue_declare("q", durable=True)
        channel.basic_publish("", "q", bytes(16 << 20))
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
            channel.queue_declare("q", passive=True)
        assert closed.value.reply_code == 406 and "larger than what fits a disk of this size" in closed.value.reply_text
        assert channel.connection.channel().queue_declare("q", passive=True).method.message_count == 0
