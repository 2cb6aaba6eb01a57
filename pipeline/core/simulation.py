"""The same agents with no broker: JSON lines in, derived records out (architecture, section 5c).

Each line is applied in order, by every agent that reads its topic; what they say is fed back at once, breadth first.
"""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from endocrine.agents.contract import Agent
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.dead_letter_topics import dead_letters_of, holds_dead_letters
from endocrine.pipeline.core.decode import Malformed, decode
from endocrine.pipeline.core.hash_chain import CHAIN_KEY
from endocrine.pipeline.core.partitioning import canonical, partition_of
from endocrine.pipeline.core.records import CE_ID, ERROR, ERROR_KIND, ORIGIN, REKEYED_FROM, SEAL, Fetched, OutputRecord
from endocrine.pipeline.core.seals import Seals, simulated_seals
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.core.watermarks import Watermarks

PARTITION = 0
CONNECTED = frozenset(("tool-results",))
"""Topics that outsiders may write, and that our connectors write as well."""
NO_TIME = -1
"""Append time, in milliseconds, of what no broker took."""
LATEST_S = 253402300799.0
"""The end of the year 9999, seconds since 1970."""


@dataclass
class _AgentState:
    """One agent's engine and its states."""

    engine: Engine
    states: dict[tuple[int, str], bytes] = field(default_factory=dict)
    """By the partition that the record would lie on, and the key."""
    chains: dict[int, bytes] = field(default_factory=dict)
    """By partition."""
    watermarks: Watermarks = field(default_factory=dict)
    batch: int = 0

    def stored(self, place: int) -> Callable[[str], bytes | None]:
        """Return the state under a key, for a record of this partition."""
        return lambda key: self.chains.get(place) if key == CHAIN_KEY else self.states.get((place, key))


class Derived(tuple[str, str | None, bytes | str | None, Mapping[str, str | None]]):
    """topic, key, value (JSON bytes; text where it is not JSON), headers."""

    __slots__ = ()

    @property
    def dead(self) -> bool:
        """True for a dead letter."""
        return holds_dead_letters(self[0])

    def line(self) -> bytes:
        """Return the record as one JSON line, without the newline."""
        topic, key, value, headers = self
        shown = orjson.Fragment(value) if isinstance(value, bytes) else value
        return orjson.dumps({"topic": topic, "key": key, "value": shown, "headers": headers})


class BadLine(Exception):
    """A line that is no record at all. topic: what it named, if that much could be read."""

    def __init__(self, topic: str, message: str) -> None:
        super().__init__(message)
        self.topic = topic


def parse_line(text: bytes) -> tuple[str, str | None, bytes, dict[str, str], int]:
    """Return topic, key, value as bytes, headers and append time (milliseconds, NO_TIME where it names none) of a line.

    Raises BadLine.
    """
    loads: Any = orjson.loads
    try:
        line = loads(text)
    except orjson.JSONDecodeError as error:
        loads = json.loads  # NaN is no JSON, but the record deserves to hear which of its fields holds one
        try:
            line = loads(text)
        except (ValueError, RecursionError):
            raise BadLine("input", f"not JSON: {error}; expected one object with topic and value") from None
    if not isinstance(line, dict) or not isinstance(line.get("topic"), str):
        raise BadLine("input", 'expected an object like {"topic": "signals", "value": {...}}')
    topic = line["topic"]
    if topic not in CATALOGUE:
        raise BadLine(topic, f"unknown topic {topic!r}; expected one of {', '.join(CATALOGUE)}")
    unknown = set(line) - {"topic", "key", "value", "headers", "timestamp"}
    if unknown or "value" not in line:
        problem = f"unknown fields {sorted(unknown)}" if unknown else "no value"
        raise BadLine(topic, f"{problem}; expected topic, value, and optionally key, headers, timestamp")
    key, headers = line.get("key"), line.get("headers") or {}
    when = line.get("timestamp")
    if when is not None and (type(when) not in (int, float) or not 0 <= when <= LATEST_S):
        raise BadLine(topic, f"timestamp is {type(when).__name__}; expected seconds since 1970, 0 to {LATEST_S:.0f}")
    if not (key is None or isinstance(key, str)):
        raise BadLine(topic, f"key is {type(key).__name__}; expected a string or null")
    if not (isinstance(headers, dict) and all(isinstance(content, str) for content in headers.values())):
        raise BadLine(topic, "headers must be an object of strings")
    if "key" not in line:
        named = line["value"].get(CATALOGUE[topic].identity_field) if isinstance(line["value"], dict) else None
        key = canonical(named) if isinstance(named, str) and named else None
    value = orjson.dumps(line["value"]) if loads is orjson.loads else json.dumps(line["value"]).encode()
    return topic, key, value, headers, NO_TIME if when is None else round(when * 1000)


class Simulation:
    """All agents in one process on one partition.

    version: code version put on derived records. sizes: what is read at most. partitions: how many hash chains a
    chained topic has, as on a broker with so many of them. seals: under a key that everybody knows, by default.

    Whoever feeds a simulation takes the place of our connectors too: a record of theirs (`CONNECTED`) needs no seal.
    """

    def __init__(
        self,
        agents: Sequence[Agent],
        policy: Policy,
        *,
        version: str,
        sizes: Sizes,
        partitions: int,
        seals: Seals | None = None,
    ) -> None:
        self.policy = policy
        self._partitions = partitions
        self._seals = seals or simulated_seals()
        self._agents = [_AgentState(Engine(agent, 1, version, sizes, self._seals)) for agent in agents]
        self._offsets: Counter[str] = Counter()
        self._appended_ms = NO_TIME
        """Append time of the line that is applied, and of all that it causes."""
        self._sizes = sizes

    def feed(self, text: bytes) -> Iterator[Derived]:
        """Apply one line; yield what arises, in order."""
        try:
            topic, key, value, headers, self._appended_ms = parse_line(text)
        except BadLine as error:
            yield Derived(
                (dead_letters_of(error.topic), None, _text(text), {ERROR: str(error), ERROR_KIND: "bad_line"})
            )
            return
        encoded = tuple((name, content.encode()) for name, content in headers.items())
        yield from self.apply(topic, None if key is None else key.encode(), value, encoded, text)

    def apply(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Any, shown: bytes = b""
    ) -> Iterator[Derived]:
        """Apply one record as it is on a topic; yield what arises, in order. shown: of it, as a dead letter."""
        given = self._append(topic, key, value, self._sealed(topic, key, value, headers))
        waiting = deque([(topic, given, shown, False)])
        while waiting:
            topic, raw, shown, derived = waiting.popleft()
            for out, common in self._apply(topic, raw, derived):
                merged = {name: None if content is None else _text(content) for name, content in (*out.own, *common)}
                content: bytes | str | None = out.value
                if holds_dead_letters(out.topic):
                    content = _text(shown)
                yield_it = out.topic != topic or out.derived
                if yield_it:
                    yield Derived((out.topic, None if out.key is None else _text(out.key), content, merged))
                if not holds_dead_letters(out.topic):
                    again = self._append(out.topic, out.key, out.value, (*out.own, *common))
                    waiting.append((out.topic, again, out.value or b"", out.derived))

    def _sealed(self, topic: str, key: bytes | None, value: bytes | None, headers: Any) -> Any:
        """The headers of a record that comes in, sealed where it takes the place of one of our own and brings no
        seal."""
        own = dict(headers)
        if SEAL in own or not (CATALOGUE[topic].ours or topic in CONNECTED):
            return headers
        parts = (own.get(CE_ID), own.get(ORIGIN), own.get(REKEYED_FROM))
        return (*headers, (SEAL, self._seals.seal(topic, PARTITION, key, value, *parts)))

    def _append(self, topic: str, key: bytes | None, value: bytes | None, headers: Any) -> Fetched:
        offset = self._offsets[topic]
        self._offsets[topic] += 1
        return Fetched(PARTITION, offset, self._appended_ms, key, value, headers)

    def _apply(self, topic: str, raw: Fetched, derived: bool) -> Iterator[tuple[OutputRecord, Any]]:
        """What all agents say to one record. derived: an agent wrote it."""
        for agent in self._agents:
            if topic not in agent.engine.agent.sources:
                continue
            place = partition_of(_text(raw.key or b""), self._partitions)
            done = agent.engine.process(
                [(topic, raw)], self.policy, agent.stored(place), agent.watermarks, partition=PARTITION
            )
            if chains := done.states.pop(CHAIN_KEY, None):
                agent.chains[place] = chains
            agent.batch += 1
            agent.watermarks = done.watermarks
            for key, stored in done.states.items():
                if stored is None:
                    agent.states.pop((place, key), None)
                else:
                    agent.states[place, key] = stored
            common = agent.engine.common_headers(self.policy, PARTITION, agent.batch)
            for out in done.rejected_or_rerouted:
                yield out, ()
            for out in done.outputs:
                yield out, common if out.derived else ()
        if CATALOGUE[topic].owner is None and not derived:
            yield from self._judge_alone(topic, raw)

    def _judge_alone(self, topic: str, raw: Fetched) -> Iterator[tuple[OutputRecord, Any]]:
        """A record of a topic that no agent reads is still held against its model."""
        try:
            decode(CATALOGUE[topic], raw.value, self._sizes.value)
        except Malformed as error:
            own = (*raw.headers, (ERROR, str(error).encode()), (ERROR_KIND, error.kind.encode()))
            yield OutputRecord(CATALOGUE[topic].dead_letters, PARTITION, raw.key, raw.value, own, False), ()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
