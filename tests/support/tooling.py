"""Helpers for tests of tools over a broker: the connector as a child, a tool behind HTTP, a scripted model."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from endocrine.pipeline.connectors.contract import EffectRecord, Request
from endocrine.pipeline.connectors.tools.check import Entry
from endocrine.pipeline.process.settings import Settings
from running import WorkerChild

SPEC = {
    "description": "Notes that it was called.",
    "flag": None,
    "connector": "probe",
    "timeout_s": 5,
    "approval": None,
    "arguments": {
        "type": "object",
        "properties": {"query": {"type": "string"}},
        "required": ["query"],
        "additionalProperties": False,
    },
}
"""A tool that the service of this module runs; `function` and `idempotent` are to be added."""


def entries_of(records: Sequence[Any]) -> list[Entry]:
    """Records as the checker of results reads them."""
    return [Entry(raw.timestamp, orjson.loads(raw.value)) for raw in records]


class ConnectorChild(WorkerChild):
    """The tool connector as a process of its own, to be killed. url: of the tool `probe`."""

    def __init__(self, settings: Settings, log: Path, url: str) -> None:
        super().__init__(settings, log)
        self.environment |= {
            "ENDOCRINE_TOOL_CONNECTORS": orjson.dumps({"probe": url}).decode(),
            "ENDOCRINE_TOOL_CALLS": "all",
        }

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "endocrine.pipeline.cli",
                "connect",
                "tools",
                env=self.environment,
                stdout=log,
                stderr=log,
            )


@asynccontextmanager
async def service(asked: list[str], pause_s: float) -> AsyncIterator[str]:
    """A tool behind HTTP that notes each call it is asked to run, before it does anything. Yields its address."""

    async def answer(request: web.Request) -> web.Response:
        asked.append((await request.json())["call_id"])
        await asyncio.sleep(pause_s)
        return web.json_response("done")

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


class ScriptedModel:
    """An effect in place of the model's: asks for one tool first, then answers."""

    name = "model"
    requests = "model-requests"
    answers = "model-replies"

    def __init__(self, function: str = "retrieve_knowledge", pause_s: float = 0.0) -> None:
        self.function = function
        self.pause_s = pause_s
        self.asked: list[dict[str, Any]] = []

    def request_id(self, value: dict[str, Any]) -> str | None:
        return str(value["request_id"])

    def answer_id(self, value: dict[str, Any]) -> str | None:
        return value.get("request_id")

    def repeatable(self, value: dict[str, Any]) -> bool:
        return True

    async def run(self, request: Request) -> list[EffectRecord]:
        self.asked.append(request.value)
        await asyncio.sleep(self.pause_s)
        first = request.value["step"] == 1
        call = {"call_id": "call_1", "tool": self.function, "arguments": '{"query": "tides"}'}
        value = {name: request.value[name] for name in ("request_id", "audit_id", "identity", "step")}
        reply = {
            **value,
            "status": "ok",
            "content": None if first else "It is the moon.",
            "tool_calls": [call] if first else [],
            "finish_reason": "tool_calls" if first else "stop",
            "usage": {"input_tokens": 10, "output_tokens": 5},
            "model": "scripted",
            "latency_ms": 1.0,
            "error": None,
            "ts": request.ts_now(),
        }
        return [EffectRecord("model-replies", reply)]

    def failed(self, request: Request, error: str) -> list[EffectRecord]:
        raise AssertionError(error)
