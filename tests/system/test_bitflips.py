"""One flipped bit anywhere in a stopped data directory: never a wrong byte to a client, never a silent loss.

After each flip the broker either refuses to start, or closes the cell, or refuses the batch, or cuts the log's end; then its
log names the damaged file and, but for the short text files, the offset. Or it reads everything as it was written.
POLYLOG_BITFLIPS sets how many flips a kind of directory gets (100), POLYLOG_LOSS_SEED repeats a run.
"""
import os
import random
import re
import shutil

import pika
import pytest

from harness import Broker, BrokerFailed, seeds
from kafka_wire import NONE, Batches, Wire, batch

FLIPS = int(os.environ.get("POLYLOG_BITFLIPS", "100"))
SMALL = ("--set", "storage.wal_file_bytes=1MiB", "--set", "storage.reserve_bytes=1MiB", "--set", "storage.cells=2")
PARTITIONS = 4
BATCHES = 60
MESSAGES = 40
REPORTS = r"stays closed|cut a torn write|does not verify|damaged|checkpoint|corrupt"


def amqp(broker):
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"], heartbeat=0))


def body_of(number):
    return random.Random(number).randbytes(200)


def write(broker):
    """Fills it and returns what a reader must see: the bytes behind each batch's crc, by partition."""
    rng = random.Random(7)
    with Wire(broker) as wire:
        assert wire.create_topic("t", PARTITIONS) == NONE
        for _ in range(BATCHES):
            for partition in range(PARTITIONS):
                assert wire.produce("t", batch(rng.randbytes(rng.randrange(10, 2000))), partition)[0] == NONE
        written = [read(wire, partition) for partition in range(PARTITIONS)]
    connection = amqp(broker)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("q", durable=True)
    for number in range(MESSAGES):
        channel.basic_publish("", "q", body_of(number), pika.BasicProperties(delivery_mode=2))
    connection.close()
    return written


def read(wire, partition):
    """(error, [bytes of each batch]) of one partition, as far as it can be read."""
    got = []
    while True:
        error, high, records = wire.fetch("t", len(got), partition, bytes_max=4 << 20)
        if error != NONE:
            return error, got
        new = list(Batches(records))
        for offset, crc_is_right, covered in new:
            assert offset == len(got) and crc_is_right, f"partition {partition}: wrong bytes at offset {len(got)}"
            got.append(covered)
        if not new:
            assert len(got) == high
            return NONE, got


def read_queue(broker):
    """(whether all was answered, the bodies)."""
    bodies = []
    connection = amqp(broker)
    try:
        channel = connection.channel()
        while True:
            method, _properties, body = channel.basic_get("q")
            if method is None:
                return True, bodies
            bodies.append(body)
    except pika.exceptions.AMQPError:
        return False, bodies
    finally:
        if connection.is_open:
            connection.close()


def flip_one_bit(data_dir, seed):
    """Where data lies: half of the flips go to a byte that is not zero, so that they hit more than preallocated space."""
    rng = random.Random(seed)
    kinds = {"wal": [], "other": []}
    for path in sorted(p for p in data_dir.rglob("*") if p.is_file() and p.stat().st_size):
        kinds["wal" if path.suffix == ".plw" else "other"].append(path)
    while True:
        path = rng.choice(kinds[rng.choice(["wal", "other"])])
        data = bytearray(path.read_bytes())
        at = rng.randrange(len(data))
        if data[at] == 0 and rng.random() < 0.9:
            continue
        data[at] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        return path.relative_to(data_dir), at


def check_after_flip(broker, written, where):
    """Returns what came of it, for the count that is printed."""
    try:
        broker.start()
    except BrokerFailed:
        log = broker.log_text()
        assert where.name in log, f"refused without naming {where}"
        assert where.suffix in ("", ".id") or re.search(r"offset \d+", log), f"refused without an offset: {where}"
        return "refused to start"
    lost = wrong = 0
    with Wire(broker) as wire:
        for partition, (_, expected) in enumerate(written):
            _error, got = read(wire, partition)
            lost += len(expected) - len(got)
            wrong += got != expected[:len(got)]
    answered, bodies = read_queue(broker)
    lost += MESSAGES - len(bodies)
    wrong += any(body not in set(map(body_of, range(MESSAGES))) for body in bodies)
    assert broker.process.poll() is None, "it crashed"
    assert wrong == 0, "a wrong byte was served"
    log = broker.log_text()
    if lost == 0 and answered:
        return "all there"
    reports = [line for line in log.splitlines() if re.search(REPORTS, line)]
    assert any(where.name in line and "offset" in line for line in reports), f"{lost} lost without a word: {reports}"
    if "stays closed" in log:
        assert broker.http("/readyz")[0] == 503
        return "cell closed"
    return "cut" if "cut a torn write" in log else "batch refused"


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_a_flipped_bit_is_never_served_and_never_silent(end):
    outcomes = {}
    with Broker(*SMALL) as broker:
        written = write(broker)
        broker.stop() if end == "stopped" else broker.kill()
        whole = broker.dir / "whole"
        shutil.move(broker.data_dir, whole)
        for seed in seeds(FLIPS):
            shutil.rmtree(broker.data_dir, ignore_errors=True)
            shutil.copytree(whole, broker.data_dir)
            where, at = flip_one_bit(broker.data_dir, seed)
            broker.log_path.unlink(missing_ok=True)
            try:
                outcome = check_after_flip(broker, written, where)
            except AssertionError as error:
                broker.fail(f"seed {seed}, a bit of {where} at {at}: {error}")
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            if broker.process is not None:
                broker.kill()
    print(f"{FLIPS} flips: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())))
    assert FLIPS < 50 or len(outcomes) > 1, "no flip hit anything"
