"""Bodies of requests: bounded in bytes and time, JSON or JSON lines, nothing that cannot be written again."""

import asyncio
from typing import Any, NamedTuple

import orjson
from starlette.requests import ClientDisconnect, Request

from endocrine.pipeline.gateway.problems import Problem

JSON = "application/json"
NDJSON = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")


class Body(NamedTuple):
    """A body that was read."""

    items: list[Any]
    """The JSON values; one where the body is no batch."""
    batch: bool
    lines: bool
    """Whether it came as JSON lines."""

    @property
    def one(self) -> dict[str, Any]:
        """The one object. Raises Problem where the body is a batch."""
        if self.batch:
            raise Problem("invalid", "the body: a list; expected one JSON object")
        return an_object(self.items[0])


def an_object(value: Any) -> dict[str, Any]:
    """Return the value, if it is a JSON object. Raises Problem."""
    if not isinstance(value, dict):
        raise Problem("invalid", f"a record: {_kind(value)}; expected a JSON object")
    return value


async def read_body(request: Request, most_bytes: int, within_s: float, most_items: int = 1) -> Body:
    """Return the body's JSON. Raises Problem: 400, 408, 413, 415 or 422."""
    kind, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    kind = kind.strip()
    if kind != JSON and kind not in NDJSON:
        raise Problem("unsupported_media_type", f"content-type: expected {JSON}, or for batches {NDJSON[0]} too")
    if "charset" in parameters and "utf-8" not in parameters.replace('"', "").replace("utf8", "utf-8"):
        raise Problem("unsupported_media_type", "charset: expected utf-8")
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Problem("unsupported_media_type", "content-encoding: expected none")
    content = await _content(request, most_bytes, within_s)
    if kind in NDJSON:
        lines = [line for line in content.split(b"\n") if line.strip()]
        _count(len(lines), most_items)
        return Body([parsed(line, number) for number, line in enumerate(lines, 1)], True, True)
    value = parsed(content)
    if isinstance(value, list):
        _count(len(value), most_items)
        return Body(value, True, False)
    return Body([value], False, False)


async def _content(request: Request, most: int, within_s: float) -> bytes:
    too_large = Problem("too_large", f"the body: more than {most} bytes; expected at most {most}")
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > most):
        raise too_large
    content = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for piece in request.stream():
                content += piece
                if len(content) > most:
                    raise too_large
    except TimeoutError:
        raise Problem("body_timeout", f"the body: not whole after {within_s:g} s", headers=_CLOSE) from None
    except ClientDisconnect:
        raise Problem("bad_request", "the body: the connection ended before it was whole", headers=_CLOSE) from None
    return bytes(content)


_CLOSE = {"connection": "close"}


def parsed(content: bytes, line: int | None = None) -> Any:
    """Return the JSON value. Raises Problem; numbers beyond a double, lone surrogates, deep nesting are refused too."""
    where = "the body" if line is None else f"line {line}"
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if line is None else f"column {error.colno}"
        raise Problem("not_json", f"{where}: not JSON at {place}: {_why(error)}") from None
    try:
        orjson.dumps(value)
    except TypeError:
        raise Problem("invalid", f"{where}: nested too deeply; expected at most 254 levels") from None
    return value


def _why(error: orjson.JSONDecodeError) -> str:
    """orjson's own message, which quotes nothing of the document."""
    return error.msg.partition(": line")[0]


def _count(found: int, most: int) -> None:
    if not 1 <= found <= most:
        expected = "one JSON object" if most == 1 else f"1 to {most}"
        raise Problem("invalid", f"the body: a batch of {found} records; expected {expected}")


def _kind(value: Any) -> str:
    return {list: "a list", str: "a text", bool: "true or false", type(None): "null"}.get(type(value), "a number")
