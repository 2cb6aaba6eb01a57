"""The audit bundle of a turn that the read models point at, read from Kafka and shown as a caller may see it."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import orjson

from endocrine.pipeline.core.hash_chain import is_intact
from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.content import shown_to
from endocrine.pipeline.gateway.places import RecordPosition, records_at
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.views.explain.find import Explained


class FoundTurn(NamedTuple):
    """A turn's bundle with its supplements, and when they were appended."""

    explained: Explained
    appended: tuple[float, float]
    """Of the first and the last of these records, seconds since 1970."""


async def turn_explained(gateway: Gateway, caller: Caller, parts: Mapping[str, Any]) -> FoundTurn | None:
    """Return the bundle of a turn; None where none is kept. parts: the turn in the read models.

    Who may see the turn at all is the caller's to check. Raises KafkaError, TimeoutError.
    """
    places: list[RecordPosition] = [
        ("audits", *cast(tuple[int, int], part["at"])) for name, part in parts.items() if name.startswith("audit/")
    ]
    raws = await records_at(gateway.settings, places)
    there = [raws[place] for place in places if place in raws]
    read = [(value, is_intact(raw)) for raw in there if (value := json_object(raw.value)) is not None]
    if not read:
        return None
    read.sort(key=lambda one: one[0]["supplement"])
    bundles = [bundle for bundle, _ in read]
    altered = [bundle["hash"] for bundle, intact in read if not intact]
    shown = [shown_to(caller, "audits", bundle) for bundle in bundles]
    times = [raw.timestamp / 1000 for raw in there]
    return FoundTurn(Explained(shown[0], shown[1:], altered=altered), (min(times), max(times)))


def json_object(content: bytes | None) -> dict[str, Any] | None:
    """Return the JSON object of a record's value; None where it is no such."""
    try:
        value = orjson.loads(content or b"null")
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
