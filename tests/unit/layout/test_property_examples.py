"""`make properties` tries every example of every property, `make test` the same share of each."""

import re
from pathlib import Path

import pytest
from hypothesis import settings

import properties
from properties import examples

TESTS = Path(__file__).parents[2]
BARE = re.compile(r"max_examples=\d")


def test_no_property_names_a_number_of_examples_that_no_profile_changes() -> None:
    bare = [path.name for path in TESTS.glob("unit/**/*.py") if BARE.search(path.read_text())]
    assert not bare, f"write max_examples=examples(n), see tests/support/properties.py: {bare}"


@pytest.mark.parametrize(
    ("profile", "counts"),
    [(properties.THOROUGH, [1500, 100, 12, 3]), (properties.QUICK, [375, 25, 5, 3])],
)
def test_a_profile_takes_its_share_and_never_fewer_than_five(profile: str, counts: list[int]) -> None:
    before = settings.get_current_profile_name()
    settings.load_profile(profile)
    try:
        assert [examples(thorough) for thorough in (1500, 100, 12, 3)] == counts
    finally:
        settings.load_profile(before)
