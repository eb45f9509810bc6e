#!/usr/bin/env python3
"""make.py vN: writes tests/formats/vN/{stopped,killed}.{tar.gz,json} with the current build."""
import json
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

from content import fill, read  # noqa: E402
from harness import Broker  # noqa: E402

SMALL = ["--set", "storage.wal_file_bytes=1MiB", "--set", "storage.reserve_bytes=1MiB", "--cores", "2"]


def make(target, name, stop):
    with Broker(*SMALL) as broker:
        fill(broker)
        stop(broker)
        with tarfile.open(target / f"{name}.tar.gz", "w:gz") as tar:
            tar.add(broker.data_dir, arcname="data")
        broker.start()
        (target / f"{name}.json").write_text(json.dumps(read(broker), indent=1, sort_keys=True) + "\n")


def main():
    target = HERE / sys.argv[1]
    target.mkdir()  # never over an existing one
    make(target, "stopped", lambda broker: broker.stop())
    make(target, "killed", lambda broker: broker.kill())


main()
