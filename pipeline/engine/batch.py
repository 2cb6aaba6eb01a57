"""One agent over one batch: Read's verdict on each record, then Think. Pure.

The worker, `simulate`, replay and deterministic simulation all come through `Engine.process`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic

from typing_extensions import TypeVar

from agents.contract import Agent, Reject, Trigger
from agents.policy.compiled import Policy
from pipeline.engine.chain import CHAIN_KEY, Chains
from pipeline.engine.decode import Malformed, decode
from pipeline.engine.fit import Places, canonical, partition_of, places
from pipeline.engine.marks import Marks, mark_of
from pipeline.engine.outputs import Outputs
from pipeline.engine.recall import RECENT, conflicts
from pipeline.engine.recall import token as token_of
from pipeline.engine.states import States
from pipeline.engine.wire import (
    CE_ID,
    CUT,
    ERROR,
    ERROR_KIND,
    ORIGIN,
    POLICY,
    REKEYED_FROM,
    VERSION,
    Headers,
    Outgoing,
    Raw,
)
from pipeline.topics import CATALOGUE, Topic

_START = (-1, 0)
T = TypeVar("T", default=Outgoing)


def _as_it_is(out: Outgoing) -> Outgoing:
    return out


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
    failed: int = 0
    """Those of them that an agent failed on: faults of our own code."""


@dataclass(slots=True)
class Processed(Generic[T]):
    """What a batch comes to. Of its outputs it holds what was asked for: the records, or what stands for them."""

    aside: list[Outgoing] = field(default_factory=list)
    """Dead letters by bytes and re-keyed records: spoken in Read, by the topic's owner only."""
    outputs: list[T] = field(default_factory=list)
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
        form: Callable[[Outgoing], T] = _as_it_is,  # type: ignore[assignment]
    ) -> Processed[T]:
        """Read and Think over `records`, pairs of topic and raw record in the order read.

        stored: the state of a key before the batch, as bytes. refuse: when given, no record is thought, each is
        rejected with this message (a single record whose outputs do not fit into a batch). form: what is kept of each
        output; it is asked while the output is in the processor's cache, which at the end of a large batch it is not.
        """
        done: Processed[T] = Processed(marks=dict(marks))
        done.tally.read = len(records)
        states = States(stored, recalls=self._recalls)
        chains = Chains(stored(CHAIN_KEY)) if self._chained else None
        said = Outputs(self.agent, self.catalogue, self.partitions, chains, form)
        read, key_of, hold, think = self._read, self.agent.key, states.hold, self.agent.think
        thought = 0
        for topic, raw in records:
            trigger, headers, token = read(topic, raw, done)
            if trigger is None:
                continue
            held = hold(key_of(trigger))
            if token in held.recent:
                done.tally.copies += 1
                continue
            thought += 1
            try:
                if refuse is not None:
                    raise Reject("too_large_result", refuse)
                after, outputs = think(held.state, trigger, policy)
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
        done.tally.thought = thought
        done.states = states.changed()
        done.outputs = said.written()
        if chains is not None and chains.moved:
            done.states[CHAIN_KEY] = chains.state
        return done

    @cached_property
    def _chained(self) -> bool:
        return any(self.catalogue[topic].chained for topic in self.agent.targets)

    @cached_property
    def _places(self) -> Places:
        return places(self.partitions)

    @cached_property
    def _recalls(self) -> bool:
        return any(self.catalogue[topic].recall for topic in self.agent.sources)

    def _reject(self, topic: str, raw: Raw, kind: str, message: str, done: Processed[Any], said: Outputs[Any]) -> None:
        """A dead letter by state is an output like any other: it is remembered before it is spoken."""
        done.tally.rejected += 1
        done.tally.failed += kind == "agent_error"
        said.add_dead(self._dead_letter(topic, raw, kind, message))

    def _read(
        self, topic: str, raw: Raw, done: Processed[Any]
    ) -> tuple[Trigger | None, dict[str, bytes | None] | None, str | None]:
        """Read's verdict on one record: the trigger to think about (None when it is set aside), its headers, and the
        token under which its id is recalled."""
        described = self.catalogue[topic]
        own, content = raw.headers, raw.value
        headers = dict(own) if own else None
        if headers:
            mark = self.mark_of(topic, headers)
            if mark is not None:
                name, height = mark
                if done.marks.get(name, _START) >= height:
                    done.tally.copies += 1
                    return None, None, None
                done.marks[name] = height
        if content is None and described.cleanup == "compact":
            return None, None, None  # a tombstone: the key was erased, nothing to think about
        try:
            value = decode(described, content, self.max_record_bytes)
        except Malformed as error:
            self._set_aside_dead(topic, raw, error.kind, str(error), done)
            return None, None, None
        if type(value) is dict:
            observed, named = value[described.identity_field], value.get("id")
        else:
            observed, named = getattr(value, described.identity_field), getattr(value, "id", None)
        identity = canonical(observed)
        if named is None and headers and (told := headers.get(CE_ID)) is not None:
            named = told.decode("utf-8", "replace")
        if raw.key != identity.encode() or self._places[identity] != raw.partition:
            self._set_aside_misfit(topic, raw, headers or {}, identity, named, done)
            return None, None, None
        token = None
        if named is None:
            named = f"{topic}/{raw.partition}/{raw.offset}"
        elif described.recall and (headers is None or headers.get(ORIGIN) is None):
            token = token_of(topic, named, raw)
        # Trigger(...) takes twice the time, and every record has one.
        appended = raw.timestamp
        return (
            tuple.__new__(Trigger, (topic, named, identity, value, appended / 1000 if appended >= 0 else None)),
            headers,
            token,
        )

    def _set_aside_dead(self, topic: str, raw: Raw, kind: str, message: str, done: Processed[Any]) -> None:
        done.tally.dead += 1
        if self.catalogue[topic].owner == self.agent.name:
            done.aside.append(self._dead_letter(topic, raw, kind, message))

    def _set_aside_misfit(
        self,
        topic: str,
        raw: Raw,
        headers: Mapping[str, bytes | None],
        identity: str,
        named: str | None,
        done: Processed[Any],
    ) -> None:
        if headers.get(REKEYED_FROM) is not None:
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
        own = [(name, content) for name, content in raw.headers if name not in (CE_ID, ORIGIN, REKEYED_FROM)]
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
