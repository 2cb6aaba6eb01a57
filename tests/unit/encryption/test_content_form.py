"""The form of encrypted content: nothing of it is in the record, and with the key all of it is there again."""

import random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histories
import memory_histories
from encrypting import on_topic, table
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.content import ENCRYPTED
from endocrine.pipeline.core.content_keys import KeyDestroyed, KeyUnknown
from endocrine.pipeline.core.encryption import BLANK, FIELD, blank, closed, in_clear, key_ids_in, opened, whose
from endocrine.pipeline.process.policy_files import shipped_policy
from properties import examples
from recorded import Recording, randomly

TURN = {"kind": "opened", "identity": "ann", "audit_id": "t", "session_id": "s", "turn": 1, "client": "c", "ts": 1.0}


@pytest.fixture(scope="module")
def records():
    """Values that agents and doors write, by topic; all with content."""
    made, rng = Recording(), random.Random(3)
    made.publish(shipped_policy())
    made.feed([*histories.random_history(rng, 200), *memory_histories.memory_history(rng, 200)])
    made.run(shipped_policy(), randomly(3))
    found = {}
    for (topic, _), log in made.logs.items():
        for raw in log if topic in ENCRYPTED else ():
            if raw.value and raw.value[:1] == b"{" and in_clear(topic, raw.value):
                found.setdefault(topic, []).append((raw.key.decode(), raw.value))
    return found


def texts(part):
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for one in part.values():
            yield from texts(one)
    elif isinstance(part, list):
        for one in part:
            yield from texts(one)


def test_with_its_key_a_record_is_what_it_was_and_without_it_nothing_that_anybody_wrote(records):
    assert len(records) > 12
    keys = table()
    for topic, values in records.items():
        for key, value in values:
            clear = orjson.loads(value)
            written, key_ids = closed(topic, key, clear, keys)
            stored = orjson.dumps(written)
            assert key_ids == key_ids_in(stored)
            assert orjson.loads(opened(topic, stored, keys)) == clear
            gone = orjson.loads(blank(topic, stored))
            assert not in_clear(topic, stored)
            for name in ENCRYPTED[topic]:
                for text in texts(clear.get(name)):
                    assert text not in [*texts(gone.get(name)), BLANK], (topic, name)


def test_without_content_a_record_is_still_one_of_its_model(records):
    """So a reader that has no key reads on, and replay still knows whose a record is."""
    keys, judged = table(), 0
    for topic, values in records.items():
        for key, value in values:
            try:
                CATALOGUE[topic].validate(orjson.loads(value))
            except ValueError:
                continue  # a malformed one: a dead letter in clear, too
            stored = orjson.dumps(closed(topic, key, orjson.loads(value), keys)[0])
            CATALOGUE[topic].validate(orjson.loads(blank(topic, stored)))
            judged += 1
    assert judged > 100


@given(st.text(min_size=1), st.text(min_size=1))
@settings(max_examples=examples(50))
def test_equal_records_are_equal_bytes_and_equal_words_in_two_records_are_not(prompt, other):
    keys = table()
    one, again = (closed("interactions", "ann", {**TURN, "prompt": prompt}, keys)[0] for _ in range(2))
    assert one == again
    later = closed("interactions", "ann", {**TURN, "ts": 2.0, "prompt": prompt}, keys)[0]
    assert later[FIELD] != one[FIELD]
    bobs = closed("interactions", "bob", {**TURN, "prompt": other}, keys)[0]
    assert bobs[FIELD].partition(":")[0] != one[FIELD].partition(":")[0]


def test_content_that_is_put_into_another_record_is_not_opened():
    keys = table()
    stored = dict(closed("interactions", "ann", {**TURN, "prompt": "hello"}, keys)[0])
    moved = orjson.dumps({**stored, "audit_id": "another"})
    assert opened("interactions", moved, keys) == moved
    assert opened("feedback", orjson.dumps(stored), keys) == orjson.dumps(stored)


def test_a_record_without_content_is_left_as_it_is_and_makes_no_key():
    keys = table()
    assert closed("interactions", "ann", TURN, keys) == (TURN, [])
    assert closed("modulations", "ann", {"audit_id": "t"}, keys) == ({"audit_id": "t"}, [])
    assert not keys.destroying(["ann"], 1.0)


def test_what_a_stranger_calls_encrypted_is_content_as_it_came():
    keys = table()
    for named in ('"encrypted":"ab:!"', '"encrypted":7', '"prompt":{"encrypted":"x:y"}'):
        value = b'{"kind":"opened",%b}' % named.encode()
        assert opened("interactions", value, keys) == value
    with pytest.raises(KeyUnknown):
        opened("interactions", b'{"encrypted":"00:aGk="}', keys)


M1, M2 = "m-" + "1" * 24, "m-" + "2" * 24


@pytest.mark.parametrize(
    ("subject", "value", "expected"),
    [
        ("ann", {"identity": "bob"}, ["ann"]),
        ("project:p", {"identity": "ann", "memory_id": M1}, ["ann"]),
        ("project:p", {"identity": "project:p", "turn_identity": "ann"}, ["ann"]),
        ("project:p", {"memory_id": M1}, [M1]),
        ("project:p", {"members": [{"id": M2}, {"id": "state:fact/town"}, {"id": M1}]}, [M1, M2]),
        ("project:p", {"identity": "project:p"}, ["project:p"]),
    ],
)
def test_whose_words_a_record_holds(subject, value, expected):
    assert whose(subject, value) == expected


def test_values_in_conflict_are_gone_with_the_first_of_their_memories():
    keys = table()
    value = {"members": [{"id": M1, "value": "oak"}, {"id": M2, "value": "tea"}], "reason": None}
    written, key_ids = closed("conflicts", "project:p", value, keys)
    stored = orjson.dumps(written)
    assert len(key_ids) == 2
    assert orjson.loads(opened("conflicts", stored, keys)) == value
    keys.add(on_topic(keys.unsaved(key_ids)))
    keys.add(on_topic(keys.destroying([M2], 1.0)))
    with pytest.raises(KeyDestroyed):
        opened("conflicts", stored, keys)
