"""Turns that we answer, over HTTP: worker, connectors and a scripted model behind the gateway."""

import asyncio
import contextlib
import time

import pytest
import pytest_asyncio

from effects import running
from endocrine.pipeline.connectors.model.effect import ModelEffect
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.connectors.tools.main import tool_effect
from endocrine.pipeline.connectors.tools.settings import ToolSettings
from endocrine.pipeline.local.fake_llm.script import load_script
from endocrine.pipeline.local.fake_llm.server import ScriptedServer
from endocrine.pipeline.process.policy_files import shipped_policy

pytestmark = pytest.mark.asyncio(loop_scope="module")
STREAM = {"accept": "text/event-stream"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def answering(door, tmp_path_factory):
    """The gateway, with connectors that ask the bundled script."""
    policy, settings = shipped_policy(), door.settings
    async with contextlib.AsyncExitStack() as ending:
        server = await ending.enter_async_context(ScriptedServer(load_script(None)))
        asking = ModelEffect(ModelSettings(base_url=server.base_url, api_key="any"), policy.document.models)
        ending.push_async_callback(asking.close)
        tools = tool_effect(settings, policy, ToolSettings(corpus=tmp_path_factory.mktemp("notes")))
        ending.push_async_callback(tools.close)
        await ending.enter_async_context(running(settings, asking))
        await ending.enter_async_context(running(settings, tools))
        yield door


def question(who, prompt="what is endocrine?", **more):
    return {"identity": who, "prompt": prompt, "respond": True, **more}


async def test_the_whole_governed_answer_comes_back(answering, who):
    async with answering.client(**{"idempotency-key": who}) as client:
        answer = await client.post("/v1/turns", json=question(who))
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["finish"] == "answered"
        assert body["response"].startswith("[scripted]")
        assert {one["decision"] for one in body["decisions"]} == {"allowed"}
        assert body["modulation"]["revision"] == 0
        again = await client.post("/v1/turns", json=question(who))
        assert (again.json(), again.headers["idempotent-replayed"]) == (body, "true")


async def test_a_stream_tells_the_turn_as_it_goes(answering, who, sse):
    async with answering.client() as client:
        answer = await client.post("/v1/turns", json=question(who, "remind me tomorrow"), headers=STREAM)
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = sse(answer.text)
        names = [name for name, _, _ in told]
        assert names[0] == "modulation"
        assert names[-2:] == ["delta", "closed"]
        assert {"decision", "revised"} <= set(names)
        denied = [value["reason"] for name, value, _ in told if name == "decision" and value["decision"] == "denied"]
        assert denied == ["not_in_allowlist"]
    assert answering.gateway.awaiting.watches.count == 0


async def test_a_client_that_leaves_its_stream_leaves_nothing_behind(answering, who):
    async with answering.client() as client:
        asked = client.stream("POST", "/v1/turns", json=question(who, f"hold {time.time()}"), headers=STREAM)
        async with asked as answer:
            await anext(answer.aiter_raw())
    async with asyncio.timeout(120):
        while answering.gateway.awaiting.watches.count:  # noqa: ASYNC110 - a plain count
            await asyncio.sleep(0.01)


async def test_an_answer_that_does_not_come_in_time_is_504_and_the_turn_goes_on(answering, who):
    limits = answering.gateway.limits
    object.__setattr__(answering.gateway, "limits", limits.model_copy(update={"answer_s": 0.001}))
    try:
        async with answering.client() as client:
            answer = await client.post("/v1/turns", json=question(who))
    finally:
        object.__setattr__(answering.gateway, "limits", limits)
    assert (answer.status_code, answer.json()["type"]) == (504, "/problems/answer_timeout")
    assert answer.json()["audit_id"]
