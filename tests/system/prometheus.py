"""Reads /metrics, and runs Prometheus's own checker over what the project writes for it."""
import re
import subprocess

from harness import BUILD

PROMTOOL = BUILD / "tools" / "promtool"  # tools/dev/install.sh test


def families(text):
    """{name: kind} of all that a page shows."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))


def samples(text):
    """{(name, frozenset of (label, value))): number}"""
    found = {}
    for name, labels, number in re.findall(r"^([a-z]\w*)(?:\{(.*)\})? (\S+)$", text, re.M):
        pairs = frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels))
        assert (name, pairs) not in found, f"{name} {labels} is there twice"
        found[name, pairs] = float(number)
    return found


def value(page, name, **labels):
    """The sum of all samples of that name that have these labels; 0 if there is none."""
    return sum(number for (found, pairs), number in samples(page).items()
               if found == name and pairs >= set(labels.items()))


def metric_of(sample):
    """polylog_x_seconds_bucket -> polylog_x_seconds"""
    return re.sub(r"_(bucket|sum|count)$", "", sample)


def promtool(*args, input=None, cwd=None):
    assert PROMTOOL.exists(), "no promtool: run `bash tools/dev/install.sh test`"
    done = subprocess.run([PROMTOOL, *map(str, args)], input=input, capture_output=True, timeout=60, text=True, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
