"""Server-sent events as bytes."""

from typing import Any

import orjson

from endocrine.pipeline.gateway import sse

HEARTBEAT = b": waiting\n\n"
"""A comment: clients skip it, and what lies between sees that the connection lives."""
DONE = b"data: [DONE]\n\n"


def data(value: Any) -> bytes:
    """Return an event without a name. JSON of orjson holds no line break."""
    return b"data: " + orjson.dumps(value) + b"\n\n"


def event(value: dict[str, Any]) -> bytes:
    """Return an event whose name is its `type`."""
    return sse.event(str(value["type"]), value)
