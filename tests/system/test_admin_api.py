"""The admin API against docs/admin-api.yaml: every path, method and status of the file is asked for, every answer has the
form that the file says, and the broker answers nothing that the file lacks."""
import json
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request

import jsonschema
import pika
import pytest
import yaml
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from kafka import KafkaConsumer, KafkaProducer

from harness import BINARY, BUILD, ROOT, Broker, closed_within, compile_c, may_mount, run, wait_for
from kafka_wire import Wire
from test_diskfull import broker_on_small_disk, fill

DOCUMENT = yaml.safe_load((ROOT / "docs/admin-api.yaml").read_text())
METHODS = ("get", "post", "put", "patch", "delete")
OPERATIONS = [(method, path) for path, item in DOCUMENT["paths"].items() for method in METHODS if method in item]
NO_JSON = object()
ADMIN_CONNECTIONS_MAX = 256


@pytest.fixture(scope="module")
def broker():
    with Broker("--cores", "2", "--set", "storage.cells=3") as running:
        yield running


@pytest.fixture(scope="module")
def api(broker):
    return Api(broker)


class Api:
    def __init__(self, broker):
        self.base = f"http://{broker.address('admin')}"

    def ask(self, method, target, body=None, headers=None):
        """(status, content type, text)."""
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        request = urllib.request.Request(self.base + target, data, {"Content-Type": "application/json", **(headers or {})},
                                         method=method.upper())
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                return answer.status, answer.headers.get("Content-Type"), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get("Content-Type"), error.read().decode()

    def json(self, method, target, body=None, status=None):
        got, _, text = self.ask(method, target, body)
        assert status in (None, got), f"{method} {target}: {got} {text}"
        return json.loads(text) if text else None


def schema_of(method, path, status):
    """Of an answer; NO_JSON: it has no JSON body."""
    responses = DOCUMENT["paths"][path][method]["responses"]
    response = responses.get(str(status), responses.get("default"))
    assert response is not None, f"{method} {path} answered {status}, which the document does not know"
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    content = response.get("content", {})
    return content["application/json"]["schema"] if "application/json" in content else NO_JSON


def check_answer(method, path, answer):
    status, content_type, text = answer
    schema = schema_of(method, path, status)
    if schema is NO_JSON:
        assert status == 204 and text == "" or content_type.startswith("text/plain")
        return
    assert content_type == "application/json"
    # References point into the document: it is the root, and the answer's own schema hangs below it.
    jsonschema.Draft202012Validator({**DOCUMENT, **schema}).validate(json.loads(text))


def make_queue(broker, name, count=0, **arguments):
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"]))
    channel = connection.channel()
    channel.queue_declare(name, durable=True, arguments=arguments)
    channel.confirm_delivery()
    for i in range(count):
        channel.basic_publish("", name, f"message {i}".encode(),
                              pika.BasicProperties(content_type="text/plain", headers={"i": i, "raw": b"\xff"}))
    connection.close()


def make_group(broker, group, stream):
    """Offsets without members."""
    consumer = KafkaConsumer(stream, bootstrap_servers=broker.address("kafka"), group_id=group,
                             auto_offset_reset="earliest", consumer_timeout_ms=5000)
    for _ in consumer:
        break
    consumer.commit()
    consumer.close()


class Member:
    """A group with a member, for as long as the with block."""

    def __init__(self, broker, group, stream):
        self.consumer = KafkaConsumer(stream, bootstrap_servers=broker.address("kafka"), group_id=group)
        self.leave = threading.Event()
        self.thread = threading.Thread(target=self.poll)

    def poll(self):
        while not self.leave.is_set():
            self.consumer.poll(50)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.leave.set()
        self.thread.join()
        self.consumer.close()


@pytest.fixture(scope="module")
def world(broker, api):
    """What the examples work on."""
    for name, partitions in (("s", 1), ("many", 3), ("gone", 1)):
        api.json("post", "/v1/streams", {"name": name, "partitions": partitions}, 201)
    api.json("post", "/v1/streams", {"name": "small", "settings": {"max.message.bytes": 100}}, 201)
    records = [{"key": "k", "value": f"record {i}", "headers": [{"name": "n", "value": i}]} for i in range(10)]
    api.json("post", "/v1/streams/s/records", {"records": records + [{"value": {"base64": "/w=="}}, {}]}, 201)
    make_queue(broker, "q", 5)
    make_queue(broker, "doomed", 1, **{"x-queue-type": "quorum", "x-delivery-limit": 7})
    make_group(broker, "g", "s")
    make_group(broker, "doomed", "s")
    with Member(broker, "busy", "s"):
        wait_for(lambda: api.json("get", "/v1/groups/busy").get("state") == "stable", 20, "a stable group")
        yield


TOO_LARGE = {"records": [{"value": "x" * 100}]}
# By operation: what to send to which path, and the status that must come. In order, all on one broker.
EXAMPLES = {
    ("get", "/"): [("/", None, 200)],
    ("get", "/healthz"): [("/healthz", None, 200)],
    ("get", "/readyz"): [("/readyz", None, 200)],
    ("get", "/metrics"): [("/metrics", None, 200)],
    ("get", "/v1"): [("/v1", None, 200)],
    ("get", "/v1/streams"): [("/v1/streams", None, 200), ("/v1/streams?max=1", None, 200),
                             ("/v1/streams?after=many&max=1", None, 200), ("/v1/streams?max=x", None, 400)],
    ("post", "/v1/streams"): [("/v1/streams", {"name": "new", "partitions": 2, "settings": {"retention.ms": 5}}, 201),
                              ("/v1/streams", {"name": "new"}, 409), ("/v1/streams", {"name": "a b"}, 400),
                              ("/v1/streams", b"{", 400), ("/v1/streams", b"", 400), ("/v1/streams", b"[1]", 400),
                              ("/v1/streams", b'{"name":"x","name2":1}', 400)],
    ("get", "/v1/streams/{stream}"): [("/v1/streams/s", None, 200),
                                      ("/v1/streams/many?from_partition=1&max=1", None, 200),
                                      ("/v1/streams/s?from_partition=-1", None, 400), ("/v1/streams/q", None, 404),
                                      ("/v1/streams/no%2Fsuch", None, 404)],
    ("patch", "/v1/streams/{stream}"): [("/v1/streams/many", {"settings": {"retention.ms": 9}, "partitions": 4}, 200),
                                        ("/v1/streams/many", {"settings": {"retention.ms": None}}, 200),
                                        ("/v1/streams/many", {}, 200), ("/v1/streams/many", {"partitions": 3}, 400),
                                        ("/v1/streams/many", {"settings": {"retention.ms": "x"}}, 400),
                                        ("/v1/streams/many", {"settings": {"retention.ms": [1]}}, 400),
                                        ("/v1/streams/nope", {}, 404)],
    ("delete", "/v1/streams/{stream}"): [("/v1/streams/gone", None, 204), ("/v1/streams/gone", None, 404)],
    ("get", "/v1/streams/{stream}/records"): [("/v1/streams/s/records", None, 200),
                                              ("/v1/streams/s/records?from=-2&max=1&partition=0", None, 200),
                                              ("/v1/streams/s/records?from=latest&wait_ms=20", None, 200),
                                              ("/v1/streams/s/records?from=time%3A0", None, 200),
                                              ("/v1/streams/s/records?from=99", None, 400),
                                              ("/v1/streams/many/records", None, 400),
                                              ("/v1/streams/many/records?partition=9", None, 400),
                                              ("/v1/streams/nope/records", None, 404)],
    ("post", "/v1/streams/{stream}/records"): [("/v1/streams/s/records", {"records": [{"value": "more"}]}, 201),
                                               ("/v1/streams/many/records", {"records": [{"value": "x"}]}, 400),
                                               ("/v1/streams/many/records", {"partition": 2, "records": [{}]}, 201),
                                               ("/v1/streams/s/records", {"records": [{"value": 1}]}, 400),
                                               ("/v1/streams/small/records", TOO_LARGE, 413),
                                               ("/v1/streams/nope/records", {"records": [{}]}, 404)],
    ("get", "/v1/queues"): [("/v1/queues", None, 200), ("/v1/queues?max=1", None, 200),
                            ("/v1/queues?max=0", None, 400)],
    ("get", "/v1/queues/{queue}"): [("/v1/queues/q", None, 200), ("/v1/queues/doomed", None, 200),
                                    ("/v1/queues/s", None, 404)],
    ("get", "/v1/queues/{queue}/messages"): [("/v1/queues/q/messages", None, 200),
                                             ("/v1/queues/q/messages?max=2", None, 200),
                                             ("/v1/queues/q/messages?max=x", None, 400),
                                             ("/v1/queues/nope/messages", None, 404)],
    ("delete", "/v1/queues/{queue}/messages"): [("/v1/queues/q/messages", None, 200),
                                                ("/v1/queues/nope/messages", None, 404)],
    ("delete", "/v1/queues/{queue}"): [("/v1/queues/doomed", None, 204), ("/v1/queues/doomed", None, 404)],
    ("get", "/v1/groups"): [("/v1/groups", None, 200), ("/v1/groups?max=1", None, 200),
                            ("/v1/groups?max=0", None, 400)],
    ("get", "/v1/groups/{group}"): [("/v1/groups/g", None, 200), ("/v1/groups/busy", None, 200),
                                    ("/v1/groups/nope", None, 404)],
    ("put", "/v1/groups/{group}/offsets"): [("/v1/groups/g/offsets", {"stream": "s", "to": "latest"}, 200),
                                            ("/v1/groups/g/offsets", {"stream": "s", "partitions": [0], "to": 1}, 200),
                                            ("/v1/groups/fresh/offsets", {"stream": "many", "to": "time:0"}, 200),
                                            ("/v1/groups/g/offsets", {"stream": "s", "to": 999}, 400),
                                            ("/v1/groups/g/offsets", {"stream": "nope", "to": 0}, 404),
                                            ("/v1/groups/busy/offsets", {"stream": "s", "to": 0}, 409)],
    ("delete", "/v1/groups/{group}"): [("/v1/groups/doomed", None, 204), ("/v1/groups/doomed", None, 404),
                                       ("/v1/groups/busy", None, 409)],
    ("get", "/v1/connections"): [("/v1/connections", None, 200)],
    ("get", "/v1/cells"): [("/v1/cells", None, 200)],
    ("get", "/v1/status"): [("/v1/status", None, 200)],
    ("get", "/v1/config"): [("/v1/config", None, 200)],
}


@pytest.mark.parametrize("method,path", OPERATIONS)
def test_answers_are_as_documented(api, world, method, path):
    seen = set()
    for target, body, status in EXAMPLES[method, path]:
        answer = api.ask(method, target, body)
        assert answer[0] == status, f"{method} {target} {body}: {answer}"
        check_answer(method, path, answer)
        seen.add(str(status))
    documented = set(DOCUMENT["paths"][path][method]["responses"]) - {"default"}
    assert seen == documented, "every documented status has an example, and no other"


def test_the_broker_has_no_route_that_the_document_lacks(api):
    routes = {(route["method"].lower(), route["path"]) for route in api.json("get", "/v1")["routes"]}
    assert routes == set(OPERATIONS)


def test_the_documents_references_and_requests_hold():
    def walk(node):
        if isinstance(node, dict):
            if "$ref" in node:
                target = DOCUMENT
                for part in node["$ref"].removeprefix("#/").split("/"):
                    target = target[part]
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(DOCUMENT)
    for (method, path), examples in EXAMPLES.items():
        operation = DOCUMENT["paths"][path][method]
        for _, body, status in examples:
            if isinstance(body, dict) and status < 300:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                jsonschema.Draft202012Validator({**DOCUMENT, **schema}).validate(body)


def test_every_path_refuses_other_methods_in_json(api):
    for path in DOCUMENT["paths"]:
        allowed = {method for method in METHODS if method in DOCUMENT["paths"][path]}
        for method in set(METHODS) - allowed:
            status, content_type, text = api.ask(method, path.replace("{", "").replace("}", ""))
            assert (status, content_type) == (405, "application/json")
            assert json.loads(text)["error"]["code"] == "method_not_allowed"


def test_bad_json_of_every_kind_is_refused_and_nothing_breaks(api, world):
    bad = [b"{", b"\xff", b"nul", b'{"name":"\xff"}', b"[" * 100_000, b'{"a":' * 65 + b"1" + b"}" * 65, b'{"name":1}',
           b'{"name":["s"]}', b'{"name":"s","partitions":1e99}', b'{"name":"s","partitions":"1"}',
           b'{"name":"s","settings":[]}', b"0", b'"name"', b'{"records":{}}', b'{"records":[[]]}']
    for method, path in OPERATIONS:
        if method in ("post", "put", "patch"):
            target = path.replace("{stream}", "s").replace("{group}", "g")
            for body in bad:
                answer = api.ask(method, target, body)
                assert answer[0] in (400, 413), f"{method} {target} {body[:60]}: {answer}"
                check_answer(method, path, answer)
    assert api.ask("get", "/healthz")[0] == 200


def test_a_body_of_1_mib_is_read_and_one_byte_more_is_not(api, world):
    def body_of(size):
        head, tail = b'{"records":[{"value":"x"', b"}]}"
        return head + b" " * (size - len(head) - len(tail)) + tail

    assert api.ask("post", "/v1/streams/s/records", body_of(1 << 20))[0] == 201
    status, _, text = api.ask("post", "/v1/streams/s/records", body_of((1 << 20) + 1))
    assert (status, json.loads(text)["error"]["code"]) == (413, "too_large")


def test_web_pages_change_nothing_and_other_media_types_are_refused(api):
    assert api.ask("post", "/v1/streams", {"name": "web"}, {"Origin": "http://evil.example"})[0] == 403
    assert api.ask("delete", "/v1/streams/s", None, {"Origin": "null"})[0] == 403
    assert api.ask("post", "/v1/streams", {"name": "web"}, {"Content-Type": "text/plain"})[0] == 415
    assert api.ask("get", "/v1/streams/web")[0] == 404


def test_names_of_any_bytes_are_reached(broker, api):
    name = "a/b ü?#%\x01"
    make_queue(broker, name, 1)
    quoted = urllib.parse.quote(name, safe="")
    assert api.json("get", f"/v1/queues/{quoted}", status=200)["name"] == name
    assert len(api.json("get", f"/v1/queues/{quoted}/messages")["messages"]) == 1
    assert api.ask("delete", f"/v1/queues/{quoted}")[0] == 204


def test_peeking_takes_nothing_and_marks_nothing(broker, api):
    make_queue(broker, "peeked", 3)
    for _ in range(3):
        messages = api.json("get", "/v1/queues/peeked/messages?max=2")["messages"]
        assert [m["value"] for m in messages] == ["message 0", "message 1"]
        assert messages[0]["properties"]["content_type"] == "text/plain"
        assert {h["name"]: h["value"] for h in messages[0]["headers"]} == {"i": 0, "raw": {"base64": "/w=="}}
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"]))
    channel = connection.channel()
    method, _, body = channel.basic_get("peeked")
    assert body == b"message 0" and not method.redelivered
    queue = api.json("get", "/v1/queues/peeked")
    assert (queue["ready"], queue["unacked"]) == (2, 1)
    assert [m["value"] for m in api.json("get", "/v1/queues/peeked/messages")["messages"]] == ["message 1", "message 2"]
    connection.close()
    wait_for(lambda: api.json("get", "/v1/queues/peeked")["ready"] == 3, 5, "the message back in its queue")
    assert [m["value"] for m in api.json("get", "/v1/queues/peeked/messages")["messages"]] == [
        "message 0", "message 1", "message 2"]


def test_peeking_reads_what_is_no_longer_in_memory():
    with Broker() as broker:
        make_queue(broker, "cold", 3)
        broker.restart()
        api = Api(broker)
        assert [m["value"] for m in api.json("get", "/v1/queues/cold/messages")["messages"]] == [
            "message 0", "message 1", "message 2"]
        assert api.json("get", "/v1/queues/cold")["ready"] == 3


def test_what_the_api_produces_other_clients_read_and_the_other_way_round(broker, api):
    api.json("post", "/v1/streams", {"name": "shared"}, 201)
    api.json("post", "/v1/streams/shared/records", {"records": [
        {"key": "k", "value": {"base64": "AP8="}, "headers": [{"name": "h", "value": "v"}], "timestamp_ms": None},
        {"key": "k", "value": None}]}, 201)
    producer = KafkaProducer(bootstrap_servers=broker.address("kafka"), compression_type="gzip")
    producer.send("shared", key=b"k2", value=b"third", headers=[("x", b"\xfe")])
    producer.close()
    consumer = KafkaConsumer("shared", bootstrap_servers=broker.address("kafka"), auto_offset_reset="earliest",
                             consumer_timeout_ms=5000)
    records = [next(consumer) for _ in range(3)]
    consumer.close()
    assert [r.value for r in records] == [b"\x00\xff", None, b"third"]
    assert records[0].key == b"k" and records[0].headers == [("h", b"v")]
    third = api.json("get", "/v1/streams/shared/records?from=2")["records"][0]
    assert (third["key"], third["value"], third["headers"]) == ("k2", "third", [{"name": "x", "value": {"base64": "/g=="}}])


def test_a_long_poll_returns_when_a_record_comes(broker, api):
    api.json("post", "/v1/streams", {"name": "polled"}, 201)
    answers = []
    waiting = threading.Thread(
        target=lambda: answers.append(api.json("get", "/v1/streams/polled/records?from=latest&wait_ms=30000")))
    waiting.start()
    run("kcat", "-P", "-b", broker.address("kafka"), "-t", "polled", input=b"now\n")
    # Either it waited, or it came too late to wait: then it began behind the record.
    waiting.join(40)
    records = answers[0]["records"]
    assert [r["value"] for r in records] == ["now"] or answers[0]["next"] == 1


def test_clients_that_leave_while_they_wait_cost_nothing_that_stays(broker, api):
    api.json("post", "/v1/streams", {"name": "left"}, 201)
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", broker.ports["admin"])) as sock:
            sock.sendall(b"GET /v1/streams/left/records?from=latest&wait_ms=200 HTTP/1.1\r\nHost: h\r\n\r\n")

    def admin_connections():
        return {c["protocol"]: c["open"] for c in api.json("get", "/v1/connections")["connections"]}["admin"]

    wait_for(lambda: admin_connections() <= 2, 10, "connections that left are gone")


def test_a_stop_does_not_wait_for_long_polls():
    with Broker() as broker:
        api = Api(broker)
        api.json("post", "/v1/streams", {"name": "polled"}, 201)
        with broker.connect("admin", 20) as sock:
            sock.sendall(b"GET /v1/streams/polled/records?from=latest&wait_ms=30000 HTTP/1.1\r\nHost: h\r\n\r\n")
            wait_for(lambda: api.json("get", "/v1/connections")["total"] >= 2, 5, "the poll is under way")
            broker.stop()
            assert sock.recv(100) == b""


def test_a_group_reset_is_where_a_consumer_begins(broker, api):
    api.json("post", "/v1/streams", {"name": "moved"}, 201)
    api.json("post", "/v1/streams/moved/records", {"records": [{"value": str(i)} for i in range(5)]}, 201)
    api.json("put", "/v1/groups/mover/offsets", {"stream": "moved", "to": "-2"}, 200)
    assert api.json("get", "/v1/groups/mover")["offsets"][0]["lag"] == 2
    consumer = KafkaConsumer("moved", bootstrap_servers=broker.address("kafka"), group_id="mover",
                             consumer_timeout_ms=10_000)
    assert next(consumer).value == b"3"
    consumer.close()


def test_what_was_made_and_moved_survives_kill():
    with Broker() as broker:
        api = Api(broker)
        api.json("post", "/v1/streams", {"name": "kept", "settings": {"retention.ms": 77}}, 201)
        api.json("post", "/v1/streams/kept/records", {"records": [{"value": "x"}]}, 201)
        api.json("put", "/v1/groups/kept/offsets", {"stream": "kept", "to": "latest"}, 200)
        broker.kill()
        broker.start()
        api = Api(broker)
        settings = {s["name"]: s for s in api.json("get", "/v1/streams/kept")["settings"]}
        assert (settings["retention.ms"]["value"], settings["retention.ms"]["source"]) == ("77", "stream")
        assert [r["value"] for r in api.json("get", "/v1/streams/kept/records")["records"]] == ["x"]
        assert api.json("get", "/v1/groups/kept")["offsets"][0]["offset"] == 1
        assert api.json("get", "/v1/cells")["cells"][0]["epoch"] == 2


def test_a_managed_group_is_shown_as_any_other(broker, api):
    api.json("post", "/v1/streams", {"name": "managed-in", "partitions": 2}, 201)
    api.json("post", "/v1/streams/managed-in/records", {"partition": 0, "records": [{"value": "x", "key": "k"}] * 3},
             201)
    member = Consumer({"bootstrap.servers": broker.address("kafka"), "group.id": "managed", "client.id": "mine",
                       "group.protocol": "consumer", "auto.offset.reset": "earliest", "enable.auto.commit": False})
    member.subscribe(["managed-in"])
    message = member.poll(20)
    assert message is not None and message.error() is None
    member.commit(message, asynchronous=False)
    group = api.json("get", "/v1/groups/managed")
    assert (group["state"], group["protocol_type"], group["protocol"]) == ("stable", "consumer", "uniform")
    assert group["generation"] >= 1
    listed = {g["name"]: g for g in api.json("get", "/v1/groups")["groups"]}["managed"]
    assert (listed["state"], listed["protocol_type"]) == ("stable", "consumer")
    only, = group["members"]
    assert only["client_id"] == "mine" and only["id"] and only["instance_id"] is None
    offset, = group["offsets"]
    assert (offset["stream"], offset["offset"], offset["lag"]) == ("managed-in", 1, offset["end"] - 1)
    assert "mine" in run(BINARY, "group", "describe", "managed", "--admin", broker.address("admin")).stdout.decode()
    member.close()
    assert api.json("get", "/v1/groups/managed")["members"] == []


def test_settings_changed_while_it_runs_are_what_streams_default_to():
    with Broker() as broker:
        api = Api(broker)
        client = AdminClient({"bootstrap.servers": broker.address("kafka")})
        node, = client.list_topics(timeout=20).brokers
        entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                   for name, value in (("num.partitions", "3"), ("log.retention.ms", "7777"))]
        resource = ConfigResource(ConfigResource.Type.BROKER, str(node), incremental_configs=entries)
        client.incremental_alter_configs([resource])[resource].result(20)
        stream = api.json("post", "/v1/streams", {"name": "late"}, 201)
        assert len(stream["partitions"]) == 3
        retention = next(s for s in stream["settings"] if s["name"] == "retention.ms")
        assert (retention["value"], retention["source"]) == ("7777", "default")


def test_a_stream_queue_shows_what_it_keeps(broker, api):
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"], heartbeat=0))
    for name, more in (("keeps-all", {}), ("keeps-an-hour", {"x-max-age": "1h"})):
        connection.channel().queue_declare(name, durable=True, arguments={"x-queue-type": "stream", **more})
    connection.close()
    client = AdminClient({"bootstrap.servers": broker.address("kafka")})
    for name, retention in (("keeps-all", "-1"), ("keeps-an-hour", "3600000")):
        settings = {s["name"]: s["value"] for s in api.json("get", f"/v1/streams/{name}")["settings"]}
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        configs = client.describe_configs([resource])[resource].result(20)
        assert (settings["retention.ms"], configs["retention.ms"].value) == (retention, retention)
        assert (settings["retention.bytes"], configs["retention.bytes"].value) == ("-1", "-1")


def test_the_status_does_not_wait_for_a_disk_that_does_not_answer(tmp_path):
    shim = compile_c(ROOT / "tests/system/slowstat.c", BUILD / "systemtest/slowstat.so", "-shared", "-fPIC")
    slow = tmp_path / "slow"
    with Broker(env={"LD_PRELOAD": str(shim), "POLYLOG_SLOWSTAT": str(slow)}) as broker:
        slow.touch()
        try:
            for _ in range(3):
                status = Api(broker).json("get", "/v1/status")
                assert status["disk"]["total_bytes"] > status["disk"]["free_bytes"] > 0
            with Wire(broker) as wire:  # nor does anybody else
                assert wire.works()
        finally:
            slow.unlink()


def test_so_many_admin_connections_are_served_and_one_more_is_closed():
    with Broker() as broker:
        request = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"

        def works(sock):
            sock.sendall(request)
            return b"200 OK" in sock.recv(4096)
        connections = [broker.connect("admin") for _ in range(ADMIN_CONNECTIONS_MAX)]
        assert all(works(sock) for sock in connections)
        with broker.connect("admin") as refused:
            assert closed_within(refused, 10)
        with Wire(broker) as wire:
            assert wire.works()
        connections.pop().close()

        def one_more_works():
            with broker.connect("admin") as sock:
                try:
                    return works(sock)
                except ConnectionError:
                    return False
        wait_for(one_more_works, 10, "a place that became free is taken")
        assert all(works(sock) for sock in connections)
        for sock in connections:
            sock.close()


def test_config_says_where_values_came_from(broker, api):
    settings = {s["key"]: s for s in api.json("get", "/v1/config")["settings"]}
    assert (settings["storage.cells"]["in_force"], settings["storage.cells"]["source"]) == ("3", "--set")
    assert settings["cores"]["source"] == "--cores"
    assert settings["kafka.num_partitions"]["source"] == "default"
    assert len(api.json("get", "/v1/cells")["cells"]) == 3


@pytest.mark.skipif(not may_mount(), reason="mounting a tmpfs takes root")
def test_a_full_disk_is_said_at_once_and_everything_but_producing_goes_on():
    with broker_on_small_disk() as (broker, _):
        api = Api(broker)
        api.json("post", "/v1/streams", {"name": "filler"}, 201)
        fill(Wire(broker), "filler")
        status, _, text = api.ask("post", "/v1/streams/filler/records", {"records": [{"value": "x"}]})
        assert (status, json.loads(text)["error"]["code"]) == (503, "disk_full")
        assert api.json("get", "/v1/status")["disk_full"] is True
        assert len(api.json("get", "/v1/streams/filler/records?max=1")["records"]) == 1
        assert api.ask("delete", "/v1/streams/filler")[0] == 204
        api.json("post", "/v1/streams", {"name": "after"}, 201)
        wait_for(lambda: api.ask("post", "/v1/streams/after/records", {"records": [{"value": "x"}]})[0] == 201, 60,
                 "space returned")
