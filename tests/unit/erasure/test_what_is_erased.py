"""What an erasure ends, what it reduces, and that it can be sent again, in part, and about nobody."""

import random

import orjson
import pytest

import link_histories
from endocrine.agents._shared.memories import memory_id
from endocrine.agents.names.claims import claim_of
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.data.erasure.plan import Erasure, claims, commands, passing
from endocrine.pipeline.data.names import refusals, registration
from endocrine.pipeline.views.redis.erasing import ErasedSubjects
from endocrine.pipeline.views.redis.writes import writes_of
from recorded import PARTITIONS

PROJECT = "project:p05"
FACT = "## Fact: the pad is two millimetres thick"


def extracted(world, *names):
    """A memory of the project that was extracted from each of these people's turns; its id."""
    world.command(PROJECT, "memory_extract", audit_id="t1", text=FACT, project="p05", turn_identity=names[0])
    ((key, state),) = world.states()["memory"].items()
    entry = state["entry"]
    assert entry["source"]["identities"] == [names[0]]
    return key, entry["memory_id"]


def test_a_project_memory_from_the_subject_alone_ends_and_what_knew_it_forgets_it(new_world):
    world = new_world()
    key, named = extracted(world, "ann")
    world.command(PROJECT, "memory_promote", memory_id=named)
    assert named in world.states()["reflection"][PROJECT]["active"]
    outcomes = world.erase("ann")
    assert outcomes["erased"] >= 1
    assert outcomes["reduced"] == 1  # of reflection
    assert key not in world.latest("memories")
    assert named not in world.states()["reflection"][PROJECT]["active"]
    assert world.verified().proved


@pytest.mark.parametrize("voters", [("ann", "cy"), ("cy", "ann")])
def test_a_memory_of_others_loses_the_name_and_keeps_its_content(new_world, voters):
    world = new_world()
    world.command("bob", "memory_create", type="knowledge", content="the pad is thick enough")
    named = memory_id("bob", "fed-1")
    for voter in voters:
        vote = {"subject": "bob", "memory_id": named, "opinion": "for", "confidence": 0.9, "by": voter}
        world.feed(vote, topic="opinions")
    before = orjson.loads(world.latest("memories")[f"bob/{named}"])
    assert world.erase("ann")["reduced"] == 1
    after = orjson.loads(world.latest("memories")[f"bob/{named}"])
    assert after["content"] == before["content"]
    assert after["version"] == before["version"] + 1
    assert set(world.states()["memory"][f"bob/{named}"]["opinions"]["voters"]) == {"cy"}
    assert (before["by"], after["by"]) == (voters[-1], "cy" if voters[-1] == "cy" else "op")


def test_figures_of_a_tool_do_not_keep_who_ran_it_last_in_a_header(new_world):
    def named():
        """Of the last record of each tool and partition: whom its header names, and its figures."""
        logs = [world.topics.logs["tool-analytics", n] for n in range(PARTITIONS)]
        last = {(raw.partition, raw.key): raw for log in logs for raw in log}
        figures = [orjson.loads(raw.value) | {"ts": 0} for raw in last.values()]
        return {dict(raw.headers)["ce_subject"] for raw in last.values()}, figures

    world = new_world()
    result = {
        "audit_id": "t",
        "call_id": "c",
        "tool": "retrieval",
        "status": "ok",
        "duration_ms": 3,
        "args_summary": "x",
    }
    world.feed({"identity": "ann", "output": "found", **result}, topic="tool-results")
    subjects, figures = named()
    assert subjects == {b"ann"}
    world.erase("ann")
    for token in (f"$pass:{n}" for n in range(20)):  # some on each partition
        world.feed(passing(world.plan("ann"), token, by="op", ts=2_100_000_000.0), topic="erasures")
    after, again = named()
    assert b"ann" not in after
    assert again == figures
    assert world.verified().proved


def test_an_erasure_sent_again_or_half_sent_ends_the_same(new_world):
    world = new_world()
    world.lines(link_histories.link_history(random.Random(4), 80))
    plan = world.plan("ann")
    half = plan.erasures[: len(plan.erasures) // 2]
    assert 0 < len(half) < len(plan.erasures)
    world.send(commands(plan, half, by="op", ts=2_100_000_000.0))
    again = world.plan("ann")
    assert {(one.agent, one.key) for one in again.erasures} < {(one.agent, one.key) for one in plan.erasures}
    outcomes = world.send(commands(plan, plan.erasures, by="op", ts=2_100_000_000.0))
    assert outcomes["absent"] + outcomes["unchanged"] == len(half)
    assert world.plan("ann").is_empty
    assert world.send(claims(plan) and commands(plan, claims(plan), by="op", ts=1.0)) == {"claimed": 1}
    assert world.send(commands(plan, claims(plan), by="op", ts=1.0)) == {"unchanged": 1}
    assert world.verified().proved


def test_a_command_with_the_key_of_another_subject_erases_nothing(new_world):
    world = new_world()
    world.command("bob", "add_note", text="of bob")
    before = world.stored()
    wrong = [Erasure("bonds", "ann", "bob", "ann"), Erasure("trust", "ann", "bob/fact/town", "ann"),
             Erasure("linkage", "ann", 'bob/["ann","bob"]', "ann")]  # fmt: skip
    outcomes = world.send(commands(world.plan("ann"), wrong, by="op", ts=2_100_000_000.0))
    assert outcomes == {"refused": 3}
    assert world.stored() == before


def test_a_record_that_lets_all_pass_makes_every_agent_answer_and_changes_no_state(new_world):
    world = new_world()
    world.command("bob", "add_note", text="of bob")
    before = world.stored()
    plan = world.plan("ann")
    for topic in ("commands", "erasures"):
        world.lines([{"topic": topic, "value": passing(plan, "$pass:1", by="op", ts=2_100_000_000.0)}])
    assert {one["agent"] for one in world.answers() if one["outcome"] == "passed"} == set(before)
    assert world.stored() == before


def test_an_id_goes_with_its_aliases_and_neither_is_registered_anew(new_world):
    world = new_world()
    for name in ("Ann", "a.s."):
        world.feed(registration("identity", name, "Ann", by="op", ts=3.0) | {"id": name, "ts": 3.0})
    world.command("a.s.", "add_note", text="under an alias")
    world.command("Ann", "add_note", text="under the id")
    assert world.plan("Ann").names == ["Ann", "a.s."]
    world.erase("Ann")
    assert not {"Ann", "a.s."} & world.states()["bonds"].keys()
    table = world.table()
    assert {name for scope, name in table.entries} == {claim_of("identity", "ann"), claim_of("identity", "A.S.")}
    assert table.identity("Ann") == "Ann"
    again = [registration("identity", name, "bob", by="op", ts=4.0) for name in ("ANN", "bob")]
    (refused,) = refusals(table, again)
    assert "erased" in refused
    assert "ANN" not in refused


def test_what_lies_on_topics_from_before_the_claim_is_not_projected_again(new_world):
    world = new_world()
    world.command("ann", "add_note", text="of ann")
    world.command("bob", "add_note", text="of bob")
    world.erase("ann")
    claims_at = {raw.key.decode().partition("/")[2]: raw.timestamp for n in range(PARTITIONS)
                 for raw in world.topics.logs["registry", n]}  # fmt: skip
    world.command("ann", "add_note", text="ann is back")
    records = [raw for n in range(PARTITIONS) for raw in world.topics.logs["bonds", n]]
    shown = ErasedSubjects(claims_at).without("bonds", records)
    assert [raw.key for raw in shown if raw.value is not None and raw.key == b"bob"]
    assert [orjson.loads(raw.value)["notes"] for raw in shown if raw.key == b"ann" and raw.value is not None] == [
        [note] for note in orjson.loads(world.latest("bonds")["ann"])["notes"]
    ]
    assert [raw for raw in shown if raw.value is None], "tombstones stay"
    assert ErasedSubjects({}).without("bonds", records) == records


def test_a_strangers_tombstone_is_passed_over_by_the_projection():
    skipped = []
    stranger = Fetched(0, 0, 1_000, b"nobody", None, ())
    assert writes_of("identity-links", "t/0", [stranger], 1_000, lambda record, why: skipped.append(why.kind)) == []
    assert skipped == ["key"]
