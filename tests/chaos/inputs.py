"""A crowd's inputs: 5,000 identities on every topic that outsiders write, made one after the other from a seed."""

import random
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from endocrine.agents._shared.memories import memory_id
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.simulation import parse_line
from histories import History, Line

_DERIVED = {topic for agent in AGENTS for topic in agent.targets}
SOURCES = sorted({topic for agent in AGENTS for topic in agent.sources} - _DERIVED)
"""Topics that agents read and none of them writes."""
BROKEN = [b"", b"{", b"\xff\xfe\x00", b'{"ts": NaN}', b"[" * 2000, b"null", b"7"]


FITTING: Sequence[tuple[str, dict[str, Any]]] = [
    ("retrieve_knowledge", {"query": "river"}),
    ("retrieve_knowledge", {"query": "tide and moon", "k": 2}),
    ("schedule_task", {"when": "noon", "note": "n"}),
    ("open_url", {"url": "https://example.org"}),
    ("probe_once", {"query": "x"}),
    ("probe_once", {"query": "y"}),
    ("probe_again", {"query": "x"}),
]
"""Calls that the gate allows where the turn may use the tool."""


class Input(NamedTuple):
    """One record to be produced."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Crowd(History):
    """Histories of many people at once: few write much, most write little, turns stay open for a while."""

    open_turns = 60

    def __init__(
        self, rng: random.Random, people: int, partitions: int, *, who: str = "person", first: int = 0
    ) -> None:
        """who: beginning of their names; first: number of the first input. No two crowds of a run share one."""
        super().__init__(rng)
        self.partitions = partitions
        self.people = [f"{who}-{n}" for n in range(people - 1)] + ["éva"]
        self.count = first
        self._new = 0
        self._memories: list[tuple[str, str]] = []
        """Subject and id of those that operators made."""

    def _who(self) -> str:
        if self._new < len(self.people):  # each of them at least once
            self._new += 1
            return self.people[self._new - 1]
        if self.rng.random() < 0.3:
            # Not fewer: a retry that was re-keyed late must not lie 32 records of one identity behind the first try.
            return self.people[self.rng.randrange(300)]
        return super()._who()

    def reply(self) -> Line:
        """What a language model answered."""
        name, who = self._turn()
        value: dict[str, Any] = {"request_id": f"request-{self.count}", "audit_id": name, "identity": who}
        reply = {
            "step": 1,
            "status": "ok",
            "content": "This.",
            "tool_calls": [],
            "finish_reason": "stop",
            "usage": None,
        }
        return self._line("model-replies", {**value, **reply, "model": "m", "latency_ms": 812.5, "error": None})

    def late_advice(self) -> Line:
        """What a door says where a turn's parameters came too late."""
        name, who = self._turn()
        given = {"within_ms": 2000, "mode": "strict", "policy": "0" * 64}
        return self._line("late-advice", {"audit_id": name, "identity": who, **given})

    def slotted(self) -> Line:
        """A tool's fact, an operator's memory or an opinion of one: few slots and values, so that they disagree."""
        if self._memories and self.rng.random() < 0.25:
            whose, made = self.rng.choice(self._memories[-self.open_turns :])
            held = {"opinion": self.rng.choice(["for", "against"]), "confidence": self.rng.choice([0.25, 0.5, 1.0])}
            return self._line("opinions", {"subject": whose, "memory_id": made, "by": self._who(), **held})
        who, slot, value = self._who(), self.rng.choice(["pad", "finish"]), self.rng.choice(["oak", "steel"])
        if self.rng.random() < 0.5:
            report = {"exporter": "cad", "exporter_version": "1", "exported_at": self.ts, "source_artifact": "pad.step"}
            return self._line("facts", {**report, "subject": who, "slot": slot, "value": value})
        self._memories.append((who, memory_id(who, f"in-{self.count}")))
        memory = {"type": "knowledge", "content": f"the {slot} is of {value}", "slot": slot}
        return self._line("commands", {**memory, "kind": "memory_create", "identity": who, "by": "op"})

    def erasure(self) -> Line:
        """The end of a series of somebody's, as an operator's erasure of that person has it."""
        who, primitive = self._who(), self.rng.choice(["motor.input_modality", "motor.pace"])
        about = {"kind": "erase", "erasure_id": f"{self.count:064x}", "agent": "attribution", "of": who, "by": "op"}
        return self._line("erasures", {**about, "identity": who, "key": f"{who}/{primitive}"})

    def call(self) -> Line:
        """More calls than chance would give fit their tool: the connector is to have work."""
        line = super().call()
        if self.rng.random() < 0.6:
            function, arguments = self.rng.choice(FITTING)
            line["value"] |= {"tool": function, "arguments": arguments, "step": self.rng.randint(1, 6)}
        return line

    def next(self) -> Line:
        # Of now: a call that is older than a quarter of an hour when it is appended is stale, and never run.
        self.ts = time.time() - 31.0
        return super().next()

    def good(self) -> Line:
        dice = self.rng.random()
        if dice < 0.03:
            return self.reply()
        if dice < 0.04:
            return self.erasure()
        if dice < 0.045:
            return self.late_advice()
        return self.slotted() if dice < 0.08 else super().good()

    def input(self) -> Input:
        """The next record as bytes, with its place; now and then what no JSON line can say."""
        topic, key, value, headers, _ = parse_line(orjson.dumps(self.next()))
        rng, dice = self.rng, self.rng.random()
        named = None if key is None else key.encode()
        place = rng.randrange(self.partitions) if key is None else partition_of(key, self.partitions)
        content: bytes | None = value
        own = [(name, text.encode()) for name, text in headers.items()]
        if dice < 0.01:
            content = rng.choice(BROKEN)
        elif dice < 0.013 and named is not None:
            content = None
        elif dice < 0.02:
            place = rng.randrange(self.partitions)  # a producer with a partitioner of its own
        elif dice < 0.06:
            trace = f"00-{rng.getrandbits(128):032x}-{rng.getrandbits(64):016x}-01"
            own += [("content-type", b"application/json"), ("traceparent", trace.encode())]
        return Input(topic, place, named, content, own)
