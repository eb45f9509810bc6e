"""A hundred thousand partitions in one process: how soon it is ready, what they cost in memory, and that none has a file."""
import time
from pathlib import Path

from harness import Broker
from kafka_wire import NONE, Wire, batch
from test_ready import slow

TOPICS, PARTITIONS_EACH = 100, 1000
RSS_BYTES_MAX = 2 * 10**9
READY_SECONDS_MAX = 10
FILES_MAX = 64  # log files, checkpoints, the catalog: whatever the number of partitions


def files(broker):
    return sum(1 for path in Path(broker.data_dir).rglob("*") if path.is_file())


def create(broker):
    begin = time.monotonic()
    with Wire(broker, 120) as wire:
        for number in range(TOPICS):
            assert wire.create_topic(f"many-{number}", PARTITIONS_EACH) == NONE
    return time.monotonic() - begin


def write_to_all(broker):
    """One small batch a partition, all acked."""
    data = batch(b"one in each")
    with Wire(broker, 120) as wire:
        for number in range(TOPICS):
            for partition in range(PARTITIONS_EACH):
                wire.send_produce(f"many-{number}", data, partition)
            for _ in range(PARTITIONS_EACH):
                assert wire.receive_produced() == (NONE, 0)


def check(broker, what):
    rss, count = broker.memory_bytes(), files(broker)
    print(f"{what}: ready after {broker.ready_seconds:.2f} s, {rss / 1e6:.0f} MB resident, {count} files")
    assert broker.ready_seconds <= READY_SECONDS_MAX
    assert rss < RSS_BYTES_MAX
    assert count <= FILES_MAX


@slow
def test_a_hundred_thousand_partitions_are_ready_within_ten_seconds_and_two_gigabytes():
    with Broker() as broker:
        print(f"created in {create(broker):.1f} s")
        check(broker, "new")
        write_to_all(broker)
        check(broker, "written to")
        broker.kill()
        broker.start()
        check(broker, "after kill -9")
        broker.restart()
        check(broker, "after a stop")
        with Wire(broker, 60) as wire:
            for number, partition in ((0, 0), (TOPICS // 2, 7), (TOPICS - 1, PARTITIONS_EACH - 1)):
                error, high, records = wire.fetch(f"many-{number}", 0, partition)
                assert (error, high) == (NONE, 1) and b"one in each" in records
