#!/usr/bin/env python3
"""make.py vN: writes tests/formats/vN/{stopped,killed}.{tar.gz,json} with the current build."""
import json
import re
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

from content import LONG_BATCHES, fill, fill_long, read  # noqa: E402
from harness import BINARY, Broker, run, wait_for  # noqa: E402

# One cell, so that the topic and the queue share log files; small ones, of which only the newest stays as it is.
SMALL = ["--set", "storage.wal_file_bytes=1MiB", "--set", "storage.reserve_bytes=1MiB", "--set", "storage.cells=1",
         "--set", "storage.wal_keep_files=1"]
TRIES_MAX = 40


def dump(path):
    return [json.loads(line) for line in run(BINARY, "dump", path, "--json").stdout.splitlines()]


def replayed_moves(directory):
    """The kinds of moves (segment, move) that lie behind the checkpoint, so that a start replays them."""
    checkpoint = max(directory.glob("cell-000/checkpoint-*.plc"), default=None)
    start = int(re.search(r" lsn (\d+)", dump(checkpoint)[-1]["text"])[1]) if checkpoint else 0
    lines = [line["text"] for path in sorted(directory.glob("cell-000/wal-*.plw")) for line in dump(path)
             if line["kind"] == "mutation"]
    found = (re.match(r"(?:lsn )?(\d+):? (segment|move) ", line) for line in lines)
    return {match[2] for match in found if match and int(match[1]) >= start}


def has_extents(broker):
    return all(list(broker.data_dir.glob(f"cell-000/{kind}-*.plx")) for kind in ("segment", "pack"))


def stop(broker):
    wait_for(lambda: has_extents(broker), 60, "segments and packs")
    broker.stop()


def kill(broker):
    """In the middle of moving: more is written and it is killed, until the log has moves that no checkpoint holds."""
    wait_for(lambda: has_extents(broker), 60, "segments and packs")
    for tries in range(1, TRIES_MAX + 1):
        broker.kill()
        if replayed_moves(broker.data_dir) >= {"segment", "move"}:
            return
        broker.start()
        fill_long(broker, tries * LONG_BATCHES)
    raise AssertionError(f"after {TRIES_MAX} kills no log had moves to replay")


def make(target, name, end):
    with Broker(*SMALL) as broker:
        fill(broker)
        fill_long(broker)
        end(broker)
        with tarfile.open(target / f"{name}.tar.gz", "w:gz") as tar:
            tar.add(broker.data_dir, arcname="data")
        broker.start()
        (target / f"{name}.json").write_text(json.dumps(read(broker, True), indent=1, sort_keys=True) + "\n")


def main():
    target = HERE / sys.argv[1]
    target.mkdir()  # never over an existing one
    make(target, "stopped", stop)
    make(target, "killed", kill)


main()
