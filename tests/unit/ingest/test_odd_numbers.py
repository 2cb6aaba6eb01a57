"""What looks like a number and is none, and numbers that no float can hold."""

import pytest

from endocrine.pipeline.data.ingest.otel_spans import time_of
from endocrine.pipeline.data.ingest.source import _walk
from endocrine.pipeline.data.ingest.values import parse_time


@pytest.mark.parametrize("value", ["❶", "²", "٣" * 20, "1" * 5000, 10**400, [1, 10**400], [10**400, 1], ["1", 2]])
def test_what_is_no_time_is_no_time_and_raises_nothing(value):
    assert time_of(value) is None


def test_nanoseconds_are_read_from_a_number_and_from_its_digits():
    assert time_of(1_700_000_000_000_000_000) == time_of(" 1700000000000000000 ") == 1.7e9


@pytest.mark.parametrize("factor", [1, 10**3, 10**6, 10**9])
def test_a_time_is_read_in_every_unit(factor):
    assert parse_time(1_700_000_000 * factor) == parse_time(str(1_700_000_000 * factor)) == 1.7e9


@pytest.mark.parametrize("value", ["\u0663" * 20, 10**400, -1, float("nan"), float("inf"), "1e400", True, [], 10**22])
def test_what_is_no_time_of_an_event_is_none(value):
    assert parse_time(value) is None


def test_files_with_odd_digits_in_their_names_have_an_order(tmp_path):
    for name in ("1²2.json", "part-10.json", "part-2.json"):
        (tmp_path / name).write_text("[]")
    names = [path.name for path in _walk(tmp_path)]
    assert names.index("part-2.json") < names.index("part-10.json")
