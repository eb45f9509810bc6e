"""The alert rules and the dashboard: valid, about metrics that exist, and the rules fire when they should."""
import json
import re
import shutil

import pytest

from harness import ROOT
from prometheus import metric_of, promtool

ALERTS = ROOT / "docs/prometheus/alerts.yml"
DASHBOARD = ROOT / "docs/grafana/polylog.json"
OF_PROMETHEUS = {"up", "ALERTS"}
NAME = re.compile(r"\b((?:polylog|process)_\w+|up|ALERTS)\b")


@pytest.fixture(scope="module")
def documented():
    """{name: kind}; test_metrics.py checks them against the broker."""
    return dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.M))


def panels():
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions():
    """(where, PromQL) of the dashboard's panels and variables."""
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]


def test_the_rules_are_valid():
    assert "SUCCESS" in promtool("check", "rules", ALERTS)


def test_each_rule_fires_when_it_should_and_not_before(tmp_path):
    for file in (ALERTS, ROOT / "tests/system/rules/alerts_test.yml"):
        shutil.copy(file, tmp_path)
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml", cwd=tmp_path)


def test_each_rule_has_a_test_in_which_it_fires():
    rules = set(re.findall(r"- alert: (\w+)", ALERTS.read_text()))
    fired = set(re.findall(r'alertname="(\w+)"', (ROOT / "tests/system/rules/alerts_test.yml").read_text()))
    assert rules == fired and len(rules) > 8


def test_the_rules_name_only_metrics_that_exist(documented):
    for name in NAME.findall(re.sub(r"#.*", "", ALERTS.read_text())):
        assert name in OF_PROMETHEUS or metric_of(name) in documented, name


def test_the_dashboard_names_only_metrics_that_exist_as_what_they_are(documented):
    for where, expression in expressions():
        names = NAME.findall(expression)
        assert names, f"{where}: {expression}"
        for name in names:
            kind = documented.get(name) or documented.get(metric_of(name))
            assert kind or name in OF_PROMETHEUS, f"{where}: {name}"
            assert (kind == "histogram") == (name != metric_of(name)), f"{where}: {name} is a {kind}"
            if kind == "counter":
                assert re.search(rf"(rate|increase)\({name}\b", expression), f"{where}: {name} without a rate"


def test_the_dashboards_expressions_are_valid_promql(tmp_path):
    rules = {"groups": [{"name": "dashboard", "rules": [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m").replace("$instance", ".*")}
        for number, (where, expression) in enumerate(expressions()) if "label_values" not in expression]}]}
    file = tmp_path / "dashboard.yml"
    file.write_text(json.dumps(rules))  # JSON is YAML
    assert "SUCCESS" in promtool("check", "rules", file)


def test_every_panel_says_its_unit_and_does_not_overlap_another():
    taken = set()
    for panel in panels():
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels()) > 15
