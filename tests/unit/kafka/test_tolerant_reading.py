"""Record batches of strangers: every record is read, or stands in for what cannot be."""

import gc
import hashlib
import weakref

import orjson
import pytest
from aiokafka import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

import rawbatches as wire
from endocrine.pipeline.kafka.fetching import POLL_BYTES, Batches, Bound, SpanResult, TolerantRecords
from endocrine.pipeline.kafka.unreadable import KEPT_BYTES, unreadable
from properties import examples

PLACE = TopicPartition("endocrine.signals", 3)
NAMES = st.one_of(st.sampled_from([b"ce_id", b"endocrine-origin", b"", b"\xff"]), st.binary(max_size=6))
HEADERS = st.lists(st.tuples(NAMES, st.none() | st.binary(max_size=6)), max_size=4)
RECORDS = st.lists(st.tuples(st.none() | st.binary(max_size=9), st.none() | st.binary(max_size=9), HEADERS), max_size=6)


def read(*batches: bytes, start: int = 0, limit: int = 1 << 20) -> TolerantRecords:
    return TolerantRecords(PLACE, Batches(b"".join(batches)), None, start, Bound(limit), None, True, 1)


def shown(found):
    return [(raw.offset, raw.key, raw.value, raw.headers) for raw in found]


@given(RECORDS, st.sampled_from([0, 1, 2, 3, 4]), st.integers(0, 2**40))
@settings(max_examples=examples(100))
def test_whatever_headers_a_record_has_it_is_read_with_all_others(records, codec, base):
    raw = wire.batch([wire.record(n, *one) for n, one in enumerate(records)], codec=codec, base=base)
    names = [[name.decode("utf-8", "backslashreplace") for name, _ in one[2]] for one in records]
    expected = [
        (base + n, key, value, tuple(zip(names[n], (content for _, content in headers), strict=True)))
        for n, (key, value, headers) in enumerate(records)
    ]
    assert shown(read(raw, start=base)) == expected


@given(RECORDS.filter(bool), st.sampled_from([0, 1, 2, 3, 4]), st.data())
@settings(max_examples=examples(120))
def test_no_bytes_of_a_payload_stop_a_reader_or_take_offsets_of_others(records, codec, data):
    good = b"".join(wire.record(n, *one) for n, one in enumerate(records))
    payload = bytearray(wire.compressed(codec, good))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    bad = wire.batch([], codec=codec, payload=bytes(payload), base=7, count=len(records))
    after = wire.batch([wire.record(0, b"k", b"after")], base=7 + len(records))
    found = read(bad, after, start=7)
    offsets = [raw.offset for raw in found]
    assert offsets == sorted(set(offsets))
    assert offsets[-1] == 7 + len(records)
    assert found.next_fetch_offset == 8 + len(records)
    again = read(bad, after, start=7)
    assert shown(again) == shown(read(bad, after, start=7)), "two readers see the same"


@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_a_reader_that_begins_inside_a_batch_sees_its_rest(start):
    records = [wire.record(n, b"k", b"%d" % n, [(b"\xff", b"")]) for n in range(3)]
    assert [raw.offset for raw in read(wire.batch(records), start=start)] == list(range(start, 3))


def test_a_header_name_that_is_not_utf8_is_never_one_of_ours():
    (raw,) = read(wire.batch([wire.record(0, b"k", b"v", [(b"endocrine-origin\xff", b"1"), (b"ok", None)])]))
    assert raw.headers == (("endocrine-origin\\xff", b"1"), ("ok", None))


def test_a_batch_whose_payload_is_corrupt_becomes_one_record_that_says_which():
    bad = wire.batch([], codec=4, payload=b"corrupt" * 20_000, base=40, count=3, timestamp=9, append_time=True)
    found = list(read(bad, wire.batch([wire.record(0, b"k", b"v")], base=43), start=40))
    assert [raw.offset for raw in found] == [40, 43]
    one = found[0]
    assert (one.key, one.value, one.timestamp) == (None, bad[:KEPT_BYTES], 9)
    assert unreadable(one) == {
        "topic": PLACE.topic,
        "partition": 3,
        "first_offset": 40,
        "last_offset": 42,
        "bytes": len(bad),
        "sha256": hashlib.sha256(bad).hexdigest(),
        "reason": "its zstd payload is corrupt",
    }
    assert list(read(bad, start=41)) == [], "whoever begins behind its first offset has met it already"


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_a_batch_that_decompresses_to_more_than_the_bound_becomes_one_record(codec):
    bomb = wire.batch([wire.record(0, b"k", bytes(2 << 20))], codec=codec)
    (one,) = read(bomb)
    assert "decompresses to more than 1048576 bytes" in unreadable(one)["reason"]
    assert len(next(iter(read(bomb, limit=4 << 20))).value) == 2 << 20


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("a negative number of headers", b"\x10\0\0\2\2k\2v\1"),
        ("a header without name", b"\x16\0\0\2\2k\2v\2\1\2x"),
        ("a value longer than the record", b"\x0e\0\0\2\2k\x40v"),
        ("bytes left over", b"\x12\0\0\2\2k\2v\0\0"),
        ("the offset of another", b"\x10\0\0\0\2k\2v\0"),
        ("an offset of the next batch", b"\x12\0\0\xc8\1\2k\2v\0"),
    ],
)
def test_one_malformed_record_stands_for_itself_alone(name, second):
    records = [wire.record(0, b"k", b"first"), second, wire.record(2, b"k", b"third")]
    found = list(read(wire.batch(records), wire.batch([wire.record(0, b"k", b"next")], base=3)))
    assert [raw.offset for raw in found] == [0, 1, 2, 3], name
    assert unreadable(found[1])["reason"] == "record 1 of 3 is malformed"
    assert [raw.value for raw in (found[0], *found[2:])] == [b"first", b"third", b"next"]


def test_a_record_without_a_valid_length_stands_for_the_rest_of_its_batch():
    raw = wire.batch([wire.record(0, b"k", b"v"), b"\xff\xff\xff\xff\x0f", wire.record(2, b"k", b"v")])
    found = list(read(raw))
    assert [one.offset for one in found] == [0, 1]
    told = unreadable(found[1])
    assert (told["first_offset"], told["last_offset"]) == (1, 2)


def test_a_producer_cannot_imitate_what_stands_in():
    told = orjson.dumps({"first_offset": 0})
    for key, value in ((b"k", b"\0"), (None, b"{}"), (None, None)):
        (raw,) = read(wire.batch([wire.record(0, key, value, [(b"endocrine-unreadable", told)])]))
        assert unreadable(raw) is None


def test_a_batch_with_a_wrong_crc_is_an_error_and_no_record():
    raw = bytearray(wire.batch([wire.record(0, b"k", b"v")]))
    raw[-1] ^= 1
    with pytest.raises(Exception, match="Invalid CRC"):
        list(read(bytes(raw)))


def test_what_is_cut_off_at_the_end_of_a_fetch_is_left_for_the_next():
    whole, cut = wire.batch([wire.record(0, b"k", b"v")]), wire.batch([wire.record(0, b"k", b"w")], base=1)
    assert [raw.offset for raw in read(whole, cut[:-1])] == [0]
    assert not Batches(cut[:30]).has_next()
    assert not Batches(None).has_next()


class Assignment:
    """One partition that is ours."""

    active = True
    paused = False
    position = 0

    def state_value(self, place):
        return self

    def consumed_to(self, offset):
        self.position = offset


def test_what_was_fetched_is_handed_out_in_pieces_of_bounded_size():
    records = [wire.record(n, b"k", bytes(POLL_BYTES // 8)) for n in range(40)]
    found = SpanResult(
        PLACE, assignment=Assignment(), partition_records=read(wire.batch(records, codec=4), limit=64 << 20), backoff=0
    )
    pieces = []
    while piece := found.getall():
        pieces.append(piece)
    assert [raw for piece in pieces for raw in piece] == list(read(wire.batch(records, codec=4), limit=64 << 20))
    assert all(len(piece) <= 8 for piece in pieces)
    assert [piece.first_offset for piece in pieces[1:]] == [piece.next_offset for piece in pieces[:-1]]
    assert not found.has_more()


def test_a_fetch_that_is_dropped_before_its_end_is_freed_at_once_with_the_batch_it_decompressed():
    found = read(wire.batch([wire.record(n, b"k", bytes(1000)) for n in range(3)], codec=wire.ZSTD))
    next(found)
    gone = weakref.ref(found.reader)
    gc.disable()
    try:
        del found
        assert gone() is None, "it waits for the garbage collector, and a flood would fill the memory meanwhile"
    finally:
        gc.enable()
