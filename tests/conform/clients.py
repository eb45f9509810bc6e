"""The clients of the conformance run: how each is installed, and the command of its suite (the broker's address follows, if the
suite wants one)."""
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

HERE = Path(__file__).resolve().parent
SLF4J_VERSION = "1.7.36"
INSTALL_SECONDS_MAX = 600
LIBRDKAFKA_SECONDS_MAX = 3600
WHY_CHARACTERS_MAX = 300


class Unavailable(Exception):
    """The client cannot be had here; says why."""


class BuildFailed(Exception):
    """The client or its suite is here, and does not build: a failed check. Says where it is told why."""


@dataclass
class Client:
    name: str
    version: str
    listener: str | None  # whose address its suite is given; None: the suite starts brokers itself
    install: Callable  # (directory for what is installed) -> command
    seconds_max: int = 600
    settings: tuple = ()  # of its broker


def need(program):
    if not shutil.which(program):
        raise Unavailable(f"{program} is not installed")


def provide(*programs):
    """Installs what is missing of them, each from the Debian package of its name."""
    if missing := [program for program in programs if not shutil.which(program)]:
        need("apt-get")
        install_run(["apt-get", "-q", "-y", "install", "--no-install-recommends", *missing])


def install_run(command, **options):
    """Runs a package client or a compiler; what it cannot do makes the client unavailable."""
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=INSTALL_SECONDS_MAX, **options)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{command[0]} took longer than {INSTALL_SECONDS_MAX} s") from None
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).splitlines()
        lines = [line for line in lines if "ERROR" in line] or [line for line in lines if "rror" in line] or lines[-1:] or ["failed"]
        raise Unavailable(f"{Path(str(command[0])).name}: {lines[0]}"[:WHY_CHARACTERS_MAX])


def compile_run(command, **options):
    """Compiles a suite: that it does not compile is a fault of the suite, not of the client."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        raise BuildFailed(f"{command[0]}: {' '.join((done.stdout + done.stderr).split())}"[:WHY_CHARACTERS_MAX])


# ---- Go: one module, one program a client; its go.mod holds the versions

def go_version(module):
    for line in (HERE / "go/go.mod").read_text().splitlines():
        words = line.removeprefix("require ").split()
        if words and words[0] == module:
            return words[1].removeprefix("v")
    raise KeyError(module)


def go(program):
    def install(out):
        need("go")
        install_run(["go", "mod", "download"], cwd=HERE / "go")
        binary = out / "go" / program
        compile_run(["go", "build", "-o", binary, f"./{program}"], cwd=HERE / "go")
        return [binary]
    return install


# ---- Java: the jars of a suite beside each other in a directory of their own

def java_libs(libs, artifacts):
    need("mvn")
    if (libs / "complete").exists():
        return
    for group, artifact, version in artifacts:
        install_run(["mvn", "-q", "-B", "-f", HERE / "java/pom.xml", f"-Dclient.group={group}", f"-Dclient.artifact={artifact}",
                     f"-Dclient.version={version}", f"-Dslf4j.version={SLF4J_VERSION}", "dependency:copy-dependencies",
                     f"-DoutputDirectory={libs}"])
    (libs / "complete").touch()


def java(suite, sources, *artifacts):
    def install(out):
        need("java")
        need("javac")
        home = out / "java" / f"{suite}-{artifacts[0][2]}"
        java_libs(home / "libs", artifacts)
        classes = home / "classes"
        shutil.rmtree(classes, ignore_errors=True)
        compile_run(["javac", "-nowarn", "-encoding", "UTF-8", "-d", classes, "-cp", home / "libs/*",
                     *(HERE / "java" / f"{source}.java" for source in sources)])
        return ["java", "-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-Dfile.encoding=UTF-8", "-cp",
                f"{classes}:{home}/libs/*", suite]
    return install


def kafka_clients(version):
    return Client(f"kafka-clients-{version[0]}", version, "kafka",
                  java("KafkaSuite", ["Checks", "Kafka", "KafkaSuite", "GroupMember", "GroupChecks", "AdminChecks"],
                       ("org.apache.kafka", "kafka-clients", version)))


def kafka_clients_new_groups(version):
    return Client("kafka-clients-new-groups", version, "kafka",
                  java("NewGroupSuite", ["Checks", "Kafka", "NewGroupSuite"], ("org.apache.kafka", "kafka-clients", version)))


def kafka_tools(version):
    return Client("kafka-tools", version, "kafka",
                  java("ToolsSuite", ["Checks", "Tool", "PerfChecks", "ToolsSuite"],
                       ("org.apache.kafka", "kafka-tools", version), ("org.apache.kafka", "kafka_2.13", version)))


def kafka_streams(version):
    return Client("kafka-streams", version, "kafka",
                  java("StreamsSuite", ["Checks", "Kafka", "Tool", "StreamsSuite"],
                       ("org.apache.kafka", "kafka-streams", version), ("org.apache.kafka", "kafka-tools", version)))


def kafka_connect(version):
    return Client("kafka-connect", version, "kafka",
                  java("ConnectSuite", ["Checks", "Kafka", "Tool", "ConnectSuite"],
                       ("org.apache.kafka", "connect-runtime", version), ("org.apache.kafka", "connect-file", version)))


# ---- librdkafka's own tests: the suite fetches and builds them, and starts the brokers

def librdkafka(name, version):
    return Client(name, version, None, lambda out: [sys.executable, HERE / "librdkafka/suite.py", name, out],
                  seconds_max=LIBRDKAFKA_SECONDS_MAX)


# ---- Python and Node

def virtual_environment(home, *packages):
    """Its Python, with the packages installed."""
    if not (home / "complete").exists():
        install_run([sys.executable, "-m", "venv", home])
        install_run([home / "bin/pip", "install", "-q", "--disable-pip-version-check", *packages])
        (home / "complete").touch()
    return home / "bin/python"


def python(package, version, suite):
    def install(out):
        return [virtual_environment(out / f"venv-{package}-{version}", f"{package}=={version}"), HERE / "python" / suite]
    return install


# The integration tests that clients bring along, run by python/own_tests.py.

PYTEST = ("pytest==8.3.5", "pytest-timeout==2.4.0")


def kafka_python_tests(version):
    """Its archive has them, and the client itself beside them."""
    def install(out):
        home = out / f"kafka-python-tests-{version}"
        python = virtual_environment(home / "venv", *PYTEST, "pytest-mock==3.17.0", "py==1.11.0", "lz4==4.4.5",
                                     "python-snappy==0.7.3", "zstandard==0.25.0")
        source = home / f"kafka_python-{version}"
        if not (home / "complete").exists():
            install_run([python, "-m", "pip", "download", "-q", "--no-binary", ":all:", "--no-deps", "-d", home,
                         f"kafka-python=={version}"])
            shutil.unpack_archive(f"{source}.tar.gz", home)
            # Else `test` would be Python's own package of that name.
            (source / "test" / "__init__.py").touch()
            (home / "complete").touch()
        return [python, HERE / "python/own_tests.py", "kafka-python", source]
    # The tests name broker 0 and partition 3.
    return Client("kafka-python-tests", version, "kafka", install, settings=("kafka.broker_id=0", "kafka.num_partitions=4"))


CONFLUENT_TESTS = "CONFLUENT_KAFKA_PYTHON"


def confluent_kafka_tests(name, suite, version):
    """No archive of a registry has them, and Debian serves no source package of it: they are run from a checkout that the
    environment names."""
    def install(out):
        checkout = os.environ.get(CONFLUENT_TESTS)
        if not checkout or not (Path(checkout) / "tests/integration").is_dir():
            raise Unavailable(f"no package of it has its tests: name a checkout of its source in {CONFLUENT_TESTS}")
        python = virtual_environment(
            out / f"confluent-kafka-tests-{version}/venv", *PYTEST, "pytest-asyncio==1.3.0", "requests-mock==1.12.1",
            "respx==0.23.1", "async-timeout==5.0.1", f"confluent-kafka[avro,json,protobuf,rules,schemaregistry]=={version}")
        return [python, HERE / "python/own_tests.py", suite, Path(checkout).resolve()]
    # test_consumer_upgrade_downgrade looks at all members as soon as the last one has its share: the others must be quicker
    # to rejoin than it is to hear of it.
    return Client(name, version, "kafka", install, settings=("kafka.consumer_heartbeat_interval_ms=1000",))


def node(package, version, suite, **environment):
    def install(out):
        need("npm")
        home = out / f"node-{package.split('/')[-1]}-{version}"
        if not (home / "complete").exists():
            home.mkdir(parents=True, exist_ok=True)
            (home / "package.json").write_text('{"private": true}\n')
            try:
                install_run(["npm", "install", "--prefix", home, "--no-audit", "--no-fund", "--loglevel=error",
                             f"{package}@{version}"], env={**os.environ, **environment})
            except Unavailable as error:
                raise Unavailable(f"its native part could neither be downloaded nor built: {error}") from None
            (home / "complete").touch()
        return ["node", HERE / "node" / suite, home]
    return install


CLIENTS = [
    kafka_clients("4.3.1"),
    kafka_clients_new_groups("4.3.1"),
    Client("franz-go", go_version("github.com/twmb/franz-go"), "kafka", go("franz")),
    Client("amqp091-go", go_version("github.com/rabbitmq/amqp091-go"), "amqp", go("amqp091")),
    Client("sarama", go_version("github.com/IBM/sarama"), "kafka", go("sarama")),
    Client("kafka-go", go_version("github.com/segmentio/kafka-go"), "kafka", go("kafkago")),
    kafka_clients("3.9.2"),
    kafka_tools("4.3.1"),
    kafka_streams("4.3.1"),
    kafka_connect("4.3.1"),
    Client("amqp-client", "5.28.0", "amqp",
           java("AmqpSuite", ["Checks", "AmqpSuite"], ("com.rabbitmq", "amqp-client", "5.28.0"))),
    Client("confluent-kafka", "2.16.1", "kafka", python("confluent-kafka", "2.16.1", "confluent_suite.py")),
    kafka_python_tests("2.2.15"),
    confluent_kafka_tests("confluent-kafka-tests", "confluent-kafka", "2.16.1"),
    confluent_kafka_tests("confluent-kafka-tests-new-groups", "confluent-kafka-new-groups", "2.16.1"),
    Client("confluent-kafka-javascript", "1.10.1", "kafka",
           # When its prebuilt binary cannot be had it is built, with the libraries of this machine.
           node("@confluentinc/kafka-javascript", "1.10.1", "confluent_suite.mjs", CKJS_LINKING="dynamic")),
    librdkafka("librdkafka-debian", "2.0.2"),
    librdkafka("librdkafka-npm", "2.15.1"),
]
