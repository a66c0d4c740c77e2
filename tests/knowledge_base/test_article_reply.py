"""What a worker gets to read of an article: the card, its text, its pages, follow-ups and the source line."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge_base import article, card
from knowledge_base.article import LOCAL_MARK, Article


def written(body: str = "能要回来。", *, topic: str = "legal.wage_arrears", **fields: str) -> Article:
    head = {
        "id": topic,
        "title": "拖欠工资",
        "region": "北京",
        "urgency": "priority",
        "owner": "维权岗",
        "sources": "[{statute: 劳动合同法, articles: [30]}]",
        "checked": "2026-11-22",
        "review_by": "2027-05-22",
    } | fields
    lines = "".join(f"{key}: {value}\n" for key, value in head.items() if value)
    return article.parse(f"---\n{lines}---\n{body}\n", "a")


def test_the_card_comes_in_the_order_a_worker_needs_it() -> None:
    body = "⚠ 一年内。\n\n能要回来。\n\n**例外**：可以晚发。\n\n**这样做**\n1. 留**证据**。\n2. 写下来。"
    one = written(body, follow_ups="{材料: 合同, 去哪办: 监察, 电话: 12345, 费用: 不收费}")
    assert [section.kind for section in card.card(one)] == [
        "conclusion", "step", "note", "deadline", "bring", "where", "sources",
    ]  # fmt: skip
    assert card.text(one) == (
        "能要回来。\n\n这样做：\n1. 留证据。\n2. 写下来。\n\n例外：可以晚发。\n\n⚠ 一年内。\n\n"
        "带什么：合同\n\n找谁：监察\n电话：12345\n\n依据：劳动合同法第30条。核对于2026年11月22日。"
    )


def test_a_meta_article_is_its_body_alone_in_its_own_order() -> None:
    one = written("你好。\n\n1. 说事。\n\n电话别关。\n\n2. 等着。", topic="meta.greeting", follow_ups="{电话: 12345}")
    assert card.text(one) == "你好。\n\n这样做：\n1. 说事。\n\n电话别关。\n\n这样做：\n1. 等着。"


def test_markdown_marks_do_not_reach_a_chat_bubble() -> None:
    one = written("**能**要回来，看[官网](https://example.org)。\n\n- 甲\n- 乙 `丙`\n\n> 引用", topic="meta.thanks_bye")
    assert card.text(one) == "能要回来，看官网（https://example.org）。\n\n· 甲\n· 乙 丙\n\n引用"


def test_source_line_merges_a_statute_and_closes_up_runs() -> None:
    one = written(
        sources="[{statute: 劳动合同法, articles: [38, 30]}, {document: 京人社劳发〔2025〕7号}, "
        "{statute: 民法典侵权责任编, articles: [1191]}, {statute: 劳动合同法, articles: [85, 86, 87, 30]}]"
    )
    assert one.source_line() == (
        "依据：劳动合同法第30、38、85至87条；京人社劳发〔2025〕7号；民法典第1191条。核对于2026年11月22日。"
    )


def test_source_line_says_once_that_local_rules_change() -> None:
    expected = f"依据：某通知。核对于2026年11月22日，此后有变的{LOCAL_MARK}。"
    assert written(sources="[{document: 某通知, local: true}]").source_line() == expected
    marked = written(f"每月2,540元（{LOCAL_MARK}）。", sources="[{document: 某通知, local: true}]")
    assert marked.source_line() == expected


@pytest.mark.parametrize(
    ("day", "valid"),
    [("2026-11-30", False), ("2026-12-01", True), ("2027-05-22", True), ("2027-05-23", False)],
)
def test_an_article_is_valid_from_its_first_day_to_the_day_of_review(day: str, valid: bool) -> None:
    assert written(valid_from="2026-12-01").is_valid_on(date.fromisoformat(day)) is valid


@given(st.dates(date(2026, 1, 1), date(2028, 1, 1)), st.dates(date(2026, 1, 1), date(2028, 1, 1)))
def test_validity_ends_at_the_earlier_of_valid_to_and_review(end: date, review: date) -> None:
    one = written(valid_to=end.isoformat(), review_by=review.isoformat())
    assert one.is_valid_on(min(end, review))
    assert not one.is_valid_on(min(end, review) + timedelta(days=1))


def test_follow_ups_answer_or_fall_back() -> None:
    one = written("能。\n\n⚠ 一年内。\n\n⚠ 监察两年内。", follow_ups="{费用: 都**不收费**}")
    assert one.follow_up("费用") == "都不收费"
    assert one.follow_up("期限") == "⚠ 一年内。\n⚠ 监察两年内。"
    phones = one.follow_up("电话")
    assert phones is not None
    assert "工会职工热线 12351（24小时）" in phones
    assert phones.endswith(f"（号码{LOCAL_MARK}）。")
    assert one.follow_up("材料") is None
    assert one.follow_up("没有的键") is None


def test_numbers_that_do_not_change_carry_no_local_mark() -> None:
    assert written(topic="meta.abuse", urgency="routine").follow_up("电话") == "报警 110。"
    assert written(topic="meta.greeting", urgency="routine").follow_up("电话") is None


def test_one_page_holds_exactly_what_wechat_takes() -> None:
    assert card.pages("啊" * 682 + "ab") == ["啊" * 682 + "ab"]
    assert len(card.pages("啊" * 683)) == 2


@given(st.text(alphabet="工资。！\n a😀", max_size=3000), st.integers(100, 400))
def test_pages_fit_and_lose_nothing_but_blank(whole: str, limit: int) -> None:
    found = card.pages(whole, limit, 60)
    room = limit if len(found) == 1 else limit - 60
    assert all(len(page.encode()) <= room for page in found)
    assert "".join("".join(found).split()) == "".join(whole.split())


def test_pages_break_at_sentences() -> None:
    found = card.pages("公司不发工资。" * 200)
    assert len(found) == 3
    assert all(page.endswith("。") for page in found)
