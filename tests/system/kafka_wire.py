"""A Kafka connection whose every byte the test chooses: batches of any size and claim, error codes as they come.

Not for tests of clients: those use real ones. Versions: Produce 7, Fetch 4, CreateTopics 3, DeleteTopics 3, Metadata 4.
"""
import ctypes
import struct
import time

from harness import BUILD, ROOT, compile_c

PRODUCE, FETCH, METADATA, API_VERSIONS, CREATE_TOPICS, DELETE_TOPICS = 0, 1, 3, 18, 19, 20
NONE, UNKNOWN_TOPIC, MESSAGE_TOO_LARGE, INVALID_TOPIC = 0, 3, 10, 17
TOPIC_EXISTS, POLICY_VIOLATION, STORAGE_ERROR = 36, 44, 56
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
BATCH_HEADER_BYTES = 61
_crc32c = None


def crc32c(data):
    global _crc32c
    if _crc32c is None:
        library = ctypes.CDLL(str(compile_c(ROOT / "tests/system/crc32c.c", BUILD / "systemtest/crc32c.so", "-shared",
                                            "-fPIC")))
        _crc32c = library.crc32c_of
        _crc32c.argtypes, _crc32c.restype = [ctypes.c_char_p, ctypes.c_size_t], ctypes.c_uint32
    return _crc32c(data, len(data))


def varint(number):
    value, out = (number << 1) ^ (number >> 63), b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def record(index, value):
    body = b"\0" + varint(0) + varint(index) + varint(-1) + varint(len(value)) + value + varint(0)
    return varint(len(body)) + body


def batch_of(packed, count, codec=0, now_ms=None):
    """A record batch around records that are packed already; what they claim to be is not checked."""
    now_ms = int(time.time() * 1000) if now_ms is None else now_ms
    covered = struct.pack(">hiqqqhii", codec, count - 1, now_ms, now_ms, -1, -1, -1, count) + packed
    head = struct.pack(">ibI", -1, 2, crc32c(covered))
    return struct.pack(">qi", 0, len(head) + len(covered)) + head + covered


def batch(*values):
    return batch_of(b"".join(record(i, value) for i, value in enumerate(values)), len(values))


def batch_of_bytes(size):
    """An uncompressed batch of one record that is exactly `size` bytes long."""
    value_bytes = size - BATCH_HEADER_BYTES - 16
    for length in range(value_bytes, size):
        built = batch(b"\0" * length)
        if len(built) == size:
            return built
    raise AssertionError(f"no batch is {size} bytes long")


class Batches:
    """Reads the batches of a Fetch: (offset, crc is right, the bytes behind the crc)."""

    def __init__(self, records):
        self.records = records

    def __iter__(self):
        at = 0
        while at + 12 <= len(self.records):
            offset, length = struct.unpack_from(">qi", self.records, at)
            whole = self.records[at:at + 12 + length]
            if len(whole) < 12 + length:
                return  # cut at the fetch's size limit
            yield offset, struct.unpack_from(">I", whole, 17)[0] == crc32c(whole[21:]), whole[21:]
            at += len(whole)


class Wire:
    def __init__(self, broker, timeout=10):
        self.sock = broker.connect("kafka", timeout)
        self.correlation = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def framed(self, api_key, version, body):
        self.correlation += 1
        head = struct.pack(">hhih", api_key, version, self.correlation, -1)
        return struct.pack(">i", len(head) + len(body)) + head + body

    def send(self, api_key, version, body):
        self.sock.sendall(self.framed(api_key, version, body))

    def receive(self):
        size = struct.unpack(">i", self._take(4))[0]
        answer = self._take(size)
        return answer[4:]

    def _take(self, size):
        data = bytearray()
        while len(data) < size:
            chunk = self.sock.recv(min(size - len(data), 1 << 20))
            if not chunk:
                raise ConnectionError(f"closed after {len(data)} of {size} bytes")
            data += chunk
        return bytes(data)

    def ask(self, api_key, version, body):
        self.send(api_key, version, body)
        return self.receive()

    def works(self):
        return self.ask(API_VERSIONS, 0, b"")[:2] == b"\0\0"

    @staticmethod
    def produce_body(topic, data, partition=0, acks=-1):
        return (struct.pack(">hhiih", -1, acks, 30_000, 1, len(topic)) + topic.encode() +
                struct.pack(">iii", 1, partition, len(data)) + data)

    def send_produce(self, topic, data, partition=0):
        self.send(PRODUCE, 7, self.produce_body(topic, data, partition))

    def receive_produced(self):
        """(error, base offset)"""
        body = self.receive()
        at = 4 + 2 + struct.unpack_from(">h", body, 4)[0] + 4 + 4
        return struct.unpack_from(">hq", body, at)

    def produce(self, topic, data, partition=0):
        self.send_produce(topic, data, partition)
        return self.receive_produced()

    def send_fetch(self, topic, offset, partition=0, bytes_max=1 << 20, wait_ms=0, bytes_min=1):
        self.send(FETCH, 4, struct.pack(">iiiibih", -1, wait_ms, bytes_min, bytes_max, 0, 1, len(topic)) + topic.encode() +
                  struct.pack(">iiqi", 1, partition, offset, bytes_max))

    def fetch(self, topic, offset, partition=0, bytes_max=1 << 20, wait_ms=0):
        """(error, high watermark, records)"""
        self.send_fetch(topic, offset, partition, bytes_max, wait_ms)
        body = self.receive()
        at = 8 + 2 + struct.unpack_from(">h", body, 8)[0] + 4 + 4
        error, high, _stable, aborted = struct.unpack_from(">hqqi", body, at)
        at += 22 + 16 * max(aborted, 0)
        size = struct.unpack_from(">i", body, at)[0]
        return error, high, body[at + 4:at + 4 + max(size, 0)]

    def create_topic(self, topic, partitions=1, **configs):
        body = struct.pack(">ih", 1, len(topic)) + topic.encode() + struct.pack(">ihii", partitions, 1, 0, len(configs))
        for name, value in configs.items():
            for text in (name.replace("_", "."), str(value)):
                body += struct.pack(">h", len(text)) + text.encode()
        answer = self.ask(CREATE_TOPICS, 3, body + struct.pack(">i?", 10_000, False))
        return struct.unpack_from(">h", answer, 8 + 2 + struct.unpack_from(">h", answer, 8)[0])[0]

    def delete_topic(self, topic):
        answer = self.ask(DELETE_TOPICS, 3, struct.pack(">ih", 1, len(topic)) + topic.encode() + struct.pack(">i", 10_000))
        return struct.unpack_from(">h", answer, 8 + 2 + struct.unpack_from(">h", answer, 8)[0])[0]
