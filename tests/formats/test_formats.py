"""Every data directory ever released still opens, and clients find in it what was put there."""
import json
import sys
import tarfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

from content import read  # noqa: E402
from harness import Broker  # noqa: E402

ARCHIVES = sorted(HERE.glob("v*/*.tar.gz"))


def test_there_are_directories_of_each_version():
    assert {archive.parent.name for archive in ARCHIVES} >= {"v1", "v2"}


@pytest.mark.parametrize("archive", ARCHIVES, ids=[f"{a.parent.name}-{a.name.removesuffix('.tar.gz')}" for a in ARCHIVES])
def test_an_older_data_directory_opens_and_holds_what_it_held(archive):
    broker = Broker()
    with tarfile.open(archive) as tar:
        tar.extractall(broker.data_dir.parent, filter="data")
    expected = json.loads(archive.with_name(archive.name.replace(".tar.gz", ".json")).read_text())
    with broker:
        assert read(broker, "long" in expected) == expected


@pytest.mark.parametrize("name", ["stopped", "killed"])
def test_the_second_version_has_segments_and_packs(name):
    with tarfile.open(HERE / "v2" / f"{name}.tar.gz") as tar:
        names = [Path(member).name for member in tar.getnames()]
    assert any(name.startswith("segment-") for name in names) and any(name.startswith("pack-") for name in names)
