"""Content as it lies on topics where `content_encryption` is on: encrypted under a key of whose words they are. Pure.

All fields of content of a record are one string in its field `encrypted`: `<key ids>:<base64>`, AES-SIV over their JSON
with the topic and the record's other fields as associated data. Each is blank in its own place, so that the record is
still one of its model. The same content in the same record gives the same bytes: a successor and replay write them
again. Content that is of several is encrypted under the key of each in turn, and goes with the first that is destroyed.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Protocol

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from endocrine.agents._shared.subjects import is_project
from endocrine.pipeline.core.content import ENCRYPTED, PARTS
from endocrine.pipeline.core.records import OutputRecord

FIELD = "encrypted"
_MARK = b'"encrypted":"'
_AND = "+"
_MOST_IDS = 17 * 64
"""Characters of ids that are looked at: no record of ours names more."""
_MEMORY = re.compile(r"m-[0-9a-f]{24}")
BLANK = "encrypted"
"""In the place of a text."""
_LINKS = frozenset(("previous", "hash", FIELD))
"""Fields that are not covered: a chain's come after what it links."""


class Keys(Protocol):
    """Where keys come from (core.content_keys.KeyTable)."""

    @property
    def encrypts(self) -> bool:
        """Whether content is written encrypted; what is encrypted is read all the same."""
        ...

    def find(self, key_id: str) -> bytes:
        """Return a key. Raises KeyUnknown, and KeyDestroyed."""
        ...

    def writing(self, subject: str) -> tuple[str, bytes]:
        """Return id and key to encrypt a subject's content with. Raises KeyDestroyed where that cannot be had."""
        ...

    def unsaved(self, key_ids: Iterable[str]) -> list[OutputRecord]:
        """Return records of keys that must be on their topic before what these keys encrypt is produced."""
        ...

    def saved(self, records: Iterable[OutputRecord]) -> None:
        """Take note of what the broker has."""
        ...


def closed(topic: str, subject: str, value: Mapping[str, Any], keys: Keys) -> tuple[Mapping[str, Any], list[str]]:
    """Return a record of a subject with its content encrypted, and the ids of the keys; as it is where it has none.

    Raises KeyDestroyed, as `Keys.writing` does.
    """
    rest, content = _apart(topic, value)
    if not content:
        return value, []
    written = [keys.writing(one) for one in whose(subject, value)]
    covered, text = _covered(topic, rest), orjson.dumps(content)
    for _, secret in written:
        text = _cipher(secret).encrypt(text, covered)
    key_ids = [key_id for key_id, _ in written]
    return {**rest, FIELD: f"{_AND.join(key_ids)}:{base64.b64encode(text).decode()}"}, key_ids


def in_clear(topic: str, value: bytes) -> bool:
    """Return whether a record's bytes hold content of their topic in clear, as far as they are one JSON object."""
    try:
        record = orjson.loads(value)
    except orjson.JSONDecodeError:
        return topic in ENCRYPTED
    return isinstance(record, dict) and FIELD not in record and bool(_apart(topic, record)[1])


def key_ids_in(value: bytes | None) -> list[str]:
    """Return the ids of the keys that a record's bytes name, if any. They may be a stranger's text."""
    if value is None or (at := value.rfind(_MARK)) < 0:
        return []
    begin = at + len(_MARK)
    return value[begin : value.find(b":", begin)][:_MOST_IDS].decode("ascii", "replace").split(_AND)


def opened(topic: str, value: bytes, keys: Keys) -> bytes:
    """Return a record's bytes with its content in clear; as they are where nothing of them is encrypted by a key of
    ours. Raises KeyUnknown, and KeyDestroyed."""
    if _MARK not in value or topic not in ENCRYPTED:
        return value
    taken = _taken(value)
    if taken is None:
        return value
    key_ids, text, rest = taken
    secrets, covered = [keys.find(key_id) for key_id in key_ids], _covered(topic, rest)
    try:
        for secret in reversed(secrets):
            text = _cipher(secret).decrypt(text, covered)
        content = orjson.loads(text)
    except InvalidTag:
        return value  # somebody changed it: the field that no model has makes a dead letter of it
    return orjson.dumps(_together(topic, rest, content))


def blank(topic: str, value: bytes) -> bytes:
    """Return a record's bytes without the content that is encrypted: what is left once its key is destroyed."""
    if _MARK not in value or topic not in ENCRYPTED or (taken := _taken(value)) is None:
        return value
    return orjson.dumps(taken[2])


def whose(subject: str, value: Mapping[str, Any]) -> list[str]:
    """Return what the keys of a record's content are of: its subject.

    A project outlives who wrote in it. So the words of a turn are its identity's; those of a memory are under a key of
    the memory alone, as an erasure ends memories that are from one identity; and values that are in conflict are under
    the keys of all their memories.
    """
    if not is_project(subject):
        return [subject]
    for named in (value.get("turn_identity"), value.get("identity"), value.get("memory_id")):
        if isinstance(named, str) and named and not is_project(named):
            return [named]
    members = value.get("members")
    ids = {one["id"] for one in members if _MEMORY.fullmatch(one["id"])} if isinstance(members, list) else ()
    return sorted(ids) or [subject]


@lru_cache(maxsize=1024)
def _cipher(secret: bytes) -> AESSIV:
    return AESSIV(secret)


def _covered(topic: str, rest: Mapping[str, Any]) -> list[bytes]:
    plain = {name: part for name, part in rest.items() if name not in _LINKS}
    return [topic.encode(), orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)]


def _taken(value: bytes) -> tuple[list[str], bytes, dict[str, Any]] | None:
    try:
        record = orjson.loads(value)
        text = record.pop(FIELD, None) if isinstance(record, dict) else None
        if not isinstance(text, str):
            return None
        key_ids, _, sealed = text.partition(":")
        return key_ids.split(_AND), base64.b64decode(sealed, validate=True), record
    except (orjson.JSONDecodeError, binascii.Error, ValueError):
        return None


def _blanked(part: Any) -> Any:
    """The same kind of value without content: a stranger to the model it is not."""
    if isinstance(part, str):
        return BLANK
    if isinstance(part, list):
        return []
    return {} if isinstance(part, dict) else None if part is None else type(part)()


def _apart(topic: str, value: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A record with its content blank, and the content, which is empty where there is none."""
    rest, content = dict(value), {}
    for name in ENCRYPTED.get(topic, ()):
        if part := value.get(name):
            content[name] = part
            rest[name] = _blanked(part)
    for name, inner in PARTS.get(topic, {}).items():
        held = value.get(name)
        if isinstance(held, Mapping) and held.get(inner):
            content[name] = held[inner]
            rest[name] = {**held, inner: _blanked(held[inner])}
        elif isinstance(held, list) and any(one.get(inner) for one in held):
            content[name] = [one.get(inner) for one in held]
            rest[name] = [{**one, inner: _blanked(one[inner])} if one.get(inner) else one for one in held]
    return rest, content


def _together(topic: str, rest: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    whole = {**rest, **{name: part for name, part in content.items() if name in ENCRYPTED.get(topic, ())}}
    for name, inner in PARTS.get(topic, {}).items():
        if name in content:
            held = rest[name]
            if isinstance(held, list):
                whole[name] = [
                    {**one, inner: part} if part else one for one, part in zip(held, content[name], strict=True)
                ]
            else:
                whole[name] = {**held, inner: content[name]}
    return whole
