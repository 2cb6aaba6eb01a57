"""Trusted state over a broker: stated, read, ended and looked back on, over HTTP and by the console."""

import json

import pytest

from command_line import command_line
from endocrine.agents.policy.compiled import compile_policy
from endocrine.agents.policy.resolve import lay_over
from endocrine.pipeline.cli import trust
from endocrine.pipeline.process.policy_files import shipped_policy
from gateway_serving import served

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def call(door):
    """Run `endocrine trust ...`; its exit code and the JSON that it prints."""
    command = command_line(door.settings, trust)

    async def run(*arguments):
        result = await command("trust", *arguments, "--json")
        return result.exit_code, json.loads(result.stdout) if result.stdout else result.stderr

    return run


async def test_state_is_set_read_changed_and_ended_over_http(door, who, eventually):
    subject, path = f"project:{who}", f"/v1/trusted/Project:{who}"
    entry = {"category": "decision", "key": "pad_material", "value": "GF-PTFE"}
    async with door.client() as client:
        answer = await client.post(f"{path}?wait=30", json=entry)
        assert (answer.status_code, answer.json()["outcome"]["kind"]) == (200, "set")
        assert answer.json()["outcome"]["subject"] == subject
        shown = await eventually(lambda: client.get(path), lambda got: got.json()["items"])
        assert [(one["value"], one["version"]) for one in shown.json()["items"]] == [("GF-PTFE", 1)]
        later = await client.post(path, json={**entry, "value": "PEEK", "confidence": 0.5})
        assert (later.status_code, later.json()["outcome"]) == (202, None)
        await eventually(lambda: client.get(path), lambda got: got.json()["items"][0]["value"] == "PEEK")
        same = await client.post(f"{path}?wait=30", json={**entry, "value": "PEEK", "confidence": 0.5})
        assert same.json()["outcome"]["kind"] == "unchanged"

        unknown = await client.post(path, json={**entry, "category": "mood"})
        assert (unknown.status_code, "decision" in unknown.json()["detail"]) == (422, True)
        for name, wrong in (("key", "Pad"), ("value", ""), ("confidence", 2)):
            refused = await client.post(path, json={**entry, name: wrong})
            assert (refused.status_code, refused.json()["field"]) == (422, name)
        named = {"category": "decision", "key": "pad_material", "reason": "r"}
        for name, wrong in (("category", "Mood"), ("key", "Pad"), ("reason", "r" * 1001)):
            refused = await client.delete(path, params={**named, name: wrong})
            assert (refused.status_code, refused.json()["field"]) == (422, name)
        assert (await client.get(path, params={"category": "Mood"})).status_code == 422
        assert (await client.get("/v1/trusted/$registry")).status_code == 422
        assert (await client.get("/v1/trusted/project:")).status_code == 422

        at = {"category": "decision", "key": "pad_material", "wait": 30}
        ended = await client.delete(path, params=at | {"reason": "withdrawn"})
        assert (ended.status_code, ended.json()["outcome"]["kind"]) == (200, "invalidated")
        again = await client.delete(path, params=at)
        assert (again.status_code, again.json()["outcome"]["kind"]) == (404, "absent")
        await eventually(lambda: client.get(path), lambda got: got.json()["items"] == [])
        assert [one["status"] for one in (await client.get(f"{path}?all=true")).json()["items"]] == ["superseded"]


async def test_values_are_content_and_writing_needs_the_scope(door, who, eventually):
    path, entry = f"/v1/trusted/{who}", {"category": "status", "key": "phase", "value": "secret"}
    async with door.client() as client:
        await client.post(f"{path}?wait=30", json=entry)
        await eventually(lambda: client.get(path), lambda got: got.json()["items"])
    async with door.client(door.key("read")) as reader:
        assert (await reader.post(path, json=entry)).status_code == 403
        (shown,) = (await reader.get(path)).json()["items"]
        assert ("value" in shown, shown["key"]) == (False, "phase")
    async with door.client(door.key("read", identity="fixed", fixed_identity=f"{who}-other")) as other:
        assert (await other.get(path)).status_code == 403


async def test_the_door_refuses_what_is_beyond_the_room_of_a_subject(door, who, eventually):
    document, mistakes = lay_over(shipped_policy().resolved, {"trusted_state": {"active": 2}})
    assert not mistakes
    path = f"/v1/trusted/{who}"
    async with served(door.settings, policy=compile_policy(document)) as small, small.client() as client:
        for key in ("a", "b"):
            await client.post(f"{path}?wait=30", json={"category": "fact", "key": key, "value": "v"})
        await eventually(lambda: client.get(path), lambda got: len(got.json()["items"]) == 2)
        full = await client.post(path, json={"category": "fact", "key": "c", "value": "v"})
        assert (full.status_code, full.json()["reason"]) == (409, "state_full")
        changed = await client.post(f"{path}?wait=30", json={"category": "fact", "key": "b", "value": "w"})
        assert changed.json()["outcome"]["kind"] == "updated", "an entry that is there may change"


async def test_the_console_sets_gets_ends_and_looks_back(who, call, eventually):
    subject = f"project:{who}"
    code, event = await call("set", f"Project: {who}", "status", "phase", "build", "--by", "tess")
    assert (code, event["kind"], event["subject"], event["by"]) == (0, "set", subject, "tess")
    assert (await call("set", subject, "status", "phase", "test", "--source", "board"))[1]["kind"] == "updated"
    _, got = await eventually(
        lambda: call("get", subject), lambda got: got[1]["items"] and got[1]["items"][0]["version"] == 2
    )
    assert got["items"][0]["value"] == "test"
    code, event = await call("invalidate", subject, "status", "phase", "--reason", "over")
    assert (code, event["kind"], event["reason"]) == (0, "invalidated", "over")
    code, event = await call("invalidate", subject, "status", "phase")
    assert (code, event["kind"]) == (1, "absent")
    _, told = await call("history", subject, "--key", "phase")
    assert [one["kind"] for one in told["items"]] == ["absent", "invalidated", "updated", "set"]
    assert (await call("set", subject, "mood", "phase", "good"))[0] == 2
    assert (await call("set", "$ops", "status", "phase", "good"))[0] == 2
