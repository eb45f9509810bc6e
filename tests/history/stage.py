"""A running round, as rounds.py and nemesis.py see it: a broker, its clients as processes, and what is asked of the
broker."""
import contextlib
import multiprocessing
import random
import socket
import threading
import time

import confluent_kafka
import pika
from confluent_kafka.admin import AdminClient, NewTopic

import history
import workload
from client import PARTITIONS, QUEUE, TOPIC, value_in
from harness import wait_for
from kafka_clients import LIBRDKAFKA

FLOW_SECONDS_MAX = 40       # until all clients are at work: a group may have to wait for a session to end
START_SECONDS_MAX = 30
PRODUCERS = {"once": "librdkafka producer", "plain": "librdkafka plain producer", "python": "kafka-python producer",
             "publisher-1": "amqp publisher", "publisher-2": "amqp publisher"}
CONSUMERS = {"member-1": "librdkafka member", "member-2": "librdkafka member", "pymember-1": "kafka-python member",
             "pymember-2": "kafka-python member", "consumer-1": "amqp consumer", "consumer-2": "amqp consumer"}
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["workload"])
_ports_given = set()
_ports_lock = threading.Lock()


def free_ports(names):
    """Ports that nobody is handed by chance while the broker is down: below those that systems give out by
    themselves."""
    found = {}
    with _ports_lock:
        while len(found) < len(names):
            port = random.SystemRandom().randrange(11_000, 32_000)
            with socket.socket() as probe:
                if port not in _ports_given and probe.connect_ex(("127.0.0.1", port)) != 0:
                    _ports_given.add(port)
                    found[names[len(found)]] = port
    return found


class Stage:
    """A running round, as nemesis.py sees it."""

    def __init__(self, broker, disk, folder, dice, value_bytes, per_second, patience):
        self.broker, self.disk, self.folder, self.dice, self.patience = broker, disk, folder, dice, patience
        self.clients, self.roles, self.are_logs_read = {}, {}, False
        self.setup = {"folder": str(folder), "kafka": broker.ports["kafka"], "amqp": broker.ports["amqp"],
                      "per_second": per_second, "value_bytes": value_bytes, "patience_seconds": patience,
                      "strategy": dice.choice(["range", "cooperative-sticky", "consumer"])}
        self.history = history.Recorder(folder, "nemesis")
        self.history.saw("setup", **self.setup)

    @contextlib.contextmanager
    def fault(self, kind, target="broker"):
        op = self.history.invoke("fault", kind=kind, target=target)
        yield
        op.ok()

    def wait(self, low, high):
        time.sleep(self.dice.uniform(low, high))

    def start_client(self, name, role):
        setup = {**self.setup, "seed": self.dice.randrange(1 << 30)}
        self.clients[name] = PROCESSES.Process(target=workload.play, args=(role, name, setup), daemon=True)
        self.clients[name].start()
        self.roles[name] = role

    def wait_started(self):
        """A client that does not yet listen to signals must not be stopped."""
        wait_for(lambda: all((self.folder / f"{name}.jsonl").exists() for name in self.clients), START_SECONDS_MAX,
                 "all clients have started")

    def role_of(self, name):
        return self.roles[name]

    def consumers(self):
        return sorted(name for name in self.clients if self.roles[name] in CONSUMERS.values())

    def stop_client(self, name):
        process = self.clients.pop(name)
        process.terminate()
        process.join(self.patience + 15)
        ended = process.exitcode
        if ended is None:
            process.kill()
            process.join()
        if ended != 0:
            said = (self.folder / f"{name}.err").read_text(errors="replace")
            raise AssertionError(f"client {name} ended with {ended} (None: not in time): {said[-1500:]}")

    def stop_clients(self, names):
        for name in names:
            self.clients[name].terminate()  # all at once; then each is waited for
        for name in names:
            self.stop_client(name)

    def replace(self, name):
        """Another one of the same role: what was killed stays apart in the history."""
        role = self.roles[name]
        if name in self.clients:
            self.clients.pop(name).join()
        base, _, number = name.rpartition("-")
        self.start_client(f"{base}-{int(number) + 2}", role)
        self.wait_started()

    def end(self):
        for process in self.clients.values():
            process.kill()
            process.join()

    # ---- what the round itself asks the broker

    def prepare(self, queue_type):
        admin = AdminClient({**LIBRDKAFKA, "bootstrap.servers": self.broker.address("kafka")})
        admin.create_topics([NewTopic(TOPIC, PARTITIONS)])[TOPIC].result(20)
        with contextlib.closing(self.connect_amqp()) as connection:
            connection.channel().queue_declare(QUEUE, durable=True, arguments={"x-queue-type": queue_type})

    def connect_amqp(self):
        return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.broker.ports["amqp"], heartbeat=0))

    def wait_until_all_flows(self):
        """Faults into a standing start show little: each producer was acked, each group and queue delivers."""
        wanted = {"once": '"offset"', "plain": '"offset"', "python": '"offset"', "publisher-1": '"ok"',
                  "member-1": '"record"', "pymember-1": '"record"', "consumer-1": '"delivered"'}
        others = {name: name.replace("-1", "-2") for name in wanted}
        deadline = time.monotonic() + FLOW_SECONDS_MAX

        def flows(name):
            paths = [self.folder / f"{each}.jsonl" for each in (name, others[name])]
            return any(wanted[name] in path.read_text() for path in paths if path.exists())
        while missing := [name for name in wanted if not flows(name)]:
            if time.monotonic() > deadline:
                raise AssertionError(f"not at work within {FLOW_SECONDS_MAX} s: {missing}")
            time.sleep(0.1)

    def read_logs(self):
        reader = history.Recorder(self.folder, "reader")
        consumer = self.reader_of("nobody")
        for partition in range(PARTITIONS):
            op = reader.invoke("log", partition=partition)
            _low, end = consumer.get_watermark_offsets(confluent_kafka.TopicPartition(TOPIC, partition), timeout=20)
            consumer.assign([confluent_kafka.TopicPartition(TOPIC, partition, 0)])
            records, deadline = [], time.monotonic() + self.patience
            while (not records or records[-1][0] < end - 1) and end > 0:
                for message in consumer.consume(1000, 0.2):
                    if not message.error():
                        records.append([message.offset(), value_in(message.value())])
                if time.monotonic() > deadline:
                    raise AssertionError(f"partition {partition} cannot be read to its end {end}: {records[-1:]}")
            op.ok(records=records)
        consumer.close()
        self.are_logs_read = True

    def salvage(self):
        """After an error: ends the clients and reads what the log holds, if that is still possible. A broker that lost
        records may well drive clients mad before they see which."""
        self.end()
        if not self.are_logs_read:
            with contextlib.suppress(Exception):
                self.read_logs()

    def reader_of(self, group):
        return confluent_kafka.Consumer({
            **LIBRDKAFKA, "bootstrap.servers": self.broker.address("kafka"), "group.id": group,
            "enable.auto.commit": False, "auto.offset.reset": "error"})

    def drain(self):
        """Waits until groups have committed and queues delivered all there is; the history says what was left."""
        drains = history.Recorder(self.folder, "drain")
        left = {"group": None, "group-python": None, QUEUE: None}
        pending = {what: drains.invoke("drain", what=what) for what in left}
        readers = {group: self.reader_of(group) for group in left if group != QUEUE}
        deadline = time.monotonic() + self.patience
        while pending and time.monotonic() < deadline:
            for what in list(pending):
                left[what] = self.queue_left() if what == QUEUE else self.group_left(readers[what])
                if not left[what]:
                    pending.pop(what).ok()
            time.sleep(0.1)
        for what, op in pending.items():
            op.info(left=left[what])
        for reader in readers.values():
            reader.close()

    def group_left(self, reader):
        """[[partition, committed, end]] of those that are not read to the end."""
        places = reader.committed([confluent_kafka.TopicPartition(TOPIC, p) for p in range(PARTITIONS)], timeout=20)
        ends = {p: reader.get_watermark_offsets(confluent_kafka.TopicPartition(TOPIC, p), timeout=20)[1]
                for p in range(PARTITIONS)}
        return [[place.partition, place.offset, ends[place.partition]]
                for place in places if max(0, place.offset) != ends[place.partition]]

    def queue_left(self):
        with contextlib.closing(self.connect_amqp()) as connection:
            return connection.channel().queue_declare(QUEUE, durable=True, passive=True).method.message_count
