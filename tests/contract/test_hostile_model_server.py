"""The model connector against a server that sends whatever it likes: bounds hold, and nothing of it leaks."""

import asyncio
import bz2
import gzip
import json
import logging
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
import structlog

from endocrine.pipeline.connectors.contract import Request
from endocrine.pipeline.connectors.model.effect import ModelEffect
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.process.policy_files import shipped_policy

SHIPPED = shipped_policy().document.models
KEY, PASSWORD, PROMPT, ARGUMENT, THEIRS = (
    f"canary_{name}_x" for name in ("key", "password", "prompt", "argument", "body")
)
CANARIES = (KEY, PASSWORD, PROMPT, ARGUMENT, THEIRS, "canary")
Write = Callable[[asyncio.StreamWriter], Any]
FUNCTION = {"name": "look", "arguments": json.dumps({"q": ARGUMENT})}
VALUE: dict[str, Any] = {
    "request_id": "r1",
    "audit_id": "t1",
    "identity": "ann",
    "step": 1,
    "model": "local-model",
    "messages": [
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": FUNCTION}]},
        {"role": "tool", "tool_call_id": "c1", "content": "nothing"},
    ],
    "tools": [],
    "parameters": {"max_output_tokens": 256},
    "dropped": [],
    "deadline_ms": 20_000,
    "ts": 1.0,
}
ANSWER = {"choices": [{"index": 0, "message": {"content": "yes"}, "finish_reason": "stop"}]}


class Served:
    """A server that writes raw bytes, and what it was asked."""

    def __init__(self) -> None:
        self.port = 0
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []


@asynccontextmanager
async def serving(answer: bytes | Write) -> AsyncIterator[Served]:
    served = Served()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            served.bodies.append(await reader.readexactly(length))
            served.heads.append(head)
            if callable(answer):
                await answer(writer)
            else:
                writer.write(answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()


def http(body: bytes, *headers: str, status: str = "200 OK", form: str = "application/json") -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        f"content-type: {form}",
        f"content-length: {len(body)}",
        "connection: close",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def sse(*events: Any) -> bytes:
    return "".join(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events).encode()


async def asked(
    answer: bytes | Write, *, bounds: dict[str, int] | None = None, value: dict[str, Any] | None = None, **given: Any
) -> tuple[dict[str, Any], Served]:
    rules = SHIPPED.model_copy(update={"bounds": SHIPPED.bounds.model_copy(update=bounds or {})})
    async with serving(answer) as served:
        settings = {
            "api_key": KEY,
            "base_url": f"http://127.0.0.1:{served.port}/v1",
            "api": "chat",
            "tries": 2,
            "backoff_s": 0.01,
        } | {name: one.format(port=served.port) if isinstance(one, str) else one for name, one in given.items()}
        effect = ModelEffect(ModelSettings.model_validate(settings), rules)
        try:
            async with asyncio.timeout(120):
                (said,) = await effect.run(Request({**VALUE, **(value or {})}, "ann", 0, 0, 0.0))
        finally:
            await effect.close()
    CATALOGUE["model-replies"].validate(said.value)
    assert len(orjson.dumps(said.value)) <= rules.bounds.record_bytes
    return said.value, served


def kind(reply: dict[str, Any]) -> str:
    assert reply["status"] == "error"
    assert (reply["content"], reply["tool_calls"]) == (None, [])
    return str(reply["error"]).partition(":")[0]


LARGE = json.dumps(ANSWER | {"padding": "x" * 6_000_000}).encode()
BOMB = json.dumps(ANSWER).encode() + b" " * 150_000_000


@pytest.mark.parametrize("stream", [False, True])
async def test_a_body_above_its_bound_is_refused_once(stream: bool) -> None:
    reply, served = await asked(http(LARGE), stream=stream)
    assert kind(reply) == "too_large"
    assert len(served.heads) == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "raw deflate"])
async def test_a_small_body_that_unpacks_to_a_large_one_is_refused(encoding: str) -> None:
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = {
        "gzip": lambda: gzip.compress(BOMB, 1),
        "deflate": lambda: zlib.compress(BOMB, 1),
        "raw deflate": lambda: raw.compress(BOMB) + raw.flush(),
    }[encoding]()
    assert len(packed) < 1_000_000
    reply, served = await asked(http(packed, f"content-encoding: {encoding.removeprefix('raw ')}"))
    assert kind(reply) == "too_large"
    assert b"accept-encoding: identity" in served.heads[0].lower()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_proxys_compression_is_undone(encoding: str) -> None:
    body = json.dumps(ANSWER).encode()
    packed = gzip.compress(body[:9]) + gzip.compress(body[9:]) if encoding == "gzip" else zlib.compress(body)
    reply, _ = await asked(http(packed, f"content-encoding: {encoding}"))
    assert reply["content"] == "yes"


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", THEIRS])
async def test_other_encodings_are_refused(encoding: str) -> None:
    reply, _ = await asked(http(b"xx", f"content-encoding: {encoding}"))
    assert kind(reply) == "malformed_reply"
    assert THEIRS not in str(reply)


async def test_a_compressed_body_that_is_cut_is_no_reply() -> None:
    packed = gzip.compress(json.dumps(ANSWER).encode())
    reply, _ = await asked(http(packed[:-9], "content-encoding: gzip"))
    assert kind(reply) in ("stream_cut", "malformed_reply")


async def endless(writer: asyncio.StreamWriter, piece: bytes, pause_s: float = 0.0) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
    while True:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(pause_s)


TEXT = sse({"choices": [{"index": 0, "delta": {"content": "x" * 500}}]})
CALL = sse(
    {"choices": [{"index": 0, "delta": {"tool_calls": [{"id": "", "function": {"name": "a", "arguments": "{}"}}]}}]}
)


@pytest.mark.parametrize(
    ("piece", "bounds"),
    [
        (TEXT, {}),
        (b": keep-alive\n\n" * 50, {"stream_bytes": 200_000}),
        (b"data: " + b"x" * 50_000, {}),
        (b"data: x\n" * 1000, {"event_bytes": 100_000}),
        (b"data: \r" * 1000, {"event_bytes": 100_000}),
        (CALL, {}),
        (sse({"choices": [{"index": 0, "delta": {"reasoning": "x" * 5000}}]}), {"stream_bytes": 1_000_000}),
    ],
    ids=["text", "comments", "one line", "lines of one event", "empty lines of data", "calls", "reasoning"],
)
async def test_a_stream_without_an_end_is_refused_at_a_bound(piece: bytes, bounds: dict[str, int]) -> None:
    reply, _ = await asked(lambda writer: endless(writer, piece), bounds=bounds, stream=True)
    assert kind(reply) in ("too_large", "malformed_reply")


async def test_a_stream_that_drips_ends_at_the_deadline() -> None:
    reply, _ = await asked(lambda writer: endless(writer, TEXT, 0.05), value={"deadline_ms": 400}, stream=True)
    assert reply["status"] == "timeout"


async def test_a_call_takes_no_longer_than_its_bound_whatever_the_deadline() -> None:
    reply, _ = await asked(lambda writer: endless(writer, b":\n", 0.05), bounds={"call_ms": 300}, stream=True)
    assert reply["status"] == "timeout"


def with_arguments(text: str) -> bytes:
    call = {"id": "1", "function": {"name": "look", "arguments": text}}
    message = {"content": None, "tool_calls": [call]}
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"choices":' + b"[" * 900 + b"]" * 900 + b"}",
        with_arguments('{"a":' * 70 + "1" + "}" * 70),
        with_arguments('{"a":' * 100_000),
        json.dumps(
            {"choices": [{"message": {"content": [{"type": "thinking", "thinking": [[[[[[[["x"]]]]]]]]}]}}]}
        ).encode(),
        b'{"choices": [{"message": {"content": "yes"}, "finish_reason": "stop", "index": ' + b"1" * 5000 + b"}]}",
    ],
    ids=["lists", "choices", "arguments", "unclosed arguments", "blocks", "digits"],
)
async def test_nesting_and_length_of_any_kind_end_as_an_error(body: bytes) -> None:
    reply, _ = await asked(http(body))
    assert kind(reply) in ("too_large", "malformed_reply", "empty_reply")


async def test_a_record_never_grows_beyond_its_bound() -> None:
    """A character may take six bytes in JSON."""
    body = {"choices": [{"index": 0, "message": {"content": "\0" * 400_000}, "finish_reason": "stop"}]}
    reply, _ = await asked(http(json.dumps(body).encode()))
    assert kind(reply) == "too_large"


@pytest.mark.parametrize(
    "text", ['{"k": 1e400}', '{"k": NaN}', '{"k": "\\ud83d"}', '{"k": 123456789012345678901234567890}']
)
async def test_arguments_that_no_record_can_hold_do_not_stop_the_connector(text: str) -> None:
    reply, _ = await asked(http(with_arguments(text)))
    assert reply["status"] == "ok"
    assert reply["tool_calls"][0]["tool"] == "look"


async def test_a_redirect_is_not_followed() -> None:
    reply, served = await asked(http(b"", f"location: http://127.0.0.1:1/{THEIRS}", status="307 Temporary Redirect"))
    assert kind(reply) == "http_307"
    assert len(served.heads) == 1


@pytest.mark.parametrize(
    "given", ["1s", "-1", "NaN", "0, 0", "Wed, 21 Oct 2015 07:28:00", "", "1e999", "inf", "9" * 400]
)
async def test_an_odd_retry_after_is_neither_a_crash_nor_a_wait(given: str) -> None:
    answers = iter([http(b"{}", f"retry-after: {given}", status="429 No"), http(json.dumps(ANSWER).encode())])

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(next(answers))

    reply, served = await asked(answer)
    assert reply["content"] == "yes"
    assert len(served.heads) == 2


async def test_an_error_body_with_status_200_is_asked_again_and_named_where_it_lasts() -> None:
    bad = http(b'{"error": {"message": "Rate limit exceeded: free-models-per-day", "code": 429}}')
    answers = iter([bad, http(json.dumps(ANSWER).encode())])

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(next(answers))

    assert (await asked(answer))[0]["content"] == "yes"
    for stream in (False, True):
        reply, served = await asked(bad, stream=stream)
        assert kind(reply) == "http_429"
        assert "Rate limit" in reply["error"]
        assert len(served.heads) == 2


async def test_a_server_that_keeps_the_stream_open_after_its_end_is_not_waited_for() -> None:
    async def open_for_ever(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        writer.write(sse({"choices": [{"index": 0, "delta": {"content": "yes"}, "finish_reason": "stop"}]}, "[DONE]"))
        await writer.drain()
        await asyncio.Event().wait()

    reply, _ = await asked(open_for_ever, stream=True)
    assert reply["content"] == "yes"


# ---- a canary in key, URL, prompt, arguments and in what the server sends ----

ECHO = f"{KEY} {PASSWORD} {PROMPT} {ARGUMENT} {THEIRS} Bearer {KEY}"
ERROR = {"message": ECHO, "type": PROMPT, "code": KEY, "param": ARGUMENT, "status": PASSWORD, ECHO: ECHO}
CHUNK = {"model": ECHO, "choices": [{"index": 0, "delta": {"content": "half"}}]}
STREAM = "text/event-stream"


@pytest.mark.parametrize(
    "answer",
    [
        *(
            http(json.dumps({"error": ERROR}).encode(), status=f"{code} {ECHO}")
            for code in (400, 401, 403, 404, 429, 500, 503)
        ),
        http(json.dumps({"error": ERROR}).encode()),
        http(json.dumps([{"error": ERROR}]).encode()),
        http(json.dumps({"error": ECHO}).encode()),
        http(json.dumps({"detail": [{"loc": [ECHO], "input": ECHO}]}).encode(), status="422 No"),
        http(ECHO.encode(), form="text/html"),
        http(ECHO.encode(), form="text/html", status="502 Bad"),
        http(b'{"choices": "' + ECHO.encode()),
        http(json.dumps({"choices": [{"message": {"content": {"type": ECHO}}}]}).encode()),
        http(json.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": ECHO}]}).encode()),
        http(json.dumps({"choices": [{"message": {"tool_calls": [{"function": {"name": 5, ECHO: 1}}]}}]}).encode()),
        http(
            json.dumps({"model": ECHO, "choices": [{"message": {"content": ""}, "finish_reason": "length"}]}).encode()
        ),
        http(b"{}", f"retry-after: {ECHO}", f"x-error: {ECHO}", status="429 No"),
        http(b"", f"content-encoding: {ECHO}"),
        http(b"", f"location: http://{KEY}.invalid/{ECHO}", status="302 Found"),
        http(sse(CHUNK, {"error": ERROR}), form=STREAM),
        http(b"event: error\ndata: " + ECHO.encode() + b"\n\n", form=STREAM),
        http(sse(CHUNK, ECHO), form=STREAM),
        http(sse(CHUNK), form=STREAM),
        http(b"data: \xff" + ECHO.encode() + b"\n\n", form=STREAM),
        f"HTTP/1.1 {ECHO}\r\n\r\n".encode(),
        f"{ECHO}\r\n\r\n".encode(),
        f"HTTP/1.1 200 OK\r\n{ECHO}\r\n\r\n".encode(),
        f"HTTP/1.1 200 OK\r\nx: {ECHO * 900}\r\n\r\n".encode(),
        f"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{ECHO}\r\n".encode(),
        f"HTTP/1.1 200 OK\r\ncontent-length: {ECHO}\r\n\r\n".encode(),
        b"",
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_nothing_that_was_sent_or_that_came_is_in_the_error_or_a_log(
    answer: bytes, stream: bool, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"http://{PASSWORD}:{PASSWORD}@127.0.0.1:{{port}}/v1"
    with structlog.testing.capture_logs() as logged:
        reply, served = await asked(answer, stream=stream, base_url=url)
    assert reply["status"] in ("error", "refused")
    assert served.heads
    printed = "".join(capfd.readouterr())
    for place in (orjson.dumps(reply).decode(), str(logged), caplog.text, printed):
        assert not [canary for canary in CANARIES if canary in place]
    kinds = ("http_", "provider_error", "malformed_reply", "stream_cut", "no_connection", "token_limit", "empty_reply")
    assert str(reply["error"]).startswith(kinds)


async def test_a_short_code_of_the_provider_is_shown_unless_it_echoes_the_request() -> None:
    shown, _ = await asked(http(b'{"error": {"code": "context_length_exceeded"}}', status="400 No"))
    assert "(context_length_exceeded)" in shown["error"]
    for echoed in ("canary_prompt_x", "CANARY_PROMPT", "canary_key_x"):
        hidden, _ = await asked(http(json.dumps({"error": {"code": echoed}}).encode(), status="400 No"))
        assert echoed not in hidden["error"]


async def test_a_user_in_the_url_is_the_login_of_a_proxy() -> None:
    reply, served = await asked(
        http(json.dumps(ANSWER).encode()), base_url="http://me:pass@127.0.0.1:{port}/v1?version=1"
    )
    assert reply["content"] == "yes"
    assert b"authorization: basic bwu6cgfzcw==" in served.heads[0].lower()
    assert served.heads[0].startswith(b"POST /v1/chat/completions?version=1 ")


# ---- what the provider's client would do by itself ----


async def test_what_goes_out_is_the_body_and_the_headers_that_the_settings_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, content in (
        ("OPENAI_CUSTOM_HEADERS", f"x-own: {THEIRS}\nuser-agent: {THEIRS}\nauthorization: {THEIRS}"),
        ("OPENAI_ORG_ID", THEIRS),
        ("OPENAI_ADMIN_KEY", THEIRS),
        ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1"),
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("ALL_PROXY", "http://127.0.0.1:1"),
    ):
        monkeypatch.setenv(name, content)
    parameters = {"max_output_tokens": 256, "of_another_server": {"min_p": 0.1}}
    reply, served = await asked(
        http(json.dumps(ANSWER).encode()), value={"parameters": parameters}, organization="", project="p1"
    )
    assert reply["content"] == "yes"
    lines = dict(line.split(b": ", 1) for line in served.heads[0].lower().split(b"\r\n")[1:] if line)
    assert lines.pop(b"user-agent").startswith(b"endocrine/")
    assert lines.pop(b"content-length") == str(len(served.bodies[0])).encode()
    assert lines == {
        b"host": f"127.0.0.1:{served.port}".encode(),
        b"accept": b"*/*",
        b"accept-encoding": b"identity",
        b"content-type": b"application/json",
        b"authorization": f"bearer {KEY}".encode(),
        b"openai-project": b"p1",
    }
    sent = orjson.loads(served.bodies[0])
    assert sent["of_another_server"] == {"min_p": 0.1}
    assert served.bodies[0] == orjson.dumps(sent)


async def test_the_proxy_of_the_environment_is_used_for_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(http(json.dumps(ANSWER).encode())) as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:pass@127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        reply, _ = await asked(b"", base_url="http://provider.invalid/v1")
    assert reply["content"] == "yes"
    assert proxy.heads[0].startswith(b"POST http://provider.invalid/v1/chat/completions ")
    assert b"proxy-authorization: basic bwu6cgfzcw==" in proxy.heads[0].lower()


NESTED = b'{"error": {"code": ' + b"[" * 900 + b"]" * 900 + b"}}"


@pytest.mark.parametrize(
    "answer",
    [
        http(gzip.compress(b" " * 150_000_000, 1), "content-encoding: gzip", status="400 No"),
        http(b" " * 10_000_000, status="400 No"),
        http(bz2.compress(b" " * 150_000_000), form="text/plain; charset=bz2", status="400 No"),
        http(zlib.compress(b" " * 40_000_000), form="text/plain; charset=zlib", status="400 No"),
        http(NESTED, status="400 No"),
        http(b"[" * 60_000, status="400 No"),
        http(b'{"error": {"code": ' + b"1" * 60_000 + b"}}", status="400 No"),
        b'HTTP/1.1 400 No\r\ncontent-length: 70000\r\n\r\n{"error": ',
        http(b"\xff\xfe\x00", form="text/plain; charset=utf-16", status="400 No"),
        http(b"xx", "content-encoding: br", status="400 No"),
        http(b"{}", "set-cookie: a=" + THEIRS, "link: <x>", status="400 No"),
    ],
    ids=["gzip", "large", "bz2", "zlib", "nested", "unclosed", "digits", "cut", "utf-16", "br", "cookie"],
)
async def test_an_error_keeps_its_status_whatever_its_body_is(answer: bytes) -> None:
    tracemalloc.start()
    try:
        reply, served = await asked(answer)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert kind(reply) == "http_400"
    assert len(served.heads) == 1
    assert most < 30_000_000


async def test_an_error_whose_body_never_ends_keeps_its_status() -> None:
    async def for_ever(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 No\r\nconnection: close\r\n\r\n")
        while True:
            writer.write(b" " * 10_000)
            await writer.drain()

    async def silent(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 No\r\nconnection: close\r\n\r\n{")
        await writer.drain()
        await asyncio.Event().wait()

    for answer in (for_ever, silent):
        reply, _ = await asked(answer, stream=True, silence_s=0.2)
        assert kind(reply) == "http_400"


async def test_a_verdict_beyond_its_bound_is_refused_while_it_is_read() -> None:
    value = {"purpose": "moderation", "parameters": {}, "messages": [{"role": "user", "content": PROMPT}]}
    for answer in (http(LARGE), http(gzip.compress(BOMB, 1), "content-encoding: gzip")):
        reply, _ = await asked(answer, value=value)
        assert kind(reply) == "too_large"


@pytest.mark.parametrize("key", ["canary_k\u00e9y", "canary\nkey", "canary\x00key"])
async def test_a_key_that_no_header_can_hold_is_an_error_that_does_not_show_it(key: str) -> None:
    reply, _ = await asked(http(json.dumps(ANSWER).encode()), api_key=key)
    assert kind(reply) == "no_connection"
    assert "canary" not in str(reply)


@pytest.mark.parametrize("proxy", ["socks5://canary:x@127.0.0.1:1", "canary://x", "127.0.0.1:1", "http://canary:99999"])
async def test_a_proxy_that_cannot_be_used_is_an_error_that_does_not_show_it(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    reply, _ = await asked(b"", base_url="http://provider.invalid/v1")
    assert kind(reply) == "no_connection"
    assert "canary" not in str(reply)
