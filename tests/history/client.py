"""What every client of a round needs: its history, its pace, whether it should go on, and how it is started and
stopped.

A value is `CLIENT:NUMBER`, followed by filling that is not recorded.
"""
import os
import signal
import time

from history import Recorder

TOPIC, QUEUE = "history", "history-q"
PARTITIONS = 3


class Stop:
    """Set by a signal. A threading.Event would not do: its lock may be held by the very thread that the signal
    interrupts."""

    def __init__(self):
        self.flag = False

    def set(self):
        self.flag = True

    def is_set(self):
        return self.flag

    def wait(self, seconds):
        time.sleep(seconds)
        return self.flag


class Client:
    """What every role needs: its history, its pace, and whether it should go on."""

    def __init__(self, setup, name, stopping):
        self.setup, self.name, self.stopping = setup, name, stopping
        self.history = Recorder(setup["folder"], name)
        self.filling = b" " + b"x" * setup.get("value_bytes", 50)
        self.bootstrap = f"127.0.0.1:{setup['kafka']}"

    def paced(self, wait=time.sleep):
        """Numbers, so many a second. `wait` may do something useful for at most so many seconds."""
        number, due = 0, time.monotonic()
        while not self.stopping.is_set():
            yield number
            number += 1
            due = max(due + 1 / self.setup["per_second"], time.monotonic() - 0.5)
            while (left := due - time.monotonic()) > 0:
                wait(left)

    def value(self, number):
        return f"{self.name}:{number}"

    def body(self, value):
        return value.encode() + self.filling


def value_in(body):
    return body.split(b" ", 1)[0].decode()


def run(work, name, setup):
    stopping = Stop()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the runner, which stops its clients
    os.dup2(os.open(f"{setup['folder']}/{name}.err", os.O_WRONLY | os.O_CREAT, 0o644), 2)
    client = Client(setup, name, stopping)  # from here on its file is there: it may be stopped
    work(client)
