"""Seals: a header of ours counts only if it is ours (architecture, section 5d).

Kafka lets whoever may write a topic write any header. So what our workers and connectors write carries
`endocrine-seal`: `<key id>:<32 hexadecimal digits>`, a keyed BLAKE2b-128 over the topic with its prefix, the
partition, the key, the value, and the headers by which copies are recognised (`ce_id`, `endocrine-origin`,
`endocrine-rekeyed-from`). The partition is covered because copies are recognised per partition: a sealed record that
somebody appends again elsewhere must not pass for a new one. A seal is a pure function of the record and the key, so
copies stay byte-identical; it takes about a microsecond.
"""

import hashlib
import hmac
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters
from endocrine.pipeline.core.records import CE_ID, ORIGIN, REKEYED_FROM, SEAL, WAS_SEALED, SourceRecord, stored_value

KEY_BYTES = 32
_SEAL_BYTES = 16
_PERSON = b"endocrine-seal/1"
"""Domain separation (BLAKE2's personalization): the same key used elsewhere gives other digests."""
_DERIVED = b"endocrine-derive"
_sizes = struct.Struct(">6i").pack
_JOINED = 1024
"""Bytes of a value that are copied rather than hashed by a call of their own."""


class Seals(Protocol):
    """What the engine and the connectors need of seals."""

    def seal(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        ce_id: bytes | None,
        origin: bytes | None = None,
        rekeyed_from: bytes | None = None,
    ) -> bytes:
        """Return the content of a record's `endocrine-seal`. topic: without prefix."""
        ...

    def valid(self, topic: str, raw: SourceRecord, headers: Mapping[str, bytes | None]) -> bool:
        """Return whether a record carries a seal of ours. headers: its headers as a mapping, the last of a name
        counting."""
        ...


def covered_topic(topic: str, headers: Mapping[str, bytes | None]) -> str:
    """Return the topic as a seal covers it: of a dead letter, with whether the record that it holds was ours."""
    return f"{topic}/{WAS_SEALED}" if holds_dead_letters(topic) and WAS_SEALED in headers else topic


class SealKey(NamedTuple):
    """One key. id: letters, digits, `-` and `_`; never secret. secret: 32 bytes."""

    id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"SealKey(id={self.id!r})"  # a key is never printed


class KeyedSeals:
    """Seals under keys: the first one seals, every one is accepted, so that keys can be rotated.

    prefix: of the topics. Raises ValueError without a key, or when two keys have one id.
    """

    def __init__(self, keys: Sequence[SealKey], prefix: str) -> None:
        if not keys:
            raise ValueError("no seal key; expected at least one")
        ids = [key.id for key in keys]
        if len(set(ids)) != len(ids):
            raise ValueError(f"two seal keys have the id {max(ids, key=ids.count)!r}; expected ids of their own")
        self._secrets = {key.id.encode(): key.secret for key in keys}
        self._first = keys[0].id.encode()
        self._prefix = prefix
        self._started: dict[tuple[bytes, str], Any] = {}
        """BLAKE2b states that have taken key and topic: copying one is cheaper than beginning anew."""

    def derived_key(self, purpose: bytes) -> bytes:
        """Return 32 bytes for another use, which tell nothing of the keys of seals. purpose: at most 64 bytes."""
        return self._derived(self._first, purpose)

    def signature(self, purpose: bytes, document: bytes) -> str:
        """Return `<key id>:<64 hexadecimal digits>`, by which who has these keys knows a document as theirs."""
        return f"{self._first.decode()}:{self._signed(self._first, purpose, document)}"

    def signed(self, purpose: bytes, document: bytes, signature: str) -> bool:
        """Return whether a signature is one of these keys' on the document, for this purpose."""
        key_id, _, claimed = signature.strip().encode().partition(b":")
        if key_id not in self._secrets:
            return False
        return hmac.compare_digest(self._signed(key_id, purpose, document).encode(), claimed)

    def _signed(self, key_id: bytes, purpose: bytes, document: bytes) -> str:
        return hmac.new(self._derived(key_id, purpose), document, hashlib.sha256).hexdigest()

    def _derived(self, key_id: bytes, purpose: bytes) -> bytes:
        return hashlib.blake2b(purpose, key=self._secrets[key_id], digest_size=32, person=_DERIVED).digest()

    def seal(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        ce_id: bytes | None,
        origin: bytes | None = None,
        rekeyed_from: bytes | None = None,
    ) -> bytes:
        """See Seals."""
        digest = self._digest(self._first, topic, partition, key, value, ce_id, origin, rekeyed_from)
        return b"%b:%b" % (self._first, digest)

    def valid(self, topic: str, raw: SourceRecord, headers: Mapping[str, bytes | None]) -> bool:
        """See Seals."""
        key_id, _, claimed = (headers.get(SEAL) or b"").partition(b":")
        if key_id not in self._secrets:
            return False
        get = headers.get
        made = self._digest(
            key_id,
            covered_topic(topic, headers),
            raw.partition,
            raw.key,
            stored_value(raw),
            get(CE_ID),
            get(ORIGIN),
            get(REKEYED_FROM),
        )
        return hmac.compare_digest(made, claimed)

    def knows(self, seal: bytes | None) -> bool:
        """Return whether a seal names one of these keys."""
        return (seal or b"").partition(b":")[0] in self._secrets

    def _digest(
        self,
        key_id: bytes,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        ce_id: bytes | None,
        origin: bytes | None,
        rekeyed_from: bytes | None,
    ) -> bytes:
        started = self._started.get((key_id, topic))
        if started is None:
            secret = self._secrets[key_id]
            started = hashlib.blake2b(key=secret, digest_size=_SEAL_BYTES, person=_PERSON)
            name = (self._prefix + topic).encode()
            started.update(struct.pack(">I", len(name)) + name)
            self._started[key_id, topic] = started
        mac = started.copy()
        # Each part after its length, -1 for null: no two different records give the same bytes.
        sizes = _sizes(
            partition,
            -1 if key is None else len(key),
            -1 if value is None else len(value),
            -1 if ce_id is None else len(ce_id),
            -1 if origin is None else len(origin),
            -1 if rekeyed_from is None else len(rekeyed_from),
        )
        covered = b"%b%b%b%b%b" % (sizes, key or b"", ce_id or b"", origin or b"", rekeyed_from or b"")
        if value is None or len(value) <= _JOINED:
            mac.update(covered + (value or b""))
        else:
            mac.update(covered)
            mac.update(value)
        return mac.hexdigest().encode()


SIMULATED = b"endocrine: no secret, simulated".ljust(KEY_BYTES, b".")
"""The key of `simulated_seals`."""


def simulated_seals(prefix: str = "endocrine.") -> KeyedSeals:
    """Return seals under a key that everybody knows: for `simulate`, tests and benchmarks, where nobody is a
    stranger."""
    return KeyedSeals([SealKey("simulated", SIMULATED)], prefix)
