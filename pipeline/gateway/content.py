"""What callers see of a record: all of it with the scope `content`, without it what nobody wrote."""

from typing import Any

from endocrine.pipeline.core.content import without_content
from endocrine.pipeline.gateway.callers import Caller

Json = dict[str, Any]


def shown_to(caller: Caller, topic: str, value: Json) -> Json:
    """Return the record as a caller may see it: whole with the scope `content`."""
    return value if "content" in caller.scopes else without_content(topic, value)
