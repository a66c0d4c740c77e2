"""What must hold before an article may be shown: known topic, living law, not expired, nothing uncertain as certain."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from knowledge_base import article as articles
from knowledge_base import card, claims, neighbours, questions, statutes
from knowledge_base.article import Article, Source
from knowledge_base.document import ArticleError
from knowledge_base.questions import STYLES, Questions
from knowledge_base.topics import vocabulary

Level = Literal["error", "warning"]

MOST_PAGES = 3
LONGEST_BODY, LONGEST_TITLE, LONGEST_FOLLOW_UP, LONGEST_PHONE = 400, 20, 110, 60
FEWEST, STANDARD_AIM, COLLOQUIAL_AIM = 12, 15, 25
NEAR_DUPLICATE = 0.8
REVIEW_SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """`path` is relative to the checked folder. An error keeps the article from being served as it is."""

    path: str
    level: Level
    message: str


def check(folder: Path, today: date) -> list[Finding]:
    """Everything wrong or worth a look in the articles under `folder`, in a fixed order. Never raises on content."""
    found: list[Finding] = []
    read_articles: list[Article] = []
    read_questions: list[Questions] = []
    for path in sorted(folder.rglob("*.md")):
        name = path.relative_to(folder).as_posix()
        try:
            read_articles.append(articles.parse(_text(path, name), name))
        except ArticleError as error:
            found.append(_unreadable(error))
        if not path.with_suffix(".questions.yaml").is_file():
            found.append(Finding(name, "error", f"缺少问法文件 {path.stem}.questions.yaml"))
    for path in sorted(folder.rglob("*.yaml")):
        name = path.relative_to(folder).as_posix()
        if not path.with_name(path.name.removesuffix(".questions.yaml") + ".md").is_file():
            found.append(Finding(name, "error", "旁边没有同名的条目"))
            continue
        try:
            read_questions.append(questions.parse(_text(path, name), name))
        except ArticleError as error:
            found.append(_unreadable(error))
    for article in read_articles:
        found += (Finding(article.path, level, message) for level, message in _in_article(article, today))
    for asked in read_questions:
        found += (Finding(asked.path, level, message) for level, message in _in_questions(asked))
    found += _across_articles(read_articles)
    found += _across_questions(read_questions)
    return sorted(set(found))


def _text(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ArticleError(name, "不是 UTF-8 编码，另存为 UTF-8 再试") from error


def _unreadable(error: ArticleError) -> Finding:
    return Finding(error.path, "error", (f"第 {error.line} 行：" if error.line else "") + error.message)


def _in_article(article: Article, today: date) -> Iterator[tuple[Level, str]]:
    yield from _vocabulary(article)
    yield from _dates(article, today)
    if not article.sources and article.group != "meta":
        yield "error", "sources 是空的，写明依据"
    for source in article.sources:
        yield from _source(source, article)
    for place, line in claims.lines(article):
        for figure in claims.uncertain(line):
            yield "error", f"{place}：{figure}会变，同一行要写“{articles.LOCAL_MARK}”"
    yield from ((level, f"{place}：{complaint}") for level, place, complaint in claims.unsupported(article))
    yield from _shape(article)


def _vocabulary(article: Article) -> Iterator[tuple[Level, str]]:
    known = vocabulary()
    topic = known.topics.get(article.id)
    if topic is None:
        yield "error", f"id：没有“{article.id}”这个主题"
    elif article.urgency != topic.urgency:
        yield "error", f"urgency：写的是 {article.urgency}，主题表里是 {topic.urgency}"
    if article.path != f"{article.id.replace('.', '/', 1)}.md":
        yield "error", f"文件名和 id 对不上，应当是 {article.id.replace('.', '/', 1)}.md"
    if article.region not in known.regions:
        yield "error", f"region：“{article.region}”不在 {'、'.join(known.regions)} 里"
    if article.owner not in known.owners:
        yield "error", f"owner：“{article.owner}”不在 {'、'.join(known.owners)} 里"
    for field, given, allowed in (
        ("related", article.related, known.topics),
        ("intake", article.intake, known.slots),
        ("follow_ups", article.follow_ups, known.follow_ups),
    ):
        yield from (("error", f"{field}：没有“{one}”") for one in given if one not in allowed)
    if article.id in article.related:
        yield "error", "related：不要写自己"


def _dates(article: Article, today: date) -> Iterator[tuple[Level, str]]:
    if article.valid_to and article.valid_to < today:
        yield "error", f"valid_to：{article.valid_to} 已过，这篇不会发给职工"
    if article.review_by < today:
        yield "error", f"review_by：{article.review_by} 已过，重新核对后再用"
    elif article.review_by - today <= REVIEW_SOON:
        yield "warning", f"review_by：{article.review_by} 前要重新核对"
    if article.checked > today:
        yield "error", f"checked：{article.checked} 还没到"
    if article.review_by <= article.checked:
        yield "error", "review_by 要晚于 checked"
    if article.valid_from and article.valid_to and article.valid_to < article.valid_from:
        yield "error", "valid_to 早于 valid_from"


def _source(source: Source, article: Article) -> Iterator[tuple[Level, str]]:
    if source.statute is None:
        return
    known = statutes.find(source.statute)
    if not known:
        yield "error", f"sources：没有“{source.statute}”这部法，短名见 statutes.yaml"
        return
    numbered = any(statute.last for statute in known)
    if numbered and not source.articles:
        yield "error", f"sources：{source.statute}要写第几条"
    for number in source.articles:
        carrier = next((statute for statute in known if statute.has(number)), None)
        if carrier is None:
            runs = "、".join(f"{statute.first}至{statute.last}" for statute in known) if numbered else "没有条号"
            yield "error", f"sources：{source.statute}没有第{number}条（{runs}）"
        elif number in carrier.superseded:
            yield "warning", f"sources：{carrier.name}第{number}条已被取代，看{carrier.superseded[number]}"
    if all(statute.effective > article.checked for statute in known):
        yield "error", f"sources：{source.statute}核对时还没施行（{known[0].effective}）"


def _shape(article: Article) -> Iterator[tuple[Level, str]]:
    if article.sections[0].kind != "conclusion":
        yield "error", "正文第一段要是结论"
    if re.search(r"^\W*(?:法律|政策)?(?:依据|核对(?:于|日期))\**[：:于]?", article.body, re.MULTILINE):
        yield "error", "正文不要手写依据和核对日期，它们由文件头生成"
    whole = card.text(article)
    size = len(whole.encode())
    if len(card.pages(whole)) > MOST_PAGES:
        yield "error", f"整张卡片 {size} 字节，{MOST_PAGES} 条微信也装不下"
    elif size > card.PAGE_BYTES:
        yield "warning", f"整张卡片 {size} 字节，超过一条微信的 {card.PAGE_BYTES}"
    for name, value, most in (
        ("正文", "".join(section.title + section.text for section in article.sections), LONGEST_BODY),
        ("title", article.title, LONGEST_TITLE),
        *((f"follow_ups.{key}", value, LONGEST_FOLLOW_UP) for key, value in article.follow_ups.items()),
        ("follow_ups.电话", article.follow_ups.get("电话", ""), LONGEST_PHONE),
    ):
        length = len(re.sub(r"\s", "", value))
        if length > most:
            yield "warning", f"{name}：{length} 字，超过 {most} 字"


def _in_questions(asked: Questions) -> Iterator[tuple[Level, str]]:
    expected = asked.path.removesuffix(".questions.yaml").replace("/", ".")
    if asked.topic != expected:
        yield "error", f"topic：写的是 {asked.topic}，旁边的条目是 {expected}"
    for style in asked.colloquial:
        if style not in STYLES:
            yield "error", f"colloquial：没有“{style}”这一类，只有 {'、'.join(STYLES)}"
    for name, count, aim in (
        ("standard", len(asked.standard), STANDARD_AIM),
        ("colloquial", asked.colloquial_count, COLLOQUIAL_AIM),
    ):
        if count < FEWEST:
            yield "error", f"{name}：只有 {count} 句，最少 {FEWEST} 句"
        elif count < aim:
            yield "warning", f"{name}：{count} 句，最好有 {aim} 句"
    for story in asked.colloquial.get("story", ()):
        if not 40 <= len(story) <= 150:
            yield "warning", f"story：{len(story)} 字，应当在 40 到 150 之间：{story[:20]}"


def _across_articles(found: Iterable[Article]) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for article in found:
        if article.id in first:
            yield Finding(article.path, "error", f"主题 {article.id} 已经有一篇：{first[article.id]}")
        first.setdefault(article.id, article.path)
    for topic in vocabulary().topics:
        if topic not in first:
            yield Finding(f"{topic.replace('.', '/', 1)}.md", "warning", "这个主题还没有条目")


def _across_questions(found: Iterable[Questions]) -> Iterator[Finding]:
    rows = [(wording, asked) for asked in found for wording, _ in asked.each()]
    first: dict[str, Questions] = {}
    for wording, asked in rows:
        plain = questions.normal(wording)
        if plain in first:
            where = "本文件" if first[plain] is asked else first[plain].path
            yield Finding(asked.path, "error", f"“{wording}”和{where}里的重复")
        first.setdefault(plain, asked)
    wordings = [wording for wording, _ in rows]
    for earlier, later, alike in neighbours.near_pairs(wordings, NEAR_DUPLICATE):
        one, other = rows[earlier], rows[later]
        if one[1].topic != other[1].topic and questions.normal(one[0]) != questions.normal(other[0]):
            message = f"“{other[0]}”和 {one[1].path} 的“{one[0]}”太像（{alike:.2f}）"
            yield Finding(other[1].path, "warning", message)
    for index, topic in neighbours.strangers(wordings, [asked.topic for _, asked in rows]):
        wording, asked = rows[index]
        yield Finding(asked.path, "warning", f"“{wording}”最像的几句都在 {topic}，看看是不是放错了")
