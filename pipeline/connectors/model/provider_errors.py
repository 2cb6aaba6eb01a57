"""What a provider's error means: in any status, in any of the shapes that servers give it.

OpenAI and most others `{"error": {"message", "type", "param", "code"}}`; Google's endpoint a list of one of those, with
`status`; LM Studio and Ollama `{"error": "text"}`; vLLM `{"object": "error", "code": 400}`; FastAPI servers
`{"detail": ...}`; Anthropic `{"type": "error", "error": {...}}`; Azure with `innererror`; OpenRouter with `metadata`.
"""

import math
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from endocrine.pipeline.connectors.model.failures import Failed, Hidden, shown_identifier

_TRANSIENT = frozenset({408, 409, 425, 429})
_OVERLOADED = 529
"""Anthropic's own status."""
_QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance"})
_FILTER = frozenset(
    {
        "content_filter",
        "content_policy_violation",
        "contentpolicyviolationerror",
        "responsibleaipolicyviolation",
        "moderation_blocked",
        "data_inspection_failed",
        "datainspectionfailed",
        "prohibited_content",
        "safety",
    }
)
_MINIMAX_FILTER = (1026, 1027)
"""The input, or the output, was found sensitive."""
_STATUS_OF_WORD = {
    "rate_limit": 429,
    "ratelimit": 429,
    "resource_exhausted": 429,
    "too_many_requests": 429,
    "overloaded": 503,
    "unavailable": 503,
    "server_error": 500,
    "internal": 500,
    "api_error": 500,
    "timeout": 504,
    "deadline_exceeded": 504,
    "authentication": 401,
    "unauthenticated": 401,
    "invalid_api_key": 401,
    "permission": 403,
    "not_found": 404,
    "model_not_found": 404,
    "invalid_request": 400,
    "invalid_argument": 400,
    "badrequest": 400,
    "context_length_exceeded": 400,
}
"""Beginnings of codes and types, where no status is given."""
_SENTENCES = {
    400: "the provider refused the request",
    401: "check OPENAI_API_KEY",
    402: "the provider asks for payment",
    403: "the key may not do this",
    404: "check the model's name and ENDOCRINE_MODEL_BASE_URL",
    408: "the provider gave up waiting",
    413: "the request is larger than the provider takes",
    429: "Rate limit of the provider reached",
}
_WITHOUT_REPLY = frozenset({"detail", "message", "msg", "error_code", "errorCode", "errors"})


def error_in(body: Any) -> Any | None:
    """Return the error that a body or an event holds; None where there is no error in it."""
    if isinstance(body, list):
        return next((found for one in body[:1] if (found := error_in(one)) is not None), None)
    if not isinstance(body, Mapping):
        return None
    if body.get("error"):
        return body["error"]
    if body.get("object") == "error" or body.get("type") == "error":
        return body
    status = base.get("status_code") if isinstance(base := body.get("base_resp"), Mapping) else None  # MiniMax
    if isinstance(status, int) and status != 0:
        return base
    texts = [name for name in _WITHOUT_REPLY if isinstance(body.get(name), str | list)]
    if texts and not body.keys() & {"choices", "output", "results", "usage", "type", "response"}:
        return body
    return None


def failure_of(
    error: Any,
    hidden: Hidden,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    now: float = 0.0,
) -> Failed:
    """Return what an error means. status: of the status line where it is an error's; now: seconds since 1970, for
    dates.
    """
    words = list(_words(error))
    lower = {word.lower() for word in words}
    shown = next((name for word in words if (name := shown_identifier(word, hidden))), None)
    more = f" ({shown})" if shown else ""
    if lower & _FILTER or _flagged(error):
        sentence = f"the provider's content filter stopped the prompt{more}"
        return Failed("content_filter", sentence, retry=False, provider=False, refused=True)
    known = status or _status_in(error) or _status_by_word(lower)
    if known is None:
        return Failed("provider_error", f"the provider reported an error{more}", retry=True)
    quota = bool(lower & _QUOTA)
    sentence = "the provider's quota is used up" if quota else _sentence(known)
    body = "" if status else ", in a body with status 200"
    return Failed(
        f"http_{known}",
        f"{sentence}{more}{body}",
        retry=(known in _TRANSIENT or known >= 500) and not quota,
        after_s=None if headers is None else retry_after(headers, now),
        provider=known >= 500,
    )


def _words(error: Any) -> Iterator[str]:
    """Codes and types of an error, the most telling first."""
    if not isinstance(error, Mapping):
        return
    for one in (error, error.get("innererror"), error.get("inner_error")):
        if isinstance(one, Mapping):
            yield from (one[name] for name in ("code", "type", "status") if isinstance(one.get(name), str))


def _flagged(error: Any) -> bool:
    """OpenRouter's 403 by its moderation, Zhipu's 400 with the roles whose text it was, and MiniMax's codes."""
    if not isinstance(error, Mapping):
        return False
    if error.get("contentFilter") or error.get("status_code") in _MINIMAX_FILTER:
        return True
    metadata = error.get("metadata")
    return isinstance(metadata, Mapping) and bool(metadata.get("reasons")) and "flagged_input" in metadata


def _status_in(error: Any) -> int | None:
    if not isinstance(error, Mapping):
        return None
    for name in ("code", "status", "status_code", "statusCode", "http_code"):
        given = error.get(name)
        if isinstance(given, str) and given.isascii() and given.isdecimal() and len(given) == 3:
            given = int(given)
        if isinstance(given, int) and 400 <= given < 600:
            return given
    return None


def _status_by_word(words: set[str]) -> int | None:
    if words & _QUOTA:
        return 429
    return next((status for begin, status in _STATUS_OF_WORD.items() if any(w.startswith(begin) for w in words)), None)


def _sentence(status: int) -> str:
    if status in _SENTENCES:
        return _SENTENCES[status]
    if 300 <= status < 400:
        return "the provider redirects, which is not followed; check ENDOCRINE_MODEL_BASE_URL"
    return (
        "the provider is overloaded"
        if status in (503, _OVERLOADED)
        else ("the provider failed" if status >= 500 else _SENTENCES[400])
    )


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds to wait by `retry-after-ms` or `Retry-After` (seconds or an HTTP date); None: no usable value.

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
            except (TypeError, ValueError, OverflowError):
                continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None
