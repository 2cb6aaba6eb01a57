"""Without the gate no call is passed on: a worker whose gate is not there, and a model that asks for tools."""

import contextlib

import openai
import pytest
import pytest_asyncio

from effects import running
from endocrine.pipeline.connectors.model.effect import ModelEffect
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.local.fake_llm.server import ScriptedServer
from gateway_serving import forget, served, stack
from openai_stack import TOOLS, WEATHER, policy_of, script

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(module_settings, tmp_path_factory):
    policy = policy_of(tmp_path_factory.mktemp("policy"))
    async with contextlib.AsyncExitStack() as ending:
        model = await ending.enter_async_context(ScriptedServer(script()))
        asking = ModelEffect(ModelSettings(base_url=model.base_url, api_key="any"), policy.document.models)
        await ending.enter_async_context(stack(module_settings, policy=policy, without="gating"))
        ending.push_async_callback(asking.close)
        await ending.enter_async_context(running(module_settings, asking))
        yield await ending.enter_async_context(served(module_settings, policy=policy, decision_s=1.5))
    await forget(module_settings)


@pytest.mark.parametrize("stream", [False, True])
async def test_calls_that_no_gate_decides_are_never_passed_on(door, who, stream):
    client = openai.AsyncOpenAI(
        base_url=f"{door.url}/openai/v1", api_key=door.secret, max_retries=0,
        default_headers={"endocrine-identity": who},
    )  # fmt: skip
    seen: list[str] = []
    with pytest.raises(openai.APIError) as caught:
        await asked(client, stream, seen)
    assert caught.value.code == "decision_timeout"
    assert WEATHER not in "".join(seen)
    assert door.gateway.awaiting.watches.count == 0


async def asked(client, stream, seen):
    """Ask; what a stream brings goes into `seen`."""
    answer = await client.chat.completions.create(
        model="gpt-4.1-mini", messages=[{"role": "user", "content": "weather"}], tools=TOOLS, stream=stream
    )
    if stream:
        async for chunk in answer:
            seen.append(chunk.model_dump_json())
