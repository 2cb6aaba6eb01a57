"""One agent over one batch: Read's verdict on each record, then Process. Pure.

The worker, `simulate`, replay and deterministic simulation all come through `Engine.process`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic

from typing_extensions import TypeVar

from endocrine.agents.contract import Agent, Reject, Trigger
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.catalogue import CATALOGUE, Topic
from endocrine.pipeline.core.content_keys import KeyDestroyed, KeyUnknown
from endocrine.pipeline.core.dead_letters import dead_letter
from endocrine.pipeline.core.decode import Malformed, decode
from endocrine.pipeline.core.decoded_states import DecodedStates
from endocrine.pipeline.core.encryption import Keys, blank, opened
from endocrine.pipeline.core.hash_chain import CHAIN_KEY, Chains
from endocrine.pipeline.core.lost_states import LostStates
from endocrine.pipeline.core.outputs import Outputs
from endocrine.pipeline.core.partitioning import Places, canonical, partition_of, places, reserved
from endocrine.pipeline.core.producer_dedup import RECENT, conflicts
from endocrine.pipeline.core.producer_dedup import token as token_of
from endocrine.pipeline.core.records import (
    CE_ID,
    CUT,
    ORIGIN,
    OURS,
    POLICY,
    REKEYED_FROM,
    SEAL,
    VERSION,
    Headers,
    OutputRecord,
    SourceRecord,
    id_of,
)
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.core.sizes import OUTPUT_HEADERS, Sizes, headers_bytes
from endocrine.pipeline.core.state_format import StateFormat, state_format
from endocrine.pipeline.core.states import States
from endocrine.pipeline.core.watermarks import Watermarks, watermark_of

UNSEALED = "unsealed"
"""Kind of a dead letter."""
RESERVED_NAME = "reserved_name"
"""Kind of a dead letter: the record would be about a subject that is nobody."""
UNREADABLE = "unreadable"
"""In the place of a token: what replay cannot read any more."""
_new = tuple.__new__
_START = (-1, 0)
_FORWARDED = frozenset((ORIGIN, REKEYED_FROM, SEAL))
"""Headers of a record of ours that do not hold any more once it is forwarded."""
T = TypeVar("T", default=OutputRecord)


def _as_it_is(out: OutputRecord) -> OutputRecord:
    return out


@dataclass(slots=True)
class Tally:
    """What became of the records of a batch."""

    read: int = 0
    prepared: int = 0
    copies: int = 0
    dead: int = 0
    """Dead letters by their bytes or key."""
    rekeyed: int = 0
    rejected: int = 0
    """Dead letters by state."""
    unsealed: int = 0
    """Dead letters because only we may write their topic, and they carry no seal of ours."""
    failed: int = 0
    """Those of them that an agent failed on: faults of our own code."""


@dataclass(slots=True)
class Processed(Generic[T]):
    """The result of a batch. Of its outputs it holds what was asked for: the records, or their serialized forms."""

    rejected_or_rerouted: list[OutputRecord] = field(default_factory=list)
    """Dead letters by bytes and re-keyed records: serialized and produced by the topic's owner only. Keys of content
    that may not be on their topic yet come first: they must be before anything that they encrypt."""
    outputs: list[T] = field(default_factory=list)
    """The agent's outputs, in trigger order."""
    states: dict[str, bytes | None] = field(default_factory=dict)
    """New state of each key that changed; None is a tombstone."""
    watermarks: Watermarks = field(default_factory=dict)
    """All watermarks, brought up to date."""
    forged: list[tuple[str, int]] = field(default_factory=list)
    """(topic, offset) of each record whose seal is not ours: on record in the journal, for replay without keys."""
    key_ids: list[str] | None = None
    """Of keys that content was encrypted with, ascending: on record in the journal. None: it stays in clear."""
    unreadable: list[tuple[str, int]] = field(default_factory=list)
    """(topic, offset) of each record that was passed over, as the key of its content was destroyed: on record as
    well."""
    largest: int = 0
    """Bytes of the longest output, at most."""
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class Engine:
    """Runs one agent over batches.

    partitions: of every topic. version: code version put on every derived record. sizes: what is read and written at
    most. seals: make and check `endocrine-seal`. keys: of content; None where it is in clear.
    """

    agent: Agent
    partitions: int
    version: str
    sizes: Sizes
    seals: Seals
    catalogue: Mapping[str, Topic] = field(default_factory=lambda: CATALOGUE)
    keys: Keys | None = None
    watermark_of = staticmethod(watermark_of)

    def common_headers(self, policy: Policy, partition: int, number: int) -> Headers:
        """Return the headers that all derived records of a batch share."""
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
        records: Sequence[tuple[str, SourceRecord]],
        policy: Policy,
        stored: Callable[[str], bytes | None],
        watermarks: Mapping[str, tuple[int, int]],
        *,
        partition: int,
        refuse: str | None = None,
        kept: DecodedStates | None = None,
        form: Callable[[OutputRecord], T] = _as_it_is,  # type: ignore[assignment]
        lost: LostStates | None = None,
    ) -> Processed[T]:
        """Read and process `records`, pairs of topic and raw record in the order read.

        stored: the state of a key before the batch, as bytes. refuse: when given, no record is processed, each is
        rejected with this message (a single record whose outputs do not fit into a batch). kept: decoded states of
        earlier batches; it saves time, and changes nothing. form: what is kept of each output; it is asked while the
        output is in the processor's cache, which at the end of a large batch it is not. lost: what replay cannot know
        any more, and adds to; a worker knows all of it. Raises KeyUnknown.
        """
        done: Processed[T] = Processed(watermarks=dict(watermarks))
        done.tally.read = len(records)
        states = States(stored, self._state_format, kept)
        keys = self.keys if self.keys is not None and self.keys.encrypts else None
        chains = None
        if self._chained:
            chains = Chains(stored(CHAIN_KEY)) if lost is None else Chains(stored(CHAIN_KEY), lost.recorded)
        produced = Outputs(self.agent, self.catalogue, self.partitions, chains, form, self.seals, keys)
        ahead_s = policy.document.time.ahead_s
        read, key_of, opened, process, add = self._read, self.agent.key, states.open, self.agent.process, produced.add
        prepared = 0
        for topic, raw in records:
            trigger, headers, token = read(topic, raw, done, ahead_s, lost)
            if trigger is None:
                continue
            key = key_of(trigger)
            held = opened.get(key) or states.hold(key, prepared)
            if lost is not None and lost.takes(key, trigger, raw, readable=token is not UNREADABLE):
                held.state, held.recent = None, []
                produced.lose(self._chained)
                continue
            if token is not None and token in held.recent:
                done.tally.copies += 1
                continue
            prepared += 1
            try:
                if refuse is not None:
                    raise Reject("too_large_result", refuse)
                decides = policy if policy.canary is None else policy.of(trigger.identity)
                after, outputs = process(held.state, trigger, decides)
                if token and conflicts(token, held.recent):
                    raise Reject("conflicting_id", f"{topic}: id {trigger.id!r} was used before with other content")
            except Reject as reject:
                self._reject(topic, raw, reject.kind, str(reject), done, produced)
                continue
            except Exception as error:
                # Deterministic code failed on this record and would fail again: poison. The fuse stops a worker
                # whose agent fails on everything. The error's own text may hold content.
                detail = f"{self.agent.name} failed: {type(error).__name__} at {_place_of(error)}"
                self._reject(topic, raw, "agent_error", detail, done, produced)
                continue
            held.state = after
            if after is None:
                held.recent = []  # a key without state is not stored: it forgets in this batch as it would in the next
            elif token:
                held.recent = [*held.recent[1 - RECENT :], token]
            if outputs:
                add(topic, raw, trigger, headers, outputs)
        done.tally.prepared = prepared
        done.states = states.changed()
        done.outputs = produced.written()
        if keys is not None:
            done.key_ids = sorted(produced.key_ids)
            done.rejected_or_rerouted[:0] = keys.unsaved(done.key_ids)
        if lost is not None:
            lost.origins.update(produced.erased)
        done.largest = produced.largest + OUTPUT_HEADERS if produced.largest else 0
        if chains is not None and chains.moved:
            done.states[CHAIN_KEY] = chains.state
        return done

    @cached_property
    def _chained(self) -> tuple[str, ...]:
        return tuple(topic for topic in self.agent.targets if self.catalogue[topic].chained)

    @cached_property
    def _places(self) -> Places:
        return places(self.partitions)

    @cached_property
    def _state_format(self) -> StateFormat:
        return state_format(self.agent, self.catalogue)

    def _reject(
        self, topic: str, raw: SourceRecord, kind: str, message: str, done: Processed[Any], produced: Outputs[Any]
    ) -> None:
        """A dead letter by state is an output like any other: it is checkpointed before it is produced."""
        done.tally.rejected += 1
        done.tally.failed += kind == "agent_error"
        produced.add_dead(self._dead_letter(topic, raw, kind, message, self._is_sealed(topic, raw)))

    def _read(
        self, topic: str, raw: SourceRecord, done: Processed[Any], ahead_s: float, lost: LostStates | None
    ) -> tuple[Trigger | None, dict[str, bytes | None] | None, str | None]:
        """Read's verdict on one record: the trigger to process (None when it is set aside), its headers, and the token
        under which its id is recalled (`UNREADABLE` where its content was erased since). ahead_s: how far its time may
        lie after its append time, seconds."""
        described = self.catalogue[topic]
        own, when = raw.headers, raw.timestamp
        content = raw.value
        headers: dict[str, bytes | None] | None = None
        sealed, watermark = False, None
        if own:
            headers = dict(own)
            if SEAL in headers:
                sealed = self.seals.valid(topic, raw, headers)
                if not sealed:
                    done.forged.append((topic, raw.offset))
            if sealed:
                watermark = self.watermark_of(topic, headers)
                if watermark is not None and done.watermarks.get(watermark[0], _START) >= watermark[1]:
                    done.tally.copies += 1
                    return None, None, None
            elif any(name.startswith(OURS) for name in headers):
                headers = {name: held for name, held in headers.items() if not name.startswith(OURS)}
        if content is None and described.cleanup == "compact":
            return None, None, None  # a tombstone: the key was erased, nothing to process
        readable = True
        if self.keys is not None and content is not None:
            try:
                content = opened(topic, content, self.keys)
            except KeyUnknown:
                if sealed:
                    raise
                # A stranger's, who names a key that there is not: a dead letter, as its model has no such field.
            except KeyDestroyed:
                if lost is None or (topic, raw.offset) in lost.unreadable:
                    done.unreadable.append((topic, raw.offset))
                    if watermark is not None:
                        done.watermarks[watermark[0]] = watermark[1]
                    return None, None, None
                content, readable = blank(topic, content), False
        try:
            if not sealed and (own or described.ours):
                self._check_foreign(described, own)
            value = decode(described, content, self.sizes.value)
            if value.__class__ is dict:
                observed, named, ts = value[described.identity_field], value.get("id"), value["ts"]
            else:
                observed = getattr(value, described.identity_field)
                named, ts = getattr(value, "id", None), getattr(value, "ts", 0.0)
            if reserved(observed) and not described.takes_subjects:
                raise Malformed(
                    RESERVED_NAME,
                    f"{topic}: {described.identity_field} begins with `project:` or `$`; expected the identity of a "
                    "person or actor",
                )
            appended = when / 1000 if when >= 0 else None
            if not sealed and appended is not None and ts > appended + ahead_s:
                raise Malformed(
                    "future_time",
                    f"{topic}: ts lies {ts - appended:.0f} s after the record's append time; expected at most "
                    f"{ahead_s:g} s",
                )
        except Malformed as error:
            if error.kind == UNSEALED:
                done.tally.unsealed += 1
            self._set_aside_dead(topic, raw, error.kind, str(error), done, sealed)
            return None, None, None
        if watermark is not None:
            done.watermarks[watermark[0]] = watermark[1]
        identity = canonical(observed)
        if named is None and headers:
            named = id_of(headers.get(CE_ID))
        if raw.key != identity.encode() or self._places[identity] != raw.partition:
            self._reroute(topic, raw, headers or {}, identity, named, done, sealed)
            return None, None, None
        token = None
        if named is None:
            named = f"{topic}/{raw.partition}/{raw.offset}"
        elif described.producer_dedup and not (sealed and headers and headers.get(ORIGIN) is not None):
            token = token_of(topic, named, raw.key, content)
        # Trigger(...) takes twice the time, and every record has one.
        return (
            _new(Trigger, (topic, named, identity, value, appended, sealed)),
            headers,
            token if readable else UNREADABLE,
        )

    def _check_foreign(self, described: Topic, own: Headers) -> None:
        """What holds for records that are not ours. Raises Malformed."""
        if described.ours:
            raise Malformed(
                UNSEALED,
                f"{described.name}: no valid {SEAL}, and only workers and connectors write this topic",
            )
        if own and (size := headers_bytes(own)) > self.sizes.headers:
            raise Malformed(
                "headers_too_large",
                f"{described.name}: {len(own)} headers of {size} bytes together; expected at most {self.sizes.headers}",
            )

    def _is_sealed(self, topic: str, raw: SourceRecord) -> bool:
        headers = dict(raw.headers)
        return SEAL in headers and self.seals.valid(topic, raw, headers)

    def _set_aside_dead(
        self, topic: str, raw: SourceRecord, kind: str, message: str, done: Processed[Any], sealed: bool
    ) -> None:
        done.tally.dead += 1
        if self.catalogue[topic].owner == self.agent.name:
            done.rejected_or_rerouted.append(self._dead_letter(topic, raw, kind, message, sealed))

    def _reroute(
        self,
        topic: str,
        raw: SourceRecord,
        headers: Mapping[str, bytes | None],
        identity: str,
        named: str | None,
        done: Processed[Any],
        sealed: bool,
    ) -> None:
        if headers.get(REKEYED_FROM) is not None:
            message = (
                f"{topic}: key of {len(raw.key or b'')} bytes on partition {raw.partition} does not fit the record's "
                f"identity (partition {partition_of(identity, self.partitions)}), though it was forwarded once already"
            )
            self._set_aside_dead(topic, raw, "misfit", message, done, sealed)
            return
        done.tally.rekeyed += 1
        if self.catalogue[topic].owner != self.agent.name:
            return
        gone = _FORWARDED if sealed else ()
        own = [
            (name, content)
            for name, content in raw.headers
            if name != CE_ID and name not in gone and (sealed or not name.startswith(OURS))
        ]
        first = f"{topic}/{raw.partition}/{raw.offset}"
        key, place, ce_id = identity.encode(), partition_of(identity, self.partitions), (named or first).encode()
        own += [(CE_ID, ce_id), (REKEYED_FROM, first.encode())]
        own.append((SEAL, self.seals.seal(topic, place, key, raw.value, ce_id, None, first.encode())))
        done.rejected_or_rerouted.append(OutputRecord(topic, place, key, raw.value, tuple(own), False))

    def _dead_letter(self, topic: str, raw: SourceRecord, kind: str, message: str, sealed: bool) -> OutputRecord:
        return dead_letter(
            self.agent.name, topic, raw, kind, message, seals=self.seals, sealed=sealed, sizes=self.sizes
        )


def _place_of(error: Exception) -> str:
    """Where an exception was raised, as `module:line`: it is enough to find the fault, and nothing of the record."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "unknown" if trace is None else f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
