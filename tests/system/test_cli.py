"""What a person meets at the command line: start, refusals that say what to do, stop."""
import shutil
import signal
import socket
import subprocess
import urllib.request

import pytest

from harness import BINARY, Broker, run, scratch_dir, wait_for

LISTEN = ["--listen", "kafka=127.0.0.1:0", "--listen", "admin=127.0.0.1:0"]


@pytest.fixture
def folder():
    path = scratch_dir("cli")
    yield path
    shutil.rmtree(path)


def refused(*args):
    """The error of a `polylog serve` that must not start: a non-zero exit and one line that says why."""
    result = run(BINARY, "serve", *args, seconds=15, check=False)
    assert result.returncode > 0, f"exit code {result.returncode}"
    assert b"polylog ready" not in result.stdout
    text = result.stderr.decode()
    errors = [line for line in text.splitlines() if " info " not in line and " debug " not in line]
    assert len(errors) == 1, f"one line should say what is wrong, not:\n{text}"
    return errors[0]


def test_a_second_process_on_one_data_dir_is_refused():
    with Broker() as broker:
        assert str(broker.data_dir) in refused("--data-dir", broker.data_dir, *LISTEN)
        assert broker.http("/healthz")[0] == 200


def test_a_data_dir_is_free_again_after_kill():
    with Broker() as broker:
        broker.kill()
        broker.start()


def test_a_taken_port_is_named(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in refused("--data-dir", folder / "data", "--listen", f"kafka=127.0.0.1:{port}")


def test_an_unknown_key_is_named(folder):
    assert "no.such_key" in refused("--data-dir", folder / "data", *LISTEN, "--set", "no.such_key=1")


def test_an_unknown_key_in_the_config_file_is_named(folder):
    config = folder / "polylog.toml"
    config.write_text("no_such_key = 1\n")
    assert "no_such_key" in refused("--data-dir", folder / "data", *LISTEN, "--config", config)


def test_a_bad_value_is_named(folder):
    assert "memory_bytes_max" in refused("--data-dir", folder / "data", *LISTEN, "--set", "memory_bytes_max=many")


def test_an_unknown_listener_is_named(folder):
    assert "telex" in refused("--data-dir", folder / "data", "--listen", "telex=127.0.0.1:0")


def test_a_data_dir_that_cannot_be_written_is_named(folder):
    # Below a plain file: refused to root as well.
    (folder / "file").write_text("")
    assert str(folder / "file") in refused("--data-dir", folder / "file" / "data", *LISTEN)


def test_an_unknown_option_and_an_unknown_verb_are_refused(folder):
    assert run(BINARY, "serve", "--no-such-option", seconds=15, check=False).returncode > 0
    assert run(BINARY, "no-such-verb", seconds=15, check=False).returncode > 0


def test_help_names_the_options():
    text = run(BINARY, "serve", "--help", seconds=15).stdout.decode()
    for option in ("--config", "--data-dir", "--listen", "--advertise", "--set", "--cores", "--durability"):
        assert option in text


def test_port_zero_picks_a_free_one():
    with Broker() as one, Broker() as two:
        ports = [*one.ports.values(), *two.ports.values()]
        assert len(ports) == 6 and len(set(ports)) == 6 and 0 not in ports
        for broker in (one, two):
            for listener in broker.ports:
                broker.connect(listener).close()


def test_listen_replaces_all_default_listeners():
    with Broker(listeners=("kafka",)) as broker:
        assert set(broker.ports) == {"kafka"}


def test_one_line_on_stdout():
    with Broker() as broker:
        process = broker.process
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        assert (process.stdout.read() or b"") == b""


def test_sigterm_ends_it_with_exit_code_zero():
    with Broker() as broker:
        broker.stop()


def test_sigterm_ends_it_under_connections_that_stay():
    with Broker() as broker:
        idle = [broker.connect("kafka") for _ in range(20)]
        broker.stop()
        for connection in idle:
            connection.close()


def test_sigint_ends_it_too():
    with Broker() as broker:
        broker.process.send_signal(signal.SIGINT)
        assert broker.reap(10) == 0


def test_it_starts_again_on_its_data_dir_ten_times():
    with Broker() as broker:
        for _ in range(10):
            broker.restart()


def test_ready_within_a_second_on_an_empty_dir():
    seconds = []
    for _ in range(3):
        with Broker() as broker:
            seconds.append(broker.ready_seconds)
    assert min(seconds) <= 1.0


def test_health_readiness_and_metrics_answer():
    with Broker() as broker:
        assert broker.http("/healthz")[0] == 200
        assert broker.http("/readyz")[0] == 200
        assert broker.http("/no-such-page")[0] == 404
        status, text = broker.http("/metrics")
        assert status == 200
        samples = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert samples and "# TYPE " in text
        for sample in samples:
            float(sample.rsplit(" ", 1)[1])


def test_metrics_are_prometheus_text():
    with Broker() as broker:
        with urllib.request.urlopen(f"http://{broker.address('admin')}/metrics", timeout=5) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")


def test_at_rest_it_keeps_below_60_megabytes():
    with Broker() as broker:
        assert broker.memory_bytes() <= 60 * 1024 * 1024


def test_settings_come_from_a_config_file_and_the_command_line_wins(folder):
    config = folder / "polylog.toml"
    config.write_text("[kafka]\nnum_partitions = 3\n")
    for args, expected in (([], 3), (["--set", "kafka.num_partitions=5"], 5)):
        with Broker("--config", str(config), *args) as broker:
            run("kcat", "-P", "-b", broker.address("kafka"), "-t", "made", input=b"x\n")
            wait_for(lambda: f'topic "made" with {expected} partitions' in run(
                "kcat", "-L", "-b", broker.address("kafka")).stdout.decode(), 5, f"{expected} partitions")


@pytest.mark.parametrize("durability", ["commit", "interval"])
def test_both_durabilities_start(durability):
    with Broker("--durability", durability) as broker:
        broker.restart()


def test_cores_can_change_between_starts():
    with Broker("--cores", "1") as broker:
        run("kcat", "-P", "-b", broker.address("kafka"), "-t", "kept", input=b"one\ntwo\n")
        broker.stop()
        broker.args = ["--cores", "2"]
        broker.start()
        out = run("kcat", "-C", "-q", "-e", "-o", "beginning", "-b", broker.address("kafka"), "-t", "kept").stdout
        assert out == b"one\ntwo\n"


def test_the_binary_is_dynamically_linked_to_libc():
    assert b"libc.so.6" in subprocess.run(["ldd", str(BINARY)], capture_output=True, check=True).stdout
