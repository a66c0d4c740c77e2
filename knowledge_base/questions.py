"""How workers ask: the wordings of one topic, read from its questions file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from knowledge_base import document
from knowledge_base.document import ArticleError

STYLES = ("terse", "story", "speech", "dialect", "angry", "frightened", "for_others")


@dataclass(frozen=True, slots=True)
class Questions:
    """One topic's wordings. `colloquial` maps a style to its wordings, also styles that `STYLES` does not know."""

    topic: str
    standard: tuple[str, ...]
    colloquial: dict[str, tuple[str, ...]]
    raw: str
    path: str

    @property
    def colloquial_count(self) -> int:
        return sum(map(len, self.colloquial.values()))

    def each(self) -> Iterator[tuple[str, str]]:
        """Every wording with its style; the plain ones are `standard`."""
        yield from ((wording, "standard") for wording in self.standard)
        for style, wordings in self.colloquial.items():
            yield from ((wording, style) for wording in wordings)


def parse(text: str, path: str) -> Questions:
    """The wordings in `text`. Raises `ArticleError` naming file and field, and nothing else, whatever the text."""
    text_lines = text.replace("\r\n", "\n").removeprefix("\ufeff")
    given = document.read(text_lines, path)
    for key in given:
        if key not in ("topic", "standard", "colloquial"):
            raise ArticleError(path, f"没有“{key}”这个字段，只有 topic、standard、colloquial")
    topic, colloquial = given.get("topic"), given.get("colloquial") or {}
    if not isinstance(topic, str) or not topic:
        raise ArticleError(path, "缺少 topic")
    if not isinstance(colloquial, dict):
        raise ArticleError(path, "colloquial 下面要分 terse、story 等几类写")
    styles = {style: _wordings(wordings, f"colloquial.{style}", path) for style, wordings in colloquial.items()}
    return Questions(topic, _wordings(given.get("standard"), "standard", path), styles, text, path)


def _wordings(given: Any, field: str, path: str) -> tuple[str, ...]:
    if given in (None, ""):
        return ()
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise ArticleError(path, f"{field}：每句前面一个“- ”，一句一行；句子里有冒号的用引号包起来")
    if not all(one.strip() for one in given):
        raise ArticleError(path, f"{field}：有空的一句")
    return tuple(one.strip() for one in given)


def normal(wording: str) -> str:
    """`wording` without what does not change its meaning: width, case, punctuation, spaces."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", wording).casefold())


def bigrams(wording: str) -> list[str]:
    """Neighbouring characters of the normal form; a single character stands for itself."""
    plain = normal(wording)
    return [first + second for first, second in pairwise(plain)] or ([plain] if plain else [])
