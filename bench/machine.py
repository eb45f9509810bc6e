"""Rows that compare polylog with the machine itself: the raw disk, the raw socket, the least possible log server.

`client` of a row here holds two option sets: `limit` for bench_machine and `load` for bench_wire, unless they name a program
or the row another client.
"""

import contextlib
import functools
import subprocess
import time
import urllib.request

from brokers import Polylog
from measure import load, program
from rows import CPU, HIGHER, LOWER, P50, P99, RATE, Goal, Row

SETTLE_SECONDS = 20  # until the broker has moved what it took in to where old data lies
LOG_16x64 = {"connections": 16, "window": 64, "size": 100}
BATCHES_16x64 = {"mode": "produce", "connections": 16, "window": 1, "partitions": 1, "records": 64, "size": 100}


def rounds(partitions):
    """One request is one round: a batch of 16 KiB for each partition."""
    return Row(
        f"P5-{partitions}", f"{partitions} partitions, a batch of 16 KiB each, durable / one raw shared log",
        {"limit": {"what": "commits", "size": 16_384, "parts": partitions},
         "load": {"mode": "produce", "connections": 1, "window": 2, "partitions": partitions, "records": 16,
                  "size": 1000}},
        (Goal(RATE, HIGHER, 0.5, 0.8),), {"per_request": True}, "rounds/s")


ROWS = (
    Row("P1", "100 B in batches of 64, interval durability / append-and-acknowledge server on the page cache",
        {"limit": {"what": "log", "durable": 0, **LOG_16x64}, "load": BATCHES_16x64},
        (Goal(CPU, LOWER, 2.5, 1.5),), {"durability": "interval"}),
    Row("P3", "100 B in batches of 64, durable / append-and-acknowledge server with fdatasync",
        {"limit": {"what": "log", "durable": 1, **LOG_16x64}, "load": BATCHES_16x64},
        (Goal(RATE, HIGHER, 0.35, 0.7),)),
    Row("P4", "requests of 4 KiB, 4 in flight / raw commits of 4 KiB",
        {"limit": {"what": "commits", "size": 4096},
         "load": {"mode": "produce", "connections": 1, "window": 4, "partitions": 1, "records": 1, "size": 4000}},
        (Goal(RATE, HIGHER, 0.7, 0.9),), {"per_request": True}, "commits/s"),
    rounds(16),
    rounds(64),
    Row("P8-file", "catch-up reads of 1 MiB batches / raw sendfile",
        {"limit": {"what": "sendfile", "chunk": 1 << 20},
         "load": {"mode": "fetch", "batch": 1 << 20, "fill_mib": 1024, "settle": SETTLE_SECONDS}},
        (Goal(RATE, HIGHER, 0.5, 0.8),), {}, "bytes/s"),
    Row("P8-tail", "the newest batch of 256 KiB / raw send of a hot buffer",
        {"limit": {"what": "send", "chunk": 256 << 10},
         "load": {"mode": "fetch", "batch": 256 << 10, "fill_mib": 16, "tail": 1}},
        (Goal(RATE, HIGHER, 0.5, 0.8),), {}, "bytes/s"),
    Row("P14", "p99 at 5,000/s of 1 KiB beside a full-speed reader of old data / without it",
        {"load": {"size": 1024, "rate": 5000, "linger": 0},
         "reader": {"mode": "fetch", "batch": 1 << 20, "fill_mib": 1024, "warm": 0}},
        (Goal(P99, LOWER, 1.5, 1.2),)),
    Row("P10", "what durability adds to p50 at 5,000/s of 1 KiB / p50 of a raw commit",
        {"limit": {"what": "commits", "size": 4096}, "load": {"size": 1024, "rate": 5000, "linger": 0}},
        (Goal(P50, LOWER, 2.0, 1.4),), {"durability": "difference"}),
    Row("floor-5k", "a message that is a commit of its own, 5,000/s of 1 KiB / the least durable broker",
        {"limit": {"what": "paced", "rate": 5000, "size": 1024}, "load": {"size": 1024, "rate": 5000, "linger": 0}},
        (Goal(P50, LOWER, 1.5, 1.2), Goal(CPU, LOWER, 1.5, 1.2)), {"client": "kafka"}),
    Row("P12", "appends to a partition of the other core / of the same core, in the engine",
        {"limit": {"program": "produce", "where": "same"}, "load": {"program": "produce", "where": "other"}},
        (Goal(RATE, HIGHER, 0.85, 0.95),), {"engine": True}),
    Row("P13", "publish, deliver and acknowledge in the engine, batches of 256 / a log and a deque that do no more",
        {"limit": {"what": "acklog"}, "load": {"program": "queue"}}, (Goal(CPU, LOWER, 6.0, 3.0),), {"engine": True}),
)


def runs_of(row, options, settings):
    """What makes one measurement of the machine and one of polylog; None for a side left out."""
    if "reader" in row.client:
        return (None if options.only == "polylog" else functools.partial(beside_reader, row, options, settings, False),
                None if options.only == "peer" else functools.partial(beside_reader, row, options, settings, True))
    if row.peer.get("engine"):
        run_polylog = functools.partial(alone, row.client["load"], settings)
    else:
        kind = difference if row.peer.get("durability") == "difference" else load_polylog
        run_polylog = functools.partial(kind, row, options, settings)
    return (None if options.only == "polylog" else functools.partial(alone, row.client["limit"], settings),
            None if options.only == "peer" else run_polylog)


def alone(options, settings):
    """A program that needs no broker beside it."""
    fixed = {"dir": settings.data, "secs": settings.seconds, "cpu": settings.server_cpu,
             "client_cpu": settings.client_cpu}
    return program(settings, options.get("program", "machine"), {**options, **fixed}, settings.seconds + 60)


def start(options, settings, durability):
    return lambda: Polylog(settings.data / "polylog", settings.server_cpu, options.binary, durability)


def load_polylog(row, options, settings):
    durability = row.peer.get("durability", "commit")
    figures = load(settings, row.peer.get("client", "wire"), start(options, settings, durability), row.client["load"])
    if row.peer.get("per_request"):
        figures["rate"] /= figures["records_per_request"]
    return figures


def appended_bytes(broker):
    with urllib.request.urlopen(f"http://127.0.0.1:{broker.ports['admin']}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("polylog_appended_bytes_total"))


@contextlib.contextmanager
def reader_of_old_data(row, settings, broker, reads):
    """Fills a stream; then reads it over and over until the end, or, if it is not to, not at all."""
    reader = row.client["reader"]
    options = {**reader, "port": broker.ports["kafka"], "cpu": settings.client_cpu, "secs": 3600 if reads else 1}
    words = [str(settings.programs / "bench_wire"), *(f"{key}={value}" for key, value in options.items())]
    # It shares the client's processor and must not take it from the one that is measured.
    process = subprocess.Popen(["nice", "-n", "19", *words], stdout=subprocess.DEVNULL)
    try:
        filled = (reader["fill_mib"] << 20) - 2 * reader["batch"]
        while appended_bytes(broker) < filled:
            if process.poll() is not None:
                raise RuntimeError("bench_wire ended before its stream was filled")
            time.sleep(0.1)
        if not reads:
            process.wait()
        time.sleep(SETTLE_SECONDS)
        yield
    finally:
        process.kill()
        process.wait()


def beside_reader(row, options, settings, reads):
    with start(options, settings, "commit")() as broker, reader_of_old_data(row, settings, broker, reads):
        fixed = {"broker": f"127.0.0.1:{broker.ports['kafka']}", "pid": broker.pid, "cpu": settings.client_cpu,
                 "secs": settings.seconds, "warm": broker.warm_seconds}
        figures = program(settings, "kafka", {**row.client["load"], **fixed}, settings.seconds + 90)
    return {**figures, "asked_rate": row.client["load"]["rate"]}


def difference(row, options, settings):
    """p50 of the durable broker less p50 of the same broker when it does not wait for the disk."""
    p50 = {durability: load(settings, "kafka", start(options, settings, durability), row.client["load"])["p50_us"]
           for durability in ("commit", "interval")}
    return {"p50_us": max(0.0, p50["commit"] - p50["interval"]), "p50_commit_us": p50["commit"],
            "p50_interval_us": p50["interval"], "rate": row.client["load"]["rate"]}
