"""Reading answers: numbers as people write them, spans, days, choices; nothing but `Unclear` ever comes out."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge_base.calculators import answers
from knowledge_base.calculators.answers import Unclear
from knowledge_base.calculators.calculation import Input
from knowledge_base.calculators.catalog import CALCULATORS
from knowledge_base.calculators.numerals import plain, read

TODAY = date(2026, 11, 22)
INPUTS = [each for calculator in CALCULATORS.values() for each in calculator.inputs]
CHINESE = st.text(
    alphabet="零一二两三四五六七八九十百千万半年月日号个天周前后多快了去今昨上下点元块小时0123456789.-/kw级 ，",
    max_size=30,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8千", 8000),
        ("一万二", 12000),
        ("1万2", 12000),
        ("1.2w", 12000),
        ("8K", 8000),
        ("５０００", 5000),
        ("两千五", 2500),
        ("三百五", 350),
        ("一万零五十", 10050),
        ("一万零五", 10005),
        ("一万二千五", 12500),
        ("一千零五十", 1050),
        ("一百零五", 105),
        ("十五", 15),
        ("二十三", 23),
        ("一百二十万", 1200000),
        ("两萬五", 25000),
        ("一点二万", 12000),
        ("八零零零", 8000),
        ("8,000.50", Decimal("8000.50")),
        ("1万20", None),
        ("万", None),
        ("千千", None),
        ("十百", None),
        ("", None),
    ],
)
def test_numerals(text: str, value: object) -> None:
    assert read(plain(text)) == value


def _spoken(number: int) -> str:
    """`number` below ten thousand in full Chinese, as 一千零五十."""
    digits, units, words, gap = str(number), ["", "十", "百", "千"], "", False
    for place, digit in zip(range(len(digits) - 1, -1, -1), digits, strict=True):
        if digit == "0":
            gap = bool(words)
        else:
            words += ("零" if gap else "") + "零一二三四五六七八九"[int(digit)] + units[place]
            gap = False
    return words


@given(st.integers(1, 9999), st.integers(0, 9999))
def test_every_number_reads_back(high: int, low: int) -> None:
    assert read(_spoken(high)) == high
    zero = "零" if low < 1000 else ""
    assert read(_spoken(high) + "万" + (zero + _spoken(low) if low else "")) == high * 10_000 + low


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5000块", 5000),
        ("一个月8千", 8000),
        ("月薪一万二左右", 12000),
        ("大概3000多", 3000),
        ("￥4500.5元", Decimal("4500.5")),
        ("每月到手六千块钱", 6000),
        ("前12个月平均八千五", 8500),
    ],
)
def test_monthly_money(text: str, value: object) -> None:
    assert answers.money(text, "月") == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("-5000", "负"),
        ("负三千", "负"),
        ("一天200", "一个月"),
        ("时薪25", "一个月"),
        ("年薪12万", "一个月"),
        ("三四千", "取中间"),
        ("4500到5000", "取中间"),
        ("底薪3000提成2000", "数字"),
        ("看情况", "数字"),
        ("", "数字"),
    ],
)
def test_money_that_cannot_be_used_says_why(text: str, why: str) -> None:
    with pytest.raises(Unclear) as refused:
        answers.money(text, "月")
    assert why in refused.value.reason


def test_hourly_money() -> None:
    assert answers.money("25块一小时", "小时") == 25
    assert answers.money("一小时二十七块", "小时") == 27
    with pytest.raises(Unclear, match="一小时"):
        answers.money("一天200", "小时")


def test_hours_in_a_month() -> None:
    assert answers.number("一个月44个小时", "月小时") == 44
    with pytest.raises(Unclear, match="24小时"):
        answers.number("每天25小时", "月小时")
    with pytest.raises(Unclear, match="换成小时"):
        answers.number("3天", "月小时")


@pytest.mark.parametrize(
    ("text", "months"),
    [
        ("3年零4个月", 40),
        ("三年四个月", 40),
        ("10年半", 126),
        ("半年", 6),
        ("3.5年", 42),
        ("18个月", 18),
        ("快十年", 119),
        ("十年多", 120),
        ("５年", 60),
        ("十二年整", 144),
        ("20多年", 240),
        ("5", 60),
    ],
)
def test_spans(text: str, months: int) -> None:
    assert answers.span(text, "years") == months


def test_a_bare_number_counts_what_was_asked() -> None:
    assert answers.span("6", "months") == 6
    assert answers.span("6", "years") == 72


@pytest.mark.parametrize("text", ["两三年", "几年", "十几年", "3年到5年", "-3年", "好久", "99999年"])
def test_vague_spans_are_asked_again(text: str) -> None:
    with pytest.raises(Unclear):
        answers.span(text, "years")


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2019年3月", date(2019, 3, 1)),
        ("2019.3.1", date(2019, 3, 1)),
        ("2019-03-01", date(2019, 3, 1)),
        ("20190301", date(2019, 3, 1)),
        ("去年三月", date(2025, 3, 1)),
        ("二〇一九年三月五号", date(2019, 3, 5)),
        ("19年3月5日", date(2019, 3, 5)),
        ("3.15", date(2026, 3, 15)),
        ("昨天", date(2026, 11, 21)),
        ("上个月15号", date(2026, 10, 15)),
        ("十五号", date(2026, 11, 15)),
    ],
)
def test_days(text: str, day: date) -> None:
    assert answers.day(text, TODAY) == day


def test_a_bare_month_is_read_from_the_edge_that_was_asked_for() -> None:
    assert answers.day("2024年2月", TODAY, edge="last") == date(2024, 2, 29)
    assert answers.day("这个月", TODAY, edge="last") == TODAY


def test_a_future_day_only_where_one_is_possible() -> None:
    assert answers.day("12月31号", TODAY, future=True) == date(2026, 12, 31)
    assert answers.day("12月31号", TODAY) == date(2025, 12, 31)
    with pytest.raises(Unclear, match="还没到"):
        answers.day("2027年3月1日", TODAY)


@pytest.mark.parametrize(
    "text", ["2月30日", "2023年2月29日", "2024年13月", "去年", "三年前", "3月1号到5月1号", "忘了", ""]
)
def test_days_that_do_not_exist_or_are_too_vague(text: str) -> None:
    with pytest.raises(Unclear):
        answers.day(text, TODAY)


CHOICES = {"full": ("全日制",), "part": ("非全日制", "小时工"), "other": ("说不清", "不知道")}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("1", "full"),
        ("第二个", "part"),
        ("选三", "other"),
        ("2.", "part"),
        ("我是非全日制的", "part"),
        ("全日制", "full"),
        ("小时", "part"),
    ],
)
def test_choices(text: str, key: str) -> None:
    assert answers.choice(text, CHOICES) == key


@pytest.mark.parametrize("text", ["4", "0", "随你", ""])
def test_a_choice_that_fits_none_lists_them(text: str) -> None:
    with pytest.raises(Unclear, match=r"1\. 全日制"):
        answers.choice(text, CHOICES)


def test_a_choice_that_fits_two_alike_is_asked_again() -> None:
    with pytest.raises(Unclear):
        answers.choice("说不清，是小时工", CHOICES)


@given(st.one_of(st.text(max_size=60), CHINESE), st.sampled_from(INPUTS))
def test_any_text_gives_a_value_that_keeps_or_a_reason(text: str, asked: Input) -> None:
    reason = ""
    try:
        value = asked.parse(text, TODAY)
    except Unclear as refused:
        reason = refused.reason
    else:
        assert asked.parse(answers.written(value), TODAY) == value
        return
    assert 0 < len(reason) < 300


@given(st.one_of(st.text(max_size=80), CHINESE))
def test_a_story_never_breaks_the_search_for_values(text: str) -> None:
    for calculator in CALCULATORS.values():
        for value in calculator.gather(text, TODAY).values():
            assert value is not None


def test_values_are_found_in_a_story() -> None:
    severance = CALCULATORS["severance"]
    told = "我2019年3月1号入职，月薪八千五，今年5月20号被辞退，能赔多少"
    assert severance.gather(told, TODAY) == {
        "hire_date": date(2019, 3, 1),
        "leave_date": date(2026, 5, 20),
        "monthly_wage": Decimal(8500),
    }
    run_on = "2019年3月1号入职今年5月20号被辞退工资一个月4500能赔多少"
    assert severance.gather(run_on, TODAY)["leave_date"] == date(2026, 5, 20)
    assert "monthly_wage" not in severance.gather("欠了我三个月工资2019年的", TODAY)
    assert "hire_date" not in severance.gather("入职三年了", TODAY)
    assert "monthly_wage" not in severance.gather("欠我工资20000没给", TODAY)
    assert "monthly_wage" not in severance.gather("平均应发一万一，人力按基本工资四千算", TODAY)
    assert severance.gather("下个月辞职", TODAY) == {"leave_date": date(2026, 12, 31)}
