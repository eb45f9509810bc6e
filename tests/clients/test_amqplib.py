"""Runs each test of amqplib.test.mjs, one broker for all."""
import os
import re
import subprocess
from pathlib import Path

import pytest

from amqp_kit import Broker

HERE = Path(__file__).resolve().parent
NODE = HERE.parents[1] / "build/node"
NAMES = re.findall(r"^test\('([^']+)'", (HERE / "amqplib.test.mjs").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def broker():
    with Broker() as broker:
        yield broker


@pytest.mark.parametrize("name", NAMES)
def test_amqplib(broker, name):
    done = subprocess.run(["node", "--test", "--test-name-pattern", f"^{re.escape(name)}$", "amqplib.test.mjs"], cwd=HERE,
                          env={**os.environ, "POLYLOG_AMQP": broker.address("amqp"), "POLYLOG_NODE": str(NODE)},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert done.returncode == 0 and re.search(r"pass 1\b", done.stdout), done.stdout
