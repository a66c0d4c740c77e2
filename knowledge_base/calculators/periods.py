"""Months and years counted to the day. Two ways of the law: time that has run (workers' years), and time limits.

A time limit (民法典第201、202条) leaves out the day it starts from and ends on the same day of the last month, or on
that month's end where there is no such day. Time that has run includes its first and its last day.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta

EARLIEST = date(1950, 1, 1)
ONE_DAY = timedelta(days=1)


def after_months(start: date, months: int) -> date:
    """The same day `months` later (or earlier, when negative), or the month's end where there is no such day."""
    count = start.year * 12 + start.month - 1 + months
    year, month = count // 12, count % 12 + 1
    return date(year, month, min(start.day, monthrange(year, month)[1]))


def limit_end(start: date, *, years: int = 0, months: int = 0, days: int = 0) -> date:
    """The last day of a time limit that runs from `start`; a public holiday would move it on, which we leave out."""
    return after_months(start, years * 12 + months) + timedelta(days=days)


def span_end(first: date, months: int) -> date:
    """The last day of `months` months of which `first` is the first day."""
    count = first.year * 12 + first.month - 1 + months
    year, month = count // 12, count % 12 + 1
    if first.day > monthrange(year, month)[1]:
        return date(year, month, monthrange(year, month)[1])
    return date(year, month, first.day) - ONE_DAY


def months_run(first: date, last: date) -> tuple[int, int]:
    """Whole months from `first` to `last`, both included, and the days left over; (0, 0) when they are reversed."""
    if last < first:
        return 0, 0
    months = max(0, (last.year - first.year) * 12 + last.month - first.month - 1)
    while span_end(first, months + 1) <= last:
        months += 1
    return months, (last - span_end(first, months)).days if months else (last - first).days + 1


def working_days(first: date, last: date) -> int:
    """Mondays to Fridays from `first` to `last`, both included: the days that 21.75 a month counts, holidays too."""
    weeks, rest = divmod(max(0, (last - first).days + 1), 7)
    return weeks * 5 + sum(1 for offset in range(rest) if (first + timedelta(days=offset)).weekday() < 5)


def shown(day: date) -> str:
    """2026年3月31日."""
    return f"{day.year}年{day.month}月{day.day}日"


def years_and_months(months: int) -> str:
    """27 is 2年3个月."""
    years, rest = divmod(months, 12)
    return (f"{years}年" if years else "") + (f"{rest}个月" if rest or not years else "")
