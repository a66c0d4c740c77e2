"""Money, dates and the rest, found in what people write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intents.entities import find, number


def values(text: str, kind: str) -> list[str]:
    return [entity.value for entity in find(text) if entity.kind == kind]


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("两千三", 2300),
        ("一万二", 12000),
        ("三万五千", 35000),
        ("十五", 15),
        ("二十", 20),
        ("一百零三", 103),
        ("半", 0.5),
        ("3,200.50", 3200.5),
        ("3.5万", 35000),
        ("两", 2),
    ],
)
def test_numbers(words: str, value: float) -> None:
    assert number(words) == value


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("欠我三万五千块钱", "money", ["35000"]),
        ("还差8000多元没给", "money", ["8000"]),
        ("工资4500元,提成1.2万", "money", ["4500", "12000"]),
        ("两千三百块", "money", ["2300"]),
        ("拖了三个月工资", "months", ["3"]),
        ("干了一个半月", "months", ["1.5"]),
        ("干了两个半月", "months", ["2.5"]),
        ("半年没发", "months", ["6"]),
        ("我们三十多个人都没拿到", "headcount", ["30"]),
        ("二十几号工人", "headcount", ["20"]),
        ("我一个人", "headcount", []),
        ("打13800138000找我", "phone", ["13800138000"]),
        ("打12333没人接", "phone", []),
        ("去年三月被辞退", "date", ["去年三月"]),
        ("2026年5月3日入职", "date", ["2026年5月3日"]),
        ("三个月前摔伤", "date", ["三个月前"]),
        ("我在黄村镇上班", "place", ["黄村镇"]),
        ("我在北京宏达建筑公司干活", "employer", ["北京宏达建筑公司"]),
        ("三个月前离职", "months", []),
    ],
)
def test_things_named(text: str, kind: str, expected: list[str]) -> None:
    assert values(text, kind) == expected


@given(st.text(max_size=300))
def test_never_raises(text: str) -> None:
    for entity in find(text):
        assert entity.text in text


@given(st.text(alphabet="零一二三四五六七八九十百千万亿两半0123456789.,", max_size=20))
def test_number_never_raises(words: str) -> None:
    number(words)
