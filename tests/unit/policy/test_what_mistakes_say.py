"""What a person reads of a mistake: place, text, what is wrong, what was expected; word for word."""

from pathlib import Path

import orjson
import pytest

from endocrine.agents.policy.compiled import compile_policy
from endocrine.agents.policy.errors import PolicyError
from endocrine.agents.policy.resolve import lay_over

CASES = orjson.loads((Path(__file__).parents[2] / "data" / "policy_mistakes.json").read_bytes())


def said(shipped, partial):
    resolved, found = lay_over(shipped.resolved, partial)
    try:
        compile_policy(resolved, valid=shipped.resolved)
    except PolicyError as error:
        found = [*found, *error.errors]
    return [str(one) for one in found]


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_said_word_for_word(shipped, name):
    assert said(shipped, CASES[name]["policy"]) == CASES[name]["mistakes"]


def test_no_mistake_names_a_type_of_python():
    text = " ".join(line for case in CASES.values() for line in case["mistakes"])
    assert not [word for word in ("dictionary", "instance of", "tuple", "dict", "NoneType") if word in text]
