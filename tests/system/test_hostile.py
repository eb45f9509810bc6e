"""Bytes that no client sends: the connection that sent them is closed, and nobody else notices."""
import random
import struct
import time

import pytest

from harness import Broker, closed_within

CLOSE_SECONDS_MAX = 5
REQUEST_BYTES_MAX = 104_857_600
API_VERSIONS = 18


@pytest.fixture(scope="module")
def broker():
    with Broker() as started:
        yield started


def request(api_key, version, body=b"", correlation=7):
    head = struct.pack(">hhih", api_key, version, correlation, -1)  # no client id
    return struct.pack(">i", len(head) + len(body)) + head + body


def receive(connection, size):
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        assert chunk, f"closed after {len(data)} of {size} bytes"
        data += chunk
    return data


def answer(connection):
    """(correlation id, the rest) of one response."""
    body = receive(connection, struct.unpack(">i", receive(connection, 4))[0])
    return struct.unpack(">i", body[:4])[0], body[4:]


class Bystander:
    """Another connection, in use before and after."""

    def __init__(self, broker):
        self.connection = broker.connect("kafka")
        self.correlation = 0

    def works(self):
        self.correlation += 1
        self.connection.sendall(request(API_VERSIONS, 0, correlation=self.correlation))
        correlation, body = answer(self.connection)
        return correlation == self.correlation and body[:2] == b"\0\0"


@pytest.fixture
def bystander(broker):
    other = Bystander(broker)
    assert other.works()
    yield other
    assert other.works()
    other.connection.close()


def expect_close(broker, data):
    with broker.connect("kafka") as connection:
        connection.sendall(data)
        assert closed_within(connection, CLOSE_SECONDS_MAX)


@pytest.mark.parametrize("length", [0, -1, -2**31, REQUEST_BYTES_MAX + 1, 2**31 - 1])
def test_a_wrong_request_length_closes_the_connection(broker, bystander, length):
    expect_close(broker, struct.pack(">i", length))


@pytest.mark.parametrize("length", [0, REQUEST_BYTES_MAX + 1])
def test_a_wrong_length_after_a_good_request_closes_the_connection(broker, bystander, length):
    with broker.connect("kafka") as connection:
        connection.sendall(request(API_VERSIONS, 0) + struct.pack(">i", length))
        assert answer(connection)[0] == 7
        assert closed_within(connection, CLOSE_SECONDS_MAX)


def test_claimed_lengths_allocate_nothing(broker, bystander):
    before = broker.memory_bytes()
    connections = [broker.connect("kafka") for _ in range(200)]
    for connection in connections:
        connection.sendall(struct.pack(">i", REQUEST_BYTES_MAX) + request(0, 7)[4:])
    time.sleep(0.5)
    grown = broker.memory_bytes() - before
    for connection in connections:
        connection.close()
    assert grown < 50 * 1024 * 1024, f"{grown} bytes for 200 claims of 100 MiB"


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"AMQP\0\0\x09\x01", b"\x16\x03\x01\x02\0\x01\0\x01"],
                         ids=["http", "amqp", "tls"])
def test_another_protocol_on_the_kafka_port_closes_the_connection(broker, bystander, text):
    expect_close(broker, text + b"\0" * 64)


def test_an_unknown_api_key_closes_the_connection(broker, bystander):
    expect_close(broker, request(0x7FFF, 0, b"\0" * 32))


def test_a_request_too_short_for_its_header_closes_the_connection(broker, bystander):
    expect_close(broker, struct.pack(">i", 3) + b"\0\x12\0")


def test_an_unknown_version_of_api_versions_is_answered_with_error_35(broker, bystander):
    with broker.connect("kafka") as connection:
        connection.sendall(request(API_VERSIONS, 99))
        correlation, body = answer(connection)
        assert correlation == 7 and body[:2] == struct.pack(">h", 35)


def test_garbage_closes_the_connection(broker, bystander):
    rng = random.Random(1)
    for _ in range(30):
        # A sign bit in the length: random bytes alone could claim a length that is merely not there yet.
        expect_close(broker, bytes([0x80 | rng.randrange(128)]) + rng.randbytes(rng.randrange(4, 3000)))


@pytest.mark.parametrize("api_key", [0, 1, 2, 3, 8, 9, 10, 11, 14, 19, 22])
def test_a_body_of_lying_lengths_hurts_nobody(broker, bystander, api_key):
    """Arrays and strings that claim two thousand million entries, at every place of the body."""
    huge = struct.pack(">i", 2**31 - 1)
    for filler in range(0, 24):
        with broker.connect("kafka") as connection:
            connection.sendall(request(api_key, 2, b"\0" * filler + huge * 4))
            connection.settimeout(0.02)
            try:
                connection.recv(4096)
            except (TimeoutError, ConnectionError):
                pass


def test_a_request_sent_byte_by_byte_is_answered(broker):
    with broker.connect("kafka") as connection:
        for byte in request(API_VERSIONS, 0):
            connection.sendall(bytes([byte]))
        assert answer(connection)[0] == 7


def test_many_requests_in_one_segment_are_answered_in_order(broker):
    with broker.connect("kafka") as connection:
        connection.sendall(b"".join(request(API_VERSIONS, 0, correlation=i) for i in range(100)))
        assert [answer(connection)[0] for _ in range(100)] == list(range(100))


def test_a_peer_that_never_reads_is_held_back(broker, bystander):
    """Requests pile up in the sender, not in the broker."""
    before = broker.memory_bytes()
    with broker.connect("kafka") as connection:
        connection.settimeout(2)
        data = request(API_VERSIONS, 0) * 1000
        sent = 0
        try:
            while sent < 400 * len(data):
                sent += connection.send(data)
        except TimeoutError:
            pass
        assert broker.memory_bytes() - before < 64 * 1024 * 1024


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\0\0\0\0\0", b"AMQP\1\1\0\x0a"],
                         ids=["http", "zeros", "another version"])
def test_a_wrong_protocol_header_on_the_amqp_port_is_answered_with_ours(broker, bystander, first):
    with broker.connect("amqp") as connection:
        connection.sendall(first)
        assert receive(connection, 8) == b"AMQP\0\0\x09\x01"
        assert closed_within(connection, CLOSE_SECONDS_MAX)


def test_an_amqp_frame_of_a_claimed_gigabyte_closes_the_connection(broker, bystander):
    with broker.connect("amqp") as connection:
        connection.sendall(b"AMQP\0\0\x09\x01" + struct.pack(">BHI", 1, 0, 1 << 30) + b"\0" * 64)
        assert closed_within(connection, CLOSE_SECONDS_MAX)
