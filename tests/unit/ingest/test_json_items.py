"""Objects of an array, one at a time."""

import io

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.pipeline.data.ingest.json_items import json_items
from endocrine.pipeline.data.ingest.model import Refused
from properties import examples

TEXTS = st.text(alphabet='a"\\{}[],: \n\u00e9', max_size=8)
OBJECTS = st.lists(
    st.dictionaries(TEXTS, st.lists(TEXTS, max_size=3) | st.dictionaries(TEXTS, TEXTS, max_size=2), max_size=4),
    max_size=6,
)


@settings(max_examples=examples(100), deadline=None)
@given(objects=OBJECTS, chunk=st.integers(1, 40), indent=st.booleans())
def test_objects_come_out_as_they_are_whatever_the_chunks(objects, chunk, indent):
    raw = orjson.dumps(objects, option=orjson.OPT_INDENT_2 if indent else None)
    found = list(json_items(io.BytesIO(raw), "in", "item", chunk))
    assert [(number, orjson.loads(item)) for number, item in found] == list(enumerate(objects, 1))


@settings(max_examples=examples(100), deadline=None)
@given(objects=OBJECTS, chunk=st.integers(1, 40), share=st.floats(0, 1))
def test_a_cut_file_gives_the_objects_before_the_cut_and_one_refusal(objects, chunk, share):
    raw = orjson.dumps(objects)
    cut = raw[: int(len(raw) * share)][:-1]
    found = list(json_items(io.BytesIO(cut), "in", "item", chunk))
    whole = [orjson.loads(item[1]) for item in found if not isinstance(item, Refused)]
    assert whole == objects[: len(whole)]
    assert len(found) - len(whole) == (1 if cut else 0)


@settings(max_examples=examples(100), deadline=None)
@given(raw=st.binary(max_size=60), chunk=st.integers(1, 9))
def test_any_bytes_are_read_without_failure(raw, chunk):
    list(json_items(io.BytesIO(raw), "in", "item", chunk))
    list(json_items(io.BytesIO(b"[" + raw), "in", "item", chunk))
