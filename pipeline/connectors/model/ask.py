"""One call to the provider: the request out, the reply read as it comes, or Failed."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing, suppress
from typing import Any, Literal

import orjson

from endocrine.agents.conversation.capabilities import Capabilities, ReplyBounds
from endocrine.pipeline.connectors.model.bounded import BodyBounds
from endocrine.pipeline.connectors.model.chunks import Chunks
from endocrine.pipeline.connectors.model.failures import Failed, Hidden, Interrupted, StreamCut, occurs_in
from endocrine.pipeline.connectors.model.json_values import parsed
from endocrine.pipeline.connectors.model.moderation import moderation_outcome
from endocrine.pipeline.connectors.model.outcome import Outcome
from endocrine.pipeline.connectors.model.provider_errors import error_in, failure_of
from endocrine.pipeline.connectors.model.reading import ReplyReader
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.connectors.model.transport import Answer, Transport
from endocrine.pipeline.connectors.model.wire import (
    NO_IMAGES,
    Urls,
    cache_key,
    chat_body,
    moderation_body,
    responses_body,
)

_PATHS = {"chat": "chat/completions", "responses": "responses"}


async def ask(
    transport: Transport,
    settings: ModelSettings,
    value: Mapping[str, Any],
    *,
    api: Literal["chat", "responses"],
    takes: Capabilities,
    bounds: ReplyBounds,
    within_s: float,
    chunks: Chunks | None = None,
    images: Urls = NO_IMAGES,
) -> Outcome:
    """Make the call of a `model-requests` value. Raises Failed; after `within_s` seconds in any case.

    images: URLs of its images, by digest.

    chunks: where the text goes while it comes; then a stream is asked for, whatever the settings say.
    """
    within_s = min(within_s, bounds.call_ms / 1000)
    moderating = value.get("purpose") == "moderation"
    stream = (settings.stream or chunks is not None) and not moderating
    if moderating:
        path, body = "moderations", moderation_body(value, settings.moderation)
    else:
        path, body = _PATHS[api], _body(value, api, takes, settings, stream)
    data = orjson.dumps(body)
    hidden = occurs_in(data.decode(), *settings.private())
    if images:
        # Not before: of megabytes of base64 nothing is folded, and what occurs in them is hidden as it is.
        hidden = _or_in(hidden, images)
        data = orjson.dumps(_body(value, api, takes, settings, stream, images))
    silence_s = min(settings.silence_s, within_s) if stream else within_s
    bodies = BodyBounds(bounds.body_bytes if moderating else bounds.stream_bytes, bounds.error_bytes)
    try:
        async with (
            asyncio.timeout(within_s),
            transport.post(path, data, within_s=within_s, silence_s=silence_s, bounds=bodies) as answer,
        ):
            if not 200 <= answer.status < 300:
                raise await _refused(answer, hidden)
            if moderating:
                return moderation_outcome(parsed(await _whole(answer)), hidden)
            return await _read(answer, ReplyReader(api, bounds, hidden), chunks)
    except TimeoutError:
        raise Failed("timeout", f"no reply within {within_s:.1f} s", retry=False, timeout=True) from None


def _body(
    value: Mapping[str, Any],
    api: Literal["chat", "responses"],
    takes: Capabilities,
    settings: ModelSettings,
    stream: bool,
    images: Urls = NO_IMAGES,
) -> dict[str, Any]:
    body = chat_body(value, takes.max_tokens_name, images) if api == "chat" else responses_body(value, images)
    if settings.sends_cache_key:
        body["prompt_cache_key"] = cache_key(value)
    if stream:
        body["stream"] = True
        if api == "chat":
            body["stream_options"] = {"include_usage": True}
    return body


def _or_in(hidden: Hidden, images: Urls) -> Hidden:
    return lambda word: hidden(word) or any(word in url for url in images.values())


async def _read(answer: Answer, reader: ReplyReader, chunks: Chunks | None) -> Outcome:
    try:
        async with aclosing(answer.pieces()) as pieces:
            async for piece in pieces:
                reader.feed(piece)
                if chunks is not None and not reader.done:
                    await chunks.add(reader.so_far)
                if reader.done:
                    break
    except (Interrupted, StreamCut):
        # Some servers leave the connection open after the last chunk, or break it: the reply is whole by then.
        if not reader.finished:
            raise
    outcome = reader.close()
    if chunks is not None and outcome.refusal is None and outcome.problem is None:
        await chunks.end(outcome.content)
    return outcome


async def _whole(answer: Answer) -> bytes:
    async with aclosing(answer.pieces()) as pieces:
        return b"".join([piece async for piece in pieces])


async def _refused(answer: Answer, hidden: Hidden) -> Failed:
    """What a status that is no success means, with what its body says of it where that can be read."""
    body: Any = None
    with suppress(Failed):  # then the status says enough
        body = parsed(await _whole(answer))
    return failure_of(error_in(body), hidden, status=answer.status, headers=answer.headers, now=time.time())
