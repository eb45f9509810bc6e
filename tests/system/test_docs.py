"""The reference pages say what the running broker says of itself."""
import re

import pytest
from harness import ROOT, Broker, run


def rows(page):
    text = (ROOT / "docs" / page).read_text()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")]


@pytest.fixture(scope="module")
def broker():
    with Broker() as started:
        yield started


def advertised(broker):
    """{key: (min, max)} as an ApiVersions v0 request is answered."""
    with broker.connect("kafka") as connection:
        connection.sendall(bytes.fromhex("0000000c" "0012" "0000" "00000001" "0002" "7878"))
        data = b""
        while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
            data += connection.recv(65536)
    numbers = [int.from_bytes(data[i:i + 2], "big") for i in range(14, len(data), 2)]
    return {numbers[i]: (numbers[i + 1], numbers[i + 2]) for i in range(0, len(numbers) - 2, 3)}


def test_the_kafka_page_lists_exactly_the_apis_that_are_advertised(broker):
    documented = {}
    for cells in rows("protocols/kafka.md"):
        if len(cells) == 5 and cells[0].isdigit():
            low, _, high = cells[2].split(" ")[0].partition("-")
            from_zero = "(advertised from 0)" in cells[2]
            documented[int(cells[0])] = (0 if from_zero else int(low), int(high or low))
    assert documented == advertised(broker)


def test_every_setting_is_listed_with_its_default(broker):
    listed = run(str(broker.command()[0]), "settings").stdout.decode()
    for key in ("memory_bytes_max", "storage.io", "kafka.auto_create_topics", "kafka.num_partitions", "durability"):
        assert re.search(rf"^\s*{re.escape(key)}\b", listed, re.M), f"{key} is not listed:\n{listed}"
