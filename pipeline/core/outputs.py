"""An agent's outputs over a batch, written as records: of a coalescing topic only the last per key."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import orjson

from endocrine.agents.contract import Agent, Erased, Output, Trigger
from endocrine.pipeline.core.catalogue import Topic
from endocrine.pipeline.core.content_keys import KeyDestroyed
from endocrine.pipeline.core.encryption import Keys, closed
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


_Cause = tuple[str, SourceRecord, str, str, float, bytes | None]
"""What its outputs need of a trigger: topic, raw record, id, identity, ts, traceparent. Not the trigger itself, with
its value: a batch of them would be kept until its end."""


class _Target:
    """A topic as the outputs of a batch need it."""

    __slots__ = ("chained", "key_of", "latest", "name", "type_header")

    def __init__(self, topic: Topic) -> None:
        self.name, self.key_of, self.chained, self.type_header = (
            topic.name,
            topic.key_of,
            topic.chained,
            topic.ce_type_header,
        )
        self.latest: dict[str, int] | None = {} if topic.coalesce else None
        """Of a coalescing topic: place of the last record of each key, counted over all that was added."""


_Pending = tuple[_Target, str, str, Mapping[str, Any], int, _Cause]
"""Of one output: its topic, key, identity, content, ordinal and cause."""


class Outputs(Generic[T]):
    """Collects the outputs of a batch.

    partitions: of each topic. chains: of the unit, where it writes chained ones. form: what is kept of each record,
    asked for when it is written; None for nothing. seals: for the topics that somebody of ours reads. keys: encrypt
    content; without them it stays in clear.
    """

    def __init__(
        self,
        agent: Agent,
        catalogue: Mapping[str, Topic],
        partitions: int,
        chains: Chains | None,
        form: Callable[[OutputRecord], T],
        seals: Seals,
        keys: Keys | None = None,
    ) -> None:
        self._targets = {topic: _Target(catalogue[topic]) for topic in agent.targets}
        self._most = COALESCING if any(target.latest is not None for target in self._targets.values()) else PENDING
        self._name, self._catalogue, self._partitions, self._chains = agent.name, catalogue, partitions, chains
        self._form, self._seals, self._keys = form, seals, keys
        self.key_ids: set[str] = set()
        """Of keys that content was encrypted with."""
        self.erased: list[str] = []
        """Origins of outputs that cannot be made, as the key is destroyed that they were encrypted with."""
        self.largest = 0
        """Bytes of the longest value written."""
        self._pending: list[_Pending | None] = []
        """Not written yet; None where a later record of its key came."""
        self._written: list[T | None] = []
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
        targets, pending, value = self._targets, self._pending, trigger.value
        ts = value["ts"] if value.__class__ is dict else getattr(value, "ts", 0.0)
        trace = headers.get(TRACEPARENT) if headers else None
        if trace is not None and not is_traceparent(trace):
            trace = None
        cause = (topic, raw, trigger.id, trigger.identity, ts, trace)
        for ordinal, (name, identity, content) in enumerate(outputs):
            target = targets.get(name) or self._target(name)
            key = target.key_of(identity, content)
            latest = target.latest
            if latest is not None:
                ahead = len(self._written)
                before = latest.get(key)
                if before is not None:
                    self._again += 1
                    if before < ahead:
                        self._written[before] = None
                    else:
                        pending[before - ahead] = None
                latest[key] = ahead + len(pending)
            pending.append((target, key, identity, content, ordinal, cause))
        if len(pending) >= self._most:
            keys = sum(len(target.latest) for target in targets.values() if target.latest is not None)
            if self._again * AGAIN <= keys + self._again:
                self._write()
            else:
                self._most = sys.maxsize

    def lose(self, chained: Sequence[str]) -> None:
        """Take note, in their place among the outputs, that some cannot be known. chained: topics they may be of."""
        self._write()
        if self._chains is not None:
            for topic in chained:
                self._chains.lose(topic)

    def written(self) -> list[T]:
        """Return the outputs, in trigger order."""
        self._write()
        return [out for out in self._written if out is not None]

    def _target(self, name: str) -> _Target:
        """A topic that the agent does not name among its targets."""
        target = self._targets[name] = _Target(self._catalogue[name])
        return target

    def _write(self) -> None:
        """Write what is pending."""
        name, dumps, new, append, form = self._name, orjson.dumps, tuple.__new__, self._written.append, self._form
        seal, chains, largest, keys = self._seals.seal, self._chains, self.largest, self._keys
        last: _Cause | None = None
        when: tuple[tuple[str, bytes], ...] = ()
        for item in self._pending:
            if item is None:
                append(None)
                continue
            target, key, identity, content, ordinal, cause = item
            if cause is not last:
                last = cause
                topic, raw, named, owner, ts, trace = cause
                time = event_time(ts)
                when = () if time is None else (("ce_time", time.encode()),)
                if trace is not None:
                    when = (*when, (TRACEPARENT, trace))
                home = raw.partition
                output_of, origin_of = f"{name}/{named}/", f"{name}/{topic}/{home}/{raw.offset}/"
            ours = identity == owner
            subject = raw.key if ours else identity.encode()  # a record that is processed lies under its identity
            ce_id, origin = f"{output_of}{ordinal}".encode(), f"{origin_of}{ordinal}".encode()
            if keys is not None and content.__class__ is not Erased:
                try:
                    content, key_ids = closed(target.name, identity, content, keys)
                except KeyDestroyed:
                    self.erased.append(origin.decode())
                    append(None)
                    if target.chained and chains is not None:
                        chains.lose(target.name)
                    continue
                self.key_ids.update(key_ids)
            if target.chained and chains is not None:
                assert ours, f"{target.name} is chained: a record of it lies on its trigger's partition"
                content = chains.linked(target.name, content, ce_id)
            value = None if content.__class__ is Erased else dumps(content)
            if value is not None and len(value) > largest:
                largest = len(value)
            place = home if ours else partition_of(identity, self._partitions)
            keyed = subject if key == identity else key.encode()
            own = (
                (CE_ID, ce_id),
                target.type_header,
                ("ce_subject", subject or b""),
                (ORIGIN, origin),
                *when,
                (SEAL, seal(target.name, place, keyed, value, ce_id, origin)),
            )
            append(form(new(OutputRecord, (target.name, place, keyed, value, own, True))))
        self.largest = largest
        self._pending.clear()
