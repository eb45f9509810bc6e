"""More data than memory and than the log keeps: old batches move to segments, are read from there while more is written,
and go when retention says so."""
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pika
import pytest

from harness import BUILD, Broker, run, wait_for
from kafka_wire import NONE, Batches, Wire, batch
from test_ready import VALUE, need_space, produce_bytes, slow

MIB, GIB = 1 << 20, 1 << 30
MEMORY_BYTES, RSS_BYTES_MAX = 400 * MIB, 500_000_000
RETENTION_SECONDS_MAX = 30
SEGMENT_BYTES_MAX = 4 * 32 * MIB  # goes as a whole
LOG_BYTES = 256 * MIB + 2 * 32 * MIB  # the reserve, the log file being written and the next one


def disk_bytes(broker, pattern="**/*"):
    return sum(path.stat().st_blocks * 512 for path in Path(broker.data_dir).glob(pattern) if path.is_file())


def peak_bytes(broker):
    status = Path(f"/proc/{broker.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def segments(broker):
    return len(list(Path(broker.data_dir).glob("cell-*/segment-*.plx")))


def read_all(broker, topic, count):
    """With kcat, from the beginning: offsets, one a line."""
    out = run("kcat", "-C", "-b", broker.address("kafka"), "-t", topic, "-o", "beginning", "-c", str(count), "-q",
              "-f", "%o %S\\n", seconds=600)
    return [tuple(map(int, line.split())) for line in out.stdout.decode().splitlines()]


def small_broker(**kwargs):
    return Broker("--set", f"memory_bytes_max={MEMORY_BYTES // MIB}MiB", "--set", "storage.wal_keep_files=2",
                  "--set", "storage.burst_bytes=0",
                  "--set", "storage.cells=1", **kwargs)


def read_while_written(size):
    """One reader from the beginning while as much again is written, then the rest of retention's promises."""
    need_space(2 * size)
    with small_broker() as broker:
        with Wire(broker, 60) as wire:
            assert wire.create_topic("t") == NONE
            count = produce_bytes(wire, "t", size)
            wait_for(lambda: segments(broker) > 0, 30, "old data moves to segments")
            reader = {}
            thread = threading.Thread(target=lambda: reader.update(seen=read_all(broker, "t", 2 * count)))
            thread.start()
            produce_more(wire, "t", count, size)
            thread.join()
            assert reader["seen"] == [(offset, len(VALUE)) for offset in range(2 * count)]
            assert peak_bytes(broker) < RSS_BYTES_MAX
            keep_only(broker, wire, "t", size // 4)
        broker.kill()
        broker.start()
        with Wire(broker, 60) as wire:
            error, high, _ = wire.fetch("t", 2 * count - 1)
            assert (error, high) == (NONE, 2 * count)
        check_what_is_left(broker, 2 * count)


def produce_more(wire, topic, first, size):
    data = batch(VALUE)
    for offset in range(first, first + size // len(VALUE)):
        assert wire.produce(topic, data) == (NONE, offset)


def keep_only(broker, wire, topic, kept):
    """Within 30 s of being told, the disk holds little more than what is kept."""
    from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
    admin = KafkaAdminClient(bootstrap_servers=broker.address("kafka"))
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.bytes": str(kept)})])
    admin.close()
    wait_for(lambda: disk_bytes(broker) < 1.3 * kept + SEGMENT_BYTES_MAX + LOG_BYTES, RETENTION_SECONDS_MAX,
             "the disk follows retention")


def check_what_is_left(broker, end):
    out = run("kcat", "-C", "-b", broker.address("kafka"), "-t", "t", "-o", "beginning", "-e", "-q", "-f", "%o\\n",
              seconds=600)
    offsets = [int(line) for line in out.stdout.decode().splitlines()]
    assert offsets and offsets == list(range(offsets[0], end))


def test_a_partition_is_read_from_its_beginning_while_it_is_written_and_shrinks_when_told():
    read_while_written(GIB)


@slow
def test_twenty_gigabytes_are_read_from_the_beginning_while_they_are_written():
    read_while_written(10 * GIB)


def test_entries_that_stay_cost_little_disk():
    """One stuck message for each 64 MiB of traffic that comes and goes."""
    rounds = 24
    need_space(4 * GIB)
    with small_broker() as broker:
        connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"], heartbeat=0))
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("stuck", durable=True)
        with Wire(broker, 60) as wire:
            assert wire.create_topic("traffic", **{"retention.bytes": str(MIB)}) == NONE
            data, offset = batch(VALUE), 0
            for number in range(rounds):
                channel.basic_publish("", "stuck", b"stays %d" % number)
                for _ in range(64):
                    assert wire.produce("traffic", data) == (NONE, offset)
                    offset += 1
            wait_for(lambda: disk_bytes(broker) < 512_000_000, RETENTION_SECONDS_MAX, "the disk is given back")
        connection.close()
        broker.kill()
        broker.start()
        connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"], heartbeat=0))
        channel = connection.channel()
        bodies = [channel.basic_get("stuck", auto_ack=True)[2] for _ in range(rounds)]
        assert bodies == [b"stays %d" % number for number in range(rounds)]
        connection.close()
