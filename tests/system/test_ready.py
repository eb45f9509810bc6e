"""How soon a client may connect, with nothing to recover and with a full log."""
import os
import random
import shutil

import pytest

from harness import BUILD, Broker
from kafka_wire import NONE, Batches, Wire, batch

EMPTY_SECONDS_MAX = 1
GIGABYTE_SECONDS_MAX = 3
SLOW_SECONDS_MAX = 5
GIB = 1 << 30
VALUE = random.Random(1).randbytes(1_000_000)
IN_FLIGHT = 8

slow = pytest.mark.skipif(not os.environ.get("POLYLOG_SLOW_TESTS"), reason="takes minutes; POLYLOG_SLOW_TESTS=1 runs it")


def need_space(size):
    if shutil.disk_usage(BUILD).free < 2 * size:
        pytest.skip(f"needs {2 * size >> 30} GiB of disk")


def produce_bytes(wire, topic, size):
    """Returns the number of records, all acked."""
    data, count = batch(VALUE), size // len(VALUE)
    for number in range(count + IN_FLIGHT):
        if number < count:
            wire.send_produce(topic, data)
        if number >= IN_FLIGHT:
            assert wire.receive_produced() == (NONE, number - IN_FLIGHT)
    return count


def check_ends(wire, topic, count):
    for offset in (0, count // 2, count - 1):
        error, high, records = wire.fetch(topic, offset)
        first = next(iter(Batches(records)))
        assert (error, high) == (NONE, count) and first[:2] == (offset, True) and VALUE in first[2]


def ready_after_kill(size, seconds_max, partitions=1):
    need_space(size)
    with Broker() as broker:
        with Wire(broker, 60) as wire:
            assert wire.create_topic("bulk") == NONE
            for first in range(0, partitions - 1, 1000):
                assert wire.create_topic(f"many-{first}", min(1000, partitions - 1 - first)) == NONE
            count = produce_bytes(wire, "bulk", size)
        broker.kill()
        broker.start()
        print(f"ready {broker.ready_seconds:.2f} s after kill -9 with {size >> 20} MiB, {partitions} partitions")
        with Wire(broker, 60) as wire:
            check_ends(wire, "bulk", count)
        assert broker.ready_seconds <= seconds_max


def test_ready_within_a_second_on_an_empty_directory():
    with Broker() as broker:
        print(f"ready after {broker.ready_seconds:.3f} s")
        assert broker.ready_seconds <= EMPTY_SECONDS_MAX


def test_ready_within_3_seconds_after_kill_with_a_gigabyte_of_log():
    ready_after_kill(GIB, GIGABYTE_SECONDS_MAX)


@slow
def test_ready_within_5_seconds_after_kill_with_10_gigabytes_of_log_and_10_000_partitions():
    ready_after_kill(10 * GIB, SLOW_SECONDS_MAX, partitions=10_000)
