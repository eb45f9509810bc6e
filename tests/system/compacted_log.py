"""A compacted topic of one partition: who writes to it knows what must be in it, and checks what is."""
import time

import confluent_kafka as confluent

EAGER = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}


class Writer:
    """Produces, and knows the last acknowledged value of each key and all that was sent after it."""

    def __init__(self, broker, topic, **options):
        self.topic = topic
        self.last = {}  # key -> (offset, value)
        self.acked = {}  # offset -> key
        self.unsure = {}  # key -> values whose outcome is not known
        self.producer = confluent.Producer({
            "bootstrap.servers": broker.address("kafka"), "acks": "all", "linger.ms": 5, "message.timeout.ms": 20000,
            **options})

    def send(self, key, value):
        def delivered(error, message):
            if error is not None:
                self.unsure.setdefault(key, set()).add(value)
                return
            self.acked[message.offset()] = key
            if message.offset() > self.last.get(key, (-1, None))[0]:
                self.last[key] = (message.offset(), value)
        self.producer.produce(self.topic, key=key, value=value, partition=0, on_delivery=delivered)
        self.producer.poll(0)

    def flush(self):
        assert self.producer.flush(30) == 0


def read_all(broker, topic, start=0):
    """[(offset, key, value)] up to the end, with librdkafka."""
    consumer = confluent.Consumer({"bootstrap.servers": broker.address("kafka"), "group.id": "none",
                                   "enable.partition.eof": True, "enable.auto.commit": False, "check.crcs": True})
    consumer.assign([confluent.TopicPartition(topic, 0, start)])
    records, deadline = [], time.monotonic() + 30
    while time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            assert message.error().code() == confluent.KafkaError._PARTITION_EOF, message.error()
            consumer.close()
            return records
        records.append((message.offset(), message.key(), message.value()))
    raise AssertionError(f"the end of {topic} was not reached; {len(records)} records")


def check_log(records, last, unsure=None):
    """Order kept, nothing changed, and the last record of every key is there."""
    offsets = [offset for offset, _, _ in records]
    assert offsets == sorted(set(offsets))
    newest = {key: (offset, value) for offset, key, value in records}
    for key, (offset, value) in last.items():
        found = newest.get(key)
        if found != (offset, value):
            assert found is not None and found[0] >= offset and found[1] in (unsure or {}).get(key, ()), (key, found)
