"""The commands that ask a broker, as a person or a script runs them: the real program against the real broker."""
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import pika
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from harness import BINARY, ROOT, Broker, run, wait_for


@pytest.fixture(scope="module")
def broker():
    with Broker("--cores", "2", "--set", "kafka.num_partitions=1") as running:
        yield running


class Cli:
    def __init__(self, broker):
        self.address = broker.address("admin")

    def command(self, *args):
        return [str(BINARY), *(str(arg) for arg in args)]

    def env(self):
        return {**os.environ, "POLYLOG_ADMIN": self.address, "POLYLOG_PROGRESS_AFTER_MS": "0"}

    def __call__(self, *args, input=None, code=0):
        """Standard output; the command must end with `code`, and say one line on standard error if that is not 0."""
        done = subprocess.run(self.command(*args), input=input, capture_output=True, timeout=60, env=self.env(),
                              stdin=subprocess.DEVNULL if input is None else None)
        assert done.returncode == code, f"{args}: {done.returncode} {done.stderr.decode()}"
        errors = done.stderr.decode()
        if code == 0:
            assert errors == ""
        else:
            assert errors.startswith("polylog: ") and errors.count("\n") == 1, errors
            assert done.stdout == b"" or args[1] in ("produce", "consume")
            return errors
        return done.stdout.decode(errors="surrogateescape")

    def json(self, *args, **kwargs):
        return json.loads(self(*args, "--json", **kwargs))


@pytest.fixture(scope="module")
def cli(broker):
    return Cli(broker)


def rows(table):
    """A table's rows as lists of cells; the first are the headings."""
    return [re.split(r"\s{2,}", line.strip()) for line in table.splitlines()]


def make_queue(broker, name, messages=(), **arguments):
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.ports["amqp"]))
    channel = connection.channel()
    channel.queue_declare(name, durable=True, arguments=arguments)
    channel.confirm_delivery()
    for message in messages:
        channel.basic_publish("", name, message)
    connection.close()


# ---- streams


def test_streams_are_created_listed_described_altered_and_deleted(cli):
    assert cli("stream", "create", "orders", "--partitions", 2, "--set", "retention.ms=1000") == \
        "created orders (2 partitions)\n"
    assert ["orders", "2", "yes"] in rows(cli("stream", "list"))
    assert "orders" in [s["name"] for s in cli.json("stream", "list")["streams"]]
    described = cli("stream", "describe", "orders")
    assert ["retention.ms", "1000", "stream"] in [row[:3] for row in rows(described)]
    assert cli.json("stream", "describe", "orders")["partition_count"] == 2
    assert cli("stream", "alter", "orders", "--partitions", 3, "--unset", "retention.ms", "--set",
               "max.message.bytes=5000") == "altered orders (3 partitions)\n"
    settings = {s["name"]: s["source"] for s in cli.json("stream", "describe", "orders")["settings"]}
    assert (settings["retention.ms"], settings["max.message.bytes"]) == ("default", "stream")
    assert cli("stream", "delete", "orders") == "deleted orders\n"
    assert "there is no stream 'orders'" in cli("stream", "describe", "orders", code=1)


def test_lists_longer_than_a_page_are_whole(broker, cli):
    names = [f"page-{i:04}" for i in range(1005)]
    # One request a name would take long; the first page holds 1000.
    admin = KafkaAdminClient(bootstrap_servers=broker.address("kafka"))
    admin.create_topics([NewTopic(name, 1, 1) for name in names])
    listed = [s["name"] for s in cli.json("stream", "list")["streams"]]
    assert [name for name in listed if name.startswith("page-")] == names
    admin.delete_topics(names)
    admin.close()


def test_lines_are_produced_and_consumed_unchanged(cli):
    cli("stream", "create", "lines")
    lines = ["one", "", "grün", "\ttab ", "last without an end"]
    assert cli("stream", "produce", "lines", input="\n".join(lines).encode()) == "produced 5 records to lines\n"
    assert cli("stream", "consume", "lines") == "\n".join(lines) + "\n"
    assert cli("stream", "consume", "lines", "--from", 2, "--max", 1) == "grün\n"
    assert cli("stream", "consume", "lines", "--from", "-1") == lines[-1] + "\n"
    assert cli("stream", "consume", "lines", "--from", "latest") == ""
    assert cli("stream", "consume", "lines", "--from", "time:9999999999999") == ""


def test_bytes_that_are_no_text_survive(broker, cli):
    cli("stream", "create", "bytes")
    cli("stream", "produce", "bytes", "--key-separator", ":", input=b"\xff\x00k:\xfe\x01v\n")
    consumer = KafkaConsumer("bytes", bootstrap_servers=broker.address("kafka"), auto_offset_reset="earliest",
                             consumer_timeout_ms=5000)
    record = next(consumer)
    consumer.close()
    assert (record.key, record.value) == (b"\xff\x00k", b"\xfe\x01v")
    out = subprocess.run(cli.command("stream", "consume", "bytes", "--format", "keyed"), capture_output=True,
                         env=cli.env(), check=True).stdout
    assert out == b"\xff\x00k\t\xfe\x01v\n"


def test_keys_headers_and_partitions_reach_other_clients(broker, cli):
    cli("stream", "create", "full", "--partitions", 2)
    cli("stream", "produce", "full", "--partition", 1, "--value", "v", "--key", "k", "--header", "a=1", "--header", "b=x=y")
    consumer = KafkaConsumer("full", bootstrap_servers=broker.address("kafka"), auto_offset_reset="earliest",
                             consumer_timeout_ms=5000)
    record = next(consumer)
    consumer.close()
    assert (record.partition, record.key, record.value) == (1, b"k", b"v")
    assert record.headers == [("a", b"1"), ("b", b"x=y")]
    assert "which partition" in cli("stream", "produce", "full", "--value", "v", code=1)
    assert cli("stream", "consume", "full", "--partition", 0) == ""
    assert cli("stream", "consume", "full", "--partition", 1, "--partition", 0) == "v\n"


def test_json_lines_of_one_stream_are_the_input_of_another(broker, cli):
    cli("stream", "create", "from")
    cli("stream", "create", "to")
    producer = KafkaProducer(bootstrap_servers=broker.address("kafka"))
    producer.send("from", key=b"\xff", value=b"v", headers=[("h", b"x")], timestamp_ms=int(time.time() * 1000))
    producer.send("from", key=b"k", value=None)
    producer.close()
    copied = cli("stream", "consume", "from", "--format", "json")
    assert cli.json("stream", "produce", "to", "--format", "json", input=copied.encode())["count"] == 2
    assert cli("stream", "consume", "to", "--format", "json") == copied
    assert "line 1: not a JSON object" in cli("stream", "produce", "to", "--format", "json", input=b"[1]\n", code=1)


def test_a_hundred_thousand_lines_pass_in_bounded_requests(cli):
    cli("stream", "create", "many")
    lines = "".join(f"line number {i}\n" for i in range(100_000))
    assert cli.json("stream", "produce", "many", input=lines.encode()) == {"stream": "many", "count": 100_000}
    assert cli("stream", "consume", "many") == lines


def test_a_line_too_long_says_what_was_acknowledged_before(cli):
    cli("stream", "create", "short", "--set", "max.message.bytes=1000")
    error = cli("stream", "produce", "short", input=b"fine\n" * 9000 + b"x" * 2000 + b"\n", code=1)
    assert re.search(r"\(\d+ records were acknowledged before\)", error)


class Running:
    """A command that goes on; its output so far."""

    def __init__(self, cli, *args, stdin=subprocess.DEVNULL):
        # Who starts the tests in the background may have them ignore SIGINT; a command at a terminal does not.
        self.process = subprocess.Popen(cli.command(*args), stdin=stdin, stdout=subprocess.PIPE, env=cli.env(),
                                        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        self.output = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    def until(self, expected, seconds=15):
        deadline = time.monotonic() + seconds
        while self.output != expected and time.monotonic() < deadline:
            if select.select([self.process.stdout], [], [], 0.1)[0]:
                self.output += os.read(self.process.stdout.fileno(), 65536)
        assert self.output == expected


@pytest.mark.parametrize("partitions", [1, 3])
def test_tail_shows_the_last_records_and_then_what_comes(cli, partitions):
    name = f"tailed-{partitions}"
    cli("stream", "create", name, "--partitions", partitions)
    cli("stream", "produce", name, "--partition", 0, input=b"1\n2\n3\n")
    with Running(cli, "stream", "tail", name, "--lines", 2) as tail:
        tail.until(b"2\n3\n")
        cli("stream", "produce", name, "--partition", partitions - 1, "--value", "4")
        tail.until(b"2\n3\n4\n")
        cli("stream", "produce", name, "--partition", 0, "--value", "5")
        tail.until(b"2\n3\n4\n5\n")
        tail.process.send_signal(signal.SIGINT)
        assert tail.process.wait(10) != 0


def test_consume_follows_until_it_has_enough(cli):
    cli("stream", "create", "followed")
    with Running(cli, "stream", "consume", "followed", "--follow", "--max", 2) as consume:
        cli("stream", "produce", "followed", input=b"a\nb\nc\n")
        consume.until(b"a\nb\n")
        assert consume.process.wait(10) == 0


def test_what_is_typed_is_sent_line_by_line(cli):
    cli("stream", "create", "typed")
    with Running(cli, "stream", "produce", "typed", stdin=subprocess.PIPE) as produce:
        for line in (b"first\n", b"second\n"):
            produce.process.stdin.write(line)
            produce.process.stdin.flush()
            wait_for(lambda line=line: cli("stream", "consume", "typed").endswith(line.decode()), 10, "the line is there")
        produce.process.stdin.close()
        produce.until(b"produced 2 records to typed\n")


def on_a_terminal(cli, *args, script):
    """Runs a command whose standard output and error are a terminal; returns what it wrote."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(cli.command(*args), stdin=subprocess.PIPE, stdout=follower, stderr=follower, env=cli.env())
    os.close(follower)
    script(process)
    written = b""
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # the last one to hold the terminal has gone
            break
        if not chunk:
            break
        written += chunk
    os.close(leader)
    assert process.wait(30) == 0
    return written.decode()


def test_progress_is_shown_on_a_terminal_and_taken_away(cli):
    cli("stream", "create", "slow")

    def feed(process):
        process.stdin.write(b"line\n" * 4)
        process.stdin.close()

    written = on_a_terminal(cli, "stream", "produce", "slow", script=feed)
    assert re.search(r"\r\x1b\[Kproduced \d records, \d+ B, \d+/s", written)
    assert written.endswith("\r\x1b[Kproduced 4 records to slow\r\n")


def progress_of(cli, *args, stdin=subprocess.DEVNULL):
    """What a command writes to a terminal as its standard error."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(cli.command(*args), stdin=stdin, stdout=subprocess.DEVNULL, stderr=follower, env=cli.env())
    assert process.wait(30) == 0
    assert select.select([leader], [], [], 5)[0]
    written = os.read(leader, 65536)
    os.close(follower)
    os.close(leader)
    return written.decode()


def test_the_end_of_the_work_is_shown_where_it_is_known(cli, tmp_path):
    cli("stream", "create", "barred")
    lines = tmp_path / "lines"
    lines.write_text("a\nb\nc\n")
    with lines.open("rb") as source:
        written = progress_of(cli, "stream", "produce", "barred", stdin=source)
    assert re.search(r"\[#{30}\] 100%  produced 3 records", written)
    written = progress_of(cli, "stream", "consume", "barred")
    assert re.search(r"\[#{30}\] 100%  consumed 3 records", written)
    written = progress_of(cli, "stream", "consume", "barred", "--follow", "--max", 2)
    assert re.search(r"\[#{30}\] 100%  consumed 2 records", written)


def test_stored_bytes_cannot_drive_a_terminal(cli):
    cli("stream", "create", "evil")
    cli("stream", "produce", "evil", "--value", "\x1b[2Jgone")
    assert cli("stream", "consume", "evil") == "\x1b[2Jgone\n"
    written = on_a_terminal(cli, "stream", "consume", "evil", script=lambda process: process.stdin.close())
    assert written == "\\x1b[2Jgone\r\n"


# ---- groups and queues


def test_groups_are_listed_described_reset_and_deleted(broker, cli):
    cli("stream", "create", "grouped")
    cli("stream", "produce", "grouped", input=b"a\nb\nc\n")
    assert rows(cli("group", "reset", "g", "--stream", "grouped", "--to", "earliest"))[1] == ["grouped", "0", "0"]
    assert ["g", "empty"] in [row[:2] for row in rows(cli("group", "list"))]
    assert ["grouped", "0", "0", "3", "3"] in rows(cli("group", "describe", "g"))
    assert cli.json("group", "reset", "g", "--stream", "grouped", "--to", "-1", "--partition", 0)["offsets"] == [
        {"stream": "grouped", "partition": 0, "offset": 2}]
    consumer = KafkaConsumer("grouped", bootstrap_servers=broker.address("kafka"), group_id="g",
                             consumer_timeout_ms=10_000)
    assert next(consumer).value == b"c"
    described = cli("group", "describe", "g")
    assert "stable" in described and "kafka-python" in described
    assert "stop its consumers first" in cli("group", "reset", "g", "--stream", "grouped", "--to", "latest", code=1)
    assert "stop its consumers first" in cli("group", "delete", "g", code=1)
    consumer.close()
    assert cli("group", "delete", "g") == "deleted g\n"
    assert "there is no group 'g'" in cli("group", "describe", "g", code=1)


def test_queues_are_listed_peeked_purged_and_deleted(broker, cli):
    make_queue(broker, "jobs", [b"a", b"b", b"c"], **{"x-max-length": 10})
    assert ["jobs", "classic", "3", "0", "0", "yes"] in rows(cli("queue", "list"))
    assert cli("queue", "peek", "jobs", "--max", 2) == "a\nb\n"
    assert [json.loads(line)["value"] for line in cli("queue", "peek", "jobs", "--json").splitlines()] == ["a", "b", "c"]
    described = cli("queue", "describe", "jobs")
    assert "argument    x-max-length = 10" in described
    assert cli.json("queue", "describe", "jobs")["ready"] == 3
    assert cli("queue", "purge", "jobs") == "purged 3 messages\n"
    assert cli("queue", "peek", "jobs") == ""
    assert cli("queue", "delete", "jobs") == "deleted jobs\n"
    assert "there is no queue 'jobs'" in cli("queue", "purge", "jobs", code=1)


# ---- the node


def test_status_and_config_tell_people_and_programs(broker, cli):
    status = cli("status")
    assert "ready        yes" in status and str(broker.data_dir) in status
    as_json = cli.json("status")
    assert as_json["ready"] is True and len(as_json["cells"]) == 2 and as_json["connections"]
    assert ["kafka.num_partitions", "1", "1", "--set"] in rows(cli("config"))
    assert rows(cli("config", "cores"))[1] == ["cores", "2", "2", "--cores"]
    assert cli.json("config", "cores")["settings"][0]["source"] == "--cores"
    assert "no setting 'nope'" in cli("config", "nope", code=1)


def test_the_admin_option_goes_before_the_environment(broker, cli):
    cli.address, right = "127.0.0.1:1", cli.address
    try:
        assert "`polylog serve` starts one" in cli("status", code=1)
        assert cli("status", "--admin", right).startswith("version")
        assert "--admin" in cli("status", "--admin", "nonsense", code=1)
    finally:
        cli.address = right


@pytest.mark.parametrize("args", [
    ["stream"], ["stream", "nope"], ["stream", "create"], ["stream", "create", "x", "--partitions", "0"],
    ["stream", "create", "x", "--partitions", "100001"], ["stream", "create", "x", "--set", "novalue"],
    ["stream", "consume", "x", "--max", "0"], ["stream", "consume", "x", "--format", "xml"],
    ["stream", "produce", "x", "--format", "xml"], ["stream", "tail", "x", "--lines", "-1"],
    ["group", "reset", "g", "--to", "0"], ["queue", "peek", "q", "--max", "1001"], ["status", "extra"],
    ["completion"], ["man", "nope"]])
def test_wrong_arguments_are_exit_code_2(cli, args):
    cli(*args, code=2)


# ---- generated


@pytest.mark.parametrize("page", [[], ["stream"], ["group"], ["queue"]])
def test_man_pages_are_sound_roff(cli, page):
    text = cli("man", *page)
    done = run("groff", "-man", "-Tutf8", "-ww", input=text.encode())
    assert done.stderr == b"", done.stderr
    shown = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout.decode())
    for section in ("NAME", "SYNOPSIS", "COMMANDS", "EXIT STATUS", "SEE ALSO"):
        assert section in shown
    assert "polylog " + (page[0] if page else "serve") in shown


def complete(cli, line):
    """What bash offers with the cursor at the end of the line."""
    words = line.split(" ")
    script = cli("completion", "bash") + f"""
COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}
_polylog; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    return set(run("bash", "-c", script).stdout.decode().split())


def test_bash_completes_groups_verbs_options_and_values(cli):
    assert {"stream", "group", "queue", "serve", "status", "config"} <= complete(cli, "polylog ")
    assert complete(cli, "polylog st") == {"stream", "status"}
    assert {"list", "create", "produce", "consume", "tail"} <= complete(cli, "polylog stream ")
    assert complete(cli, "polylog stream c") == {"create", "consume"}
    assert {"--from", "--follow", "--json", "--admin"} <= complete(cli, "polylog stream consume orders --")
    assert complete(cli, "polylog stream consume orders --format ") == {"value", "keyed", "json"}
    assert complete(cli, "polylog stream consume orders --from ") == set()
    assert complete(cli, "polylog serve --dur") == {"--durability"}
    assert complete(cli, "polylog completion ") == {"--help", "bash", "zsh", "fish"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_parse_and_name_everything(cli, shell):
    script = cli("completion", shell)
    for word in ("stream", "describe", "reset", "peek", "durability", "key-separator"):
        assert word in script
    if shutil.which(shell):
        run(shell, "-n", input=script.encode())


def test_every_command_is_in_the_documentation(cli):
    page = (ROOT / "docs" / "cli.md").read_text()
    for group in ([], ["stream"], ["group"], ["queue"]):
        synopsis = cli("man", *group).split(".SH SYNOPSIS\n.nf\n")[1].split(".fi")[0]
        for line in synopsis.splitlines():
            command = " ".join(line.split()[:2 + len(group)])
            assert f"`{command}" in page, f"docs/cli.md lacks {command}"
