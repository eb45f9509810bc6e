"""lose_power(data_dir, journal_dir, seed, only_bytes=False): after a kill -9, takes back a random part of what shim.c
saw written and not synced, as a machine does that loses power. As a program: lose_power.py DATA_DIR JOURNAL_DIR SEED.

- Each unsynced write is torn at 4 KiB or at 512 bytes (by seed); each piece stays or is taken back on its own. A piece
  taken back also takes back what later unsynced writes put there.
- A file may lose its last changes of size.
- Of the creates, renames, unlinks and mkdirs of a directory that was not synced since, the last few may be undone.
With `only_bytes` sizes and names stay, and no unsynced byte does: a store notices a file that is short or gone, but what
it never synced looks as if it had never been written.
What is left afterwards counts as durable: the journal starts empty again.
"""
import os
import random
import shutil
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

HEADER = struct.Struct("<6Q")
WRITE, RESIZE = 1, 2


@dataclass
class Loss:
    """What one loss of power did."""
    records: int = 0
    pieces_kept: int = 0
    pieces_lost: int = 0
    sizes_lost: int = 0
    names_lost: int = 0

    def __str__(self):
        return (f"{self.records} unsynced writes, {self.pieces_lost} pieces lost, {self.pieces_kept} kept, "
                f"{self.sizes_lost} sizes and {self.names_lost} names undone")


@dataclass
class Record:
    kind: int
    offset: int
    length: int
    old_size: int
    image: bytes


def read_records(path):
    data = path.read_bytes()
    records, at = [], 0
    while at + HEADER.size <= len(data):
        _seq, kind, offset, length, old_size, image_length = HEADER.unpack_from(data, at)
        at += HEADER.size
        if at + image_length > len(data):
            break  # killed while it was written: its change had not begun
        records.append(Record(kind, offset, length, old_size, data[at:at + image_length]))
        at += image_length
    return records


def pieces_of(record, piece_size):
    """(begin, end) of each aligned piece of a write."""
    begin, end = record.offset, record.offset + record.length
    while begin < end:
        stop = min(end, (begin // piece_size + 1) * piece_size)
        yield begin, stop
        begin = stop


def take_back_write(fd, record, piece_size, keep, rng, loss):
    size = os.fstat(fd).st_size
    for begin, end in pieces_of(record, piece_size):
        if rng.random() < keep:
            loss.pieces_kept += 1
            continue
        loss.pieces_lost += 1
        end = min(end, size)
        if begin >= end:
            continue
        old = record.image[begin - record.offset:end - record.offset]
        os.pwrite(fd, old.ljust(end - begin, b"\0"), begin)


def take_back_resize(fd, record, keep, rng, loss):
    if rng.random() < keep:
        return
    loss.sizes_lost += 1
    os.ftruncate(fd, record.old_size)
    if record.image:
        os.pwrite(fd, record.image, record.offset)


def take_back_file(path, records, piece_size, keep, rng, loss):
    loss.records += len(records)
    fd = os.open(path, os.O_RDWR)
    try:
        for record in reversed(records):
            if record.kind == WRITE:
                take_back_write(fd, record, piece_size, keep, rng, loss)
            else:
                take_back_resize(fd, record, keep, rng, loss)
        # Growth by writing reaches the disk on its own, after the bytes or before.
        cut = rng.randrange(len(records) + 1)
        if keep < 1 and rng.random() < 0.5 and cut < len(records) and records[cut].old_size < os.fstat(fd).st_size:
            loss.sizes_lost += 1
            os.ftruncate(fd, records[cut].old_size)
    finally:
        os.close(fd)


def take_back_bytes(path, records, piece_size, rng, loss):
    loss.records += len(records)
    with open(path, "r+b") as file:
        for record in reversed(records):
            if record.kind == WRITE:
                take_back_write(file.fileno(), record, piece_size, 0, rng, loss)


def paths_by_inode(*folders):
    found = {}
    for folder in folders:
        for path in Path(folder).rglob("*"):
            if path.is_file() and not path.is_symlink():
                found[path.stat().st_ino] = path
    return found


def undo_name(op, saved, path, path2):
    """Undoes one change of names; the later ones are undone already. A change that never happened is left alone."""
    if op == "C":
        if os.path.lexists(path):
            os.unlink(path)
    elif op == "D":
        shutil.rmtree(path, ignore_errors=True)
    elif op == "U":
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.replace(saved, path)
    elif op == "R":
        if not os.path.lexists(path) and os.path.lexists(path2):
            os.rename(path2, path)
            if saved:
                os.replace(saved, path2)


def take_back_names(journal_dir, keep, rng, loss):
    log = Path(journal_dir) / "names"
    if not log.exists():
        return
    lines = [line.rstrip("\n").split("\t") for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    by_directory = {}
    for line in lines:
        by_directory.setdefault(line[3], []).append(line)
    undone = set()
    for changes in by_directory.values():
        if rng.random() >= keep:
            undone.update(line[0] for line in changes[rng.randrange(len(changes) + 1):])
    for seq, op, saved, _directory, path, path2 in reversed(lines):
        if seq in undone:
            loss.names_lost += 1
            undo_name(op, saved, path, path2)


def lose_power(data_dir, journal_dir, seed, only_bytes=False):
    rng = random.Random(seed)
    loss = Loss()
    piece_size = rng.choice([512, 4096])
    keep_names = rng.choice([0.0, 0.5, 1.0])
    by_inode = paths_by_inode(data_dir, journal_dir)
    for journal in sorted(Path(journal_dir).glob("*.undo")):
        records = read_records(journal)
        path = by_inode.get(int(journal.stem))
        keep = rng.choice([0.0, 0.0, 0.25, 0.5, 0.75, 1.0])
        if records and path and only_bytes:
            take_back_bytes(path, records, piece_size, rng, loss)
        elif records and path:
            take_back_file(path, records, piece_size, keep, rng, loss)
    if not only_bytes:
        take_back_names(journal_dir, keep_names, rng, loss)
    shutil.rmtree(journal_dir)
    os.makedirs(journal_dir)
    return loss


if __name__ == "__main__":
    print(lose_power(sys.argv[1], sys.argv[2], int(sys.argv[3])))
