"""The duty calendar: hours, holidays, swapped working days, due times."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.duty import BEIJING, CLOCKS, Hours, is_workday, say

HOURS = Hours("09:00-12:00,13:30-18:00")
MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2028, 6, 1), timezones=st.just(UTC))  # noqa: DTZ001


def beijing(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BEIJING)


@pytest.mark.parametrize(
    ("moment", "on_duty"),
    [
        ("2026-11-23 09:00", True),
        ("2026-11-23 08:59", False),
        ("2026-11-23 12:00", False),
        ("2026-11-23 13:30", True),
        ("2026-11-23 18:00", False),
        ("2026-11-22 10:00", False),  # a Sunday
        ("2026-10-01 10:00", False),  # National Day
        ("2026-10-10 10:00", True),  # a Saturday that is worked in exchange
        ("2027-01-01 10:00", False),  # beyond the announced calendar, still a holiday
        ("2027-03-01 10:00", True),
    ],
)
def test_who_is_on_duty(moment: str, on_duty: bool) -> None:
    assert HOURS.on_duty(beijing(moment)) is on_duty


@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        ("2026-11-23 10:00", "2026-11-23 10:00"),
        ("2026-11-23 12:30", "2026-11-23 13:30"),
        ("2026-11-23 02:00", "2026-11-23 09:00"),
        ("2026-11-20 18:00", "2026-11-23 09:00"),
        ("2026-09-30 20:00", "2026-10-08 09:00"),
    ],
)
def test_when_duty_begins_next(moment: str, opens: str) -> None:
    assert HOURS.next_open(beijing(moment)) == beijing(opens)


def test_only_duty_time_counts_for_ordinary_matters() -> None:
    assert HOURS.after(beijing("2026-11-20 17:00"), timedelta(hours=2)) == beijing("2026-11-23 10:00")
    assert HOURS.after(beijing("2026-11-23 11:00"), timedelta(hours=2)) == beijing("2026-11-23 14:30")


def test_danger_does_not_wait_for_the_morning() -> None:
    night = beijing("2026-11-22 02:00")
    assert HOURS.due("crisis", night)[0] == night + CLOCKS["crisis"].respond


@given(MOMENTS)
def test_duty_begins_at_a_moment_when_somebody_is_there(moment: datetime) -> None:
    opens = HOURS.next_open(moment)
    assert opens >= moment
    assert HOURS.on_duty(opens)


@given(
    MOMENTS, st.timedeltas(timedelta(minutes=1), timedelta(hours=30)), st.timedeltas(timedelta(0), timedelta(hours=5))
)
def test_a_longer_term_never_ends_earlier(moment: datetime, term: timedelta, more: timedelta) -> None:
    assert moment + term <= HOURS.after(moment, term) <= HOURS.after(moment, term + more)


@given(st.dates(datetime(2024, 1, 1).date(), datetime(2035, 12, 31).date()))  # noqa: DTZ001
def test_every_day_has_an_answer(day: object) -> None:
    assert is_workday(day) in {True, False}


def test_moments_are_said_as_people_say_them() -> None:
    now = beijing("2026-11-22 23:00")
    assert say(beijing("2026-11-22 23:30"), now) == "今天 23:30"
    assert say(beijing("2026-11-23 09:00"), now) == "明天 09:00"
    assert say(beijing("2026-11-24 09:00"), now) == "11月24日（周二）09:00"
