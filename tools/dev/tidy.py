"""Rules that no compiler checks: `tidy.py [--fix | --rules]`.

Formatting (clang-format, not with --rules), the one direction of includes, outside headers kept to their layer, words of
protocols kept out of the engine, and file sizes. Prints what breaks a rule, then counts one case a rule.
"""
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
LAYERS = ["base", "io", "http", "storage", "broker", "protocol", "server"]
LOAD = "load"  # a client beside the layers: it includes base alone, and the server's command line alone includes it
SHARED_PROTOCOL_DIRS = {"aws", "management"}
NEUTRAL_DIRS = ["base", "io", "storage", "broker"]
LINES_MAX = 800

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)
# Long words are caught anywhere, short ones only where a word can begin and end ("redistribute" is fine).
FORBIDDEN = re.compile(
    r"(?i:kafka|rabbitmq|amqp|mqtt|kinesis)"
    r"|(?<![A-Za-z])(?i:sqs|sns|nats|redis|pulsar|stomp)(?![a-z])"
    r'|"x-[a-z]'
)
# Header prefix -> the layers whose .cc files may include it.
OUTSIDE = {
    "boost/asio": ["io", "http"],  # http: the buffers that Beast parses
    "boost/beast": ["http"],
    "openssl/": ["io"],
    "sys/epoll": ["io"],
    "liburing": ["io"],
    "rocksdb/": ["storage"],
}


def sources(*suffixes):
    return sorted(p for p in SRC.rglob("*") if p.suffix in suffixes and p.is_file())


def is_test(path):
    return path.stem.endswith("_test")


def layer_of(path):
    return path.relative_to(SRC).parts[0]


def where(path, text="", position=0):
    return f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, position) + 1}"


def wrong_direction(path, included):
    """Why `path` may not include "included", or None."""
    own, target = path.relative_to(SRC).parts, included.split("/")
    if own[0] == LOAD:
        return None if target[0] in (LOAD, "base") or target[0] not in LAYERS else f"{LOAD} may include base only"
    if target[0] == LOAD:
        return None if own[:2] == ("server", "cli") else f"server/cli alone may include {LOAD}"
    if target[0] not in LAYERS or own[0] not in LAYERS:
        return None
    if LAYERS.index(target[0]) > LAYERS.index(own[0]):
        return f"{own[0]} may not include {target[0]}"
    if own[0] == target[0] == "protocol" and own[1] != target[1] and target[1] not in SHARED_PROTOCOL_DIRS:
        return f"protocol/{own[1]} may not include protocol/{target[1]}"
    return None


def includes_point_one_way():
    for path in sources(".h", ".cc"):
        if is_test(path):
            continue
        text = path.read_text()
        for match in INCLUDE.finditer(text):
            if match[1] == '"' and (why := wrong_direction(path, match[2])):
                yield f"{where(path, text, match.start())}: {why}"


def outside_headers_stay_in_their_layer():
    for path in sources(".h", ".cc"):
        if is_test(path):
            continue
        text = path.read_text()
        for match in INCLUDE.finditer(text):
            for prefix, layers in OUTSIDE.items():
                if match[2].startswith(prefix) and (path.suffix == ".h" or layer_of(path) not in layers):
                    yield f"{where(path, text, match.start())}: <{match[2]}> belongs in .cc files of {', '.join(layers)}"


def the_engine_knows_no_protocol():
    for path in sources(".h", ".cc"):
        if is_test(path) or layer_of(path) not in NEUTRAL_DIRS:
            continue
        text = path.read_text()
        for match in FORBIDDEN.finditer(text):
            yield f"{where(path, text, match.start())}: '{match[0]}' is a protocol's word"


def files_are_small():
    for path in sources(".h", ".cc"):
        lines = path.read_text().count("\n")
        if lines > LINES_MAX and "gen" not in path.parts:
            yield f"{where(path)}: {lines} lines, more than {LINES_MAX}"


def files_are_formatted(fix=False):
    files = [p for p in sources(".h", ".cc") if "gen" not in p.parts]
    for folder in ("tests", "bench"):
        files += sorted((ROOT / folder).rglob("*.cc")) + sorted((ROOT / folder).rglob("*.h"))
    if not files:
        return
    command = ["clang-format-19"] + (["-i"] if fix else ["--dry-run", "--Werror", "--ferror-limit=1"])
    result = subprocess.run(command + [str(f) for f in files], capture_output=True, text=True)
    for line in result.stderr.splitlines():
        if "error:" in line:
            yield os.path.relpath(line.split(": error")[0], ROOT) + ": not as clang-format has it (./dev tidy --fix)"


def main():
    rules = [
        includes_point_one_way,
        outside_headers_stay_in_their_layer,
        the_engine_knows_no_protocol,
        files_are_small,
    ]
    if "--rules" not in sys.argv:
        rules.append(lambda: files_are_formatted("--fix" in sys.argv))
    failed = 0
    for rule in rules:
        broken = list(rule())
        failed += bool(broken)
        print(*broken, sep="\n", end="\n" if broken else "")
    print(f"{len(rules) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
