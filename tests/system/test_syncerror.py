"""A sync that fails: what was not synced is never acked, the cell stops and says so, the other cells go on."""
import pika
import pytest

from harness import BUILD, ROOT, Broker, compile_c, wait_for
from kafka_wire import NONE, STORAGE_ERROR, Batches, Wire, batch

PARTITIONS = 8


@pytest.fixture
def broker(tmp_path):
    shim = compile_c(ROOT / "tests/system/syncfail.c", BUILD / "systemtest/syncfail.so", "-shared", "-fPIC")
    switch = tmp_path / "fail"
    with Broker("--set", "storage.cells=2", env={"LD_PRELOAD": str(shim), "POLYLOG_SYNCFAIL": str(switch)}) as started:
        started.sync_switch = switch
        yield started


def prepare(wire):
    """One record in each partition."""
    assert wire.create_topic("t", PARTITIONS) == NONE
    for partition in range(PARTITIONS):
        assert wire.produce("t", batch(b"before"), partition) == (NONE, 0)


def produce_to_all(wire):
    return [wire.produce("t", batch(b"after"), partition)[0] for partition in range(PARTITIONS)]


def test_a_failed_sync_stops_its_cell_loudly_and_the_other_cell_goes_on(broker):
    with Wire(broker) as wire:
        prepare(wire)
        assert broker.http("/readyz")[0] == 200
        broker.sync_switch.write_text("cell-000/")
        errors = produce_to_all(wire)
        refused = {p for p in range(PARTITIONS) if errors[p] == STORAGE_ERROR}
        assert set(errors) == {NONE, STORAGE_ERROR} and 0 < len(refused) < PARTITIONS, errors
        status, text = broker.http("/readyz")
        assert status == 503 and "cell 0" in text
        assert "cell 0 stopped" in broker.log_text() and "Input/output error" in broker.log_text()

        # The next sync would succeed; the cell knows better than to try.
        broker.sync_switch.unlink()
        again = produce_to_all(wire)
        assert {p for p in range(PARTITIONS) if again[p] == STORAGE_ERROR} == refused
        for partition in range(PARTITIONS):
            error, high, records = wire.fetch("t", 0, partition)
            assert (error, high) == (NONE, 1 if partition in refused else 3)
            assert all(crc for _, crc, _ in Batches(records))
        assert broker.http("/healthz")[0] == 200
    broker.stop()
    broker.start()
    with Wire(broker) as wire:
        assert broker.http("/readyz")[0] == 200
        for partition in range(PARTITIONS):  # what was refused may be there or not; what was acked must be
            error, high, records = wire.fetch("t", 0, partition)
            assert error == NONE and high >= (1 if partition in refused else 3)
            assert next(iter(Batches(records)))[1]


def test_a_publish_that_was_not_synced_is_never_confirmed(broker):
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"], heartbeat=0,
                                                                   blocked_connection_timeout=5))
    channel = connection.channel()
    channel.confirm_delivery()
    queues = [f"q{i}" for i in range(8)]
    for queue in queues:
        channel.queue_declare(queue, durable=True)
        channel.basic_publish("", queue, b"before")
    broker.sync_switch.write_text("/cell-")
    for queue in queues:
        with pytest.raises((pika.exceptions.NackError, pika.exceptions.AMQPError)):
            channel.basic_publish("", queue, b"after")
        if not channel.is_open:
            connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"], heartbeat=0))
            channel = connection.channel()
            channel.confirm_delivery()
    wait_for(lambda: broker.http("/readyz")[0] == 503, 5, "/readyz says so")
    assert "cell 0" in broker.http("/readyz")[1] and "cell 1" in broker.http("/readyz")[1]


@pytest.mark.parametrize("asked", ["declare", "close"])
def test_acks_that_are_not_synced_end_the_connection_and_the_next_method_is_not_answered(broker, asked):
    def connect():
        parameters = pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"], heartbeat=0, blocked_connection_timeout=5)
        return pika.BlockingConnection(parameters)
    channel = connect().channel()
    channel.queue_declare("q", durable=True)
    channel.confirm_delivery()
    for _ in range(3):
        channel.basic_publish("", "q", b"x", pika.BasicProperties(delivery_mode=2))
    tags = [channel.basic_get("q")[0].delivery_tag for _ in range(3)]
    channel.basic_ack(tags[0])
    assert channel.queue_declare("q", passive=True).method.message_count == 0  # the ack is durable
    broker.sync_switch.write_text("/cell-")
    channel.basic_ack(tags[1])
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as ended:
        channel.queue_declare("q", passive=True) if asked == "declare" else channel.close()
    assert ended.value.reply_code == 541
    assert "INTERNAL_ERROR - acknowledgements: " in ended.value.reply_text
    wait_for(lambda: broker.http("/readyz")[0] == 503, 5, "/readyz says so")
    broker.sync_switch.unlink()
    broker.stop()
    broker.start()
    channel = connect().channel()
    assert channel.queue_declare("q", passive=True).method.message_count in (1, 2)  # one ack lasts, one may
