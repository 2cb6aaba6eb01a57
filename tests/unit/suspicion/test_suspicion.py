"""More than one actor behind one identity is suspected when several primitives say so (rules 5)."""

from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.attribution.rules import AttributionRules
from endocrine.agents.contract import Trigger
from endocrine.agents.suspicion.agent import AGENT
from endocrine.pipeline.core.catalogue import CATALOGUE
from policies import shipped_section
from properties import examples

SECTION = shipped_section("attribution")
CHANGES = CATALOGUE["attribution-changes"].adapter


def policy_with(**suspicion):
    rules = AttributionRules.model_validate(SECTION | {"suspicion": SECTION["suspicion"] | suspicion})
    return SimpleNamespace(digest="0" * 64, document=SimpleNamespace(attribution=rules))


POLICY = policy_with()


def change(primitive, new, ts=1.0, old="stable"):
    record = {
        "kind": "state_changed",
        "identity": "ann",
        "primitive": primitive,
        "old_state": old,
        "new_state": new,
        "current_value": "a",
        "confidence": 0.6,
        "observation_count": 5,
        "ts": ts,
    }
    return Trigger("attribution-changes", f"attribution/{primitive}/{ts}", "ann", CHANGES.validate_python(record))


def run(changes, policy=POLICY):
    """What is suspected after each change (None: nothing is said), and the state as stored."""
    state, said = None, []
    for trigger in changes:
        given_state = orjson.dumps(state)
        thought, outputs = AGENT.process(state, trigger, policy)
        assert orjson.dumps(state) == given_state
        state = orjson.loads(orjson.dumps(thought))
        said.append(outputs[0].value["primitives"] if outputs else None)
        for output in outputs:
            assert (output.topic, output.identity) == ("attribution-changes", "ann")
            CHANGES.validate_json(orjson.dumps(output.value))
    return said, state


def test_two_primitives_at_once_are_suspicious_and_the_record_is_as_published():
    state, outputs = AGENT.process(["m.b"], change("m.a", "multi_actor", ts=7.0), POLICY)
    assert list(outputs[0].value.items()) == [
        ("kind", "multi_actor_suspected"),
        ("identity", "ann"),
        ("primitives", ["m.a", "m.b"]),
        ("confidence", 0.6),
        ("ts", 7.0),
    ]
    assert state == ["m.a", "m.b"]


def test_it_speaks_whenever_the_set_changes_and_is_armed_again_below_two():
    said, state = run(
        [
            change("m.a", "multi_actor"),
            change("m.b", "multi_actor"),
            change("m.b", "multi_actor"),  # re-delivered: the set is the same
            change("m.c", "multi_actor"),
            change("m.a", "stable", old="multi_actor"),
            change("m.d", "conflicted"),
            change("m.b", "drifting", old="multi_actor"),  # one left
            change("m.b", "multi_actor"),  # the same set again: said again
            change("m.b", "stable", old="multi_actor"),
            change("m.c", "unknown", old="multi_actor"),
        ]
    )
    pair = ["m.b", "m.c"]
    assert said == [None, ["m.a", "m.b"], None, ["m.a", "m.b", "m.c"], pair, None, None, pair, None, None]
    assert state is None


def test_what_it_said_itself_passes_without_effect():
    record = {
        "kind": "multi_actor_suspected",
        "identity": "ann",
        "primitives": ["m.x", "m.y"],
        "confidence": 0.6,
        "ts": 1.0,
    }
    own = Trigger("attribution-changes", "suspicion/a/0", "ann", CHANGES.validate_python(record))
    assert AGENT.process(["m.a"], own, POLICY) == (["m.a"], [])
    assert AGENT.process(None, own, POLICY) == (None, [])


def test_identities_are_looked_at_apart():
    trigger = change("m.a", "multi_actor")
    assert AGENT.key(trigger) == "ann"
    assert AGENT.key(trigger._replace(identity="bob")) == "bob"


def test_the_memory_is_bounded_and_the_bound_shows():
    policy = policy_with(most=4)
    said, state = run([change(f"m.{n}", "multi_actor") for n in range(9)], policy)
    assert state == ["m.0", "m.1", "m.2", "m.3"]
    assert said[4:] == [None] * 5
    assert len(said[3]) == 4


STATES = ["unknown", "stable", "drifting", "conflicted", "multi_actor", "multi_actor"]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(STATES)), max_size=30))
@settings(max_examples=examples(100), deadline=None)
def test_it_says_the_set_exactly_when_it_has_changed_and_holds_two_or_more(steps):
    said, state = run([change(f"m.{name}", new) for name, new in steps])
    held, expected = set(), []
    for name, new in steps:
        before = set(held)
        held = held | {f"m.{name}"} if new == "multi_actor" else held - {f"m.{name}"}
        expected.append(sorted(held) if held != before and len(held) >= 2 else None)
    assert said == expected
    assert (state or []) == sorted(held)


@pytest.mark.parametrize("least", [2, 3])
def test_how_many_primitives_are_needed_is_a_threshold(least):
    said, _ = run([change(f"m.{n}", "multi_actor") for n in range(3)], policy_with(least_primitives=least))
    assert [bool(primitives) for primitives in said] == [False, least == 2, True]
