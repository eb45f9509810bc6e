"""What the system tests share: a broker process, a power cord to pull, and small wire helpers.

Everything a test starts is ended by its pid, whatever the test does. Nothing here needs a fixed port.
"""
import functools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from powerloss.lose_power import lose_power

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
BINARY = Path(os.environ.get("POLYLOG_BINARY", BUILD / "release" / "polylog"))
CLIENTS = BUILD / "release" / "clients"
READY_SECONDS_MAX = 15
STOP_SECONDS_MAX = 10
LOG_TAIL_BYTES = 6000


class BrokerFailed(AssertionError):
    """Carries the end of the broker's log."""


def scratch_dir(name):
    """A fresh directory on a real disk (build/), not a tmpfs: syncs and O_DIRECT behave as they do for users."""
    base = BUILD / "scratch"
    base.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))


def compile_c(source, output, *flags):
    """Compiles unless the output is newer than the source."""
    source, output = Path(source), Path(output)
    if not output.exists() or output.stat().st_mtime < source.stat().st_mtime:
        output.parent.mkdir(parents=True, exist_ok=True)
        fresh = output.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        subprocess.run(["clang-19", "-std=gnu17", "-O2", "-g", "-Wall", "-Wextra", "-Werror", *flags, str(source), "-o",
                        str(fresh), "-lpthread"], check=True)
        fresh.rename(output)
    return output


class PowerCord:
    """Runs a process over powerloss/shim.c and, once it is killed, loses what was not synced. Its syncs can be stubbed
    out: from the start (`nosync`), or from a later time on."""

    def __init__(self, data_dir, journal_dir, nosync=False):
        self.data_dir, self.journal_dir = Path(data_dir), Path(journal_dir)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.journal_dir.mkdir(parents=True, exist_ok=True)
        self.switch = self.journal_dir.with_name(f"{self.journal_dir.name}.nosync")
        if nosync:
            self.stub_out_syncs()
        self.shim = compile_c(ROOT / "tests/system/powerloss/shim.c", BUILD / "powerloss/shim.so", "-shared", "-fPIC")

    def env(self):
        return {"LD_PRELOAD": str(self.shim), "POLYLOG_LOSS_DIR": str(self.data_dir),
                "POLYLOG_LOSS_JOURNAL": str(self.journal_dir), "POLYLOG_LOSS_NOSYNC": str(self.switch)}

    def stub_out_syncs(self):
        """From now on no sync happens, though the process is told so. What is synced stays."""
        self.switch.touch()

    def pull(self, seed, only_bytes=False):
        return lose_power(self.data_dir, self.journal_dir, seed, only_bytes)


class Broker:
    """One `polylog serve` on one data directory, which outlives restarts.

    with Broker() as broker:
        broker.address("kafka")     # "127.0.0.1:PORT"
        broker.kill(); broker.start()
    """

    def __init__(self, *args, power=False, nosync=False, listeners=("kafka", "amqp", "admin"), keep_ports=False,
                 data_dir=None, env=None):
        self.args = list(args)
        self.env = env or {}
        self.listeners = listeners
        self.keep_ports = keep_ports
        self.dir = scratch_dir("broker")
        self.data_dir = Path(data_dir) if data_dir else self.dir / "data"
        self.data_dir.mkdir(exist_ok=True)
        self.log_path = self.dir / "log"
        self.cord = PowerCord(self.data_dir, self.dir / "loss", nosync) if power else None
        self.process = None
        self.ports = {}
        self.ready_seconds = None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.cleanup(failed=True)
            raise

    def __exit__(self, kind, _error, _trace):
        self.cleanup(failed=kind is not None)

    def command(self):
        command = [str(BINARY), "serve", "--data-dir", str(self.data_dir)]
        for name in self.listeners:
            command += ["--listen", f"{name}=127.0.0.1:{self.ports.get(name, 0) if self.keep_ports else 0}"]
        return command + self.args

    def start(self):
        assert self.process is None
        log = open(self.log_path, "ab")
        begin = time.monotonic()
        self.process = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            env={**os.environ, **(self.cord.env() if self.cord else {}), **self.env})
        log.close()
        line = self.read_ready_line(begin + READY_SECONDS_MAX)
        self.ready_seconds = time.monotonic() - begin
        self.ports = {name: int(port) for name, port in re.findall(r"(\w+)=\S*?:(\d+)(?=\s|$)", line)}
        missing = set(self.listeners) - set(self.ports)
        if missing:
            self.fail(f"the ready line does not name {missing}: {line!r}")
        return self

    def read_ready_line(self, deadline):
        os.set_blocking(self.process.stdout.fileno(), False)
        text = b""
        while time.monotonic() < deadline:
            chunk = self.process.stdout.read()
            text += chunk or b""
            for line in text.decode(errors="replace").splitlines(keepends=True):
                if line.startswith("polylog ready") and line.endswith("\n"):
                    return line
            if self.process.poll() is not None:
                self.fail(f"the broker ended with exit code {self.process.returncode} before it was ready")
            time.sleep(0.005)
        self.fail(f"no ready line within {READY_SECONDS_MAX} s")

    def address(self, listener):
        return f"127.0.0.1:{self.ports[listener]}"

    def connect(self, listener, timeout=5):
        return socket.create_connection(("127.0.0.1", self.ports[listener]), timeout)

    def http(self, path):
        """(status, body) of a GET on the admin listener."""
        try:
            with urllib.request.urlopen(f"http://{self.address('admin')}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def memory_bytes(self):
        """Resident set size."""
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1]) * 1024

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.reap(STOP_SECONDS_MAX)

    def pull_the_plug(self, seed, only_bytes=False):
        """kill -9, and everything that was not synced may be gone; `only_bytes`: every byte of it is, and no file."""
        self.kill()
        return self.cord.pull(seed, only_bytes)

    def stop(self):
        """SIGTERM must end it with exit code 0 within 10 s."""
        self.process.send_signal(signal.SIGTERM)
        code = self.reap(STOP_SECONDS_MAX)
        if code != 0:
            self.fail(f"SIGTERM ended it with exit code {code} (None: not within {STOP_SECONDS_MAX} s)")

    def restart(self):
        self.stop()
        return self.start()

    def reap(self, seconds):
        process, code = self.process, None
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        self.process = None
        return code

    def log_text(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def fail(self, why):
        raise BrokerFailed(f"{why}\n--- the end of the broker's log:\n{self.log_text()[-LOG_TAIL_BYTES:]}")

    def cleanup(self, failed):
        if self.process is not None:
            self.kill()
        if failed:
            print(f"--- the end of the broker's log ({self.dir} is kept):\n{self.log_text()[-LOG_TAIL_BYTES:]}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


def run(*command, seconds=60, input=None, check=True):
    """Runs a client program; on failure its output is in the error."""
    result = subprocess.run([str(part) for part in command], capture_output=True, timeout=seconds, input=input,
                            stdin=subprocess.DEVNULL if input is None else None)
    if check and result.returncode != 0:
        raise AssertionError(f"{command} ended with {result.returncode}:\n{result.stdout[-3000:].decode(errors='replace')}"
                             f"\n{result.stderr[-3000:].decode(errors='replace')}")
    return result


@functools.cache
def may_mount():
    """Whether a tmpfs can be mounted here: it takes root, and not every container lets root."""
    place = scratch_dir("probe")
    try:
        if subprocess.run(["mount", "-t", "tmpfs", "polylog-test", place], capture_output=True).returncode != 0:
            return False
        subprocess.run(["umount", "-l", place], check=True)
        return True
    finally:
        place.rmdir()


def closed_within(sock, seconds):
    """Whether the peer closes within that time; answers it sends before are read and dropped."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            if not sock.recv(65536):
                return True
        except ConnectionError:
            return True
        except TimeoutError:
            return False
    return False


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


def seeds(count, base=None):
    """Seeds for `count` rounds. POLYLOG_LOSS_SEED=N repeats a run from its printed first seed."""
    first = int(os.environ.get("POLYLOG_LOSS_SEED", base if base is not None else random.SystemRandom().randrange(1 << 30)))
    print(f"seeds from {first} (POLYLOG_LOSS_SEED={first} repeats them)")
    return range(first, first + count)
