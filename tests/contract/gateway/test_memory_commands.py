"""`endocrine memory` and `endocrine conflicts` over a broker, a worker and read models."""

import json
import time

import pytest

from command_line import command_line
from endocrine.pipeline.cli import conflicts, memory
from endocrine.pipeline.data.ingest.produce import produce

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def call(door):
    """Run a command; its exit code, and the JSON or the error that it prints."""
    command = command_line(door.settings, memory, conflicts)

    async def run(*arguments):
        result = await command(*arguments, "--json")
        return result.exit_code, json.loads(result.stdout) if result.stdout else result.stderr

    return run


async def test_a_candidate_waits_in_the_queue_until_a_person_promotes_or_rejects_it(who, call, eventually):
    ids = []
    for content in ("prefers rebase-based workflows", "prefers tabs over spaces"):
        code, event = await call(
            "memory", "create", who, content, "--type", "preference", "--candidate", "--by", "tess"
        )
        assert (code, event["kind"], event["new_status"], event["by"]) == (0, "created", "candidate", "tess")
        ids.append(event["memory_id"])
    _, queue = await eventually(lambda: call("memory", "queue", who), lambda got: len(got[1]["items"]) == 2)
    assert [one["memory_id"] for one in queue["items"]] == ids
    assert (await call("memory", "promote", who, ids[0], "--reason", "yes"))[1]["kind"] == "promoted"
    assert (await call("memory", "reject", who, ids[1]))[1]["new_status"] == "invalid"
    code, refused = await call("memory", "promote", who, ids[1])
    assert (code, refused["reason"]) == (1, "wrong_status")
    await eventually(lambda: call("memory", "queue", who), lambda got: got[1]["items"] == [])
    _, active = await call("memory", "list", who, "--status", "active")
    assert [one["memory_id"] for one in active["items"]] == [ids[0]]
    assert (await call("memory", "update", who, ids[0], "--content", "prefers merges"))[1]["kind"] == "updated"
    code, shown = await eventually(lambda: call("memory", "show", who, ids[0]), lambda got: got[1]["version"] == 3)
    assert (code, shown["content"]) == (0, "prefers merges")


async def test_a_conflict_is_listed_and_ended_by_a_winner(who, call, eventually):
    project = f"project:{who}"
    ids = []
    for value in ("PEEK", "steel"):
        _, event = await call("memory", "create", project, value, "--slot", "pad")
        ids.append(event["memory_id"])
    _, found = await eventually(lambda: call("conflicts", "list", project), lambda got: got[1]["items"])
    assert [one["value"] for one in found["items"][0]["members"]] == ["PEEK", "steel"]
    code, refused = await call("conflicts", "resolve", project, "pad", "supersede_others")
    assert (code, refused["reason"]) == (1, "winner_required")
    code, event = await call("conflicts", "resolve", project, "pad", "supersede_others", "--winner", ids[1])
    assert (code, event["kind"], event["winner"]) == (0, "resolved", ids[1])
    _, shown = await eventually(
        lambda: call("memory", "show", project, ids[0]), lambda got: got[1]["status"] == "superseded"
    )
    assert shown["superseded_by"] == ids[1]
    await eventually(lambda: call("conflicts", "list", project), lambda got: got[1]["items"] == [])
    assert (await call("conflicts", "list", project, "--all"))[1]["items"][0]["action"] == "supersede_others"


async def test_an_answer_is_previewed_then_made_candidates_of_and_reinforces(who, call, door, eventually):
    project, turn = f"project:{who}", f"turn-{who}"
    text = "## Decision: pad_material: GF-PTFE\nI prefer rebase-based workflows."
    told = {"audit_id": turn, "identity": who}
    opened = {"session_id": "s", "turn": 0, "client": "test", "prompt": "What now, then?", "project": who}
    lines = [
        {"kind": "opened", **told, **opened, "ts": time.time()},
        {"kind": "closed", **told, "response": text, "reinforce": False, "ts": time.time()},
    ]
    await produce([{"topic": "interactions", "value": value} for value in lines], door.settings)
    _, preview = await eventually(lambda: call("memory", "extract", turn), lambda got: got[0] == 0)
    assert [(one["subject"], one["type"], one["slot"]) for one in preview["items"]] == [
        (who, "preference", None),
        (project, "adaptation", "pad_material"),
    ]
    assert preview["persisted"] is False
    assert (await call("memory", "queue", who))[1]["items"] == []
    assert (await call("memory", "extract", turn, "--persist"))[1]["persisted"] is True
    found = {}
    for subject in (who, project):
        _, queue = await eventually(lambda: call("memory", "queue", subject), lambda got: len(got[1]["items"]) == 1)  # noqa: B023
        (found[subject],) = queue["items"]
        assert found[subject]["source"]["identities"] == [who]
    mine = found[who]["memory_id"]
    await call("memory", "promote", who, mine)
    assert (await call("memory", "reinforce", turn)) == (0, {"sent": [who, project]})
    _, shown = await eventually(lambda: call("memory", "show", who, mine), lambda got: got[1]["reference_count"] == 1)
    assert shown["confidence"] == 0.52
    assert (await call("memory", "extract", "never-opened"))[0] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("memory", "create", "ann", "x", "--type", "fact"), 2, "type"),
        (("memory", "create", "ann", "x" * 2001), 2, "content"),
        (("memory", "create", " ", "x"), 2, "SUBJECT: a name of 0 characters"),
        (("memory", "list", "ann", "--status", "gone"), 2, "expected one of candidate, active"),
        (("memory", "update", "ann", "m-" + 24 * "0"), 2, "nothing to change"),
        (("memory", "promote", "ann", "m-1"), 2, "memory_id"),
        (("memory", "show", "ann", "m-" + 24 * "0"), 1, "no memory"),
        (("conflicts", "show", "ann", "pad"), 1, "no conflict"),
        (("conflicts", "resolve", "ann", "pad", "dismiss"), 1, "no conflict"),
    ],
)
async def test_what_cannot_be_done_says_why(call, arguments, code, said):
    found, error = await call(*arguments)
    assert found == code
    assert said in error


async def test_a_command_that_no_worker_takes_is_sent_and_not_confirmed(who, call, monkeypatch):
    monkeypatch.setattr("endocrine.pipeline.cli.common.CONFIRM_S", 0.0)
    code, said = await call("memory", "create", who, "prefers tea over coffee")
    assert (code, "sent, not confirmed" in said) == (3, True)
