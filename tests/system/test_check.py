"""`polylog check` and `polylog dump`: they find what is damaged in a stopped data directory, and change nothing."""
import contextlib
import errno
import json
import os
import pty
import shutil
import subprocess
import tarfile
from pathlib import Path

import pika
import pytest

from harness import BINARY, Broker, run, scratch_dir, wait_for
from kafka_wire import NONE, Batches, Wire, batch


FORMATS = Path(__file__).resolve().parent.parent / "formats"
SMALL = ("--set", "storage.wal_file_bytes=1MiB", "--set", "storage.reserve_bytes=1MiB", "--set", "storage.cells=1",
         "--set", "storage.wal_keep_files=1")
VALUE = bytes(range(256)) * 400


def files_of(directory):
    return {path.relative_to(directory): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in Path(directory).rglob("*")}


def check(directory, code=0):
    """The findings, as JSON says them; the directory is what it was before."""
    before = files_of(directory)
    result = run(BINARY, "check", directory, "--json", check=False)
    assert result.returncode == code, result.stdout + result.stderr
    assert files_of(directory) == before
    return json.loads(result.stdout)


def damages(report):
    return [finding for finding in report["findings"] if finding["kind"] == "damage"]


def fill(broker):
    with Wire(broker) as wire:
        assert wire.create_topic("t") == NONE
        for offset in range(80):
            assert wire.produce("t", batch(VALUE)) == (NONE, offset)
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"], heartbeat=0))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("q", durable=True)
    for number in range(20):
        channel.basic_publish("", "q", b"message %d" % number)
    connection.close()
    wait_for(lambda: list(broker.data_dir.glob("cell-*/segment-*.plx")), 30, "old data moves to segments")


@pytest.fixture(scope="module")
def stopped():
    """A data directory of a broker that was stopped, with each kind of file in it but packs."""
    folder = scratch_dir("check")
    with Broker(*SMALL) as broker:
        fill(broker)
        broker.stop()
        shutil.copytree(broker.data_dir, folder / "data")
    yield folder / "data"
    shutil.rmtree(folder)


def test_a_stopped_broker_leaves_a_clean_directory(stopped):
    report = check(stopped)
    assert damages(report) == [] and report["damages"] == 0
    assert report["streams"] == 2 and report["segments"] > 0 and report["objects"] > 0


def test_a_killed_broker_leaves_a_clean_directory():
    with Broker(*SMALL) as broker:
        fill(broker)
        broker.kill()
        assert damages(check(broker.data_dir)) == []
        broker.start()


def test_a_directory_that_is_served_is_refused():
    with Broker(*SMALL) as broker:
        result = run(BINARY, "check", broker.data_dir, check=False)
        assert result.returncode == 2 and b"served by another process" in result.stderr


def test_what_is_no_data_directory_is_refused(stopped):
    assert run(BINARY, "check", stopped / "nothing-here", check=False).returncode == 2
    assert not (stopped / "nothing-here").exists()


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 4
    path.write_bytes(data)


def damaged_copy(stopped, tmp, pattern, offset):
    copy = tmp / "data"
    shutil.copytree(stopped, copy)
    path = sorted(copy.glob(pattern))[0]
    flip(path, offset(path) if callable(offset) else offset)
    return copy, path


@pytest.mark.parametrize("pattern, offset", [
    ("cell-000/checkpoint-*.plc", 70),
    ("cell-000/checkpoint-*.plc", 30),
    ("cell-000/segment-*.plx", 40_000),
    ("cell-000/segment-*.plx", lambda path: path.stat().st_size - 10),
    ("meta/meta.plm", 40),
    ("meta/meta.plm", lambda path: path.read_bytes().rindex(b"PLMR")),  # looks torn, but for what the cell holds
    ("polylog.id", 12),
])
def test_a_flipped_byte_is_found_and_its_file_is_named(stopped, tmp_path, pattern, offset):
    copy, path = damaged_copy(stopped, tmp_path, pattern, offset)
    assert str(path) in [finding["file"] for finding in damages(check(copy, 1))]


def test_a_batch_that_is_damaged_in_a_segment_is_named_by_stream_partition_and_offset(stopped, tmp_path):
    copy, path = damaged_copy(stopped, tmp_path, "cell-000/segment-*.plx", 40_000)
    (finding,) = damages(check(copy, 1))
    assert finding["lost"] == {"stream": "t", "partition": 0, "from": 0, "to": 0}
    text = run(BINARY, "check", copy, check=False).stdout.decode()
    assert f"damage: {path} at offset 32: a batch does not verify; lost: stream 't' partition 0 offsets 0 to 0" in text


def test_a_damaged_slot_in_the_log_is_named():
    with Broker(*SMALL) as broker:
        fill(broker)
        broker.kill()
        log = max(broker.data_dir.glob("cell-000/wal-*.plw"), key=lambda path: path.read_bytes().count(b"message"))
        flip(log, log.read_bytes().index(b"message 0"))
        found = damages(check(broker.data_dir, 1))
        assert str(log) in [finding["file"] for finding in found]


@pytest.mark.parametrize("archive", sorted(FORMATS.glob("v*/*.tar.gz")), ids=lambda path: path.name)
def test_directories_of_older_versions_are_clean(archive, tmp_path):
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    (directory,) = {path.parent for path in tmp_path.rglob("polylog.id")}
    assert damages(check(directory)) == []


def test_each_kind_of_file_is_dumped(stopped):
    before = files_of(stopped)
    for pattern, kind in [("cell-000/wal-*.plw", "slot"), ("cell-000/checkpoint-*.plc", "object"),
                          ("cell-000/segment-*.plx", "entry"), ("meta/meta.plm", "record")]:
        outs = [run(BINARY, "dump", path, "--json").stdout for path in sorted(stopped.glob(pattern))]
        lines = [json.loads(line) for out in outs for line in out.splitlines()]
        assert kind in {line["kind"] for line in lines}, pattern
        assert "damage" not in {line["kind"] for line in lines}
    assert files_of(stopped) == before


def test_a_dump_stops_at_its_limit(stopped):
    path = sorted(stopped.glob("cell-000/segment-*.plx"))[0]
    assert len(run(BINARY, "dump", path, "--limit", "2").stdout.splitlines()) == 2


def test_a_dump_of_a_file_that_is_none_of_polylogs_is_refused(stopped):
    assert run(BINARY, "dump", stopped / "polylog.id", check=False).returncode == 2


# --- check --repair

def repair(directory, *options, code=0):
    result = run(BINARY, "check", directory, "--repair", "--json", *options, check=False)
    assert result.returncode == code, result.stdout + result.stderr
    return json.loads(result.stdout)


def read_all(broker, offset=0):
    """Which offsets t has from there on, and whether each is the record that was produced."""
    found, end = {}, offset + 1
    with Wire(broker) as wire:
        while offset < end:
            error, end, records = wire.fetch("t", offset, bytes_max=8 << 20)
            assert error == NONE
            for offset, is_sound, content in Batches(records):
                assert is_sound
                found[offset] = VALUE in content
            offset += 1
    return found


def contents(directory):
    """What clients read from a broker on it: the records of t, and how many messages q has."""
    with Broker(*SMALL, data_dir=directory) as broker:
        records = read_all(broker)
        connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"], heartbeat=0))
        messages = connection.channel().queue_declare("q", passive=True).method.message_count
        connection.close()
    return records, messages


@pytest.mark.parametrize("pattern, offset", [
    ("cell-000/checkpoint-*.plc", 30),
    ("cell-000/checkpoint-*.plc", 65),
    ("cell-000/checkpoint-*.plc", lambda path: path.stat().st_size - 4),
    ("cell-000/segment-*.plx", 5),
    ("cell-000/segment-*.plx", lambda path: path.stat().st_size - 10),
    ("cell-000/segment-*.plx", lambda path: path.stat().st_size - 60),
])
def test_what_follows_from_other_bytes_is_repaired_and_clients_read_everything(stopped, tmp_path, pattern, offset):
    copy, path = damaged_copy(stopped, tmp_path, pattern, offset)
    assert [f["file"] for f in damages(check(copy, 1)) if f["repair"]] == [str(path)]
    report = repair(copy, "--yes")
    assert [done["file"] for done in report["repairs"]] == [str(path)] and report["damages"] == 0
    assert damages(check(copy)) == []
    records, messages = contents(copy)
    assert records == {number: True for number in range(80)} and messages == 20


@pytest.mark.parametrize("pattern, offset", [
    ("cell-000/segment-*.plx", 40_000),
    ("meta/meta.plm", 40),
    ("polylog.id", 12),
])
def test_what_somebody_wrote_is_not_guessed(stopped, tmp_path, pattern, offset):
    copy, path = damaged_copy(stopped, tmp_path, pattern, offset)
    before = path.read_bytes()
    found = damages(check(copy, 1))
    report = repair(copy, "--yes", code=1)
    assert report["repairs"] == [] and damages(report) == found
    assert path.read_bytes() == before
    result = run(BINARY, "check", copy, "--repair", "--yes", check=False)
    assert b"nothing more is safe to do" in result.stderr


def test_a_lost_batch_does_not_take_the_others_along(stopped, tmp_path):
    copy, path = damaged_copy(stopped, tmp_path, "cell-000/segment-*.plx", 40_000)
    flip(path, path.stat().st_size - 10)  # its index, too
    report = repair(copy, "--yes", code=1)
    assert [done["file"] for done in report["repairs"]] == [str(path)]
    assert [finding["lost"] for finding in damages(report)] == [{"stream": "t", "partition": 0, "from": 0, "to": 0}]
    with Broker(*SMALL, data_dir=copy) as broker:
        assert read_all(broker, 1) == {number: True for number in range(1, 80)}


def test_a_copy_is_repaired_and_the_original_stays_as_it_is(stopped, tmp_path):
    copy, path = damaged_copy(stopped, tmp_path, "cell-000/segment-*.plx", lambda path: path.stat().st_size - 10)
    before = files_of(copy)
    (tmp_path / "mended").mkdir()  # empty is fine
    report = repair(copy, "--to", tmp_path / "mended")
    assert [done["file"] for done in report["repairs"]] == [str(tmp_path / "mended" / path.relative_to(copy))]
    assert files_of(copy) == before
    assert contents(tmp_path / "mended")[1] == 20


def test_a_copy_has_what_lies_behind_links_and_nothing_is_left_out_in_silence(stopped, tmp_path):
    copy, _ = damaged_copy(stopped, tmp_path, "cell-000/segment-*.plx", lambda path: path.stat().st_size - 10)
    (copy / "cell-000").rename(tmp_path / "elsewhere")
    (copy / "cell-000").symlink_to(tmp_path / "elsewhere")
    repair(copy, "--to", tmp_path / "mended")
    assert contents(tmp_path / "mended")[1] == 20
    os.mkfifo(copy / "cell-000" / "pipe")
    result = run(BINARY, "check", copy, "--repair", "--to", tmp_path / "again", check=False)
    assert result.returncode != 0 and b"neither a file nor a directory" in result.stderr


def test_a_copy_goes_nowhere_where_something_is(stopped, tmp_path):
    copy = tmp_path / "data"
    shutil.copytree(stopped, copy)
    for target in (copy, copy / "inside", tmp_path):
        result = run(BINARY, "check", copy, "--repair", "--to", target, check=False)
        assert result.returncode == 2, result.stdout
    assert files_of(copy).keys() == files_of(stopped).keys()


def test_a_repair_in_place_wants_a_yes(stopped, tmp_path):
    copy, path = damaged_copy(stopped, tmp_path, "cell-000/segment-*.plx", lambda path: path.stat().st_size - 10)
    before = path.read_bytes()
    result = run(BINARY, "check", copy, "--repair", check=False)
    assert result.returncode == 2 and b"--yes" in result.stderr
    assert path.read_bytes() == before
    assert run(BINARY, "check", copy, "--yes", check=False).returncode == 2  # without --repair


def asked(directory, answer, *options):
    """(exit code, what a terminal shows) of a repair in place, with `answer` typed there when it asks."""
    leader, follower = pty.openpty()
    process = subprocess.Popen([BINARY, "check", directory, "--repair", *options], stdin=follower, stdout=follower,
                               stderr=follower)
    os.close(follower)
    shown, is_answered = b"", False
    with contextlib.closing(os.fdopen(leader, "r+b", buffering=0)) as terminal:
        try:
            while chunk := terminal.read(4096):
                shown += chunk
                if not is_answered and b"[y/N] " in shown:
                    terminal.write(answer)
                    is_answered = True
        except OSError as error:  # how the last reader of a terminal hears of its end
            assert error.errno == errno.EIO
        finally:
            code = process.wait(60)
    assert is_answered == (b"[y/N] " in shown)
    return code, shown.decode().replace("\r\n", "\n")


@pytest.fixture
def repairable(stopped, tmp_path):
    """(a copy whose one damage can be repaired, the damaged file)"""
    return damaged_copy(stopped, tmp_path, "cell-000/segment-*.plx", lambda path: path.stat().st_size - 10)


@pytest.mark.parametrize("answer", [b"y\n", b"yes\n"])
def test_a_repair_asks_at_a_terminal_and_is_done_after_a_yes(repairable, answer):
    copy, path = repairable
    code, shown = asked(copy, answer)
    before, after = shown.split("[y/N] ")
    assert f"damage: {path}" in before and f"Do the 1 repairs above in {copy}?" in before
    assert code == 0 and "\nrepaired: " in after and "0 damaged" in after
    assert damages(check(copy)) == []


@pytest.mark.parametrize("answer", [b"n\n", b"\n", b"Y es\n", b"yy\n", b"\x04"],
                         ids=["no", "nothing", "no yes", "nearly", "end of input"])
def test_a_repair_changes_nothing_unless_the_answer_is_yes(repairable, answer):
    copy, path = repairable
    before = path.read_bytes(), files_of(copy)
    code, shown = asked(copy, answer)
    assert code == 2 and "nothing was changed" in shown and "repaired" not in shown
    assert (path.read_bytes(), files_of(copy)) == before


def test_a_repair_does_not_ask_who_cannot_see_or_has_answered(repairable, tmp_path):
    copy, path = repairable
    before = path.read_bytes()
    result = run(BINARY, "check", copy, "--repair", input=b"y\n", check=False)  # a pipe
    assert result.returncode == 2 and b"--yes" in result.stderr and b"[y/N]" not in result.stdout
    code, shown = asked(copy, b"", "--json")
    assert code == 2 and "--yes" in shown and "[y/N]" not in shown
    assert path.read_bytes() == before
    for options in (["--to", tmp_path / "mended"], ["--yes"]):
        code, shown = asked(copy, b"", *options)
        assert code == 0 and "[y/N]" not in shown and "\n1 repairs\n" in shown


def test_a_repair_of_a_directory_that_is_served_is_refused(tmp_path):
    with Broker(*SMALL) as broker:
        for options in (["--yes"], ["--to", tmp_path / "copy"]):
            result = run(BINARY, "check", broker.data_dir, "--repair", *options, check=False)
            assert result.returncode == 2 and b"served by another process" in result.stderr
        assert not (tmp_path / "copy").exists()


def test_a_torn_record_of_the_catalog_is_cut_unless_a_cell_needs_it(stopped, tmp_path):
    copy = tmp_path / "data"
    shutil.copytree(stopped, copy)
    meta = copy / "meta/meta.plm"
    whole = meta.read_bytes()
    meta.write_bytes(whole + b"PLMR" + bytes(range(60)))
    (meta.parent / "meta.plm.new").write_bytes(b"half")
    report = repair(copy, "--yes")
    assert sorted(Path(done["file"]).name for done in report["repairs"]) == ["meta.plm", "meta.plm.new"]
    assert meta.read_bytes() == whole and not (meta.parent / "meta.plm.new").exists()
    meta.write_bytes(whole[:whole.rindex(b"PLMR") + 40])  # the record of q is not whole, and q has messages
    assert repair(copy, "--yes", code=1)["repairs"] == []
