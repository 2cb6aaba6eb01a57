"""What is taken for valid at a glance is what the topic's model takes, and nothing else is."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from endocrine.pipeline.core import certain
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.decode import Malformed, decode
from endocrine.schemas.observations import Observation, Window
from properties import examples

AT_A_GLANCE = CATALOGUE["observations"]
BY_MODEL = replace(AT_A_GLANCE, certain=None)
GOOD = {
    "primitive": "motor.pace",
    "value": "low",
    "confidence": 0.5,
    "window": {"start_ts": 1.0, "end_ts": 2.0},
    "source": "sensor",
    "evidence_ref": None,
    "identity_ref": "ann",
    "ts": 3.0,
    "id": "o1",
    "v": 1,
}
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, 1, 0.0, 1.0, -0.0, 1.0000000000000002, 5e-324, 1e308, 2**53 + 1]),
    st.sampled_from(["", "a" * 256, "a" * 257, "é"]),
    st.text(max_size=4),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.text(max_size=3), SCALARS, max_size=2),
    st.builds(lambda start, end: {"start_ts": start, "end_ts": end}, SCALARS, SCALARS),
)
NAMES = st.one_of(st.sampled_from([*GOOD, "surplus"]), st.text(max_size=3))


def judged(topic, content):
    """What becomes of a record: its value with the types of all parts, or why it is refused."""
    try:
        return typed(decode(topic, content, 1 << 20))
    except Malformed as error:
        return error.kind, str(error)


def typed(value):
    if isinstance(value, dict):
        return {name: typed(part) for name, part in value.items()}
    if isinstance(value, list):
        return [typed(part) for part in value]
    return value.__class__, repr(value)


@st.composite
def observations(draw):
    """A good one with some fields replaced, left out or added, in any order; as bytes."""
    fields = dict(GOOD)
    if draw(st.booleans()):
        del fields["evidence_ref"]
    for name in draw(st.lists(NAMES, max_size=3)):
        if draw(st.integers(0, 3)) == 0:
            fields.pop(name, None)
        else:
            fields[name] = draw(VALUES)
    if draw(st.booleans()):
        fields = dict(draw(st.permutations(list(fields.items()))))
    return orjson.dumps(fields)


@given(observations())
@example(b'{"primitive":"a"}')
@example(orjson.dumps(GOOD).replace(b'"low"', b"1e400"))
@example(orjson.dumps(GOOD).replace(b'"low"', b"NaN"))
@example(orjson.dumps(GOOD).replace(b'"low"', b"123456789012345678901234567890"))
@example(orjson.dumps(GOOD).replace(b'"low"', b"[1, 2.5]"))
@example(orjson.dumps(GOOD).replace(b'"low"', b'"low", "value": "high"'))
@example(orjson.dumps(GOOD).replace(b'"ann"', b'"\\ud800"'))
@example(orjson.dumps(GOOD).replace(b"3.0", b"3"))
@example(orjson.dumps(GOOD).replace(b'"v":1', b'"v":true'))
@example(orjson.dumps(GOOD).replace(b'"v":1', b'"v":1.0'))
@example(b'"window"')
@example(b"[]")
@example(b"null")
@settings(max_examples=examples(1500), deadline=None)
def test_the_glance_and_the_model_take_the_same_records_for_the_same_values(content):
    assert judged(AT_A_GLANCE, content) == judged(BY_MODEL, content)


@given(VALUES)
@settings(max_examples=examples(300), deadline=None)
def test_every_json_value_as_a_whole_record_is_judged_alike(value):
    content = orjson.dumps(value)
    assert judged(AT_A_GLANCE, content) == judged(BY_MODEL, content)


@pytest.mark.parametrize("value", ["low", True, 3, 2.5])
@pytest.mark.parametrize("left_out", [(), ("evidence_ref",)])
def test_plain_observations_do_not_come_to_the_model(value, left_out):
    good = {name: part for name, part in {**GOOD, "value": value}.items() if name not in left_out}
    assert certain.observation(good) is good


@pytest.mark.parametrize("value", [[1], {"a": 1}, None])
def test_what_is_not_certain_is_left_to_the_model(value):
    assert certain.observation({**GOOD, "value": value}) is None


def test_the_glance_knows_the_fields_of_the_model():
    assert set(GOOD) == set(Observation.__annotations__)
    assert set(GOOD["window"]) == set(Window.__annotations__)
