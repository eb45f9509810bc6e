"""Where librdkafka's own test programs come from, and how they are built: one directory a release, under build/conform.

Nothing of it is part of this repository. Debian's release comes as a source package, through apt with lists of its own, so
that the system's sources stay as they are; the newer one lies in the client package for Node, which bundles it.
"""
import os
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from clients import BuildFailed, Unavailable, install_run, need, provide

APT_ENTRY = re.compile(r"^(?:URIs|Signed-By):.*$", re.M)
BUILD_TOOLS = ("gcc", "g++", "make")  # and packages of that name
HEADERS_PACKAGE = "rapidjson-dev"
BUILD_SECONDS_MAX = 1200  # a part


@dataclass
class Release:
    name: str
    version: str
    fetch: Callable  # (empty directory) -> the directory of the sources below it


def system_entries():
    """The entries of the system's package sources, in either format, as the deb822 fields that a source package needs."""
    suite = re.search(r"^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text(), re.M)
    if not suite:
        raise Unavailable("/etc/os-release names no release of Debian")
    suite = suite[1]
    for path in Path("/etc/apt").glob("sources.list.d/*.sources"):
        for entry in re.split(r"\n\s*\n", path.read_text()):
            if re.search(rf"^Suites:(.*\s)?{suite}(\s|$)", entry, re.M):
                yield [*APT_ENTRY.findall(entry), f"Suites: {suite}"]
    for path in [Path("/etc/apt/sources.list"), *Path("/etc/apt").glob("sources.list.d/*.list")]:
        for line in path.read_text().splitlines() if path.exists() else []:
            if match := re.match(rf"deb\s+(?:\[.*\]\s+)?(\S+)\s+{suite}\s", line):
                yield [f"URIs: {match[1]}", f"Suites: {suite}"]


def private_apt(home):
    """The options that make apt use lists and a cache below `home`, with source packages beside the system's packages."""
    for part in ("sources", "state/lists/partial", "cache/archives/partial"):
        (home / part).mkdir(parents=True, exist_ok=True)
    entries = ["\n".join(["Types: deb-src", "Components: main", *fields]) for fields in system_entries()]
    if not entries:
        raise Unavailable("apt has no sources of this release of Debian")
    (home / "sources/source.sources").write_text("\n\n".join(entries) + "\n")
    options = {"Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": home / "sources", "Dir::State": home / "state",
               "Dir::State::status": "/var/lib/dpkg/status", "Dir::Cache": home / "cache", "APT::Sandbox::User": "root"}
    return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]


def fetch_debian(version):
    def fetch(home):
        need("apt-get")
        need("dpkg-source")
        apt = ["apt-get", "-q", *private_apt(home / "apt")]
        install_run([*apt, "update"])
        install_run([*apt, "source", f"librdkafka={version}-1"], cwd=home)
        return home / f"librdkafka-{version}"
    return fetch


def fetch_npm(package):
    def fetch(home):
        need("npm")
        install_run(["npm", "pack", "--silent", "--pack-destination", home, package])
        for archive in home.glob("*.tgz"):
            with tarfile.open(archive) as tar:
                tar.extractall(home, filter="data")
        return home / "package/deps/librdkafka"
    return fetch


def headers(home):
    """The headers with which some tests read statistics; taken out of Debian's package, which is not installed for it."""
    need("apt-get")
    install_run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", HEADERS_PACKAGE], cwd=home)
    for package in home.glob(f"{HEADERS_PACKAGE}_*.deb"):
        install_run(["dpkg-deb", "-x", package, home / "headers"])
    return home / "headers/usr/include"


def build(source, include):
    """The test program, linked with the library beside it."""
    environment = {**os.environ, "TERM": "dumb", "CPPFLAGS": f"-isystem {include}"}
    log_path = source / "build.log"
    with open(log_path, "wb") as log:
        for command in (["bash", "./configure"], *(["nice", "make", "-j2", "-C", *part]
                                                   for part in (["src"], ["src-cpp"], ["tests", "test-runner"]))):
            try:
                subprocess.run(command, cwd=source, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                               timeout=BUILD_SECONDS_MAX, check=True)
            except subprocess.SubprocessError as error:
                raise BuildFailed(f"{error}: {log_path} tells") from None


def installed(release, out):
    """The directory of the release's built tests; fetched and built the first time."""
    home = out / f"librdkafka-{release.version}"
    stamp = home / "complete"
    if not stamp.exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        provide(*BUILD_TOOLS)
        source = release.fetch(home)
        build(source, headers(home))
        stamp.write_text(str((source / "tests").relative_to(home)))
    return home / stamp.read_text()


RELEASES = [
    Release("librdkafka-debian", "2.0.2", fetch_debian("2.0.2")),
    Release("librdkafka-npm", "2.15.1", fetch_npm("@confluentinc/kafka-javascript@1.10.1")),
]
