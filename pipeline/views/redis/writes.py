"""One record of a projected topic -> guarded writes. Pure."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import orjson

from endocrine.pipeline.core import records as wire
from endocrine.pipeline.core.catalogue import CATALOGUE, Topic
from endocrine.pipeline.core.decode import Malformed, decode
from endocrine.pipeline.views.redis import keys
from endocrine.pipeline.views.redis.keys import ViewKeys

TOPICS = (
    "bonds", "bond-events", "attribution-states", "style-tables",
    "interactions", "modulations", "audits", "incidents", "tool-analytics", "trusted-states",
    "memories", "conflicts", "identity-links", "tool-decisions",
)  # fmt: skip
"""Topics that are projected, without prefix."""
PROVED = ("modulations", "incidents", "bond-events", "trusted-states", "memories", "conflicts",
          "identity-links", "tool-decisions")  # fmt: skip
"""Of these, the topics of which a record counts only with a valid seal, where the keys are known."""
_EVENT_FIELDS = ("timestamp", "event_type", "detail", "data")
"""The form that dashboards know, rules 6; the identity is in the key."""


class Listing(NamedTuple):
    """A place in a sorted set, given or taken together with a write, where that one is applied."""

    key: str
    member: str
    score: int | None
    """Milliseconds since 1970; None: the member is taken out."""


class Counted(NamedTuple):
    """Tokens that are added to what an identity spent, where the write is applied as the first of its turn."""

    prefix: str
    """Of the keys of the steps."""
    identity: str
    tokens: int
    at: int
    """Seconds since 1970."""


class Write(NamedTuple):
    """One guarded write; see script.py for the verbs."""

    verb: str
    key: str
    mark: str
    offset: int
    ordinal: int = 0
    field: str = ""
    value: bytes = b""
    listing: Listing | None = None
    counted: Counted | None = None


def writes_of(
    topic: str,
    source: str,
    records: Iterable[wire.SourceRecord],
    max_bytes: int,
    skip: Callable[[wire.SourceRecord, Malformed], None],
) -> list[Write]:
    """Return the writes for these records of one partition, in order; of several writes to one place the last alone.

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
                if write.verb in ("push", "list"):
                    events.append(write)
                else:
                    latest[write.key, "" if write.verb == "bond" else write.field] = write
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
        try:
            return topic.identity_in(key), key, None
        except (ValueError, TypeError, LookupError):
            raise Malformed("key", f"{topic.name}: a tombstone whose key names no identity") from None
    decode(topic, record.value, max_bytes)
    value: dict[str, Any] = orjson.loads(record.value)
    identity = str(value["tool" if topic.key == "tool" else topic.identity_field])
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
            Write("unbond", keys.bond(user), source, record.offset),
            Write("del", keys.bond_events(user), source, record.offset),
        ]
    updated_ms = round(value.get("last_updated", 0.0) * 1000)
    return [Write("bond", keys.bond(user), source, record.offset, 0, str(updated_ms), record.value)]


def _bond_event(user: str, _: str, value: Any, source: str, record: wire.SourceRecord) -> list[Write]:
    if record.value is None:
        raise Malformed("empty", "bond-events: no value")
    mark, offset, ordinal = _origin(source, record)
    event = orjson.dumps({name: value[name] for name in _EVENT_FIELDS})
    return [Write("push", keys.bond_events(user), mark, offset, ordinal, value=event)]


def _origin(source: str, record: wire.SourceRecord) -> tuple[str, int, int]:
    """Mark, offset and ordinal of a derived record: those of its trigger, which copies of it share.

    They rise within one agent, topic and partition. A record without the header is its own trigger.
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


def _of_subject(place: Callable[[str], str], index: "_Index | None" = None) -> "_Maker":
    """Writes of records that are kept in one hash per subject, under what their key has after it.

    index: of those in one status, over all subjects.
    """

    def make(subject: str, key: str, value: Any, source: str, record: wire.SourceRecord) -> list[Write]:
        field = key[len(subject) + 1 :]
        verb = "hdel" if record.value is None else "hset"
        # They change apart from each other, so each has its own mark.
        listing = None if index is None else index.listing(subject, field, value)
        raw = record.value or b""
        return [Write(verb, place(subject), f"{source}#{field}", record.offset, 0, field, raw, listing)]

    return make


class _Index(NamedTuple):
    """A sorted set of the records in one status, by the time that a field of theirs holds."""

    key: str
    status: str
    since: str

    def listing(self, subject: str, field: str, value: Any) -> Listing:
        """Return the place of a record; value: None for a tombstone."""
        listed = value is not None and value["status"] == self.status
        member = orjson.dumps([subject, field]).decode()
        return Listing(self.key, member, round(value[self.since] * 1000) if listed else None)


def _link(_: str, key: str, value: Any, source: str, record: wire.SourceRecord) -> list[Write]:
    """A link lies under both of its identities. Both writes follow the same record, and links change apart."""
    a, b = orjson.loads(key)
    verb = "hdel" if record.value is None else "hset"
    return [
        Write(verb, keys.links(one), f"{source}#{other}", record.offset, 0, other, record.value or b"")
        for one, other in ((a, b), (b, a))
    ]


def _style(identity: str, _: str, value: Any, source: str, record: wire.SourceRecord) -> list[Write]:
    verb = "del" if record.value is None else "set"
    return [Write(verb, keys.style(identity), source, record.offset, value=record.value or b"")]


def _interaction(identity: str, _: str, value: Any, source: str, record: wire.SourceRecord) -> list[Write]:
    """What happened, without the content: texts stay in Kafka, at `at`."""
    if record.value is None:
        return []
    audit_id, kind = value["audit_id"], value["kind"]
    known = {name: value[name] for name in _SHOWN[kind] if value.get(name) is not None}
    known["chars"] = len(value["prompt" if kind == "opened" else "response"])
    known["at"] = [record.partition, record.offset]
    if kind == "closed":
        known |= {name: len(value.get(name) or ()) for name in ("memories_used", "chunks_used")}
    views = ViewKeys.of_source(source, "interactions")
    writes = [_part(views, audit_id, kind, known, source, record)]
    usage = known.get("usage") or {}
    if tokens := usage.get("input_tokens", 0) + usage.get("output_tokens", 0):
        counted = Counted(views.spend_prefix, identity, tokens, max(0, record.timestamp) // 1000)
        writes = [writes[0]._replace(counted=counted)]
    if kind == "opened":
        at, project = max(0, record.timestamp), value.get("project")
        writes.append(_listed(views.turns(identity), at, audit_id, views.turn_prefix))
        writes.append(_listed(views.turns(), at, audit_id))
        if project:
            writes.append(_listed(views.turns(project=project), at, audit_id))
    return writes


_SHOWN = {
    "opened": ("audit_id", "identity", "session_id", "turn", "client", "project", "model", "respond", "door", "enforce",
               "ts"),
    "closed": ("audit_id", "identity", "usage", "finish", "door", "enforce", "ts"),
}  # fmt: skip


def _part(
    views: ViewKeys,
    audit_id: str,
    part: str,
    value: Any,
    source: str,
    record: wire.SourceRecord,
    listing: Listing | None = None,
) -> Write:
    mark = f"{source}#{part}"
    return Write("view", views.turn(audit_id), mark, record.offset, 0, part, orjson.dumps(value), listing)


def _listed(key: str, at_ms: int, member: str | bytes, owns: str = "") -> Write:
    """at_ms: milliseconds since 1970. owns: prefix of a key that goes with a member that falls out."""
    named = member if isinstance(member, str) else member.decode()
    return Write("list", key, "", at_ms, 0, named, owns.encode())


def _modulation(identity: str, _: str, value: Any, source: str, record: wire.SourceRecord) -> list[Write]:
    if record.value is None:
        return []
    known = {name: part for name, part in value.items() if name not in ("lineage", "functions")}
    views, audit_id = ViewKeys.of_source(source, "modulations"), value["audit_id"]
    # Only a later revision answers a hold.
    listing = _waiting(views, value, value["refusal"] == "held", "turn", identity, audit_id)
    kept = listing if value["revision"] or listing.score is not None else None
    return [_part(views, audit_id, "modulation", known, source, record, kept)]


def _decision(identity: str, _: str, value: Any, source: str, record: wire.SourceRecord) -> list[Write]:
    """Of a decided call little is kept, as it must not be taken for one that waits when an older record comes again."""
    if record.value is None:
        return []
    views, audit_id, call_id = ViewKeys.of_source(source, "tool-decisions"), value["audit_id"], value["call_id"]
    pending = value["decision"] == "pending"
    known = {name: value.get(name) for name in (_PENDING if pending else _DECIDED)}
    if pending:
        known["call_at"] = _call_at(record)
    listing = _waiting(views, value, pending, "call", identity, audit_id, call_id)
    return [_part(views, audit_id, f"call/{call_id}", known, source, record, listing)]


_DECIDED = ("identity", "audit_id", "decision", "reason")
_PENDING = (*_DECIDED, "call_id", "function", "tool", "rule", "expires", "arguments_digest", "ts")


def _call_at(record: wire.SourceRecord) -> list[int] | None:
    """Partition and offset of the call, where it is what the decision was made at; None: something else was."""
    header = (dict(record.headers).get(wire.ORIGIN) or b"").decode("utf-8", "replace").split("/")
    is_call = len(header) == 5 and header[1] == "tool-calls" and header[2].isdecimal() and header[3].isdecimal()
    return [int(header[2]), int(header[3])] if is_call else None


def _waiting(views: ViewKeys, value: Any, waits: bool, *who: str) -> Listing:
    """Its place among what waits for a person, by its deadline."""
    return Listing(
        views.approvals(), orjson.dumps(who).decode(), round((value.get("expires") or 0.0) * 1000) if waits else None
    )


def _audit(identity: str, _: str, value: Any, source: str, record: wire.SourceRecord) -> list[Write]:
    if record.value is None:
        return []
    known = {name: value.get(name) for name in ("identity", "status", "headline", "supplement", "ts")}
    known["at"] = [record.partition, record.offset]
    views = ViewKeys.of_source(source, "audits")
    return [_part(views, value["audit_id"], f"audit/{value['supplement']}", known, source, record)]


def _incident(identity: str, _: str, value: Any, source: str, record: wire.SourceRecord) -> list[Write]:
    if record.value is None:
        return []
    views = ViewKeys.of_source(source, "incidents")
    return [_listed(views.incidents(), max(0, record.timestamp), record.value)]


def _analytics(tool: str, _: str, value: Any, source: str, record: wire.SourceRecord) -> list[Write]:
    if record.value is None:
        return []
    place = f"{tool}/{record.partition}"
    views = ViewKeys.of_source(source, "tool-analytics")
    return [Write("view", views.analytics(), f"{source}#{place}", record.offset, 0, place, record.value)]


_Maker = Callable[[str, str, Any, str, wire.SourceRecord], list[Write]]
_MAKERS: dict[str, _Maker] = {
    "bonds": _bond,
    "bond-events": _bond_event,
    "attribution-states": _attribution,
    "style-tables": _style,
    "trusted-states": _of_subject(keys.trusted),
    "memories": _of_subject(keys.memories, _Index(keys.candidates_index(), "candidate", "created_ts")),
    "conflicts": _of_subject(keys.conflicts, _Index(keys.conflicts_index(), "open", "opened_ts")),
    "identity-links": _link,
    "interactions": _interaction,
    "modulations": _modulation,
    "tool-decisions": _decision,
    "audits": _audit,
    "incidents": _incident,
    "tool-analytics": _analytics,
}
