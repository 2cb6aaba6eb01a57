"""What must hold afterwards, read from the topics: nothing accepted is missing, nothing uncommitted is derived, and no
canary is where content must not be."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import orjson
from generate import SOURCES
from shapes import Canaries, described
from wire import Stored
from world import World

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.catalogue import CATALOGUE

_CONTENT = {*SOURCES, "model-requests", "model-replies", "scheduled-tasks", "bonds", "bond-events", "policies"}
"""Topics whose values hold what people wrote: a prompt, a call's arguments, an operator's note."""
_SHOWS_ARGUMENTS = {"audits"}
"""Topics whose values hold summaries of arguments: what is not secret in them is shown."""
Place = tuple[str, int, int]


class Findings:
    """Sentences by kind; of each kind the first are kept, and all counted."""

    KEPT = 20

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.sentences: dict[str, list[str]] = defaultdict(list)

    def add(self, kind: str, sentence: str) -> None:
        """One more."""
        self.counts[kind] += 1
        if len(self.sentences[kind]) < self.KEPT:
            self.sentences[kind].append(sentence)


class Check:
    """One look at all records of a world's topics."""

    def __init__(self, world: World, canaries: Canaries, findings: Findings) -> None:
        self._world, self._findings = world, findings
        self._everywhere = {
            name: getattr(canaries, name).encode() for name in ("prompt", "note", "argument", "secret", "header", "key")
        }
        self._taken = world.producer.ledger.taken
        self._dead: set[Place] = set()
        self._moved: dict[Place, Place] = {}
        self._modulated: set[str] = set()
        self.allowed: set[str] = set()
        """Call ids that the gate allowed."""
        self.figures: Counter[str] = Counter()

    async def run(self, metrics: str) -> None:
        """Read all topics, then judge. metrics: those that the worker served."""
        prefix, partitions = self._world.settings.prefix, self._world.settings.partitions
        dead_letters = [topic.dead_letters for topic in CATALOGUE.values() if topic.owner]
        changelogs = [f"changelog.{agent.name}" for agent in AGENTS]
        for topic in [*CATALOGUE, *dead_letters, *changelogs]:
            ends = await self._world.wire.ends([prefix + topic], partitions)
            for (_, n), end in ends.items():
                async for stored in self._world.wire.read(prefix + topic, n, end):
                    self._see(topic, n, stored)
        self._judge()
        for name, text in {**self._world.logs(), "metrics": metrics}.items():
            self._text(name, text)

    # ---- what is there ----

    def _see(self, topic: str, partition: int, stored: Stored) -> None:
        if (topic, partition, stored.offset) in self._taken:
            return  # a stranger's own
        self.figures["records of ours"] += 1
        where = f"{topic}/{partition} at offset {stored.offset}"
        headers = dict(stored.headers)
        if topic.endswith(".dlq"):
            self.figures["dead letters"] += 1
            self._note_dead(headers)
        elif (moved := headers.get(b"endocrine-rekeyed-from")) is not None and topic in SOURCES:
            self.figures["forwarded"] += 1
            self._moved[topic, partition, stored.offset] = _place(moved)
        elif topic == "modulations":
            self._modulated.add(str(_field(stored.value, "audit_id")))
        elif topic == "tool-decisions" and _field(stored.value, "decision") == "allowed":
            self.allowed.add(str(_field(stored.value, "call_id")))
        if (stored.key or b"").startswith(b"ghost-"):
            self._findings.add("decided on what was never committed", f"{where} is about {stored.key!r}")
        self._leaks(topic, where, stored)

    def _note_dead(self, headers: dict[bytes, bytes | None]) -> None:
        origin = headers.get(b"endocrine-origin") or b""
        self._dead.add(_place(origin.rpartition(b"/")[0].partition(b"/")[2]))
        self.figures[f"dead: {(headers.get(b'endocrine-error-kind') or b'?').decode('utf-8', 'replace')[:40]}"] += 1

    def _leaks(self, topic: str, where: str, stored: Stored) -> None:
        ours = not topic.endswith(".dlq") and topic not in SOURCES
        for name, content in stored.headers:
            if ours or name.startswith(b"endocrine-"):
                for canary in self._found(content):
                    self._findings.add(
                        "canary in a header", f"{canary} in header {name!r} of {where}: {(content or b'')[:160]!r}"
                    )
        content = topic.startswith("changelog.") or topic.endswith(".dlq") or topic in _CONTENT
        for canary in self._found(stored.value):
            # A provider's key was in the environment alone: no topic may hold it.
            if canary == "key" or not (content or (canary == "argument" and topic in _SHOWS_ARGUMENTS)):
                self._findings.add("canary in a value", f"{canary} in the value of {where}")

    def _text(self, name: str, text: str) -> None:
        for line in text.splitlines():
            for canary in self._found(line.encode()):
                self._findings.add("canary in a log", f"{canary} in {name}: {line[:200]}")

    def _found(self, content: bytes | None) -> Iterator[str]:
        if content is not None and b"canary" in content:
            yield from (name for name, canary in self._everywhere.items() if canary in content)

    # ---- what must be there ----

    def _judge(self) -> None:
        moved_to = {first: copy for copy, first in self._moved.items()}
        for place, record in self._taken.items():
            topic = CATALOGUE.get(record.topic)
            dead = place in self._dead or moved_to.get(place) in self._dead
            if record.expect == "dead" and topic is not None and topic.owner and not dead:
                self._findings.add(
                    "missing", f"no dead letter for {record.topic}/{place[1]} at offset {place[2]}, {described(record)}"
                )
            if record.expect == "modulated" and not dead:
                audit_id = str(_field(record.value, "audit_id"))
                if audit_id not in self._modulated:
                    self._findings.add(
                        "missing",
                        f"turn {audit_id!r} is neither modulated nor a dead letter: {place}, {described(record)}",
                    )


def _place(text: bytes) -> Place:
    """`topic/partition/offset`; no place where it is not."""
    try:
        topic, partition, offset = text.decode().rsplit("/", 2)
        return topic, int(partition), int(offset)
    except ValueError:
        return "", -1, -1


def _field(value: bytes | None, name: str) -> Any:
    try:
        found = orjson.loads(value or b"null")
    except ValueError:
        return None
    return found.get(name) if isinstance(found, dict) else None
