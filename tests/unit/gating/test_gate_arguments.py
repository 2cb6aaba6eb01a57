"""Arguments: one JSON object of one meaning, fitting the tool's schema, nothing coerced."""

import json
import math

import pytest

from endocrine.agents._shared.arguments import read_arguments

VALID = [
    ("retrieve_knowledge", {"query": "a"}),
    ("retrieve_knowledge", {"query": "a", "k": 1}),
    ("retrieve_knowledge", {"query": "a", "k": 20}),
    ("retrieve_knowledge", '{"query": "a", "k": 20}'),
    ("retrieve_knowledge", ' {"k": 1, "query": ""}\n'),
    ("open_url", {"url": "https://example.org"}),
]
INVALID = [
    ("retrieve_knowledge", {}),
    ("retrieve_knowledge", {"k": 3}),
    ("retrieve_knowledge", {"query": 5}),
    ("retrieve_knowledge", {"query": None}),
    ("retrieve_knowledge", {"query": "a", "k": 0}),
    ("retrieve_knowledge", {"query": "a", "k": 21}),
    ("retrieve_knowledge", {"query": "a", "k": "5"}),
    ("retrieve_knowledge", {"query": "a", "k": 5.0}),
    ("retrieve_knowledge", {"query": "a", "k": True}),
    ("retrieve_knowledge", {"query": "a", "k": None}),
    ("retrieve_knowledge", {"query": "a", "extra": 1}),
    ("retrieve_knowledge", {"Query": "a"}),
    ("retrieve_knowledge", ""),
    ("retrieve_knowledge", "null"),
    ("retrieve_knowledge", "[]"),
    ("retrieve_knowledge", '"{}"'),
    ("retrieve_knowledge", "query: a"),
    ("retrieve_knowledge", "{'query': 'a'}"),
    ("retrieve_knowledge", '{"query": "a",}'),
    ("retrieve_knowledge", '{"query": "a"} trailing'),
    ("retrieve_knowledge", '{"query": "harmless", "query": "other"}'),
    ("retrieve_knowledge", '{"query": "harmless", "\\u0071uery": "other"}'),
    ("retrieve_knowledge", '{"query": "a", "k": NaN}'),
    ("retrieve_knowledge", '{"query": "a", "k": 1e999}'),
    ("retrieve_knowledge", '{"query": "a", "k": 5.0}'),
    ("retrieve_knowledge", '{"query": "a", "k": 5e0}'),
    ("retrieve_knowledge", '{"query": "a", "k": 99999999999999999999999999}'),
    ("retrieve_knowledge", '{"query": "\\ud800"}'),
    ("open_url", {"url": ["https://example.org"]}),
    ("open_url", '{"query": "a"}'),
]


@pytest.mark.parametrize(("tool", "arguments"), VALID)
def test_fitting_arguments_are_allowed(ready, tool, arguments):
    (decision,) = ready.call(tool, arguments)
    assert (decision["decision"], decision["reason"]) == ("allowed", None)


@pytest.mark.parametrize(("tool", "arguments"), INVALID)
def test_arguments_that_do_not_fit_are_denied_and_are_no_incident(ready, tool, arguments):
    (decision,) = ready.call(tool, arguments)
    assert (decision["decision"], decision["reason"]) == ("denied", "invalid_arguments")
    assert decision["incident_id"] is None


@pytest.mark.parametrize(
    ("tool", "arguments", "valid"),
    [
        ("schedule_task", {"when": "noon", "note": "call"}, True),
        ("schedule_task", {"when": "noon"}, False),
        ("web_search", {"query": "a", "k": 20}, True),
        ("web_search", {"query": "a", "k": 21}, False),
        ("exec_code", {"language": "python", "source": "1"}, True),
        ("exec_code", {"language": "bash", "source": "1"}, True),
        ("exec_code", {"language": "javascript", "source": "1"}, True),
        ("exec_code", {"language": "ruby", "source": "1"}, False),
        ("exec_code", {"source": "1"}, False),
    ],
)
def test_the_other_tools_take_what_the_rules_say(make_gate, tool, arguments, valid):
    gate = make_gate(flags={"SEARCH_TOOL": True, "CODE_EXEC_TOOL": True})
    gate.open()
    gate.modulate(allowlist=["search", "code_exec", "scheduler"])
    (decision,) = gate.call(tool, arguments)
    assert decision["reason"] == (None if valid else "invalid_arguments")


def _nested(levels):
    value = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def test_arguments_may_be_as_deep_as_the_limit_and_no_deeper():
    assert read_arguments(_nested(32), 32) is not None
    assert read_arguments(_nested(33), 32) is None
    assert read_arguments({"a": [[1]]}, 3) == {"a": [[1]]}
    assert read_arguments({"a": [[[]]]}, 3) is None


@pytest.mark.parametrize("levels", [33, 500, 1000, 1023, 1024, 5000, 100_000])
def test_hostile_depth_is_refused_and_breaks_nothing(levels):
    assert read_arguments('{"a":' * levels + "1" + "}" * levels, 32) is None
    assert read_arguments('{"a":' + "[" * levels + "]" * levels + ',"a":1}', 32) is None
    assert read_arguments(_nested(levels), 32) is None


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_an_object_with_a_number_that_is_none_is_refused(number):
    assert read_arguments({"a": {"b": [number]}}, 32) is None


@pytest.mark.parametrize("as_text", [True, False])
def test_arguments_longer_than_the_bound_are_invalid(make_gate, as_text):
    gate = make_gate(arguments_chars=1024)
    gate.open()
    gate.modulate()
    for length, reason in ((1024, None), (1025, "invalid_arguments")):
        value = {"query": "x" * (length - len('{"query":""}'))}
        [decision] = gate.call(arguments=json.dumps(value, separators=(",", ":")) if as_text else value)
        assert decision["reason"] == reason
