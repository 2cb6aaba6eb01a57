"""A tool is added by configuration alone, and registry and policy are held against each other when it loads."""

import re
from pathlib import Path

import pytest
import yaml

from endocrine.pipeline.process.policy_files import load_policy

DOCS = Path(__file__).parents[3] / "docs" / "tools.md"
CALENDAR = re.search(r"in the lists that may hold it:\n\n((?:    .*\n)+)", DOCS.read_text())[1]


@pytest.fixture
def laid_over(tmp_path):
    def load(content, **flags):
        path = tmp_path / "mine.yaml"
        path.write_text(content)
        return load_policy(path, flags)

    return load


def test_the_example_of_the_docs_adds_a_tool_with_a_flag_of_its_own(laid_over):
    content = "\n".join(line[4:] for line in CALENDAR.splitlines())
    policy = laid_over(content)
    assert policy.document.tools.by_function["look_up_calendar"] == "calendar"
    assert policy.document.defaults.tool_allowlist == ("retrieval", "browser", "calendar")
    assert policy.switched_off == (("search", "SEARCH_TOOL"), ("code_exec", "CODE_EXEC_TOOL"))
    off = laid_over(content, ENDOCRINE_FLAG_CALENDAR_TOOL="false")
    assert ("calendar", "CALENDAR_TOOL") in off.switched_off
    assert off.digest != policy.digest


def test_its_name_is_a_word_of_the_policy_from_then_on(laid_over):
    content = yaml.safe_load("\n".join(line[4:] for line in CALENDAR.splitlines()))
    content["maps"] = {"urgency": {"tool_allowlist": "[calendar]"}}
    policy = laid_over(yaml.safe_dump(content))
    assert policy.document.maps["urgency"]["tool_allowlist"].expression == "[calendar]"


TOOL = "{function: f, description: d, flag: null, connector: c, idempotent: true, timeout_s: 1, approval: null, \
arguments: {type: object, additionalProperties: false}}"


@pytest.mark.parametrize(
    ("content", "line", "told"),
    [
        ("maps:\n  urgency: {tool_allowlist: '[calendar]'}\n", 2, "unknown name 'calendar'"),
        ("tools:\n  browser:\n    flag: MAGIC\n", 3, "'MAGIC': unknown flag"),
        ("flags:\n  MAGIC_TOOL: true\n", 2, "flags.MAGIC_TOOL: 'MAGIC_TOOL': unknown flag"),
        ("tools:\n  browser:\n    function: Web_Search\n", 2, "belongs to"),
        (f"tools:\n  stress: {TOOL}\n", 2, "means something else in maps"),
        (f"tools:\n  lambda: {TOOL}\n", 2, "means something else in maps"),
        (f"tools:\n  caf\u00e9: {TOOL}\n", 2, "tools.caf\u00e9"),
        ("tools:\n  browser:\n    timeout_s: 0\n", 3, "tools.browser.timeout_s"),
        ("tools:\n  browser:\n    approval: {when: {type: strang}}\n", 3, "not a JSON Schema"),
        ("tools:\n  browser:\n    approval: {when: {pattern: '('}}\n", 3, "not a JSON Schema"),
        ("tools:\n  browser:\n    connector: Two Words\n", 3, "tools.browser.connector"),
        ("gating:\n  rate_limits: {tools: {phone: {calls: 1, window_s: 1}}}\n", 2, "no such tool"),
        (
            "gating:\n  sequences:\n    - {name: s, first: {tool: phone}, then: {tool: browser}, decision: denied}\n",
            3,
            "gating.sequences.s.first.tool: 'phone': the tool registry has no such tool",
        ),
        (
            "gating:\n  sequences:\n    - {name: s, first: {tool: browser}, then: {tool: phone}, decision: denied}\n",
            3,
            "gating.sequences.s.then.tool",
        ),
        ("strict_allowlist: [phone]\n", 1, "no such tool"),
        ("defaults: {tool_allowlist: [phone]}\n", 1, "no such tool"),
    ],
)
def test_a_mistake_between_registry_and_policy_is_named_with_its_line(file_mistakes, content, line, told):
    found = file_mistakes(content)
    assert any(told in mistake for mistake in found)
    assert found[0].startswith((f"mine.yaml:{line}: ", f"mine.yaml:{line - 1}: "))


def test_a_flag_of_the_environment_that_no_tool_has_is_an_error():
    with pytest.raises(Exception, match=r"ENDOCRINE_FLAG_MAGIC_TOOL.*unknown flag"):
        load_policy(None, {"ENDOCRINE_FLAG_MAGIC_TOOL": "true"})
