"""Which closed turns memory reads, and under which subjects."""

import orjson
import pytest

from endocrine.agents.capture.agent import AGENT
from endocrine.agents.contract import Trigger
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.process.policy_files import shipped_policy

PARAMETERS = {
    "temperature": 0.6,
    "top_p": 0.9,
    "max_output_tokens": 900,
    "reasoning_effort": 0.5,
    "retrieval_k": 6,
    "planner_beam": 2,
    "memory_write": 0.4,
    "safety_mode": "balanced",
    "tool_allowlist": [],
}


def opened(audit_id, ts=None, **more):
    told = {"session_id": "s", "turn": 3, "client": "web", "prompt": "What now, then?", "identity": "ann"}
    return {"kind": "opened", "audit_id": audit_id, **told, **more, **({} if ts is None else {"ts": ts})}


def closed(audit_id, **more):
    return {"kind": "closed", "audit_id": audit_id, "identity": "ann", "response": "Yes.", **more}


def revised(minds, audit_id, *, admitted, refusal=None, revision=0):
    minds.feed(
        "modulations",
        audit_id=audit_id,
        identity="ann",
        revision=revision,
        admitted=admitted,
        refusal=refusal,
        review="none",
        mode="balanced",
        parameters=PARAMETERS,
        prompt_style="balanced",
        signals=[],
        lineage={},
        policy="0" * 64,
    )


def captured(found):
    return found.get("captured", [])


def test_a_turn_of_a_project_is_captured_under_its_identity_and_under_its_project(minds):
    minds.feed("interactions", **opened("t1", 5.0, project="p05"))
    told = {"response": "Yes, so it is.", "memories_used": ["m"], "chunks_used": [{"id": 1}]}
    found = captured(minds.feed("interactions", **closed("t1", ts=6.0, memory_write=0.4, **told)))
    whole = {
        "identity": "ann",
        "interaction_id": "t1",
        "project": "p05",
        "session_id": "s",
        "turn": 3,
        "client": "web",
        **told,
        "memory_write": 0.4,
        "reinforce": True,
        "extract": False,
        "created_at": 5.0,
        "ts": 6.0,
    }
    assert found == [{"subject": "ann", **whole}, {"subject": "project:p05", **whole}]


@pytest.mark.parametrize("project", [None, "p" * 201])
def test_without_a_project_there_is_one_record(minds, project):
    minds.feed("interactions", **opened("t1", **({} if project is None else {"project": project})))
    (one,) = captured(minds.feed("interactions", **closed("t1")))
    assert (one["subject"], one["project"]) == ("ann", None)


def test_a_closing_without_its_opening_is_captured_under_the_identity_alone(minds):
    (one,) = captured(minds.feed("interactions", **closed("t1")))
    assert [one[name] for name in ("subject", "project", "session_id", "turn", "client", "created_at")] == [
        "ann",
        *5 * [None],
    ]


@pytest.mark.parametrize("finish", ["rate_limited", "denied", "output_blocked", "vetoed", "model_error"])
def test_an_answer_that_was_withheld_is_not_captured(minds, finish):
    minds.feed("interactions", **opened("t1"))
    assert captured(minds.feed("interactions", **closed("t1", finish=finish))) == []


@pytest.mark.parametrize("finish", ["answered", "cut"])
def test_an_answer_that_we_gave_is_captured(minds, finish):
    (one,) = captured(minds.feed("interactions", **closed("t1", finish=finish)))
    assert one["finish"] == finish


def test_a_turn_that_may_not_be_remembered_is_not_captured(minds):
    assert captured(minds.feed("interactions", **closed("t1", memory_write=0.0))) == []
    assert len(captured(minds.feed("interactions", **closed("t2", memory_write=0.1)))) == 1


@pytest.mark.parametrize("refusal", ["rate_limited", "held", "denied"])
def test_a_refused_turn_is_not_captured_whoever_closes_it(minds, refusal):
    minds.feed("interactions", **opened("t1", project="p05"))
    revised(minds, "t1", admitted=False, refusal=refusal)
    assert captured(minds.feed("interactions", **closed("t1"))) == []
    assert captured(minds.feed("interactions", **closed("t1"))) == []


def test_a_held_turn_is_captured_once_it_was_admitted(minds):
    minds.feed("interactions", **opened("t1"))
    revised(minds, "t1", admitted=False, refusal="held")
    revised(minds, "t1", admitted=True, revision=1)
    assert len(captured(minds.feed("interactions", **closed("t1")))) == 1


@pytest.mark.parametrize(
    ("closing", "expected"),
    [
        ({}, True),
        ({"reinforce": False}, False),
        ({"door": "http"}, True),
        ({"door": "hook"}, False),
        ({"door": "ingest"}, False),
        ({"door": "ingest", "reinforce": True}, True),
    ],
)
def test_whether_an_answer_reinforces_is_its_closings_to_say_and_hook_and_ingest_are_conservative(
    minds, closing, expected
):
    (one,) = captured(minds.feed("interactions", **closed("t1", **closing)))
    assert one["reinforce"] is expected


def test_every_answer_is_extracted_from_where_the_policy_says_so(minds_with):
    (one,) = captured(minds_with(memory={"extract_live": True}).feed("interactions", **closed("t1")))
    assert one["extract"] is True


def test_a_turn_is_captured_once(minds):
    minds.feed("interactions", **opened("t1"))
    assert len(captured(minds.feed("interactions", **closed("t1")))) == 1
    assert captured(minds.feed("interactions", **closed("t1", response="Another."))) == []
    assert len(captured(minds.feed("interactions", **closed("T1")))) == 1  # ids differ in case


def state_of(minds):
    return orjson.loads(minds.stored("capture")["ann"])[0]


def test_a_turn_without_an_end_is_out_a_day_after_its_opening_and_counted(minds):
    minds.feed("interactions", **opened("t1", 1_000.0, project="p05"))
    minds.feed("commands", kind="tick", identity="ann", by="clock", ts=1_000.0 + 86_400)
    assert list(state_of(minds)["open"]) == ["t1"]
    minds.feed("commands", kind="tick", identity="ann", by="clock", ts=1_000.1 + 86_400)
    assert state_of(minds)["open"] == {}
    assert state_of(minds)["dropped"] == 1
    assert len(captured(minds.feed("interactions", **closed("t1", ts=90_000.0)))) == 1  # without its project


def test_of_too_many_open_turns_the_oldest_is_out_and_counted(minds_with):
    minds = minds_with(capture={"open_turns": 2, "ended_remembered": 1})
    for name in ("t1", "t2", "t3"):
        minds.feed("interactions", **opened(name, project="p05"))
    assert (list(state_of(minds)["open"]), state_of(minds)["dropped"]) == (["t2", "t3"], 1)
    assert [len(captured(minds.feed("interactions", **closed(name)))) for name in ("t1", "t2", "t3")] == [1, 2, 2]
    assert len(state_of(minds)["ended"]) == 1


def test_the_state_holds_no_text_of_a_turn(minds):
    minds.feed("interactions", **opened("t1", prompt="a secret prompt"))
    assert b"secret" not in minds.stored("capture")["ann"]
    minds.feed("interactions", **closed("t1", response="a secret answer"))
    assert b"secret" not in minds.stored("capture")["ann"]


def test_an_admitted_revision_changes_nothing():
    adapter = CATALOGUE["interactions"].adapter
    first = Trigger("interactions", "i", "ann", adapter.validate_python(opened("t1", 1.0)))
    state, _ = AGENT.process(None, first, shipped_policy())
    modulation = CATALOGUE["modulations"].adapter.validate_python(
        {
            "audit_id": "t1",
            "identity": "ann",
            "revision": 0,
            "admitted": True,
            "refusal": None,
            "review": "none",
            "mode": "balanced",
            "parameters": PARAMETERS,
            "prompt_style": "balanced",
            "signals": [],
            "lineage": {},
            "policy": "0" * 64,
            "ts": 2.0,
        }
    )
    after, outputs = AGENT.process(state, Trigger("modulations", "m", "ann", modulation), shipped_policy())
    assert after is state
    assert outputs == []


@pytest.mark.parametrize("kind", ["release_lock"])
def test_a_command_that_is_no_tick_changes_nothing(minds, kind):
    minds.command(kind)
    assert minds.stored("capture") == {}
