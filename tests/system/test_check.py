"""`polylog check` and `polylog dump`: they find what is damaged in a stopped data directory, and change nothing."""
import json
import shutil
import tarfile
from pathlib import Path

import pika
import pytest

from harness import BINARY, Broker, run, scratch_dir, wait_for
from kafka_wire import NONE, Wire, batch


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
