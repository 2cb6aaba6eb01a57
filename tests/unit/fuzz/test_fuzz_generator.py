"""What the fuzzer sends: the same from a seed, every kind, every topic; and what it reads is what was written."""

from collections import Counter

import orjson
import pytest
from generate import OURS, SOURCES, Generator, kinds
from hypothesis import given, settings
from hypothesis import strategies as st
from instances import Instances
from shapes import Canaries, Group, Hostile, load, save
from shrink import smallest
from targets import plain, targets
from wire import CODECS, batch, next_offset_of, records_in

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.decode import Malformed, decode
from properties import examples

CANARIES = Canaries("canaryprompt", "canarynote", "canaryargument", "canarysecret", "canaryheader", "canarykey")
BYTES = st.none() | st.binary(max_size=200)
RECORDS = st.lists(
    st.tuples(BYTES, BYTES, st.lists(st.tuples(st.binary(max_size=20), BYTES), max_size=5)), min_size=1, max_size=8
)


def generator(seed=1, without=()):
    return Generator(seed, 2, CANARIES, 1_760_000_000.0, without)


@pytest.fixture(scope="module")
def sent():
    made = generator()
    return [record for _ in range(210) for group in made.batch(40) for record in group.records]


def test_the_same_seed_gives_the_same_batches():
    one, two = generator(7), generator(7)
    for _ in range(20):
        assert one.batch(50) == two.batch(50)
    assert generator(8).batch(50) != generator(7).batch(50)


def test_every_kind_and_every_topic_occurs(sent):
    found = {name for record in sent for name in record.kind.split("+")}
    assert set(kinds()) - found == set()
    assert {record.topic for record in sent} >= {*SOURCES, *OURS}
    assert {record.expect for record in sent} == {"", "dead", "modulated", "ghost"}


@pytest.mark.parametrize("kind", kinds())
def test_a_kind_that_is_left_out_does_not_occur(kind):
    made = generator(without=[kind])
    made.number = 168  # soon a storm
    for _ in range(8):
        found = {name for group in made.batch(30) for record in group.records for name in record.kind.split("+")}
        assert kind not in found


def test_canaries_stand_wherever_content_may(sent):
    values = b"".join(record.value or b"" for record in sent if len(record.value or b"") < 10_000)
    for name in ("prompt", "note", "argument", "secret"):
        assert f"canary{name}".encode() in values
    assert any(b"canaryheader" in (content or b"") for record in sent for _, content in record.headers)


def test_good_records_are_mostly_good(sent):
    verdicts = Counter()
    for record in sent:
        if record.kind == "good":
            try:
                decode(CATALOGUE[record.topic], record.value, 1 << 20)
                verdicts["good"] += 1
            except Malformed:
                verdicts["malformed"] += 1
    assert verdicts["good"] > 9 * verdicts["malformed"]


def test_what_must_be_a_dead_letter_cannot_be_read(sent):
    for record in sent:
        if record.expect == "dead":
            with pytest.raises(Malformed):
                decode(CATALOGUE[record.topic], record.value, 1 << 20)


@pytest.mark.parametrize("topic", CATALOGUE)
def test_an_instance_of_any_topic_is_mostly_taken(topic, seeded):
    made, taken = Instances(seeded, lambda name: "x"), 0
    for _ in range(40):
        try:
            decode(CATALOGUE[topic], orjson.dumps(made.of(topic)), 1 << 20)
            taken += 1
        except Malformed:
            pass
    assert taken >= 8


def test_what_is_saved_is_what_is_loaded(tmp_path):
    groups = generator().batch(60)
    save(tmp_path / "batch.jsonl", groups)
    again = load(tmp_path / "batch.jsonl")
    assert [(g.codec, g.transaction) for g in again] == [(g.codec, g.transaction) for g in groups]
    for ours, theirs in zip(groups, again, strict=True):
        for one, other in zip(ours.records, theirs.records, strict=True):
            assert (one.key, one.value, list(one.headers), one.expect) == (
                other.key,
                other.value,
                list(other.headers),
                other.expect,
            )


@settings(max_examples=examples(60))
@given(records=RECORDS, codec=st.integers(0, len(CODECS) - 1))
def test_a_batch_is_read_as_it_was_written(records, codec):
    data = batch(records, codec)
    assert [(one.key, one.value, one.headers) for one in records_in(data)] == records
    assert [one.offset for one in records_in(data)] == list(range(len(records)))
    assert next_offset_of(data, 99) == len(records)
    assert list(records_in(data[:-1])) == []


@pytest.mark.parametrize("culprits", [{3}, {0, 17}, {5, 6, 30}])
async def test_the_smallest_part_that_fails_is_found(culprits):
    groups = [
        Group([Hostile(str(n), "signals", 0, None, b"") for n in range(part, part + 10)], part % 5)
        for part in range(0, 40, 10)
    ]

    async def fails(some):
        return culprits <= {int(one.kind) for group in some for one in group.records}

    least = await smallest(groups, fails, 200)
    assert {int(one.kind) for group in least for one in group.records} == culprits
    assert all(group.codec == int(group.records[0].kind) // 10 * 10 % 5 for group in least)


@pytest.mark.parametrize("name", [name for name in targets() if name != "replies"])
def test_every_reader_takes_a_few_hundred_mutated_inputs(name):
    assert plain(name, 1, inputs=300) == 300
