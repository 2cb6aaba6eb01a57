"""The life of a memory: what takes it where, what is refused, and that nothing promotes itself."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents._shared.memories import memory_id, value_of
from endocrine.agents.memory.entry import new_entry, reinforced
from endocrine.schemas.memory import Source
from properties import examples

AGREES = "I prefer rebase-based workflows because the history stays linear and reviewers have an easier time."
UNKNOWN = "m-" + 24 * "0"


@pytest.fixture
def in_status(minds):
    """A memory in one status."""

    def make(status):
        made = minds.create(status="candidate" if status in ("candidate", "rejected") else "active")
        change = {"rejected": "memory_reject", "superseded": "memory_supersede", "invalid": "memory_invalidate"}
        if status in change:
            minds.command(change[status], memory_id=made)
        return made

    return make


ENDS = {
    ("memory_promote", "candidate"): ("promoted", "active"),
    ("memory_reject", "candidate"): ("rejected", "invalid"),
    ("memory_supersede", "active"): ("superseded", "superseded"),
    ("memory_invalidate", "active"): ("invalidated", "invalid"),
    ("memory_promote", "active"): None,
    ("memory_reject", "rejected"): None,
    ("memory_supersede", "superseded"): None,
    ("memory_invalidate", "invalid"): None,
    ("memory_invalidate", "rejected"): None,
}
"""What a command makes of a status: event and new status; None: nothing, it was so before. All others are refused."""


@pytest.mark.parametrize("status", ["candidate", "active", "superseded", "invalid", "rejected"])
@pytest.mark.parametrize("kind", ["memory_promote", "memory_reject", "memory_supersede", "memory_invalidate"])
def test_a_command_takes_a_memory_where_its_status_allows(minds, in_status, kind, status):
    made = in_status(status)
    before = minds.memories[made]
    found = minds.command(kind, memory_id=made, reason="measured")
    expected = ENDS.get((kind, status), "refused")
    if (kind, status) == ("memory_reject", "invalid"):
        expected = None  # rejected and invalidated are one status
    if expected is None:
        assert found == {}
    elif expected == "refused":
        assert minds.refusal(found) == "wrong_status"
    else:
        (event,) = found["memory-events"]
        assert (event["kind"], event["old_status"], event["new_status"], event["reason"]) == (
            expected[0],
            before["status"],
            expected[1],
            "measured",
        )
        assert (minds.status(made), minds.memories[made]["version"]) == (expected[1], before["version"] + 1)
    if expected in (None, "refused"):
        assert minds.memories[made] == before


@pytest.mark.parametrize(
    "kind", ["memory_promote", "memory_reject", "memory_supersede", "memory_invalidate", "memory_update"]
)
def test_a_command_about_a_memory_that_is_not_there_is_refused_and_remembered_nowhere(minds, kind):
    assert minds.refusal(minds.command(kind, memory_id=UNKNOWN)) == "unknown_memory"
    assert minds.stored("memory") == {}


def test_a_memory_of_one_subject_is_not_there_for_another(minds):
    made = minds.create()
    assert minds.refusal(minds.command("memory_invalidate", "bob", memory_id=made)) == "unknown_memory"


def test_an_operators_memory_is_active_and_certain_unless_said_otherwise(minds):
    memory = minds.memories[minds.create("  a thing worth knowing ")]
    assert [memory[name] for name in ("content", "status", "confidence", "version")] == [
        "a thing worth knowing",
        "active",
        1.0,
        1,
    ]
    assert memory["source"]["kind"] == "operator"
    assert minds.memories[minds.create(status="candidate", confidence=0.25)]["confidence"] == 0.25


def test_a_memory_is_named_after_its_subject_and_the_record_that_made_it(minds):
    made = minds.create(subject="project:p05")
    assert made == memory_id("project:p05", "in-1")
    assert made != memory_id("ann", "in-1")


@pytest.mark.parametrize(
    ("content", "slot", "value"),
    [
        ("pad: PEEK", "pad", "PEEK"),
        ("Pad :  PEEK", "pad", "PEEK"),
        ("pad: a: b", "pad", "a: b"),
        ("pad:", "pad", "pad:"),
        ("PEEK it is", "pad", "PEEK it is"),
        ("other: PEEK", "pad", "other: PEEK"),
        ("pad: PEEK", None, None),
    ],
)
def test_a_value_is_what_follows_the_slots_name(content, slot, value):
    assert value_of(content, slot) == value


def test_an_update_changes_content_value_and_confidence_and_nothing_else(minds):
    made = minds.create("pad: PEEK it is", slot="pad")
    (event,) = minds.command("memory_update", memory_id=made, content="pad: steel it is", confidence=0.3)[
        "memory-events"
    ]
    assert (event["kind"], event["content"], event["value"]) == ("updated", "pad: steel it is", "steel it is")
    assert (event["confidence_before"], event["confidence_after"]) == (1.0, 0.3)
    memory = minds.memories[made]
    assert (memory["type"], memory["subject"], memory["slot"], memory["version"]) == ("preference", "ann", "pad", 2)


@pytest.mark.parametrize("given_", [{}, {"content": "the same words"}, {"confidence": 1.0}])
def test_an_update_that_changes_nothing_is_nothing(minds, given_):
    made = minds.create("the same words")
    assert minds.command("memory_update", memory_id=made, **given_) == {}


@pytest.mark.parametrize("status", ["superseded", "invalid"])
def test_a_final_memory_is_not_updated(minds, in_status, status):
    made = in_status(status)
    assert minds.refusal(minds.command("memory_update", memory_id=made, content="another")) == "wrong_status"


def test_what_takes_a_memorys_place_is_named(minds):
    old, new = minds.create(), minds.create("another thing entirely")
    minds.command("memory_supersede", memory_id=old, superseded_by=new)
    assert minds.memories[old]["superseded_by"] == new


def test_a_command_that_comes_twice_acts_once(minds):
    told = {"kind": "memory_create", "identity": "ann", "by": "op", "ts": 5.0, "id": "one"}
    assert "memories" in minds.feed("commands", **told, type="knowledge", content="a thing")
    assert minds.feed("commands", **told, type="knowledge", content="a thing") == {}
    assert len(minds.memories) == 1


def test_only_a_turns_first_answer_reinforces_a_memory(minds):
    made = minds.create(confidence=0.5)
    for audit_id in ("t1", "t1", "t2", "t1"):
        minds.command("memory_reinforce", audit_id=audit_id, text=AGREES)
    assert (minds.memories[made]["confidence"], minds.memories[made]["reference_count"]) == (0.54, 2)


def test_the_last_turns_that_reinforced_a_memory_are_remembered(minds_with):
    minds = minds_with(memory={"interactions_remembered": 2})
    made = minds.create(confidence=0.0)
    for audit_id in ("t1", "t2", "t3", "t2", "t1"):
        minds.command("memory_reinforce", audit_id=audit_id, text=AGREES)
    assert minds.memories[made]["reference_count"] == 4


@pytest.mark.parametrize("status", ["candidate", "superseded", "invalid"])
def test_a_reinforcement_that_comes_late_changes_only_an_active_memory(minds, in_status, status):
    made = in_status(status)
    told = {"subject": "ann", "interaction_id": "t1", "matched": 7, "total": 7, "by": "matcher-1"}
    assert minds.feed("reinforcements", memory_id=made, **told) == {}
    assert minds.memories[made]["reference_count"] == 0


def test_the_time_of_the_last_reference_never_goes_back(minds):
    made = minds.create()
    for audit_id, ts in (("t1", 50.0), ("t2", 40.0)):
        minds.command("memory_reinforce", audit_id=audit_id, text=AGREES, ts=ts)
    assert minds.memories[made]["last_referenced_at"] == 50.0


def test_a_memorys_state_is_bounded(minds):
    made = minds.create("x" * 1990 + " prefers")
    for n in range(100):
        minds.command("memory_reinforce", audit_id=f"{n:0256}", text="x" * 1990 + " prefers")
    (state,) = minds.stored("memory").values()
    assert minds.memories[made]["reference_count"] == 100
    assert len(state) < 6_000


@given(
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1e10)), max_size=8),
)
def test_reinforcement_is_monotone_and_never_passes_one(confidence, steps):
    entry = new_entry(
        UNKNOWN,
        "ann",
        type="preference",
        content="a thing",
        slot=None,
        status="active",
        confidence=confidence,
        strength=None,
        source=Source(kind="operator"),
        by="op",
        ts=0.0,
    )
    for delta, ts in steps:
        after = reinforced(entry, delta, "matcher-1", ts)
        assert entry["confidence"] <= after["confidence"] <= 1
        assert after["reference_count"] == entry["reference_count"] + 1
        assert (after["last_referenced_at"] or 0.0) >= (entry["last_referenced_at"] or 0.0)
        entry = after


TOLD = st.sampled_from(
    [
        "memory_reject",
        "memory_invalidate",
        "memory_supersede",
        "memory_update",
        "memory_reinforce",
        "memory_extract",
        "memory_create",
        "no_action",
        "dismiss",
        "turn",
        "fact",
        "opinion",
        "memory_import",
    ]
)
"""Everything that can happen but a promotion, and a conflict that somebody wins."""


def tell(minds, kind, n, pick):
    """One input that is neither a promotion nor the end of a conflict by a winner."""
    names = sorted(minds.memories)
    chosen = names[pick % len(names)] if names else UNKNOWN
    if kind == "turn":
        minds.turn(f"{AGREES}\n## Decision: pad: made of {n % 3} parts")
    elif kind == "fact":
        told = {"exporter": "cad", "exporter_version": "1", "exported_at": 1.0, "source_artifact": "x"}
        minds.feed("facts", subject="ann", slot="pad", value=f"made of {pick % 4} parts", **told)
    elif kind in ("no_action", "dismiss"):
        conflict = minds.conflicts.get("ann/pad")
        named = conflict["conflict_id"] if conflict else "c-" + 24 * "0"
        minds.command("conflict_resolve", slot="pad", conflict_id=named, action=kind)
    elif kind in ("memory_reinforce", "memory_extract"):
        minds.command(kind, audit_id=f"t{pick % 4}", text=f"{AGREES}\n## Decision: pad: made of {pick % 5} parts")
    elif kind == "memory_create":
        minds.create(f"pad: made of {pick % 3} parts", slot="pad", status=("active", "candidate")[n % 2])
    elif kind == "opinion":
        minds.feed("opinions", subject="ann", memory_id=chosen, opinion="for", confidence=1.0, by=f"voter-{pick}")
    elif kind == "memory_import":
        known = minds.memories.get(chosen)
        told = {"type": known["type"], "slot": known["slot"]} if known else {"type": "knowledge"}
        told |= {"content": AGREES, "confidence": 1.0, "version": 1 + n, "store": "older", "origin": "1"}
        minds.command(kind, memory_id=chosen, status="active", created_ts=1.0, **told)
    elif kind == "memory_update":
        minds.command(kind, memory_id=chosen, content=f"pad: made of {pick % 4} parts")
    else:
        minds.command(kind, memory_id=chosen)


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.tuples(TOLD, st.integers(0, 12)), max_size=25))
def test_nothing_but_a_promotion_or_a_won_conflict_makes_a_candidate_active(fresh_minds, steps):
    minds = fresh_minds(memory={"extract_live": True})
    candidates = {minds.create(status="candidate")}
    for n, (kind, pick) in enumerate(steps):
        tell(minds, kind, n, pick)
        for name, memory in minds.memories.items():
            if memory["status"] == "candidate":
                candidates.add(name)
            assert not (name in candidates and memory["status"] == "active"), kind
            if name in candidates:
                assert memory["reference_count"] == 0
