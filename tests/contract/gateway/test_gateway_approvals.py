"""What waits for a person, over HTTP: asked again once the person has decided, it is what was decided."""

import contextlib
import json

import pytest
import pytest_asyncio

from command_line import command_line
from endocrine.pipeline.cli import approvals
from endocrine.pipeline.process.policy_files import load_policy
from gateway_serving import forget, served, stack
from waiting import until_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
POLICY = """
tools: {retrieval: {approval: {when: true}}}
review: {hold_at: 0.9}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(module_settings, tmp_path_factory):
    path = tmp_path_factory.mktemp("policy") / "mine.yaml"
    path.write_text(POLICY)
    policy = load_policy(path)
    async with contextlib.AsyncExitStack() as ending:
        await ending.enter_async_context(stack(module_settings, policy=policy))
        yield await ending.enter_async_context(served(module_settings, policy=policy))
    await forget(module_settings)


async def waiting_of(client, who, kind):
    """What waits of an identity, once the read models have it."""

    async def listed():
        answer = await client.get("/v1/approvals", params={"identity": who, "kind": kind})
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    return await until_answer(listed, bool)


@pytest.mark.parametrize(("command", "status", "decision"), [("approve", 200, "allowed"), ("deny", 403, "denied")])
async def test_a_call_that_waits_for_a_person_is_asked_again_for_what_was_decided(door, who, command, status, decision):
    async with door.client() as client:
        opened = (await client.post("/v1/turns", json={"identity": who, "prompt": "How long do refunds take?"})).json()
        call = {"identity": who, "audit_id": opened["audit_id"], "call_id": "c1", "tool": "retrieve_knowledge",
                "arguments": {"query": "refunds"}}  # fmt: skip
        for _ in range(2):
            waits = await client.post("/v1/tool-calls", json=call)
            assert (waits.status_code, waits.json()["decision"]) == (202, "pending"), waits.text
        [listed] = await waiting_of(client, who, "call")
        assert (listed["call_id"], listed["arguments"], listed["tool"]) == ("c1", call["arguments"], "retrieval")
        assert listed["expires"] > listed["since"]
        async with door.client(door.key("read")) as reader:
            assert [one["arguments"] for one in await waiting_of(reader, who, "call")] == [None]
        decided = {"identity": who, "call_id": "c1"}
        outcome = await client.post(f"/v1/commands/{command}?wait=20", json=decided)
        assert outcome.status_code == 200, outcome.text
        for _ in range(2):
            answer = await client.post("/v1/tool-calls", json=call)
            assert (answer.status_code, answer.json()["decision"]) == (status, decision), answer.text
        batch = await client.post("/v1/tool-calls", json=[call, call])
        assert [one["status"] for one in batch.json()["results"]] == [status] * 2, batch.text


@pytest.mark.parametrize(("command", "status"), [("approve-turn", 201), ("deny-turn", 403)])
async def test_a_held_turn_is_asked_again_for_what_was_decided(door, who, command, status):
    async with door.client(**{"idempotency-key": f"held {who}"}) as client:
        risky = {"identity": who, "prompt": "How long do refunds take?",
                 "signals": [{"name": "alignment_risk", "level": 0.95}]}  # fmt: skip
        held = await client.post("/v1/turns", json=risky)
        assert (held.status_code, held.json()["refusal"]) == (202, "held"), held.text
        async with door.client() as operator:
            [listed] = await waiting_of(operator, who, "turn")
            assert (listed["audit_id"], listed["prompt"]) == (held.json()["audit_id"], risky["prompt"])
            assert listed["signals"] == risky["signals"]
            decided = {"identity": who, "audit_id": listed["audit_id"]}
            outcome = await operator.post(f"/v1/commands/{command}?wait=20", json=decided)
            assert outcome.status_code == 200, outcome.text
        answer = await client.post("/v1/turns", json=risky)
        assert answer.status_code == status, answer.text
        assert answer.status_code != 201 or answer.json()["mode"] == "strict"


async def test_what_waits_is_paged_without_a_gap_and_other_identities_are_left_out(door, who):
    async with door.client() as client:
        opened = (await client.post("/v1/turns", json={"identity": who, "prompt": "Hi"})).json()
        for name in ("c1", "c2", "c3"):
            call = {"identity": who, "audit_id": opened["audit_id"], "call_id": name, "tool": "retrieve_knowledge",
                    "arguments": {"query": name}}  # fmt: skip
            assert (await client.post("/v1/tool-calls", json=call)).status_code == 202
        asked = {"identity": who, "kind": "call", "limit": 2}

        async def walked():
            found, cursor = [], {}
            while True:
                page = (await client.get("/v1/approvals", params=asked | cursor)).json()
                found += [one["call_id"] for one in page["items"]]
                if page["next"] is None:
                    return found
                cursor = {"cursor": page["next"]}

        assert await until_answer(walked, lambda found: len(found) == 3) == ["c1", "c2", "c3"]
        assert (await client.get("/v1/approvals", params={"identity": who, "kind": "turn"})).json()["items"] == []
        fixed = door.key("read", identity="fixed", fixed_identity=who)
        async with door.client(fixed) as mine:
            assert (await mine.get("/v1/approvals")).status_code == 403
            assert len((await mine.get("/v1/approvals", params={"identity": who})).json()["items"]) == 3


async def test_an_operator_lists_what_waits_at_the_command_line_and_answers_it(door, who):
    command = command_line(door.settings, approvals)

    async def call(*words):
        return await command("approvals", *words)

    async with door.client() as client:
        opened = (await client.post("/v1/turns", json={"identity": who, "prompt": "Hi"})).json()
        for name in ("c1", "c2"):
            asked = {"identity": who, "audit_id": opened["audit_id"], "call_id": name, "tool": "retrieve_knowledge",
                     "arguments": {"query": f"about {name}"}}  # fmt: skip
            assert (await client.post("/v1/tool-calls", json=asked)).status_code == 202
        risky = {"identity": f"{who}-2", "prompt": "Refunds?", "signals": [{"name": "alignment_risk", "level": 0.95}]}
        held = (await client.post("/v1/turns", json=risky)).json()["audit_id"]
        await waiting_of(client, f"{who}-2", "turn")
        await until_answer(lambda: waiting_of(client, who, "call"), lambda items: len(items) == 2)

    listed = await call("list", "--identity", who, "--json")
    assert listed.exit_code == 0, listed.output
    items = {one["id"]: one for one in json.loads(listed.stdout)["items"]}
    assert {name: one["about"] for name, one in items.items()} == {n: {"query": f"about {n}"} for n in ("c1", "c2")}
    assert "about c1" in (await call("list", "--kind", "call", "--identity", who)).stdout
    turns = json.loads((await call("list", "--kind", "turn", "--identity", f"{who}-2", "--json")).stdout)["items"]
    assert [(one["id"], one["about"]) for one in turns] == [(held, "Refunds?")]

    allowed = await call("approve", who, "c1", "--reason", "seen")
    assert (allowed.exit_code, "c1 of" in allowed.stdout, "allowed" in allowed.stdout) == (0, True, True)
    denied = await call("deny", who, "c2", "--json")
    assert (denied.exit_code, json.loads(denied.stdout)["decision"]) == (0, "denied")
    admitted = await call("approve", f"{who}-2", held, "--turn")
    assert (admitted.exit_code, "admitted" in admitted.stdout) == (0, True), admitted.output
