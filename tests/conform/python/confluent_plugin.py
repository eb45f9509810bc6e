"""pytest plugin for confluent-kafka-python's own integration tests, which take a running broker from the variable BROKERS.

They import the package that starts brokers for them (trivup) all the same. A test that wants a broker of its own, with
other settings, gets none and fails: see excused.txt.
"""
import sys
import types


class KafkaCluster:
    def __init__(self, *_, **__):
        raise RuntimeError("this run has one broker, which runs already")


# Before the tests are imported.
for name in ("trivup", "trivup.clusters", "trivup.clusters.KafkaCluster"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["trivup.clusters.KafkaCluster"].KafkaCluster = KafkaCluster
