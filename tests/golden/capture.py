#!/usr/bin/env python3
"""Records what real clients and real brokers say to each other: `capture.py [SCENARIO]...` (default: all of them).

A proxy stands between the two and changes nothing: the broker is told to advertise the proxy's port. Each scenario of
scenarios/ becomes a directory of transcripts, one file a connection (README.md has the format). Needs `./dev test`'s
clients in build/ and the brokers that `./dev bench` installs in build/peers; see README.md.
"""

import argparse
import os
import re
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "bench"))
import brokers  # noqa: E402

PYTHON = ROOT / "build/venv/bin/python"
PEERS = ROOT / "build/peers"
CPU = "0"
SCENARIO_SECONDS_MAX = 120
SCENARIOS = {
    "kafka": {
        "kcat": ["bash", HERE / "scenarios/kcat.sh"],
        "librdkafka": ["bash", HERE / "scenarios/librdkafka.sh"],
        "kafka-python": [PYTHON, HERE / "scenarios/kafka_python.py"],
        "kafkajs": ["node", HERE / "scenarios/kafkajs.mjs"],
    },
    "amqp": {
        "pika": [PYTHON, HERE / "scenarios/pika_client.py"],
        "amqplib": ["node", HERE / "scenarios/amqplib.mjs"],
    },
}


class Proxy:
    """Forwards connections to `target`, one thread for all of them, so that the order of what it notes is a real one:
    bytes are noted before they are passed on."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.target = None
        self.notes = []  # (connection, ">" or "<", bytes), in order; None = that side ended the connection
        self.connections = 0
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ, None)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener:
                    self.accept()
                else:
                    self.forward(key.fileobj, *key.data)

    def accept(self):
        client, _ = self.listener.accept()
        server = socket.create_connection(("127.0.0.1", self.target))
        self.connections += 1
        for side in (client, server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.selector.register(client, selectors.EVENT_READ, (server, self.connections, ">"))
        self.selector.register(server, selectors.EVENT_READ, (client, self.connections, "<"))

    def forward(self, source, sink, connection, direction):
        if source.fileno() < 0 or sink.fileno() < 0:
            return
        try:
            data = source.recv(1 << 20)
        except ConnectionError:
            data = b""
        self.notes.append((connection, direction, data or None))
        try:
            if data:
                sink.sendall(data)
                return
        except ConnectionError:
            pass
        for side in (source, sink):
            self.selector.unregister(side)
            side.close()

    def take(self):
        notes, self.notes, self.connections = self.notes, [], 0
        return notes


def joined(notes):
    """Neighbouring bytes of one direction become one note: where TCP happened to cut them means nothing."""
    out = []
    for connection, direction, data in notes:
        if out and data and out[-1][2] and out[-1][:2] == (connection, direction):
            out[-1] = (connection, direction, out[-1][2] + data)
        else:
            out.append((connection, direction, data))
    return out


def save(protocol, name, versions, wall_ms, notes):
    directory = HERE / protocol / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    files = {}
    for number, (connection, direction, data) in enumerate(joined(notes), 1):
        lines = files.setdefault(connection, [f"# polylog golden transcript 1\n# {versions}\n# wall-ms {wall_ms}\n"])
        lines.append(f"{number} {direction} {data.hex() if data else 'end'}\n")
    for index, connection in enumerate(sorted(files), 1):
        (directory / f"{index:02}.txt").write_text("".join(files[connection]))
    sizes = {d: sum(len(n[2] or b"") for n in notes if n[1] == d) for d in "<>"}
    print(f"{protocol}/{name}: {len(files)} connections, {sizes['>']} bytes to the broker, {sizes['<']} bytes back")


def refuse_local_words(name, notes):
    """Transcripts are published: nothing in them may tell where they were made."""
    words = {str(ROOT), str(Path.home()), socket.gethostname(), tempfile.gettempdir(), "/work", "/home/"} - {"localhost"}
    for direction in "<>":
        everything = b"".join(data for _, d, data in notes if d == direction and data)
        for word in words:
            if word.encode() in everything:
                sys.exit(f"{name}: a transcript would contain {word!r}")


class RabbitMQ(brokers.RabbitMQ):
    """Its cluster is by default called after the machine, and its greeting says so."""

    def start(self):
        (self.data / "advanced.config").write_text('[{rabbit, [{cluster_name, <<"golden">>}]}].\n')
        super().start()


def run_scenario(command, port):
    """The clients that need no path to their own packages get it from the environment."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([*map(str, command), f"127.0.0.1:{port}"], check=True, timeout=SCENARIO_SECONDS_MAX, cwd=scratch,
                       env={**os.environ, "NODE_HOME": str(ROOT / "build/node"), "PYTHON": str(PYTHON)})


def record(protocol, name, proxy, peer):
    proxy.take()
    wall_ms = int(time.time() * 1000)
    run_scenario(SCENARIOS[protocol][name], proxy.port)
    time.sleep(0.5)
    notes = proxy.take()
    refuse_local_words(name, notes)
    save(protocol, name, f"{name} and {peer}", wall_ms, notes)


def capture_kafka(names, data):
    proxy = Proxy()
    settings = [f"advertised.listeners=PLAINTEXT://127.0.0.1:{proxy.port}", "auto.create.topics.enable=true",
                "max.incremental.fetch.session.cache.slots=0"]  # sessions are declined, as polylog does
    for name in names:
        with brokers.Kafka(data, CPU, PEERS, settings) as broker:
            proxy.target = broker.ports["kafka"]
            version = re.search(r"kafka_2.13-([\d.]+)\.jar", " ".join(p.name for p in broker.libs.iterdir()))[1]
            # The topic of committed offsets is made when somebody first asks; clients would have to try again.
            subprocess.run([PYTHON, HERE / "scenarios/warm_up.py", f"127.0.0.1:{proxy.port}"], check=True, timeout=60)
            record("kafka", name, proxy, f"Apache Kafka {version}")


def capture_amqp(names, data):
    proxy = Proxy()
    version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "rabbitmq-server"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    with RabbitMQ(data, CPU) as broker:
        proxy.target = broker.ports["amqp"]
        for name in names:
            record("amqp", name, proxy, f"RabbitMQ {version.split('-')[0]}")


def main():
    every = [name for group in SCENARIOS.values() for name in group]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenario", nargs="*", help=f"of {', '.join(every)}")
    wanted = parser.parse_args().scenario or every
    if unknown := set(wanted) - set(every):
        sys.exit(f"no such scenario: {', '.join(sorted(unknown))}")
    (ROOT / "build").mkdir(exist_ok=True)
    data = ROOT / "build/golden-peer"
    for protocol, run in (("kafka", capture_kafka), ("amqp", capture_amqp)):
        if names := [name for name in SCENARIOS[protocol] if name in wanted]:
            run(names, data)


if __name__ == "__main__":
    main()
