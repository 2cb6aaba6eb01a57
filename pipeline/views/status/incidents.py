"""Incidents of all partitions in the order of their append times, newest first."""

import heapq
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from endocrine.pipeline.core.records import ORIGIN
from endocrine.pipeline.kafka.topic_reader import batches
from endocrine.pipeline.process.seal_keys import known_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.schemas.tools import Incident

TOPIC = "incidents"


@dataclass
class Incidents:
    """What was found."""

    newest: list[tuple[float, Incident]] = field(default_factory=list)
    """Append time in seconds since 1970, and the incident; at most as many as were asked for, newest first."""
    counts: Counter[str] = field(default_factory=Counter)
    """All that match, by kind."""
    unreadable: int = 0
    """Records that are no incidents: somebody else wrote them."""


async def read_incidents(
    settings: Settings,
    matches: Callable[[Incident], bool] = lambda incident: True,
    *,
    most: int,
    since: float | None = None,
    until: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Incidents:
    """Return those that match, each once; where there is a seal key, only what it sealed.

    since, until: append times. Raises as `endocrine.pipeline.kafka.topic_reader.batches` does, and SealKeyError.
    """
    found, seals = Incidents(), known_seals(settings)
    kept: list[tuple[int, int, int, Incident]] = []
    seen: dict[str, None] = {}
    async with aclosing(batches(settings, [TOPIC], since=since, until=until, progress=progress)) as pieces:
        async for _, partition, records in pieces:
            for raw in records:
                incident = _incident(raw) if seals is None or seals.valid(TOPIC, raw, dict(raw.headers)) else None
                if incident is None:
                    found.unreadable += 1
                elif incident.incident_id not in seen and matches(incident):
                    _note_seen(seen, incident.incident_id)
                    found.counts[incident.kind] += 1
                    push = heapq.heappush if len(kept) < most else heapq.heappushpop
                    push(kept, (raw.timestamp, partition, raw.offset, incident))
    found.newest = [(at / 1000, incident) for at, _, _, incident in sorted(kept, key=lambda one: one[:3], reverse=True)]
    return found


_KEPT = 50_000
"""Ids of incidents that are known again; a copy of an older one, which only a crash leaves, would count twice."""


def _note_seen(seen: dict[str, None], name: str) -> None:
    seen[name] = None
    if len(seen) > _KEPT:
        del seen[next(iter(seen))]


def _incident(raw: Any) -> Incident | None:
    if ORIGIN not in dict(raw.headers):
        return None
    try:
        return Incident.model_validate_json(raw.value or b"")
    except ValidationError:
        return None
