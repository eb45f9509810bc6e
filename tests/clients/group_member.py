"""A consumer of a group, as a process that tests start and kill: group_member.py BOOTSTRAP GROUP TOPIC [commit]

Prints a line each time it is given partitions ("assigned 0,2") and for each record ("record PARTITION OFFSET VALUE").
With "commit" it commits after each poll. SIGTERM makes it leave the group.
"""
import signal
import sys

from kafka import ConsumerRebalanceListener, KafkaConsumer


def say(*words):
    print(*words, flush=True)


class Listener(ConsumerRebalanceListener):
    def on_partitions_revoked(self, revoked):
        pass

    def on_partitions_assigned(self, assigned):
        say("assigned", ",".join(str(p.partition) for p in sorted(assigned)))


def main(bootstrap, group, topic, *options):
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, client_id="member",
                             auto_offset_reset="earliest", enable_auto_commit=False, session_timeout_ms=6000, heartbeat_interval_ms=300,
                             metadata_max_age_ms=1000)
    consumer.subscribe([topic], listener=Listener())
    while not stopping:
        for records in consumer.poll(timeout_ms=200).values():
            for record in records:
                say("record", record.partition, record.offset, record.value.decode())
            if "commit" in options:
                consumer.commit()
    consumer.close(autocommit=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
