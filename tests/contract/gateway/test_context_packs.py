"""Context packs over a broker and read models: over HTTP, by the console, and into a turn's closing."""

import json

import pytest

from command_line import command_line
from endocrine.pipeline.cli import context, memory

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def call(door):
    """Run a command; its exit code, and the JSON or the error that it prints."""
    command = command_line(door.settings, context, memory)

    async def run(*arguments, **more):
        result = await command(*arguments, "--json", **more)
        return result.exit_code, json.loads(result.stdout) if result.stdout else result.stderr

    return run


async def test_a_pack_has_what_is_in_force_is_recorded_and_is_the_same_under_an_alias(door, who, call, eventually):
    project, alias = f"p05-{who}", f"pump {who}"
    async with door.client() as client:
        for name in (project, alias):
            told = {"scope": "project", "name": name, "registered_id": project}
            assert (await client.post("/v1/names?wait=30", json=told)).status_code == 200
        entry = {"category": "decision", "key": "pad", "value": "PEEK"}
        await client.post(f"/v1/trusted/project:{project}?wait=30", json=entry)
        _, event = await call("memory", "create", who, "prefers short answers", "--type", "preference")
        await call("memory", "create", who, "hates long answers", "--candidate")

        async def asked(**more):
            return (await client.post("/v1/context", json={"identity": who, "prompt": "what now?", **more})).json()

        state = "--- Trusted Project State ---\n[decision] pad: PEEK"
        text = f"{state}\n\n--- Memories ---\n[preference] prefers short answers"
        found = await eventually(lambda: asked(project=project), lambda got: got["formatted_context"] == text)
        assert (found["status"], found["recorded"], found["memories_used"]) == ("built", True, [event["memory_id"]])
        assert found["budget_remaining"] == found["budget"] - len(text)
        assert any(place.startswith("memories/") for place in found["as_of"])
        again = await asked(project=alias.upper())
        named = await asked(prompt=f"how is the {alias}?", auto=True)
        assert again["formatted_context"] == named["formatted_context"] == text
        assert again["pack_id"] == found["pack_id"], "the same question and answer are one pack"
        assert (await asked(auto=True))["status"] == "no_project_match"
        code, built = await call("context", "build", "what now?", "--identity", who, "--project", alias)
        assert (code, built["formatted_context"]) == (0, text)
        code, last = await call("context", "last", who)
        assert (code, last["project"], last["formatted_context"], last["state"]) == (0, project, text, ["decision/pad"])


async def test_what_cannot_be_read_is_refused_and_only_the_scope_content_gives_a_pack(door, who):
    async with door.client() as client:
        for wrong in ({"budget": 255}, {"passages": 21}, {"prompt": ""}, {"nobody": 1}, {"project": 7}):
            refused = await client.post("/v1/context", json={"identity": who, "prompt": "?", **wrong})
            assert (refused.status_code, refused.json()["type"]) == (422, "/problems/invalid")
    async with door.client(door.key("read", "capture")) as other:
        assert (await other.post("/v1/context", json={"identity": who, "prompt": "?"})).status_code == 403
    async with door.client(door.key("content", identity="fixed", fixed_identity=who)) as own:
        assert (await own.post("/v1/context", json={"prompt": "?"})).status_code == 200
        assert (await own.post("/v1/context", json={"prompt": "?", "project": "p"})).status_code == 403


async def test_without_read_models_the_pack_is_empty_and_says_so(door, who, call):
    away = {"ENDOCRINE_REDIS_URL": "redis://127.0.0.1:1"}
    code, found = await call("context", "build", "what now?", "--identity", who, **away)
    assert (code, found["status"], found["fail_open"], found["formatted_context"]) == (0, "unavailable", True, "")
    assert (await call("context", "build", "what now?", "--strict", **away))[0] == 2
