"""Turns at once against a budget that is nearly spent: the model may use all that it was given, not a token more."""

import asyncio
import time
from typing import Any

import openai
import orjson
import pytest
import pytest_asyncio

from effects import produce
from endocrine.pipeline.kafka.topic_reader import batches
from gateway_serving import forget, served, stack
from openai_stack import policy_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
AT_ONCE = 64


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(module_settings, tmp_path_factory):
    """A gateway and a worker; the test is the model connector."""
    policy = policy_of(tmp_path_factory.mktemp("policy"))
    async with stack(module_settings, policy=policy), served(module_settings, policy=policy, decision_s=60) as door:
        door.policy = policy
        yield door
    await forget(module_settings)


async def requests_of(door, who) -> list[dict[str, Any]]:
    """What the model is asked for this identity."""
    found = []
    async for _, _, records in batches(door.settings, ["model-requests"]):
        found += [value for raw in records if (value := orjson.loads(raw.value))["identity"] == who]
    return found


async def greedy(door, request) -> None:
    """A reply that has used all that was held for it."""
    most = request["parameters"]["max_output_tokens"]
    same = {name: request[name] for name in ("request_id", "audit_id", "identity", "step", "model")}
    reply = {
        **same, "status": "ok", "content": "Ten days.", "tool_calls": [], "finish_reason": "stop", "latency_ms": 1.0,
        "usage": {"input_tokens": request["reserved_tokens"] - most, "output_tokens": most}, "error": None,
        "ts": time.time(),
    }  # fmt: skip
    await produce(door.settings, "model-replies", reply)


async def test_of_64_turns_at_once_not_one_token_is_overspent(door, who, eventually):
    limit = door.policy.document.budget.limit
    client = openai.AsyncOpenAI(
        base_url=f"{door.url}/openai/v1", api_key=door.secret, max_retries=0, timeout=240,
        default_headers={"endocrine-identity": who},
    )  # fmt: skip

    async def ask(text: str) -> str | None:
        """The answer; None where the budget has no room for it."""
        asked = client.chat.completions.create(model="gpt-4.1-mini", messages=[{"role": "user", "content": text}])
        try:
            return (await asked).choices[0].message.content
        except openai.RateLimitError as error:
            return None if error.code == "insufficient_quota" else error.code

    first = asyncio.create_task(ask("x" * 12_000))
    (spending,) = await eventually(lambda: requests_of(door, who), bool)
    await greedy(door, spending)
    assert await first == "Ten days."
    assert 0.5 * limit < spending["reserved_tokens"] < limit

    asking = [asyncio.create_task(ask(f"Question {number:02}?")) for number in range(AT_ONCE)]

    async def settled() -> list[dict[str, Any]]:
        return (await requests_of(door, who))[1:]

    def every_one(given: list[dict[str, Any]]) -> bool:
        return len(given) + sum(one.done() for one in asking) == AT_ONCE

    given = await eventually(settled, every_one)  # all of them are under way at once
    refused = sum(one.done() for one in asking)
    for request in given:
        await greedy(door, request)
    answers = await asyncio.gather(*asking)
    assert answers.count(None) == refused > 0
    assert answers.count("Ten days.") == len(given) > 1
    used = spending["reserved_tokens"] + sum(request["reserved_tokens"] for request in given)
    assert used <= limit
    assert used + min(request["reserved_tokens"] for request in given) > limit, "nobody was refused without need"
