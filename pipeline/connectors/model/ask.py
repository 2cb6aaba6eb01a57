"""One call to the provider, and what its failures mean.

Failed            the call came to nothing
  retry           whether another try may help: 408, 409, 429, 5xx, no connection, a stream cut off, no JSON
  after_s         what the provider asked to wait, if it did
  provider        whether it counts against the provider (for the breaker): not its refusals of our request
"""

import asyncio
import json
import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import openai
from openai import AsyncOpenAI

from pipeline.connectors.model.settings import ModelSettings
from pipeline.connectors.model.wire import (
    Malformed,
    Outcome,
    cache_key,
    chat_body,
    chat_outcome,
    joined_chunks,
    last_response,
    moderation_body,
    moderation_outcome,
    responses_body,
    responses_outcome,
)

_TRANSIENT = frozenset({408, 409, 429})
_FINAL_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_SHOWN_CHARS = 300


class Failed(Exception):
    """The call came to nothing. The message is for a person and holds nothing of the conversation."""

    def __init__(
        self,
        message: str,
        *,
        retry: bool,
        after_s: float | None = None,
        provider: bool = True,
        timeout: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry = retry
        self.after_s = after_s
        self.provider = provider
        self.timeout = timeout


def make_client(settings: ModelSettings) -> AsyncOpenAI:
    """The client; retries are ours (`effect`), so its own are off."""
    assert settings.api_key is not None
    key = settings.api_key.get_secret_value()
    client = AsyncOpenAI(api_key=key, base_url=settings.base_url, max_retries=0, timeout=None)
    # Imported on first use: the first request should not pay for it.
    _ = client.chat.completions, client.responses, client.moderations
    return client


async def ask(
    client: AsyncOpenAI,
    settings: ModelSettings,
    value: Mapping[str, Any],
    *,
    api: str,
    max_tokens_name: str,
    within_s: float,
) -> Outcome:
    """Make the call of a `model-requests` value. Raises Failed; after `within_s` seconds in any case."""
    silence_s = min(settings.silence_s, within_s) if settings.stream else within_s
    timeout = openai.Timeout(within_s, connect=min(settings.connect_s, within_s), read=silence_s)
    extra: dict[str, Any] = {"timeout": timeout}
    moderating = value.get("purpose") == "moderation"
    if settings.sends_cache_key and not moderating:
        extra["prompt_cache_key"] = cache_key(value)
    try:
        async with asyncio.timeout(within_s):
            if moderating:
                body = moderation_body(value, settings.moderation) | extra
                return moderation_outcome(_dumped(await client.moderations.create(**body)))
            if api == "responses":
                return await _responses(client, responses_body(value) | extra, settings.stream)
            return await _chat(client, chat_body(value, max_tokens_name) | extra, settings.stream)
    except TimeoutError:
        raise Failed(f"no reply within {within_s:.1f} s", retry=False, timeout=True) from None
    except openai.APITimeoutError:
        raise Failed(f"nothing came for {silence_s:.1f} s", retry=True, timeout=True) from None
    except openai.APIStatusError as error:
        raise _refused(error) from None
    except openai.APIConnectionError as error:
        cause = error.__cause__
        told = f"{type(cause).__name__}: {cause}" if cause is not None else str(error)
        raise Failed(f"the connection failed: {told[:_SHOWN_CHARS]}", retry=True) from None
    except (Malformed, json.JSONDecodeError, openai.APIResponseValidationError) as error:
        told = str(error) if isinstance(error, Malformed) else "it is no JSON"
        raise Failed(f"the reply cannot be read: {told[:_SHOWN_CHARS]}", retry=True) from None
    except (openai.OpenAIError, TypeError, AttributeError, ValueError) as error:
        # An error told midway in a stream; or a reply of a shape that the client itself stumbles over.
        told = f"{type(error).__name__}: {error}"
        raise Failed(f"the reply cannot be read: {told[:_SHOWN_CHARS]}", retry=True) from None


async def _chat(client: AsyncOpenAI, body: dict[str, Any], stream: bool) -> Outcome:
    if not stream:
        return chat_outcome(_dumped(await client.chat.completions.create(**body)))
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = [_dumped(chunk) async for chunk in await client.chat.completions.create(**body, **options)]
    return chat_outcome(joined_chunks(chunks))


async def _responses(client: AsyncOpenAI, body: dict[str, Any], stream: bool) -> Outcome:
    if not stream:
        return responses_outcome(_dumped(await client.responses.create(**body)))
    events = [_dumped(event) async for event in await client.responses.create(**body, stream=True)]
    return responses_outcome(last_response(events))


def _dumped(answer: Any) -> Any:
    """A plain object: servers that are compatible only nearly leave out what the client's types promise."""
    if not hasattr(answer, "model_dump"):
        raise Malformed(f"a {type(answer).__name__} in place of an object: is the base URL that of an API?")
    return answer.model_dump(mode="json", by_alias=True, warnings=False)


def _refused(error: openai.APIStatusError) -> Failed:
    final = error.code in _FINAL_CODES
    retry = (error.status_code in _TRANSIENT or error.status_code >= 500) and not final
    hint = {401: ": check OPENAI_API_KEY", 404: ": check the model's name and ENDOCRINE_MODEL_BASE_URL"}
    told = f"the provider answered {error.status_code}{hint.get(error.status_code, '')}: {error.message}"
    after_s = retry_after(error.response.headers, time.time())
    return Failed(told[:_SHOWN_CHARS], retry=retry, after_s=after_s, provider=error.status_code >= 500)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait by `retry-after-ms` or `Retry-After` (seconds or an HTTP date); None: nothing usable is said.

    >>> retry_after({"retry-after": "2"}, 0.0)
    2.0
    """
    for name, per_second in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name, "")
        try:
            seconds = float(text) / per_second
        except ValueError:
            try:
                seconds = parsedate_to_datetime(text).timestamp() - now
            except (TypeError, ValueError):
                continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None
