"""The calls that decisions are about: decisions carry no arguments, so their calls are read back from `tool-calls`.

A call lies on its decision's partition, appended before it. Several records may share one call id; which of them was
allowed, the decision says: by the function and the digest of the arguments. So each is held under those, the first one
of equal ones, and no other is ever run.
"""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from endocrine.agents._shared.arguments import digest_of, read_arguments
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.decode import Malformed, decode
from endocrine.pipeline.core.partitioning import canonical, partition_of
from endocrine.pipeline.core.records import SEAL, SourceRecord
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.kafka import clients
from endocrine.pipeline.process.seal_keys import load_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.schemas.tools import ToolCall

MAX_BYTES = 64 << 20
"""Of calls kept by one process; the oldest go first, and their decisions end in an error."""
MAX_SHARING = 16
"""Records of one call id that are held; the gate decides on the first that it can take, so later ones are nobody's."""
_DEEPEST = 64
"""Levels of arguments: the most that a policy may allow (gating.arguments_depth)."""
_RECENT_S = 10.0
_TOPIC = CATALOGUE["tool-calls"]


class CallKey(NamedTuple):
    """What a decision names: one call, with what it asks for."""

    identity: str
    audit_id: str
    call_id: str
    function: str
    digest: str

    @classmethod
    def of_decision(cls, decision: Mapping[str, Any]) -> "CallKey | None":
        """Return the call of a decision; None where it names no arguments."""
        digest = decision.get("arguments_digest")
        if digest is None:
            return None
        return cls(decision["identity"], decision["audit_id"], decision["call_id"], decision["function"], digest)

    @classmethod
    def of_call(cls, call: ToolCall, identity: str) -> "CallKey | None":
        """Return the key of a call on record; None where its arguments cannot be read."""
        arguments = read_arguments(call.arguments, _DEEPEST)
        digest = None if arguments is None else digest_of(arguments)
        return None if digest is None else cls(identity, call.audit_id, call.call_id, call.tool, digest)


class Found(NamedTuple):
    """A call on record."""

    call: ToolCall
    source: str
    """`ce_source` of a sealed call; empty of one that an application wrote."""
    appended: float
    """The broker's append time, seconds since 1970."""


class HeldCalls:
    """Calls by what decisions name, within `max_bytes`."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[CallKey, tuple[Found, int]] = OrderedDict()
        self._sharing: Counter[tuple[str, ...]] = Counter()
        """Calls held per identity, turn and call id."""
        self._bytes = 0

    def get(self, key: CallKey) -> Found | None:
        """Return the call of a key."""
        held = self._held.get(key)
        return None if held is None else held[0]

    def add(self, found: Found, identity: str, size: int) -> None:
        """Hold a call of `size` bytes, if it can be run at all and is the first of its kind."""
        key = CallKey.of_call(found.call, identity)
        if key is None or key in self._held or self._sharing[key[:3]] >= MAX_SHARING:
            return
        self._held[key] = (found, size)
        self._sharing[key[:3]] += 1
        self._bytes += size
        while self._bytes > self._max_bytes and len(self._held) > 1:
            oldest, (_, freed) = self._held.popitem(last=False)
            self._bytes -= freed
            self._sharing[oldest[:3]] -= 1
            if not self._sharing[oldest[:3]]:
                del self._sharing[oldest[:3]]


class Calls:
    """Calls by key, as far back as `lookback_s` before the first question about their partition."""

    def __init__(
        self, settings: Settings, *, lookback_s: float, max_bytes: int = MAX_BYTES, seals: Seals | None = None
    ) -> None:
        self._settings = settings
        self._seals = load_seals(settings) if seals is None else seals
        self._lookback_ms = int(lookback_s * 1000)
        self._held = HeldCalls(max_bytes)
        self._next: dict[int, int] = {}
        self._first: dict[TopicPartition, tuple[float, int]] = {}
        """When it was asked, and the first offset that was young enough then."""
        self._reader: Any = None
        self._lock = asyncio.Lock()

    def known(self, key: CallKey) -> Found | None:
        """Return the call, as far as it was read."""
        return self._held.get(key)

    async def find(self, partition: int, key: CallKey) -> Found | None:
        """Return the same, after reading all that is on the partition now. Raises KafkaError."""
        if self.known(key) is None:
            async with self._lock:
                if self.known(key) is None:
                    await self._catch_up(partition)
        return self.known(key)

    async def is_recent(self, topic: str, partition: int, offset: int, since: float) -> bool:
        """Return whether a record was appended at or after a time, seconds since 1970. Raises KafkaError.

        topic: without prefix. Asked of the broker at most once in `_RECENT_S` for each
        partition; so a record may be that much older.
        """
        place, now = TopicPartition(self._settings.prefix + topic, partition), time.monotonic()
        known = self._first.get(place)
        if known is not None and now - known[0] < _RECENT_S and offset >= known[1]:
            return True
        async with self._lock:
            reader = await self._connected()
            found = (await reader.offsets_for_times({place: max(0, int(since * 1000))}))[place]
        if found is None:
            return False  # nothing of that partition is so young
        self._first[place] = (now, found.offset)
        return bool(offset >= found.offset)

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

    def add(self, raw: SourceRecord) -> None:
        """Remember the call of a record, if it is one that the gate would take."""
        try:
            call: ToolCall = decode(_TOPIC, raw.value, self._settings.max_record_bytes)
        except Malformed:
            return
        identity = canonical(call.identity)
        if raw.key != identity.encode() or partition_of(identity, self._settings.partitions) != raw.partition:
            return
        headers = dict(raw.headers or ())
        ours = SEAL in headers and self._seals.valid("tool-calls", raw, headers)
        source = (headers.get("ce_source") or b"").decode("utf-8", "replace") if ours else ""
        self._held.add(Found(call, source, raw.timestamp / 1000), identity, len(raw.value or b""))

    async def _connected(self) -> Any:
        if self._reader is None:
            reader = clients.reader(self._settings)
            await reader.start()
            self._reader = reader
        return self._reader
