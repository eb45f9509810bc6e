"""What small batches that unpack to much cost: a thread's time, and no turn of the core that serves everybody else."""
import contextlib
import gzip
import os
import socket
import threading
import time

import pytest

from harness import Broker, wait_for
from kafka_wire import GZIP, MESSAGE_TOO_LARGE, NONE, PRODUCE, Wire, batch, batch_of, record
from prometheus import samples

BOMBS = 4
UNPACKED_BYTES = 90_000_000
UNPACKED_BYTES_MAX = 104_857_600
TURN_SECONDS_MAX = 0.131072  # a bound of the histogram; unpacking one bomb takes several times as long
MEMORY_BYTES = 256 << 20
INGRESS_BYTES = MEMORY_BYTES // 8  # of what is held for requests that have arrived
ANSWER_MB, ANSWERS, ANSWERED_AFTER_SECONDS = 5, 3, 2
CHOKED_BYTES = 8 << 20  # queued for a connection: it is read no more
STALLED_WRITE_SECONDS = 30  # then it is closed


def bomb(size):
    """A batch of some 100 KB, of one record."""
    return batch_of(gzip.compress(record(0, b"\0" * size), 6), 1, GZIP)


def turns_longer_than(broker, seconds):
    bounds = {float(dict(labels)["le"]): count for (name, labels), count in samples(broker.http("/metrics")[1]).items()
              if name == "polylog_turn_duration_seconds_bucket"}
    return bounds[float("inf")] - bounds[seconds]


@pytest.fixture(scope="module")
def large():
    return bomb(UNPACKED_BYTES)


class Pinger:
    """Somebody else on the same core, who asks for little all the time."""

    def __init__(self, broker):
        self.slowest, self.count, self.stopped = 0.0, 0, threading.Event()
        self.thread = threading.Thread(target=self.run, args=(broker,))

    def run(self, broker):
        with Wire(broker, 30) as wire:
            while not self.stopped.is_set():
                begin = time.monotonic()
                assert wire.works()
                self.slowest, self.count = max(self.slowest, time.monotonic() - begin), self.count + 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join(30)


def test_batches_that_unpack_to_much_hold_no_turn_of_the_core(large):
    with Broker("--cores", "1") as broker, Wire(broker, 60) as wire:
        assert wire.create_topic("t", compression_type="zstd") == NONE
        before = turns_longer_than(broker, TURN_SECONDS_MAX)
        begin = time.monotonic()
        with Pinger(broker) as other:
            for _ in range(BOMBS):
                wire.send_produce("t", large)
            wire.send_produce("t", batch(b"behind them"))
            answers = [wire.receive_produced() for _ in range(BOMBS + 1)]
        took = time.monotonic() - begin
        print(f"{BOMBS} x {UNPACKED_BYTES} bytes in {took:.2f} s; {other.count} pings, the slowest {other.slowest:.3f} s")
        assert answers == [(NONE, offset) for offset in range(BOMBS + 1)]
        assert took > BOMBS * TURN_SECONDS_MAX  # else nothing was shown
        assert turns_longer_than(broker, TURN_SECONDS_MAX) == before
        assert other.count > BOMBS


def test_a_batch_that_unpacks_past_the_limit_is_refused_and_life_goes_on():
    with Broker("--cores", "1") as broker, Wire(broker, 60) as wire:
        assert wire.create_topic("t", compression_type="lz4") == NONE
        assert wire.produce("t", bomb(UNPACKED_BYTES_MAX))[0] == MESSAGE_TOO_LARGE
        assert wire.produce("t", batch(b"x")) == (NONE, 0)


def memory_in_use(broker, share):
    return samples(broker.http("/metrics")[1])["polylog_memory_used_bytes", frozenset({("share", share)})]


def test_a_producer_that_does_not_read_holds_up_no_other(large):
    """Its answers choke its connection while its batch, larger than all memory for requests, waits to be packed anew."""
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Broker("--cores", "1", "--set", f"memory_bytes_max={MEMORY_BYTES >> 20}MiB"))
        other, deaf, *busy = [stack.enter_context(Wire(broker, 60)) for _ in range(2 + 2 * BOMBS)]
        assert other.create_topic("answers") == NONE
        assert other.create_topic("t", compression_type="lz4", max_message_bytes=100 << 20) == NONE
        for offset in range(ANSWER_MB):
            assert other.produce("answers", batch(os.urandom(1_000_000))) == (NONE, offset)
        deaf.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        begin = time.monotonic()
        for _ in range(ANSWERS):
            deaf.send_fetch("answers", 0, bytes_max=8 << 20, wait_ms=1000 * ANSWERED_AFTER_SECONDS, bytes_min=8 << 20)
        request = deaf.framed(PRODUCE, 7, deaf.produce_body("t", batch(os.urandom(2 * INGRESS_BYTES))))
        deaf.sock.sendall(request[:-1])
        time.sleep(max(0, begin + ANSWERED_AFTER_SECONDS - 0.3 - time.monotonic()))
        for wire in busy:  # before it: the thread is busy for longer than the rest of the wait
            wire.send_produce("t", large)
        deaf.sock.sendall(request[-1:])
        begin = time.monotonic()
        wait_for(lambda: memory_in_use(broker, "ingress") > 4 * INGRESS_BYTES, 20, "it waits: it is there twice")
        wait_for(lambda: memory_in_use(broker, "egress") > CHOKED_BYTES, 20, "it does not read")
        assert memory_in_use(broker, "ingress") > 4 * INGRESS_BYTES  # it waits still
        assert other.produce("answers", batch(b"x")) == (NONE, ANSWER_MB)
        took = time.monotonic() - begin
        print(f"produced after {took:.2f} s")
        assert took < STALLED_WRITE_SECONDS / 2
        assert memory_in_use(broker, "egress") > CHOKED_BYTES
        wait_for(lambda: other.fetch("t", 0, bytes_max=1 << 10)[1] == len(busy) + 1, 10, "its batch was taken too")
