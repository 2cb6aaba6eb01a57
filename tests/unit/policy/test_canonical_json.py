"""The quick way to canonical JSON gives what the package rfc8785 gives, byte for byte, or its error."""

import math
import sys

import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from endocrine.agents import canonical
from endocrine.agents.canonical import canonical_json
from properties import examples

CHARACTERS = st.one_of(
    st.characters(codec="ascii"),
    st.characters(),
    st.characters(categories=["Cs"]),
    st.sampled_from('\x00\x08\x1f"\\/\x7f\x80\u2028\ud7ff\ue000\ufeff\uffff\U00010000\U0001f642\U0010ffff'),
)
TEXTS = st.one_of(st.text('abc.0e{}[],:"', max_size=6), st.text(CHARACTERS, max_size=6))
EDGES = [
    0.0, -0.0, 1e-7, 9.99e-7, 1e-6, 9.999e-6, 1e-5, 1.5e-5, 1e15, 1e16, 1e20, 1e21, 1.5e300, 5e-324, sys.float_info.min,
    sys.float_info.max, 2.0**53 - 1, 2.0**53, 2.0**53 + 2, 2.0**52 + 0.5, 0.1 + 0.2, math.nan, math.inf,
]  # fmt: skip
FLOATS = st.one_of(
    st.floats(),
    st.floats(-1e17, 1e17),
    st.floats(-1e-4, 1e-4),
    st.integers(-(2**54), 2**54).map(float),
    st.sampled_from([*EDGES, *(-edge for edge in EDGES)]),
)
INTEGERS = st.one_of(st.integers(), st.integers(2**53 - 3, 2**53 + 3), st.integers(-(2**53) - 3, 3 - 2**53))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), INTEGERS, FLOATS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=2).map(tuple),
        st.dictionaries(TEXTS, inner, max_size=5),
    ),
    max_leaves=12,
)


def said(write, value):
    try:
        return write(value)
    except (rfc8785.CanonicalizationError, UnicodeError) as error:
        return type(error)


@settings(max_examples=examples(150), deadline=None)
@given(VALUES)
@example({"\ue000": 1, "\U00010000": 2})
@example({"\uffff": "x", "a": "\U0001f642"})
@example({"a": {"b": [1.0, -0.0, 1e16]}})
def test_any_json_value_is_written_as_the_package_writes_it(value):
    assert said(canonical_json, value) == said(rfc8785.dumps, value)


@settings(max_examples=examples(150), deadline=None)
@given(FLOATS)
def test_any_number_is_written_as_the_package_writes_it(number):
    assert said(canonical_json, number) == said(rfc8785.dumps, number)


@pytest.mark.parametrize("value", [{1: 2}, {None: 1}, {"a": {1, 2}}, b"x", {"a": object()}])
def test_what_is_no_json_is_refused_as_the_package_refuses_it(value):
    with pytest.raises(rfc8785.CanonicalizationError):
        canonical_json(value)


def test_a_value_nested_deeper_than_the_quick_way_goes_is_written_all_the_same():
    value = 1.0
    for _ in range(600):
        value = [value]
    assert canonical_json(value) == rfc8785.dumps(value)


def test_what_records_hold_does_not_need_the_package(monkeypatch):
    monkeypatch.setattr(canonical.rfc8785, "dumps", None)
    record = {"ts": 1714000000.0, "named": "h\u00e9 \U0001f642", "list": [1, True, None, {"b": 0.35, "a": -0.0}]}
    expected = '{"list":[1,true,null,{"a":0,"b":0.35}],"named":"h\u00e9 \U0001f642","ts":1714000000}'
    assert canonical_json(record) == expected.encode()
