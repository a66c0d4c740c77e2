from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.pages import MORE, clean, pages, size

LINK = '<a href="weixin://bizmsgmenu?msgmenucontent=%E6%AC%A0%E8%96%AA&msgmenuid=wages">1. 欠薪</a>'


def joined(cut: list[str], hint: str = MORE) -> str:
    """The content without hints and without any whitespace."""
    parts = [page.removesuffix("\n" + hint) for page in cut[:-1]] + cut[-1:]
    return re.sub(r"\s", "", "".join(parts))


def test_short_text_is_one_page_without_a_hint() -> None:
    assert pages(" 您好\n", 2048) == ["您好"]


def test_a_text_of_exactly_the_limit_is_one_page() -> None:
    assert pages("工" * 682 + "ab", 2048) == ["工" * 682 + "ab"]
    assert len(pages("工" * 683, 2048)) == 2


def test_nothing_is_one_empty_page() -> None:
    assert pages(" \n", 2048) == [""]


def test_cuts_at_a_blank_line_before_a_sentence_end() -> None:
    text = "甲" * 20 + "。\n\n" + "乙" * 5 + "。" + "丙" * 40
    assert pages(text, 120, "更多")[0] == "甲" * 20 + "。\n更多"


def test_cuts_after_a_sentence_with_its_closing_marks() -> None:
    text = "他说：“" + "甲" * 20 + "。”" + "乙" * 40
    assert pages(text, 120, "更多")[0] == "他说：“" + "甲" * 20 + "。”\n更多"


def test_closing_marks_never_open_a_page() -> None:
    sentence = "甲" * 10 + "。”"
    for limit in range(60, 140):
        assert not any(page.startswith("”") for page in pages(sentence * 8, limit, "更多"))


def test_an_early_break_does_not_make_a_tiny_page() -> None:
    cut = pages("好。" + "甲" * 100, 200, "更多")
    assert size(cut[0]) > 180


def test_a_link_is_never_cut() -> None:
    for before in range(60):
        text = "甲" * before + LINK + "乙" * 60
        assert sum(LINK in page for page in pages(text, 150, "更多")) == 1


def test_an_emoji_family_stays_together() -> None:
    family = "👨‍👩‍👧"
    for before in range(30):
        assert any(family in page for page in pages("甲" * before + family + "乙" * 30, 80, "更多"))


def test_no_room_for_text_beside_the_hint() -> None:
    with pytest.raises(ValueError):
        pages("甲" * 100, 30, MORE)


@given(
    st.text(
        st.one_of(st.sampled_from("工资。！？；，、 \n\n”）😭\u200d\u0301a"), st.characters(exclude_categories=["Cs"])),
        max_size=400,
    ),
    st.integers(50, 300),
)
def test_every_page_fits_and_nothing_is_lost(text: str, limit: int) -> None:
    cut = pages(text, limit)
    assert all(size(page) <= limit for page in cut)
    assert all(page.endswith(MORE) for page in cut[:-1])
    assert all(page.removesuffix(MORE).strip() for page in cut[:-1])
    assert joined(cut) == re.sub(r"\s", "", text)


@given(st.lists(st.one_of(st.just(LINK), st.text("甲乙。\n ，", max_size=30)), max_size=20), st.integers(150, 400))
def test_links_survive_any_cut(parts: list[str], limit: int) -> None:
    cut = pages("\n".join(parts), limit)
    assert all(size(page) <= limit for page in cut)
    assert sum(page.count(LINK) for page in cut) == parts.count(LINK)


@given(st.text(st.characters()))
def test_clean_text_carries_no_control_characters_and_survives_encoding(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", cleaned)
    assert clean(cleaned) == cleaned
