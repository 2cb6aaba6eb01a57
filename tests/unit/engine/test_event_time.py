"""`ce_time` says what the standard library would say."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from endocrine.pipeline.core.records import event_time
from properties import examples


@given(st.floats(min_value=-6e10, max_value=2.5e11))
@example(0.0)
@example(1714000000.9999996)
@example(-0.0000001)
@settings(max_examples=examples(150))
def test_event_time_is_the_datetime_of_the_same_instant_to_a_microsecond(ts: float) -> None:
    told = event_time(ts)
    assert told is not None
    expected = datetime.fromtimestamp(ts, UTC)
    assert abs((datetime.fromisoformat(told) - expected).total_seconds()) <= 1e-6


@pytest.mark.parametrize("ts", [1e12, -1e12, float("inf"), float("nan")])
def test_a_time_outside_the_calendar_has_no_event_time(ts: float) -> None:
    assert event_time(ts) is None
