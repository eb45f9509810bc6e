"""Consuming over AMQP 0-9-1 with pika: acks, requeue, prefetch, cancel, transactions, heartbeats, and kill -9."""
import socket
import threading
import time

import pika
import pytest
from pika import exceptions

from amqp_kit import (Broker, bodies, channel, connected, durable, get, parameters, publish, publish_confirmed, ready_count,
                      receive)


@pytest.fixture(scope="module")
def broker():
    with Broker() as broker:
        yield broker


def raw_socket(connection):
    return connection._impl._transport._sock


def cut(connection):
    """The client dies: its socket ends without a word."""
    raw_socket(connection).shutdown(socket.SHUT_RDWR)


def numbers(first, last):
    return [b"%d" % i for i in range(first, last)]


def test_consume_and_ack(broker):
    sent = numbers(0, 1000)
    with channel(broker) as ch:
        durable(ch, "work")
        publish(ch, "work", *sent)
        got = receive(ch, "work", 1000)
        assert bodies(got) == sent
        assert not any(method.redelivered for method, _, _ in got)
        ch.basic_ack(got[-1][0].delivery_tag, multiple=True)
        ch.cancel()
        assert ready_count(ch, "work") == 0


def test_auto_ack_leaves_nothing(broker):
    with channel(broker) as ch:
        durable(ch, "auto")
        publish(ch, "auto", *numbers(0, 300))
        assert bodies(receive(ch, "auto", 300, auto_ack=True)) == numbers(0, 300)
        ch.cancel()
    with channel(broker) as ch:
        assert ready_count(ch, "auto") == 0


def test_requeued_messages_come_back_in_their_place_flagged_redelivered(broker):
    with channel(broker) as ch:
        durable(ch, "again")
        publish(ch, "again", *numbers(0, 10))
        tags = [method.delivery_tag for method, _, _ in get(ch, "again", 6)]
        ch.basic_ack(tags[0])
        ch.basic_nack(tags[4], requeue=True)
        ch.basic_reject(tags[2], requeue=True)
        ch.basic_nack(tags[1], requeue=False)
        got = get(ch, "again", 6)
        assert bodies(got) == [b"2", b"4", b"6", b"7", b"8", b"9"]
        assert [method.redelivered for method, _, _ in got] == [True, True, False, False, False, False]


@pytest.mark.parametrize("end", ["channel", "connection", "socket"])
def test_unacknowledged_messages_return_in_order_when_their_holder_goes(broker, end):
    name = f"returned-by-{end}"
    connection = pika.BlockingConnection(parameters(broker))
    ch = connection.channel()
    durable(ch, name)
    publish(ch, name, *numbers(0, 20))
    assert bodies(receive(ch, name, 20)) == numbers(0, 20)
    if end == "channel":
        ch.close()
    elif end == "connection":
        connection.close()
    else:
        cut(connection)
    with channel(broker) as other:
        got = receive(other, name, 20)
        assert bodies(got) == numbers(0, 20)
        assert all(method.redelivered for method, _, _ in got)


def test_recover_returns_everything_open(broker):
    with channel(broker) as ch:
        durable(ch, "recovered")
        publish(ch, "recovered", *numbers(0, 5))
        get(ch, "recovered", 5)
        ch.basic_recover(requeue=True)
        got = get(ch, "recovered", 5)
        assert bodies(got) == numbers(0, 5)
        assert all(method.redelivered for method, _, _ in got)


def test_an_unknown_delivery_tag_closes_the_channel(broker):
    for tag, multiple in [(1, False), (7, True), (0, False)]:
        with connected(broker) as connection:
            ch = connection.channel()
            with pytest.raises(exceptions.ChannelClosedByBroker) as caught:
                ch.basic_ack(tag, multiple=multiple)
                ch.basic_qos(prefetch_count=1)
            assert caught.value.reply_code == 406
            assert caught.value.reply_text == f"PRECONDITION_FAILED - unknown delivery tag {tag}"


def test_prefetch_limits_each_consumer(broker):
    with connected(broker) as connection:
        ch = connection.channel()
        durable(ch, "prefetched")
        publish(ch, "prefetched", *numbers(0, 50))
        got = []
        ch.basic_qos(prefetch_count=5)
        ch.basic_consume("prefetched", lambda _c, method, _p, body: got.append((method, body)), consumer_tag="a")
        ch.basic_consume("prefetched", lambda _c, method, _p, body: got.append((method, body)), consumer_tag="b")
        connection.sleep(1)
        assert len(got) == 10
        assert {method.consumer_tag for method, _ in got} == {"a", "b"}
        ch.basic_ack(got[0][0].delivery_tag)
        connection.sleep(1)
        assert len(got) == 11


def test_global_prefetch_is_shared_and_can_change(broker):
    with connected(broker) as connection:
        ch = connection.channel()
        durable(ch, "shared")
        publish(ch, "shared", *numbers(0, 50))
        got = []
        ch.basic_qos(prefetch_count=4, global_qos=True)
        for tag in "ab":
            ch.basic_consume("shared", lambda _c, method, _p, body: got.append(body), consumer_tag=tag)
        connection.sleep(1)
        assert len(got) == 4
        ch.basic_qos(prefetch_count=9, global_qos=True)
        connection.sleep(1)
        assert len(got) == 9


def test_after_cancel_ok_nothing_is_delivered_and_open_messages_stay_open(broker):
    with connected(broker) as connection:
        ch = connection.channel()
        durable(ch, "cancelled")
        got = []
        tag = ch.basic_consume("cancelled", lambda _c, method, _p, body: got.append(method.delivery_tag))
        publish(ch, "cancelled", b"x")
        connection.sleep(1)
        ch.basic_cancel(tag)
        publish(ch, "cancelled", b"y")
        connection.sleep(0.3)
        assert len(got) == 1
        assert ready_count(ch, "cancelled") == 1
        ch.basic_ack(got[0])
        assert bodies(get(ch, "cancelled", 1)) == [b"y"]


def test_a_consumer_is_told_when_its_queue_is_deleted(broker):
    with connected(broker) as connection:
        ch = connection.channel()
        durable(ch, "vanishing")
        cancelled = []
        ch.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
        tag = ch.basic_consume("vanishing", lambda *_: None)
        with channel(broker) as other:
            other.queue_delete("vanishing")
        connection.sleep(2)
        assert cancelled == [tag]
        assert ch.is_open


def test_exclusive_consumers(broker):
    with channel(broker) as ch:
        durable(ch, "single")
        ch.basic_consume("single", lambda *_: None, exclusive=True)
        with connected(broker) as other:
            with pytest.raises(exceptions.ChannelClosedByBroker) as caught:
                other.channel().basic_consume("single", lambda *_: None)
            assert caught.value.reply_code == 403


def test_an_auto_delete_queue_goes_with_its_last_consumer(broker):
    with connected(broker) as connection:
        ch = connection.channel()
        ch.queue_declare("fleeting", auto_delete=True)
        tag = ch.basic_consume("fleeting", lambda *_: None)
        ch.basic_cancel(tag)
        time.sleep(0.2)
        with pytest.raises(exceptions.ChannelClosedByBroker) as caught:
            ch.queue_declare("fleeting", passive=True)
        assert caught.value.reply_code == 404


def test_transactions_commit_and_roll_back(broker):
    with channel(broker) as ch, channel(broker) as observer:
        durable(ch, "tx")
        ch.tx_select()
        publish(ch, "tx", b"1", b"2")
        assert ready_count(observer, "tx") == 0
        ch.tx_commit()
        assert ready_count(observer, "tx") == 2
        publish(ch, "tx", b"discarded")
        ch.tx_rollback()
        assert ready_count(observer, "tx") == 2

        tags = [method.delivery_tag for method, _, _ in get(ch, "tx", 2)]
        ch.basic_ack(tags[0])
        ch.tx_rollback()  # the ack is undone: acknowledging again is no error
        ch.basic_ack(tags[0])
        ch.tx_commit()
        ch.basic_nack(tags[1], requeue=True)
        assert ready_count(observer, "tx") == 0
        ch.tx_commit()
        assert ready_count(observer, "tx") == 1


def test_confirm_and_tx_do_not_mix(broker):
    with connected(broker) as connection:
        ch = connection.channel()
        ch.tx_select()
        with pytest.raises(exceptions.ChannelClosedByBroker) as caught:
            ch.confirm_delivery()
        assert caught.value.reply_code == 406


def test_large_and_small_bodies_through_small_frames(broker):
    sent = [b"x" * size for size in (0, 1, 4087, 4088, 4089, 100_000, 1_000_000)]
    with channel(broker, frame_max=4096) as ch:
        durable(ch, "framed")
        publish(ch, "framed", *sent)
        assert bodies(receive(ch, "framed", len(sent))) == sent


def test_a_backlog_larger_than_the_window_comes_completely(broker):
    sent = [b"%06d" % i + b"x" * 10_000 for i in range(1000)]
    with channel(broker) as ch:
        durable(ch, "backlog")
    publish_confirmed(broker, "backlog", *sent[:500])
    publish_confirmed(broker, "backlog", *sent[500:])
    with channel(broker) as ch:
        assert bodies(receive(ch, "backlog", 1000, auto_ack=True)) == sent


def test_heartbeats_keep_an_idle_connection_and_end_a_silent_one(broker):
    with connected(broker, heartbeat=1) as connection:
        for _ in range(5):
            connection.sleep(1)
        assert connection.is_open
        connection.channel()
    silent = pika.BlockingConnection(parameters(broker, heartbeat=1))
    begin = time.monotonic()
    sock = raw_socket(silent)
    sock.settimeout(8)
    while sock.recv(4096):  # heartbeats come in, none go out
        pass
    assert 1.4 < time.monotonic() - begin < 8


def test_logins_and_vhosts(broker):
    with pytest.raises(exceptions.ProbableAuthenticationError):
        pika.BlockingConnection(parameters(broker, credentials=pika.PlainCredentials("guest", "wrong")))
    with pytest.raises(exceptions.ProbableAccessDeniedError, match="530.*vhost other not found"):
        pika.BlockingConnection(parameters(broker, virtual_host="other"))


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_confirmed_messages_survive_kill_and_what_was_delivered_is_flagged(kind):
    with Broker() as broker:
        with channel(broker) as ch:
            durable(ch, "survivor", kind)
        publish_confirmed(broker, "survivor", *numbers(0, 100))
        connection = pika.BlockingConnection(parameters(broker))
        ch = connection.channel()
        tags = [method.delivery_tag for method, _, _ in get(ch, "survivor", 30)]
        ch.basic_ack(tags[9], multiple=True)
        ch.basic_qos(prefetch_count=1)  # its reply makes the acks durable
        broker.kill()
        broker.start()
        with channel(broker) as ch:
            got = get(ch, "survivor", 90)
            assert bodies(got) == numbers(10, 100)
            assert [method.redelivered for method, _, _ in got] == [True] * 20 + [False] * 70
            assert ch.basic_get("survivor")[0] is None


def test_transient_queues_do_not_survive():
    with Broker() as broker:
        with channel(broker) as ch:
            ch.queue_declare("transient")
            publish(ch, "transient", b"x")
            assert ready_count(ch, "transient") == 1
        broker.kill()
        broker.start()
        with connected(broker) as connection:
            with pytest.raises(exceptions.ChannelClosedByBroker) as caught:
                connection.channel().queue_declare("transient", passive=True)
            assert caught.value.reply_code == 404


def test_many_channels_of_one_connection_work_side_by_side(broker):
    with connected(broker) as connection:
        channels = [connection.channel() for _ in range(50)]
        for i, ch in enumerate(channels):
            durable(ch, f"side-{i}")
            publish(ch, f"side-{i}", b"%d" % i)
        for i, ch in enumerate(channels):
            assert bodies(get(ch, f"side-{i}", 1)) == [b"%d" % i]
            ch.close()
        assert connection.channel().is_open


def test_two_connections_share_a_queue(broker):
    with channel(broker) as ch:
        durable(ch, "divided")
    got, done = [], threading.Event()

    def work():
        with connected(broker) as connection:
            ch = connection.channel()
            ch.basic_qos(prefetch_count=10)
            for method, _, body in ch.consume("divided", inactivity_timeout=0.1):
                if method is not None:
                    got.append(body)
                    ch.basic_ack(method.delivery_tag)
                if done.is_set():
                    return

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    publish_confirmed(broker, "divided", *numbers(0, 500))
    deadline = time.monotonic() + 15
    while len(got) < 500 and time.monotonic() < deadline:
        time.sleep(0.05)
    done.set()
    for worker in workers:
        worker.join()
    assert sorted(got, key=int) == numbers(0, 500)
