"""Head, changelog, inbox, marks, journal: each alone."""

import hashlib
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.changelog import EPOCH_KEY, Entry, Recovered, outbox_key
from endocrine.pipeline.core.checkpoint import Checkpoint, decode_checkpoint, encode_checkpoint
from endocrine.pipeline.core.journal import inputs_digest, journal_record, runs_of
from endocrine.pipeline.core.outbox import (
    Outbox,
    compress_outbox,
    decode_outbox,
    last_outbox,
    outboxes_to_produce,
    pack_outbox,
)
from endocrine.pipeline.core.producer_dedup import RECENT, conflicts, pack, token, unpack
from endocrine.pipeline.core.records import Fetched, OutputRecord
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.watermarks import watermark_of
from endocrine.pipeline.runtime.merge_buffer import MergeBuffer
from properties import examples


def raw(offset, timestamp=0, key=b"k", value=b"v"):
    return Fetched(0, offset, timestamp, key, value)


# ---- head ----


OUT = OutputRecord("t", 3, b"k", None, (("a", b"\x00\xff"), ("null", None)), True)
COMMON = (("c", b"1"),)
OLD_FORM = (
    b"\x97\x01\x07\x02\x81\xa1s\x05\x81\xa7s<x/t/0\x92\x04\x01\x91\x92\xa1c\xc4\x011\x91\x96\xa1t\x03\xc4\x01k\xc0\x92\x92\xa1a"
    b"\xc4\x02\x00\xff\x92\xa4null\xc0\xc3"
)
"""A checkpoint of batch 2 as it was written when it held its outbox."""


def test_a_head_comes_back_as_it_was():
    checkpoint = Checkpoint(7, 2, {"s": 5}, {"s<x/t/0": (4, 1)}, COMMON, [OUT], produced=1)
    again = decode_checkpoint(encode_checkpoint(checkpoint))
    assert (again.outbox, again.journal_digest) == ([], checkpoint.journal_digest)
    assert replace(again, common=COMMON, outbox=[OUT], encoded_journal_digest=None) == checkpoint
    assert encode_checkpoint(again) == encode_checkpoint(checkpoint)


def test_a_head_of_the_form_before_is_read_with_its_outbox():
    checkpoint = decode_checkpoint(OLD_FORM)
    assert checkpoint.journal_digest == hashlib.sha256(b"").hexdigest()
    assert (checkpoint.epoch, checkpoint.batch, checkpoint.next_offsets) == (7, 2, {"s": 5})
    assert checkpoint.watermarks == {"s<x/t/0": (4, 1)}
    assert outboxes_to_produce(checkpoint, {}.get) == [Outbox(2, COMMON, [OUT])] == [last_outbox(checkpoint, {}.get)]
    assert isinstance(checkpoint.outbox[0], OutputRecord)


def test_bytes_that_are_no_head_are_refused():
    with pytest.raises(ValueError, match=r"key h: no checkpoint: .*expected version 1 and 2"):
        decode_checkpoint(b"garbage")


# ---- outboxes ----


def written(batch, records=(OUT,)):
    return compress_outbox(pack_outbox(Outbox(batch, COMMON, list(records))))


texts = st.text(max_size=40)
contents = st.none() | st.binary(max_size=300)
outputs = st.builds(
    OutputRecord,
    texts,
    st.integers(0, 1 << 20),
    contents,
    contents,
    st.lists(st.tuples(texts, contents), max_size=4).map(tuple),
    st.booleans(),
)


@settings(max_examples=examples(100), deadline=None)
@given(st.integers(1, 1 << 40), st.lists(outputs, max_size=5), st.integers(1, 60))
def test_an_outbox_comes_back_byte_for_byte_however_often_it_repeats_itself(batch, records, times):
    outbox = decode_outbox(written(batch, records * times))
    assert outbox == Outbox(batch, COMMON, records * times)
    assert all(isinstance(out, OutputRecord) for out in outbox.records)


def test_a_successor_finds_the_outboxes_that_may_not_be_produced_in_order():
    changelog = {outbox_key(number, 2): written(number) for number in (1, 2, 3)}
    checkpoint = Checkpoint(batch=3, produced=1, slots=2)
    assert [outbox.batch for outbox in outboxes_to_produce(checkpoint, changelog.get)] == [2, 3]
    assert last_outbox(checkpoint, changelog.get).batch == 3
    assert last_outbox(Checkpoint(), changelog.get) is None


@pytest.mark.parametrize(
    ("changelog", "problem"),
    [
        ({}, "no outbox of batch 2, which checkpoint 2 needs"),
        ({b"o0": written(4)}, "outbox of batch 4; checkpoint 2 needs that of batch 2"),
        ({b"o0": b"\x63" + written(2)[1:]}, "key o0: outbox of version 99; this build reads 1"),
        ({b"o0": b"\x01"}, "key o0: no outbox: .*expected version 1"),
        ({b"o0": written(2)[:-1]}, "key o0: no outbox: .*expected version 1"),
        ({b"o0": b"\x01\xff\xff\xff\xff" + written(2)[5:]}, "key o0: no outbox: .*expected version 1"),
    ],
)
def test_a_changelog_that_lacks_an_outbox_is_refused(changelog, problem):
    with pytest.raises(ValueError, match=problem):
        outboxes_to_produce(Checkpoint(batch=2, produced=1), changelog.get)


def test_the_journal_digest_is_that_of_the_last_of_the_outbox():
    out = OutputRecord("journal", 0, b"k", b"bytes", (), True)
    assert Checkpoint(outbox=[out]).journal_digest == hashlib.sha256(b"bytes").hexdigest()
    assert Checkpoint().journal_digest is None


# ---- changelog ----


def recovered(*entries):
    found = Recovered({})
    found.apply(Entry(offset, *rest) for offset, rest in enumerate(entries))
    return found


def test_a_record_under_an_older_claim_than_the_latest_before_it_is_void():
    found = recovered(
        (EPOCH_KEY, b"", 0), (b"sa", b"1", 0), (EPOCH_KEY, b"", 2), (b"sa", b"stale", 0), (b"sb", b"x", 0)
    )
    assert found.store == {b"sa": b"1"}
    assert found.void == {b"sa", b"sb"}
    assert found.epoch == 2


def test_a_later_valid_record_mends_a_void_one():
    found = recovered((EPOCH_KEY, b"", 0), (EPOCH_KEY, b"", 1), (b"sa", b"stale", 0), (b"sa", b"2", 1))
    assert (found.store, found.void) == ({b"sa": b"2"}, set())


def test_a_tombstone_removes_the_key_and_a_void_tombstone_does_not():
    assert recovered((b"sa", b"1", -1), (b"sa", None, -1)).store == {}
    assert recovered((b"sa", b"1", -1), (EPOCH_KEY, b"", 1), (b"sa", None, -1)).store == {b"sa": b"1"}


# ---- inbox ----


def test_at_equal_times_the_topic_named_first_is_read_first():
    buffer = MergeBuffer(("calls", "turns"))
    buffer.add("turns", [raw(0, 5)])
    buffer.add("calls", [raw(0, 5), raw(1, 6)])
    assert [(topic, record.offset) for topic, record in buffer.take(9)] == [("calls", 0), ("turns", 0)]


def test_nothing_is_taken_past_the_end_of_a_topic_that_was_not_quiet():
    buffer = MergeBuffer(("a", "b"))
    buffer.add("a", [raw(0, 1)])
    buffer.add("b", [raw(0, 2), raw(1, 3)])
    assert [topic for topic, _ in buffer.take(9)] == ["a"]
    assert buffer.quiet() == ["a"]
    assert [topic for topic, _ in buffer.take(9)] == ["b", "b"]


def test_what_comes_again_after_a_seek_is_dropped():
    buffer = MergeBuffer(("a",))
    buffer.clear({"a": 2})
    buffer.add("a", [raw(0), raw(1), raw(2)])
    buffer.add("a", [raw(2), raw(3)])
    assert [record.offset for _, record in buffer.take(9)] == [2, 3]
    assert buffer.next_offsets == {"a": 4}


logs = st.lists(st.lists(st.integers(0, 3), max_size=8), min_size=1, max_size=3)


@settings(max_examples=examples(100), deadline=None)
@given(logs, st.randoms(use_true_random=False), st.integers(1, 5))
def test_an_inbox_gives_every_record_once_in_offset_order_and_by_time_where_all_is_known(steps, random, limit):
    topics = [f"t{number}" for number in range(len(steps))]
    stored = {}
    for topic, gaps in zip(topics, steps, strict=True):
        now = 0
        stored[topic] = [raw(offset, now := now + gap) for offset, gap in enumerate(gaps)]
    buffer, taken = MergeBuffer(topics), []
    at = dict.fromkeys(topics, 0)
    while True:
        for topic in topics:  # pieces of any size, some of it again
            size, back = random.randint(1, 4), random.randint(0, min(2, at[topic]))
            buffer.add(topic, stored[topic][at[topic] - back : at[topic] + size])
            at[topic] = min(len(stored[topic]), at[topic] + size)
        while buffer and all(at[topic] == len(stored[topic]) for topic in buffer.quiet()):
            taken += buffer.take(limit)
        if not buffer and all(at[topic] == len(stored[topic]) for topic in topics):
            break
    for topic in topics:
        assert [record for name, record in taken if name == topic] == stored[topic]
    assert [record.timestamp for _, record in taken] == sorted(record.timestamp for _, record in taken)


# ---- marks ----


def test_a_rekeyed_record_is_marked_by_its_first_copys_offset():
    headers = {"endocrine-rekeyed-from": b"signals/1/9", "endocrine-origin": b"a/t/0/1/0"}
    assert watermark_of("signals", headers) == ("signals<re-keyed/signals/1", (9, 0))


@pytest.mark.parametrize(
    "origin",
    [b"", b"x", b"a/t/0/x/0", b"\xff/1/2", b"a/t/0/9223372036854775808/0", b"a/t/0/+1/0", "a/t/0/\u0661/0".encode()],
)
def test_an_origin_that_cannot_be_read_makes_an_original(origin):
    assert watermark_of("signals", {"endocrine-origin": origin}) is None


@settings(max_examples=examples(100))
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), unique=True, max_size=12), st.data())
def test_marks_let_each_pass_once_however_often_a_prefix_is_said_again(heights, data):
    said, heights = [], sorted(heights)
    for place in range(len(heights)):
        said += heights[data.draw(st.integers(0, place)) : place + 1]  # a successor says from some place on
    watermarks, passed = {}, []
    for offset, ordinal in said:
        name, height = watermark_of("t", {"endocrine-origin": f"a/s/0/{offset}/{ordinal}".encode()})
        if watermarks.get(name, (-1, 0)) < height:
            watermarks[name] = height
            passed.append(height)
    assert passed == heights


# ---- recall ----


def test_recent_ids_are_stored_beside_the_state_and_go_with_it():
    tokens = [token("t", f"id{number}", b"k", b"%d" % number) for number in range(RECENT)]
    assert unpack(pack({"a": 1}, tokens)) == ({"a": 1}, tokens)
    assert pack(None, tokens) is None
    assert unpack(None) == (None, [])


def test_the_same_id_with_other_content_conflicts():
    known, other = token("t", "id", b"k", b"1"), token("t", "id", b"k", b"2")
    assert conflicts(other, [known])
    assert not conflicts(known, [known])
    assert not conflicts(token("u", "id", b"k", b"2"), [known])


# ---- journal ----


def test_runs_follow_the_order_read_and_break_at_gaps_and_other_topics():
    read = [("a", raw(0)), ("a", raw(1)), ("b", raw(4)), ("a", raw(2)), ("a", raw(5))]
    assert runs_of(read) == [["a", 0, 2], ["b", 4, 1], ["a", 2, 1], ["a", 5, 1]]


def test_the_digest_of_inputs_tells_null_from_empty_and_key_from_value():
    forms = [(None, b""), (b"", None), (b"a", b"b"), (b"", b"ab"), (b"ab", b"")]
    assert len({inputs_digest([("t", raw(0, key=key, value=value))]) for key, value in forms}) == len(forms)


def test_a_journal_record_names_the_one_before_and_refusals_only_where_there_are():
    read = [("a", raw(0))]
    options = {"previous": "p" * 64, "policy": "0" * 64, "version": "v", "epoch": 3, "seals": simulated_seals()}
    plain, refused = (
        journal_record("agent", 1, 2, read, **options),
        journal_record("agent", 1, 2, read, **options, refused="too large"),
    )
    entry = orjson.loads(plain.value)
    assert (entry["previous"], entry["runs"], entry["claim"]) == ("p" * 64, [["a", 0, 1]], 3)
    assert "refused" not in entry
    assert orjson.loads(refused.value)["refused"] == "too large"
    assert plain.key == b"agent/1"


# ---- a topic for which no other waits ----


def test_no_topic_waits_for_one_that_is_unordered_and_its_records_are_read_all_the_same():
    inbox = MergeBuffer(("a", "b"), unordered=("b",))
    inbox.add("a", [raw(0, 5), raw(1, 9)])
    assert inbox.quiet() == []
    assert [one.offset for _, one in inbox.take(10)] == [0, 1]
    inbox.add("a", [raw(2, 11)])
    inbox.add("b", [raw(0, 10)])
    assert [(topic, one.offset) for topic, one in inbox.take(10)] == [("b", 0)], "b ran out, and was not quiet"
    assert inbox.quiet() == []
    assert [(topic, one.offset) for topic, one in inbox.take(10)] == [("a", 2)]


def test_of_a_topic_that_is_ordered_the_others_wait_for_its_end():
    inbox = MergeBuffer(("a", "b"))
    inbox.add("a", [raw(0, 5)])
    assert inbox.quiet() == ["b"]


def test_an_agent_of_one_topic_asks_for_no_end_although_erasures_reach_it():
    """A question for each batch costs attribution a third of its speed."""
    for name in ("attribution", "suspicion", "evidence", "meeting"):
        (agent,) = (one for one in AGENTS if one.name == name)
        assert [topic for topic in agent.sources if not CATALOGUE[topic].unordered] == [agent.sources[0]]
