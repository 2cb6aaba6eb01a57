"""Checkpoints: making one, and judging those that are there."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError

from endocrine.agents.canonical import canonical_json
from endocrine.pipeline.replay.audit_chain.keys import key_id, signed_by
from endocrine.pipeline.replay.audit_chain.links import Break, Chain
from endocrine.pipeline.replay.audit_chain.walk import Pin
from endocrine.schemas.checkpoints import Checkpoint

TOPIC = "checkpoints"


def sign(
    private: Ed25519PrivateKey,
    last: Mapping[str, Any] | None,
    ts: float,
    audits: Iterable[Mapping[str, Any]],
    journal: Iterable[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the checkpoint that follows `last`, this key's last one. ts: seconds since 1970, the signer's clock."""
    record: dict[str, Any] = {
        "key_id": key_id(private.public_key()),
        "number": last["number"] + 1 if last else 1,
        "previous": digest(last) if last else None,
        "ts": ts,
        "audits": [dict(end) for end in audits],
        "journal": [dict(end) for end in journal],
    }
    record["signature"] = private.sign(canonical_json(record)).hex()
    return record


def digest(record: Mapping[str, Any]) -> str:
    """Return what the next checkpoint names this one by: SHA-256 of its canonical JSON, signature included."""
    return hashlib.sha256(canonical_json(dict(record))).hexdigest()


def is_signed(record: Mapping[str, Any], public: Ed25519PublicKey) -> bool:
    """Return whether the signature of a valid record holds."""
    message = canonical_json({name: value for name, value in record.items() if name != "signature"})
    return signed_by(public, bytes.fromhex(record["signature"]), message)


def pins_of(records: Iterable[Mapping[str, Any]]) -> dict[Chain, list[Pin]]:
    """Return what checkpoints say, by chain."""
    pins: dict[Chain, list[Pin]] = {}
    for record in records:
        named = f"{record['key_id']}/{record['number']}"
        for end in record["audits"]:
            pin = Pin(named, end["offset"], end["hash"], end["count"])
            pins.setdefault(("audits", end["partition"], ""), []).append(pin)
        for end in record["journal"]:
            pin = Pin(named, end["offset"], end["digest"], end["batch"])
            pins.setdefault(("journal", end["partition"], end["agent"]), []).append(pin)
    return pins


@dataclass
class Book:
    """Checkpoints as they are read, from the topic or from files; judged one by one, then as chains, one for each key.

    keys: public keys by id; empty: no signature is checked, and every checkpoint counts.
    """

    keys: Mapping[str, Ed25519PublicKey]
    findings: list[Break] = field(default_factory=list)
    good: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    """Those that count, by key id and number."""
    signed: int = 0
    """How many of them bear a signature that was checked."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Checkpoints of keys that were not given, by key id: they count for nothing."""
    _places: dict[tuple[str, int], tuple[str, int, int | None]] = field(default_factory=dict)

    def add(self, value: bytes, source: str, partition: int, offset: int | None, timestamp: int = 0) -> None:
        """Add one checkpoint. source: `checkpoints`, or a file's name with the line as offset."""

        def finding(name: str | None, detail: str, expected: str, found: str) -> None:
            self.findings.append(Break(source, partition, offset, name, detail, expected, found, timestamp))

        try:
            record = orjson.loads(value)
            Checkpoint.model_validate(record)
        except (orjson.JSONDecodeError, ValidationError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            return finding(None, "is no checkpoint", "a valid one", reason)
        named = f"{record['key_id']}/{record['number']}"
        place = record["key_id"], record["number"]
        if self.keys and record["key_id"] not in self.keys:
            self.unknown[record["key_id"]] = self.unknown.get(record["key_id"], 0) + 1
            return None
        if self.keys:
            if not is_signed(record, self.keys[record["key_id"]]):
                return finding(named, "its signature does not hold", f"one of key {record['key_id']}", "another")
            self.signed += place not in self.good
        if place in self.good:
            if self.good[place] != record:
                detail = "two checkpoints of one key have this number (two signers, or the key was stolen)"
                return finding(named, detail, digest(self.good[place]), digest(record))
            return None
        self.good[place] = record
        self._places[place] = (source, partition, offset)
        return None

    def chained(self) -> None:
        """Look for gaps in each key's own chain. After the last `add`."""
        last: tuple[str, int] | None = None
        for place in sorted(self.good):
            record = self.good[place]
            named = f"{place[0]}/{place[1]}"
            follows = last is not None and last[0] == place[0]
            source, partition, offset = self._places[place]
            if follows and last is not None:
                if place[1] != last[1] + 1:
                    detail = "checkpoints before it are missing"
                    self._gap(source, partition, offset, named, detail, f"number {last[1] + 1}", str(place[1]))
                elif record["previous"] != digest(self.good[last]):
                    detail = "does not name the checkpoint before it"
                    self._gap(
                        source, partition, offset, named, detail, digest(self.good[last]), str(record["previous"])
                    )
            elif place[1] != 1:
                detail = "is the first of its key that is here, and not the first that was signed"
                self._gap(source, partition, offset, named, detail, "number 1", str(place[1]))
            last = place

    def last_of(self, key: str) -> dict[str, Any] | None:
        """Return the newest checkpoint of a key."""
        numbers = [number for owner, number in self.good if owner == key]
        return self.good[key, max(numbers)] if numbers else None

    def _gap(self, *detail: Any) -> None:
        self.findings.append(Break(*detail))
