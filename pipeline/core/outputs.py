"""An agent's outputs over a batch, written as records: of a coalescing topic only the last per key."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import orjson

from endocrine.agents.contract import Agent, Erased, Output, Trigger
from endocrine.pipeline.core.catalogue import Topic
from endocrine.pipeline.core.hash_chain import Chains
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import (
    CE_ID,
    ORIGIN,
    SEAL,
    TRACEPARENT,
    OutputRecord,
    SourceRecord,
    event_time,
    is_traceparent,
)
from endocrine.pipeline.core.seals import Seals

T = TypeVar("T")
PENDING = 32
"""Outputs not written yet. Of more of them the first would be out of the processor's cache by the time they are."""
COALESCING = 256
"""The same for an agent that writes to a coalescing topic. So many, to see whether keys come again: where they do, most
of a batch would be written in vain (a fifth of the attribution agent's time), and all of it is kept pending."""
AGAIN = 10
"""Keys come again when more than one of so many outputs took the place of another."""


class _Cause(NamedTuple):
    """What its outputs need of a trigger. Not the record itself: a batch of them would be kept until its end."""

    topic: str
    raw: SourceRecord
    id: str
    identity: str
    ts: float
    traceparent: bytes | None


_Said = tuple[Topic, str, str, Mapping[str, Any], int, _Cause]
"""Of one output: its topic, key, identity, content, ordinal and cause."""


class Outputs(Generic[T]):
    """Collects the outputs of a batch.

    partitions: of each topic. chains: of the unit, where it writes chained ones. form: what is kept of each record,
    asked for when it is written; None for nothing. seals: for the topics that somebody of ours reads.
    """

    def __init__(
        self,
        agent: Agent,
        catalogue: Mapping[str, Topic],
        partitions: int,
        chains: Chains | None,
        form: Callable[[OutputRecord], T],
        seals: Seals,
    ) -> None:
        self._most = COALESCING if any(catalogue[topic].coalesce for topic in agent.targets) else PENDING
        self._name, self._catalogue, self._partitions, self._chains = agent.name, catalogue, partitions, chains
        self._form, self._seals = form, seals
        self.largest = 0
        """Bytes of the longest value written."""
        self._pending: list[_Said | None] = []
        """Not written yet; None where a later record of its key came."""
        self._written: list[T | None] = []
        self._latest: dict[tuple[str, str], int] = {}
        """Of coalescing topics: place of the last record of each key, counted over `_written` and `_pending`."""
        self._again = 0
        """How many took the place of another."""

    def add_dead(self, out: OutputRecord) -> None:
        """Add a dead letter by state, in its place among the outputs."""
        self._write()
        self._written.append(self._form(out))

    def add(
        self,
        topic: str,
        raw: SourceRecord,
        trigger: Trigger,
        headers: Mapping[str, bytes | None] | None,
        outputs: Sequence[Output],
    ) -> None:
        """Add the outputs of one trigger."""
        catalogue, pending, value = self._catalogue, self._pending, trigger.value
        ts = value["ts"] if type(value) is dict else getattr(value, "ts", 0.0)
        trace = headers.get(TRACEPARENT) if headers else None
        if trace is not None and not is_traceparent(trace):
            trace = None
        # _Cause(...) takes twice the time, and every record has one.
        cause = tuple.__new__(_Cause, (topic, raw, trigger.id, trigger.identity, ts, trace))
        for ordinal, (target, identity, content) in enumerate(outputs):
            described = catalogue[target]
            key = described.key_of(identity, content)
            if described.coalesce:
                self._supersede(target, key)
            pending.append((described, key, identity, content, ordinal, cause))
        if len(pending) >= self._most:
            if self._again * AGAIN <= len(self._latest) + self._again:
                self._write()
            else:
                self._most = sys.maxsize

    def written(self) -> list[T]:
        """Return the outputs, in trigger order."""
        self._write()
        return [out for out in self._written if out is not None]

    def _supersede(self, target: str, key: str) -> None:
        """Forget the earlier output of a key."""
        place, ahead = (target, key), len(self._written)
        before = self._latest.get(place)
        if before is not None:
            if before < ahead:
                self._written[before] = None
            else:
                self._pending[before - ahead] = None
            self._again += 1
        self._latest[place] = ahead + len(self._pending)

    def _write(self) -> None:
        """Write what is pending."""
        name, dumps, new, append, form = self._name, orjson.dumps, tuple.__new__, self._written.append, self._form
        last: _Cause | None = None
        when: tuple[tuple[str, bytes], ...] = ()
        for item in self._pending:
            if item is None:
                append(None)
                continue
            described, key, identity, content, ordinal, cause = item
            topic, raw, named, owner, ts, trace = cause
            if cause is not last:
                last = cause
                time = event_time(ts)
                when = () if time is None else (("ce_time", time.encode()),)
                if trace is not None:
                    when = (*when, (TRACEPARENT, trace))
                place, offset = raw.partition, raw.offset
            ours = identity == owner
            subject = raw.key if ours else identity.encode()  # a record that is processed lies under its identity
            ce_id = f"{name}/{named}/{ordinal}".encode()
            origin = f"{name}/{topic}/{place}/{offset}/{ordinal}".encode()
            own: tuple[tuple[str, bytes], ...] = (
                (CE_ID, ce_id),
                described.ce_type_header,
                ("ce_subject", subject or b""),
                (ORIGIN, origin),
                *when,
            )
            if described.chained and self._chains is not None:
                assert ours, f"{described.name} is chained: a record of it lies on its trigger's partition"
                content = self._chains.linked(described.name, content)
            value = None if type(content) is Erased else dumps(content)
            if value is not None and len(value) > self.largest:
                self.largest = len(value)
            target = place if ours else partition_of(identity, self._partitions)
            keyed = subject if key == identity else key.encode()
            own = (*own, (SEAL, self._seals.seal(described.name, target, keyed, value, ce_id, origin)))
            record = (described.name, target, keyed, value, own, True)
            append(form(new(OutputRecord, record)))
        self._pending.clear()
