"""Bodies stand for records: the same record, the same bytes, whichever way it was put down, and another one others."""

from hypothesis import given
from hypothesis import strategies as st

from endocrine.pipeline.core.records import OutputRecord
from endocrine.pipeline.replay.serialized import ending, packed, packing, unpacked

TEXTS = st.none() | st.binary(max_size=300)
HEADERS = st.lists(st.tuples(st.text(max_size=20), TEXTS), max_size=12).map(tuple)


@given(key=TEXTS, value=TEXTS, own=HEADERS, common=HEADERS, derived=st.booleans())
def test_an_output_is_put_down_as_the_record_that_it_becomes(key, value, own, common, derived):
    headers = (*own, *common) if derived else own
    said = packing(common)(OutputRecord("bonds", 3, key, value, own, derived))
    assert said == (("bonds", 3), packed(key, value, headers))
    assert unpacked(said[1]) == (key, value, headers)
    if derived:
        assert said[1].endswith(ending(common))


@given(TEXTS, TEXTS, HEADERS, TEXTS, TEXTS, HEADERS)
def test_different_records_have_different_bodies(key, value, headers, other_key, other_value, other_headers):
    equal = (key, value, headers) == (other_key, other_value, other_headers)
    assert (packed(key, value, headers) == packed(other_key, other_value, other_headers)) == equal
