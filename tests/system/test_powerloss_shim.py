"""The power cord itself: without a broker, with a small program that says what it made durable."""
import random
import shutil
import subprocess
import time

import pytest

from harness import BUILD, ROOT, PowerCord, compile_c, scratch_dir, seeds, wait_for

BLOCK = 6000


@pytest.fixture(scope="module")
def program():
    return compile_c(ROOT / "tests/system/powerloss/shim_check.c", BUILD / "powerloss/shim_check")


@pytest.fixture
def folder():
    path = scratch_dir("shim")
    yield path
    shutil.rmtree(path)


def run_and_pull(program, mode, folder, seed, nosync=False):
    """Returns (last number that the program called durable, what was lost)."""
    cord = PowerCord(folder / "data", folder / "loss", nosync)
    with open(folder / "said", "w") as said:
        process = subprocess.Popen([program, mode, cord.data_dir], stdout=said, env=cord.env())
        try:
            time.sleep(random.Random(seed).uniform(0.05, 0.4))
        finally:
            process.kill()
            process.wait()
    loss = cord.pull(seed)
    return durable_by(folder), loss


def durable_by(folder):
    """The last number that the program called durable."""
    return max((int(line) for line in (folder / "said").read_text().split("\n")[:-1]), default=0)


def lost_blocks(path, count):
    data = path.read_bytes() if path.exists() else b""
    return [i for i in range(count) if data[i * BLOCK:(i + 1) * BLOCK] != (i + 1).to_bytes(8, "little") * (BLOCK // 8)]


def test_what_was_synced_while_others_write_stays(program, folder):
    lost_pieces = 0
    for seed in seeds(12, base=1):
        (folder / str(seed)).mkdir()
        durable, loss = run_and_pull(program, "log", folder / str(seed), seed)
        assert lost_blocks(folder / str(seed) / "data/log", durable) == [], f"seed {seed}"
        lost_pieces += loss.pieces_lost
    assert lost_pieces > 0, "the cord was pulled twelve times and nothing was lost: it tests nothing"


def test_without_syncs_something_is_lost(program, folder):
    rounds_with_loss = 0
    for seed in seeds(6, base=1):
        (folder / str(seed)).mkdir()
        durable, _loss = run_and_pull(program, "log", folder / str(seed), seed, nosync=True)
        rounds_with_loss += bool(lost_blocks(folder / str(seed) / "data/log", durable))
    assert rounds_with_loss > 0


def test_syncs_can_be_stubbed_out_later_and_what_was_synced_before_stays(program, folder):
    """And of what was not, with `only_bytes`, every byte goes, and no file."""
    cord = PowerCord(folder / "data", folder / "loss")
    with open(folder / "said", "w") as said:
        process = subprocess.Popen([program, "log", cord.data_dir], stdout=said, env=cord.env())
    try:
        wait_for(lambda: durable_by(folder) > 10, 10, "something is synced")
        cord.stub_out_syncs()
        before = durable_by(folder)
        wait_for(lambda: durable_by(folder) > before + 100, 10, "more is written, and said to be synced")
    finally:
        process.kill()
        process.wait()
    size = (folder / "data/log").stat().st_size
    loss = cord.pull(1, only_bytes=True)
    assert lost_blocks(folder / "data/log", before) == []
    assert len(lost_blocks(folder / "data/log", durable_by(folder))) > 50 and loss.pieces_lost > 50
    assert (folder / "data/log").stat().st_size == size and loss.pieces_kept == loss.sizes_lost == loss.names_lost == 0


def version_in(path):
    """The version of a state file that is whole, 0 when there is none."""
    if not path.exists():
        return 0
    text = path.read_bytes()
    version = int(text.split(b" ")[0])
    rest = text[32:]
    assert len(text) == 8000 and rest == rest[:1] * len(rest) and rest[:1] == bytes([ord("a") + version % 26])
    return version


def test_a_rename_whose_directory_was_synced_stays(program, folder):
    for seed in seeds(10, base=1):
        (folder / str(seed)).mkdir()
        durable, _loss = run_and_pull(program, "rename", folder / str(seed), seed)
        assert version_in(folder / str(seed) / "data/state") >= durable > 0


def test_a_rename_without_sync_of_its_directory_may_be_undone(program, folder):
    undone = 0
    for seed in seeds(10, base=1):
        (folder / str(seed)).mkdir()
        durable, _loss = run_and_pull(program, "rename-lazy", folder / str(seed), seed)
        undone += version_in(folder / str(seed) / "data/state") < durable
    assert undone > 0


def test_what_an_earlier_process_left_unsynced_can_still_be_lost(program, folder):
    """A kill without loss of power, a second process that syncs nothing, then the plug."""
    cord = PowerCord(folder / "data", folder / "loss", nosync=True)
    for _ in range(2):
        process = subprocess.Popen([program, "log", cord.data_dir], stdout=subprocess.DEVNULL, env=cord.env())
        time.sleep(0.1)
        process.kill()
        process.wait()
    loss = cord.pull(1)
    assert loss.records > 0 and not list(cord.journal_dir.iterdir())
