"""Hooks of schemathesis: what no document says, and a client knows."""

import uuid
from typing import Any

import schemathesis

KEY = "Idempotency-Key"


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """A valid idempotency key is one that was not used for another body: of short ones there are few."""
    key = (case.headers or {}).get(KEY)
    if isinstance(key, str) and 0 < len(key) <= 200 and key.isprintable() and key.isascii() and key == key.strip():
        case.headers[KEY] = f"{key}-{uuid.uuid4().hex}"
