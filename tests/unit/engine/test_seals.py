"""A seal holds for one record on one partition under one key, and a stranger cannot make one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import KEY_BYTES, KeyedSeals, SealKey, simulated_seals

OLD, NEW = SealKey("old", b"o" * KEY_BYTES), SealKey("new", b"n" * KEY_BYTES)
SEALS = KeyedSeals([NEW, OLD], "endocrine.")
PARTS = st.one_of(st.none(), st.binary(max_size=8))


def sealed(seals=SEALS, topic="modulations", partition=1, key=b"ann", value=b"{}", **headers):
    names = {"ce_id": b"m/1/0", "endocrine-origin": b"m/i/1/0/0", "endocrine-rekeyed-from": None, **headers}
    seal = seals.seal(topic, partition, key, value, *names.values())
    return Fetched(partition, 0, 0, key, value, (*names.items(), ("endocrine-seal", seal)))


def valid(raw, topic="modulations", seals=SEALS):
    return seals.valid(topic, raw, dict(raw.headers))


def test_what_we_sealed_is_ours_and_the_seal_is_the_same_each_time():
    assert valid(sealed())
    assert sealed() == sealed()


@pytest.mark.parametrize(
    "changed",
    [
        {"partition": 2},
        {"key": b"bob"},
        {"key": None},
        {"value": b"{ }"},
        {"value": None},
    ],
)
def test_a_seal_holds_for_nothing_but_its_record(changed):
    assert not valid(sealed()._replace(**changed))


@pytest.mark.parametrize("name", ["ce_id", "endocrine-origin", "endocrine-rekeyed-from"])
@pytest.mark.parametrize("content", [b"", b"other", None])
def test_a_header_by_which_copies_are_known_cannot_be_changed_added_or_taken_away(name, content):
    raw = sealed()
    if dict(raw.headers)[name] != content:
        assert not valid(raw._replace(headers=(*raw.headers, (name, content))))


def test_a_seal_holds_on_its_own_topic_and_prefix_only():
    assert not valid(sealed(), topic="incidents")
    assert not valid(sealed(), seals=KeyedSeals([NEW, OLD], "other."))


def test_keys_are_rotated_without_a_gap():
    before = sealed(KeyedSeals([OLD], "endocrine."))
    both = KeyedSeals([OLD, NEW], "endocrine.")
    after = sealed(KeyedSeals([NEW, OLD], "endocrine."))
    for seals in (both, KeyedSeals([NEW, OLD], "endocrine.")):
        assert valid(before, seals=seals)
        assert valid(after, seals=seals)
    assert not valid(before, seals=KeyedSeals([NEW], "endocrine."))


@given(
    st.tuples(PARTS, PARTS, PARTS, PARTS, PARTS),
    st.tuples(PARTS, PARTS, PARTS, PARTS, PARTS),
)
def test_two_different_records_never_share_a_seal(one, other):
    """Parts that run together, null and empty: nothing of a record can be moved into another part of it."""
    seals = simulated_seals()
    assert (seals.seal("signals", 0, *one) == seals.seal("signals", 0, *other)) == (one == other)


@pytest.mark.parametrize(
    "claimed", [None, b"", b":", b"new", b"new:", b"new:00", b"other:" + b"0" * 32, b"\xff:\xff", b"new:" + b"0" * 32]
)
def test_what_is_no_seal_of_ours_is_none(claimed):
    raw = sealed()
    assert not valid(raw._replace(headers=(*raw.headers, ("endocrine-seal", claimed))))


def test_a_key_is_never_printed():
    assert "6f6f" not in repr(OLD)
    assert "oooo" not in repr(OLD)


@pytest.mark.parametrize("keys", [[], [OLD, SealKey("old", b"x" * KEY_BYTES)]])
def test_keys_that_cannot_be_told_apart_are_refused(keys):
    with pytest.raises(ValueError, match="expected"):
        KeyedSeals(keys, "")
