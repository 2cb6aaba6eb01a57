"""Functions of an application in the modulation: by the policy's lists, in the turn's mode, under their own names."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from properties import examples

FILE = {"name": "read_file", "description": "Reads.", "parameters": {"type": "object"}}
MAIL = {"name": "send_mail", "description": "Sends.", "parameters": {"type": "object"}}
REMOTE = {"name": "read_remote", "description": "", "parameters": {"$ref": "https://a.example/schema"}}
OURS = {"name": "open_url", "description": "", "parameters": {"type": "object"}}
TOOLS = [FILE, MAIL, REMOTE, OURS]
RULES = {"shop": {"tools": ["read_*", "open_*", "send_*"], "strict_tools": ["read_file"]}}


@pytest.fixture(scope="module")
def opens(new_life):
    def opened(applications=RULES, **more):
        one = new_life({"applications": applications})
        fields = {"client": "shop", "application_tools": TOOLS, **more}
        return one, [one.open(**fields)]

    return opened


def theirs(modulation):
    return modulation["application_tools"]


def test_functions_that_the_policy_lists_join_under_their_own_names(opens):
    _, (modulation,) = opens()
    assert theirs(modulation) == ["read_file", "send_mail"]
    assert [one for one in modulation["functions"] if one["name"] in ("read_file", "send_mail")] == [FILE, MAIL]


def test_without_an_entry_of_the_client_that_of_all_holds_and_as_shipped_it_allows_nothing(opens):
    assert theirs(opens({})[1][0]) == []
    assert theirs(opens({"*": {"tools": ["send_*"]}})[1][0]) == ["send_mail"]
    assert theirs(opens({**RULES, "*": {"tools": ["*"]}}, client="other")[1][0]) == ["read_file", "send_mail"]


def test_a_strict_turn_keeps_strict_tools_only(opens):
    _, (modulation,) = opens(signals=[{"name": "alignment_risk", "level": 0.9}])
    assert (modulation["mode"], theirs(modulation)) == ("strict", ["read_file"])


def test_a_blocked_call_leaves_strict_tools_only(opens):
    one, _ = opens()
    (modulation,) = one.block()
    assert (modulation["revision"], theirs(modulation)) == (1, ["read_file"])


def test_a_turn_of_the_openai_endpoint_has_none_of_our_tools_unless_the_policy_offers_them(opens):
    _, (without,) = opens(door="openai")
    assert without["parameters"]["tool_allowlist"] == []
    assert without["lineage"]["tool_allowlist"][-1]["by"] == "applications.own_tools"
    assert theirs(without) == ["read_file", "send_mail", "open_url"]
    _, (run_concurrently,) = opens({"shop": {**RULES["shop"], "own_tools": True}}, door="openai")
    assert run_concurrently["parameters"]["tool_allowlist"] == ["retrieval", "browser"]
    assert theirs(run_concurrently) == ["read_file", "send_mail"], "open_url is a tool of ours"


def test_a_turn_without_functions_says_nothing_of_them(opens):
    _, (modulation,) = opens(application_tools=None)
    assert "application_tools" not in modulation


def test_what_open_turns_declare_is_held_once_and_left_with_the_last_of_them(opens):
    one, _ = opens()
    one.open("t2", client="shop", application_tools=TOOLS)
    assert len(one.state["declared"]) == 1
    for turn in ("t1", "t2"):
        one.close(turn)
    assert "declared" not in one.state


@settings(max_examples=examples(60), deadline=None)
@given(risk=st.floats(0, 1), later=st.floats(0, 1))
def test_a_higher_risk_never_adds_a_function(opens, risk, later):
    def allowed(level):
        return set(theirs(opens(signals=[{"name": "alignment_risk", "level": level}])[1][0]))

    low, high = sorted((risk, later))
    assert allowed(high) <= allowed(low)
