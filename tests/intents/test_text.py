"""What a message becomes before anybody reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intents.text import LONGEST, normalise, simplify


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("公司拖欠工資，怎麼辦？", "公司拖欠工资,怎么办?"),
        ("ＡＰＰ登不上　１２３５１", "app登不上 12351"),
        ("老板\u200b打\ufe0f我😭😭", "老板打我"),
        ("工资没发[流泪][大哭]", "工资没发"),
        ("①要什么材料", "1要什么材料"),
        ("\ud83d半个表情", "半个表情"),
        ("  多\t\n空格 ", "多 空格"),
        ("", ""),
        ("gong zi tuoqian le", "工资拖欠le"),
        ("laoban不给钱", "老板不给钱"),
        ("my app is slow", "my app is slow"),
        ("看 http://gongzi.example.org", "看 http://gongzi.example.org"),
    ],
)
def test_plain_text(raw: str, plain: str) -> None:
    assert simplify(raw) == plain


@pytest.mark.parametrize(
    ("raw", "tight"),
    [
        ("不 想 活 了", "不想活了"),
        ("跳。楼。自。杀", "跳楼自杀"),
        ("我…不想干了！！！怎么 辞职", "我,不想干了,怎么辞职"),
        ("加班费、工资、社保都没有", "加班费,工资,社保都没有"),
    ],
)
def test_gaps_close_and_pauses_stay(raw: str, tight: str) -> None:
    assert normalise(raw).tight == tight


def test_the_raw_text_is_kept() -> None:
    assert normalise("我想諮詢😀").raw == "我想諮詢😀"


anything = st.text(st.characters(codec=None, exclude_categories=()), max_size=300)


@given(anything)
def test_any_text_is_read(raw: str) -> None:
    text = normalise(raw)
    text.plain.encode("utf-8")
    assert len(text.plain) <= LONGEST
    assert "\n" not in text.plain


@given(anything)
def test_reading_twice_changes_nothing(raw: str) -> None:
    once = simplify(raw)
    assert simplify(once) == once


def test_a_very_long_message_is_cut() -> None:
    assert len(normalise("欠" * 50_000).plain) == LONGEST
