"""kafka-python: topics made, described, altered and deleted; records with keys, headers and gzip; a group that goes on
where it committed. argv: HOST:PORT."""
import sys

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.structs import OffsetAndMetadata

bootstrap = sys.argv[1]


def administer():
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic("orders", 2, 1, topic_configs={"retention.ms": "86400000"})])
    try:
        admin.create_topics([NewTopic("orders", 2, 1)])
    except errors.TopicAlreadyExistsError:
        pass
    for bad in (NewTopic("no partitions", 1, 1), NewTopic("none", 0, 1),
                NewTopic("configured", 1, 1, topic_configs={"no.such.config": "1"})):
        try:
            admin.create_topics([bad])
        except errors.KafkaError:
            pass
    admin.describe_topics(["orders"])
    admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "orders",
                                           {"retention.ms": None, "cleanup.policy": None, "max.message.bytes": None})])
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, "orders", {"retention.ms": "3600000"})])
    admin.create_partitions({"orders": NewPartitions(3)})
    admin.close()


def produce():
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    producer.send("orders", b"first", key=b"a", headers=[("h", b"1"), ("empty", b"")], partition=0,
                  timestamp_ms=1_700_000_000_123).get(20)
    producer.send("orders", None, key=b"a", partition=0, timestamp_ms=1_700_000_000_124).get(20)
    producer.send("orders", b"", partition=1, timestamp_ms=1_700_000_000_125).get(20)
    producer.close()
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks=1, compression_type="gzip", linger_ms=50)
    for i in range(5):
        producer.send("orders", b"packed %d" % i, partition=0, timestamp_ms=1_700_000_001_000 + i)
    producer.flush(20)
    producer.close()


def consume(count):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id="workers", auto_offset_reset="earliest",
                             enable_auto_commit=False)
    consumer.subscribe(["orders"])
    records = []
    while len(records) < count:
        for batch in consumer.poll(timeout_ms=300, max_records=count - len(records)).values():
            records += batch
    offsets = {}
    for record in records:
        offsets[TopicPartition("orders", record.partition)] = OffsetAndMetadata(record.offset + 1, "note", -1)
    consumer.commit(offsets)
    for place in offsets:
        consumer.committed(place)
    consumer.close(autocommit=False)


def look_up():
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    places = [TopicPartition("orders", p) for p in range(3)]
    consumer.beginning_offsets(places)
    consumer.end_offsets(places)
    consumer.offsets_for_times({places[0]: 1_700_000_001_002, places[1]: 1_900_000_000_000})
    consumer.close()


def clean_up():
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.list_consumer_groups()
    admin.describe_consumer_groups(["workers"])
    admin.list_consumer_group_offsets("workers")
    admin.delete_records({TopicPartition("orders", 0): 2})
    admin.delete_consumer_groups(["workers", "nobody"])
    admin.delete_topics(["orders"])
    try:
        admin.delete_topics(["orders"])
    except errors.UnknownTopicOrPartitionError:
        pass
    admin.close()


administer()
produce()
consume(3)
consume(5)
look_up()
clean_up()
