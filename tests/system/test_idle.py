"""What polylog costs while nothing happens."""
import contextlib
import resource
import struct
import time

import pytest

from harness import Broker
from kafka_wire import API_VERSIONS

CONNECTIONS = 5_000
KAFKA_BYTES_MAX = 2.5 * 1024
AMQP_BYTES_MAX = 4 * 1024  # with its channel
AT_REST_BYTES_MAX = 60 << 20
OWN_FILES = 500


@pytest.fixture(autouse=True)
def enough_files():
    """The test holds the other ends. The broker starts with a low soft limit, which it raises itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + OWN_FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"the hard limit of open files is {hard}")
    yield wanted, hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def broker_and_files(limits):
    wanted, hard = limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    with Broker() as broker:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        yield broker


def kafka_hello(sock):
    sock.sendall(struct.pack(">ihhih", 10, API_VERSIONS, 0, 1, -1))
    return lambda: sock.recv(4, 0x100) and sock.recv(4096)


def frame(channel, payload):
    return struct.pack(">BHI", 1, channel, len(payload)) + payload + b"\xce"


def read_method(sock, class_id, method_id):
    head = sock.recv(7, 0x100)  # MSG_WAITALL
    payload = sock.recv(struct.unpack(">I", head[3:])[0] + 1, 0x100)
    assert payload[:4] == struct.pack(">HH", class_id, method_id)
    return payload


def amqp_hello(sock):
    login = b"\0guest\0guest"
    sock.sendall(b"AMQP\0\0\x09\x01" +
                 frame(0, struct.pack(">HHI", 10, 11, 0) + b"\x05PLAIN" + struct.pack(">I", len(login)) + login + b"\x05en_US") +
                 frame(0, struct.pack(">HHHIH", 10, 31, 100, 131_072, 0)) +
                 frame(0, struct.pack(">HH", 10, 40) + b"\x01/\0\0") + frame(1, struct.pack(">HH", 20, 10) + b"\0"))

    def finish():
        for class_id, method_id in [(10, 10), (10, 30), (10, 41), (20, 11)]:
            read_method(sock, class_id, method_id)
    return finish


def open_idle(broker, listener, hello, count):
    socks = []
    for _ in range(count // 100):
        some = [broker.connect(listener) for _ in range(100)]
        for finish in [hello(sock) for sock in some]:
            finish()
        socks += some
    return socks


def bytes_each(broker, listener, hello):
    """Growth of the resident set for each of 5,000 connections; a first hundred has warmed everything up."""
    warm = open_idle(broker, listener, hello, 100)
    time.sleep(0.3)
    before = broker.memory_bytes()
    socks = open_idle(broker, listener, hello, CONNECTIONS - 100)
    time.sleep(0.5)
    grown = broker.memory_bytes() - before
    for sock in warm + socks:
        sock.close()
    return grown / (CONNECTIONS - 100)


def test_5000_idle_kafka_connections_cost_2_5_kb_each(enough_files):
    with broker_and_files(enough_files) as broker:
        each = bytes_each(broker, "kafka", kafka_hello)
        print(f"{each:.0f} bytes for an idle Kafka connection")
        assert each <= KAFKA_BYTES_MAX


def test_5000_idle_amqp_connections_with_a_channel_cost_little(enough_files):
    with broker_and_files(enough_files) as broker:
        each = bytes_each(broker, "amqp", amqp_hello)
        print(f"{each:.0f} bytes for an idle AMQP connection with one channel")
        assert each <= AMQP_BYTES_MAX


def test_at_rest_the_resident_set_is_below_60_mb():
    with Broker() as broker:
        time.sleep(1)
        print(f"{broker.memory_bytes() >> 20} MiB at rest")
        assert broker.memory_bytes() <= AT_REST_BYTES_MAX
