"""The list of turns: filters, bounds, nothing that was said in it; one turn with its words; extract and reinforce."""

import json

import orjson
import pytest

from command_line import command_line
from endocrine.agents.names.claims import claim_of
from endocrine.pipeline.cli import interactions

pytestmark = pytest.mark.asyncio(loop_scope="module")
SAID = "## Decision: pad_material: GF-PTFE\nI prefer rebase-based workflows."


@pytest.fixture
def turns(door, who, eventually):
    """Open and close a turn for each of these; their ids, oldest first, once the read models have them."""

    async def made(*openings):
        ids = []
        async with door.client() as client:
            for number, more in enumerate(openings):
                given = {"identity": who, "prompt": "What now, then?", "ts": 1000.0 + number, **more}
                ids.append((await client.post("/v1/turns", json=given)).json()["audit_id"])
                closed = {"identity": who, "response": SAID, "memories_used": ["m"], "ts": 2000.0 + number}
                await client.post(f"/v1/turns/{ids[-1]}/close", json=closed)
            await eventually(
                lambda: client.get("/v1/interactions", params={"identity": who}),
                lambda got: (
                    [one["ended_ts"] for one in got.json()["items"]].count(None) == 0
                    and len(got.json()["items"]) == len(ids)
                ),
            )
        return ids

    return made


async def test_turns_are_summaries_that_filters_narrow(door, who, turns):
    project = f"p-{who}"
    ids = await turns({"session_id": "a"}, {"project": project, "client": "web"}, {"session_id": "a", "project": ""})
    async with door.client() as client:

        async def listed(**query):
            found = (await client.get("/v1/interactions", params={"identity": who, **query})).json()
            return [one["audit_id"] for one in found["items"]]

        whole = (await client.get("/v1/interactions", params={"identity": who})).json()
        first = whole["items"][0]
        assert {"prompt", "response", "opened"}.isdisjoint(first)
        assert (first["prompt_chars"], first["response_chars"]) == (len("What now, then?"), len(SAID))
        assert (first["memories_used"], first["chunks_used"], first["mode"]) == (1, 0, "balanced")
        assert await listed() == ids[::-1]
        assert await listed(session_id="a") == [ids[2], ids[0]]
        assert await listed(client="web") == await listed(project=project) == [ids[1]]
        assert await listed(since="1970-01-01 00:16:41Z") == await listed(since="1001") == [ids[2], ids[1]]
        assert await listed(limit=0) == await listed(limit=-3) == []
        page = (await client.get("/v1/interactions", params={"identity": who, "session_id": "a", "limit": 1})).json()
        assert [one["audit_id"] for one in page["items"]] == [ids[2]]
        assert await listed(session_id="a", limit=1, cursor=page["next"]) == [ids[0]]
        more = (await client.get("/v1/interactions", params={"identity": who, "limit": 501})).json()
        assert (more["limit"], more["capped"], len(more["items"])) == (500, True, 3)
        for wrong in ({"since": "yesterday"}, {"limit": "many"}):
            refused = await client.get("/v1/interactions", params={"identity": who, **wrong})
            assert (refused.status_code, refused.json()["field"]) == (422, next(iter(wrong)))


async def test_one_turn_shows_what_was_said_to_the_scope_content_only(door, who, turns):
    (audit_id,) = await turns({"audit_id": f"a/b {who}", "context_pack": "--- Memories ---"})
    path = f"/v1/interactions/a%2Fb%20{who}"
    async with door.client() as client, door.client(door.key("read")) as reader:
        found = (await client.get(path)).json()
        assert (found["audit_id"], found["prompt"], found["response"]) == (audit_id, "What now, then?", SAID)
        assert found["context_pack"] == "--- Memories ---"
        shown = (await reader.get(path)).json()
        assert (shown["response_chars"], "response" in shown) == (len(SAID), False)
        assert (await client.get(f"{path}-other")).status_code == 404


async def test_what_is_not_on_its_topic_any_more_is_410(door, who, turns, monkeypatch):
    (audit_id,) = await turns({})

    async def nothing(settings, places):
        return {}

    monkeypatch.setattr("endocrine.pipeline.gateway.routes.reads.records_at", nothing)
    async with door.client() as client, door.client(door.key("read")) as reader:
        gone = await client.get(f"/v1/interactions/{audit_id}")
        assert (gone.status_code, gone.json()["type"]) == (410, "/problems/gone")
        assert gone.json()["interaction"]["response_chars"] == len(SAID)
        assert (await reader.get(f"/v1/interactions/{audit_id}")).status_code == 200
        assert (await client.post(f"/v1/interactions/{audit_id}/reinforce", json={})).status_code == 410


async def test_an_answer_is_previewed_then_made_candidates_of_and_reinforces(door, who, turns, eventually):
    project = f"p-{who}"
    (audit_id,) = await turns({"project": project})
    path = f"/v1/interactions/{audit_id}"
    async with door.client() as client, door.client(door.key("review")) as reviewer:
        preview = await client.post(f"{path}/extract", json={})
        assert preview.status_code == 200
        assert [(one["subject"], one["slot"]) for one in preview.json()["items"]] == [
            (who, None),
            (f"project:{project}", "pad_material"),
        ]
        assert (await client.get("/v1/memories", params={"subject": who})).json()["items"] == []
        kept = await reviewer.post(f"{path}/extract", json={"persist": True})
        assert (kept.status_code, kept.json()["persisted"], kept.json()["items"][0]["content"]) == (202, True, None)
        queue = {"subject": who, "status": "candidate"}
        found = await eventually(lambda: client.get("/v1/memories", params=queue), lambda got: got.json()["items"])
        memory = found.json()["items"][0]["memory_id"]
        await client.post(f"/v1/memories/{memory}/promote?wait=30", json={"subject": who})
        sent = await reviewer.post(f"{path}/reinforce", json={})
        assert (sent.status_code, sent.json()["sent"]) == (202, [who, f"project:{project}"])
        await eventually(
            lambda: client.get(f"/v1/memories/{memory}", params={"subject": who}),
            lambda got: got.json()["reference_count"] == 1,
        )
        assert (await client.post(f"{path}/extract", json={"persist": 1})).status_code == 422
    async with door.client(door.key("read", "content")) as reader:
        assert (await reader.post(f"{path}/extract", json={})).status_code == 403


async def test_nothing_that_an_identity_did_before_it_was_erased_is_served_and_what_it_did_since_is(
    door, who, turns, eventually
):
    before, since = await turns({"ts": 1000.0}, {"ts": 3000.0})
    claim = {"scope": "identity", "name": claim_of("identity", who), "registered_id": claim_of("identity", who),
             "kind": "erased", "description": None, "roots": [], "effective_from": 2500.0, "released_from": None,
             "by": "ops", "ts": 2500.0}  # fmt: skip
    async with door.client() as client:
        for audit_id in (before, since):
            await eventually(lambda: client.get(f"/v1/audits/{audit_id}"), lambda got: got.status_code == 200)  # noqa: B023
        door.gateway.names.apply(None, orjson.dumps(claim))
        for path in ("interactions", "turns", "audits"):
            refused = await client.get(f"/v1/{path}/{before}")
            assert (refused.status_code, refused.json()["reason"]) == (410, "erased")
        refused = await client.post(f"/v1/interactions/{before}/extract", json={})
        assert (refused.status_code, refused.json()["reason"]) == (410, "erased")
        assert (await client.get(f"/v1/interactions/{since}")).json()["prompt"] == "What now, then?"
        listed = (await client.get("/v1/interactions", params={"identity": who})).json()["items"]
        held = (await client.get(f"/v1/identities/{who}")).json()["turns"]
        assert [one["audit_id"] for one in listed] == [one["audit_id"] for one in held] == [since]


async def test_the_command_lists_the_same_turns_and_shows_one_with_its_words(door, who, turns):
    command = command_line(door.settings, interactions)

    async def call(*words):
        return await command("interactions", *words)

    ids = await turns({"session_id": "a"}, {"client": "web"})
    listed = json.loads((await call("list", "--identity", who, "--json")).stdout)["items"]
    assert [one["audit_id"] for one in listed] == ids[::-1]
    async with door.client() as client:
        assert listed == (await client.get("/v1/interactions", params={"identity": who})).json()["items"]
    narrowed = json.loads((await call("list", "--identity", who, "--client", "web", "--json")).stdout)["items"]
    assert [one["audit_id"] for one in narrowed] == [ids[1]]
    assert "What now" not in (await call("list", "--identity", who)).stdout
    shown = json.loads((await call("show", ids[0], "--json")).stdout)
    assert (shown["prompt"], shown["response"]) == ("What now, then?", SAID)
    assert (await call("show", "nobodys-turn")).exit_code == 1
    assert (await call("list", "--since", "yesterday")).exit_code == 2
