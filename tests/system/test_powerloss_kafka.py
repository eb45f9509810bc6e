"""The plug is pulled under load, again and again: every record that was acked is at its offset afterwards.

POLYLOG_LOSS_ROUNDS sets the number of rounds (30), POLYLOG_LOSS_SEED repeats a run.
"""
import contextlib
import os
import random
import subprocess
import time

from harness import CLIENTS, Broker, BrokerFailed, run, seeds

ROUNDS = int(os.environ.get("POLYLOG_LOSS_ROUNDS", "30"))
NEGATIVE_ROUNDS_MAX = 10
PARTITIONS = 4
PER_SECOND = 8_000
FLAVOURS = [["compression.codec=none"], ["compression.codec=lz4", "linger.ms=5"], ["enable.idempotence=true"]]


@contextlib.contextmanager
def load(broker, number, acked_path, settings=None):
    """A producer that writes down what is acked. Ids never repeat between rounds."""
    settings = settings or FLAVOURS[number % len(FLAVOURS)]
    with open(acked_path, "wb") as acked:
        process = subprocess.Popen(
            [CLIENTS / "kafka_load", "produce", broker.address("kafka"), "loss", str(PARTITIONS), str(number << 32),
             str(PER_SECOND), *settings], stdin=subprocess.DEVNULL, stdout=acked)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_acks(broker, acked_path, bytes_before=0):
    deadline = time.monotonic() + 20
    while acked_path.stat().st_size == bytes_before:
        if time.monotonic() > deadline:
            broker.fail("nothing was acked within 20 s")
        time.sleep(0.005)


def pull_under_load(broker, number, seed):
    """One round up to the loss of power. Returns (path of what was acked, what was lost)."""
    acked_path = broker.dir / f"acked-{number}"
    with load(broker, number, acked_path):
        wait_for_acks(broker, acked_path)
        time.sleep(random.Random(seed).uniform(0, 0.8))
        broker.kill()
    return acked_path, broker.cord.pull(seed)


def verify(broker, acked_paths, mode="verify"):
    """(what kafka_load says, whether every acked record is there)."""
    result = run(CLIENTS / "kafka_load", mode, broker.address("kafka"), "loss", PARTITIONS, *acked_paths,
                 seconds=180, check=False)
    said = (result.stdout + result.stderr).decode(errors="replace").strip()
    return said, result.returncode == 0


def loss_broker(**options):
    return Broker("--set", f"kafka.num_partitions={PARTITIONS}", power=True, **options)


def test_every_acked_record_is_at_its_offset_after_each_loss_of_power():
    with loss_broker() as broker:
        acked_paths, pieces_lost, said = [], 0, ""
        for number, seed in enumerate(seeds(ROUNDS)):
            acked_path, loss = pull_under_load(broker, number, seed)
            acked_paths.append(acked_path)
            pieces_lost += loss.pieces_lost
            broker.start()
            said, whole = verify(broker, acked_paths)
            print(f"round {number + 1} seed {seed}: {loss}; {said.splitlines()[-1]}")
            if not whole:
                broker.fail(f"round {number + 1}, seed {seed}: {said}")
        print(f"{ROUNDS} losses of power, {pieces_lost} pieces lost, {said.splitlines()[-1]}")
        assert pieces_lost > 0 or ROUNDS < 10, "no round lost anything unsynced: the rounds test nothing"


def test_an_idempotent_producer_that_retries_over_losses_of_power_makes_no_duplicate():
    with loss_broker(keep_ports=True) as broker:
        acked_path = broker.dir / "acked"
        with load(broker, 0, acked_path, ["enable.idempotence=true"]):
            acked_bytes = 0
            for seed in seeds(5):
                wait_for_acks(broker, acked_path, acked_bytes)
                time.sleep(random.Random(seed).uniform(0, 0.5))
                broker.kill()
                acked_bytes = acked_path.stat().st_size
                broker.cord.pull(seed)
                broker.start()
            wait_for_acks(broker, acked_path, acked_bytes)
        said, whole = verify(broker, [acked_path], "verify-once")
        print(said)
        assert whole, said


def test_a_broker_that_never_syncs_is_caught():
    """The negative control: with every sync stubbed out, the same rounds must find a loss."""
    caught = None
    for number, seed in enumerate(seeds(NEGATIVE_ROUNDS_MAX)):
        with loss_broker(nosync=True) as broker:
            acked_path, loss = pull_under_load(broker, number, seed)
            try:
                broker.start()
                said, whole = verify(broker, [acked_path])
            except BrokerFailed as failure:
                said, whole = str(failure).splitlines()[0], False
            print(f"round {number + 1} seed {seed}: {loss}; {said.splitlines()[-1]}")
            if not whole:
                caught = number + 1
                break
    assert caught, f"{NEGATIVE_ROUNDS_MAX} rounds without a single sync lost nothing: the test is blind"
    print(f"caught in round {caught}")
