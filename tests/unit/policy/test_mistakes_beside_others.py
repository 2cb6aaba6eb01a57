"""Every mistake in one run: what is malformed hides nothing beside it, and accuses nothing."""

from copy import deepcopy
from itertools import combinations

import pytest

from endocrine.agents.policy.compiled import compile_policy
from endocrine.agents.policy.errors import PolicyError
from endocrine.agents.policy.resolve import lay_over

CALENDAR = {
    "function": "look_up", "description": "Look.", "flag": "CALENDAR", "connector": "calendar", "idempotent": True,
    "timeout_s": 5, "approval": None,
    "arguments": {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
}  # fmt: skip
SEQUENCE = {"name": "a", "first": {"tool": "search"}, "then": {"tool": "browser"}, "decision": "denied"}
STRUCTURAL = {
    "tool": {"tools": {"calendar": {**CALENDAR, "timeout_s": "soon"}}, "flags": {"CALENDAR": True}},
    "tool field": {"tools": {"browser": {"timeout_s": -1}}},
    "range": {"bounds": {"temperature": "warm"}},
    "default": {"defaults": {"retrieval_k": "many"}},
    "allowlist": {"defaults": {"tool_allowlist": [7, "browser"]}},
    "gate": {"gating": {"stale_s": "x"}},
    "sequence": {"gating": {"sequences": [{**SEQUENCE, "decision": 7}, {**SEQUENCE, "name": "b"}]}},
    "flag": {"flags": {"BROWSER_TOOL": "perhaps"}},
    "section": {"feedback": 5},
    "map": {"maps": {"trust": {"temperature": {"combine": "both", "expression": "x"}}}},
    "weight": {"signals": [{"name": "stress", "weight": "heavy"}]},
}
BETWEEN = {
    "upside down": {"bounds": {"top_p": [0.9, 0.2]}},
    "outside": {"defaults": {"planner_beam": 999}},
    "unknown default": {"defaults": {"tool_allowlist": ["nosuch"]}},
    "unknown strict": {"strict_allowlist": ["nosuch2"]},
    "unknown in sequence": {"gating": {"sequences": [{**SEQUENCE, "then": {"tool": "nosuch3"}}]}},
    "unknown limited": {"gating": {"rate_limits": {"tools": {"nosuch4": {"calls": 1, "window_s": 1}}}}},
    "no tool's flag": {"flags": {"FOO": True}},
    "tool's flag": {"tools": {"retrieval": {"flag": "NONE_SUCH"}}},
    "expression": {"maps": {"stress": {"temperature": "x +"}}},
    "tool in map": {"maps": {"urgency": {"tool_allowlist": "[nosuch5]"}}},
    "reserved": {"tools": {"stress": {**CALENDAR, "flag": None, "function": "g"}}},
}
ALL = STRUCTURAL | BETWEEN


def merged(one, other):
    result = deepcopy(one)
    for key, value in other.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def errors(shipped, partial):
    resolved, found = lay_over(shipped.resolved, partial)
    try:
        compile_policy(resolved, valid=shipped.resolved)
    except PolicyError as error:
        found = [*found, *error.errors]
    # Of an unknown word the whole list of words is shown, which a tool beside it makes longer.
    return {(one.path, one.text, one.wrong) for one in found}


@pytest.mark.parametrize("name", ALL)
def test_one_fault_is_one_mistake_or_those_of_one_place(shipped, name):
    found = errors(shipped, ALL[name])
    assert len({path for path, _, _ in found}) == 1, found


def overlap(one, other):
    """Faults that write the same value, so that only one of them is left."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return True
    return any(overlap(one[key], other[key]) for key in one.keys() & other.keys())


@pytest.mark.parametrize(
    ("one", "other"),
    [pair for pair in combinations(ALL, 2) if not overlap(ALL[pair[0]], ALL[pair[1]])],
)
def test_two_faults_are_the_mistakes_of_both_and_no_others(shipped, one, other):
    found = errors(shipped, merged(ALL[one], ALL[other]))
    assert found == errors(shipped, ALL[one]) | errors(shipped, ALL[other])


def test_all_faults_at_once_are_all_found(shipped):
    together, expected = {}, set()
    for partial in ALL.values():
        if not overlap(together, partial):
            together = merged(together, partial)
            expected |= errors(shipped, partial)
    assert len(expected) >= 14
    assert errors(shipped, together) == expected


def test_a_contradiction_that_a_stand_in_would_make_is_not_reported(shipped):
    """`defaults` lies within the range that was meant and outside the shipped one that stands in for it."""
    narrow = {"bounds": {"temperature": [0, "0.1"]}, "defaults": {"temperature": 1.7}}
    assert {path for path, _, _ in errors(shipped, narrow)} == {("bounds", "temperature", "1")}
