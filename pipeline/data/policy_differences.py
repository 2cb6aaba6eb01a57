"""In which values two policies differ, as lines."""

from collections.abc import Iterable, Mapping
from typing import Any

from endocrine.pipeline.replay.difference import json_differences

_SHOWN = 100
"""Characters of a value."""


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the leaves in which two documents differ: {path, expected, found}, the path as `maps.stress.top_p`."""
    return [{**one, "path": str(one["path"]).removeprefix("$.")} for one in json_differences(before, after)]


def sentences(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each difference."""
    return [f"{one['path']}: {_short(one['expected'])} -> {_short(one['found'])}" for one in found]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
