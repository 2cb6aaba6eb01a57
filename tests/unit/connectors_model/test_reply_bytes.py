"""Events out of bytes, and bodies out of encodings: however the bytes are cut, and never more at once than a piece."""

import gzip
import zlib
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endocrine.pipeline.connectors.model.decoding import Decoding
from endocrine.pipeline.connectors.model.failures import Malformed, StreamCut, TooLarge
from endocrine.pipeline.connectors.model.sse import Event, Events

TEXT = ": hello\nevent: first\ndata: a\ndata:b\nid: 7\n\n\nretry: 3\n\ndata: c\n\nerror: d\n\ndata: last"
EXPECTED = [Event("first", ("a", "b")), Event("", ("c",)), Event("error", ("d",)), Event("", ("last",))]


@given(st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 110), max_size=12))
def test_events_are_the_same_however_their_bytes_are_cut(end: str, cuts: list[int]) -> None:
    data, events, found = TEXT.replace("\n", end).encode(), Events(1000), []
    places = [0, *sorted(cuts), len(data)]
    for place, following in zip(places, [*places[1:], len(data)], strict=True):
        found += list(events.feed(data[place:following]))
    assert [*found, *events.close()] == EXPECTED


@pytest.mark.parametrize("piece", [b"x", b"data: x\n", b":\n" * 10, b"data: \r"])
def test_an_event_has_a_bound(piece: bytes) -> None:
    events = Events(1000)
    with pytest.raises(TooLarge):
        list(chain.from_iterable(events.feed(piece) for _ in range(2000)))


def test_what_is_not_utf_8_is_no_event() -> None:
    with pytest.raises(Malformed):
        list(Events(1000).feed(b"data: \xff\n\n"))


def packed(data: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.compress(data)
    if encoding == "deflate":
        return zlib.compress(data)
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return raw.compress(data) + raw.flush()


ENCODINGS = st.sampled_from(["gzip", "deflate", "raw"])


@given(st.binary(max_size=2000), ENCODINGS, st.integers(1, 50))
def test_an_encoding_is_undone_however_its_bytes_are_cut(data: bytes, encoding: str, step: int) -> None:
    body = packed(data, encoding)
    decoding, found = Decoding("deflate" if encoding == "raw" else encoding), b""
    for place in range(0, len(body), step):
        found += b"".join(decoding.feed(body[place : place + step]))
    decoding.close()
    assert found == data


@given(ENCODINGS)
def test_no_piece_is_larger_than_what_is_counted(encoding: str) -> None:
    decoding = Decoding("deflate" if encoding == "raw" else encoding)
    assert max(map(len, decoding.feed(packed(bytes(1_000_000), encoding)))) <= 65_536


@given(st.binary(min_size=30, max_size=200), st.integers(1, 20))
def test_an_encoded_body_that_is_cut_says_so(data: bytes, missing: int) -> None:
    decoding = Decoding("gzip")
    list(decoding.feed(gzip.compress(data)[:-missing]))
    with pytest.raises(StreamCut):
        decoding.close()


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate"]))
def test_bytes_that_are_no_encoding_are_a_reply_that_cannot_be_read(data: bytes, encoding: str) -> None:
    decoding = Decoding(encoding)
    try:
        for _ in decoding.feed(data):
            pass
        decoding.close()
    except (Malformed, StreamCut):
        return
