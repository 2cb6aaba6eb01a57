"""From a record to its guarded write, without Redis."""

import orjson
import pytest

from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.views.redis.writes import Counted, Write, writes_of

SOURCE = "endocrine.bond-events/3"
EVENT = {"identity": "ann", "timestamp": 1.0, "event_type": "ulm_spike", "detail": "d", "data": {"old": 0, "new": 1}}


def record(key, value, offset=5, headers=()):
    raw = value if value is None or isinstance(value, bytes) else orjson.dumps(value)
    return Fetched(3, offset, 0, key and key.encode(), raw, headers)


def writes(topic, *records, source=SOURCE):
    skipped = []
    found = writes_of(
        topic, source, records, 1 << 20, lambda raw, malformed: skipped.append((raw.offset, malformed.kind))
    )
    return found, skipped


def pushed(*headers):
    [write], _ = writes("bond-events", record("ann", EVENT, headers=headers))
    return write


def test_an_event_is_marked_by_the_origin_that_its_copies_share():
    write = pushed(("ce_id", b"x"), ("endocrine-origin", b"bonds/endocrine.detections/3/41/2"))
    assert (write.verb, write.key) == ("push", "abl:events:ann")
    assert (write.mark, write.offset, write.ordinal) == (f"{SOURCE}<bonds/endocrine.detections/3", 41, 2)


@pytest.mark.parametrize(
    "origin", [None, b"", b"bonds", b"bonds/t/3/x/2", b"bonds/t/3/41/", b"bonds/t/3/-1/2", b"\xff/1/2"]
)
def test_an_event_without_a_readable_origin_stands_for_itself(origin):
    write = pushed(*([("endocrine-origin", origin)] if origin is not None else []))
    if origin == b"\xff/1/2":
        assert (write.offset, write.ordinal) == (1, 2)
    else:
        assert (write.mark, write.offset, write.ordinal) == (SOURCE, 5, 0)


def test_an_event_whose_origin_is_null_stands_for_itself():
    write = pushed(("endocrine-origin", None), ("mine", None))
    assert (write.mark, write.offset, write.ordinal) == (SOURCE, 5, 0)


def test_an_event_has_the_four_fields_that_dashboards_know():
    assert orjson.loads(pushed().value) == {name: EVENT[name] for name in ("timestamp", "event_type", "detail", "data")}


def test_the_entry_is_stored_byte_for_byte():
    sent = b'{ "user_id": "ann",\n "phase": "dormant" }'
    found, _ = writes("bonds", record("ann", sent))
    assert found == [Write("bond", "abl:ann", SOURCE, 5, 0, "0", sent)]


def test_of_several_states_in_a_run_the_last_alone_is_written_but_every_event():
    bonds = [record("ann", {"user_id": "ann", "turn_count": n}, offset=n) for n in range(4)]
    found, _ = writes("bonds", *bonds)
    assert [(write.offset, orjson.loads(write.value)["turn_count"]) for write in found] == [(3, 3)]
    found, _ = writes("bond-events", *(record("ann", EVENT, offset=n) for n in range(4)))
    assert [write.offset for write in found] == [0, 1, 2, 3]


def test_the_primitive_of_a_tombstone_is_what_follows_the_last_slash():
    [write], _ = writes("attribution-states", record("a/b/motor.pace", None))
    assert (write.verb, write.key, write.field) == ("hdel", "endocrine:attribution:a/b", "motor.pace")
    assert write.mark == f"{SOURCE}#motor.pace"


def test_a_tombstone_of_a_bond_deletes_the_entry_and_its_events():
    found, _ = writes("bonds", record("ann", None))
    assert [(write.verb, write.key) for write in found] == [("unbond", "abl:ann"), ("del", "abl:events:ann")]


def test_a_user_whose_entry_would_lie_on_anothers_events_is_refused():
    assert writes("bonds", record("events:bob", {"user_id": "events:bob"})) == ([], [(5, "identity")])


@pytest.mark.parametrize(
    ("topic", "bad", "kind"),
    [
        ("bonds", record("ann", b"{"), "not_json"),
        ("bonds", record("ann", {"user_id": "ann", "x": 1}), "invalid"),
        ("bonds", record("bob", {"user_id": "ann"}), "key"),
        ("bonds", record(None, {"user_id": "ann"}), "key"),
        ("bonds", record("", None), "key"),
        ("bonds", Fetched(3, 5, 0, b"\xff", b"{}"), "key"),
        ("bond-events", record("ann", None), "empty"),
        ("attribution-states", record("ann", {"identity": "ann"}), "invalid"),
    ],
)
def test_what_cannot_be_projected_is_skipped_with_its_reason(topic, bad, kind):
    good = record("ann", EVENT if topic == "bond-events" else None, offset=6)
    good = record("ann/p", None, offset=6) if topic == "attribution-states" else good
    found, skipped = writes(topic, bad, good)
    assert skipped == [(5, kind)]
    assert {write.offset for write in found} == {6}


CLOSED = {"kind": "closed", "audit_id": "a1", "identity": "ann", "response": "Fine.", "ts": 2.0}


def test_a_closing_counts_the_tokens_that_it_reports_at_the_time_when_it_was_appended():
    used = CLOSED | {"usage": {"input_tokens": 30, "output_tokens": 12}}
    raw = Fetched(3, 5, 7_900_000, b"ann", orjson.dumps(used), ())
    [write] = writes_of("interactions", "x.interactions/3", [raw], 1 << 20, lambda *_: None)
    assert write.counted == Counted("endocrine:view:x.:spend:", "ann", 42, 7900)
    for usage in ({}, {"usage": None}, {"usage": {"input_tokens": 0, "output_tokens": 0}}):
        [write], skipped = writes("interactions", record("ann", CLOSED | usage), source="x.interactions/3")
        assert (write.field, write.counted, skipped) == ("closed", None, [])
