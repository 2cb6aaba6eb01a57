"""A small history: chained audits and journal records, as lists of raw records."""

import hashlib
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from endocrine.pipeline.core.hash_chain import Chains
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.replay.audit_chain import verify
from endocrine.pipeline.replay.audit_chain.checkpoint import Book, sign
from endocrine.pipeline.replay.audit_chain.keys import key_id
from endocrine.pipeline.replay.audit_chain.verify import Verification

D = "0" * 64


class World:
    """Logs of `audits` and `journal`, one partition, and a signer."""

    def __init__(self) -> None:
        self.logs: dict[str, list[Fetched]] = {"audits": [], "journal": []}
        self.chains = Chains(None)
        self.last: dict[str, tuple[int, str]] = {}
        self.private = Ed25519PrivateKey.generate()
        self.keys = {key_id(self.private.public_key()): self.private.public_key()}
        self.signed: list[dict[str, Any]] = []

    def append(self, topic: str, key: str, value: bytes, name: str, offset: int | None = None) -> None:
        log = self.logs[topic]
        at = (log[-1].offset + 1 if log else 0) if offset is None else offset
        log.append(Fetched(0, at, 1000 + at, key.encode(), value, (("ce_id", name.encode()),)))

    def audit(self, count: int = 1) -> None:
        for _ in range(count):
            n = len(self.logs["audits"])
            record = self.chains.linked("audits", {"identity": "ann", "audit_id": f"a{n}", "ts": n / 4})
            self.append("audits", record["identity"], orjson.dumps(record), f"audit/a{n}/0")

    def batch(self, agent: str = "gating", count: int = 1) -> None:
        for _ in range(count):
            number, previous = self.last.get(agent, (0, None))
            entry = {
                "agent": agent, "partition": 0, "batch": number + 1, "runs": [["signals", number, 1]], "inputs": D,
                "previous": previous, "policy": D, "version": "1", "claim": 0,
            }  # fmt: skip
            value = orjson.dumps(entry)
            self.last[agent] = number + 1, hashlib.sha256(value).hexdigest()
            self.append("journal", f"{agent}/0", value, f"journal/{agent}/0/{number + 1}")

    def again(self, topic: str, first: int, end: int) -> None:
        """Speak some records once more."""
        for raw in self.logs[topic][first:end]:
            log = self.logs[topic]
            log.append(raw._replace(offset=log[-1].offset + 1, timestamp=2000))

    def change(self, topic: str, place: int, value: bytes) -> None:
        self.logs[topic][place] = self.logs[topic][place]._replace(value=value)

    def checkpoint(self) -> dict[str, Any]:
        from endocrine.pipeline.replay.audit_chain.broker import _ends

        seen = Verification({})
        for topic, log in self.logs.items():
            for raw in log:
                seen.feed(topic, raw)
        seen.finish(self.ends())
        last = self.signed[-1] if self.signed else None
        self.signed.append(sign(self.private, last, 5.0, *_ends(seen, last)))
        return self.signed[-1]

    def ends(self) -> dict[tuple[str, int], int]:
        return {(topic, 0): log[-1].offset + 1 if log else 0 for topic, log in self.logs.items()}

    def book(self, *, keyed: bool = True) -> Book:
        book = Book(self.keys if keyed else {})
        for offset, record in enumerate(self.signed):
            book.add(orjson.dumps(record), "checkpoints", 0, offset)
        return book

    def verify(self, book: Book | None = None, ends: dict[tuple[str, int], int] | None = None) -> verify.Report:
        records = [(topic, raw) for topic, log in self.logs.items() for raw in log]
        return verify.of(records, self.book(keyed=bool(self.signed)) if book is None else book, ends or self.ends())


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def full(world: World) -> World:
    """Ten audits, four batches of one agent and three of another, and a checkpoint in between and at the end."""
    world.audit(5)
    world.batch("gating", 2)
    world.batch("bonds", 2)
    world.checkpoint()
    world.batch("gating", 2)
    world.batch("bonds", 1)
    world.audit(5)
    world.checkpoint()
    return world


@pytest.fixture
def worlds() -> type[World]:
    """Makes more of them."""
    return World
