"""The unit tests of alert rules, in promtool's form, from the rules and the cases beside them. Pure."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

_HEAD = """\
# Made by `make docs` from alerts.yml and alert-cases.yml. To run it:
#   promtool test rules docker/prometheus/alerts_test.yml
"""


def alert_tests(rules: str, cases: str) -> str:
    """Return the file. rules, cases: text of alerts.yml and alert-cases.yml. Raises KeyError for an alert without."""
    by_alert = yaml.safe_load(cases)
    tests = []
    for group in yaml.safe_load(rules)["groups"]:
        for rule in group["rules"]:
            case = by_alert[rule["alert"]]
            tests += [_test(rule, case, fires=True), _test(rule, case, fires=False)]
    document = {"rule_files": ["alerts.yml"], "evaluation_interval": "1m", "tests": tests}
    return _HEAD + str(yaml.safe_dump(document, sort_keys=False, width=120))


def _test(rule: Mapping[str, Any], case: Mapping[str, Any], *, fires: bool) -> dict[str, Any]:
    labels = dict(case.get("labels", {}))
    expected = {
        "exp_labels": {**labels, **rule["labels"]},
        "exp_annotations": {name: _filled(text, labels) for name, text in rule["annotations"].items()},
    }
    return {
        "name": f"{rule['alert']} {'fires' if fires else 'does not fire'}",
        "interval": "1m",
        "input_series": [
            {"series": series, "values": str(values)} for series, values in case["fires" if fires else "quiet"].items()
        ],
        "alert_rule_test": [
            {"eval_time": case["at"], "alertname": rule["alert"], "exp_alerts": [expected] if fires else []}
        ],
    }


def _filled(text: str, labels: Mapping[str, str]) -> str:
    """The text as Prometheus fills it: `{{ $labels.agent }}`."""
    return re.sub(r"\{\{ *\$labels\.([a-z_]+) *\}\}", lambda found: labels[found[1]], text)
