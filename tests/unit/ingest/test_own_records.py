"""Our own records and observations: what is refused, and how it is said."""

import orjson
import pytest

GOOD = {"topic": "feedback", "value": {"identity": "ann", "target_action_id": "t", "rating": 4, "ts": 1.0}}


def changed(**value):
    return {**GOOD, "value": {**GOOD["value"], **value}}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"not json", "is not JSON"),
        (b"7", "is a number; expected one JSON object per line"),
        (b'{"topic":"feedback","value":{"ts":NaN}}', "is not JSON"),
        ({"value": {}}, "has no `topic` and `value`"),
        ({**GOOD, "more": 1}, "unknown field 'more'"),
        ({**GOOD, "topic": "nope"}, "no topic is called 'nope'; expected one of interactions,"),
        ({**GOOD, "topic": "endocrine.feedback"}, "(without prefix)"),
        ({**GOOD, "topic": ["feedback"]}, "no topic is called"),
        ({**GOOD, "topic": "modulations"}, "written by agents only"),
        ({**GOOD, "key": 7}, "key: expected a string"),
        ({**GOOD, "headers": {"a": 1}}, "headers: expected an object of strings"),
        (changed(rating=7), "value.rating: Input should be less than or equal to 5 (found 7)"),
        (changed(rating="4"), "value.rating: Input should be a valid integer (found a string of length 1)"),
        (changed(colour=1), "value.colour: Extra inputs are not permitted"),
        ({**GOOD, "value": {}}, "value.identity: Field required"),
        ({**GOOD, "value": None}, "no feedback record"),
    ],
)
def test_a_bad_line_is_named_and_the_lines_around_it_are_kept(read, line, said):
    bad = line if isinstance(line, bytes) else orjson.dumps(line)
    good = orjson.dumps(GOOD)
    got = read(b"\n".join([good, bad, b"", good]), "jsonl")
    assert got.lines == [GOOD, GOOD]
    assert len(got.refusals) == 1
    assert got.refusals[0].startswith("in:2: ")
    assert said in got.refusals[0]


def test_private_text_is_not_quoted_in_a_refusal(read):
    got = read(orjson.dumps(changed(note="my secret " * 200)), "jsonl")
    assert "value.note" in got.refusals[0]
    assert "secret" not in got.refusals[0]


def test_strict_stops_at_the_first_and_keeps_what_came_before(read):
    good = orjson.dumps(GOOD)
    got = read(b"\n".join([good, b"x", good, b"y"]), "jsonl", strict=True)
    assert got.stopped
    assert got.lines == [GOOD]
    assert got.tally.refused == 1


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(read):
    good = orjson.dumps(GOOD)
    assert read(b"\xef\xbb\xbf" + good + b"\r\n" + good + b"\r\n", "jsonl").lines == [GOOD, GOOD]


def test_an_observation_that_is_none_is_refused_by_field(read):
    got = read(b'{"primitive":"a.b","value":1}', "behave-jsonl", identity="x")
    assert "observation.confidence: Field required" in got.refusals[0]
