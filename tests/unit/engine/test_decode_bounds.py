"""What a record's bytes are refused for: to the byte, and in words that name field and kind and never the content."""

import hashlib

import orjson
import pytest

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.decode import Malformed, decode
from endocrine.pipeline.core.journal import inputs_digest, journal_entry, runs_of
from endocrine.pipeline.core.records import Fetched

SIGNALS = CATALOGUE["signals"]
GOOD = {"identity": "ann", "name": "stress", "level": 0.5, "ttl_ms": 800, "source": "probe", "ts": 1.0}


def refused(value, most=10_000):
    with pytest.raises(Malformed) as caught:
        decode(SIGNALS, value if value is None or isinstance(value, bytes) else orjson.dumps(value), most)
    return caught.value.kind, str(caught.value)


def test_a_value_as_long_as_the_bound_is_read_and_a_longer_one_is_refused_unread():
    value = orjson.dumps(GOOD)
    assert decode(SIGNALS, value, len(value)).name == "stress"
    assert refused(value, len(value) - 1) == (
        "too_large",
        f"signals: {len(value)} bytes; expected at most {len(value) - 1}",
    )
    assert refused(b"x" * 20, 10)[0] == "too_large"


def test_no_value_and_no_json_are_refused_with_what_was_expected():
    assert refused(None) == ("empty", "signals: no value; expected one JSON object")
    kind, message = refused(b'{\n "a": }')
    assert (kind, message) == ("not_json", "signals: not JSON at line 2, column 7; expected one JSON object in UTF-8")
    assert refused(b"\xff")[0] == "not_json"
    assert refused(b"[" * 100_000, 200_000)[0] == "not_json"


def test_a_number_that_json_lacks_is_named_by_its_field():
    kind, message = refused(orjson.dumps(GOOD).replace(b"0.5", b"NaN"))
    assert kind == "invalid"
    assert message.startswith("signals: level: ")
    assert message.endswith("got a number")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("secret", "a string of 6 characters"),
        ([1, 2], "a list of 2"),
        ({"a": 1}, "an object of 1 fields"),
        (True, "true or false"),
        (None, "null"),
    ],
)
def test_what_was_given_is_named_by_kind_and_length(given, shown):
    kind, message = refused({**GOOD, "level": given})
    assert kind == "invalid"
    assert message.startswith("signals: level: ")
    assert message.endswith(f", got {shown}")
    assert "secret" not in message


def test_a_value_that_is_no_object_is_named_as_the_value():
    assert refused([1])[1].startswith("signals: value: ")


def test_five_problems_are_named_and_the_rest_counted():
    bad = {**GOOD, **{f"extra{n}": 1 for n in range(5)}}
    assert "more" not in refused(bad)[1]
    assert refused(bad)[1].count("; ") == 4
    kind, message = refused({**bad, "extra5": 1, "extra6": 1})
    assert kind == "invalid"
    assert message.endswith("; and 2 more")
    assert message.count("extra") == 5


def test_a_surplus_fields_name_is_shown_only_where_it_is_plain():
    assert "signals: surplus: " in refused({**GOOD, "surplus": 1})[1]
    assert "[name of 12 characters]" in refused({**GOOD, "not so plain": 1})[1]
    assert "x" * 64 in refused({**GOOD, "x" * 64: 1})[1]
    assert "[name of 65 characters]" in refused({**GOOD, "x" * 65: 1})[1]


@pytest.mark.parametrize("missing", ["specversion", "type", "source"])
def test_a_structured_cloudevent_is_one_only_with_all_its_attributes(missing):
    event = {"specversion": "1.0", "type": "t", "source": "s", "data": GOOD}
    kind, message = refused(event)
    assert kind == "structured_cloudevent"
    assert "binary mode" in message
    assert refused({name: value for name, value in event.items() if name != missing})[0] == "invalid"


def raw(offset, key=b"k", value=b"v"):
    return Fetched(0, offset, 0, key, value)


def test_runs_of_a_journal_record_break_at_another_topic_and_at_each_jump():
    records = [("a", raw(0)), ("a", raw(1)), ("b", raw(2)), ("b", raw(4)), ("a", raw(5)), ("a", raw(5)), ("a", raw(6))]
    assert runs_of(records) == [["a", 0, 2], ["b", 2, 1], ["b", 4, 1], ["a", 5, 1], ["a", 5, 2]]
    assert runs_of([]) == []


@pytest.mark.parametrize(
    ("key", "value", "covered"),
    [
        (b"k", b"value", b"\x00\x00\x00\x01k\x00\x00\x00\x05value"),
        (None, b"v", b"\xff\xff\xff\xff\x00\x00\x00\x01v"),
        (b"k", None, b"\x00\x00\x00\x01k\xff\xff\xff\xff"),
        (b"", b"", b"\x00" * 8),
    ],
)
def test_the_digest_of_inputs_covers_each_part_after_its_length(key, value, covered):
    records = [("a", raw(0, key, value)), ("b", raw(9, key, value))]
    assert inputs_digest(records) == hashlib.sha256(covered * 2).hexdigest()


@pytest.mark.parametrize("value", [None, b"", b"{}", b"not json"])
def test_what_somebody_else_wrote_to_the_journal_is_no_entry(value):
    assert journal_entry(value) is None
