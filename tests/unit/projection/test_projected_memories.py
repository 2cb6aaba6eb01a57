"""Memories and conflicts in the read models: one hash per subject, whatever its name holds."""

import orjson
import pytest

from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.views.redis.writes import PROVED, Listing, Write, writes_of

M, C = "m-" + 24 * "a", "c-" + 24 * "b"
MEMORY = {
    "memory_id": M, "subject": "project:a/b", "type": "preference", "content": "x", "slot": None, "value": None,
    "status": "active", "confidence": 1.0, "strength": None, "reference_count": 0, "last_referenced_at": None,
    "source": {"kind": "operator"}, "supersedes": None, "superseded_by": None, "open_conflict": None, "version": 1,
    "created_ts": 1.0, "by": "op", "ts": 1.0,
}  # fmt: skip
CONFLICT = {
    "conflict_id": C, "subject": "project:a/b", "slot": "pad", "status": "open", "members": [], "preferred": None,
    "action": None, "winner": None, "reason": None, "opened_ts": 1.0, "by": "op", "ts": 1.0,
}  # fmt: skip


def writes(topic, key, value):
    raw = None if value is None else orjson.dumps(value)
    skipped = []
    record = Fetched(3, 5, 0, key.encode(), raw, ())
    found = writes_of(topic, f"{topic}/3", [record], 1 << 20, lambda _, malformed: skipped.append(malformed.kind))
    return found, skipped


@pytest.mark.parametrize(
    ("topic", "value", "field"), [("memories", MEMORY, M), ("conflicts", CONFLICT, "pad")], ids=["memory", "conflict"]
)
def test_a_record_lies_in_its_subjects_hash_and_a_tombstone_takes_it_out(topic, value, field):
    place = f"endocrine:{topic}:project:a/b"
    told = (place, f"{topic}/3#{field}", 5, 0, field)
    ([put], skipped), ([taken], none) = (writes(topic, f"project:a/b/{field}", one) for one in (value, None))
    assert (put._replace(listing=None), skipped) == (Write("hset", *told, orjson.dumps(value)), [])
    assert (taken._replace(listing=None), none) == (Write("hdel", *told, b""), [])
    assert writes(topic, f"ann/{field}", value) == ([], ["key"])


def test_only_what_we_wrote_is_shown():
    assert {"memories", "conflicts"} <= set(PROVED)


@pytest.mark.parametrize(
    ("topic", "value", "field", "listed", "others"),
    [
        ("memories", MEMORY, M, "candidate", ("active", "superseded", "invalid")),
        ("conflicts", CONFLICT, "pad", "open", ("resolved", "dismissed")),
    ],
    ids=["memory", "conflict"],
)
def test_what_waits_for_a_person_is_listed_over_all_subjects_and_leaves_when_it_does_not(
    topic, value, field, listed, others
):
    key, name = f"endocrine:index:{'candidates' if topic == 'memories' else topic}", f"project:a/b/{field}"
    member = f'["project:a/b","{field}"]'
    ([write], _) = writes(topic, name, value | {"status": listed})
    assert write.listing == Listing(key, member, 1000)
    for status in others:
        ([write], _) = writes(topic, name, value | {"status": status})
        assert write.listing == Listing(key, member, None)
    ([write], _) = writes(topic, name, None)
    assert write.listing == Listing(key, member, None)
