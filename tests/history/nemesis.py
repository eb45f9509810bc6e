"""What goes wrong in a round. Each fault is one function of a Stage; it returns when the fault is healed.

  kill        kill -9 of the broker, and a start
  pause       SIGSTOP of the broker, SIGCONT up to three seconds later
  full        the file system runs full for a while
  power       kill -9, and what was not synced is lost (tests/system/powerloss)
  member      kill -9 of a consumer; another one takes its place
  freeze      SIGSTOP of a group's member for longer than its session, SIGCONT: it comes back as a ghost
  rebalance   a member leaves, a member joins
  mix         any of those that the round's disk allows, one after the other

And what no broker can survive, so that the checker must find something (nobody plays it by chance):

  unsynced    syncs that were real so far are stubbed out; then power is lost, with every byte they should have kept
"""
import errno
import os
import signal
import time

SESSION_SECONDS = 6
FULL_CHUNK_BYTES = 1 << 20


def kill(stage):
    with stage.fault("kill"):
        stage.broker.kill()
        stage.wait(0, 0.5)
        stage.broker.start()


def pause(stage):
    with stage.fault("pause"):
        os.kill(stage.broker.process.pid, signal.SIGSTOP)
        stage.wait(0.3, 3)
        os.kill(stage.broker.process.pid, signal.SIGCONT)


def full(stage):
    filler = stage.disk / "filler"
    with stage.fault("full"):
        with open(filler, "ab", buffering=0) as out:
            fill(out)
            until = time.monotonic() + stage.dice.uniform(1, 3)
            while time.monotonic() < until:  # what the broker gives back in time is taken too
                time.sleep(0.05)
                fill(out)
        filler.unlink()


def fill(out):
    """Takes all the space there is."""
    size = FULL_CHUNK_BYTES
    while size >= 4096:
        try:
            if out.write(bytes(size)) < size:
                size //= 2
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            size //= 2


def power(stage):
    with stage.fault("power"):
        stage.broker.pull_the_plug(stage.dice.randrange(1 << 30))
        stage.broker.start()


def unsynced(stage):
    with stage.fault("unsynced"):
        stage.broker.cord.stub_out_syncs()
        stage.wait(0.5, 1)
        stage.broker.pull_the_plug(stage.dice.randrange(1 << 30), only_bytes=True)
        stage.broker.start()


def member(stage):
    name = stage.dice.choice(stage.consumers())
    with stage.fault("kill member", name):
        stage.clients[name].kill()
    stage.replace(name)


def freeze(stage):
    name = stage.dice.choice([n for n in stage.consumers() if stage.role_of(n).endswith("member")])
    with stage.fault("pause member", name):
        os.kill(stage.clients[name].pid, signal.SIGSTOP)
        stage.wait(SESSION_SECONDS + 1, SESSION_SECONDS + 2)
        os.kill(stage.clients[name].pid, signal.SIGCONT)


def rebalance(stage):
    name = stage.dice.choice(stage.consumers())
    with stage.fault("leave", name):
        stage.stop_client(name)
    stage.wait(0, 0.5)
    stage.replace(name)


ALL = {f.__name__: f for f in (kill, pause, full, power, member, freeze, rebalance)}
LONG = {"freeze"}            # one is enough for a round
NEEDS_SMALL_DISK = {"full"}
NEEDS_POWER_CORD = {"power", "unsynced"}
NAMES = [*ALL, "mix"]
CONTROLS = {"unsynced": unsynced}


def plan(name, dice, count=None):
    """The faults of one round. A mixed round has the loss of power or the full disk, not both: their disks differ."""
    count = count or dice.randint(2, 4)
    if name != "mix":
        return [name] * (1 if name in LONG else count)
    special = dice.choice(["full", "power"])
    return [dice.choice([special, "kill", "pause", "member", "rebalance"]) for _ in range(count)] + [special]
