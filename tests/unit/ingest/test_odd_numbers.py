"""What looks like a number and is none, and numbers that no float can hold."""

import pytest

from endocrine.pipeline.data.ingest.otel_spans import time_of
from endocrine.pipeline.data.ingest.source import _walk


@pytest.mark.parametrize("value", ["❶", "²", "٣" * 20, "1" * 5000, 10**400, [1, 10**400], [10**400, 1], ["1", 2]])
def test_what_is_no_time_is_no_time_and_raises_nothing(value):
    assert time_of(value) is None


def test_nanoseconds_are_read_from_a_number_and_from_its_digits():
    assert time_of(1_700_000_000_000_000_000) == time_of(" 1700000000000000000 ") == 1.7e9


def test_files_with_odd_digits_in_their_names_have_an_order(tmp_path):
    for name in ("1²2.json", "part-10.json", "part-2.json"):
        (tmp_path / name).write_text("[]")
    names = [path.name for path in _walk(tmp_path)]
    assert names.index("part-2.json") < names.index("part-10.json")
