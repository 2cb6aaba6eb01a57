"""A model provider as hostile as its clients fear: it echoes what it was sent, never ends, lies about its form."""

import asyncio
import gzip
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import orjson
from aiohttp import web

_GOOD = {
    "id": "r", "object": "chat.completion", "created": 1, "model": "hostile",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Twice a day."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip
_ENDLESS_BYTES = 64 << 20
Reply = Callable[[web.Request, str], Awaitable[web.StreamResponse]]


def _body(data: bytes, status: int = 200, **headers: str) -> Reply:
    async def reply(request: web.Request, sent: str) -> web.StreamResponse:
        return web.Response(body=data, status=status, headers={"Content-Type": "application/json", **headers})

    return reply


def _echo(status: int) -> Reply:
    async def reply(request: web.Request, sent: str) -> web.StreamResponse:
        error = {"error": {"message": sent, "type": "invalid_request_error", "code": sent[:200], "param": sent}}
        return web.json_response(
            error, status=status, headers={"x-echo": sent[:4000].replace("\n", " ").replace("\r", " ")}
        )

    return reply


async def _plain_echo(request: web.Request, sent: str) -> web.StreamResponse:
    return web.Response(text=sent, status=500)


async def _endless(request: web.Request, sent: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    for _ in range(_ENDLESS_BYTES >> 16):
        await response.write(b" " * (1 << 16))
    return response


async def _drip(request: web.Request, sent: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for _ in range(50):
        await response.write(b": wait\n\n")
        await asyncio.sleep(0.1)
    return response


def _calls(arguments: str) -> Reply:
    call = {"id": "c", "type": "function", "function": {"name": "retrieve_knowledge", "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call] * 3}
    return _body(orjson.dumps(_GOOD | {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}))


REPLIES: list[Reply] = [
    _body(orjson.dumps(_GOOD)),
    _echo(400),
    _echo(401),
    _echo(500),
    _echo(200),
    _plain_echo,
    _endless,
    _drip,
    _body(gzip.compress(b" " * (64 << 20)), **{"Content-Encoding": "gzip"}),
    _body(b'{"choices":' + b"[" * 100_000),
    _body(b"\xff\xfe{}"),
    _body(b'{"choices": [{"message": {"content": "\\ud800"}, "finish_reason": NaN}]}'),
    _body(b"null"),
    _body(b'{"choices": ["x"], "usage": 7, "model": {}}'),
    _body(b"", 302, Location="http://127.0.0.1:9/"),
    _calls('{"query": "river", "query": "tide"}'),
    _calls('{"a":' * 300),
    _calls('{"query": "' + "x" * 100_000 + '"}'),
]
"""In the order in which they are given, over and over."""


@asynccontextmanager
async def provider() -> AsyncIterator[str]:
    """The provider on loopback; its base URL."""
    numbers = itertools.count()

    async def answer(request: web.Request) -> web.StreamResponse:
        head = "\n".join(f"{name}: {content}" for name, content in request.headers.items())
        sent = head + "\n" + (await request.read()).decode("utf-8", "replace")
        try:
            return await REPLIES[next(numbers) % len(REPLIES)](request, sent)
        except (ConnectionError, asyncio.CancelledError):
            raise web.HTTPServiceUnavailable from None

    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, shutdown_timeout=1).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()
