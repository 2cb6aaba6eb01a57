"""The product under attack: broker of the caller, worker, connectors, a model that obeys the attacker, a gateway."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from effects import running
from endocrine.pipeline.connectors.model.effect import ModelEffect
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.connectors.tools.main import tool_effect
from endocrine.pipeline.connectors.tools.settings import ToolSettings
from endocrine.pipeline.data.redteam.corpus import Corpus
from endocrine.pipeline.local.fake_llm.script import parse_script
from endocrine.pipeline.local.fake_llm.server import ScriptedServer
from endocrine.pipeline.process.policy_files import load_policy
from endocrine.pipeline.process.settings import Settings
from gateway_serving import Door, served, stack

MODEL = "openai/gpt-4.1-mini"
"""A name with a path is asked by chat completions, in which names come in pieces, too."""
POLICY = """
applications:
  "*": {tools: [order_status], strict_tools: [order_status], own_tools: true}
  windowed: {tools: [order_status], strict_tools: [order_status], own_tools: true, stream: windowed}
"""


@contextlib.asynccontextmanager
async def attacked(settings: Settings, corpus: Corpus, folder: Path) -> AsyncIterator[tuple[Door, dict[str, str]]]:
    """The door, and a key for each way of streaming: `buffered`, `windowed`. folder: for policy and notes."""
    (folder / "policy.yaml").write_text(POLICY)
    notes = folder / "notes"
    notes.mkdir()
    for name, text in corpus.notes.items():
        (notes / name).write_text(text, encoding="utf-8")
    policy = load_policy(folder / "policy.yaml", {})
    async with contextlib.AsyncExitStack() as ending:
        await ending.enter_async_context(stack(settings, policy=policy))
        door = await ending.enter_async_context(served(settings, policy=policy, decision_s=30))
        script = parse_script(corpus.script(door.url.partition("//")[2]))
        model = await ending.enter_async_context(ScriptedServer(script))
        asking = ModelEffect(
            ModelSettings(base_url=model.base_url, api_key="any", tries=1, breaker_failures=10_000, stream=True),
            policy.document.models,
        )
        ending.push_async_callback(asking.close)
        await ending.enter_async_context(running(settings, asking))
        tools = tool_effect(settings, policy, ToolSettings(corpus=notes, browser=True))
        ending.push_async_callback(tools.close)
        await ending.enter_async_context(running(settings, tools))
        keys = {
            name: door.key("capture", "read", name=name, rate=1e4, burst=10**5) for name in ("buffered", "windowed")
        }
        yield door, keys
