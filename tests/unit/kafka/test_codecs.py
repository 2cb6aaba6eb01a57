"""Decompression within a bound."""

import cramjam
import pytest

import rawbatches as wire
from endocrine.pipeline.kafka.codecs import NAMES, Undecodable, decompress

TEXT = b'{"identity": "ann"}' * 500
CODECS = sorted(NAMES)


@pytest.mark.parametrize("codec", CODECS)
def test_what_producers_compress_is_read(codec):
    for content in (b"", b"x", TEXT, bytes(3 << 20)):
        assert decompress(codec, wire.compressed(codec, content), 4 << 20) == content


@pytest.mark.parametrize("codec", CODECS)
def test_a_payload_that_decompresses_to_more_than_the_bound_is_refused_and_says_so(codec):
    payload = wire.compressed(codec, bytes(1 << 20))
    assert len(decompress(codec, payload, 1 << 20)) == 1 << 20
    with pytest.raises(Undecodable, match=f"its {NAMES[codec]} payload decompresses to more than 1048575 bytes"):
        decompress(codec, payload, (1 << 20) - 1)
    assert decompress(codec, wire.compressed(codec, TEXT), 1 << 20) == TEXT  # a later one is read all the same


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("payload", [b"", b"garbage", b"\xff" * 64, b"\x1f\x8b\x08\0", b"\x04\x22\x4d\x18\x60\x70\x73"])
def test_a_corrupt_payload_is_refused_in_the_same_words_whatever_the_library_says(codec, payload):
    if codec == wire.GZIP and payload == b"":
        return
    with pytest.raises(Undecodable, match=f"^its {NAMES[codec]} payload is corrupt$"):
        decompress(codec, payload, 1 << 20)


def test_bytes_after_the_end_of_a_stream_do_not_matter_as_they_do_not_to_kafka():
    for codec, after in ((wire.GZIP, b"garbage"), (wire.LZ4, b"garbage"), (wire.SNAPPY, b"\0\0\0")):
        assert decompress(codec, wire.compressed(codec, TEXT) + after, 1 << 20) == TEXT


def test_streams_that_follow_each_other_are_one():
    for codec in (wire.GZIP, wire.SNAPPY, wire.ZSTD):
        payload = wire.compressed(codec, TEXT) + wire.compressed(codec, b"more")
        assert decompress(codec, payload, 1 << 20) == TEXT + b"more"


def test_snappy_without_the_java_framing_is_read():
    assert decompress(wire.SNAPPY, bytes(cramjam.snappy.compress_raw(TEXT)), 1 << 20) == TEXT


def test_an_lz4_frame_whose_content_checksum_is_wrong_is_read_as_kafka_reads_it():
    frame = bytearray(wire.compressed(wire.LZ4, TEXT))
    frame[4] |= 0x04  # says that a checksum of the content follows
    assert decompress(wire.LZ4, bytes(frame) + b"\0\0\0\0", 1 << 20) == TEXT


def test_an_unknown_codec_is_refused():
    with pytest.raises(Undecodable, match="codec 6 is unknown"):
        decompress(6, b"", 1 << 20)
