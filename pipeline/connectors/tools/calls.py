"""The calls that decisions are about: decisions carry no arguments, so their calls are read back from `tool-calls`.

A call lies on its decision's partition, appended before it. Of several records under one call id the first that fits
counts, as for the gate; a later one with other arguments is never run.
"""

import asyncio
import time
from collections import OrderedDict
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from pipeline import clients
from pipeline.engine.decode import Malformed, decode
from pipeline.engine.fit import canonical, partition_of
from pipeline.engine.seals import Seals
from pipeline.engine.wire import SEAL, Raw
from pipeline.seal_keys import load_seals
from pipeline.settings import Settings
from pipeline.topics import CATALOGUE
from schemas.tools import ToolCall

MAX_BYTES = 64 << 20
"""Of calls remembered by one process; the oldest go first, and their decisions end in an error."""
_TOPIC = CATALOGUE["tool-calls"]
Key = tuple[str, str, str]
"""identity, audit_id, call_id."""


class Found(NamedTuple):
    """A call on record."""

    call: ToolCall
    said_by: str
    """`ce_source` of a sealed call; empty of one that an application wrote."""
    appended: float
    """The broker's append time, seconds since 1970."""


class Calls:
    """Calls by id, as far back as `lookback_s` before the first question about their partition."""

    def __init__(
        self, settings: Settings, *, lookback_s: float, max_bytes: int = MAX_BYTES, seals: Seals | None = None
    ) -> None:
        self._settings = settings
        self._seals = load_seals(settings) if seals is None else seals
        self._lookback_ms = int(lookback_s * 1000)
        self._max_bytes = max_bytes
        self._held: OrderedDict[Key, tuple[Found, int]] = OrderedDict()
        self._bytes = 0
        self._next: dict[int, int] = {}
        self._reader: Any = None
        self._lock = asyncio.Lock()

    def known(self, key: Key) -> Found | None:
        """The call, as far as it was read."""
        held = self._held.get(key)
        return None if held is None else held[0]

    async def find(self, partition: int, key: Key) -> Found | None:
        """The same, after reading all that stands on the partition now. Raises KafkaError."""
        if key not in self._held:
            async with self._lock:
                if key not in self._held:
                    await self._catch_up(partition)
        return self.known(key)

    async def close(self) -> None:
        """End the connection."""
        if self._reader is not None:
            await self._reader.stop()

    async def _catch_up(self, partition: int) -> None:
        reader = await self._connected()
        place = TopicPartition(self._settings.prefix + "tool-calls", partition)
        reader.assign([place])
        end = (await reader.end_offsets([place]))[place]
        at = self._next.get(partition)
        if at is None:
            since = int(time.time() * 1000) - self._lookback_ms
            found = (await reader.offsets_for_times({place: max(0, since)}))[place]
            at = end if found is None else found.offset
        async for fetched in clients.read_until(reader, {place: (at, end)}):
            for raw in fetched.get(place, ()):
                self.add(raw)
        self._next[partition] = max(at, end)
        reader.unsubscribe()  # or it would go on polling

    def add(self, raw: Raw) -> None:
        """Remember the call of a record, if it is one that the gate would take and the first of its id."""
        try:
            call: ToolCall = decode(_TOPIC, raw.value, self._settings.max_record_bytes)
        except Malformed:
            return
        identity = canonical(call.identity)
        if raw.key != identity.encode() or partition_of(identity, self._settings.partitions) != raw.partition:
            return
        key = (identity, call.audit_id, call.call_id)
        if key in self._held:
            return
        headers = dict(raw.headers or ())
        ours = SEAL in headers and self._seals.valid("tool-calls", raw, headers)
        said_by = (headers.get("ce_source") or b"").decode("utf-8", "replace") if ours else ""
        size = len(raw.value or b"")
        self._held[key] = (Found(call, said_by, raw.timestamp / 1000), size)
        self._bytes += size
        while self._bytes > self._max_bytes and len(self._held) > 1:
            _, (_, freed) = self._held.popitem(last=False)
            self._bytes -= freed

    async def _connected(self) -> Any:
        if self._reader is None:
            reader = clients.reader(self._settings)
            await reader.start()
            self._reader = reader
        return self._reader
