"""The marker of a drill: a memory that is written after a backup, so that it must not come back with it."""

import time
import uuid
from pathlib import Path

from endocrine.pipeline.data.backup.bundle import TOPICS
from endocrine.pipeline.data.commands import send
from endocrine.pipeline.kafka.topic_reader import batches
from endocrine.pipeline.process.settings import Settings

SUBJECT = "project:drill"
_LIES_ON = "memories"
Command = dict[str, object]


def text_of(stamp: str) -> str:
    """Return the content of the marker of a backup's drill."""
    return f"DRILL-MARKER {stamp}"


async def write_marker(settings: Settings, stamp: str, *, by: str, within_s: float) -> str:
    """Write the marker as a memory; return its id. Raises what `send` raises: NotConfirmed without a worker."""
    command: Command = {"kind": "memory_create", "type": "episodic", "content": text_of(stamp), "slot": None}
    event = await send(settings, _command(command, by), "memory-events", within_s)
    return str(event["memory_id"])


async def take_marker_away(settings: Settings, memory_id: str, *, by: str, within_s: float) -> None:
    """End the marker's memory. Raises what `send` raises."""
    command: Command = {"kind": "memory_invalidate", "memory_id": memory_id, "reason": "drill"}
    await send(settings, _command(command, by), "memory-events", within_s)


async def marked(settings: Settings, stamp: str) -> bool:
    """Return whether the marker is among the memories under a prefix. Raises what `batches` raises."""
    text, found = text_of(stamp).encode(), False
    async for _, _, records in batches(settings, [_LIES_ON], as_stored=True):
        found = found or any(text in (raw.value or b"") for raw in records)
    return found


def marked_in(folder: Path, stamp: str) -> bool:
    """Return whether the marker is among the memories of a backup."""
    text = text_of(stamp).encode()
    return any(text in path.read_bytes() for path in (folder / TOPICS).glob(f"{_LIES_ON}-*"))


def _command(value: Command, by: str) -> Command:
    return {"id": uuid.uuid4().hex, "identity": SUBJECT, "by": by, "ts": time.time(), **value}
