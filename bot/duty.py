"""When people are on duty: hours from the settings, Chinese public holidays and swapped working days respected."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import chinese_calendar

BEIJING = ZoneInfo("Asia/Shanghai")
# Holidays of every year, for years whose calendar has not been announced yet (全国年节及纪念日放假办法第2条).
_FIXED_HOLIDAYS = {(1, 1), (5, 1), (5, 2), (10, 1), (10, 2), (10, 3)}
_WEEKDAYS = "一二三四五六日"


@functools.lru_cache(maxsize=4096)
def is_workday(day: date) -> bool:
    """Whether offices work on that day. Beyond the announced calendar: Monday to Friday, less the fixed holidays."""
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:
        return day.weekday() < 5 and (day.month, day.day) not in _FIXED_HOLIDAYS


@dataclass(frozen=True, slots=True)
class Clock:
    """How soon a person answers, and how soon the matter is to be settled. `by_duty`: only duty hours count."""

    respond: timedelta
    resolve: timedelta
    by_duty: bool


# After DB11/T 2021—2022: life and safety at once, ordinary matters within the duty day, feedback in 1, 7 or 15 days.
CLOCKS = {
    "crisis": Clock(timedelta(minutes=10), timedelta(days=1), by_duty=False),
    "urgent": Clock(timedelta(hours=1), timedelta(days=1), by_duty=False),
    "priority": Clock(timedelta(hours=2), timedelta(days=7), by_duty=True),
    "routine": Clock(timedelta(hours=7), timedelta(days=15), by_duty=True),
}


class Hours:
    """The duty hours of a working day, in Beijing time, from text like `09:00-12:00,13:30-18:00`."""

    def __init__(self, text: str) -> None:
        spans = [part.strip().partition("-") for part in text.split(",")]
        self.spans = sorted((time.fromisoformat(start), time.fromisoformat(end)) for start, _, end in spans)

    def on_duty(self, now: datetime) -> bool:
        local = now.astimezone(BEIJING)
        return is_workday(local.date()) and any(start <= local.time() < end for start, end in self.spans)

    def next_open(self, now: datetime) -> datetime:
        """`now` itself when somebody is on duty, else the moment when duty begins next."""
        for start, end in self._spans_from(now):
            if end > now:
                return max(start, now)
        raise AssertionError("a year without a working day")

    def after(self, now: datetime, worked: timedelta) -> datetime:
        """The moment when `worked` of duty time has passed since `now`."""
        left = worked
        for start, end in self._spans_from(now):
            begin = max(start, now)
            if begin >= end:
                continue
            if end - begin >= left:
                return begin + left
            left -= end - begin
        raise AssertionError("a year without a working day")

    def due(self, urgency: str, now: datetime) -> tuple[datetime, datetime]:
        """When a person is to have answered, and when the matter is to be settled."""
        clock = CLOCKS[urgency]
        respond = self.after(now, clock.respond) if clock.by_duty else now + clock.respond
        return respond, now + clock.resolve

    def _spans_from(self, now: datetime) -> list[tuple[datetime, datetime]]:
        first = now.astimezone(BEIJING).date()
        days = (first + timedelta(days=ahead) for ahead in range(60))
        return [
            (datetime.combine(day, start, BEIJING), datetime.combine(day, end, BEIJING))
            for day in days
            if is_workday(day)
            for start, end in self.spans
        ]


def say(moment: datetime, now: datetime) -> str:
    """A moment as people say it: `今天 14:30`, `明天 09:00`, `11月24日（周二）09:00`."""
    there, here = moment.astimezone(BEIJING), now.astimezone(BEIJING)
    ahead = (there.date() - here.date()).days
    day = {0: "今天", 1: "明天"}.get(ahead, f"{there.month}月{there.day}日（周{_WEEKDAYS[there.weekday()]}）")
    return f"{day} {there:%H:%M}" if ahead in (0, 1) else f"{day}{there:%H:%M}"
