"""The audit chain and the journal: whole histories are sound, and every change to one is found and named."""

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from endocrine.pipeline.core.hash_chain import link_hash
from endocrine.pipeline.replay.audit_chain.checkpoint import Book, sign
from properties import examples


def changed(value: bytes, place: int, bit: int) -> bytes:
    return value[:place] + bytes([value[place] ^ (1 << bit)]) + value[place + 1 :]


def rewritten(raw, **fields):
    """A record with other content and a hash that fits it."""
    record = {**orjson.loads(raw.value), **fields}
    record["hash"] = link_hash(record)
    return orjson.dumps(record)


def test_a_whole_history_is_sound_and_says_what_it_did_not_check(full):
    report = full.verify()
    assert (report.sound, report.records, report.chains) == (True, 17, 3)
    assert (report.checkpoints, report.signatures, report.copies) == (2, 2, 0)
    assert report.not_checked == ["headers, and that decisions follow from their inputs: `endocrine replay verify`"]


def test_without_a_public_key_signatures_count_as_not_checked(full):
    report = full.verify(full.book(keyed=False))
    assert report.sound
    assert "no public key was given" in report.not_checked[0]
    assert report.signatures == 0


def test_copies_of_earlier_records_are_no_break(full):
    full.again("audits", 7, 10)
    full.again("journal", 5, 7)
    report = full.verify()
    assert report.sound, report.findings
    assert report.copies == 5


@pytest.mark.parametrize("topic", ["audits", "journal"])
@bounds(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_bit_changed_in_any_record_is_found_and_the_record_named(full, topic, data):
    log = full.logs[topic]
    place = data.draw(st.integers(0, len(log) - 1))
    kept = log[place]
    value = changed(kept.value, data.draw(st.integers(0, len(kept.value) - 1)), data.draw(st.integers(0, 7)))
    full.change(topic, place, value)
    report = full.verify()
    log[place] = kept
    assert not report.sound
    first = report.findings[0]
    assert (first.topic, first.partition, first.offset) == (topic, 0, place), first


def test_a_record_rewritten_with_a_hash_that_fits_is_named_by_the_one_after_it(full):
    full.change("audits", 6, rewritten(full.logs["audits"][6], ts=99.0))
    first = full.verify().findings[0]
    assert (first.offset, first.name) == (6, "a6")
    assert orjson.loads(full.logs["audits"][7].value)["previous"] in first.expected


def test_the_last_record_before_a_checkpoint_cannot_be_rewritten(full):
    full.change("audits", 9, rewritten(full.logs["audits"][9], ts=99.0))
    first = full.verify().findings[0]
    assert first.offset == 9
    assert "rewritten" in first.told


def test_a_chain_rewritten_as_a_whole_is_found_by_its_checkpoints(full):
    previous = None
    for place, raw in enumerate(full.logs["audits"]):
        value = rewritten(raw, ts=50.0, previous=previous)
        previous = orjson.loads(value)["hash"]
        full.change("audits", place, value)
    first = full.verify().findings[0]
    assert (first.topic, first.offset, first.name) == ("audits", 4, "a4")
    assert full.signed[0]["audits"][0]["hash"] in first.expected
    full.signed.clear()
    report = full.verify()
    assert report.sound
    assert any("rewritten as a whole" in told for told in report.not_checked)


@pytest.mark.parametrize(("topic", "left"), [("audits", 8), ("journal", 6), ("audits", 0)])
def test_a_tail_that_was_cut_off_is_found_by_a_checkpoint(full, topic, left):
    del full.logs[topic][left:]
    findings = full.verify().findings
    assert findings[0].topic == topic
    assert "cut off" in findings[0].told


def test_a_record_taken_out_is_found_by_the_gap(full):
    del full.logs["audits"][3]
    first = full.verify().findings[0]
    assert (first.offset, first.expected, first.found) == (4, "offset 3", "offset 4")


def test_a_journal_record_taken_out_and_the_rest_moved_up_is_found_by_its_number(full):
    log = full.logs["journal"]
    del log[1]
    log[:] = [raw._replace(offset=offset) for offset, raw in enumerate(log)]
    first = full.verify(Book({})).findings[0]
    assert (first.topic, first.name, first.expected) == ("journal", "gating/0/3", "batch 2")


def test_a_copy_under_the_same_id_that_says_something_else_is_named(full):
    raw = full.logs["audits"][9]
    full.logs["audits"].append(raw._replace(offset=10, value=rewritten(raw, ts=99.0)))
    first = full.verify().findings[0]
    assert (first.offset, first.name) == (10, "a9")
    assert "same id" in first.told


def test_a_copy_in_other_bytes_is_named_though_its_hash_is_the_same(full):
    raw = full.logs["audits"][9]
    full.logs["audits"].append(raw._replace(offset=10, value=raw.value.replace(b":", b": ", 1)))
    first = full.verify().findings[0]
    assert first.offset == 10
    assert "other bytes" in first.told


def test_a_key_that_is_not_the_identity_is_named(full):
    full.logs["audits"][2] = full.logs["audits"][2]._replace(key=b"bob")
    first = full.verify().findings[0]
    assert (first.offset, first.expected) == (2, "ann")


def test_after_retention_the_chain_begins_in_the_middle_anchored_by_the_earliest_checkpoint(full):
    del full.logs["audits"][:5]
    report = full.verify()
    assert report.sound, report.findings
    assert any("before a5 at offset 5; a checkpoint names the one before it" in told for told in report.not_checked)
    del full.logs["audits"][:1]
    report = full.verify()
    assert report.sound
    assert any("the earliest checkpoint above it vouches" in told for told in report.not_checked)


def test_copies_of_records_that_retention_took_are_known_by_where_they_lead(world):
    world.audit(6)
    world.again("audits", 2, 6)
    world.audit(2)
    world.logs["audits"] = world.logs["audits"][4:]
    report = world.verify()
    assert report.sound, report.findings
    assert report.copies == 4


def test_a_forged_record_after_retention_that_leads_nowhere_is_named(world):
    world.audit(8)
    log = world.logs["audits"]
    log[6] = log[6]._replace(value=rewritten(log[6], previous="a" * 64))
    log[:] = log[4:]
    assert world.verify().findings[0].offset == 6


def test_a_chain_that_should_begin_with_the_topic_and_does_not_is_broken(world):
    world.audit(3)
    log = world.logs["audits"]
    log[:] = [raw._replace(offset=raw.offset - 1) for raw in log[1:]]
    first = world.verify().findings[0]
    assert (first.offset, first.expected) == (0, "previous null")


def test_a_checkpoint_changed_in_any_field_does_not_hold(full):
    for path in ("ts", "number", "audits"):
        book = Book(full.keys)
        record = orjson.loads(orjson.dumps(full.signed[0]))
        if path == "audits":
            record["audits"][0]["count"] += 1
        else:
            record[path] += 1
        book.add(orjson.dumps(record), "checkpoints", 0, 0)
        assert "signature does not hold" in book.findings[0].told


def test_a_missing_checkpoint_is_found_by_its_number_and_no_checkpoint_of_a_given_key_is_a_finding(full):
    first = full.signed.pop(0)
    report = full.verify()
    assert "first of its key" in report.findings[0].told
    full.signed[:] = [first]
    assert full.verify().sound
    report = full.verify(Book(full.keys))
    assert "all were removed" in report.findings[0].told


def test_checkpoints_of_a_key_that_was_not_given_count_for_nothing(full, worlds):
    other = worlds()
    other.audit(3)
    other.checkpoint()
    book = full.book()
    book.add(orjson.dumps(other.signed[0]), "checkpoints", 0, 9)
    report = full.verify(book)
    assert report.sound
    assert report.checkpoints == 2
    assert any("which was not given" in told for told in report.not_checked)


def test_two_checkpoints_of_one_number_mean_a_stolen_key_or_two_signers(full):
    book = full.book()
    full.signed.pop()
    full.audit(1)
    again = full.checkpoint()
    book.add(orjson.dumps(again), "kept.jsonl", 0, 2)
    assert "two checkpoints of one key" in book.findings[0].told


@bounds(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_history_with_copies_and_retention_is_sound(worlds, data):
    world = worlds()
    steps = data.draw(st.lists(st.integers(0, 6), max_size=30))
    for step in steps:
        log = world.logs["audits"]
        if step <= 2:
            world.audit()
        elif step == 3:
            world.batch(data.draw(st.sampled_from(["gating", "bonds"])))
        elif step == 4 and log:
            first = len(log) - data.draw(st.integers(1, min(5, len(log))))
            world.again("audits", first, len(log))
        elif step == 5 and log:
            world.checkpoint()
    cut = data.draw(st.integers(0, len(world.logs["audits"])))
    ends = world.ends()
    del world.logs["audits"][:cut]
    report = world.verify(ends=ends)
    assert report.sound, report.findings


def test_repeated_copies_of_records_that_retention_took_are_no_break(world):
    world.audit(4)
    log = world.logs["audits"]
    for first, last in ((2, 4), (1, 3), (2, 4)):  # two that had been paused said their last batches, one of them twice
        world.again("audits", first, last)
    ends = world.ends()
    for cut in range(len(log)):
        world.logs["audits"] = log[cut:]
        report = world.verify(ends=ends)
        assert report.sound, (cut, report.findings)
    forged = world.logs["audits"] = log[3:]
    forged[1] = forged[1]._replace(value=forged[1].value.replace(b'"ann"', b'"bob"'))
    assert not world.verify(ends=ends).sound


def test_a_count_that_is_not_the_chains_is_found(full):
    last = full.signed.pop()
    audits = [{**last["audits"][0], "count": 9}]
    full.signed.append(sign(full.private, full.signed[-1], 6.0, audits, last["journal"]))
    first = full.verify().findings[0]
    assert (first.offset, first.expected, first.found) == (9, "record 9 of the chain", "record 10")


def test_of_two_neighbours_the_one_that_a_checkpoint_names_is_whole(full):
    log = full.logs["journal"]
    assert [raw.key for raw in log[4:]] == [b"gating/0", b"gating/0", b"bonds/0"]
    full.change("journal", 4, log[4].value.replace(b'"claim":0', b'"claim":1'))
    assert full.verify().findings[0].name == "gating/0/3"
    first = full.verify(Book({})).findings[0]
    assert (first.name, "one of the two was changed" in first.told) == ("gating/0/4", True)


def test_copies_of_what_retention_took_are_held_to_each_others_bytes(world):
    world.audit(6)
    world.again("audits", 2, 6)
    world.again("audits", 2, 6)
    log = world.logs["audits"]
    log[10] = log[10]._replace(value=log[10].value.replace(b":", b": ", 1))
    world.logs["audits"] = log[4:]
    first = world.verify().findings[0]
    assert (first.offset, "other bytes" in first.told) == (10, True)


def test_a_checkpoint_signed_anew_does_not_fit_the_one_after_it(full):
    one = full.signed[0]
    full.signed[0] = sign(full.private, None, 7.0, one["audits"], one["journal"])
    first = full.verify().findings[-1]
    assert (first.topic, first.told) == ("checkpoints", "does not name the checkpoint before it")
