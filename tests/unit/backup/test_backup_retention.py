"""Which backups are kept."""

from datetime import UTC, datetime

import pytest

from endocrine.pipeline.data.backup.retention import Retention, kept, stamp_of, time_of

NOW = datetime(2026, 4, 12, 12, tzinfo=UTC)


def days(month: int, *numbers: int, year: int = 2026) -> list[str]:
    return [stamp_of(datetime(year, month, number, 3, tzinfo=UTC)) for number in numbers]


@pytest.mark.parametrize(
    ("stamps", "dropped"),
    [
        (days(4, *range(2, 12)), days(4, 2, 3, 4)),
        (days(4, *range(5, 12)) + days(3, 22, 29, 25), days(3, 25)),
        (days(4, *range(5, 12)), []),
        (days(4, *range(5, 12)) + days(1, 1, 15) + days(12, 1, year=2025), days(1, 15)),
        ([], []),
    ],
)
def test_the_newest_of_days_sundays_and_firsts_are_kept(stamps: list[str], dropped: list[str]) -> None:
    assert set(stamps) - kept(stamps, Retention(), NOW) == set(dropped)


def test_of_several_on_one_day_the_newest_is_kept() -> None:
    two = [stamp_of(datetime(2026, 4, 11, hour, tzinfo=UTC)) for hour in (3, 9)]
    assert kept(two, Retention(), NOW) == {two[1]}


def test_a_safety_backup_is_kept_for_a_week_and_counts_as_no_other() -> None:
    young, old = (stamp_of(datetime(2026, 4, day, tzinfo=UTC), safety=True) for day in (6, 4))
    assert kept([young, old], Retention(), NOW) == {young}


def test_other_names_are_no_backups() -> None:
    assert time_of("20260499T000000Z") is None
    assert time_of("notes") is None
