"""What an answer does to memories: reinforcement, and candidates."""

import orjson
import pytest

from endocrine.agents._shared.memories import memory_id

AGREES = "I prefer rebase-based workflows because the history stays linear and reviewers have an easier time."
DECISION = "## Decision: pad_material: GF-PTFE"


def events(found, kind):
    return [event for event in found.get("memory-events", []) if event["kind"] == kind]


def test_an_answer_reinforces_the_memories_that_it_agrees_with(minds):
    mine = minds.create(confidence=0.5)
    minds.create("always uses Python for data processing scripts")
    found = minds.turn(AGREES, "t1")
    (reinforcement,) = found["reinforcements"]
    assert (reinforcement["memory_id"], reinforcement["matched"], reinforcement["total"]) == (mine, 7, 7)
    (event,) = found["memory-events"]
    assert [event[name] for name in ("kind", "interaction_id", "confidence_before", "confidence_after")] == [
        "reinforced",
        "t1",
        0.5,
        0.52,
    ]
    memory = minds.memories[mine]
    assert (memory["confidence"], memory["reference_count"], memory["last_referenced_at"]) == (0.52, 1, minds.ts)


def test_personal_memories_are_reinforced_under_the_identity_and_the_projects_under_the_project(minds):
    mine, ours = minds.create(), minds.create(subject="project:p05", type="project")
    minds.create(subject="bob")
    minds.create(subject="project:p06")
    found = minds.turn(AGREES, project="p05")
    assert [one["memory_id"] for one in found["reinforcements"]] == [mine, ours]


def test_an_answer_reinforces_nothing_where_its_closing_says_so(minds):
    minds.create()
    assert "reinforcements" not in minds.turn(AGREES, reinforce=False)


@pytest.mark.parametrize("end", ["memory_invalidate", "memory_supersede"])
def test_a_memory_that_is_not_active_is_not_reinforced(minds, end):
    mine, candidate = minds.create(), minds.create(status="candidate")
    minds.command(end, memory_id=mine)
    assert "reinforcements" not in minds.turn(AGREES)
    assert minds.memories[candidate]["reference_count"] == 0


def test_an_update_is_matched_by_its_new_words(minds):
    mine = minds.create("always uses Python for data processing scripts")
    minds.command(
        "memory_update", memory_id=mine, content="prefers rebase-based workflows because history stays linear"
    )
    assert len(minds.turn(AGREES)["reinforcements"]) == 1


def test_a_turn_costs_reflection_no_write(minds):
    minds.create()
    before = minds.stored("reflection")
    minds.turn(AGREES)
    minds.turn("Nothing of the kind.", project="p05")
    minds.command("release_lock")
    minds.command("tick")
    assert minds.stored("reflection") == before


def test_an_idle_subject_has_no_state_in_reflection(minds):
    minds.turn(AGREES, project="p05")
    assert minds.stored("reflection") == {}
    assert minds.stored("memory") == minds.stored("conflicts") == {}


def test_an_old_answer_reinforces_by_command_and_counts_once(minds):
    mine = minds.create(confidence=0.5)
    minds.turn(AGREES, "t1")
    assert "memory-events" not in minds.command("memory_reinforce", audit_id="t1", text=AGREES)
    found = minds.command("memory_reinforce", audit_id="t2", text=AGREES)
    assert [event["by"] for event in found["memory-events"]] == ["op"]
    assert minds.memories[mine]["reference_count"] == 2


def test_what_is_beyond_the_bound_is_not_matched_and_what_is_said_is_capped(minds_with):
    minds = minds_with(memory={"active": 2})
    oldest = minds.create()
    minds.create(type="knowledge")
    assert "capped" not in minds.turn(AGREES)["reinforcements"][0]
    minds.create(type="episodic")
    found = minds.turn(AGREES)
    assert oldest not in [one["memory_id"] for one in found["reinforcements"]]
    assert [one["capped"] for one in found["reinforcements"]] == [True, True]
    assert [one["capped"] for one in found["memory-events"]] == [True, True]
    minds.command("memory_invalidate", memory_id=oldest)
    assert "capped" not in minds.turn(AGREES)["reinforcements"][0]


def test_a_memory_of_more_words_than_are_kept_is_matched_by_some_and_says_so(minds_with):
    minds = minds_with(memory={"stems": 3})
    minds.create()
    (one,) = minds.turn(AGREES)["reinforcements"]
    assert (one["matched"], one["total"], one["capped"]) == (3, 3, True)


def test_nothing_is_extracted_from_a_turn_as_shipped(minds):
    assert "candidates" not in minds.turn(DECISION)


def test_a_decision_becomes_a_candidate_that_names_where_it_comes_from(minds_with):
    minds = minds_with(memory={"extract_live": True})
    found = minds.turn(DECISION, "t1", memory_write=0.4)
    (candidate,) = found["candidates"]
    assert candidate["memory_id"] == memory_id("ann", "reflection/capture/in-2/0/0")
    (memory,) = found["memories"]
    assert [memory[name] for name in ("status", "confidence", "strength", "slot", "value", "by")] == [
        "candidate",
        0.5,
        0.4,
        "pad_material",
        "GF-PTFE",
        "extractor-1",
    ]
    assert {name: told for name, told in memory["source"].items() if told} == {
        "kind": "interaction",
        "interaction_id": "t1",
        "identities": ["ann"],
        "rule": "decision_heading",
    }


def test_what_is_personal_goes_to_the_identity_and_the_rest_to_the_project(minds_with):
    minds = minds_with(memory={"extract_live": True})
    found = minds.turn(f"{DECISION}\nI prefer tabs over spaces.", project="p05")
    assert [(one["subject"], one["type"], one["source"]["identities"]) for one in found["candidates"]] == [
        ("ann", "preference", ["ann"]),
        ("project:p05", "adaptation", ["ann"]),
    ]


def test_without_a_project_all_goes_to_the_identity(minds_with):
    found = minds_with(memory={"extract_live": True}).turn(f"{DECISION}\nI prefer tabs over spaces.")
    assert [one["subject"] for one in found["candidates"]] == ["ann", "ann"]


def test_a_command_extracts_for_the_identity_and_another_for_the_project(minds):
    text = f"{DECISION}\nI prefer tabs over spaces."
    mine = minds.command("memory_extract", audit_id="t1", text=text, project="p05")
    ours = minds.command("memory_extract", "project:p05", audit_id="t1", text=text, project="p05", turn_identity="ann")
    assert [one["type"] for one in mine["candidates"]] == ["preference"]
    assert [(one["type"], one["source"]["identities"]) for one in ours["candidates"]] == [("adaptation", ["ann"])]


def dropped(minds, text=DECISION):
    found = minds.command("memory_extract", audit_id="t9", text=text)
    assert "candidates" not in found
    assert all(event["content"] is None for event in found["memory-events"])
    return [event["reason"] for event in events(found, "dropped")]


def extracted(minds, text=DECISION):
    (candidate,) = minds.command("memory_extract", audit_id="t1", text=text)["candidates"]
    return candidate["memory_id"]


def test_what_waits_what_is_known_and_what_was_rejected_is_not_extracted_again(minds):
    first = extracted(minds)
    assert dropped(minds, f"{DECISION}\n{DECISION}") == ["queued", "queued"]
    minds.command("memory_promote", memory_id=first)
    assert dropped(minds, DECISION.upper().replace("PAD_MATERIAL", " pad_material")) == ["known"]
    minds.command("memory_invalidate", memory_id=first)
    assert dropped(minds) == ["rejected_before"]


def test_what_was_rejected_does_not_return(minds):
    minds.command("memory_reject", memory_id=extracted(minds))
    assert dropped(minds) == ["rejected_before"]


def test_what_was_superseded_may_be_extracted_again(minds):
    first = extracted(minds)
    minds.command("memory_promote", memory_id=first)
    minds.command("memory_supersede", memory_id=first)
    assert extracted(minds) != first


def test_another_type_with_the_same_words_is_another_memory(minds):
    minds.create("pad_material: GF-PTFE", type="knowledge")
    assert extracted(minds)


def test_of_one_answer_the_same_find_is_taken_once(minds):
    found = minds.command("memory_extract", audit_id="t1", text=f"{DECISION}\n{DECISION}")
    assert len(found["candidates"]) == 1
    assert [event["reason"] for event in events(found, "dropped")] == ["queued"]


def test_while_the_queue_is_full_nothing_is_extracted(minds_with):
    minds = minds_with(memory={"candidates": 2})
    first = minds.create("the first of them", status="candidate")
    minds.create("the second of them", status="candidate")
    minds.create("the third of them", status="candidate")  # an operator's is taken all the same
    assert dropped(minds) == ["queue_full"]
    minds.command("memory_reject", memory_id=first)  # one that the state has no place for
    assert dropped(minds) == ["queue_full"]
    minds.command("memory_reject", memory_id=minds.create("the fourth of them", status="candidate"))
    (third,) = orjson.loads(minds.stored("reflection")["ann"])[0]["queue"]
    minds.command("memory_promote", memory_id=third)
    assert extracted(minds)


def test_an_active_memory_beyond_the_bound_is_still_known(minds_with):
    minds = minds_with(memory={"active": 1})
    minds.command("memory_promote", memory_id=extracted(minds))
    minds.create()
    assert dropped(minds) == ["known"]


def test_of_settled_ones_the_latest_are_remembered_and_candidates_say_that_some_are_not(minds_with):
    minds = minds_with(memory={"settled": 1})
    minds.command("memory_reject", memory_id=extracted(minds))
    minds.command("memory_reject", memory_id=minds.create("another thing entirely", status="candidate"))
    found = minds.command("memory_extract", audit_id="t1", text=DECISION)
    assert [one["capped"] for one in found["candidates"]] == [True]
    assert [event["capped"] for event in events(found, "created")] == [True]
