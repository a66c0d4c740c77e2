"""An article's file: what is read from it, and what is said of one that cannot be read."""

from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge_base import article, questions
from knowledge_base.document import ArticleError

HEAD = """\
id: legal.wage_arrears
title: 公司拖着工资不发，怎么要回来
for: 在职或刚离职的职工
region: 北京
urgency: priority
owner: 维权岗
sources:
  - {statute: 劳动合同法, articles: [30, 85]}
  - {document: 京人社劳发〔2025〕7号, date: 2025-07-25, local: true}
checked: 2026-11-22
review_by: 2027-05-22
related: [legal.legal_aid]
intake: [employer_name]
handoff: {when: 人去楼空, reason: 要工会出面, always: true}
follow_ups:
  材料: 合同、工牌、**工资条**。
  电话: 12345
"""
BODY = """
欠薪违法，要得回来。
不收费。

**现在这样做**
1. 先留证据。
   拍照存好。

2. 再书面催一次。
3. 2026 年的账另算。

**有一种情况例外**：商量好可以晚发。

⚠ 离职后一年内申请仲裁。
"""


def file(head: str = HEAD, body: str = BODY) -> str:
    return f"---\n{head}---\n{body}"


def test_everything_in_the_file_is_kept() -> None:
    read = article.parse(file(), "legal/wage_arrears.md")
    assert (read.id, read.title, read.audience) == (
        "legal.wage_arrears",
        "公司拖着工资不发，怎么要回来",
        "在职或刚离职的职工",
    )
    assert (read.region, read.urgency, read.owner) == ("北京", "priority", "维权岗")
    assert (read.sources[0].statute, read.sources[0].articles) == ("劳动合同法", (30, 85))
    assert (read.sources[1].document, read.sources[1].date) == ("京人社劳发〔2025〕7号", date(2025, 7, 25))
    assert read.sources[1].local
    assert (read.checked, read.review_by) == (date(2026, 11, 22), date(2027, 5, 22))
    assert (read.related, read.intake) == (("legal.legal_aid",), ("employer_name",))
    assert read.handoff.always
    assert read.raw == file()


def test_body_is_cut_into_its_parts() -> None:
    sections = article.parse(file(), "a").sections
    assert [(section.kind, section.title) for section in sections] == [
        ("conclusion", ""),
        ("step", "现在这样做"),
        ("note", ""),
        ("deadline", ""),
    ]
    assert sections[0].text == "欠薪违法，要得回来。\n不收费。"
    assert sections[1].text == "1. 先留证据。\n拍照存好。\n2. 再书面催一次。\n3. 2026 年的账另算。"
    assert sections[2].text == "有一种情况例外：商量好可以晚发。"
    assert sections[3].text == "⚠ 离职后一年内申请仲裁。"


def test_windows_line_ends_and_a_byte_order_mark_are_harmless() -> None:
    same = article.parse("\ufeff" + file().replace("\n", "\r\n"), "a")
    assert same.sections == article.parse(file(), "a").sections


@pytest.mark.parametrize(
    ("old", "new", "said", "line"),
    [
        ("checked: 2026-11-22\n", "", "缺少 checked", None),
        ("checked: 2026-11-22", "checked:", "缺少 checked", 11),
        ("checked: 2026-11-22", "checked: 昨天", "checked：日期写成", 11),
        ("checked: 2026-11-22", "checked: 2026-02-30", "没有 2026-02-30 这一天", 11),
        ("checked: 2026-11-22", "checked: 1764000000", "checked：日期写成", 11),
        ("owner: 维权岗", "owner: 维权岗\nowner: 会员岗", "“owner”写了两次", 8),
        ("owner: 维权岗", "ownr: 维权岗", "没有“ownr”这个字段", None),
        ("owner: 维权岗", "raw: 维权岗", "没有“raw”这个字段", 7),
        ("[30, 85]", "[三十]", "“三十”不是条号", 8),
        ("[30, 85]", "[85-30]", "前后颠倒", 8),
        ("[30, 85]", "[1-999999]", "不是条号", 8),
        ("[30, 85]", "[30", "格式不对", None),
        ("{statute: 劳动合同法, articles: [30, 85]}", "{articles: [30]}", "二选一", 8),
        ("{statute: 劳动合同法, articles: [30, 85]}", "{document: 通知, articles: [30]}", "条号要跟 statute", 8),
        ("always: true", "always: 也许", "handoff.always：只能写 true 或 false", 15),
        ("id: legal.wage_arrears", "id: 欠薪", "id：写成 组.名 这样", 2),
        ("region: 北京", "region: [北京]", "region：写法不对", 5),
        ("  电话: 12345", "  电话: &a [*a]", "格式不对", None),
        ("title:", "title: ［" + "[" * 600, "套得太深", None),
    ],
)
def test_a_broken_field_is_named(old: str, new: str, said: str, line: int | None) -> None:
    with pytest.raises(ArticleError) as raised:
        article.parse(file(HEAD.replace(old, new)), "legal/x.md")
    assert said in raised.value.message
    assert raised.value.path == "legal/x.md"
    if line:
        assert raised.value.line == line
        assert f"legal/x.md 第 {line} 行" in str(raised.value)


def test_all_broken_fields_are_told_at_once() -> None:
    broken = HEAD.replace("owner: 维权岗\n", "").replace("region: 北京\n", "")
    with pytest.raises(ArticleError, match=r"缺少 region；缺少 owner"):
        article.parse(file(broken), "a")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "只有正文",
        "---\nid: a.b\n",
        file(body=" \n"),
        file(body="**只有标题**\n"),
        "---\n- a\n---\n正文",
        "---\n\x00\n---\n正文",
    ],
)
def test_a_file_without_head_or_body_is_refused(text: str) -> None:
    with pytest.raises(ArticleError):
        article.parse(text, "a")


def test_ranges_of_articles() -> None:
    read = article.parse(file(HEAD.replace("[30, 85]", "[30, 35-38, 85～86]")), "a")
    assert read.sources[0].articles == (30, 35, 36, 37, 38, 85, 86)


@given(st.text())
def test_any_text_gives_an_article_or_an_article_error(text: str) -> None:
    with suppress(ArticleError):
        article.parse(text, "a")


_NASTY = st.text(alphabet="[]{}-:?#&*!|>'\"%@`, \n\t\r\x00\ud8001e好a⚠*\u2028", max_size=60) | st.sampled_from(
    ["!!int x", "!!timestamp y", "&a [*a]", "? [a]\n: b", "null", "~", "<<: *a", "2026-99-99", "1:60", "\ud800"]
)


@given(st.data())
def test_a_damaged_head_or_body_never_fails_otherwise(data: st.DataObject) -> None:
    lines = HEAD.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    key = lines[at].partition(":")[0]
    lines[at] = data.draw(st.sampled_from([f"{key}: ", "", lines[at]])) + data.draw(_NASTY)
    with suppress(ArticleError):
        read = article.parse(file("\n".join(lines) + "\n", BODY + data.draw(_NASTY)), "a")
        assert read.source_line()
        assert read.sections
        assert all(section.text for section in read.sections)


@given(st.text(alphabet="[]{}-:#&*!'\", \n好吗ab\x00\ud800", max_size=200))
def test_any_questions_file_gives_questions_or_an_article_error(text: str) -> None:
    for candidate in (text, f"topic: a.b\nstandard:\n  - {text}", f"topic: a.b\ncolloquial:\n  terse: {text}"):
        with suppress(ArticleError):
            asked = questions.parse(candidate, "a")
            assert all(wording.strip() for wording, _ in asked.each())


def test_questions_keep_numbers_and_words_as_they_were_written() -> None:
    asked = questions.parse(
        "topic: a.b\nstandard:\n  - 12333\n  - no\ncolloquial:\n  terse: [2026-11-22]\n  story: []\n", "a"
    )
    assert list(asked.each()) == [("12333", "standard"), ("no", "standard"), ("2026-11-22", "terse")]
    assert asked.colloquial_count == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("standard: [a]", "缺少 topic"),
        ("topic: a.b\nnegative: [a]", "没有“negative”"),
        ("topic: a.b\nstandard: 一句", "standard：每句前面"),
        ("topic: a.b\nstandard:\n  - 我问: 多少钱", "standard：每句前面"),
        ("topic: a.b\ncolloquial: [a]", "colloquial 下面要分"),
        ("topic: a.b\ncolloquial: {terse: ['']}", "colloquial.terse：有空的一句"),
    ],
)
def test_a_broken_questions_file_is_named(text: str, said: str) -> None:
    with pytest.raises(ArticleError) as raised:
        questions.parse(text, "a/b.questions.yaml")
    assert said in raised.value.message
