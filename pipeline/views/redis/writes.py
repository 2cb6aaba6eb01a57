"""One record of a projected topic -> guarded writes. Pure."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import orjson

from endocrine.pipeline.core import records as wire
from endocrine.pipeline.core.catalogue import CATALOGUE, Topic
from endocrine.pipeline.core.decode import Malformed, decode
from endocrine.pipeline.views.redis import keys
from endocrine.schemas.bonds import BondEvent

TOPICS = ("bonds", "bond-events", "attribution-states", "style-tables")
"""Topics that are projected, without prefix."""
_EVENT_FIELDS = [name for name in BondEvent.model_fields if name != "identity"]
"""The form that dashboards know, rules 6; the identity is in the key."""


class Write(NamedTuple):
    """One guarded write; see script.py for the verbs."""

    verb: str
    key: str
    mark: str
    offset: int
    ordinal: int = 0
    field: str = ""
    value: bytes = b""


def writes_of(
    topic: str,
    source: str,
    records: Iterable[wire.SourceRecord],
    max_bytes: int,
    skip: Callable[[wire.SourceRecord, Malformed], None],
) -> list[Write]:
    """What these records of one partition come to, in order; of several writes to one place the last alone.

    topic: without prefix. source: `topic/partition` with the prefix, which marks are under: a new prefix counts its
    offsets from 0. max_bytes: a longer value is not read. skip: called with each record that cannot be projected.
    """
    make = _MAKERS[topic]
    events: list[Write] = []
    latest: dict[tuple[str, str], Write] = {}
    for record in records:
        try:
            identity, key, value = _read(CATALOGUE[topic], record, max_bytes)
            for write in make(identity, key, value, source, record):
                if write.verb == "push":
                    events.append(write)
                else:
                    latest[write.key, write.field] = write
        except Malformed as malformed:
            skip(record, malformed)
    return [*events, *latest.values()]


def _read(topic: Topic, record: wire.SourceRecord, max_bytes: int) -> tuple[str, str, dict[str, Any] | None]:
    """Identity, record key, and the JSON object as it was sent; None for a tombstone."""
    try:
        key = (record.key or b"").decode()
    except UnicodeDecodeError:
        raise Malformed("key", f"{topic.name}: the key is not UTF-8") from None
    if record.value is None:
        if not key:
            raise Malformed("key", f"{topic.name}: a tombstone without a key")
        # A primitive holds no slash, an identity may.
        return (key.rpartition("/")[0] if topic.key == "identity/primitive" else key), key, None
    decode(topic, record.value, max_bytes)
    value: dict[str, Any] = orjson.loads(record.value)
    identity = str(value[topic.identity_field])
    expected = topic.key_of(identity, value)
    if key != expected:
        raise Malformed("key", f"{topic.name}: key {key!r}; expected {expected!r}, as its value says")
    return identity, key, value


def _bond(user: str, _: str, value: Any, source: str, record: wire.SourceRecord) -> list[Write]:
    if user.startswith(keys.EVENTS_PREFIX):
        # Its entry would lie on the key of another user's events.
        raise Malformed(
            "identity", f"bonds: user_id {user!r} starts with {keys.EVENTS_PREFIX!r}, which key names forbid"
        )
    if record.value is None:
        return [
            Write("del", keys.bond(user), source, record.offset),
            Write("del", keys.bond_events(user), source, record.offset),
        ]
    return [Write("set", keys.bond(user), source, record.offset, value=record.value)]


def _bond_event(user: str, _: str, value: Any, source: str, record: wire.SourceRecord) -> list[Write]:
    if record.value is None:
        raise Malformed("empty", "bond-events: no value")
    mark, offset, ordinal = _origin(source, record)
    event = orjson.dumps({name: value[name] for name in _EVENT_FIELDS})
    return [Write("push", keys.bond_events(user), mark, offset, ordinal, value=event)]


def _origin(source: str, record: wire.SourceRecord) -> tuple[str, int, int]:
    """Mark, offset and ordinal of a derived record: those of its trigger, which copies of it share.

    They rise within one agent, topic and partition. A record without the header stands for itself.
    """
    header = (dict(record.headers).get(wire.ORIGIN) or b"").decode("utf-8", "replace")
    place, _, tail = header.rpartition("/")
    place, _, offset = place.rpartition("/")
    if place and offset.isdecimal() and tail.isdecimal():
        return f"{source}<{place}", int(offset), int(tail)
    return source, record.offset, 0


def _attribution(identity: str, key: str, value: Any, source: str, record: wire.SourceRecord) -> list[Write]:
    primitive = key[len(identity) + 1 :]
    verb = "hdel" if record.value is None else "hset"
    # Primitives change apart from each other, so each has its own mark.
    mark = f"{source}#{primitive}"
    return [Write(verb, keys.attribution(identity), mark, record.offset, 0, primitive, record.value or b"")]


def _style(identity: str, _: str, value: Any, source: str, record: wire.SourceRecord) -> list[Write]:
    verb = "del" if record.value is None else "set"
    return [Write(verb, keys.style(identity), source, record.offset, value=record.value or b"")]


_Maker = Callable[[str, str, Any, str, wire.SourceRecord], list[Write]]
_MAKERS: dict[str, _Maker] = {
    "bonds": _bond,
    "bond-events": _bond_event,
    "attribution-states": _attribution,
    "style-tables": _style,
}
