"""The clients of a round by role. Each is a process of its own that writes its history until SIGTERM."""
from amqp_clients import amqp_consumer, amqp_publisher
from client import run
from kafka_clients import kafka_python_member, kafka_python_producer, librdkafka_member, librdkafka_producer, observer

ROLES = {
    "librdkafka producer": lambda client: librdkafka_producer(client, once=True),
    "librdkafka plain producer": lambda client: librdkafka_producer(client, once=False),
    "kafka-python producer": kafka_python_producer,
    "librdkafka member": lambda client: librdkafka_member(client, "group", client.setup["strategy"]),
    "kafka-python member": lambda client: kafka_python_member(client, "group-python"),
    "observer": lambda client: observer(client, ["group", "group-python"]),
    "amqp publisher": amqp_publisher,
    "amqp consumer": amqp_consumer,
}


def play(role, name, setup):
    """The main function of a client's process."""
    run(ROLES[role], name, setup)
