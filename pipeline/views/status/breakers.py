"""Tools that the gate leaves alone now, from the newest states on its changelog.

A breaker that is open was opened less than `open_s` ago, or a probe of it began then; either wrote its identity's
state. So the states of that time hold every breaker that is open.
"""

import time
from collections.abc import Iterable
from contextlib import aclosing
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from endocrine.agents.gating.limits import is_open
from endocrine.agents.gating.rules import GatingRules
from endocrine.pipeline.core.changelog import Entry, entries_of
from endocrine.pipeline.core.producer_dedup import unpack
from endocrine.pipeline.kafka.clients import introduce, read_until, reader
from endocrine.pipeline.kafka.topic_layout import changelog_name
from endocrine.pipeline.process.settings import Settings

AGENT = "gating"
MOST_READ = 20_000
"""Records read of a partition; with more in the time, the newest."""
_SLACK_S = 60.0
"""The clocks of brokers and of this machine may differ."""
_SILENCE_S = 5.0


class OpenBreaker(NamedTuple):
    """One tool."""

    tool: str
    identities: int
    """Whose breaker of it is open."""


async def read_breakers(settings: Settings, rules: GatingRules) -> list[OpenBreaker]:
    """Return the tools with an open breaker, most identities first. Raises KafkaError, TimeoutError."""
    now = time.time()
    consumer = reader(settings, longest=settings.changelog_message_bytes)
    try:
        await consumer.start()
        places = [TopicPartition(changelog_name(settings, AGENT), number) for number in range(settings.partitions)]
        introduce(consumer, places)
        since = int((now - rules.circuit.open_s - _SLACK_S) * 1000)
        ends = await consumer.end_offsets(places)
        begins = await consumer.offsets_for_times(dict.fromkeys(places, since))
        spans = {
            place: (max(begins[place].offset, ends[place] - MOST_READ), ends[place])
            for place in places
            if begins[place]
        }
        entries: dict[TopicPartition, list[Entry]] = {place: [] for place in places}
        async with aclosing(read_until(consumer, spans, silence_s=_SILENCE_S)) as pieces:
            async for piece in pieces:
                for place, records in piece.items():
                    entries[place] += entries_of(records)
    finally:
        await consumer.stop()
    return open_breakers(entries.values(), rules, now)


def open_breakers(partitions: Iterable[Iterable[Entry]], rules: GatingRules, now: float) -> list[OpenBreaker]:
    """Return the tools with an open breaker at a time, seconds since 1970. partitions: entries in offset order."""
    count: dict[str, int] = {}
    for entries in partitions:
        for stored in _latest(entries).values():
            state: Any = unpack(stored)[0]
            for tool in () if state is None else state.get("circuits", {}):
                count[tool] = count.get(tool, 0) + is_open(state, tool, [now, now], rules)
    found = [OpenBreaker(tool, number) for tool, number in count.items() if number]
    return sorted(found, key=lambda one: (-one.identities, one.tool))


def _latest(entries: Iterable[Entry]) -> dict[bytes, bytes]:
    """The newest state by key; records of a writer whose time is over do not count."""
    states: dict[bytes, bytes] = {}
    epoch = -1
    for entry in entries:
        if entry.epoch < epoch:
            continue
        epoch = entry.epoch
        if entry.key.startswith(b"s"):
            states.pop(entry.key, None)
            if entry.value is not None:
                states[entry.key] = entry.value
    return states
