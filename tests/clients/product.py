"""The product that clients are tried on: Kafka, Valkey, worker, model connector with a scripted model, gateway.

Each case of the table has an API key of its own, so that one case's budget or risk is none of another's.
"""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from effects import running
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.connectors.model.main import model_effect
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.local.fake_llm.script import Script, parse_script
from endocrine.pipeline.local.fake_llm.server import ScriptedServer
from endocrine.pipeline.local.kafka import KafkaNode
from endocrine.pipeline.local.prepare import prepared
from endocrine.pipeline.local.stack import PATIENT
from endocrine.pipeline.local.valkey import ValkeyServer
from endocrine.pipeline.process.policy_files import load_policy
from endocrine.pipeline.process.seal_keys import load_seals
from endocrine.pipeline.process.settings import Settings
from gateway_serving import Door, served, stack
from openai_shown import CASES

POLICY = """
applications:
  "*": {tools: [weather], strict_tools: [weather]}
  late-failure: {tools: [weather], stream: windowed}
budget: {limit: 120000}
conversation: {closings: {output_blocked: This answer is withheld.}}
moderation:
  rules: {tried: {category: violence, score: 1.0, phrases: [blocked prompt], span: 14}}
"""
Connection = dict[str, str]


def script() -> Script:
    """What the model does with the prompt of each case."""
    weather = [{"tool": "weather", "arguments": {"city": city}} for city in ("Bonn", "Köln")]
    forbidden = {"tool": "rm_everything", "arguments": {"path": "/"}}
    fault = {"fault": {"kind": "status", "status": 500}}
    steps = {
        "hello": [{"text": "Hello, wörld.", "times": 20}],
        "allowed tool": [{"calls": weather[:1]}, {"text": "It rains in Bonn."}],
        "forbidden tool": [{"calls": [forbidden]}, {"text": "Then without."}],
        "weather": [{"calls": [weather[0], forbidden, weather[1]]}, {"text": "It rains in Bonn, not in Köln."}],
        "all denied": [{"calls": [forbidden, forbidden]}, {"text": "Then without."}],
        "withheld": [{"text": "The key is sk-" + "a" * 24}],
        "model error": [fault],
        "spend.*": [fault],  # nobody knows what it cost, so all that was reserved for it is spent
        # Text has left by the time the second step fails.
        "late failure": [{"text": "Let me think.", "times": 50, "calls": [forbidden]}, fault],
    }
    rules = [{"name": prompt, "when": f"^{prompt}$", "steps": found} for prompt, found in steps.items()]
    return parse_script({"rules": [*rules, {"name": "any", "steps": [{"text": "Yes."}]}]})


@contextlib.asynccontextmanager
async def product(folder: Path) -> AsyncIterator[dict[str, Connection]]:
    """Where and as whom to ask the prompt of each case, once all of it runs. folder: for its data."""
    (folder / "policy.yaml").write_text(POLICY)
    policy = load_policy(folder / "policy.yaml", {})
    async with contextlib.AsyncExitStack() as ending:
        await prepared(lambda doing: contextlib.nullcontext(lambda done, total: None))
        node = await ending.enter_async_context(KafkaNode(folder / "kafka", properties=PATIENT))
        valkey = ValkeyServer(folder / "valkey")
        await valkey.start()
        ending.push_async_callback(valkey.stop)
        settings = Settings(
            bootstrap=node.bootstrap, redis_url=valkey.url, data_dir=folder / "data", partitions=2, group="clients"
        )
        model = await ending.enter_async_context(ScriptedServer(script()))
        await ending.enter_async_context(stack(settings, policy=policy))
        await ending.enter_async_context(_connector(settings, policy, model.base_url))
        door = await ending.enter_async_context(served(settings, policy=policy, decision_s=30))
        late = await ending.enter_async_context(served(settings, policy=policy, decision_s=1e-6))
        yield await _connections(door, late)


@contextlib.asynccontextmanager
async def _connector(settings: Settings, policy: Policy, base_url: str) -> AsyncIterator[None]:
    model = ModelSettings(base_url=base_url, api_key="any", tries=1, breaker_failures=10_000)
    asking = model_effect(settings, model, policy, load_seals(settings))
    async with running(settings, asking):
        yield
    await asking.close()


async def _connections(door: Door, late: Door) -> dict[str, Connection]:
    found = {}
    for prompt in CASES:
        limits = {"rate": 1e-6, "burst": 1} if prompt == "rate" else {}
        secret = door.key("capture", "read", name=prompt.replace(" ", "-"), **limits)
        url = late.url if prompt == "no decision" else door.url
        found[prompt] = {"base_url": f"{url}/openai/v1", "api_key": secret}
    await _spend(door, found["budget"]["api_key"])
    async with door.client(found["rate"]["api_key"]) as client:
        (await client.get("/openai/v1/models")).raise_for_status()  # the one request that the key has
    return found


async def _spend(door: Door, secret: str) -> None:
    """Ask until not even a short request has its tokens."""
    async with door.client(secret) as client:
        for chars in (20_000, 8000, 2000, 0):
            body = {"model": "small", "messages": [{"role": "user", "content": "spend" + "x" * chars}]}
            for _ in range(100):
                answer = await client.post("/openai/v1/chat/completions", json=body)
                if answer.status_code == 429:
                    break
            else:
                raise RuntimeError(f"the budget is not spent: {answer.status_code} {answer.text}")
