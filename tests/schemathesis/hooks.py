"""Hooks of schemathesis: what no document says, and a client knows."""

import uuid
from typing import Any

import schemathesis

KEY = "Idempotency-Key"


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """A valid idempotency key is one that was not used for another body: of short ones there are few.

    Somebody is named where nobody is; 1.0 is an integer of JSON Schema, but none of a record; a window ends after it
    begins.
    """
    if case.headers is None:
        case.headers = {}
    case.headers.setdefault("endocrine-identity", "somebody")
    case.body = _whole(case.body)
    _ordered(case.body)
    key = (case.headers or {}).get(KEY)
    if isinstance(key, str) and 0 < len(key) <= 255 and key.isprintable() and key.isascii() and " " not in key:
        case.headers[KEY] = f"{key[:200]}-{uuid.uuid4().hex}"


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """A header that no document names is no fault of a request."""
    return not any("unknown-property" in name for name in case.headers or {})


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, dict):
        return {name: _whole(one) for name, one in value.items()}
    return value


def _ordered(body: Any) -> None:
    for one in body if isinstance(body, list) else [body]:
        window = one.get("window") if isinstance(one, dict) else None
        times = [window.get(name) for name in ("start_ts", "end_ts")] if isinstance(window, dict) else []
        if len(times) == 2 and all(type(time) in (int, float) for time in times):
            window.update(zip(("start_ts", "end_ts"), sorted(times), strict=True))
