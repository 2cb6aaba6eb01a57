"""A dead letter keeps its record whole to the byte that fits, and says what it left out."""

import hashlib

import pytest

from endocrine.pipeline.core.dead_letters import MESSAGE_CHARS, dead_letter
from endocrine.pipeline.core.records import (
    CE_ID,
    CUT_SHORT,
    ERROR,
    ERROR_KIND,
    ORIGIN,
    REKEYED_FROM,
    SEAL,
    WAS_SEALED,
    Fetched,
)
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.sizes import EXCERPT_BYTES, Sizes, headers_bytes, record_bytes

SEALS = simulated_seals()
SMALL = Sizes(value=1000, headers=100, topic=200_000)
ROOM = 200_000 + 64 * 1024


def made(value=b"{}", headers=(), *, key=b"ann", sealed=False, message="m", sizes=SMALL):
    return dead_letter(
        "gating", "tool-calls", Fetched(3, 17, 0, key, value, headers), "kind", message,
        seals=SEALS, sealed=sealed, sizes=sizes,
    )  # fmt: skip


def valid(out):
    return SEALS.valid(out.topic, Fetched(out.partition, 0, 0, out.key, out.value, out.own), dict(out.own))


def test_a_dead_letter_says_what_where_and_why_and_is_sealed():
    out = made(headers=(("x", b"1"), (CE_ID, b"id")))
    assert (out.topic, out.partition, out.key, out.value, out.derived) == ("tool-calls.dlq", 3, b"ann", b"{}", False)
    assert [name for name, _ in out.own] == ["x", CE_ID, ERROR, ERROR_KIND, ORIGIN, SEAL]
    assert dict(out.own)[ORIGIN] == b"gating/tool-calls/3/17/0"
    assert (dict(out.own)[ERROR], dict(out.own)[ERROR_KIND]) == (b"m", b"kind")
    assert valid(out)


@pytest.mark.parametrize("name", [CE_ID, REKEYED_FROM])
def test_its_seal_covers_the_headers_by_which_copies_are_known(name):
    out = made(headers=((name, b"tool-calls/0/1"),))
    assert valid(out)
    assert not valid(out._replace(own=tuple((n, b"tool-calls/0/2" if n == name else c) for n, c in out.own)))


@pytest.mark.parametrize("name", [ERROR, ERROR_KIND, ORIGIN, SEAL, CUT_SHORT, WAS_SEALED])
def test_what_the_record_says_under_a_name_that_a_dead_letter_has_itself_is_not_kept(name):
    out = made(headers=((name, b"forged"), ("x", b"1")))
    assert b"forged" not in [content for _, content in out.own]
    assert valid(out)


def test_a_message_is_cut_to_its_bound_and_odd_characters_do_not_hinder():
    assert dict(made(message="x" * (MESSAGE_CHARS + 1)).own)[ERROR] == b"x" * MESSAGE_CHARS
    assert dict(made(message="a\ud800").own)[ERROR] == b"a?"


def test_a_record_that_just_fits_is_whole_and_one_byte_more_leaves_an_excerpt():
    said = [(ERROR, b"m"), (ERROR_KIND, b"kind"), (ORIGIN, b"gating/tool-calls/3/17/0")]
    most = ROOM - record_bytes(b"ann", b"", said)
    whole, cut = made(b"v" * most, sealed=True), made(b"v" * (most + 1), sealed=True)
    assert whole.value == b"v" * most
    assert dict(whole.own)[WAS_SEALED] == b"true"
    assert CUT_SHORT not in dict(whole.own)
    assert cut.value == b"v" * EXCERPT_BYTES
    assert cut.key == b"ann"
    assert WAS_SEALED not in dict(cut.own), "what was cut short is no record of ours any more"
    digest = hashlib.sha256(b"v" * (most + 1)).hexdigest().encode()
    assert dict(cut.own)[CUT_SHORT] == (
        b"key 3 bytes, value %d bytes, 0 headers 0 bytes; value sha256 %b; at most %d bytes of each are here"
        % (most + 1, digest, EXCERPT_BYTES)
    )
    assert valid(whole)
    assert valid(cut)


def test_null_parts_of_a_record_that_does_not_fit_stay_null():
    out = made(None, key=b"k" * 300_000)
    assert (out.key, out.value) == (b"k" * EXCERPT_BYTES, None)
    out = made(b"v" * 300_000, key=None)
    assert (out.key, out.value) == (None, b"v" * EXCERPT_BYTES)


def test_headers_that_just_fit_are_all_kept_and_of_more_those_that_fit_in_their_order():
    size = headers_bytes([("a", b"")])
    just = (("a", b"x" * (60 - size)), ("b", b"y" * (40 - size)))
    assert headers_bytes(just) == 100
    assert made(headers=just).own[:2] == just
    more = (just[0], ("b", b"y" * (41 - size)), ("c", b"z" * (40 - size)))
    out = made(headers=more, sealed=True)
    assert out.own[:2] == (just[0], more[2]), "one too large is left out, and a smaller one after it is kept"
    assert b"3 headers 141 bytes" in dict(out.own)[CUT_SHORT]
    assert WAS_SEALED not in dict(out.own)
    assert out.value == b"{}"
