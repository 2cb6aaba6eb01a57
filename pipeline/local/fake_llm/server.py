"""The server itself, on loopback.

    async with ScriptedServer(load_script()) as server:
        client = AsyncOpenAI(base_url=server.base_url, api_key="any")

`POST /v1/chat/completions` and `POST /v1/responses`, streaming or not; `POST /v1/moderations`; `GET /v1/models`.
"""

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

from endocrine.pipeline.local.fake_llm import shapes
from endocrine.pipeline.local.fake_llm.script import Conversation, Fault, Script, choose, scores

MODEL = "scripted"
_KEPT = 10_000
"""Requests kept, for tests."""
_KEPT_BYTES = 64 << 20
"""Most bytes of those: the oldest go, but never the latest."""
_BODY_BYTES = 64 << 20
_FLAGGED = 0.5
"""A score from here on is flagged."""


@dataclass(frozen=True)
class ReceivedRequest:
    """A request that came in."""

    api: str
    """`chat` or `responses`."""
    body: Mapping[str, Any]
    authorization: str
    size: int = 0
    """Bytes of the body."""


@dataclass(frozen=True)
class _Api:
    """How one of the APIs reads and says things."""

    name: str
    asked: Callable[[Mapping[str, Any]], Conversation]
    whole: Callable[[shapes.Answer], dict[str, Any]]
    parts: Callable[[shapes.Answer], Iterator[dict[str, Any]]]


_CHAT = _Api("chat", shapes.of_chat, shapes.chat, shapes.chat_chunks)
_RESPONSES = _Api("responses", shapes.of_responses, shapes.response, shapes.response_events)


class ScriptedServer:
    """One server; an async context manager, or `start` and `stop`.

    port 0: any free one. api_key: the one key it takes; None: any.
    """

    def __init__(self, script: Script, *, port: int = 0, api_key: str | None = None) -> None:
        self.seen: deque[ReceivedRequest] = deque()
        self._seen_bytes = 0
        self._script = script
        self._port = port
        self._key = api_key
        self._faults: Counter[tuple[str, int]] = Counter()
        self._runner: web.AppRunner | None = None
        self._ending = asyncio.Event()
        self._number = 0

    @property
    def base_url(self) -> str:
        """What to give a client as its base URL. Known once started."""
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        app = web.Application(client_max_size=_BODY_BYTES)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/responses", self._responses)
        app.router.add_post("/v1/moderations", self._moderations)
        app.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """End; what is stalled is let go."""
        self._ending.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _models(self, _: web.Request) -> web.Response:
        return self._json({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "script"}]})

    async def _moderations(self, request: web.Request) -> web.Response:
        body = await request.json()
        await self._keep("moderations", request, body)
        found = {"self-harm": 0.0, "violence": 0.0} | scores(self._script, str(body.get("input")))
        flagged = {name: score >= _FLAGGED for name, score in found.items()}
        result = {"flagged": any(flagged.values()), "categories": flagged, "category_scores": found}
        return self._json({"id": "modr-scripted", "model": MODEL, "results": [result]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, _CHAT)

    async def _responses(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, _RESPONSES)

    async def _answer(self, request: web.Request, api: _Api) -> web.StreamResponse:
        try:
            body = await request.json()
        except ValueError:
            return self._error(400, "the body is no JSON", "invalid_json")
        authorization = request.headers.get("authorization", "")
        await self._keep(api.name, request, body)
        if self._key is not None and authorization != f"Bearer {self._key}":
            return self._error(401, "wrong key", "invalid_api_key")
        asked = api.asked(body)
        chosen = choose(self._script, asked)
        if chosen is None:
            return self._error(404, f"the script has no rule for {asked.prompt[:80]!r}", "no_rule")
        rule, number = chosen
        step, streaming = rule.steps[number], bool(body.get("stream"))
        await self._wait(step.delay_s)
        if step.fault is not None and self._faults[rule.name, number] < step.fault.times:
            self._faults[rule.name, number] += 1
            return await self._fail(request, step.fault, streaming)
        self._number += 1
        answer = shapes.answer(self._script, step, asked, body, self._number)
        if not streaming:
            return self._json(api.whole(answer))
        return await self._stream(request, api, answer)

    async def _keep(self, api: str, request: web.Request, body: Any) -> None:
        size = len(await request.read())
        self.seen.append(ReceivedRequest(api, body, request.headers.get("authorization", ""), size))
        self._seen_bytes += size
        while len(self.seen) > _KEPT or (self._seen_bytes > _KEPT_BYTES and len(self.seen) > 1):
            self._seen_bytes -= self.seen.popleft().size

    async def _stream(self, request: web.Request, api: _Api, answer: shapes.Answer) -> web.StreamResponse:
        stream = await self._open(request)
        for part in api.parts(answer):
            kind = f"event: {part['type']}\n" if api is _RESPONSES else ""
            await stream.write(f"{kind}data: {json.dumps(part)}\n\n".encode())
        if api is _CHAT:
            await stream.write(b"data: [DONE]\n\n")
        await stream.write_eof()
        return stream

    async def _fail(self, request: web.Request, fault: Fault, streaming: bool) -> web.StreamResponse:
        if fault.kind == "status":
            return self._error(fault.status, "as the script says", fault.code, fault.retry_after)
        broken = b'{"id": "scripted", "choi'
        if fault.kind == "malformed" and not streaming:
            return web.Response(body=broken, content_type="application/json", headers=self._headers())
        if fault.kind == "stall" and not streaming:
            await self._wait(fault.stall_s)
            return self._error(500, "stalled", None)
        stream = await self._open(request, length=None if streaming else 1000)
        if fault.kind == "stall":
            await self._wait(fault.stall_s)
        elif fault.kind == "malformed":
            await stream.write(b"data: " + broken + b"\n\n")
            await stream.write_eof()
        else:
            await stream.write(b'data: {"id": "scripted", "choices": []}\n\n' if streaming else broken)
            if request.transport is not None:
                request.transport.close()
        return stream

    async def _open(self, request: web.Request, length: int | None = None) -> web.StreamResponse:
        kind = "text/event-stream" if length is None else "application/json"
        stream = web.StreamResponse(headers={**self._headers(), "content-type": kind})
        stream.content_length = length
        await stream.prepare(request)
        return stream

    async def _wait(self, seconds: float) -> None:
        if seconds:
            try:
                await asyncio.wait_for(self._ending.wait(), seconds)
            except TimeoutError:
                return

    def _headers(self) -> dict[str, str]:
        return {"x-scripted": self._script.label}

    def _json(self, value: dict[str, Any]) -> web.Response:
        return web.json_response(value, headers=self._headers())

    def _error(self, status: int, message: str, code: str | None, retry_after: str | None = None) -> web.Response:
        headers = self._headers() | ({"retry-after": retry_after} if retry_after is not None else {})
        error = {"message": f"{self._script.label}: {message}", "type": "scripted", "param": None, "code": code}
        return web.json_response({"error": error}, status=status, headers=headers)
