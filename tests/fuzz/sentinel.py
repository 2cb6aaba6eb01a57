"""A sentinel's turn: whoever else writes, an ordinary person's turn and call are answered."""

import asyncio
import itertools
import secrets
import time
from typing import Any

import orjson
from shapes import Hostile
from wire import next_offset_of, records_in
from world import World

from endocrine.pipeline.core.partitioning import partition_of


class Unanswered(Exception):
    """What was not answered, and for how long."""


class Sentinel:
    """Opens turns in a world, one after the other. patience_s: how long each answer may take."""

    def __init__(self, world: World, patience_s: float) -> None:
        self.world = world
        self.slowest_s = 0.0
        self.turns = 0
        self._patience_s = patience_s
        self._at: dict[tuple[str, int], int] = {}

    async def turn(self) -> None:
        """A turn opened, modulated, a call decided (and answered), closed. Raises Unanswered."""
        identity = self._somebody()
        p, name = partition_of(identity, self.world.settings.partitions), f"{identity}-turn"
        turn = {"audit_id": name, "identity": identity}
        opened = {
            "kind": "opened",
            **turn,
            "session_id": "s",
            "turn": 0,
            "client": "sentinel",
            "prompt": "What is the tide?",
        }
        await self._mark(p)
        begun = time.monotonic()
        await self._say("interactions", p, identity, {**opened, "ts": time.time()})
        await self._answer("modulations", p, audit_id=name)
        call = {
            **turn,
            "call_id": f"{name}-call",
            "tool": "retrieve_knowledge",
            "arguments": {"query": "tide"},
            "step": 1,
        }
        await self._say("tool-calls", p, identity, {**call, "ts": time.time()})
        decision = await self._answer("tool-decisions", p, audit_id=name, call_id=call["call_id"])
        if decision["decision"] != "allowed":
            raise Unanswered(f"the sentinel's call was {decision['decision']}: {decision['reason']}")
        if self.world.has_connector:
            await self._answer("tool-results", p, audit_id=name, call_id=call["call_id"])
        self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
        self.turns += 1
        await self._say(
            "interactions", p, identity, {"kind": "closed", **turn, "response": "Twice a day.", "ts": time.time()}
        )

    def _somebody(self) -> str:
        """A new identity, on a partition where no transaction is open: behind one, everybody waits."""
        for n in itertools.count():
            identity = f"sentinel-{secrets.token_hex(8)}-{n}"
            place = partition_of(identity, self.world.settings.partitions)
            if place not in self.world.producer.open and (self.world.producer.open or place == self.turns % 2):
                return identity
        raise AssertionError

    async def _say(self, topic: str, partition: int, identity: str, value: dict[str, Any]) -> None:
        await self.world.producer.say(Hostile("sentinel", topic, partition, identity.encode(), orjson.dumps(value)))

    async def _mark(self, partition: int) -> None:
        """From here on answers are looked for."""
        prefix, topics = self.world.settings.prefix, ("modulations", "tool-decisions", "tool-results")
        ends = await self.world.wire.ends([prefix + topic for topic in topics], self.world.settings.partitions)
        self._at = {place: end for place, end in ends.items() if place[1] == partition}

    async def _answer(self, topic: str, partition: int, **wanted: str) -> dict[str, Any]:
        place = self.world.settings.prefix + topic, partition
        deadline = time.monotonic() + self._patience_s
        while time.monotonic() < deadline:
            data = (await self.world.wire.fetch({place: self._at[place]}, wait_ms=100))[place]
            self._at[place] = next_offset_of(data, self._at[place])
            for stored in records_in(data):
                value = _object(stored.value)
                if all(value.get(name) == content for name, content in wanted.items()):
                    return value
            if deaths := self.world.deaths():
                raise Unanswered("; ".join(deaths))
            if not data:
                await asyncio.sleep(0.02)
        raise Unanswered(f"no record on {topic}/{partition} for a sentinel's turn within {self._patience_s:.0f} s")


def _object(value: bytes | None) -> dict[str, Any]:
    try:
        found = orjson.loads(value or b"null")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
