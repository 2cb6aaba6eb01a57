"""Times as people write them."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endocrine.pipeline.core import time_format
from endocrine.pipeline.core.time_format import LATEST_S, parse_time, show_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86400.0),
        ("2026-03-01T14:05", 1772373900.0),
        ("2026-03-01 14:05:00Z", 1772373900.0),
        ("2026-03-01T15:05:00.250+01:00", 1772373900.25),
        (" 1772373900.25 ", 1772373900.25),
        ("0", 0.0),
    ],
)
def test_a_time_is_iso_8601_without_a_zone_utc_or_seconds(text, seconds):
    assert parse_time(text) == seconds


def test_now_is_the_moment_it_is_asked(monkeypatch):
    assert parse_time(" now", 12.5) == 12.5
    monkeypatch.setattr(time_format, "time", SimpleNamespace(time=lambda: 7.25))
    assert parse_time("now") == 7.25


@pytest.mark.parametrize(
    "text",
    ["", "soon", "nan", "inf", "1_000", "1e9", "12:30", "2026-13-01", "2026-02-30", "-5", "1740830400250", "0x10", "٣",
     "20260301", "0001-01-01T00:00", "9999-12-31T23:59:59-01:00"],
)  # fmt: skip
def test_what_is_no_time_is_an_error_that_names_it(text):
    with pytest.raises(ValueError, match="xpected ISO 8601") as error:
        parse_time(text)
    assert repr(text) in str(error.value)


@given(st.integers(0, int(LATEST_S * 1000) - 1))
def test_what_is_shown_is_read_back_to_the_millisecond(milliseconds):
    assert round(parse_time(show_time(milliseconds / 1000)) * 1000) == milliseconds
