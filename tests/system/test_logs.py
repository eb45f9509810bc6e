"""What the process logs: one structured line an event, as text or JSON, from a level on; and what was slow, with reasons."""
import json
import re

import pika
import pytest

from harness import BINARY, BUILD, ROOT, Broker, compile_c, run, wait_for
from kafka_wire import NONE, Wire, batch


SLOW_MS = 2500
THRESHOLD_MS = 2000  # no disk of a machine that tests run on takes so long by itself
TEXT_LINE = re.compile(r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warn|error) \w+: [^=]*?( [a-z_]+=("([^"\\]|\\.)*"|[^ "=]+))*$')


@pytest.fixture
def slow_broker(tmp_path):
    shim = compile_c(ROOT / "tests/system/slowsync.c", BUILD / "systemtest/slowsync.so", "-shared", "-fPIC")
    switch = tmp_path / "slow"
    with Broker("--set", f"log.slow_operation_ms={THRESHOLD_MS}", "--set", "log.format=json", "--set", "storage.cells=1",
                env={"LD_PRELOAD": str(shim), "POLYLOG_SLOWSYNC": str(switch)}) as started:
        started.slow_switch = switch
        yield started


def events(broker):
    return [json.loads(line) for line in broker.log_text().splitlines()]


def slow_of(broker, kind):
    return [event for event in events(broker) if event["message"] == "slow request" and event["kind"] == kind]


def send_garbage(broker):
    with broker.connect("kafka") as connection:
        connection.sendall(bytes.fromhex("0000000a" "7fff" "0000" "00000001" "0000"))
        assert connection.recv(1) == b""
        return "%s:%d" % connection.getsockname()


def open_and_fail_a_channel(broker, name):
    parameters = pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"], client_properties={"connection_name": name})
    connection = pika.BlockingConnection(parameters)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker):
        connection.channel().queue_declare("no-such-queue", passive=True)
    connection.close()


def test_a_line_is_one_event_with_fields():
    with Broker() as broker:
        peer = send_garbage(broker)
        open_and_fail_a_channel(broker, 'a "name"')
        lines = broker.log_text().splitlines()
    for line in lines:
        assert TEXT_LINE.match(line), line
    closing = next(line for line in lines if "kafka: closing a connection" in line)
    assert f"peer={peer}" in closing and re.search(r"connection=\d+\.\d+ ", closing)
    assert 'why="API key 32767 version 0 is not offered"' in closing
    channel = next(line for line in lines if "amqp: closing a channel" in line)
    assert "channel=1 method=queue.declare" in channel and "NOT_FOUND" in channel


def test_json_has_the_same_events_one_object_a_line():
    with Broker("--set", "log.format=json") as broker:
        peer = send_garbage(broker)
        open_and_fail_a_channel(broker, "n")
        found = events(broker)
    assert all({"time", "level", "component", "message"} <= set(event) for event in found)
    closing = next(event for event in found if event["component"] == "kafka")
    assert closing["peer"] == peer and closing["level"] == "info" and closing["connection"]
    assert next(event for event in found if event["message"] == "closing a channel")["channel"] == 1


def test_debug_shows_each_connection_from_begin_to_end():
    with Broker("--set", "log.level=debug", "--set", "log.format=json") as broker:
        with broker.connect("kafka") as connection:
            peer = "%s:%d" % connection.getsockname()
        open_and_fail_a_channel(broker, "named")

        def of(message, **fields):
            return [e for e in events(broker) if e["message"] == message and fields.items() <= e.items()]

        wait_for(lambda: of("connection closed", component="amqp"), 5, "both have ended")
        wait_for(lambda: of("connection closed", peer=peer), 5, "both have ended")
        assert of("connection opened", peer=peer)[0]["connection"] == of("connection closed", peer=peer)[0]["connection"]
        assert of("connection closed", name="named")


@pytest.mark.parametrize("level", ["warn", "error"])
def test_a_level_leaves_out_what_is_below_it(level):
    with Broker("--set", f"log.level={level}") as broker:
        send_garbage(broker)  # info
        broker.stop()
        assert broker.log_text() == ""


def test_a_wrong_level_is_refused_with_the_choices():
    result = run(BINARY, "serve", "--set", "log.level=loud", check=False)
    assert result.returncode == 2 and b"debug|info|warn|error" in result.stderr


def test_a_slow_produce_is_logged_with_its_topic_and_the_stage_that_took_the_time(slow_broker):
    with Wire(slow_broker) as wire:
        assert wire.create_topic("orders") == NONE
        assert wire.produce("orders", batch(b"quick"))[0] == NONE
        assert not slow_of(slow_broker, "Produce")
        slow_broker.slow_switch.write_text(str(SLOW_MS))
        assert wire.produce("orders", batch(b"slow"))[0] == NONE
    wait_for(lambda: slow_of(slow_broker, "Produce"), 20, "it is logged")
    event, = slow_of(slow_broker, "Produce")
    assert event["object"] == "orders" and event["component"] == "kafka" and event["code"] == 0
    assert event["connection"] and event["peer"].startswith("127.0.0.1:")
    assert event["total_ms"] >= event["sync_ms"] >= SLOW_MS - 5
    assert event["append_ms"] < SLOW_MS / 2 and event["answer_ms"] < SLOW_MS / 2


def test_a_slow_publish_is_logged_with_its_queue(slow_broker):
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", slow_broker.ports["amqp"]))
    channel = connection.channel()
    channel.queue_declare("work", durable=True)
    channel.confirm_delivery()
    slow_broker.slow_switch.write_text(str(SLOW_MS))
    channel.basic_publish("", "work", b"x")
    connection.close()
    event = slow_of(slow_broker, "basic.publish")[0]
    assert event["object"] == "work" and event["component"] == "amqp" and event["sync_ms"] >= SLOW_MS - 5


def test_a_slow_declare_is_logged_with_its_queue(slow_broker):
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", slow_broker.ports["amqp"]))
    channel = connection.channel()
    slow_broker.slow_switch.write_text(str(SLOW_MS))
    channel.queue_declare("slowly", durable=True)
    connection.close()
    event, = slow_of(slow_broker, "queue.declare")
    assert event["object"] == "slowly" and event["total_ms"] >= SLOW_MS - 5


def test_a_fetch_that_waits_for_records_as_asked_is_not_slow(slow_broker):
    with Wire(slow_broker) as wire:
        assert wire.create_topic("quiet") == NONE
    run("kcat", "-C", "-q", "-e", "-b", slow_broker.address("kafka"), "-t", "quiet", "-X", f"fetch.wait.max.ms={SLOW_MS}")
    assert not slow_of(slow_broker, "Fetch")
