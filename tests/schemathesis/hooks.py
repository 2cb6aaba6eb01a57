"""Hooks of schemathesis: what no document says, and a client knows."""

import uuid
from typing import Any

import schemathesis

KEY = "Idempotency-Key"


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """A valid idempotency key is one that was not used for another body: of short ones there are few."""
    key = (case.headers or {}).get(KEY)
    if isinstance(key, str) and 0 < len(key) <= 255 and key.isprintable() and key.isascii() and " " not in key:
        case.headers[KEY] = f"{key[:200]}-{uuid.uuid4().hex}"


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """A header that no document names is no fault of a request."""
    return not any("unknown-property" in name for name in case.headers or {})
