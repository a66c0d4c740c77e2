"""All articles with their wordings: looked up by topic, searched by characters when no engine is sure."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from math import log
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from knowledge_base import article as articles
from knowledge_base import questions
from knowledge_base.article import Article
from knowledge_base.document import ArticleError
from knowledge_base.questions import Questions
from knowledge_base.topics import vocabulary

FOLDER = Path(__file__).with_name("articles")
# BM25's usual constants; what counts is that a long list of wordings does not drown a short one.
_SATURATION, _LENGTH = 1.2, 0.75


class Row(NamedTuple):
    """One topic as it is stored or exported: the two files' texts, unchanged."""

    article: str
    questions: str


@dataclass(frozen=True)
class Catalog:
    """An immutable collection. `articles` and `questions` are keyed by topic and hold the same topics."""

    articles: Mapping[str, Article]
    questions: Mapping[str, Questions]

    def __iter__(self) -> Iterator[Article]:
        return iter(self.articles.values())

    def __len__(self) -> int:
        return len(self.articles)

    def article(self, topic: str) -> Article | None:
        """The article whether or not it may be served; see `servable`."""
        return self.articles.get(topic)

    def servable(self, topic: str, today: date) -> Article | None:
        """The article if it may be shown on this day; None when there is none or it has expired."""
        found = self.articles.get(topic)
        return found if found and found.is_valid_on(today) else None

    def title(self, topic: str) -> str:
        """What an option for this topic is called; the topic's own name where there is no article, else the id."""
        if topic in self.articles:
            return self.articles[topic].title
        known = vocabulary().topics.get(topic)
        return known.name if known else topic

    def wordings(self) -> Iterator[tuple[str, str, str]]:
        """Every wording as (text, topic, style), for training."""
        for topic, asked in self.questions.items():
            yield from ((wording, topic, style) for wording, style in asked.each())

    @cached_property
    def version(self) -> str:
        """A short hash over all content: the same texts give the same version wherever they were read from."""
        digest = hashlib.sha256()
        for row in self.rows():
            for text in row:
                digest.update(hashlib.sha256(text.encode()).digest())
        return digest.hexdigest()[:16]

    def rows(self) -> list[Row]:
        """What `from_rows` takes back, in the order of topics."""
        return [Row(one.raw, self.questions[topic].raw) for topic, one in sorted(self.articles.items())]

    def search(self, text: str, today: date, k: int = 3) -> list[tuple[str, float]]:
        """The `k` servable topics whose title, wordings and conclusion share most with `text`, best first.

        The score is the share, 0..1, of the best that any text could reach with these words; nothing shared, no row.
        """
        grams = set(questions.bigrams(text))
        scores: dict[str, float] = defaultdict(float)
        best = 0.0
        for gram in grams:
            holders = self._index.get(gram, {})
            rarity = log(1 + (len(self) - len(holders) + 0.5) / (len(holders) + 0.5))
            best += rarity * (1 + _SATURATION)
            for topic, weight in holders.items():
                scores[topic] += rarity * weight
        servable = ((topic, score) for topic, score in scores.items() if self.servable(topic, today))
        ranked = sorted(servable, key=lambda pair: (-pair[1], pair[0]))
        return [(topic, score / best) for topic, score in ranked[:k]]

    @cached_property
    def _index(self) -> dict[str, dict[str, float]]:
        """Bigram to topic to BM25 term weight."""
        counts = {topic: Counter(self._grams(topic)) for topic in self.articles}
        usual = sum(map(Counter.total, counts.values())) / max(1, len(counts))
        index: dict[str, dict[str, float]] = defaultdict(dict)
        for topic, grams in counts.items():
            damping = _SATURATION * (1 - _LENGTH + _LENGTH * grams.total() / usual)
            for gram, count in grams.items():
                index[gram][topic] = count * (1 + _SATURATION) / (count + damping)
        return dict(index)

    def _grams(self, topic: str) -> Iterator[str]:
        one = self.articles[topic]
        for text in (one.title, one.sections[0].text, *(wording for wording, _ in self.questions[topic].each())):
            yield from questions.bigrams(text)


def load(path: Path = FOLDER) -> Catalog:
    """The articles of a folder, or of a file that `export` wrote. Raises `ArticleError` at the first that is broken."""
    if path.is_dir():
        files = sorted(path.rglob("*.md"))
        return _collect(
            (_file(file, path), _file(file.with_suffix(".questions.yaml"), path))
            for file in files
        )  # fmt: skip
    try:
        exported = json.loads(path.read_text(encoding="utf-8"))
        rows = [Row(one["article"], one["questions"]) for one in exported["articles"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArticleError(str(path), "不是条目的文件夹，也不是导出的文件") from error
    return from_rows(rows)


def from_rows(rows: Iterable[tuple[str, str]]) -> Catalog:
    """The articles from their stored texts, (article, questions) each. Raises `ArticleError`."""
    return _collect(
        ((article, f"第 {number} 篇"), (asked, f"第 {number} 篇的问法"))
        for number, (article, asked) in enumerate(rows, start=1)
    )


def export(catalog: Catalog) -> str:
    """The whole catalog as one JSON text, which `load` reads back to the same version."""
    rows = [
        {"topic": topic, **row._asdict()} for topic, row in zip(sorted(catalog.articles), catalog.rows(), strict=True)
    ]
    return json.dumps({"version": catalog.version, "articles": rows}, ensure_ascii=False, indent=1) + "\n"


def _file(path: Path, folder: Path) -> tuple[str, str]:
    name = path.relative_to(folder).as_posix()
    try:
        return path.read_bytes().decode("utf-8"), name
    except (OSError, UnicodeDecodeError) as error:
        raise ArticleError(name, "没有这个文件，或者不是 UTF-8 编码") from error


def _collect(texts: Iterable[tuple[tuple[str, str], tuple[str, str]]]) -> Catalog:
    found: dict[str, Article] = {}
    asked: dict[str, Questions] = {}
    for (article_text, article_name), (questions_text, questions_name) in texts:
        one = articles.parse(article_text, article_name)
        wordings = questions.parse(questions_text, questions_name)
        if one.id in found:
            raise ArticleError(article_name, f"主题 {one.id} 已经有一篇：{found[one.id].path}")
        if wordings.topic != one.id:
            raise ArticleError(questions_name, f"topic 写的是 {wordings.topic}，条目是 {one.id}")
        found[one.id], asked[one.id] = one, wordings
    return Catalog(MappingProxyType(found), MappingProxyType(asked))
