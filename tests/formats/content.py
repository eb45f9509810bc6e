"""What a format data directory holds, and how to read it back: one place for the maker and the test."""
import hashlib

import pika
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.structs import OffsetAndMetadata

TOPIC, COMPRESSED, QUEUE, STREAM, GROUP = "plain", "compressed", "work", "stream-queue", "readers"
TOPIC_PARTITIONS = 3
LONG, KEPT = "long", "kept"  # since v2: what moves to segments, and what stays between it and moves to packs
LONG_BATCHES, LONG_BYTES = 60, 60_000
LARGE_BYTES = 900_000  # longer than a slot of these small WAL files takes: stored in pieces


def digest(parts):
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _channel(broker):
    host, port = broker.address("amqp").rsplit(":", 1)
    connection = pika.BlockingConnection(pika.ConnectionParameters(host, int(port)))
    return connection, connection.channel()


def fill(broker):
    address = broker.address("kafka")
    admin = KafkaAdminClient(bootstrap_servers=address)
    admin.create_topics([NewTopic(TOPIC, TOPIC_PARTITIONS, 1), NewTopic(COMPRESSED, 1, 1, topic_configs={"retention.ms": "-1"}),
                         NewTopic("deleted", 1, 1)])
    producer = KafkaProducer(bootstrap_servers=address, acks="all")
    for i in range(600):
        producer.send(TOPIC, key=b"k%d" % i, value=b"v%d" % i, partition=i % TOPIC_PARTITIONS, headers=[("h", b"%d" % i)],
                      timestamp_ms=1_700_000_000_000 + i)
    producer.send(TOPIC, value=bytes(LARGE_BYTES), partition=0, timestamp_ms=1_700_000_001_000)
    producer.send("deleted", value=b"gone")
    producer.close()
    packed = KafkaProducer(bootstrap_servers=address, acks="all", compression_type="gzip", linger_ms=50)
    for i in range(200):
        packed.send(COMPRESSED, b"squeeze me %d" % i, timestamp_ms=1_700_000_000_000 + i)
    packed.close()
    admin.delete_topics(["deleted"])
    consumer = KafkaConsumer(bootstrap_servers=address, group_id=GROUP, enable_auto_commit=False)
    consumer.commit({TopicPartition(TOPIC, p): OffsetAndMetadata(10 * (p + 1), "m", -1) for p in range(TOPIC_PARTITIONS)})
    consumer.close()
    connection, channel = _channel(broker)
    channel.confirm_delivery()
    channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum", "x-max-length": 10_000})
    channel.queue_declare(STREAM, durable=True, arguments={"x-queue-type": "stream"})
    properties = pika.BasicProperties(delivery_mode=2, headers={"text": "grüße", "number": 7}, message_id="m")
    for i in range(100):
        channel.basic_publish("", QUEUE, b"job %d" % i, properties)
        channel.basic_publish("", STREAM, b"event %d" % i, properties)
    for i in range(30):  # 0..19 done, 20..29 delivered and given back
        method, _, _ = channel.basic_get(QUEUE)
        if i < 20:
            channel.basic_ack(method.delivery_tag)
    channel.basic_qos(prefetch_count=1)  # the acks before it are durable
    connection.close()


def fill_long(broker, first=0):
    """A round of old data: the records of a topic fill the log, and a queue's messages lie between them."""
    producer = KafkaProducer(bootstrap_servers=broker.address("kafka"), acks="all", batch_size=2 * LONG_BYTES)
    connection, channel = _channel(broker)
    channel.confirm_delivery()
    channel.queue_declare(KEPT, durable=True)
    for i in range(first, first + LONG_BATCHES):
        producer.send(LONG, value=b"%d" % i * (LONG_BYTES // len(str(i))), partition=0,
                      timestamp_ms=1_700_000_000_000 + i).get(30)
        channel.basic_publish("", KEPT, b"kept %d" % i, pika.BasicProperties(delivery_mode=2))
    producer.close()
    connection.close()


def read_long(broker):
    consumer = KafkaConsumer(bootstrap_servers=broker.address("kafka"), enable_auto_commit=False)
    at = TopicPartition(LONG, 0)
    consumer.assign([at])
    consumer.seek_to_beginning(at)
    end, records = consumer.end_offsets([at])[at], []
    while not records or records[-1].offset < end - 1:
        for batch in consumer.poll(1000).values():
            records += batch
    consumer.close()
    connection, channel = _channel(broker)
    kept = []
    while (got := channel.basic_get(KEPT))[0] is not None:
        kept.append(got[2])
    connection.close()
    return {"records": len(records), "content": digest([b"%d|%d|%r" % (r.offset, r.timestamp, r.value) for r in records]),
            "kept": len(kept), "kept_content": digest(kept)}


def read(broker, with_long):
    """Everything a client can see of it, as plain JSON."""
    found = {"offsets": {}, "topics": {}, "queue": [], "stream": None}
    consumer = KafkaConsumer(bootstrap_servers=broker.address("kafka"), group_id=GROUP, enable_auto_commit=False)
    for topic, partitions in ((TOPIC, TOPIC_PARTITIONS), (COMPRESSED, 1)):
        for p in range(partitions):
            at = TopicPartition(topic, p)
            consumer.assign([at])
            consumer.seek_to_beginning(at)
            end, records = consumer.end_offsets([at])[at], []
            while not records or records[-1].offset < end - 1:
                for batch in consumer.poll(1000).values():
                    records += batch
            found["topics"][f"{topic}-{p}"] = {
                "count": len(records), "first": records[0].offset, "last": records[-1].offset,
                "content": digest([b"%d|%d|%r|%r|%r" % (r.offset, r.timestamp, r.key, r.value, r.headers) for r in records])}
            committed = consumer.committed(at)
            if committed is not None:
                found["offsets"][f"{topic}-{p}"] = committed
    found["names"] = sorted(consumer.topics())
    consumer.close()
    connection, channel = _channel(broker)
    while (got := channel.basic_get(QUEUE))[0] is not None:
        method, properties, body = got
        found["queue"].append([body.decode(), method.redelivered, properties.headers["text"], properties.headers["number"]])
    connection.close()
    connection, channel = _channel(broker)
    channel.basic_qos(prefetch_count=200)
    bodies = []
    for method, properties, body in channel.consume(STREAM, arguments={"x-stream-offset": "first"}, inactivity_timeout=5):
        assert method is not None, f"the stream ended after {len(bodies)}"
        bodies.append(b"%d|" % properties.headers["x-stream-offset"] + body)
        if len(bodies) == 100:
            break
    channel.cancel()
    connection.close()
    found["stream"] = digest(bodies)
    if with_long:
        found["long"] = read_long(broker)
    return found
