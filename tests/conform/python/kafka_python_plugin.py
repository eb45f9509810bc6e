"""pytest plugin for kafka-python's own integration tests: gives their fixtures the broker at KAFKA_URI.

The archive has the fixtures, not the module that starts processes for them (test.service). The broker runs already, so
what is needed of that module is a service that somebody else started. A test that wants a broker of its own, with other
settings, gets none and fails: see excused.txt.
"""
import logging
import os
import sys
import types

log = logging.getLogger(__name__)


class ExternalService:
    """A broker that runs already."""

    def __init__(self, host, port):
        log.info("the broker at %s:%s", host, port)

    def open(self):
        pass

    close = dump_logs = open


class SpawnedService:
    """A broker that a test wants to start."""

    def __init__(self, *_, **__):
        raise RuntimeError("this run has one broker, which runs already")


# Before the fixtures are imported. They ask for a directory with a Kafka installation before they learn that they need none.
os.environ.setdefault("KAFKA_ROOT", os.getcwd())
service = types.ModuleType("test.service")
service.ExternalService, service.SpawnedService = ExternalService, SpawnedService
sys.modules["test.service"] = service
