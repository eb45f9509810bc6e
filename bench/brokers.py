"""Starts and stops the brokers that are compared: polylog, Apache Kafka and RabbitMQ.

Each start gets an empty data directory, free ports and one processor; each is stopped by its own process id. Peers come
from package registries (see install_peers); nothing here touches a broker that the system runs by itself.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
POM = ROOT / "bench" / "peers" / "kafka-pom.xml"
RABBITMQ_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
EPMD = Path("/usr/bin/epmd")
STOP_SECONDS = 15


class BrokerError(RuntimeError):
    pass


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for_port(port, process, seconds, log):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise BrokerError(f"exited with {process.returncode} at start; see {log}")
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise BrokerError(f"did not open its port within {seconds} s; see {log}")


class Broker:
    """One running broker. Use as a context: leaving it stops the process and removes the data."""

    name = "broker"
    warm_seconds = 2

    def __init__(self, data, cpu):
        self.data = Path(data)
        self.cpu = cpu
        self.process = None
        self.log = self.data.with_suffix(".log")

    def __enter__(self):
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(parents=True)
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)

    def spawn(self, command, **options):
        options.setdefault("stdout", open(self.log, "ab"))
        return subprocess.Popen(
            ["taskset", "-c", self.cpu, *map(str, command)],
            stderr=open(self.log, "ab"), stdin=subprocess.DEVNULL, start_new_session=True, **options)

    @property
    def pid(self):
        """The process whose processor time is the broker's; taskset becomes the program it starts."""
        return self.process.pid

    def start(self):
        raise NotImplementedError

    def stop(self):
        stop_process(self.process)


def stop_process(process):
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Polylog(Broker):
    """Always durable: `interval` exists only for the rows that compare the two durabilities with each other."""

    name = "polylog"

    def __init__(self, data, cpu, binary, durability="commit", cores=1, settings=()):
        super().__init__(data, cpu)
        self.binary, self.durability, self.cores, self.settings = binary, durability, cores, settings
        self.ports = {}

    def start(self):
        command = [self.binary, "serve", "--data-dir", self.data, "--cores", self.cores]
        command += ["--durability", self.durability]
        for protocol in ("kafka", "amqp", "admin"):
            command += ["--listen", f"{protocol}=127.0.0.1:0"]
        for setting in self.settings:
            command += ["--set", setting]
        self.process = self.spawn(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("polylog ready"):
            raise BrokerError(f"did not become ready; see {self.log}")
        self.ports = {protocol: int(port) for protocol, port in re.findall(r"(\w+)=[^\s=]*?:(\d+)", line)}
        if missing := {"kafka", "amqp"} - self.ports.keys():
            raise BrokerError(f"the ready line names no {' and '.join(sorted(missing))} listener: {line.strip()}")


class Kafka(Broker):
    """Apache Kafka, one node, heap as shipped but touched at start, since fresh pages are dear in a virtual machine."""

    name = "Kafka"
    warm_seconds = 12  # for the just-in-time compiler

    def __init__(self, data, cpu, home, settings=()):
        super().__init__(data, cpu)
        self.libs, self.settings = Path(home) / "kafka" / "libs", settings
        self.ports = {}

    @staticmethod
    def missing(home):
        if shutil.which("java") and any((Path(home) / "kafka" / "libs").glob("kafka_2.13-*.jar")):
            return None
        return "Apache Kafka"

    def start(self):
        port, controller = free_ports(2)
        self.ports = {"kafka": port}
        config = self.data / "server.properties"
        config.write_text("\n".join([
            "process.roles=broker,controller", "node.id=1", f"controller.quorum.voters=1@127.0.0.1:{controller}",
            f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}", "controller.listener.names=CONTROLLER",
            "inter.broker.listener.name=PLAINTEXT",
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT", f"log.dirs={self.data}/log",
            "offsets.topic.replication.factor=1", "transaction.state.log.replication.factor=1",
            "transaction.state.log.min.isr=1", "share.coordinator.state.topic.replication.factor=1",
            "share.coordinator.state.topic.min.isr=1", "group.initial.rebalance.delay.ms=0", *self.settings, ""]))
        java = ["java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{self.libs}/*"]
        cluster_id = "MkU3OEVBNTcwNTJENDM2Qg"
        subprocess.run([*java, "-Xmx256m", "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(config)],
                       check=True, stdout=open(self.log, "wb"), stderr=subprocess.STDOUT, timeout=60)
        self.process = self.spawn([*java, "-Xmx1g", "-Xms1g", "-XX:+AlwaysPreTouch", "-XX:+UseG1GC",
                                   "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
                                   "-Djava.awt.headless=true", "kafka.Kafka", config])
        wait_for_port(port, self.process, 60, self.log)
        time.sleep(2)  # the port opens a little before the broker knows its own controller


class RabbitMQ(Broker):
    """Debian's RabbitMQ as an ordinary program: own node name, own directories, own port mapper, one scheduler."""

    name = "RabbitMQ"
    warm_seconds = 4

    def __init__(self, data, cpu):
        super().__init__(data, cpu)
        self.mapper = None
        self.ports = {}
        self.beam_pid = None

    @staticmethod
    def missing(_home):
        return None if RABBITMQ_SERVER.exists() and EPMD.exists() else "RabbitMQ"

    @property
    def pid(self):
        return self.beam_pid

    def start(self):
        port, distribution, mapper = free_ports(3)
        self.ports = {"amqp": port}
        (self.data / "plugins").write_text("[].\n")
        (self.data / "env").write_text("")
        (self.data / "rabbitmq.conf").write_text("vm_memory_high_watermark.absolute = 8GB\n")
        pid_file = self.data / "pid"
        environment = {
            **os.environ, "HOME": str(self.data), "RABBITMQ_NODENAME": "bench@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(distribution), "ERL_EPMD_PORT": str(mapper), "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(self.data / "mnesia"), "RABBITMQ_LOG_BASE": str(self.data / "log"),
            "RABBITMQ_PID_FILE": str(pid_file), "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.data / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.data / "rabbitmq"), "RABBITMQ_CONF_ENV_FILE": str(self.data / "env"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.data / "advanced.config"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }
        self.mapper = self.spawn([EPMD, "-address", "127.0.0.1", "-port", mapper], env=environment)
        self.process = self.spawn([RABBITMQ_SERVER], env=environment)
        wait_for_port(port, self.process, 60, self.log)
        time.sleep(3)
        self.beam_pid = int(pid_file.read_text())

    def stop(self):
        # The shell script around the node does not pass a signal on.
        if self.beam_pid is not None and self.process.poll() is None:
            try:
                os.kill(self.beam_pid, signal.SIGTERM)
                self.process.wait(STOP_SECONDS)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
        stop_process(self.process)
        stop_process(self.mapper)


def install_peers(home):
    """Kafka from Maven Central into `home`; RabbitMQ from Debian, with its service kept from starting."""
    if missing := [tool for tool in ("mvn", "java") if not shutil.which(tool)]:
        install_packages({"mvn": "maven", "java": "openjdk-17-jre-headless"}[tool] for tool in missing)
    libs = Path(home) / "kafka" / "libs"
    libs.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={libs}"],
                   check=True, timeout=900)
    if RabbitMQ.missing(home):
        install_packages(["rabbitmq-server"])


def install_packages(names):
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    policy = Path("/usr/sbin/policy-rc.d")
    added = not policy.exists()
    if added:  # Debian starts a service as soon as it is installed unless this script says no
        subprocess.run([*as_root, "tee", str(policy)], input=b"#!/bin/sh\nexit 101\n", check=True,
                       stdout=subprocess.DEVNULL)
        subprocess.run([*as_root, "chmod", "+x", str(policy)], check=True)
    try:
        subprocess.run([*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q",
                        "--no-install-recommends", *names], check=True, timeout=900)
    finally:
        if added:
            subprocess.run([*as_root, "rm", str(policy)], check=True)
