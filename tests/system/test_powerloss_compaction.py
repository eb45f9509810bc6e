"""The plug is pulled while a topic is written to and compacted: what was acked last of each key is there afterwards.

POLYLOG_LOSS_ROUNDS sets the number of rounds (30; a fifth of it here, since a round waits for compactions), POLYLOG_LOSS_SEED
repeats a run.
"""
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
PASS_SECONDS_MAX = 60
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


class Load:
    """Writes until the broker is gone, at the end as much as it can; what was not answered then is not sure."""

    def __init__(self, broker, topic, seed):
        self.writer = Writer(broker, topic, **{"message.timeout.ms": 2000, "log_level": 0})
        self.chance = random.Random(seed)
        self.hurries, self.ended = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.write)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.writer.producer.purge()
        self.writer.flush()

    def write(self):
        while not self.ended.is_set():
            for _ in range(10):
                times = self.chance.randrange(1, 5 if self.hurries.is_set() else 60)
                self.writer.send(b"%d" % self.chance.randrange(KEYS), b"%d " % self.chance.randrange(1 << 60) * times)
            self.ended.wait(0 if self.hurries.is_set() else 0.02)


def kill_in_or_after_a_pass(broker, number, load, chance):
    if number % 2 == 0:
        before = prometheus.value(broker.http("/metrics")[1], PASSES)
        wait_for(lambda: prometheus.value(broker.http("/metrics")[1], PASSES) > before, PASS_SECONDS_MAX, "a pass")
        time.sleep(chance.uniform(0, 1))
    else:
        time.sleep(chance.uniform(SWEEP_SECONDS, SWEEP_SECONDS + 3))
    passes = prometheus.value(broker.http("/metrics")[1], PASSES)
    load.hurries.set()
    time.sleep(chance.uniform(0.05, 0.3))
    broker.kill()
    return passes


def test_of_every_key_what_was_acked_last_survives_losses_of_power_during_compaction():
    # Small log files and a slow pace: a pass takes seconds. What is written is 300 KB a second, and more at the end.
    with Broker("--set", "storage.cells=1", "--set", "storage.wal_file_bytes=1MiB", "--set", "storage.wal_keep_files=1",
                "--set", "storage.pack_bytes_per_second=4MiB", power=True) as broker:
        admin = AdminClient({"bootstrap.servers": broker.address("kafka")})
        admin.create_topics([NewTopic("compacted", 1, 1, config=EAGER)])["compacted"].result(10)
        ledger, passes, unsynced = Ledger(), 0, 0
        for number, seed in enumerate(seeds(ROUNDS)):
            with Load(broker, "compacted", seed) as load:
                passes += kill_in_or_after_a_pass(broker, number, load, random.Random(seed))
            loss = broker.cord.pull(seed)
            unsynced += loss.records
            ledger.add(load.writer)
            broker.start()
            records = read_all(broker, "compacted")
            print(f"round {number + 1} seed {seed}: {loss}; {len(ledger.acked)} acked, {len(records)} left")
            ledger.check(records)
        print(f"{ROUNDS} losses of power, {passes:.0f} passes before them, {unsynced} unsynced writes")
        assert passes >= (ROUNDS + 1) // 2
        assert len(records) < len(ledger.acked), "nothing was ever compacted: the rounds test nothing"
        assert unsynced > 0 or ROUNDS < 10, "nothing was ever unsynced: the rounds test nothing"
