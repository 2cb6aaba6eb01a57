"""One derived record, as the watcher read it."""

from typing import Any, NamedTuple

import orjson

from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters
from endocrine.pipeline.core.records import CE_ID, ERROR, ERROR_KIND, ORIGIN, SourceRecord, texts


class Event(NamedTuple):
    """A record of a derived topic, or a dead letter."""

    topic: str
    """Without prefix; dead letters end in `.dlq`."""
    key: str
    id: str
    """Copies share it."""
    value: Any
    """The JSON object; None for a tombstone. Dead letters: the headers that say what is wrong."""
    fresh: bool
    """Written since the watcher began; False for what it read of the time before."""


def event_of(topic: str, raw: SourceRecord, fresh: bool) -> Event | None:
    """Return the event; None for what producers wrote, which some topics hold beside what agents derived."""
    headers = texts(raw.headers)
    key = (raw.key or b"").decode("utf-8", "replace")
    here = f"{topic}/{raw.partition}/{raw.offset}"
    if holds_dead_letters(topic):
        wrong = {"kind": headers.get(ERROR_KIND, "unknown"), "error": headers.get(ERROR, "")}
        return Event(topic, key, f"{topic} {headers.get(ORIGIN, here)}", wrong, fresh)
    if ORIGIN not in headers:
        return None
    value = orjson.loads(raw.value) if raw.value else None
    return Event(topic, key, headers.get(CE_ID, here), value, fresh)
