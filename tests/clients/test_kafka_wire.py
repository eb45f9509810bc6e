"""Requests that the clients of these tests do not send, byte by byte: the newest group and config APIs."""
import struct

import pytest

from harness import Broker

DESCRIBE_GROUPS, LIST_GROUPS, FIND_COORDINATOR, OFFSET_COMMIT, OFFSET_FETCH = 15, 16, 10, 8, 9
CREATE_TOPICS, DESCRIBE_CONFIGS, INCREMENTAL_ALTER_CONFIGS, ELECT_LEADERS, OFFSET_DELETE = 19, 32, 44, 43, 47
JOIN_GROUP, LEAVE_GROUP, SYNC_GROUP = 11, 13, 14
DESCRIBE_PRODUCERS, LIST_CONFIG_RESOURCES, DESCRIBE_TOPIC_PARTITIONS = 61, 74, 75
TOPIC, BROKER = 2, 4
SET, DELETE, APPEND, SUBTRACT = range(4)


class Out:
    """Builds a body. Flexible bodies have compact lengths and end each struct with tags()."""

    def __init__(self, flexible):
        self.flexible, self.data = flexible, b""

    def fixed(self, code, *values):
        self.data += struct.pack(">" + code, *values)
        return self

    def length(self, n, code):
        self.data += bytes([n + 1]) if self.flexible else struct.pack(">" + code, n)
        return self

    def text(self, value):
        if value is None:
            return self.length(-1, "h")
        data = value.encode()
        self.length(len(data), "h").data += data
        return self

    def bytes(self, value):
        self.length(len(value), "i").data += value
        return self

    def array(self, items, write):
        self.length(-1 if items is None else len(items), "i")
        for item in items or []:
            write(self, item)
        return self

    def tags(self):
        if self.flexible:
            self.data += b"\0"
        return self


class In:
    def __init__(self, data, flexible):
        self.data, self.flexible = data, flexible

    def take(self, n):
        assert n <= len(self.data), "the response is too short"
        taken, self.data = self.data[:n], self.data[n:]
        return taken

    def fixed(self, code):
        values = struct.unpack(">" + code, self.take(struct.calcsize(">" + code)))
        return values[0] if len(values) == 1 else values

    def length(self, code):
        if not self.flexible:
            return self.fixed(code)
        value, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value - 1

    def text(self):
        n = self.length("h")
        return None if n < 0 else self.take(n).decode()

    def bytes(self):
        n = self.length("i")
        return None if n < 0 else self.take(n)

    def array(self, read):
        n = self.length("i")
        return None if n < 0 else [read(self) for _ in range(n)]

    def tags(self):
        if self.flexible:
            assert self.take(1) == b"\0", "no tag is expected"


@pytest.fixture(scope="module")
def connection():
    with Broker("--set", "kafka.initial_rebalance_delay_ms=0") as broker, broker.connect("kafka") as sock:
        yield sock


@pytest.fixture
def ask(connection):
    def ask(key, version, flexible, write, read):
        out = Out(flexible)
        write(out)
        frame = struct.pack(">hhih", key, version, 7, 4) + b"wire" + (b"\0" if flexible else b"") + out.tags().data
        connection.sendall(struct.pack(">i", len(frame)) + frame)
        answer = In(connection.recv(4, 0x100), flexible)  # MSG_WAITALL
        answer = In(connection.recv(answer.fixed("i"), 0x100), flexible)
        assert answer.fixed("i") == 7
        answer.tags()
        result = read(answer)
        answer.tags()
        assert answer.data == b"", "the response is too long"
        return result
    return ask


@pytest.fixture
def topic(ask, request):
    name = request.node.name.replace("[", "-").replace("]", "")[:200]
    ask(CREATE_TOPICS, 4, False,
        lambda o: o.array([name], lambda o, n: o.text(n).fixed("ih", 2, 1).array([], None).array([], None)).fixed(
            "i?", 1000, False),
        lambda i: (i.fixed("i"), i.array(lambda i: (i.text(), i.fixed("h"), i.text()))))
    return name


# ---- configs

def alter(ask, resource_type, name, *changes, validate_only=False):
    """Each change is (name, operation, value). Returns (error, message)."""
    def write(o):
        def write_change(o, change):
            o.text(change[0]).fixed("b", change[1]).text(change[2]).tags()
        o.array([name], lambda o, n: o.fixed("b", resource_type).text(n).array(changes, write_change).tags())
        o.fixed("?", validate_only)

    def read_result(i):
        result = i.fixed("h"), i.text(), i.fixed("b"), i.text()
        i.tags()
        return result

    throttle, results = ask(INCREMENTAL_ALTER_CONFIGS, 1, True, write, lambda i: (i.fixed("i"), i.array(read_result)))
    assert [r[2:] for r in results] == [(resource_type, name)]
    return results[0][:2]


def describe(ask, resource_type, name, keys=None):
    """{config: (value, read only, source, synonyms, type, documentation)}"""
    def write(o):
        o.array([name], lambda o, n: o.fixed("b", resource_type).text(n).array(keys, Out.text).tags())
        o.fixed("??", True, True)

    def read_synonym(i):
        synonym = i.text(), i.text(), i.fixed("b")
        i.tags()
        return synonym

    def read_config(i):
        name, value, read_only, source, _sensitive = i.text(), i.text(), i.fixed("?"), i.fixed("b"), i.fixed("?")
        config = value, read_only, source, i.array(read_synonym), i.fixed("b"), i.text()
        i.tags()
        return name, config

    def read_result(i):
        result = i.fixed("h"), i.text(), i.fixed("b"), i.text(), dict(i.array(read_config))
        i.tags()
        return result

    _, results = ask(DESCRIBE_CONFIGS, 4, True, write, lambda i: (i.fixed("i"), i.array(read_result)))
    error, _message, *_, configs = results[0]
    return configs if error == 0 else error


def test_configs_are_set_appended_to_subtracted_from_and_deleted(ask, topic):
    value = lambda name: describe(ask, TOPIC, topic, [name])[name][0]
    assert alter(ask, TOPIC, topic, ("retention.ms", SET, "1000"), ("cleanup.policy", APPEND, "compact")) == (0, None)
    assert (value("retention.ms"), value("cleanup.policy")) == ("1000", "delete,compact")
    assert alter(ask, TOPIC, topic, ("cleanup.policy", SUBTRACT, "delete")) == (0, None)
    assert (value("retention.ms"), value("cleanup.policy")) == ("1000", "compact")
    assert alter(ask, TOPIC, topic, ("retention.ms", DELETE, None)) == (0, None)
    assert value("retention.ms") == "604800000"


@pytest.mark.parametrize("change, error", [
    (("no.such.config", SET, "1"), 40), (("retention.ms", SET, "soon"), 40), (("retention.ms", APPEND, "1"), 40),
    (("retention.ms", SET, None), 42), (("retention.ms", 9, "1"), 42)])
def test_a_change_that_makes_no_sense_is_refused(ask, topic, change, error):
    code, message = alter(ask, TOPIC, topic, ("segment.bytes", SET, "4096"), change)
    assert code == error and message
    assert describe(ask, TOPIC, topic, ["segment.bytes"])["segment.bytes"][2] == 5


def test_validating_changes_nothing(ask, topic):
    assert alter(ask, TOPIC, topic, ("retention.ms", SET, "1000"), validate_only=True) == (0, None)
    assert describe(ask, TOPIC, topic, ["retention.ms"])["retention.ms"][0] == "604800000"


def test_what_is_fixed_and_what_is_unknown_cannot_be_altered(ask):
    assert alter(ask, TOPIC, "nothing", ("retention.ms", SET, "1"))[0] == 3
    assert alter(ask, BROKER, "1", ("node.id", SET, "2"))[0] == 42
    assert alter(ask, BROKER, "1", ("no.such.config", SET, "1"))[0] == 40
    assert alter(ask, BROKER, "2", ("log.retention.ms", SET, "1"))[0] == 42
    assert alter(ask, 32, "group", ("a", SET, "1"))[0] == 40
    assert alter(ask, 16, "metrics", ("a", SET, "1"))[0] == 42


def test_every_config_has_a_type_a_default_and_documentation(ask, topic):
    configs = describe(ask, TOPIC, topic)
    assert {"cleanup.policy", "retention.ms", "max.message.bytes", "min.insync.replicas"} <= set(configs)
    for value, read_only, source, synonyms, kind, documentation in configs.values():
        assert value is not None and not read_only and source == 5 and 1 <= kind <= 7 and documentation
        assert all(s[1] == value for s in synonyms if s[0] != "log.retention.hours")


def test_there_are_no_configs_of_all_brokers_but_of_this_one(ask):
    assert describe(ask, BROKER, "") == {}
    assert describe(ask, BROKER, "1")["node.id"][0] == "1"
    assert describe(ask, BROKER, "2") == 42


def test_a_config_of_the_broker_is_set_and_deleted(ask):
    assert alter(ask, BROKER, "", ("log.retention.minutes", SET, "10")) == (0, None)
    assert describe(ask, BROKER, "") == {
        "log.retention.minutes": ("10", False, 3, [("log.retention.minutes", "10", 3)], 3, None)}
    assert describe(ask, BROKER, "1")["log.retention.minutes"][:3] == ("10", False, 3)
    assert alter(ask, BROKER, "", ("log.retention.minutes", DELETE, None)) == (0, None)
    assert describe(ask, BROKER, "") == {}


# ---- groups

def commit(ask, group, topic, offsets, generation=-1, member="", version=8):
    """offsets: {partition: offset}. Returns {partition: error}."""
    def write(o):
        o.text(group).fixed("i", generation).text(member).text(None)
        o.array([topic], lambda o, t: o.text(t).array(list(offsets.items()), lambda o, p: (
            o.fixed("iqi", p[0], p[1], 3).text(None).tags())).tags())

    def read_partition(i):
        partition = i.fixed("ih")
        i.tags()
        return partition

    def read_topic(i):
        result = i.text(), i.array(read_partition)
        i.tags()
        return result

    _, topics = ask(OFFSET_COMMIT, version, True, write, lambda i: (i.fixed("i"), i.array(read_topic)))
    return dict(topics[0][1])


def fetch_offsets(ask, groups):
    """groups: [(group, {topic: partitions} or None)]; returns [(group, {(topic, partition): (offset, epoch)}, error)]."""
    def write_topic(o, topic):
        o.text(topic[0]).array(topic[1], lambda o, p: o.fixed("i", p)).tags()

    def write(o):
        o.array(groups, lambda o, g: o.text(g[0]).text(None).fixed("i", -1).array(
            None if g[1] is None else list(g[1].items()), write_topic).tags()).fixed("?", True)

    def read_partition(i):
        index, offset, epoch = i.fixed("iqi")
        assert i.text() == "" and i.fixed("h") == 0
        i.tags()
        return index, (offset, epoch)

    def read_topic(i):
        result = i.text(), i.array(read_partition)
        i.tags()
        return result

    def read_group(i):
        group, topics, error = i.text(), i.array(read_topic), i.fixed("h")
        i.tags()
        return group, {(t, p): at for t, partitions in topics for p, at in partitions}, error

    return ask(OFFSET_FETCH, 9, True, write, lambda i: (i.fixed("i"), i.array(read_group)))[1]


def delete_offsets(ask, group, topic, partitions):
    def write_topic(o, topic):
        o.text(topic).array(partitions, lambda o, p: o.fixed("i", p))

    def read_topic(i):
        return i.text(), dict(i.array(lambda i: i.fixed("ih")))

    return ask(OFFSET_DELETE, 0, False, lambda o: o.text(group).array([topic], write_topic),
               lambda i: (i.fixed("h"), i.fixed("i"), i.array(read_topic)))


def describe_group(ask, group):
    def read_member(i):
        member = i.text(), i.text(), i.text(), i.text(), i.bytes(), i.bytes()
        i.tags()
        return member

    def read_group(i):
        error, message, name, state, kind, protocol = i.fixed("h"), i.text(), i.text(), i.text(), i.text(), i.text()
        members, operations = i.array(read_member), i.fixed("i")
        i.tags()
        return error, state, kind, protocol, members, operations

    return ask(DESCRIBE_GROUPS, 6, True, lambda o: o.array([group], Out.text).fixed("?", True),
               lambda i: (i.fixed("i"), i.array(read_group)))[1][0]


def list_groups(ask, states=(), types=()):
    def read_group(i):
        group = i.text(), i.text(), i.text(), i.text()
        i.tags()
        return group

    _, error, groups = ask(LIST_GROUPS, 5, True, lambda o: o.array(states, Out.text).array(types, Out.text),
                           lambda i: (i.fixed("i"), i.fixed("h"), i.array(read_group)))
    assert error == 0
    return {g[0]: g[1:] for g in groups}


def join(ask, group, member, topic, instance=None):
    """Returns (error, generation, leader, skip assignment, member id, members)."""
    metadata = struct.pack(">hih", 1, 1, len(topic)) + topic.encode() + struct.pack(">ii", -1, 0)

    def write(o):
        o.text(group).fixed("ii", 6000, 6000).text(member).text(instance).text("consumer")
        o.array(["range"], lambda o, p: o.text(p).bytes(metadata).tags()).text("a reason")

    def read_member(i):
        result = i.text(), i.text(), i.bytes()
        i.tags()
        return result

    def read(i):
        _, error, generation = i.fixed("ihi")
        _type, _protocol, leader = i.text(), i.text(), i.text()
        return error, generation, leader, i.fixed("?"), i.text(), i.array(read_member)

    return ask(JOIN_GROUP, 9, True, write, read)


def sync(ask, group, generation, member, assignments):
    def write(o):
        o.text(group).fixed("i", generation).text(member).text(None).text("consumer").text("range")
        o.array(list(assignments.items()), lambda o, a: o.text(a[0]).bytes(a[1]).tags())
    return ask(SYNC_GROUP, 5, True, write, lambda i: (i.fixed("i"), i.fixed("h"), i.text(), i.text(), i.bytes()))


def leave(ask, group, member):
    def read_member(i):
        result = i.text(), i.text(), i.fixed("h")
        i.tags()
        return result
    return ask(LEAVE_GROUP, 5, True,
               lambda o: o.text(group).array([member], lambda o, m: o.text(m).text(None).text("done").tags()),
               lambda i: (i.fixed("i"), i.fixed("h"), i.array(read_member)))[1:]


def enter(ask, group, topic):
    """Makes a stable group of one member; returns (member id, generation)."""
    error, _, _, _, member, _ = join(ask, group, "", topic)
    assert error == 79 and member.startswith("wire-")
    error, generation, leader, skip, joined, members = join(ask, group, member, topic)
    assert (error, leader, skip, joined, len(members)) == (0, member, False, member, 1)
    assert sync(ask, group, generation, member, {member: b"mine"})[1:] == (0, "consumer", "range", b"mine")
    return member, generation


def test_coordinators_of_many_groups_are_this_broker(ask, connection):
    def read(i):
        result = i.text(), i.fixed("i"), i.text(), i.fixed("i"), i.fixed("h"), i.text()
        i.tags()
        return result
    port = connection.getpeername()[1]
    find = lambda kind: ask(FIND_COORDINATOR, 5, True, lambda o: o.fixed("b", kind).array(["a", "b"], Out.text),
                            lambda i: (i.fixed("i"), i.array(read)))[1]
    assert find(0) == find(1) == [(key, 1, "127.0.0.1", port, 0, None) for key in ("a", "b")]
    assert [c[4] for c in find(2)] == [42, 42]


def test_offsets_of_several_groups_are_fetched_at_once(ask, topic):
    assert commit(ask, "one", topic, {0: 5, 1: 6}) == {0: 0, 1: 0}
    assert commit(ask, "two", topic, {1: 7}) == {1: 0}
    assert fetch_offsets(ask, [("one", {topic: [1, 0]}), ("two", None), ("none", {topic: [0], "nothing": [3]})]) == [
        ("one", {(topic, 1): (6, 3), (topic, 0): (5, 3)}, 0),
        ("two", {(topic, 1): (7, 3)}, 0),
        ("none", {(topic, 0): (-1, -1), ("nothing", 3): (-1, -1)}, 0)]


def test_a_commit_to_partitions_that_are_not_there_fails_for_these_alone(ask, topic):
    assert commit(ask, "some", topic, {0: 5, 2: 5, -1: 5}) == {0: 0, 2: 3, -1: 3}
    assert commit(ask, "some", "nothing", {0: 5}) == {0: 3}
    assert fetch_offsets(ask, [("some", None)])[0][1] == {(topic, 0): (5, 3)}


@pytest.mark.parametrize("version, error", [(8, 22), (9, 69)])
def test_a_member_of_a_group_that_is_gone_is_told_so_in_words_of_its_version(ask, topic, version, error):
    assert commit(ask, "gone", topic, {0: 1}, generation=1, member="somebody", version=version) == {0: error}


def test_offsets_are_deleted_unless_members_read_the_topic(ask, topic):
    group = topic
    assert delete_offsets(ask, group, topic, [0])[0] == 69
    commit(ask, group, topic, {0: 5, 1: 6})
    assert delete_offsets(ask, group, topic, [0, 9]) == (0, 0, [(topic, {0: 0, 9: 3})])
    assert fetch_offsets(ask, [(group, None)])[0][1] == {(topic, 1): (6, 3)}
    member, _ = enter(ask, group, topic)
    assert delete_offsets(ask, group, topic, [1]) == (0, 0, [(topic, {1: 86})])
    leave(ask, group, member)
    assert delete_offsets(ask, group, topic, [1]) == (0, 0, [(topic, {1: 0})])


def test_a_member_joins_commits_and_leaves(ask, topic):
    group = topic
    member, generation = enter(ask, group, topic)
    assert commit(ask, group, topic, {0: 1}, generation, member) == {0: 0}
    assert commit(ask, group, topic, {0: 1}, generation + 1, member) == {0: 22}
    assert commit(ask, group, topic, {0: 1}, generation, "stranger") == {0: 25}
    assert commit(ask, group, topic, {0: 1}) == {0: 25}
    error, state, kind, protocol, members, operations = describe_group(ask, group)
    assert (error, state, kind, protocol) == (0, "Stable", "consumer", "range")
    assert [(m[0], m[2], m[3], m[5]) for m in members] == [(member, "wire", "/127.0.0.1", b"mine")]
    assert operations == 1 << 3 | 1 << 6 | 1 << 8
    assert leave(ask, group, member) == (0, [(member, None, 0)])
    assert leave(ask, group, member) == (0, [(member, None, 25)])
    assert describe_group(ask, group)[:2] == (0, "Empty")


def test_a_static_member_that_comes_back_keeps_its_place(ask, topic):
    group = topic
    error, generation, leader, _, member, _ = join(ask, group, "", topic, instance="seat-1")
    assert error == 0 and member.startswith("seat-1-")
    sync(ask, group, generation, member, {member: b"mine"})
    error, again, leader, skip, successor, _ = join(ask, group, "", topic, instance="seat-1")
    assert (error, again, skip, leader) == (0, generation, True, successor) and successor != member
    assert commit(ask, group, topic, {0: 1}, generation, member)[0] in (25, 82)


def test_groups_are_listed_by_state_and_type(ask, topic):
    group, simple = topic, topic + "-simple"
    enter(ask, group, topic)
    commit(ask, simple, topic, {0: 1})
    stable, empty = list_groups(ask, ["stable"]), list_groups(ask, ["EMPTY", "Assigning"])
    assert stable[group] == ("consumer", "Stable", "classic") and simple not in stable
    assert empty[simple] == ("", "Empty", "classic") and group not in empty
    assert {group, simple} <= set(list_groups(ask)) == set(list_groups(ask, types=["Classic", "share"]))
    assert list_groups(ask, ["Assigning"]) == list_groups(ask, types=["share"]) == {}


def test_an_unknown_group_is_an_error_in_new_versions(ask):
    assert describe_group(ask, "nobody")[:2] == (69, "Dead")


def test_no_election_is_needed(ask, topic):
    def read_partition(i):
        result = i.fixed("ih")
        assert i.text()
        i.tags()
        return result

    def read_topic(i):
        result = i.text(), i.array(read_partition)
        i.tags()
        return result

    def write(o):
        o.fixed("b", 0)
        o.array([topic], lambda o, t: o.text(t).array([0, 1, 2], lambda o, p: o.fixed("i", p)).tags())
        o.fixed("i", 1000)

    assert ask(ELECT_LEADERS, 2, True, write, lambda i: (i.fixed("i"), i.fixed("h"), i.array(read_topic)))[1:] == (
        0, [(topic, [(0, 84), (1, 84), (2, 3)])])


# ---- what administrators' tools ask

def test_topics_are_described_page_by_page(ask, topic):
    def write(cursor):
        def write_cursor(o):
            if cursor is None:
                return o.fixed("b", -1)
            return o.fixed("b", 1).text(cursor[0]).fixed("i", cursor[1]).tags()
        return lambda o: write_cursor(o.array([topic], lambda o, t: o.text(t).tags()).fixed("i", 1))

    def read_partition(i):
        error, index, leader, _epoch = i.fixed("hiii")
        replicas, isr = i.array(lambda i: i.fixed("i")), i.array(lambda i: i.fixed("i"))
        elr, last_known, offline = (i.array(lambda i: i.fixed("i")) for _ in range(3))
        i.tags()
        assert (error, leader, replicas, isr, elr, last_known, offline) == (0, 1, [1], [1], [], [], [])
        return index

    def read_topic(i):
        error, name, topic_id, internal = i.fixed("h"), i.text(), i.take(16), i.fixed("?")
        partitions, operations = i.array(read_partition), i.fixed("i")
        i.tags()
        assert (error, name, internal) == (0, topic, False) and any(topic_id) and operations > 0
        return partitions

    def read(i):
        assert i.fixed("i") == 0
        pages = i.array(read_topic)
        if i.fixed("b") < 0:
            return pages, None
        cursor = i.text(), i.fixed("i")
        i.tags()
        return pages, cursor

    assert ask(DESCRIBE_TOPIC_PARTITIONS, 0, True, write(None), read) == ([[0]], (topic, 1))
    assert ask(DESCRIBE_TOPIC_PARTITIONS, 0, True, write((topic, 1)), read) == ([[1]], None)


def test_resources_with_configs_are_listed(ask, topic):
    def read_resource(i):
        resource = i.text(), i.fixed("b")
        i.tags()
        return resource

    listed = ask(LIST_CONFIG_RESOURCES, 1, True, lambda o: o.array([], None),
                 lambda i: (i.fixed("ih"), i.array(read_resource)))
    assert listed[0] == (0, 0)
    assert (topic, TOPIC) in listed[1] and ("1", BROKER) in listed[1]
    old = ask(LIST_CONFIG_RESOURCES, 0, True, lambda o: None, lambda i: (i.fixed("ih"), i.array(In.text)))
    assert old == ((0, 0), [])


def test_a_partition_without_numbered_batches_has_no_producers(ask, topic):
    def read_partition(i):
        partition = i.fixed("ih"), i.text(), i.array(lambda i: pytest.fail("nobody wrote"))
        i.tags()
        return partition

    def read_topic(i):
        result = i.text(), i.array(read_partition)
        i.tags()
        return result

    def write(o):
        o.array([topic], lambda o, t: o.text(t).array([0, 2], lambda o, p: o.fixed("i", p)).tags())

    assert ask(DESCRIBE_PRODUCERS, 0, True, write, lambda i: (i.fixed("i"), i.array(read_topic))) == (
        0, [(topic, [((0, 0), None, []), ((2, 3), None, [])])])
