"""Values of one slot that disagree: flagged, never blocked, never merged, ended by a person."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from properties import examples

SLOT = "project:p05/pad"


@pytest.fixture
def pad(minds):
    """Writes a memory about the pad of a project; its id."""

    def write(value, **more):
        return minds.create(f"pad: {value}", subject="project:p05", type="adaptation", slot="pad", **more)

    return write


def resolve(minds, action, winner=None, conflict_id=None, **more):
    named = conflict_id or minds.conflicts[SLOT]["conflict_id"]
    given_ = {} if winner is None else {"winner": winner}
    told = {"slot": "pad", "conflict_id": named, "action": action}
    return minds.command("conflict_resolve", "project:p05", **told, **given_, **more)


def fact(minds, value, exporter="cad", **more):
    told = {"exporter": exporter, "exporter_version": "1", "exported_at": 1.0, "source_artifact": "pad.step"}
    return minds.feed("facts", subject="project:p05", slot="pad", value=value, **told, **more)


def promote(minds, memory_id):
    return minds.command("memory_promote", "project:p05", memory_id=memory_id)


def is_open(minds):
    return SLOT in minds.conflicts and minds.conflicts[SLOT]["status"] == "open"


def member_ids(minds):
    return [one["id"] for one in minds.conflicts[SLOT]["members"]]


def kinds(found):
    return [event["kind"] for event in found.get("conflict-events", [])]


def test_two_active_values_of_one_slot_are_a_conflict_and_both_stay_active(minds, pad):
    first, second = pad("PEEK"), pad("steel")
    conflict = minds.conflicts[SLOT]
    assert (conflict["status"], conflict["preferred"], member_ids(minds)) == ("open", first, [first, second])
    assert [one["value"] for one in conflict["members"]] == ["PEEK", "steel"]
    assert [minds.status(one) for one in (first, second)] == ["active", "active"]
    assert [minds.memories[one]["open_conflict"] for one in (first, second)] == 2 * [conflict["conflict_id"]]


def test_a_candidate_against_an_active_value_is_a_conflict(minds, pad):
    pad("PEEK")
    pad("steel", status="candidate")
    assert is_open(minds)


@pytest.mark.parametrize(
    "values",
    [
        [("PEEK", "active"), ("  peek ", "active")],  # the same when normalized
        [("PEEK", "candidate"), ("steel", "candidate")],  # none of them is in force
        [("PEEK", "active")],
    ],
)
def test_without_two_values_and_one_in_force_there_is_none(minds, pad, values):
    for value, status in values:
        pad(value, status=status)
    assert minds.conflicts == {}


def test_what_has_no_slot_or_another_slot_or_another_subject_is_never_compared(minds, pad):
    pad("PEEK")
    minds.create("pad: steel", subject="project:p05")
    minds.create("pad: steel", subject="project:p05", slot="pads")
    minds.create("pad: steel", subject="ann", slot="pad")
    assert minds.conflicts == {}


def test_types_do_not_keep_slots_apart(minds, pad):
    pad("PEEK")
    minds.create("steel", subject="project:p05", type="knowledge", slot="pad")
    assert is_open(minds)


def test_another_value_joins_an_open_conflict(minds, pad):
    first, second = pad("PEEK"), pad("steel")
    opened = minds.conflicts[SLOT]["conflict_id"]
    third = pad("oak", status="candidate")
    assert minds.conflicts[SLOT]["conflict_id"] == opened
    assert member_ids(minds) == [first, second, third]


def test_the_same_members_and_values_again_are_nothing_new(minds, pad):
    first, _ = pad("PEEK"), pad("steel")
    assert kinds(minds.command("memory_update", "project:p05", memory_id=first, confidence=0.5)) == []
    assert kinds(minds.command("memory_update", "project:p05", memory_id=first, content="pad:  peek")) == ["changed"]


@pytest.mark.parametrize("end", ["memory_invalidate", "memory_supersede"])
def test_a_conflict_of_which_one_value_is_left_is_resolved_by_itself(minds, pad, end):
    first, second = pad("PEEK"), pad("steel")
    found = minds.command(end, "project:p05", memory_id=second)
    assert kinds(found) == ["resolved"]
    conflict = minds.conflicts[SLOT]
    assert (conflict["status"], conflict["action"], conflict["members"]) == ("resolved", "vanished", [])
    assert [minds.memories[one]["open_conflict"] for one in (first, second)] == [None, None]


def test_an_update_may_end_a_conflict(minds, pad):
    pad("PEEK")
    second = pad("steel")
    minds.command("memory_update", "project:p05", memory_id=second, content="pad: Peek")
    assert minds.conflicts[SLOT]["action"] == "vanished"


def test_a_candidate_of_an_open_conflict_with_another_active_member_is_not_promoted(minds, pad):
    pad("PEEK")
    second = pad("steel", status="candidate")
    assert minds.refusal(promote(minds, second)) == "open_conflict"
    assert minds.status(second) == "candidate"


def test_it_is_promoted_where_no_other_member_is_active_any_more(minds, pad):
    first, second = pad("PEEK"), pad("steel", status="candidate")
    minds.command("memory_invalidate", "project:p05", memory_id=first)
    promote(minds, second)
    assert minds.status(second) == "active"


def test_the_winner_becomes_active_and_the_others_are_out(minds, pad):
    first, second, third = pad("PEEK"), pad("steel", status="candidate"), pad("oak", status="candidate")
    found = resolve(minds, "supersede_others", second, reason="measured")
    assert [minds.status(one) for one in (first, second, third)] == ["superseded", "active", "invalid"]
    assert (minds.memories[first]["superseded_by"], minds.memories[second]["supersedes"]) == (second, first)
    conflict = minds.conflicts[SLOT]
    assert [conflict[name] for name in ("status", "action", "winner", "reason", "by")] == [
        "resolved",
        "supersede_others",
        second,
        "measured",
        "op",
    ]
    assert kinds(found) == ["resolved"]
    assert [minds.memories[one]["open_conflict"] for one in (first, second, third)] == [None, None, None]


def test_an_active_winner_stays_as_it_is(minds, pad):
    first, second = pad("PEEK"), pad("steel")
    resolve(minds, "supersede_others", first)
    assert [minds.status(one) for one in (first, second)] == ["active", "superseded"]


def test_no_action_closes_it_until_a_new_value_comes(minds, pad):
    first, second = pad("PEEK"), pad("steel", status="candidate")
    opened = minds.conflicts[SLOT]["conflict_id"]
    resolve(minds, "no_action")
    assert (minds.conflicts[SLOT]["status"], minds.conflicts[SLOT]["action"]) == ("resolved", "no_action")
    assert [minds.status(one) for one in (first, second)] == ["active", "candidate"]
    promote(minds, second)
    pad("peek")
    assert minds.status(second) == "active"
    assert not is_open(minds)
    pad("oak")
    assert is_open(minds)
    assert minds.conflicts[SLOT]["conflict_id"] != opened


def test_a_dismissed_pair_of_values_is_never_raised_again_on_the_slot(minds, pad):
    first, _ = pad("PEEK"), pad("steel")
    assert kinds(resolve(minds, "dismiss")) == ["dismissed"]
    assert minds.conflicts[SLOT]["status"] == "dismissed"
    minds.command("memory_invalidate", "project:p05", memory_id=first)
    pad("peek")
    assert not is_open(minds)
    third = pad("oak")
    assert is_open(minds)
    assert third in member_ids(minds)


def test_of_dismissed_pairs_the_latest_are_remembered(minds_with):
    minds = minds_with(memory={"conflicts.dismissed": 1})
    told = {"subject": "project:p05", "slot": "pad"}
    first = minds.create("pad: 1", **told)
    minds.create("pad: 2", **told)
    resolve(minds, "dismiss")
    minds.command("memory_invalidate", "project:p05", memory_id=first)
    minds.create("pad: 3", **told)
    resolve(minds, "dismiss")
    minds.create("pad: 1", **told)  # (1, 2) is forgotten, as (1, 3) never was dismissed
    assert [one["value"] for one in minds.conflicts[SLOT]["members"]] == ["2", "3", "1"]


@pytest.mark.parametrize(
    ("action", "more", "reason"),
    [
        ("supersede_others", {}, "winner_required"),
        ("supersede_others", {"winner": "m-" + 24 * "0"}, "unknown_winner"),
        ("supersede_others", {"winner": "state:status/pad"}, "unknown_winner"),
        ("dismiss", {"conflict_id": "c-" + 24 * "0"}, "unknown_conflict"),
    ],
)
def test_a_word_without_effect_is_refused_by_name(minds, pad, action, more, reason):
    pad("PEEK")
    pad("steel")
    before = minds.conflicts[SLOT]
    assert minds.refusal(resolve(minds, action, **more), "conflict-events") == reason
    assert minds.conflicts[SLOT] == before


def test_the_same_word_again_is_nothing_and_another_is_refused(minds, pad):
    first, _ = pad("PEEK"), pad("steel")
    resolve(minds, "supersede_others", first)
    assert resolve(minds, "supersede_others", first) == {}
    assert minds.refusal(resolve(minds, "dismiss"), "conflict-events") == "not_open"


def test_a_slot_that_nobody_wrote_to_has_no_conflict_to_resolve_and_no_state(minds):
    found = resolve(minds, "dismiss", conflict_id="c-" + 24 * "0")
    assert minds.refusal(found, "conflict-events") == "unknown_conflict"
    assert minds.stored("conflicts") == {}


def test_what_is_left_over_and_disagrees_with_the_winner_is_a_conflict_of_its_own(minds, pad):
    pad("PEEK")
    other = pad("oak", status="candidate")
    resolve(minds, "dismiss")
    winner = pad("steel", status="candidate")
    first = minds.conflicts[SLOT]["conflict_id"]
    found = resolve(minds, "supersede_others", winner)
    assert kinds(found) == ["resolved", "opened"]
    assert is_open(minds)
    assert minds.conflicts[SLOT]["conflict_id"] != first
    assert member_ids(minds) == [winner, other]


def test_a_tools_fact_that_differs_becomes_a_candidate_and_the_active_value_stays(minds, pad):
    first = pad("PEEK")
    found = fact(minds, "steel")
    (event,) = found["memory-events"]
    made = minds.memories[event["memory_id"]]
    assert [made[name] for name in ("type", "status", "content", "value", "by")] == [
        "knowledge",
        "candidate",
        "steel",
        "steel",
        "cad/1",
    ]
    assert (made["source"]["exporter"], made["source"]["artifact"]) == ("cad", "pad.step")
    assert minds.status(first) == "active"
    conflict = minds.conflicts[SLOT]
    assert [one["layer"] for one in conflict["members"]] == ["tool", "memory"]
    assert conflict["preferred"] == made["memory_id"]
    assert minds.memories[made["memory_id"]]["open_conflict"] == conflict["conflict_id"]
    assert minds.refusal(promote(minds, made["memory_id"])) == "open_conflict"


def test_a_facts_memory_that_is_created_after_its_mark_is_marked_again(minds, pad):
    pad("PEEK")
    found = fact(minds, "steel")
    (created,) = found["memory-events"]
    of_it = [mark for mark in found["conflict-marks"] if mark["memory_id"] == created["memory_id"]]
    assert [mark["conflict_id"] for mark in of_it] == 2 * [minds.conflicts[SLOT]["conflict_id"]]


def test_a_fact_with_the_same_value_only_moves_its_time(minds, pad):
    pad("PEEK")
    fact(minds, "steel")
    memories = dict(minds.memories)
    assert fact(minds, " Steel", ts=5_000.0) == {}
    assert minds.memories == memories
    (state,) = minds.stored("conflicts").values()
    assert orjson.loads(state)[0]["facts"]["cad"][1] == 5_000.0


def test_a_fact_that_was_rejected_is_not_raised_again_by_the_same_tool(minds, pad):
    pad("PEEK")
    (event,) = fact(minds, "steel")["memory-events"]
    minds.command("memory_reject", "project:p05", memory_id=event["memory_id"])
    assert fact(minds, "steel") == {}
    assert "memories" in fact(minds, "oak")


def test_a_fact_that_agrees_makes_nothing(minds, pad):
    pad("PEEK")
    assert fact(minds, "peek") == {}


def test_a_fact_about_a_slot_that_nobody_wrote_to_is_a_candidate_without_a_conflict(minds):
    assert "memories" in fact(minds, "steel")
    assert minds.conflicts == {}


def state(minds, value, category="requirement"):
    return minds.command("state_set", "project:p05", category=category, key="pad", value=value)


def test_trusted_state_and_a_memory_that_differ_are_a_conflict_in_which_the_state_comes_first(minds, pad):
    first = pad("PEEK")
    state(minds, "steel")
    conflict = minds.conflicts[SLOT]
    assert [(one["layer"], one["id"]) for one in conflict["members"]] == [
        ("state", "state:requirement/pad"),
        ("memory", first),
    ]
    assert conflict["preferred"] == "state:requirement/pad"
    assert minds.memories[first]["open_conflict"] == conflict["conflict_id"]
    assert minds.status(first) == "active"


def test_trusted_state_that_agrees_or_is_taken_back_is_no_conflict(minds, pad):
    pad("PEEK")
    state(minds, " Peek ")
    assert minds.conflicts == {}
    state(minds, "steel")
    assert is_open(minds)
    minds.command("state_invalidate", "project:p05", category="requirement", key="pad")
    assert minds.conflicts[SLOT]["action"] == "vanished"
    minds.command("state_invalidate", "project:p05", category="requirement", key="pad")
    state(minds, "steel", category="nothing_of_the_kind")
    assert minds.conflicts[SLOT]["action"] == "vanished"


def test_a_candidate_against_trusted_state_is_not_promoted(minds, pad):
    state(minds, "steel")
    second = pad("PEEK", status="candidate")
    assert minds.refusal(promote(minds, second)) == "open_conflict"


def test_a_memory_does_not_win_over_trusted_state(minds, pad):
    first = pad("PEEK")
    state(minds, "steel")
    assert minds.refusal(resolve(minds, "supersede_others", first), "conflict-events") == "state_wins"
    assert is_open(minds)


def test_a_memory_that_agrees_with_trusted_state_may_win_over_another(minds, pad):
    first, second = pad("steel"), pad("PEEK")
    state(minds, "steel")
    resolve(minds, "supersede_others", first)
    assert [minds.status(one) for one in (first, second)] == ["active", "superseded"]
    assert minds.conflicts[SLOT]["status"] == "resolved"


def test_trusted_state_wins_over_memories_and_takes_no_ones_place(minds, pad):
    first, second = pad("PEEK"), pad("oak", status="candidate")
    state(minds, "steel")
    found = resolve(minds, "supersede_others", "state:requirement/pad")
    assert [minds.status(one) for one in (first, second)] == ["superseded", "invalid"]
    assert minds.memories[first]["superseded_by"] is None
    assert not {"trusted-states", "state-events"} & set(found)


def test_two_statements_of_one_slot_are_ended_by_their_operators_alone(minds):
    state(minds, "steel")
    state(minds, "PEEK", category="decision")
    assert is_open(minds)
    named = "state:decision/pad"
    assert minds.refusal(resolve(minds, "supersede_others", named), "conflict-events") == "state_wins"
    minds.command("state_invalidate", "project:p05", category="requirement", key="pad")
    assert minds.conflicts[SLOT]["action"] == "vanished"


def test_a_slot_with_too_many_members_says_so(minds_with):
    minds = minds_with(memory={"conflicts.members": 3})
    made = [
        minds.create(f"pad: {n}", subject="project:p05", slot="pad", status="active" if n == 3 else "candidate")
        for n in range(5)
    ]
    conflict = minds.conflicts[SLOT]
    assert conflict["capped"] is True
    assert [one["id"] for one in conflict["members"]] == [made[3], made[0], made[1]]


def test_a_memory_that_is_in_a_second_conflict_bears_its_mark(minds, pad):
    first, second = pad("PEEK"), pad("steel")
    opened = minds.memories[first]["open_conflict"]
    minds.command("memory_invalidate", "project:p05", memory_id=second)
    third = pad("oak")
    now = minds.conflicts[SLOT]["conflict_id"]
    assert [minds.memories[one]["open_conflict"] for one in (first, second, third)] == [now, None, now]
    assert opened not in (None, now)


def test_a_mark_does_not_say_who_wrote_the_memory(minds, pad):
    first = pad("PEEK")
    fact(minds, "steel")
    assert (minds.memories[first]["by"], minds.memories[first]["version"]) == ("op", 2)


STEP = st.tuples(st.sampled_from(["create", "candidate", "fact", "promote", "out", "end"]), st.integers(0, 5))


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(STEP, max_size=20))
def test_every_conflict_is_of_two_values_one_of_them_in_force_and_every_memory_in_it_is_marked(fresh_minds, steps):
    minds = fresh_minds()
    for kind, n in steps:
        active = sorted(minds.memories)
        if kind in ("create", "candidate"):
            status = "active" if kind == "create" else "candidate"
            minds.create(f"pad: {n % 3}", subject="project:p05", slot="pad", status=status)
        elif kind == "fact":
            fact(minds, str(n % 3))
        elif kind == "end" and is_open(minds):
            action = ("supersede_others", "no_action", "dismiss")[n % 3]
            resolve(minds, action, member_ids(minds)[n % len(member_ids(minds))] if n % 3 == 0 else None)
        elif active:
            command = "memory_promote" if kind == "promote" else "memory_invalidate"
            minds.command(command, "project:p05", memory_id=active[n % len(active)])
        conflict = minds.conflicts.get(SLOT)
        marked = {name for name, memory in minds.memories.items() if memory["open_conflict"]}
        if conflict is None or conflict["status"] != "open":
            assert marked == set()
            continue
        members = {one["id"]: one for one in conflict["members"]}
        assert marked == set(members)
        assert all(minds.memories[name]["open_conflict"] == conflict["conflict_id"] for name in members)
        assert {name: one["status"] for name, one in members.items()} == {name: minds.status(name) for name in members}
        assert len({one["value"] for one in members.values()}) > 1
        assert "active" in {one["status"] for one in members.values()}
