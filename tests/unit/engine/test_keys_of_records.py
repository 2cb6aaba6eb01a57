"""Keys of derived records: each form is made of an identity and a value, and read back where no value is."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endocrine.pipeline.core.catalogue import Key, Topic
from endocrine.pipeline.core.partitioning import reserved
from endocrine.schemas.signals import EndocrineSignal

FORMS = {
    "identity": ({}, "ann"),
    "identity/primitive": ({"primitive": "motor.pace"}, "ann/motor.pace"),
    "subject/memory_id": ({"memory_id": "m-1"}, "ann/m-1"),
    "subject/category/key": ({"category": "status", "key": "phase"}, "ann/status/phase"),
    "subject/slot": ({"slot": "pad_material"}, "ann/pad_material"),
    "scope/name": ({"scope": "identity", "name": "Ann B."}, "identity/ann b."),
    "a|b": ({"a": "ann", "b": 'b"ob'}, '["ann","b\\"ob"]'),
    "tool": ({"tool": "web_search"}, "web_search"),
    "digest": ({"digest": "ab"}, "ab"),
    "rollout": ({"number": 3}, "policy"),
    "agent/partition": ({"agent": "gating", "partition": 2}, "gating/2"),
    "key id": ({"key_id": "k"}, "k"),
    "dead letter": ({"topic": "commands", "partition": 0, "offset": 7}, "commands/0/7"),
    "effect": ({"effect_id": "e"}, "e"),
}
FINER = ("identity/primitive", "subject/memory_id", "subject/category/key", "subject/slot")


def of_form(key):
    return Topic("some", EndocrineSignal, "compact", "some", key=key)


@pytest.mark.parametrize("key", get_args(Key))
def test_each_form_of_key_is_made_of_the_identity_and_the_value(key):
    value, expected = FORMS[key]
    assert of_form(key).key_of("ann", value) == expected


@given(subject=st.text(min_size=1), key=st.sampled_from(FINER))
def test_the_subject_is_read_back_from_a_key_whatever_it_holds(subject, key):
    topic = of_form(key)
    assert topic.identity_in(topic.key_of(subject, FORMS[key][0])) == subject


@given(st.sampled_from(["project:", "$"]), st.text(), st.booleans())
def test_a_reserved_name_is_one_in_any_case(begin, rest, upper):
    assert reserved((begin.upper() if upper else begin) + rest)
