"""The Debian package and the container files: what is in them, and that the package lives well from install to purge."""
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml

from harness import BINARY, BUILD, ROOT, run
from prometheus import promtool

PACKAGING = ROOT / "packaging"
LIFE = ROOT / "tests/system/package/life.sh"
EXPOSURE_MAX = 20  # of 100


# The mounts of life.sh, in a namespace that ends with the probe.
PROBE = """set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount --rbind /proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
"""


def may_unshare():
    scratch = tempfile.mkdtemp(dir=BUILD)
    try:
        return subprocess.run(["unshare", "--mount", "--net", "bash", "-c", PROBE, "probe", scratch],
                              capture_output=True).returncode == 0
    finally:
        os.rmdir(scratch)


@pytest.fixture(scope="module")
def debs(tmp_path_factory):
    """(older, newer): the release build as two versions."""
    folder = tmp_path_factory.mktemp("debs")
    for version in ("0.0.1", "0.0.2"):
        run("cpack", "--config", BUILD / "release/CPackConfig.cmake", "-G", "DEB", "-B", folder, "-D",
            f"CPACK_PACKAGE_VERSION={version}", seconds=300)
    older, newer = sorted(folder.glob("*.deb"))
    return older, newer


@pytest.fixture(scope="module")
def unpacked(debs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    run("dpkg-deb", "-R", debs[1], folder)
    return folder


def read_yaml(path):
    return yaml.safe_load(path.read_text())


def test_the_configuration_in_the_package_is_what_the_program_says_and_sets_the_data_directory_only(unpacked):
    text = (unpacked / "etc/polylog/polylog.toml").read_text()
    assert text == run(BINARY, "settings", "--toml", "--set", "data_dir=/var/lib/polylog").stdout.decode()
    assert re.findall(r"^[^#\n].*", text, re.M) == ['data_dir = "/var/lib/polylog"']
    listed = re.findall(r"^(\S+) = ", run(BINARY, "settings").stdout.decode(), re.M)
    assert sorted(re.findall(r'^#?"?([a-z_.]+)"? = ', text, re.M)) == sorted(listed)
    assert (unpacked / "DEBIAN/conffiles").read_text() == "/etc/polylog/polylog.toml\n"


def test_the_package_depends_on_the_libraries_it_links(unpacked):
    control = (unpacked / "DEBIAN/control").read_text()
    for name in ("libc6", "libstdc++6", "libfmt9", "libzstd1", "liblz4-1", "libsnappy1v5", "init-system-helpers"):
        assert re.search(rf"^Depends:.*\b{re.escape(name)}(?![\w-])", control, re.M), name


def test_the_package_holds_these_files_and_no_others(unpacked):
    files = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    doc = "usr/share/doc/polylog/"
    wanted = {"usr/bin/polylog", "etc/polylog/polylog.toml", "usr/lib/systemd/system/polylog.service",
              "usr/lib/sysusers.d/polylog.conf", doc + "copyright", doc + "README.md", doc + "CHANGELOG.md",
              doc + "examples/alerts.yml", doc + "examples/polylog.json",
              *(f"usr/share/man/man1/polylog{group}.1.gz" for group in ("", "-stream", "-group", "-queue"))}
    assert {name for name in files if not name.startswith("DEBIAN/")} == wanted


def test_the_unit_leaves_little_open():
    run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", PACKAGING / "polylog.service")


def test_the_maintainer_scripts_are_valid_shell():
    for name in ("postinst", "prerm", "postrm"):
        run("sh", "-n", PACKAGING / "debian" / name)


@pytest.mark.skipif(not may_unshare(), reason="needs root, and a kernel that lets it unshare mounts and network")
def test_the_package_installs_serves_upgrades_with_its_data_and_leaves_nothing_when_purged(debs):
    scratch = tempfile.mkdtemp(dir=BUILD)
    try:
        done = subprocess.run(["unshare", "--mount", "--net", "bash", LIFE, *debs, scratch], capture_output=True, timeout=300,
                              text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0 and done.stdout.endswith("ok the end\n"), done.stdout + done.stderr
        assert "not ok" not in done.stdout and done.stdout.count("ok ") == LIFE.read_text().count("\ncheck ") + 1
    finally:
        shutil.rmtree(scratch)


def instructions():
    text = re.sub(r"^#.*\n", "", (PACKAGING / "Dockerfile").read_text(), flags=re.M).replace("\\\n", " ")
    return [line.split(None, 1) for line in text.splitlines() if line.strip()]


def test_the_image_is_built_from_this_checkout_and_does_not_run_as_root():
    found = instructions()
    assert [rest for verb, rest in found if verb == "FROM"] == ["debian:bookworm-slim AS build", "debian:bookworm-slim"]
    assert any(verb == "RUN" and "./dev build release" in rest for verb, rest in found)
    assert [rest for verb, rest in found if verb == "USER"] == ["polylog"]
    for verb, rest in found:
        if "apt-get install" in rest:  # nothing left in the layer, nothing beyond what is named
            assert "--no-install-recommends" in rest and "rm -rf /var/lib/apt/lists/*" in rest and "-y" in rest
    assert (PACKAGING / "Dockerfile.dockerignore").read_text().split()[0] == "build"


def test_the_images_command_is_one_that_the_program_takes(tmp_path, unpacked):
    verbs = dict(instructions())
    command = json.loads(verbs["ENTRYPOINT"]) + read_yaml(PACKAGING / "compose.yml")["services"]["polylog"]["command"]
    assert command[0] == "/" + str(Path("usr/bin/polylog")) and (unpacked / command[0][1:]).exists()
    listened = {re.search(r":(\d+)$", word)[1] for word in command if word.startswith(("kafka=0", "amqp=0", "admin=0"))}
    assert set(verbs["EXPOSE"].split()) == listened
    arguments = [str(unpacked / word[1:]) if word.startswith("/etc") else word for word in command[1:]]
    # The last flag is read after all others: an error about it says that they were taken.
    refused = run(BINARY, *arguments, "--durability", "no-such", check=False)
    assert refused.returncode == 2 and b"durability: 'no-such'" in refused.stderr


def test_compose_mounts_what_exists_and_prometheus_can_read_it(tmp_path):
    compose = read_yaml(PACKAGING / "compose.yml")
    assert set(compose["services"]) == {"polylog", "prometheus", "grafana"}
    build = compose["services"]["polylog"]["build"]
    assert (PACKAGING / build["context"]).resolve() == ROOT and (ROOT / build["dockerfile"]).exists()
    targets = {}
    for name, service in compose["services"].items():
        for volume in service["volumes"]:
            source, target = volume.split(":")[:2]
            assert source in compose["volumes"] or (PACKAGING / source).is_file(), volume
            targets[target] = PACKAGING / source
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), "no login: loopback only"
        assert set(service.get("depends_on", [])) <= set(compose["services"])
    for target in ("/etc/prometheus/prometheus.yml", "/etc/prometheus/alerts.yml"):
        shutil.copy(targets[target], tmp_path)
    assert "SUCCESS" in promtool("check", "config", tmp_path / "prometheus.yml")
    dashboards = read_yaml(targets["/etc/grafana/provisioning/dashboards/polylog.yml"])["providers"][0]["options"]["path"]
    assert dashboards + "/polylog.json" in targets
    source, = read_yaml(targets["/etc/grafana/provisioning/datasources/polylog.yml"])["datasources"]
    assert source["type"] == "prometheus" and source["url"] == "http://prometheus:9090"
