"""/metrics: all of it documented, well-formed for Prometheus, and moved by what real clients do."""
import re
import time
from contextlib import contextmanager

import pika
import pytest

from harness import ROOT, Broker, run, wait_for
from kafka_wire import NONE, Wire, batch
from prometheus import families, promtool, samples, value


COUNT = 50


@pytest.fixture(scope="module")
def broker():
    """One that has served a bit of everything: some rows begin with their first use."""
    with Broker("--set", "storage.cells=2", "--cores", "2") as started:
        run("kcat", "-P", "-b", started.address("kafka"), "-t", "warm", input=b"x\n")
        with pika_channel(started) as channel:
            channel.queue_declare("warm-queue")
        yield started


@contextmanager
def pika_channel(broker):
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"]))
    try:
        yield connection.channel()
    finally:
        connection.close()


def page(broker):
    status, text = broker.http("/metrics")
    assert status == 200
    return text


def grows(broker, act, name, by, **labels):
    """Runs `act` and asserts how much the sum of these samples grew."""
    before = value(page(broker), name, **labels)
    act()
    wait_for(lambda: value(page(broker), name, **labels) - before >= by, 5, f"{name} {labels} grows by {by}")
    assert value(page(broker), name, **labels) - before == by, f"{name} {labels}"


def test_every_metric_is_documented_and_every_documented_metric_exists(broker):
    rows = re.findall(r"^\| `((?:polylog|process)_\w+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.M)
    assert dict(rows) == families(page(broker))
    assert len(dict(rows)) == len(rows), "documented twice"


def test_the_page_passes_the_checks_of_promtool(broker):
    text = page(broker)
    assert promtool("check", "metrics", input=text) == ""
    assert len(samples(text)) > 300


def test_labels_have_few_values(broker):
    text = page(broker)
    assert len(samples(text)) < 1500
    assert {label for _, pairs in samples(text) for label, _ in pairs} <= {
        "protocol", "kind", "code", "group", "stage", "cell", "core", "share", "client", "version", "le"}


def test_kafka_requests_messages_and_bytes_are_counted(broker):
    lines = b"x\n" * COUNT
    produce = lambda: run("kcat", "-P", "-b", broker.address("kafka"), "-t", "warm", "-X", "acks=all", input=lines)
    grows(broker, produce, "polylog_messages_received_total", COUNT, protocol="kafka")
    consume = lambda: run("kcat", "-C", "-q", "-b", broker.address("kafka"), "-t", "warm", "-o", "1", "-c", str(COUNT))
    sent = value(page(broker), "polylog_messages_sent_total", protocol="kafka")
    in_bytes = value(page(broker), "polylog_received_bytes_total", protocol="kafka")
    out_bytes = value(page(broker), "polylog_sent_bytes_total", protocol="kafka")
    consume()
    text = page(broker)
    assert value(text, "polylog_messages_sent_total", protocol="kafka") - sent >= COUNT
    assert value(text, "polylog_received_bytes_total", protocol="kafka") > in_bytes
    assert value(text, "polylog_sent_bytes_total", protocol="kafka") - out_bytes > COUNT
    for kind in ("Produce", "Fetch", "Metadata", "ApiVersions"):
        assert value(text, "polylog_requests_total", protocol="kafka", kind=kind, code="0") > 0, kind
    for group in ("produce", "fetch", "metadata"):
        assert value(text, "polylog_request_duration_seconds_count", protocol="kafka", group=group) > 0, group


def test_a_kafka_error_counts_by_its_code(broker):
    with Wire(broker) as wire:
        refused = lambda: wire.produce("no-such-topic", batch(b"x"))
        grows(broker, refused, "polylog_requests_total", 1, protocol="kafka", kind="Produce", code="3")


def test_amqp_methods_and_messages_are_counted(broker):
    with pika_channel(broker) as channel:
        channel.queue_declare("counted", durable=True)
        channel.confirm_delivery()

        def publish():
            for _ in range(COUNT):
                channel.basic_publish("", "counted", b"x")

        def get():
            for _ in range(COUNT):
                assert channel.basic_get("counted", auto_ack=True)[0]

        grows(broker, publish, "polylog_messages_received_total", COUNT, protocol="amqp")
        grows(broker, get, "polylog_messages_sent_total", COUNT, protocol="amqp")
    text = page(broker)
    assert value(text, "polylog_requests_total", protocol="amqp", kind="basic.publish", code="0") >= COUNT
    assert value(text, "polylog_requests_total", protocol="amqp", kind="basic.get", code="0") >= COUNT
    for group in ("publish", "consume", "topology", "session"):
        assert value(text, "polylog_request_duration_seconds_count", protocol="amqp", group=group) > 0, group


def test_an_amqp_fault_counts_by_its_code_and_not_as_a_success(broker):
    def fail():
        with pytest.raises(pika.exceptions.ChannelClosedByBroker):
            with pika_channel(broker) as channel:
                channel.queue_declare("no-such-queue", passive=True)

    succeeded = value(page(broker), "polylog_requests_total", kind="queue.declare", code="0")
    grows(broker, fail, "polylog_requests_total", 1, protocol="amqp", kind="queue.declare", code="404")
    assert value(page(broker), "polylog_requests_total", kind="queue.declare", code="0") == succeeded


def test_each_stage_is_timed(broker):
    run("kcat", "-P", "-b", broker.address("kafka"), "-t", "warm", "-X", "acks=all", input=b"x\n")
    text = page(broker)
    for stage in ("parse", "append", "sync", "apply", "deliver"):
        assert value(text, "polylog_stage_duration_seconds_count", stage=stage) > 0, stage
    assert value(text, "polylog_stage_duration_seconds_sum", stage="sync") > 0


def test_connections_are_counted_while_they_are_open(broker):
    before = value(page(broker), "polylog_connections", protocol="kafka")
    accepted = value(page(broker), "polylog_connections_accepted_total", protocol="kafka")
    with broker.connect("kafka"), broker.connect("kafka"):
        wait_for(lambda: value(page(broker), "polylog_connections", protocol="kafka") == before + 2, 5, "two more")
    wait_for(lambda: value(page(broker), "polylog_connections", protocol="kafka") == before, 5, "as many as before")
    assert value(page(broker), "polylog_connections_accepted_total", protocol="kafka") == accepted + 2


def test_a_core_is_busy_for_less_than_the_time_that_passes(broker):
    begin = time.monotonic()
    before = value(page(broker), "polylog_core_busy_seconds_total")
    run("kcat", "-P", "-b", broker.address("kafka"), "-t", "warm", "-X", "acks=all", input=b"x\n" * 10_000)
    text = page(broker)
    assert 0 < value(text, "polylog_core_busy_seconds_total") - before < 2 * (time.monotonic() - begin)
    assert value(text, "polylog_turn_duration_seconds_count") > 0


def test_memory_the_process_and_the_disk_are_shown(broker):
    page(broker)  # asks for a survey
    wait_for(lambda: value(page(broker), "process_resident_memory_bytes") > 0, 5, "the process is looked at")
    text = page(broker)
    assert abs(value(text, "process_resident_memory_bytes") - broker.memory_bytes()) < 64 << 20
    assert 10 < value(text, "process_open_fds") < value(text, "process_max_fds")
    assert 0 < value(text, "polylog_disk_free_bytes") < value(text, "polylog_disk_size_bytes")
    assert value(text, "process_cpu_seconds_total") > 0
    assert abs(value(text, "process_start_time_seconds") - time.time()) < 600
    for share in ("ingress", "tail", "egress", "state"):
        used = value(text, "polylog_memory_used_bytes", share=share)
        assert 0 <= used <= value(text, "polylog_memory_limit_bytes", share=share), share
    assert value(text, "polylog_memory_used_bytes", share="tail") > 0
    for cell in "01":
        assert value(text, "polylog_cell_undurable_limit_bytes", cell=cell) > 0


def test_a_groups_lag_and_members_are_shown(broker):
    run("kcat", "-P", "-b", broker.address("kafka"), "-t", "lagging", "-X", "acks=all", input=b"x\n" * COUNT)
    run("kcat", "-b", broker.address("kafka"), "-G", "behind \"it\"", "lagging", "-q", "-c", "10",
        "-X", "auto.offset.reset=earliest")
    labels = {"group": "behind \\\"it\\\""}
    wait_for(lambda: value(page(broker), "polylog_group_lag_messages", **labels) == COUNT - 10, 10, "the lag is seen")
    assert value(page(broker), "polylog_group_lag_max_messages", **labels) == COUNT - 10
    assert value(page(broker), "polylog_groups") >= 1
    run("kcat", "-P", "-b", broker.address("kafka"), "-t", "lagging", "-X", "acks=all", input=b"x\n")
    wait_for(lambda: value(page(broker), "polylog_group_lag_messages", **labels) == COUNT - 9, 10, "it grows")


def test_queues_show_what_is_ready_and_what_is_unacked(broker):
    with pika_channel(broker) as channel:
        channel.queue_declare("stock", durable=True)
        channel.confirm_delivery()
        for _ in range(COUNT):
            channel.basic_publish("", "stock", b"x")
        channel.basic_qos(prefetch_count=10)
        channel.basic_consume("stock", lambda *_: None)
        connection = channel.connection

        def seen():
            connection.process_data_events(0)
            text = page(broker)
            return [value(text, f"polylog_queue_{what}") for what in ("ready_messages", "unacked_messages", "consumers")]

        wait_for(lambda: seen() == [COUNT - 10, 10, 1], 10, "what is in the queue")
        channel.queue_delete("stock")
    wait_for(lambda: value(page(broker), "polylog_queue_unacked_messages") == 0, 10, "the queue is gone")


def test_garbage_counts_as_an_unknown_request(broker):
    def garbage():
        with broker.connect("kafka") as connection:
            connection.sendall(bytes.fromhex("0000000a" "7fff" "0000" "00000001" "0000"))
            assert connection.recv(1) == b""

    grows(broker, garbage, "polylog_requests_total", 1, protocol="kafka", kind="unknown", code="35")


def test_a_topic_of_a_closed_connection_leaves_no_row(broker):
    with Wire(broker) as wire:
        assert wire.create_topic("named-by-a-client") == NONE
    assert "named-by-a-client" not in page(broker)
