"""A consumer of the new group protocol, as a process that tests start and kill: managed_member.py BOOTSTRAP GROUP TOPIC [KEY=VALUE...]

Prints its partitions whenever they change ("assigned 0,2") and each record ("record PARTITION OFFSET VALUE"), and commits
each before it polls again. SIGTERM makes it leave the group. TOPIC may be a pattern that begins with ^.
"""
import signal
import sys

from confluent_kafka import Consumer, KafkaException


def say(*words):
    print(*words, flush=True)


def main(bootstrap, group, topic, *options):
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    mine = set()

    def change(consumer, partitions, keep):
        nonlocal mine
        changed = {p.partition for p in partitions}
        mine = mine | changed if keep else mine - changed
        say("assigned", ",".join(str(p) for p in sorted(mine)))

    def assign(consumer, partitions):
        change(consumer, partitions, True)
        consumer.incremental_assign(partitions)

    def revoke(consumer, partitions):
        change(consumer, partitions, False)
        consumer.incremental_unassign(partitions)

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "group.protocol": "consumer",
                         "auto.offset.reset": "earliest", "enable.auto.commit": False, "topic.metadata.refresh.interval.ms": 1000,
                         **dict(option.split("=", 1) for option in options)})
    consumer.subscribe([topic], on_assign=assign, on_revoke=revoke, on_lost=lambda c, p: change(c, p, False))
    while not stopping:
        message = consumer.poll(0.2)
        if message is None:
            continue
        if message.error():
            say("error", message.error())
            continue
        say("record", message.partition(), message.offset(), message.value().decode())
        try:
            consumer.commit(message=message, asynchronous=False)
        except KafkaException as error:
            say("uncommitted", error.args[0].name())
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
