"""One round: a new broker, its clients, some faults, and when all is healed, what the history says of it.

Rounds are apart from each other, so several may run at once. A round's seed fixes its settings and its faults; when
what happens is up to the machine.
"""
import contextlib
import random
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import checker
import history
import nemesis
from harness import Broker, scratch_dir
from stage import CONSUMERS, PRODUCERS, Stage, free_ports

DISK_BYTES = 96 << 20
SMALL_FILES = ("--set", "storage.wal_file_bytes=1MiB", "--set", "storage.reserve_bytes=2MiB")
SETTINGS = ("--set", "kafka.initial_rebalance_delay_ms=0", "--set", "kafka.consumer_session_timeout_ms=6000",
            "--set", "kafka.consumer_heartbeat_interval_ms=300", "--set", "storage.cells=2")
PATIENCE_SECONDS = 60       # for what must come to an end when all is healed


@dataclass
class Result:
    number: int
    seed: int
    nemesis: str
    folder: Path
    faults: dict = field(default_factory=dict)
    operations: int = 0
    held: int = 0       # sends and publishes that were open when a fault of the broker was healed
    violations: list = field(default_factory=list)
    error: str = None   # the round itself went wrong: the broker did not start, a client crashed
    seconds: float = 0

    @property
    def is_good(self):
        return not self.violations and self.error is None

    def __str__(self):
        faults = ", ".join(f"{count} {kind}" for kind, count in sorted(self.faults.items()))
        error = (self.error or "no error").splitlines()[0]
        found = "good" if self.is_good else f"{len(self.violations)} violations, {error}, see {self.folder}"
        return (f"round {self.number} {self.nemesis} seed {self.seed}: {self.operations} operations, {faults}, "
                f"{self.held} writes held; {found} ({self.seconds:.0f} s)")


@contextlib.contextmanager
def small_disk(folder):
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "polylog-test", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def play_on(stage, faults, queue_type):
    stage.prepare(queue_type)
    for name, role in {**PRODUCERS, **CONSUMERS, "observer": "observer"}.items():
        stage.start_client(name, role)
    stage.wait_started()
    stage.wait_until_all_flows()
    for name in faults:
        {**nemesis.ALL, **nemesis.CONTROLS}[name](stage)
        stage.wait(0.3, 1)
    stage.stop_clients(list(PRODUCERS))
    stage.read_logs()
    stage.drain()
    stage.stop_clients(list(stage.clients))
    stage.broker.stop()


def play(number, seed, name, faults=None, per_second=80, patience=PATIENCE_SECONDS):
    """Plays a round (with so many faults, or as many as its seed says) and judges it. What a good one leaves is
    removed."""
    begin = time.monotonic()
    dice = random.Random(seed)
    folder = scratch_dir(f"history-{number}")
    result = Result(number, seed, name, folder)
    faults = nemesis.plan(name, dice, faults)
    small = bool(nemesis.NEEDS_SMALL_DISK & set(faults))
    power = bool(nemesis.NEEDS_POWER_CORD & set(faults))
    log = ""
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk")) if small else folder
        broker = Broker(*SETTINGS, *(SMALL_FILES if small else ()), data_dir=disk / "data", keep_ports=True,
                        power=power)
        broker.ports = free_ports(broker.listeners)
        stage = None
        try:
            broker.start()
            stage = Stage(broker, disk, folder, dice, 3000 if small else 50, per_second, patience)
            play_on(stage, faults, dice.choice(["classic", "quorum"]))
        except Exception as error:  # noqa: BLE001 - told with the round, whatever it was
            result.error = f"{type(error).__name__}: {error}"
            if stage is not None:
                stage.salvage()
        finally:
            if stage is not None:
                stage.end()
            log = broker.log_text()
            broker.cleanup(failed=False)
    judge(result)
    result.seconds = time.monotonic() - begin
    if result.is_good:
        shutil.rmtree(folder)
    else:
        (folder / "broker.log").write_text(log)
    return result


def held_writes(ops):
    healed = [op.end for op in ops if op.f == "fault" and op["target"] == "broker" and op.end]
    return sum(any(op.begin < at and (op.end is None or op.end > at) for at in healed)
               for op in ops if op.f in ("send", "publish"))


def judge(result):
    ops = history.load(result.folder)
    result.operations = len(ops)
    for op in ops:
        if op.f == "fault":
            result.faults[op["kind"]] = result.faults.get(op["kind"], 0) + 1
    result.held = held_writes(ops)
    # After an error not everything is stopped and read: what looks stuck then is not.
    properties = checker.PROPERTIES if result.error is None else [
        p for p in checker.PROPERTIES if p.__name__ != "stuck_producer"]
    result.violations = checker.check(ops, properties)
    (result.folder / "report.txt").write_text(
        f"{result}\n{result.error or ''}\n\n{checker.report(ops, result.violations)}\n")
