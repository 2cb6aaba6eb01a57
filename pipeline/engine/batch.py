"""One agent over one batch: Read's verdict on each record, then Think. Pure.

The worker, `simulate`, replay and deterministic simulation all come through `Engine.process`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from agents.contract import Agent, Output, Reject, State, Trigger
from agents.policy.compiled import Policy
from pipeline.engine.chain import CHAIN_KEY, Chains
from pipeline.engine.decode import Malformed, decode
from pipeline.engine.fit import canonical, partition_of
from pipeline.engine.marks import Marks, mark_of
from pipeline.engine.recall import RECENT, conflicts, pack, unpack
from pipeline.engine.recall import token as token_of
from pipeline.engine.wire import (
    CE_ID,
    CUT,
    ERROR,
    ERROR_KIND,
    ORIGIN,
    POLICY,
    REKEYED_FROM,
    TRACEPARENT,
    VERSION,
    Headers,
    Outgoing,
    Raw,
    event_time,
)
from pipeline.topics import CATALOGUE, Topic, record_key

_START = (-1, 0)


@dataclass(slots=True)
class Tally:
    """What became of the records of a batch."""

    read: int = 0
    thought: int = 0
    copies: int = 0
    dead: int = 0
    """Dead letters by their bytes or key."""
    rekeyed: int = 0
    rejected: int = 0
    """Dead letters by state."""


@dataclass(slots=True)
class _Key:
    """A key while its batch is thought over."""

    before: bytes | None
    state: State
    recent: list[str]


@dataclass(slots=True)
class Processed:
    """What a batch comes to."""

    aside: list[Outgoing] = field(default_factory=list)
    """Dead letters by bytes and re-keyed records: spoken in Read, by the topic's owner only."""
    outputs: list[Outgoing] = field(default_factory=list)
    """What the agent says, in trigger order."""
    states: dict[str, bytes | None] = field(default_factory=dict)
    """New state of each key that changed; None is a tombstone."""
    marks: Marks = field(default_factory=dict)
    """All marks, brought up to date."""
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class Engine:
    """Runs one agent over batches.

    partitions: of every topic. version: code version put on every derived record. max_record_bytes: a longer value is a
    dead letter.
    """

    agent: Agent
    partitions: int
    version: str
    max_record_bytes: int
    catalogue: Mapping[str, Topic] = field(default_factory=lambda: CATALOGUE)
    mark_of = staticmethod(mark_of)

    def common_headers(self, policy: Policy, partition: int, number: int) -> Headers:
        """The headers that all derived records of a batch share."""
        name = self.agent.name
        return (
            ("ce_source", f"endocrine/{name}".encode()),
            ("ce_specversion", b"1.0"),
            ("content-type", b"application/json"),
            (CUT, f"{name}/{partition}/{number}".encode()),
            (POLICY, policy.digest.encode()),
            (VERSION, self.version.encode()),
        )

    def process(
        self,
        records: Sequence[tuple[str, Raw]],
        policy: Policy,
        stored: Callable[[str], bytes | None],
        marks: Mapping[str, tuple[int, int]],
        *,
        partition: int,
        refuse: str | None = None,
    ) -> Processed:
        """Read and Think over `records`, pairs of topic and raw record in the order read.

        stored: the state of a key before the batch, as bytes. refuse: when given, no record is thought, each is
        rejected with this message (a single record whose outputs do not fit into a batch).
        """
        done = Processed(marks=dict(marks))
        done.tally.read = len(records)
        keys: dict[str, _Key] = {}
        said = _Said(self)
        for topic, raw in records:
            trigger, headers, token = self._read(topic, raw, done)
            if trigger is None:
                continue
            name = self.agent.key(trigger)
            held = keys.get(name)
            if held is None:
                held = keys[name] = self._hold(stored(name))
            if token in held.recent:
                done.tally.copies += 1
                continue
            done.tally.thought += 1
            try:
                if refuse is not None:
                    raise Reject("too_large_result", refuse)
                after, outputs = self.agent.think(held.state, trigger, policy)
                if token and conflicts(token, held.recent):
                    raise Reject("conflicting_id", f"{topic}: id {trigger.id!r} was used before with other content")
            except Reject as reject:
                self._reject(topic, raw, reject.kind, str(reject), done, said)
                continue
            except Exception as error:
                # Deterministic code failed on this record and would fail again: poison. The fuse stops a worker
                # whose agent fails on everything.
                told = f"{self.agent.name} failed: {type(error).__name__}: {error}"
                self._reject(topic, raw, "agent_error", told, done, said)
                continue
            held.state = after
            if after is None:
                held.recent = []  # a key without state is not stored: it forgets in this batch as it would in the next
            elif token:
                held.recent = [*held.recent[1 - RECENT :], token]
            if outputs:
                said.add(topic, raw, trigger, headers, outputs)
        for name, held in keys.items():
            now = self._bytes(held)
            if now != held.before:
                done.states[name] = now
        chains = Chains(stored(CHAIN_KEY)) if self._chained else None
        done.outputs = said.written(chains)
        if chains is not None and chains.moved:
            done.states[CHAIN_KEY] = chains.state
        return done

    @cached_property
    def _chained(self) -> bool:
        return any(self.catalogue[topic].chained for topic in self.agent.targets)

    @cached_property
    def _recalls(self) -> bool:
        return any(self.catalogue[topic].recall for topic in self.agent.sources)

    def _hold(self, before: bytes | None) -> "_Key":
        if self._recalls:
            state, recent = unpack(before)
            return _Key(before, state, recent)
        return _Key(before, None if before is None else orjson.loads(before), [])

    def _bytes(self, held: "_Key") -> bytes | None:
        if self._recalls:
            return pack(held.state, held.recent)
        return None if held.state is None else orjson.dumps(held.state)

    def _reject(self, topic: str, raw: Raw, kind: str, message: str, done: Processed, said: "_Said") -> None:
        """A dead letter by state is an output like any other: it is remembered before it is spoken."""
        done.tally.rejected += 1
        said.add_dead(self._dead_letter(topic, raw, kind, message))

    def _read(
        self, topic: str, raw: Raw, done: Processed
    ) -> tuple[Trigger | None, dict[str, bytes] | None, str | None]:
        """Read's verdict on one record: the trigger to think about (None when it is set aside), its headers, and the
        token under which its id is recalled."""
        described = self.catalogue[topic]
        headers = dict(raw.headers) if raw.headers else None
        if headers:
            mark = self.mark_of(topic, headers)
            if mark is not None:
                name, height = mark
                if done.marks.get(name, _START) >= height:
                    done.tally.copies += 1
                    return None, None, None
                done.marks[name] = height
        if raw.value is None and described.cleanup == "compact":
            return None, None, None  # a tombstone: the key was erased, nothing to think about
        try:
            value = decode(described, raw.value, self.max_record_bytes)
        except Malformed as error:
            self._set_aside_dead(topic, raw, error.kind, str(error), done)
            return None, None, None
        observed = value[described.identity_field] if type(value) is dict else getattr(value, described.identity_field)
        identity = canonical(observed)
        named = value.get("id") if type(value) is dict else getattr(value, "id", None)
        if named is None and headers and CE_ID in headers:
            named = headers[CE_ID].decode("utf-8", "replace")
        if raw.key != identity.encode() or partition_of(identity, self.partitions) != raw.partition:
            self._set_aside_misfit(topic, raw, headers or {}, identity, named, done)
            return None, None, None
        if named is None:
            return Trigger(topic, f"{topic}/{raw.partition}/{raw.offset}", identity, value), headers, None
        recalled = described.recall and (headers is None or ORIGIN not in headers)
        return Trigger(topic, named, identity, value), headers, token_of(topic, named, raw) if recalled else None

    def _set_aside_dead(self, topic: str, raw: Raw, kind: str, message: str, done: Processed) -> None:
        done.tally.dead += 1
        if self.catalogue[topic].owner == self.agent.name:
            done.aside.append(self._dead_letter(topic, raw, kind, message))

    def _set_aside_misfit(
        self, topic: str, raw: Raw, headers: dict[str, bytes], identity: str, named: str | None, done: Processed
    ) -> None:
        if REKEYED_FROM in headers:
            wanted = partition_of(identity, self.partitions)
            message = (
                f"{topic}: key {raw.key!r} on partition {raw.partition} does not fit identity {identity!r} "
                f"(partition {wanted}), though it was forwarded once already"
            )
            self._set_aside_dead(topic, raw, "misfit", message, done)
            return
        done.tally.rekeyed += 1
        if self.catalogue[topic].owner != self.agent.name:
            return
        own = [(name, content) for name, content in raw.headers if name not in (CE_ID, ORIGIN)]
        first = f"{topic}/{raw.partition}/{raw.offset}"
        own.append((CE_ID, (named or first).encode()))
        own.append((REKEYED_FROM, first.encode()))
        place = partition_of(identity, self.partitions)
        done.aside.append(Outgoing(topic, place, identity.encode(), raw.value, tuple(own), False))

    def _dead_letter(self, topic: str, raw: Raw, kind: str, message: str) -> Outgoing:
        own = [(name, content) for name, content in raw.headers if name not in (ERROR, ERROR_KIND, ORIGIN)]
        own.append((ERROR, message.encode("utf-8", "replace")))
        own.append((ERROR_KIND, kind.encode()))
        own.append((ORIGIN, f"{self.agent.name}/{topic}/{raw.partition}/{raw.offset}/0".encode()))
        return Outgoing(self.catalogue[topic].dead_letters, raw.partition, raw.key, raw.value, tuple(own), False)


class _Said:
    """What an agent says over a batch, written as bytes at its end: of a coalescing topic only the last per key."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pending: list[Any] = []
        self._latest: dict[tuple[str, str], int] = {}

    def add_dead(self, out: Outgoing) -> None:
        """A dead letter by state, in its place among the outputs."""
        self._pending.append(out)

    def add(
        self, topic: str, raw: Raw, trigger: Trigger, headers: dict[str, bytes] | None, outputs: Sequence[Output]
    ) -> None:
        """What one trigger causes."""
        catalogue, pending = self._engine.catalogue, self._pending
        for ordinal, (target, identity, content) in enumerate(outputs):
            described = catalogue[target]
            key = record_key(described, identity, content)
            if described.coalesce:
                place = (target, key)
                before = self._latest.get(place)
                if before is not None:
                    pending[before] = None
                self._latest[place] = len(pending)
            pending.append((described, key, identity, content, ordinal, topic, raw, trigger, headers))

    def written(self, chains: Chains | None) -> list[Outgoing]:
        """The outputs as records, in trigger order. chains: of the unit, where it writes chained topics."""
        engine, dumps = self._engine, orjson.dumps
        name = engine.agent.name
        written: list[Outgoing] = []
        last: Trigger | None = None
        when: tuple[str, bytes] | None = None
        for item in self._pending:
            if item is None:
                continue
            if type(item) is Outgoing:
                written.append(item)
                continue
            described, key, identity, content, ordinal, topic, raw, trigger, headers = item
            value = trigger.value
            ours = identity == trigger.identity
            subject = raw.key if ours else identity.encode()  # a record that is thought lies under its identity
            own = [
                (CE_ID, f"{name}/{trigger.id}/{ordinal}".encode()),
                ("ce_type", described.ce_type),
                ("ce_subject", subject),
                (ORIGIN, f"{name}/{topic}/{raw.partition}/{raw.offset}/{ordinal}".encode()),
            ]
            if trigger is not last:
                last = trigger
                told = event_time(value["ts"] if type(value) is dict else getattr(value, "ts", 0.0))
                when = None if told is None else ("ce_time", told.encode())
            if when is not None:
                own.append(when)
            if headers and TRACEPARENT in headers:
                own.append((TRACEPARENT, headers[TRACEPARENT]))
            place = raw.partition if ours else partition_of(identity, engine.partitions)
            if described.chained and chains is not None:
                assert ours, f"{described.name} is chained: a record of it lies on its trigger's partition"
                content = chains.linked(described.name, content)
            written.append(
                Outgoing(
                    described.name,
                    place,
                    subject if key == identity else key.encode(),
                    dumps(content),
                    tuple(own),
                    True,
                )
            )
        return written
