"""When something happened, as workers say it; and months and years counted to the day."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge_base.calculators.dates import find_all, find_date
from knowledge_base.calculators.periods import after_months, limit_end, months_run, span_end, working_days

TODAY = date(2026, 11, 22)
DAYS = st.dates(date(1990, 1, 1), date(2035, 12, 31))


@pytest.mark.parametrize(
    ("text", "earliest", "latest"),
    [
        ("去年三月被辞退", "2025-03-01", "2025-03-31"),
        ("去年的三月二十一日", "2025-03-21", "2025-03-21"),
        ("2024年2月", "2024-02-01", "2024-02-29"),
        ("２０２４年５月３日", "2024-05-03", "2024-05-03"),
        ("二零二四年五月三号", "2024-05-03", "2024-05-03"),
        ("24年5月受的伤", "2024-05-01", "2024-05-31"),
        ("98年入职", "1998-01-01", "1998-12-31"),
        ("2024-05-03开除", "2024-05-03", "2024-05-03"),
        ("2024/5/3", "2024-05-03", "2024-05-03"),
        ("上个月15号", "2026-10-15", "2026-10-15"),
        ("上上个月", "2026-09-01", "2026-09-30"),
        ("上個月15號", "2026-10-15", "2026-10-15"),
        ("这个月3号", "2026-11-03", "2026-11-03"),
        ("5月3号", "2026-05-03", "2026-05-03"),
        ("12月25号", "2025-12-25", "2025-12-25"),
        ("5月份", "2026-05-01", "2026-05-31"),
        ("5月底", "2026-05-21", "2026-05-31"),
        ("前年", "2024-01-01", "2024-12-31"),
        ("去年", "2025-01-01", "2025-12-31"),
        ("今年", "2026-01-01", "2026-11-22"),
        ("去年年底", "2025-11-01", "2025-12-31"),
        ("去年国庆", "2025-10-01", "2025-10-08"),
        ("大前年5月", "2023-05-01", "2023-05-31"),
        ("昨天", "2026-11-21", "2026-11-21"),
        ("前天夜里", "2026-11-20", "2026-11-20"),
        ("上周五", "2026-11-13", "2026-11-13"),
        ("15天前", "2026-11-07", "2026-11-07"),
        ("十几天前", "2026-11-03", "2026-11-11"),
        ("摔伤快一年了", "2025-11-23", "2026-01-22"),
        ("快半年了", "2026-05-23", "2026-06-22"),
        ("一年多前", "2024-11-23", "2025-11-21"),
        ("拖欠工资两年多了", "2023-11-23", "2024-11-21"),
        ("两三年前", "2023-11-22", "2024-11-22"),
        ("一个半月前", "2026-09-22", "2026-10-22"),
    ],
)
def test_what_words_mean(text: str, earliest: str, latest: str) -> None:
    found = find_date(text, TODAY)
    assert found is not None
    assert found[:2] == (date.fromisoformat(earliest), date.fromisoformat(latest))


@pytest.mark.parametrize(
    "text",
    [
        "干了三年多",
        "在这工作快三年了",
        "欠了三个月工资",
        "两月没发工资",
        "一个月8000",
        "12号线旁边",
        "3号楼",
        "2019.3元",
        "2月30号",
        "2023年13月",
        "工资5000",
        "签了三年合同",
        "明天去",
        "",
    ],
)
def test_what_is_no_event(text: str) -> None:
    assert find_date(text, TODAY) is None


def test_how_long_somebody_has_worked_is_marked_and_passed_over() -> None:
    assert [mention.tenure for mention in find_all("在这干了快三年了，上个月被辞退", TODAY)] == [True, False]
    found = find_date("在这干了快三年了，上个月被辞退", TODAY)
    assert found is not None
    assert found[2] == "上个月"
    assert not find_all("上班路上摔伤快一年了", TODAY)[0].tenure


def test_nearly_a_year_is_not_yet_a_year_and_over_a_year_is_past_one() -> None:
    for today in (TODAY, date(2024, 2, 29), date(2025, 2, 28), date(2025, 3, 1)):
        nearly, over = find_date("快一年了", today), find_date("一年多了", today)
        assert nearly is not None
        assert over is not None
        assert limit_end(nearly[0], years=1) >= today
        assert limit_end(over[1], years=1) < today


@given(DAYS)
def test_named_days_read_back(day: date) -> None:
    today = day + timedelta(days=30)
    for text in (
        f"{day.year}年{day.month}月{day.day}日",
        day.isoformat(),
        f"{day:%Y%m%d}",
        f"{day.year}.{day.month}.{day.day}",
    ):
        found = find_date(f"我{text}受伤", today)
        assert found is not None
        assert found[:2] == (day, day)


@given(
    st.one_of(
        st.text(max_size=80),
        st.text(alphabet="零一二两三十百几半年个月日号天周前多快了去今昨上下初底数好0123456789./-干", max_size=25),
    ),
    DAYS,
)
def test_any_text_gives_ordered_ranges(text: str, today: date) -> None:
    for mention in find_all(text, today):
        assert mention.earliest <= mention.latest
        assert mention.phrase
    found = find_date(text, today)
    assert found is None or found[0] <= found[1] <= today


@pytest.mark.parametrize(
    ("start", "years", "end"),
    [
        ("2025-03-31", 1, "2026-03-31"),
        ("2024-02-29", 1, "2025-02-28"),
        ("2023-02-28", 1, "2024-02-28"),
        ("2024-02-29", 4, "2028-02-29"),
    ],
)
def test_a_limit_ends_on_the_same_day_or_the_months_end(start: str, years: int, end: str) -> None:
    assert limit_end(date.fromisoformat(start), years=years) == date.fromisoformat(end)


def test_a_limit_in_days_leaves_out_the_first() -> None:
    assert limit_end(date(2026, 3, 1), days=30) == date(2026, 3, 31)
    assert after_months(date(2026, 1, 31), 1) == date(2026, 2, 28)


@pytest.mark.parametrize(
    ("first", "last", "run"),
    [
        ("2020-01-01", "2020-12-31", (12, 0)),
        ("2020-03-15", "2020-09-14", (6, 0)),
        ("2020-03-15", "2020-09-13", (5, 30)),
        ("2020-08-31", "2021-02-28", (6, 0)),
        ("2021-01-30", "2021-02-28", (1, 0)),
        ("2020-05-05", "2020-05-05", (0, 1)),
        ("2020-05-05", "2020-05-04", (0, 0)),
    ],
)
def test_months_that_have_run(first: str, last: str, run: tuple[int, int]) -> None:
    assert months_run(date.fromisoformat(first), date.fromisoformat(last)) == run


@given(DAYS, st.integers(1, 500))
def test_a_span_holds_exactly_its_months(first: date, months: int) -> None:
    last = span_end(first, months)
    assert months_run(first, last) == (months, 0)
    assert months_run(first, last - timedelta(days=1))[0] == months - 1


@given(DAYS, st.integers(0, 60))
def test_working_days_are_counted_one_by_one(first: date, length: int) -> None:
    days = [first + timedelta(days=offset) for offset in range(length)]
    assert working_days(first, first + timedelta(days=length - 1)) == sum(day.weekday() < 5 for day in days)
