"""The plan of a re-key: what lies under an alias, and what would become of it under the id."""

import copy

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.bonds.rekey import merged_notes
from endocrine.agents.canonical import canonical_json
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.data.rekey_plan import DERIVED, READ, plan_of
from properties import examples


@pytest.fixture(scope="module")
def table(new_table):
    return new_table()


def bond(cap=0, notes=()):
    return {"entry": {"daily_msg_cap": cap, "notes": list(notes)}, "commands": []}


def cards(*stamps):
    return {"cards": [[ts, f"k{ts}", 5, True, {}] for ts in stamps], "locked": False}


def plan(table, states, alias="a.s.", scope="identity", **bounds):
    most = {"notes_kept": 20, "cards_kept": 200, "max_record_bytes": 10**6, **bounds}
    return plan_of(table, scope, alias, states, **most)


def test_nothing_under_the_alias_is_an_empty_plan(table):
    found = plan(table, {"bonds": {"Ann": bond(), "a.s.x": bond(), "bob": bond()}})
    assert (found.is_empty, found.refused, set(found.agents.values())) == (True, False, {"nothing"})


def test_what_the_id_has_not_is_taken_and_what_both_have_is_merged(table):
    states = {
        "bonds": {"A.S.": bond(cap=3)},
        "feedback": {"A.S.": cards(1.0), "Ann": cards(2.0)},
        "attribution": {"A.S./m.x": [1], "A.S./m.y": [1], "Ann/m.x": [2], "A.S./deep/m.x": [3]},
    }
    found = plan(table, states)
    assert found.subjects == ["A.S."]
    assert found.agents["bonds"] == "taken"
    assert found.agents["feedback"] == found.agents["attribution"] == "merged"
    assert (found.taken, found.merged, found.drops, found.refused) == (2, 2, [], False)


def test_two_caps_that_differ_collide_and_refuse_all(table):
    states = {"bonds": {"a.s.": bond(cap=3), "Ann": bond(cap=5)}, "feedback": {"a.s.": cards(1.0)}}
    found = plan(table, states)
    assert found.refused
    [collision] = found.collisions
    assert (collision["old"]["daily_msg_cap"], collision["new"]["daily_msg_cap"]) == (3, 5)
    for old, new in ((0, 5), (3, 0), (4, 4)):
        assert not plan(table, {"bonds": {"a.s.": bond(cap=old), "Ann": bond(cap=new)}}).refused


def test_keys_that_differ_in_case_only_are_an_integrity_error(table):
    found = plan(table, {"bonds": {"A.S.": bond()}, "gating": {"a.S.": {"turns": {}}}})
    assert [one["fault"] for one in found.integrity_errors] == ["keys_differ_in_case_only"]
    assert found.refused


def test_an_open_turn_refuses_and_what_does_not_move_is_named(table):
    states = {"gating": {"a.s.": {"turns": {"t1": {}}}}, "audit": {"a.s.": {"open": {"t2": {}}, "audited": []}}}
    found = plan(table, states)
    assert (found.open_turns, found.refused) == (["t1", "t2"], True)
    found = plan(table, {"modulation": {"a.s.": {"turns": {}, "budgets": {"stress": [1, 2]}}}})
    assert (found.open_turns, found.refused, found.agents["modulation"]) == ([], False, "dropped")
    assert found.drops[0]["record"]["budgets"] == {"stress": [1, 2]}


def test_what_a_bound_pushes_out_is_named(table):
    states = {
        "bonds": {"a.s.": bond(notes=["2026-01-01 10:00 a"]), "Ann": bond(notes=["2026-01-02 10:00 b"])},
        "feedback": {"a.s.": cards(1.0, 4.0), "Ann": cards(2.0, 3.0)},
    }
    found = plan(table, states, notes_kept=1, cards_kept=3)
    assert [one["record"] for one in found.drops] == ["2026-01-01 10:00 a", [1.0, "k1.0", 5, True, {}]]


def test_a_state_that_fits_into_no_record_refuses(table):
    found = plan(table, {"attribution": {"a.s./x": ["y" * 200]}}, max_record_bytes=100)
    assert [one["fault"] for one in found.integrity_errors] == ["too_large"]


def test_a_project_lies_under_its_subject_and_an_id_in_another_case_is_planned_too(table):
    assert plan(table, {"bonds": {"project:P05": bond(), "p05": bond()}}, "p05", "project").subjects == ["project:P05"]
    assert plan(table, {"bonds": {"ANN": bond(), "Ann": bond()}}, "ann").subjects == ["ANN"]


def test_every_agent_with_states_of_subjects_is_planned():
    # An agent that is added must be put into the plan, or said here to have no states of subjects.
    without = {"analytics", "registry"}
    assert {agent.name for agent in AGENTS} - without == {*READ, *DERIVED}


def pair(a, b):
    return f"{a}/{canonical_json([a, b]).decode()}"


def link(status="observed"):
    evidence = {"c2": [["d", 0, 1.0, 2.0, None, ["of-a", "of-b"]]]}
    rest = {"listed": True, "status": status, "weakened": False, "high": False, "dismissed": None, "by": "linkage"}
    return {**rest, "evidence": evidence, "clock": 1.0, "capped": False}


def test_links_get_the_ids_name_and_lie_under_the_first_of_their_identities(table):
    found = plan(table, {"linkage": {pair("a.s.", "x/y"): link(), pair('0/["q', "a.s."): link()}})
    assert (found.subjects, found.agents["linkage"], found.taken) == (["a.s."], "taken", 2)
    moves = {one.key: (one.subject, one.state["evidence"]["c2"][0][-1]) for one in found.transfers}
    assert moves == {
        pair("Ann", "x/y"): ("Ann", ["of-a", "of-b"]), pair('0/["q', "Ann"): ('0/["q', ["of-a", "of-b"])
    }  # fmt: skip
    assert {one.old for one in found.retirements} == {"a.s.", '0/["q'}
    [turned] = plan(table, {"linkage": {pair("Bob", "a.s."): link()}}).transfers
    assert (turned.key, turned.state["evidence"]["c2"][0][-1]) == (pair("Ann", "Bob"), ["of-b", "of-a"])


def test_of_two_links_with_one_identity_the_plan_counts_one_and_drops_a_link_of_the_name_with_itself(table):
    pairs = [pair("a.s.", "bob"), pair("Ann", "bob"), pair("Ann", "a.s.")]
    found = plan(table, {"linkage": dict.fromkeys(pairs, link())})
    assert (found.agents["linkage"], found.taken, found.merged) == ("merged", 0, 1)
    assert [(one["key"], one["reason"]) for one in found.drops] == [(pair("Ann", "a.s."), "links_itself")]
    assert len(found.retirements) == 2
    states = {pair("a.s.", "bob"): link("applied"), pair("Ann", "bob"): link("dismissed")}
    [collision] = plan(table, {"linkage": states}).collisions
    assert (collision["agent"], collision["field"]) == ("linkage", "link_status")
    assert plan(table, {"linkage": {pair("a.s.", "bob"): {"listed": False}, pair("Ann", "bob"): link()}}).is_empty


def test_what_is_derived_from_observations_ages_out_and_neither_makes_a_plan_nor_refuses_one(table):
    assert plan(table, {"evidence": {"a.s.": {"seen": {}, "ignored": 0}}}).is_empty
    found = plan(table, {"bonds": {"a.s.": bond()}, "evidence": {"a.s.": {"seen": {}, "ignored": 0}}})
    assert (found.agents["evidence"], found.agents["meeting"]) == ("ages_out", "ages_out")
    assert (found.refused, {one.agent for one in found.retirements}) == (False, {"bonds"})


def entry(value="x", status="active", ts=1.0):
    return {"value": value, "status": status, "ts": ts}


def memory(content="likes tea with milk", status="active", type="preference"):
    name = f"m-{content}-{status}-{type}"
    entry = {"memory_id": name, "content": content, "status": status, "type": type, "version": 1}
    return {"entry": entry, "interactions": [], "other_active": False}


def under(subject, state):
    return f"{subject}/{state['entry']['memory_id']}"


@pytest.mark.parametrize(
    ("old", "new", "counted", "outcome"),
    [
        (entry(), None, "state_rekey", "taken"),
        (entry(status="superseded"), None, "state_rekey", "taken"),
        (entry("x"), entry("x"), "state_merged", "merged"),
        (entry("x"), entry("y"), "state_collisions", "collision"),
        (entry("x"), entry("y", "superseded"), "state_replaced", "merged"),
        (entry("x", "superseded"), entry("y"), "state_historical_drops", "merged"),
        (entry("x", "superseded", 2.0), entry("y", "superseded", 1.0), "state_historical_drops", "merged"),
    ],
)
def test_an_entry_of_trusted_state_has_one_outcome(table, old, new, counted, outcome):
    states = {"trust": {"project:p05/status/phase": old} | ({} if new is None else {"project:p05-x/status/phase": new})}
    found = plan(table, states, "p05", "project")
    counts = found.as_json()["counts"]
    assert found.agents["trust"] == outcome
    assert {name: counts[name] for name in counts if name.startswith(("state_", "memory_")) and counts[name]} == {
        counted: 1
    }
    assert found.refused == (outcome == "collision")
    reported = [*found.drops, *found.collisions]
    assert len(reported) == (counted not in ("state_rekey",))


def test_of_two_entries_that_are_out_the_earlier_is_dropped(table):
    for old, new, gone in ((1.0, 2.0, 1.0), (2.0, 1.0, 1.0), (1.0, 1.0, 1.0)):
        states = {"a.s./fact/k": entry("x", "superseded", old), "Ann/fact/k": entry("y", "superseded", new)}
        [drop] = plan(table, {"trust": states}).drops
        assert (drop["reason"], drop["record"]["ts"]) == ("historical_drop", gone)


@pytest.mark.parametrize(
    ("old", "new", "counted"),
    [
        (memory(), memory("Likes TEA  with milk"), "memory_supersede"),
        (memory(), memory(type="knowledge"), "memory_rekey"),
        (memory(), memory("likes coffee"), "memory_rekey"),
        (memory(), memory(status="superseded"), "memory_rekey"),
        (memory(), memory(status="candidate"), "memory_rekey"),
        (memory(status="candidate"), memory(), "memory_supersede"),
        (memory(status="invalid"), memory(), "memory_rekey"),
    ],
)
def test_a_memory_that_is_there_under_the_id_is_superseded(table, old, new, counted):
    counts = plan(table, {"memory": {under("a.s.", old): old, under("Ann", new): new}}).as_json()["counts"]
    assert {name for name in counts if name.startswith("memory_") and counts[name]} == {counted}


def test_conflicts_and_reflection_are_merged_and_capture_refuses_while_turns_are_open(table):
    slot, known = {"members": {}}, {"active": {}}
    states = {"conflicts": {"a.s./pad": slot, "Ann/pad": slot, "a.s./x": slot}, "reflection": {"a.s.": known}}
    found = plan(table, states)
    assert (found.agents["conflicts"], found.agents["reflection"]) == ("merged", "taken")
    found = plan(table, {"capture": {"a.s.": {"open": {"t1": []}, "ended": [], "dropped": 0}}})
    assert (found.open_turns, found.refused) == (["t1"], True)


KEYS = st.sampled_from(["a.s.", "A.S.", "Ann", "bob"])
BONDS = st.builds(bond, st.integers(0, 2), st.lists(st.sampled_from(["2026-01-01 10:00 a", "2026-01-02 10:00 b"])))


@settings(max_examples=examples(100))
@given(st.dictionaries(KEYS, BONDS), st.dictionaries(KEYS.map("{}/x".format), st.lists(st.integers(0, 9), max_size=3)))
def test_a_plan_changes_nothing_and_counts_each_state_once(table, bonds, series):
    states = {"bonds": bonds, "attribution": series}
    before = copy.deepcopy(states)
    found = plan(table, states, notes_kept=2)
    assert states == before
    assert found.as_json() == plan(table, states, notes_kept=2).as_json()
    old = [key for key in [*bonds, *series] if key.lower().startswith("a.s.")]
    assert found.taken + found.merged + len(found.collisions) == len(old)
    assert found.is_empty == (not old)
    assert orjson.loads(orjson.dumps(found.as_json()))["counts"]["subjects"] == len(found.subjects)


NOTES = st.lists(st.integers(0, 30).map("2026-01-{:02} 10:00 x".format), max_size=8).map(sorted)


@given(NOTES, NOTES, st.integers(1, 8))
def test_no_note_is_lost_and_the_latest_are_kept(old, new, most):
    kept, dropped = merged_notes(old, new, most)
    assert sorted([*kept, *dropped]) == sorted([*old, *new])
    assert len(kept) == min(most, len(old) + len(new))
    assert kept == sorted(kept)
    assert not dropped or not kept or max(dropped) <= min(kept)
