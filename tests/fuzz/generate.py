"""Batches of hostile records from a seed: good ones of every topic, mutated ones, forged ones. Pure."""

import random
from collections.abc import Sequence
from typing import Any

import orjson
from instances import Instances
from mutate import mutations
from shapes import Canaries, Group, Hostile, chunks

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.partitioning import partition_of
from histories import FUNCTIONS, History, Line

SOURCES = tuple(sorted(name for name, topic in CATALOGUE.items() if topic.owner and not topic.ours))
"""Topics that agents read and outsiders may write (architecture, section 5d)."""
OURS = sorted(CATALOGUE.keys() - set(SOURCES))
"""Topics that only we write, or nobody reads."""
_HEAVY = {"large-value": 0.15, "large-key": 0.15, "large-header": 0.15, "bomb": 0.1, "many-headers": 0.3}
"""Of the share that each mutation has: megabytes take their time, wherever they are refused."""
_OWN_BATCH = 200_000
"""Bytes from which a record is sent alone: of a batch that is too large everything is refused."""
_PEOPLE = [*(f"fuzz-{n}" for n in range(40)), "éva", "a/b", "x" * 256, " ", "ann\n", "İ"]
SPECIALS = ("derived", "dead-letters", "again", "conflict", "storm", "marks", "transactions")
"""Kinds that are no mutation of one record."""


def kinds() -> list[str]:
    """Every kind by its name, `good` left out."""
    return [*mutations(), *SPECIALS]


class Crowd(History):
    """Good histories, with canaries wherever content may be."""

    people = _PEOPLE
    open_turns = 20

    def __init__(self, rng: random.Random, canaries: Canaries, ts: float) -> None:
        super().__init__(rng)
        self.canaries, self.ts, self.prefix = canaries, ts, f"{rng.getrandbits(48):012x}-"

    def _line(self, topic: str, value: dict[str, Any]) -> Line:
        return {"topic": topic, "value": {**value, "id": f"{self.prefix}{self.count}", "ts": round(self.ts, 3)}}

    def opened(self) -> Line:
        line = super().opened()
        name = line["value"]["audit_id"]  # of a turn that is opened once more it is ours already
        name = name if name.startswith(self.prefix) else self.prefix + name
        line["value"] |= {"audit_id": name, "prompt": f"{self.canaries.prompt} now?"}
        line["value"]["respond"] = self.rng.random() < 0.15  # some are answered by a provider (`provider.py`)
        self.turns[-1] = (line["value"]["audit_id"], self.turns[-1][1])
        return line

    def card(self) -> Line:
        line = super().card()
        line["value"]["note"] = f"{self.canaries.note} thanks"
        return line

    def call(self) -> Line:
        line = super().call()
        arguments = {"query": f"{self.canaries.argument} river", "api_key": self.canaries.secret}
        odd = [{"query": "a" * 40 + "!"}, {"query": 3, "token": self.canaries.secret}, orjson.dumps(arguments).decode()]
        line["value"] |= {"tool": self.rng.choice(FUNCTIONS), "step": self.rng.randint(1, 3)}
        if self.rng.random() < 0.6:
            line["value"]["arguments"] = self.rng.choice([{"query": arguments["query"]}, arguments, *odd])
        return line

    def good(self) -> Line:
        self.count += 1
        self.ts += 0.02
        return super().good()


class Generator:
    """Batches one after the other. The same seed, canaries and time give the same.

    now: seconds since 1970 from which event times run on. without: kinds left out.
    """

    def __init__(self, seed: int, partitions: int, canaries: Canaries, now: float, without: Sequence[str] = ()) -> None:
        self.rng = random.Random(seed)
        self.partitions = partitions
        self.without = set(without)
        """Kinds left out; may grow while it runs."""
        self._canaries = canaries
        self._crowd = Crowd(self.rng, canaries, now)
        self._instances = Instances(self.rng, self._text)
        self._mutations = mutations()
        self._made: list[Hostile] = []
        self.number = 0

    def batch(self, size: int) -> list[Group]:
        """The next `size` records, in groups."""
        self.number += 1
        style = self._style()
        if style == "storm":
            return self._grouped(
                [self._mutated(self._good(), "not-json").but("storm", expect="dead") for _ in range(size)]
            )
        if style == "marks":
            return self._grouped([self._marking(n) for n in range(size)])
        return self._grouped([self._one() for _ in range(size)])

    def _style(self) -> str:
        if self._on("storm") and self.number % 200 > 170:
            return "storm"  # thirty batches in a row: more malformed ones than any window of a fuse
        return "marks" if self._on("marks") and self.number % 100 in (7, 8, 9, 10) else ""

    def _on(self, kind: str) -> bool:
        return kind not in self.without

    # ---- single records ----

    def _one(self) -> Hostile:
        rng, dice = self.rng, self.rng.random()
        if dice < 0.4:
            record = self._good()
            self._made = [*self._made[-200:], record]
            return record
        if dice < 0.44 and self._on("again") and self._made:
            return rng.choice(self._made).but("again")
        if dice < 0.47 and self._on("conflict") and self._made:
            return self._conflicting(rng.choice(self._made))
        if dice < 0.53 and self._on("derived"):
            return self._instance(rng.choice(OURS), "derived")
        if dice < 0.55 and self._on("dead-letters"):
            record = self._good()
            if CATALOGUE[record.topic].owner:
                return record.but("dead-letters", topic=CATALOGUE[record.topic].dead_letters)
        names = [name for name in self._mutations if self._on(name)]
        if not names:
            return self._good()
        forged = self._on("derived") and rng.random() < 0.25
        record = self._instance(rng.choice(OURS), "derived") if forged else self._good()
        weights = [_HEAVY.get(name, 1.0) for name in names]
        chosen = rng.choices(names, weights, k=rng.choice([1, 1, 1, 2]))
        for name in dict.fromkeys(chosen):
            if record.value is not None and record.value.startswith(b"{") and len(record.value) < 4_000_000:
                record = self._mutated(record, name)
        return record

    def _mutated(self, record: Hostile, name: str) -> Hostile:
        before = record.kind
        try:
            after = self._mutations[name](self.rng, record)
        except (ValueError, TypeError, RecursionError):  # what an earlier mutation left is no JSON, or too deep
            return record
        return after if before in ("good", "derived") else after.but(f"{before}+{name}")

    def _good(self) -> Hostile:
        if self.rng.random() < 0.25:
            return self._instance(self.rng.choice(SOURCES), "good")
        line = self._crowd.good()
        topic, value = line["topic"], line["value"]
        first = value.get("kind") == "opened" and self._crowd.turns[-1][0] == value["audit_id"]
        return self._placed("good", topic, value, "modulated" if first else "")

    def _instance(self, topic: str, kind: str) -> Hostile:
        value = self._instances.of(topic)
        described = CATALOGUE[topic]
        # `$registry` stays: commands to the registry of names are no person's.
        if not str(value.get(described.identity_field, "$")).startswith("$"):
            value[described.identity_field] = self.rng.choice(_PEOPLE)
        if isinstance(value.get("ts"), float | int):
            value["ts"] = round(self._crowd.ts, 3)
        return self._placed(kind, topic, value, "")

    def _placed(self, kind: str, topic: str, value: dict[str, Any], expect: str) -> Hostile:
        described = CATALOGUE[topic]
        identity = value.get(described.identity_field)
        identity = identity if isinstance(identity, str) else self.rng.choice(_PEOPLE)
        key = described.key_of(identity, value)
        headers = [(b"x-note", self._canaries.header.encode())] if self.rng.random() < 0.2 else []
        return Hostile(
            kind, topic, partition_of(identity, self.partitions), key.encode(), orjson.dumps(value), headers, expect
        )

    def _conflicting(self, record: Hostile) -> Hostile:
        value = orjson.loads(record.value or b"{}")
        name = self.rng.choice(
            [name for name in value if name not in ("id", "identity", "call_id", "audit_id")] or ["id"]
        )
        value[name] = {"query": "conflict"} if name == "arguments" else "conflict"
        return record.but("conflict", value=orjson.dumps(value))

    def _marking(self, n: int) -> Hostile:
        value = {**self._crowd.signal()["value"], "identity": _PEOPLE[0]}  # all of them in one partition's marks
        origin = b"%d-%d" % (self.number, n) + b"a" * 60_000 + b"/signals/0/1/0"
        return self._placed("marks", "signals", value, "").but("marks", headers=[(b"endocrine-origin", origin)])

    def _text(self, name: str) -> str:
        c = self._canaries
        texts = {"prompt": c.prompt, "note": c.note, "password": c.secret, "api_key": c.secret, "query": c.argument}
        if name in ("audit_id", "call_id", "request_id") and self._crowd.turns and self.rng.random() < 0.6:
            return self.rng.choice(self._crowd.turns)[0]
        return texts.get(name, f"{name}-{self.rng.randrange(50)}")

    # ---- groups ----

    def _grouped(self, records: Sequence[Hostile]) -> list[Group]:
        alone = [one for one in records if len(one.value or b"") + _size(one) > _OWN_BATCH]
        groups = chunks([one for one in records if len(one.value or b"") + _size(one) <= _OWN_BATCH], self.rng)
        for one in alone:
            bomb = "bomb" in one.kind
            groups.append(Group([one], self.rng.randint(1, 4) if bomb else self.rng.choice([0, 0, 1, 4])))
        if self._on("transactions"):
            groups += self._transactions()
        return groups

    def _transactions(self) -> list[Group]:
        """Records that were never committed, in transactions that are aborted or left open, and some that were."""
        groups = []
        for fate in ("abort", "commit", "open"):
            if self.rng.random() < 0.3:
                who = f"ghost-{self.rng.randrange(10**9)}" if fate != "commit" else self.rng.choice(_PEOPLE)
                while fate == "open" and partition_of(who, self.partitions):
                    who = f"ghost-{self.rng.randrange(10**9)}"  # on partition 0 alone: readers wait where one is open
                value = {**self._crowd.opened()["value"], "identity": who, "audit_id": f"{who}-{self.number}"}
                record = self._placed("transactions", "interactions", value, "ghost" if fate != "commit" else "")
                groups.append(Group([record], 0, fate))
        return groups


def _size(record: Hostile) -> int:
    return len(record.key or b"") + sum(len(name) + len(content or b"") for name, content in record.headers)
