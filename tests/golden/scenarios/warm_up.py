"""Makes the broker create what it creates at first use, so that no recorded client has to wait for it."""
import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

bootstrap = sys.argv[1]
place = TopicPartition("warm-up", 0)
consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id="warm-up", enable_auto_commit=False)
consumer.assign([place])
consumer.commit({place: OffsetAndMetadata(0, "", -1)})
consumer.close(autocommit=False)
producer = KafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, max_in_flight_requests_per_connection=1)
producer.send("warm-up", b"x").get(30)
producer.close()
admin = KafkaAdminClient(bootstrap_servers=bootstrap)
admin.delete_topics(["warm-up"])
admin.delete_consumer_groups(["warm-up"])
admin.close()
time.sleep(1)
