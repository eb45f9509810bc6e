"""The plug is pulled under load over AMQP: what was confirmed is delivered, what was acked for good never comes again.

POLYLOG_LOSS_ROUNDS sets the number of rounds (30), POLYLOG_LOSS_SEED repeats a run.
"""
import os
import random
import threading
import time

import pika

from harness import Broker, BrokerFailed, seeds

ROUNDS = int(os.environ.get("POLYLOG_LOSS_ROUNDS", "30"))
NEGATIVE_ROUNDS_MAX = 10
ACKS_A_SYNC = 20
PREFETCH = 500  # unacked messages fill it up; a round has fewer
BODY_BYTES_MAX = 3000


def body_of(number):
    return b"%d " % number + bytes([number % 251]) * (number * 7919 % BODY_BYTES_MAX)


def number_of(body):
    number = int(body.split(b" ", 1)[0])
    assert body == body_of(number), f"message {number} came with another body"
    return number


def connect(broker):
    host, port = broker.address("amqp").split(":")
    return pika.BlockingConnection(pika.ConnectionParameters(
        host, int(port), credentials=pika.PlainCredentials("guest", "guest"), heartbeat=0, socket_timeout=5,
        blocked_connection_timeout=10))


def until_it_breaks(work):
    """Runs `work`; a connection that breaks is how it ends. Other errors are kept for the test to raise."""
    errors = []

    def run():
        try:
            work()
        except (pika.exceptions.AMQPError, OSError):
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by the test's thread
            errors.append(error)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, errors


class Ledger:
    """What the clients were promised."""

    def __init__(self):
        self.next = 0
        self.confirmed = set()   # publisher confirms received
        self.acked = set()       # acks sent, whether they arrived or not
        self.settled = set()     # acks followed by a reply on their channel
        self.delivered = set()   # in rounds before this one

    def publish(self, broker):
        channel = connect(broker).channel()
        channel.confirm_delivery()
        channel.queue_declare("loss", durable=True)
        while True:
            number = self.next
            self.next += 1
            channel.basic_publish("", "loss", body_of(number), pika.BasicProperties(delivery_mode=2))
            self.confirmed.add(number)

    def consume(self, broker, delivered_now):
        """Acks nine of ten messages; a basic.qos round trip then makes the acks count."""
        channel = connect(broker).channel()
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.queue_declare("loss", durable=True)
        unsettled = []
        for method, _properties, body in channel.consume("loss"):
            number = number_of(body)
            assert number not in self.settled, f"message {number} came again after its ack was settled"
            if number in self.delivered:
                assert method.redelivered, f"message {number} came again and was not flagged redelivered"
            delivered_now.add(number)
            if random.random() < 0.9:
                self.acked.add(number)
                channel.basic_ack(method.delivery_tag)
                unsettled.append(number)
            if len(unsettled) >= ACKS_A_SYNC:
                channel.basic_qos(prefetch_count=PREFETCH)
                self.settled.update(unsettled)
                unsettled.clear()

    def check(self, broker):
        """Drains the queue: every confirmed message that was not settled is there, and none that was."""
        connection = connect(broker)
        channel = connection.channel()
        channel.queue_declare("loss", durable=True)
        there = []
        while True:
            method, _properties, body = channel.basic_get("loss")
            if method is None:
                break
            number = number_of(body)
            there.append(number)
            if number in self.delivered:
                assert method.redelivered, f"message {number} came again and was not flagged redelivered"
        assert len(there) == len(set(there)), "a message is in the queue twice"
        again = self.settled.intersection(there)
        assert not again, f"settled and still there: {sorted(again)[:5]}"
        # An ack that was never settled may have counted all the same.
        return self.confirmed - set(there) - self.settled - self.acked, connection, channel

    def settle_all(self, connection, channel):
        """Empties the queue for the next round, which begins with nothing unsettled."""
        channel.basic_ack(0, multiple=True)
        channel.basic_qos(prefetch_count=1)
        connection.close()
        self.settled.update(self.confirmed)


def load_and_pull(broker, ledger, seed):
    delivered_now = set()
    publisher, publish_errors = until_it_breaks(lambda: ledger.publish(broker))
    consumer, consume_errors = until_it_breaks(lambda: ledger.consume(broker, delivered_now))
    confirmed_before = len(ledger.confirmed)
    deadline = time.monotonic() + 20
    while len(ledger.confirmed) == confirmed_before and publisher.is_alive() and time.monotonic() < deadline:
        time.sleep(0.005)
    if len(ledger.confirmed) == confirmed_before:
        broker.fail(f"nothing was confirmed within 20 s: {publish_errors}")
    time.sleep(random.Random(seed).uniform(0, 0.8))
    broker.kill()
    publisher.join(10)
    consumer.join(10)
    for error in publish_errors + consume_errors:
        raise error
    ledger.delivered |= delivered_now
    return broker.cord.pull(seed)


def test_confirmed_messages_are_delivered_and_settled_ones_never_again_after_each_loss_of_power():
    with Broker(power=True) as broker:
        ledger = Ledger()
        for number, seed in enumerate(seeds(ROUNDS)):
            loss = load_and_pull(broker, ledger, seed)
            broker.start()
            missing, connection, channel = ledger.check(broker)
            print(f"round {number + 1} seed {seed}: {loss}; {len(ledger.confirmed)} confirmed, "
                  f"{len(ledger.settled)} settled, {len(missing)} lost")
            if missing:
                broker.fail(f"round {number + 1}, seed {seed}: confirmed and lost: {sorted(missing)[:5]}")
            if number % 3 == 2:
                ledger.settle_all(connection, channel)
            else:
                connection.close()
                ledger.delivered |= ledger.confirmed  # the check's basic.get has delivered them
        print(f"{ROUNDS} losses of power, {len(ledger.confirmed)} confirmed, 0 lost")


def test_an_amqp_broker_that_never_syncs_is_caught():
    """The negative control: with every sync stubbed out, the same rounds must find a loss."""
    for number, seed in enumerate(seeds(NEGATIVE_ROUNDS_MAX)):
        with Broker(power=True, nosync=True) as broker:
            ledger = Ledger()
            loss = load_and_pull(broker, ledger, seed)
            try:
                broker.start()
                missing, connection, _channel = ledger.check(broker)
                connection.close()
            except (BrokerFailed, AssertionError, pika.exceptions.AMQPError) as failure:  # a cell that stays closed, too
                missing = {repr(failure).splitlines()[0]}
            print(f"round {number + 1} seed {seed}: {loss}; missing {len(missing)}")
            if missing:
                print(f"caught in round {number + 1}")
                return
    raise AssertionError(f"{NEGATIVE_ROUNDS_MAX} rounds without a single sync lost nothing: the test is blind")
