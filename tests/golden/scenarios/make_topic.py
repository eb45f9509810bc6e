"""Makes topics for clients that cannot: HOST:PORT NAME:PARTITIONS..."""
import sys

from kafka import KafkaAdminClient
from kafka.admin import NewTopic

admin = KafkaAdminClient(bootstrap_servers=sys.argv[1])
for name, partitions in (word.split(":") for word in sys.argv[2:]):
    admin.create_topics([NewTopic(name, int(partitions), 1)])
admin.close()
