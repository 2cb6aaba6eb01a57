"""Data keys of subjects, as topic `content-keys` has them: wrapped, or destroyed. Pure but for fresh keys.

A key is one record: its id names it in what it encrypts, its subject is named by a digest. A subject may have several:
each process that writes makes its own where it knows none, so that nobody waits for anybody. A key is produced before
the first record that it encrypts, so whoever has read such a record finds it. That one is destroyed is a record in its
place, with its time, and stays; a key that is nowhere was lost, and nobody takes that for an erasure.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import orjson
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from pydantic import ValidationError

from endocrine.agents.canonical import canonical_json
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import CE_ID, SEAL, OutputRecord
from endocrine.pipeline.core.seals import SealKey, Seals
from endocrine.schemas.proofs import ContentKey

TOPIC = "content-keys"
KEY_BYTES = 64
"""Of a data key: AES-SIV takes two of 256 bits."""
_ID_BYTES = 8


class KeyUnknown(Exception):
    """A key that no record was seen of. id: its own."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"content key {key_id}: no record of it on topic {TOPIC}")
        self.id = key_id


class KeyDestroyed(Exception):
    """A key that was destroyed: what it encrypted is nothing that anybody can read."""


class ContentKeyError(Exception):
    """A key that cannot be unwrapped: the key that wraps it is not among those that were given."""


class DataKey(NamedTuple):
    """A data key. subject: digest of whose it is. secret: None once it is destroyed."""

    id: str
    subject: str
    secret: bytes | None

    def __repr__(self) -> str:
        return f"DataKey(id={self.id!r})"  # a key is never printed


def subject_digest(subject: str) -> str:
    """Return what names a subject beside its keys. Who guesses the name can confirm the guess, as with a claim."""
    return hashlib.sha256(canonical_json(["content-key", subject])).hexdigest()


class KeyTable:
    """The keys that were seen. wrapping: keys that wrap, the first for new ones; seals: of those who may write keys.

    partitions: of the topic. encrypts: whether content is written encrypted, and not read only. fresh: returns random
    bytes.
    """

    def __init__(
        self,
        wrapping: Sequence[SealKey],
        seals: Seals | None,
        partitions: int,
        *,
        encrypts: bool = True,
        fresh: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.encrypts = encrypts
        self._wrapping = {key.id: key.secret for key in wrapping}
        self._first = wrapping[0]
        self._seals, self._partitions, self._fresh = seals, partitions, fresh
        self._keys: dict[str, DataKey] = {}
        self._writing: dict[str, str] = {}
        """The key to write with, by digest of the subject."""
        self._unsaved: dict[str, OutputRecord] = {}
        """Records of keys that were made here, until they are seen on the topic."""
        self._digests: dict[str, str] = {}

    # ---- what is on the topic ----

    def add(self, records: Iterable[Any]) -> None:
        """Take in records of the topic. Raises ContentKeyError."""
        for raw in records:
            if raw.value is None or (self._seals and not self._seals.valid(TOPIC, raw, dict(raw.headers))):
                continue
            try:
                entry = ContentKey.model_validate_json(raw.value)
            except ValidationError:
                continue  # a stranger's, where no seal is checked
            key_id, subject = entry.key_id, entry.subject
            self._unsaved.pop(key_id, None)
            if entry.wrapped is None:
                self._keys[key_id] = DataKey(key_id, subject, None)
                if self._writing.get(subject) == key_id:
                    del self._writing[subject]
            elif key_id not in self._keys:  # a worker that did not know yet may produce it again: destroyed it stays
                self._keys[key_id] = DataKey(key_id, subject, self._unwrapped(entry))
                self._writing.setdefault(subject, key_id)

    def _unwrapped(self, entry: ContentKey) -> bytes:
        secret = self._wrapping.get(entry.wrapped_by or "")
        if secret is None:
            raise ContentKeyError(
                f"content key {entry.key_id} is wrapped by key {entry.wrapped_by!r}, which is not in the file of "
                "content keys; expected every key that ever wrapped one"
            )
        try:
            return aes_key_unwrap(secret, bytes.fromhex(entry.wrapped or ""))
        except (InvalidUnwrap, ValueError):
            raise ContentKeyError(f"content key {entry.key_id} is not what key {entry.wrapped_by!r} wraps") from None

    # ---- what is asked for ----

    def find(self, key_id: str) -> bytes:
        """Return a key. Raises KeyUnknown, and KeyDestroyed."""
        key = self._keys.get(key_id)
        if key is None:
            raise KeyUnknown(key_id)
        if key.secret is None:
            raise KeyDestroyed(key_id)
        return key.secret

    def knows(self, key_id: str) -> bool:
        """Return whether a record of the key was seen, or it was made here."""
        return key_id in self._keys

    def owner(self, key_id: str) -> str | None:
        """Return the digest of the subject whose key it is, destroyed or not."""
        key = self._keys.get(key_id)
        return None if key is None else key.subject

    def writing(self, subject: str) -> tuple[str, bytes]:
        """Return id and key to encrypt a subject's content with; made where there is none."""
        digest = self._digests.get(subject)
        if digest is None:
            if len(self._digests) > 65_536:
                self._digests.clear()
            digest = self._digests[subject] = subject_digest(subject)
        key_id = self._writing.get(digest)
        if key_id is None:
            key_id = self._fresh(_ID_BYTES).hex()
            key = self._keys[key_id] = DataKey(key_id, digest, self._fresh(KEY_BYTES))
            self._writing[digest] = key_id
            assert key.secret is not None
            wrapped = aes_key_wrap(self._first.secret, key.secret)
            self._unsaved[key_id] = self._record(key_id, digest, wrapped.hex(), None)
        return key_id, self._keys[key_id].secret or b""

    def unsaved(self, key_ids: Iterable[str]) -> list[OutputRecord]:
        """Return the records of those of these keys that are not known to be on the topic."""
        return [self._unsaved[key_id] for key_id in key_ids if key_id in self._unsaved]

    def saved(self, records: Iterable[OutputRecord]) -> None:
        """Take note of what the broker has; other records than of keys are passed over."""
        for out in records:
            if out.topic == TOPIC and out.key is not None:
                self._unsaved.pop(out.key.decode(), None)

    def destroying(self, subjects: Iterable[str], ts: float) -> list[OutputRecord]:
        """Return the records that destroy all keys of these subjects that were seen. ts: seconds since 1970."""
        digests = {subject_digest(subject) for subject in subjects}
        return [
            self._record(key.id, key.subject, None, ts)
            for key in self._keys.values()
            if key.subject in digests and key.secret is not None
        ]

    def _record(self, key_id: str, subject: str, wrapped: str | None, destroyed: float | None) -> OutputRecord:
        value = {
            "key_id": key_id,
            "subject": subject,
            "wrapped": wrapped,
            "wrapped_by": None if wrapped is None else self._first.id,
            "destroyed": destroyed,
        }
        key, content = key_id.encode(), orjson.dumps(value)
        place = partition_of(key_id, self._partitions)
        own = [(CE_ID, key), ("content-type", b"application/json")]
        if self._seals is not None:
            own.append((SEAL, self._seals.seal(TOPIC, place, key, content, key)))
        return OutputRecord(TOPIC, place, key, content, tuple(own), False)
