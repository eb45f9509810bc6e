"""Runs one workload against both brokers in turn and keeps the runs that the machine did not disturb."""

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from rows import HIGHER

DRIFT_MAX = 1.3  # rate of a run's second half / first half, or the inverse: beyond it the broker was not steady
CLIENT_BUSY_MIN = 0.9  # from here on the client's processor counts as the limit
ATTEMPTS_PER_RUN = 3
BEST_OF = {"rate": max, "server_cpu_ns": statistics.median, "p50_us": min, "p99_us": min, "p999_us": min, "rss_mb": max}


def say(text):
    print(text, file=sys.stderr, flush=True)


@dataclass
class Settings:
    """What the command line fixes for all rows."""

    programs: Path  # where the load programs are
    data: Path
    reps: int = 3
    seconds: float = 5
    gap_share_max: float = 0.05
    attempts: int = ATTEMPTS_PER_RUN
    server_cpu: str = "0"
    client_cpu: str = "1"
    deadline: float = float("inf")


@dataclass
class Side:
    """All runs of one broker on one row."""

    runs: list = field(default_factory=list)
    voided: int = 0
    noisy: bool = False  # no run was undisturbed: the least disturbed one is shown and proves nothing
    unsteady: bool = False  # a run got much faster or slower while it was measured
    behind: bool = False  # a paced run missed its rate or was catching up: its latency is a queue's, not the broker's
    error: str = ""

    def figure(self, metric):
        values = [run[metric] for run in self.runs if metric in run]
        return BEST_OF.get(metric, max)(values) if values else None

    def client_bound(self):
        return bool(self.runs) and max(self.runs, key=lambda run: run["rate"]).get("client_busy", 0) >= CLIENT_BUSY_MIN


def program(settings, name, options, timeout):
    words = [f"{key}={value}" for key, value in options.items()]
    done = subprocess.run([str(settings.programs / f"bench_{name}"), *words], capture_output=True, text=True,
                          timeout=timeout)
    if done.returncode != 0:
        raise RuntimeError(f"bench_{name} {' '.join(words)}: {done.stderr.strip()[-300:] or done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def taken_share(settings, touch_mib=0):
    options = {"secs": 1, "cpus": 2, "touch_mib": touch_mib}
    return program(settings, "gauge", options, 60)["taken_share"]


def gauged(settings, run):
    """The figures of run() with the larger share that the host took just before and just after."""
    before = taken_share(settings, touch_mib=2048)
    figures = run()
    return {**figures, "taken_share": max(before, taken_share(settings))}


def load(settings, client, start_broker, options):
    """One broker started, loaded and stopped: the client's figures."""
    with start_broker() as broker:
        if client == "kafka":
            target = {"broker": f"127.0.0.1:{broker.ports['kafka']}"}
        else:
            target = {"port": broker.ports["amqp" if client == "amqp" else "kafka"]}
        warm = broker.warm_seconds
        fixed = {"pid": broker.pid, "cpu": settings.client_cpu, "secs": settings.seconds, "warm": warm}
        figures = program(settings, client, {**options, **target, **fixed}, settings.seconds + warm + 90)
    return {**figures, "asked_rate": options.get("rate", 0)}


def measured(settings, side, run):
    """Adds one undisturbed run to `side`; returns the disturbed ones met on the way."""
    disturbed = []
    for _ in range(settings.attempts):
        try:
            figures = gauged(settings, run)
        except (RuntimeError, OSError, subprocess.SubprocessError) as failure:
            side.error = str(failure)
            return disturbed
        if figures["taken_share"] <= settings.gap_share_max:
            side.runs.append(figures)
            return disturbed
        side.voided += 1
        disturbed.append(figures)
        say(f"    void: {figures['taken_share']:.0%} of a processor was taken away")
        if time.monotonic() > settings.deadline:
            break
    return disturbed


def compare(settings, run_peer, run_polylog):
    """A-B-A-B. Each argument makes one measurement and returns its figures, or is None for a side left out."""
    runs = {"peer": run_peer, "polylog": run_polylog}
    sides = {name: Side() for name in runs}
    disturbed = {name: [] for name in runs}
    for rep in range(settings.reps):
        for name, run in runs.items():
            late = rep > 0 and time.monotonic() > settings.deadline
            if run is not None and not sides[name].error and not late:
                disturbed[name] += measured(settings, sides[name], run)
    for name, side in sides.items():
        if not side.runs and disturbed[name]:
            side.runs.append(min(disturbed[name], key=lambda figures: figures["taken_share"]))
            side.noisy = True
        judge_steadiness(side)
    return sides["peer"], sides["polylog"]


def judge_steadiness(side):
    drifts = [run["drift"] for run in side.runs if "drift" in run]
    side.unsteady = any(not 1 / DRIFT_MAX <= drift <= DRIFT_MAX for drift in drifts)
    side.behind = any(abs(run["rate"] / run["asked_rate"] - 1) > 0.02 for run in side.runs if run.get("asked_rate"))


def ratio_of(peer, polylog, metric):
    theirs, ours = peer.figure(metric), polylog.figure(metric)
    return ours / theirs if theirs and ours is not None else None


def void_reason(peer, polylog):
    """Why a row proves nothing either way, or nothing. A row in which the *peer* fell behind or was unsteady would
    flatter polylog, so it counts as little as a noisy one."""
    for reason in ("noisy", "unsteady", "behind"):
        sides = [name for name, side in (("peer", peer), ("polylog", polylog)) if getattr(side, reason)]
        if sides:
            return f"void: {' and '.join(sides)} {reason}"
    return None


def verdict_of(goal, peer, polylog):
    """The word of the last column: aim, must, missed, or why there is none."""
    ratio = ratio_of(peer, polylog, goal.metric)
    if ratio is None:
        return "not measured"
    if reason := void_reason(peer, polylog):
        return reason
    if goal.aim is not None and goal.reaches(ratio, goal.aim):
        return "aim"
    if goal.reaches(ratio, goal.must):
        return "must"
    if goal.bound and polylog.client_bound() and bound_holds(goal, peer, polylog):
        return "must, client-bound"
    return "missed"


def bound_holds(goal, peer, polylog):
    for metric, limit in goal.bound.items():
        ratio = ratio_of(peer, polylog, metric)
        higher = metric == goal.metric and goal.sense == HIGHER
        if ratio is None or (ratio < limit if higher else ratio > limit):
            return False
    return True
