"""polylog bench: the real load tool against the real broker, in both protocols, also while the broker is killed."""
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import threading
import time

import pika
import pytest
from kafka import KafkaConsumer
from kafka.admin import KafkaAdminClient

from harness import BINARY, Broker, run, scratch_dir

PROTOCOLS = ["kafka", "amqp"]


@pytest.fixture(scope="module")
def broker():
    with Broker("--cores", "1") as running:
        yield running


@pytest.fixture
def folder():
    path = scratch_dir("bench")
    yield path
    shutil.rmtree(path)


def command(protocol, broker, *args):
    return [str(BINARY), "bench", "--for", protocol, "--target", broker.address(protocol), *(str(arg) for arg in args)]


def bench(protocol, broker, *args, code=0):
    done = run(*command(protocol, broker, *args, "--json"), check=False)
    assert done.returncode == code, done.stderr.decode()
    return json.loads(done.stdout)


def refused(*args, code):
    done = run(BINARY, "bench", *args, check=False)
    error = done.stderr.decode()
    assert done.returncode == code, error
    assert error.startswith("polylog: ") and error.count("\n") == 1 and done.stdout == b""
    return error


def names_of(protocol, broker):
    if protocol == "kafka":
        admin = KafkaAdminClient(bootstrap_servers=broker.address("kafka"))
        try:
            return admin.list_topics()
        finally:
            admin.close()
    listed = run(BINARY, "queue", "list", "--json", "--admin", broker.address("admin")).stdout
    return [queue["name"] for queue in json.loads(listed)["queues"]]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_short_run_holds_its_rate_and_loses_nothing(broker, protocol):
    results = bench(protocol, broker, "--profile", "1k", "--seconds", 2)
    assert 950 <= results["received_rate"] <= 1010 and not results["fell_behind"]
    assert results["sent"] == results["acknowledged"] == results["received"] == 2000
    for none in ("lost", "unconfirmed", "unsent", "duplicates", "out_of_order", "foreign", "errors", "sent_again"):
        assert results[none] == 0, none
    assert results["outages"] == []
    for latency in (results["deliver_latency_ms"], results["acknowledge_latency_ms"]):
        assert latency["count"] == 2000
        assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p99.9"] <= latency["p99.99"]
        assert latency["p99.99"] <= latency["max"]
    assert results["server"]["pid"] == broker.process.pid
    assert results["server"]["cpus"] > 0 and results["server"]["resident_bytes_max"] > 1_000_000
    assert sum(each["received"] for each in results["intervals"]) > 1000
    assert results["name"] not in names_of(protocol, broker)


@pytest.mark.parametrize("protocol,destinations", [("kafka", "--partitions"), ("amqp", "--queues")])
def test_several_connections_and_destinations_and_large_messages(broker, protocol, destinations):
    for connections, count, size in ((2, 3, 100), (3, 2, 150_000)):
        results = bench(protocol, broker, "--profile", "max", "--seconds", 1, "--connections", connections, destinations,
                        count, "--size", size)
        assert results["received"] == results["sent"] > 100
        assert results["lost"] == results["out_of_order"] == results["duplicates"] == 0
        assert results["due_rate"] is None


@pytest.mark.parametrize("kind,durable", [("classic", "yes"), ("classic", "no"), ("quorum", "yes")])
def test_queues_of_each_kind(broker, kind, durable):
    results = bench("amqp", broker, "--seconds", 1, "--queue-type", kind, "--durable", durable)
    assert results["received"] == 1000 and results["lost"] == 0


class Killing(threading.Thread):
    """Kills the broker once the run flows and starts it again after a while, on its ports."""

    def __init__(self, broker, away_seconds):
        super().__init__()
        self.broker, self.away_seconds = broker, away_seconds

    def run(self):
        time.sleep(1.5)
        self.broker.kill()
        time.sleep(self.away_seconds)
        self.broker.start()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_broker_that_is_killed_is_one_outage_without_loss(protocol):
    away_seconds = 0.7
    with Broker("--cores", "1", keep_ports=True) as broker:
        killing = Killing(broker, away_seconds)
        killing.start()
        results = bench(protocol, broker, "--profile", "1k", "--seconds", 5)
        killing.join()
        assert len(results["outages"]) == 1, results["outages"]
        outage = results["outages"][0]
        assert outage["recovered"]
        for length in ("connected_after_ms", "nothing_acknowledged_ms", "nothing_received_ms"):
            assert away_seconds * 1000 <= outage[length] < 5000, outage
        assert results["lost"] == results["unconfirmed"] == results["unsent"] == 0
        assert results["acknowledged"] == results["received"] == results["sent"] == 5000
        assert results["errors"] > 0 and results["last_error"]
        # What was due meanwhile waited: the outage is in the latencies.
        assert results["deliver_latency_ms"]["max"] >= away_seconds * 1000
        assert results["nothing_acknowledged_ms_max"] >= away_seconds * 1000
        assert results["name"] not in names_of(protocol, broker)


def test_a_stall_is_in_the_latencies_without_any_outage(broker):
    process = subprocess.Popen(command("kafka", broker, "--seconds", 3, "--json"), stdout=subprocess.PIPE)
    time.sleep(1)
    broker.process.send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    broker.process.send_signal(signal.SIGCONT)
    results = json.loads(process.communicate(timeout=30)[0])
    assert results["outages"] == [] and results["lost"] == 0
    # About a sixth of all messages were due while it stood still.
    assert results["deliver_latency_ms"]["p90"] >= 100
    assert results["deliver_latency_ms"]["max"] >= 450


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_report_is_one_page_with_plots(broker, folder, protocol):
    page = folder / "run.html"
    text = run(*command(protocol, broker, "--seconds", 1, "--report", page)).stdout.decode()
    assert re.search(r"rate: 1000/s due, \d+/s acknowledged, \d+/s received", text) and "p99.99" in text
    html = page.read_text()
    assert html.startswith("<!DOCTYPE html>") and html.count("<svg ") == 6
    for elsewhere in ("http:", "https:", "src=", "href=", "<script"):
        assert elsewhere not in html


def test_what_exists_is_not_touched(broker):
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"]))
    channel = connection.channel()
    channel.queue_declare("mine", durable=True)
    channel.basic_publish("", "mine", b"kept")
    for protocol, what in (("amqp", "queue"), ("kafka", "topic")):
        name = "mine" if protocol == "amqp" else "kept-topic"
        if protocol == "kafka":
            bench("kafka", broker, "--seconds", 1, "--name", name, "--keep")
        error = refused("--for", protocol, "--target", broker.address(protocol), "--name", name, "--seconds", "1", code=1)
        assert f"there is a {what} '{name}' already" in error
    assert channel.basic_get("mine", auto_ack=True)[2] == b"kept"
    connection.close()
    consumer = KafkaConsumer("kept-topic", bootstrap_servers=broker.address("kafka"), auto_offset_reset="earliest",
                             consumer_timeout_ms=2000)
    assert sum(1 for _ in consumer) == 1000
    consumer.close()


def test_ctrl_c_ends_it_early_with_figures_and_cleans_up(broker):
    process = subprocess.Popen(command("kafka", broker, "--seconds", 60, "--json"), stdout=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    results = json.loads(process.communicate(timeout=30)[0])
    assert process.returncode == 0 and results["stopped"]
    assert 100 < results["received"] == results["sent"] < 10_000
    assert results["name"] not in names_of("kafka", broker)


def test_the_progress_line_is_for_terminals_only(broker):
    quiet = run(*command("kafka", broker, "--seconds", 1))
    assert quiet.stderr == b""
    primary, secondary = pty.openpty()
    process = subprocess.Popen(command("kafka", broker, "--seconds", 2), stdout=subprocess.DEVNULL, stderr=secondary)
    os.close(secondary)
    shown = b""
    while select.select([primary], [], [], 10)[0]:
        try:
            shown += os.read(primary, 65536)
        except OSError:  # the last holder of the other end is gone
            break
    os.close(primary)
    assert process.wait(10) == 0
    assert b"received " in shown and b"%" in shown and shown.endswith(b"\r\x1b[K")


def test_wrong_arguments_are_one_line_and_exit_code_2():
    for args, text in (
            ([], "--for"),
            (["--for", "telex"], "telex"),
            (["--for", "kafka", "--profile", "2k"], "2k"),
            (["--for", "kafka", "--target", "nowhere"], "nowhere"),
            (["--for", "kafka", "--target", "h:99999"], "port"),
            (["--for", "kafka", "--queues", "2"], "--queues is for amqp"),
            (["--for", "amqp", "--partitions", "2"], "--partitions is for kafka"),
            (["--for", "kafka", "--size", "23"], "24"),
            (["--for", "kafka", "--size", "1000001"], "1000000"),
            (["--for", "kafka", "--partitions", "1001"], "1000"),
            (["--for", "amqp", "--queue-type", "quorum", "--durable", "no"], "durable"),
            (["--for", "kafka", "--report", "/no/such/dir/x.html"], "/no/such/dir/x.html")):
        assert text in refused(*args, code=2), args


def test_nobody_there_and_somebody_else_there_are_told_apart(broker):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert "Connection refused" in refused("--for", "kafka", "--target", f"127.0.0.1:{port}", code=1)
    address = broker.address("amqp")
    assert address in refused("--for", "kafka", "--target", address, code=1)
    wrong = refused("--for", "amqp", "--target", address, "--password", "wrong", code=1)
    assert "403" in wrong or "closed" in wrong


def test_sizes_at_their_limits(broker):
    for size in (24, 1_000_000):
        results = bench("amqp", broker, "--profile", "max", "--seconds", 1, "--size", size)
        assert results["received"] == results["sent"] > 10 and results["lost"] == 0
        results = bench("kafka", broker, "--profile", "max", "--seconds", 1, "--size", size)
        assert results["received"] == results["sent"] > 10 and results["lost"] == 0
