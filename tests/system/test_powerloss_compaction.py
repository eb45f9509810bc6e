"""The plug is pulled while a topic is written to and compacted: what was acked last of each key is there afterwards.

POLYLOG_LOSS_ROUNDS sets the number of rounds (30; a fifth of it here, since a round waits for compactions), POLYLOG_LOSS_SEED
repeats a run.
"""
import contextlib
import os
import random
import threading
import time

from confluent_kafka.admin import AdminClient, NewTopic

import prometheus
from compacted_log import EAGER, Writer, check_log, read_all
from harness import Broker, seeds, wait_for

ROUNDS = max(1, int(os.environ.get("POLYLOG_LOSS_ROUNDS", "30")) // 5)
KEYS = 300
SWEEP_SECONDS = 5  # between looks at what is due
PASS_SECONDS_MAX = 30
PASSES = "polylog_compaction_passes_total"


class Ledger:
    """What all rounds together were promised."""

    def __init__(self):
        self.last, self.unsure, self.acked = {}, {}, {}

    def add(self, writer):
        for key, promised in writer.last.items():
            self.last[key] = max(self.last.get(key, promised), promised)
        for key, values in writer.unsure.items():
            self.unsure.setdefault(key, set()).update(values)
        self.acked.update(writer.acked)

    def check(self, records):
        check_log(records, self.last, self.unsure)
        present = {offset for offset, _, _ in records}
        newest = {key: offset for offset, key, _ in records}
        for offset, key in self.acked.items():
            assert offset in present or newest[key] > offset, f"{key} at {offset} is gone, and nothing newer is there"


@contextlib.contextmanager
def load(broker, topic, seed):
    """Writes until the broker is gone; then what was not answered is not sure."""
    writer = Writer(broker, topic, **{"message.timeout.ms": 2000})
    ended, chance = threading.Event(), random.Random(seed)

    def write():
        while not ended.is_set():
            for _ in range(50):
                writer.send(b"%d" % chance.randrange(KEYS), b"%d " % chance.randrange(1 << 60) * chance.randrange(1, 60))
            ended.wait(0.01)
    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield writer
    finally:
        ended.set()
        thread.join()
        writer.producer.purge()
        writer.flush()


def kill_in_or_after_a_pass(broker, number, chance):
    if number % 2 == 0:
        before = prometheus.value(broker.http("/metrics")[1], PASSES)
        wait_for(lambda: prometheus.value(broker.http("/metrics")[1], PASSES) > before, PASS_SECONDS_MAX, "a pass")
        time.sleep(chance.uniform(0, 1))
    else:
        time.sleep(chance.uniform(SWEEP_SECONDS, SWEEP_SECONDS + 3))
    passes = prometheus.value(broker.http("/metrics")[1], PASSES)
    broker.kill()
    return passes


def test_of_every_key_what_was_acked_last_survives_losses_of_power_during_compaction():
    # Small log files and a slow pace: a pass takes seconds.
    with Broker("--set", "storage.cells=1", "--set", "storage.wal_file_bytes=1MiB", "--set", "storage.wal_keep_files=1",
                "--set", "storage.pack_bytes_per_second=1MiB", power=True) as broker:
        admin = AdminClient({"bootstrap.servers": broker.address("kafka")})
        admin.create_topics([NewTopic("compacted", 1, 1, config=EAGER)])["compacted"].result(10)
        ledger, passes, pieces_lost = Ledger(), 0, 0
        for number, seed in enumerate(seeds(ROUNDS)):
            with load(broker, "compacted", seed) as writer:
                passes += kill_in_or_after_a_pass(broker, number, random.Random(seed))
            loss = broker.cord.pull(seed)
            pieces_lost += loss.pieces_lost
            ledger.add(writer)
            broker.start()
            records = read_all(broker, "compacted")
            print(f"round {number + 1} seed {seed}: {loss}; {len(ledger.acked)} acked, {len(records)} left")
            ledger.check(records)
        print(f"{ROUNDS} losses of power, {passes:.0f} passes before them, {pieces_lost} pieces lost")
        assert passes >= (ROUNDS + 1) // 2
        assert len(records) < len(ledger.acked), "nothing was ever compacted: the rounds test nothing"
        assert pieces_lost > 0 or ROUNDS < 10, "no round lost anything unsynced: the rounds test nothing"
