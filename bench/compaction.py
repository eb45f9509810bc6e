#!/usr/bin/env python3
"""How fast polylog compacts: MB/s of stored batches that one pass reads, by codec.

    build/venv/bin/python bench/compaction.py [--mib 256] [--keys 10000] [--value-bytes 500]

Fills a topic while all of it is active, then makes it due, and takes the time of the pass from the broker's log. A pass reads
the dirty part twice: once for its keys, once to rewrite it. The pace is set out of the way.
"""
import argparse
import random
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "system"))

import confluent_kafka  # noqa: E402
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic  # noqa: E402

from harness import Broker, wait_for  # noqa: E402

MB = 1_000_000
PASS = re.compile(r"compacted a partition.* read_bytes=(\d+) written_bytes=(\d+) records_removed=(\d+) ms=(\d+)")


def words(count, rng):
    """Text that packs about as well as JSON does."""
    vocabulary = [b"%06x" % rng.randrange(1 << 24) for _ in range(300)]
    return [b" ".join(rng.choices(vocabulary, k=80)) for _ in range(count)]


def fill(broker, topic, codec, options):
    rng = random.Random(1)
    values = [(text * (options.value_bytes // len(text) + 1))[:options.value_bytes] for text in words(500, rng)]
    producer = confluent_kafka.Producer({
        "bootstrap.servers": broker.address("kafka"), "compression.type": codec, "linger.ms": 20,
        "batch.size": 1 << 18, "queue.buffering.max.messages": 1_000_000})
    for n in range(options.mib * (1 << 20) // options.value_bytes):
        while True:
            try:
                producer.produce(topic, key=b"key-%08d" % rng.randrange(options.keys), value=values[n % len(values)])
                break
            except BufferError:
                producer.poll(0.05)
        if n % 1000 == 0:
            producer.poll(0)
    assert producer.flush(120) == 0


def measure(codec, options):
    args = ["--set", "storage.pack_bytes_per_second=64GiB", "--set", "log.level=debug", "--set",
            "storage.compact_memory_bytes=128MiB"]
    with Broker(*args) as broker:
        admin = AdminClient({"bootstrap.servers": broker.address("kafka")})
        config = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01"}
        admin.create_topics([NewTopic(codec, 1, 1, config=config)])[codec].result(10)
        fill(broker, codec, codec, options)
        time.sleep(5)  # the packer's turn
        resource = ConfigResource(ConfigResource.Type.TOPIC, codec, incremental_configs=[
            ConfigEntry("segment.ms", "1", incremental_operation=AlterConfigOpType.SET)])
        admin.incremental_alter_configs([resource])[resource].result(10)
        wait_for(lambda: PASS.search(broker.log_text()), 120, "a pass")
        read, written, removed, ms = map(int, PASS.search(broker.log_text()).groups())
    seconds = ms / 1000
    print(f"{codec:8} {read / 2 / MB:8.0f} MB stored  {written / MB:7.1f} MB left  {removed:9} records gone  {seconds:6.2f} s"
          f"  {read / MB / seconds:6.0f} MB/s read  {read / 2 / MB / seconds:6.0f} MB/s of log", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=256, help="of values to produce")
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--value-bytes", type=int, default=500)
    parser.add_argument("--codecs", default="none,gzip,snappy,lz4,zstd")
    options = parser.parse_args()
    for codec in options.codecs.split(","):
        measure(codec, options)


if __name__ == "__main__":
    main()
