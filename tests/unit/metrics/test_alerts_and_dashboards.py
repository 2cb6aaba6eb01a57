"""Alert rules and dashboards: they name metrics, labels and values that exist, and promtool agrees with each."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from endocrine.pipeline.views.metrics.catalogue import GATEWAY_METRICS, METRICS, OTHER, WORDS, Metric
from reference.alert_tests import alert_tests
from reference.markdown import anchor

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "docker" / "prometheus"
BOARDS = sorted((ROOT / "docker" / "grafana" / "dashboards").glob("*.json"))
RULES = [rule for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
CASES = yaml.safe_load((PROMETHEUS / "alert-cases.yml").read_text())
SAMPLES = {
    f"{metric.name}{end}": metric
    for metric in (*METRICS, *GATEWAY_METRICS)
    for end in (("_bucket", "_count", "_sum") if metric.kind == "histogram" else ("",))
}
SAMPLES["up"] = Metric("up", "gauge", (), "Prometheus' own: whether a target answered.")
TARGET = {"job", "instance"}
"""Labels that Prometheus adds to all."""
_NAMES = re.compile(r"\b(endocrine_[a-z_]+|up)\b(?:\{([^}]*)\})?")
_MATCH = re.compile(r'([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian's package prometheus)")


def panels(board):
    return [panel for panel in json.loads(board.read_text())["panels"] if "targets" in panel]


QUERIES = [
    pytest.param(target["expr"], target["legendFormat"], id=f"{board.stem}: {panel['title']} {target['refId']}")
    for board in BOARDS
    for panel in panels(board)
    for target in panel["targets"]
]


def check_names(expression, shown):
    """Fail where the expression, or a label that is shown, names something that is not on the list."""
    found = _NAMES.findall(expression)
    assert found
    labels = {"le", *TARGET}
    for name, matchers in found:
        metric = SAMPLES[name]
        labels |= set(metric.labels)
        for label, operator, value in _MATCH.findall(matchers):
            assert label in {*metric.labels, *TARGET}
            gateway = metric in GATEWAY_METRICS
            for word in value.split("|") if operator in ("=~", "!~") else [value]:
                assert label in TARGET or gateway or word in (*WORDS[label], OTHER)
    for grouped in re.findall(r"by \(([a-z_, ]+)\)", expression):
        assert set(re.split(r",\s*", grouped)) <= labels
    assert set(shown) <= labels


def checked(arguments, folder=None):
    """Run promtool; its output where it is content, else the test fails with it."""
    ran = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, cwd=folder, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_every_alert_has_a_name_of_its_own_a_severity_and_words_for_a_person():
    assert len({rule["alert"] for rule in RULES}) == len(RULES) > 5
    for rule in RULES:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_an_alert_names_metrics_labels_and_values_that_exist(rule):
    check_names(rule["expr"], re.findall(r"\$labels\.([a-z_]+)", " ".join(rule["annotations"].values())))


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_an_alert_has_a_heading_of_its_own_in_the_runbooks(rule):
    page, _, part = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert part == anchor(rule["alert"])
    assert part in {anchor(heading) for heading in headings}


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not():
    assert CASES
    assert set(CASES) == {rule["alert"] for rule in RULES}
    tests = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
    outcomes = {name: set() for name in CASES}
    for test in tests:
        for case in test["alert_rule_test"]:
            outcomes[case["alertname"]].add(bool(case["exp_alerts"]))
    assert set(map(frozenset, outcomes.values())) == {frozenset((True, False))}


def test_the_cases_name_series_that_exist():
    for case in CASES.values():
        for series in (*case["fires"], *case["quiet"]):
            name, _, labels = series.partition("{")
            given = {label for label, _, _ in _MATCH.findall(labels)}
            assert given <= {"le", *SAMPLES[name].labels, *TARGET}


@pytest.mark.slow  # five seconds of processor; which alert has which case is tried above, and one changed rule below
@promtool
def test_promtool_has_each_alert_fire_and_stay_quiet():
    assert "SUCCESS" in checked(["test", "rules", PROMETHEUS / "alerts_test.yml"])


@promtool
def test_a_rule_that_is_changed_fails_its_test(tmp_path):
    rules = (PROMETHEUS / "alerts.yml").read_text()
    broken = rules.replace("endocrine_lag_records) > 10000", "endocrine_lag_records) > 20000")
    assert broken != rules
    (tmp_path / "alerts.yml").write_text(broken)
    document = yaml.safe_load(alert_tests(rules, (PROMETHEUS / "alert-cases.yml").read_text()))
    document["tests"] = [one for one in document["tests"] if one["name"].startswith("EndocrineLag ")]
    (tmp_path / "alerts_test.yml").write_text(yaml.safe_dump(document))
    ran = subprocess.run(
        ["promtool", "test", "rules", str(tmp_path / "alerts_test.yml")], capture_output=True, text=True, timeout=120
    )
    assert ran.returncode != 0
    assert "EndocrineLag" in ran.stdout + ran.stderr


@promtool
def test_the_scrape_configuration_is_one_and_finds_its_rules():
    checked(["check", "config", PROMETHEUS / "prometheus.yml"])


def test_the_example_of_alertmanager_sends_each_severity_to_a_webhook():
    config = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text())
    receivers = {one["name"]: one["webhook_configs"] for one in config["receivers"]}
    assert {config["route"]["receiver"], *(route["receiver"] for route in config["route"]["routes"])} == set(receivers)
    alerts = {rule["alert"] for rule in RULES}
    for rule in config["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            assert set(re.findall(r"Endocrine[A-Za-z]+", matcher)) <= alerts


# ---- dashboards ----


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.stem)
def test_a_dashboard_has_an_id_of_its_own_and_panels_that_do_not_lie_on_each_other(board):
    document = json.loads(board.read_text())
    assert document["uid"] == f"endocrine-{board.stem}"
    cells = [
        (place["x"] + x, place["y"] + y)
        for place in (panel["gridPos"] for panel in document["panels"])
        for x in range(place["w"])
        for y in range(place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])


@pytest.mark.parametrize(("expression", "legend"), QUERIES)
def test_a_query_of_a_dashboard_names_metrics_labels_and_values_that_exist(expression, legend):
    check_names(expression, re.findall(r"\{\{([a-z_]+)\}\}", legend))


@promtool
def test_promtool_parses_every_query_of_the_dashboards(tmp_path):
    rules = [
        {"record": f"query_{n}", "expr": query.values[0].replace("$__rate_interval", "5m")}
        for n, query in enumerate(QUERIES)
    ]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    assert f"{len(QUERIES)} rules found" in checked(["check", "rules", path])


def test_every_metric_is_on_a_dashboard_or_in_an_alert_or_is_named_here():
    apart = {
        "endocrine_records_copies_total",
        "endocrine_records_rekeyed_total",
        "endocrine_batches_total",
        "endocrine_revisions_total",
        "endocrine_signals_total",
        "endocrine_tool_calls_not_run_total",
    }
    text = " ".join([*(query.values[0] for query in QUERIES), *(rule["expr"] for rule in RULES)])
    shown = {SAMPLES[name].name for name, _ in _NAMES.findall(text)}
    assert {metric.name for metric in (*METRICS, *GATEWAY_METRICS)} - shown == apart
