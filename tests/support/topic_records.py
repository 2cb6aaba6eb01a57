"""Records as a topic gives them, and callers with scopes, for tests of what pages show of topics."""

from types import SimpleNamespace
from typing import Any, cast

from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.keys import Scope


def raw(offset: int, key: str | None, value: bytes | None, headers: dict[str, bytes], **more: Any) -> Any:
    """A record of partition 0, appended at second `offset + 100`."""
    return SimpleNamespace(**{"partition": 0, "offset": offset, "timestamp": (offset + 100) * 1000,
                              "key": None if key is None else key.encode(), "value": value,
                              "headers": list(headers.items()), **more})  # fmt: skip


def caller(*scopes: str) -> Caller:
    """A caller with these scopes."""
    return Caller(name="test", scopes=frozenset(cast(tuple[Scope, ...], scopes)))
