"""kafkajs: each case of kafkajs_suite.mjs is a test of its own, all against one broker."""
import re
from pathlib import Path

import pytest

from harness import Broker, run

SUITE = Path(__file__).with_name("kafkajs_suite.mjs")
CASES = re.findall(r"^test\('([^']+)'", SUITE.read_text(), re.M)


@pytest.fixture(scope="module")
def broker():
    with Broker("--set", "kafka.initial_rebalance_delay_ms=0") as broker:
        yield broker


@pytest.mark.parametrize("case", CASES)
def test_kafkajs(broker, case):
    run("node", SUITE, broker.address("kafka"), case, seconds=120)
