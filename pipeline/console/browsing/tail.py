"""What arrives on a topic, as server-sent events: so many a second, for so many minutes, to so many pages."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

from endocrine.pipeline.console.browsing.filters import Filter
from endocrine.pipeline.console.browsing.query import Browse
from endocrine.pipeline.gateway.sse import event
from endocrine.pipeline.kafka import clients
from endocrine.pipeline.kafka.topic_reader import places_of
from endocrine.pipeline.process.settings import Settings

MOST = 20
"""Pages that may follow topics at once."""
LONGEST_S = 600.0
A_SECOND = 20
"""Records that are sent of each second; the others are counted."""
MOST_SENT = 2_000
WAIT_MS = 500


async def tail(
    settings: Settings, browse: Browse, meant: Filter, shown: Callable[[Any], str]
) -> AsyncGenerator[bytes, None]:
    """Yield events: `record` (HTML), `passed` (records that were not sent), `end` (why).

    shown: makes the HTML of a record. Raises NoSuchTopic, KafkaError.
    """
    consumer = clients.reader(settings, fetch_max_wait_ms=WAIT_MS)
    begun = time.monotonic()
    sent = passed = 0
    try:
        await consumer.start()
        places = [
            place
            for place in await places_of(settings, [browse.topic], None)
            if browse.partition in (None, place.partition)
        ]
        await clients.assign_at_ends(consumer, places)
        yield event("begin", {"partitions": len(places)})
        second, room = int(begun), A_SECOND
        while sent < MOST_SENT and time.monotonic() - begun < LONGEST_S:
            found = await consumer.getmany(timeout_ms=WAIT_MS)
            before = passed
            for raw in [raw for records in found.values() for raw in await meant.kept(records)]:
                now = int(time.monotonic())
                second, room = (now, A_SECOND) if now != second else (second, room)
                if room > 0 and sent < MOST_SENT:
                    room, sent = room - 1, sent + 1
                    yield event("record", {"html": shown(raw)})
                else:
                    passed += 1
            if passed != before:
                yield event("passed", {"count": passed})
            await asyncio.sleep(0)
        yield event("end", {"reason": f"{MOST_SENT} records" if sent >= MOST_SENT else f"{LONGEST_S / 60:.0f} minutes"})
    finally:
        await consumer.stop()
