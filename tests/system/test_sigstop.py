"""The broker stands still for three seconds under load, as a machine that swaps or a paused guest does, and goes on."""
import contextlib
import os
import signal
import threading
import time

import pika
import pytest

from harness import Broker, wait_for
from kafka_wire import Wire
from test_powerloss_kafka import PARTITIONS, load, verify, wait_for_acks

STOPPED_SECONDS = 3
CONNECTIONS_MEANWHILE = 300
# Clients that give up within the pause, reconnect and retry, and clients that sit it out.
FLAVOURS = [["enable.idempotence=true"], ["socket.timeout.ms=1000", "enable.idempotence=true", "linger.ms=1"]]


@contextlib.contextmanager
def standing_still(broker):
    os.kill(broker.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.process.pid, signal.SIGCONT)


@pytest.mark.parametrize("settings", FLAVOURS, ids=["patient", "hasty"])
def test_nothing_acked_is_lost_or_doubled_when_kafka_producers_meet_a_pause(settings):
    with Broker("--set", f"kafka.num_partitions={PARTITIONS}") as broker:
        acked_path = broker.dir / "acked"
        with load(broker, 0, acked_path, settings):
            wait_for_acks(broker, acked_path)
            time.sleep(0.5)
            with standing_still(broker):
                knocking = [broker.connect("kafka") for _ in range(CONNECTIONS_MEANWHILE)]
                time.sleep(STOPPED_SECONDS)
            before = acked_path.stat().st_size
            wait_for_acks(broker, acked_path, before)
            time.sleep(0.5)
            for sock in knocking:
                sock.close()
        assert broker.process.poll() is None
        said, whole = verify(broker, [acked_path], "verify-once")
        print(said)
        assert whole, said


def test_nothing_confirmed_is_lost_and_no_connection_breaks_when_amqp_clients_meet_a_pause():
    with Broker() as broker:
        confirmed, received, errors, done = [], [], [], threading.Event()

        def connect():
            return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"], heartbeat=10))

        def publish():
            connection = connect()
            channel = connection.channel()
            channel.confirm_delivery()
            number = 0
            while not done.is_set():
                channel.basic_publish("", "work", b"%d" % number, pika.BasicProperties(delivery_mode=2))
                confirmed.append(number)
                number += 1
            connection.close()

        def consume():
            connection = connect()
            channel = connection.channel()
            channel.basic_qos(prefetch_count=50)
            for method, _properties, body in channel.consume("work", inactivity_timeout=0.1):
                if method is not None:
                    received.append(int(body))
                    channel.basic_ack(method.delivery_tag)
                elif done.is_set() and len(received) >= len(confirmed):
                    break
            connection.close()

        def guarded(work):
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised again below
                errors.append(error)
        with contextlib.closing(connect()) as setup:
            setup.channel().queue_declare("work", durable=True)
        threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in (publish, consume)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(received) > 100, 10, "messages flow")
        with standing_still(broker):
            time.sleep(STOPPED_SECONDS)
        at_continue = len(received)
        wait_for(lambda: len(received) > at_continue + 100 or errors, 10, "messages flow again")
        done.set()
        for thread in threads:
            thread.join(15)
            assert not thread.is_alive()
        assert not errors, errors
        assert received == confirmed, "each confirmed message once, in order"
        with Wire(broker) as wire:
            assert wire.works()
