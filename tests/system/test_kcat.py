"""kcat makes a topic by producing to it; what it was told is stored survives a kill and a loss of power."""
import subprocess

import pytest

from harness import Broker, run, seeds

COUNT = 10_000
MESSAGES = b"".join(b"message %05d %s\n" % (i, b"x" * (i % 300)) for i in range(COUNT))


def produce(broker, topic, data, *args):
    run("kcat", "-P", "-b", broker.address("kafka"), "-t", topic, "-X", "acks=all", *args, input=data)


def consume(broker, topic, *args):
    return run("kcat", "-C", "-q", "-e", "-o", "beginning", "-b", broker.address("kafka"), "-t", topic, *args).stdout


def test_ten_thousand_messages_come_out_complete_and_in_order():
    with Broker() as broker:
        produce(broker, "orders", MESSAGES)
        assert consume(broker, "orders") == MESSAGES


def test_offsets_are_dense_from_zero():
    with Broker() as broker:
        produce(broker, "orders", MESSAGES)
        assert consume(broker, "orders", "-f", "%o\n") == b"".join(b"%d\n" % i for i in range(COUNT))


def test_keys_headers_and_empty_and_null_values_come_back():
    with Broker() as broker:
        produce(broker, "keyed", b"k1|v1\nk2|\n", "-K", "|", "-H", "colour=grün")
        produce(broker, "keyed", b"k3|\n", "-K", "|", "-Z")
        got = consume(broker, "keyed", "-f", "%k %S %h\n").decode().splitlines()
        assert got == ["k1 2 colour=grün", "k2 0 colour=grün", "k3 -1 "]


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_come_back(codec):
    with Broker() as broker:
        produce(broker, codec, MESSAGES, "-z", codec)
        assert consume(broker, codec) == MESSAGES


def test_the_topic_is_listed():
    with Broker() as broker:
        produce(broker, "orders", b"one\n")
        listing = run("kcat", "-L", "-b", broker.address("kafka")).stdout.decode()
        assert 'topic "orders" with 1 partitions' in listing


def test_a_message_reaches_a_waiting_consumer():
    with Broker() as broker:
        produce(broker, "live", b"first\n")
        waiting = subprocess.Popen(["kcat", "-C", "-q", "-u", "-c", "2", "-o", "beginning", "-b", broker.address("kafka"),
                                    "-t", "live"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            assert waiting.stdout.readline() == b"first\n"
            produce(broker, "live", b"second\n")
            assert waiting.communicate(timeout=10)[0] == b"second\n"
        finally:
            waiting.kill()
            waiting.wait()


def test_acked_messages_survive_sigterm():
    with Broker() as broker:
        produce(broker, "orders", MESSAGES)
        broker.restart()
        assert consume(broker, "orders") == MESSAGES


def test_acked_messages_survive_kill():
    with Broker() as broker:
        produce(broker, "orders", MESSAGES)
        broker.kill()
        broker.start()
        assert consume(broker, "orders") == MESSAGES


def test_acked_messages_survive_loss_of_power():
    with Broker(power=True) as broker:
        for seed in seeds(5):
            produce(broker, f"orders-{seed}", MESSAGES)
            print(broker.pull_the_plug(seed))
            broker.start()
            assert consume(broker, f"orders-{seed}") == MESSAGES, f"seed {seed}"


def test_offsets_go_on_after_kill():
    with Broker() as broker:
        produce(broker, "orders", b"before\n")
        broker.kill()
        broker.start()
        produce(broker, "orders", b"after\n")
        assert consume(broker, "orders", "-f", "%o %s\n") == b"0 before\n1 after\n"
