"""What an article's words claim: the law they cite, and the figures and numbers that may have changed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from knowledge_base import statutes
from knowledge_base.article import LOCAL_MARK, Article
from knowledge_base.statutes import Statute
from knowledge_base.topics import plain_figures, vocabulary

_DIGITS = {character: value for value, character in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_NUMBER = r"(?:[0-9]+|[零〇一二两三四五六七八九十百千]+)"
_CITATION = re.compile(
    rf"(?P<name>[\u3400-\u9fff《》]*)第(?P<numbers>{_NUMBER}(?:(?:[、,，和及至到~～–-]|条[、和及至到]?第){_NUMBER})*)条"
)
_KINDS = ("条例", "办法", "规定", "解释", "决定", "通知", "法")
# Service numbers, landlines with area code, 400/800 and mobile numbers.
_PHONE = re.compile(
    r"(?<![\d.])(?:123\d\d|0\d{2,3}-?\d{7,8}|[48]00-?\d{3}-?\d{4}|1[3-9]\d{9})(?![\d元]|\.\d)"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Citation:
    """A provision cited in running text. `name` is as written, empty when only 第N条 stands there."""

    name: str
    articles: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name}第{'、'.join(map(str, self.articles))}条"


def lines(article: Article) -> Iterator[tuple[str, str]]:
    """Every line that may reach a worker alone, with the place it stands: title, body lines, follow-ups."""
    yield "标题", article.title
    for section in article.sections:
        place = "正文"
        for line in re.split(r"\n(?=\d{1,2}\. )", section.text) if section.kind == "step" else [section.text]:
            yield place, line
    for key, value in article.follow_ups.items():
        yield f"follow_ups.{key}", value


def uncertain(line: str) -> list[str]:
    """Local figures and phone numbers that stand in `line` as if they were certain."""
    if LOCAL_MARK in line:
        return []
    smooth = plain_figures(line)
    known = vocabulary()
    found = [f"{spelling}（{figure.name}）" for figure in known.figures if (spelling := figure.stands_in(smooth))]
    for match in _PHONE.finditer(smooth):
        hotline = known.hotlines.get(match.group())
        if hotline is None or hotline.local:
            found.append(f"{match.group()}（{hotline.name if hotline else '电话'}）")
    return list(dict.fromkeys(found))


def citations(line: str) -> Iterator[Citation]:
    """Provisions that `line` cites. 第二条路 is no citation: Chinese numerals count only behind the name of a law."""
    flat = re.sub(r"[（(]([一二三四])[）)](?=第)", r"\1", line)
    for match in _CITATION.finditer(flat):
        name = re.sub(r"[《》]", "", match["name"])
        if match["numbers"][0].isdigit() or name.endswith((*_KINDS, "解释一", "解释二", "编", "民法典")):
            yield Citation(name, tuple(_numbers(match["numbers"])))


def unsupported(article: Article) -> Iterator[tuple[Literal["error", "warning"], str, str]]:
    """(level, place, complaint) for each citation in the text that the article's sources do not carry."""
    own = [statute for source in article.sources if source.statute for statute in statutes.find(source.statute)]
    last: list[Statute] = []
    for place, line in lines(article):
        if place.startswith("follow_ups"):
            last = []  # a follow-up is sent alone
        for citation in citations(line):
            meant = _named(citation.name, own)
            if meant:
                last = meant
                if complaint := _complaint(citation, meant, article):
                    yield "error", place, complaint
                continue
            kind = next((kind for kind in _KINDS if citation.name.endswith(kind)), "")
            if kind and not re.search(rf"(?:^|[同本该]){kind}$", citation.name):
                yield "error", place, f"“{citation}”认不出是哪部法，短名见 statutes.yaml"
                continue
            before = [statute for statute in last if _ends(statute, kind)]
            choices = list(dict.fromkeys(statute.name for statute in own if _ends(statute, kind)))
            fitting = [name for name in choices if not _complaint(citation, list(statutes.find(name)), article)]
            if not fitting:
                yield "error", place, f"“{citation}”：sources 里没有哪部法写了这一条"
            elif len(choices) > 1 and (not before or _complaint(citation, before, article)):
                yield "warning", place, f"“{citation}”读的人分不清是哪部法，写全名字（{'、'.join(fitting)}？）"


def _named(name: str, own: list[Statute]) -> list[Statute]:
    """The statutes that the longest end of `name` may mean, the article's own first.

    An end is a whole name, its last part (仲裁法), or, for the article's own, a shortened one (女职工规定).
    """
    for start in range(len(name) - 2):
        end = name[start:]
        for known in (own, list(statutes.statutes().values())):
            exact = [statute for statute in known if end in statute.names]
            if found := exact or [statute for statute in known if _ends(statute, end)]:
                return found
        if found := [statute for statute in own if len(end) > 3 and _shortens(end, statute)]:
            return found
    return []


def _shortens(end: str, statute: Statute) -> bool:
    return any(re.match(".*".join(map(re.escape, end)) + "$", name) for name in statute.names)


def _complaint(citation: Citation, meant: list[Statute], article: Article) -> str | None:
    names = {name for statute in meant for name in statute.names}
    carried = {number for source in article.sources if source.statute in names for number in source.articles}
    missing = [number for number in citation.articles if number not in carried]
    beyond = [number for number in missing if not any(statute.has(number) for statute in meant)]
    if beyond:
        return f"“{citation}”：{meant[0].name}没有第{_listed(beyond)}条，最后一条是第{meant[0].last}条"
    if missing:
        return f"“{citation}”：sources 里没有{meant[0].name}第{_listed(missing)}条"
    return None


def _ends(statute: Statute, end: str) -> bool:
    return any(re.sub(r"[（）()]", "", name).endswith(end) for name in statute.names)


def _listed(numbers: Iterable[int]) -> str:
    return "、".join(map(str, numbers))


def _numbers(written: str) -> Iterator[int]:
    """Numbers of "30、38", "35～37" or "三十条和第三十一"; a range gives all between."""
    parts = re.split(rf"({_NUMBER})", written)
    previous, joint = 0, ""
    for part in parts:
        if not re.fullmatch(_NUMBER, part):
            joint = part
            continue
        number = int(part) if part.isdigit() else _chinese(part)
        yield from range(previous + 1, number) if re.search(r"[至到~～–-]", joint) and number - previous < 200 else ()
        yield number
        previous = number


def _chinese(written: str) -> int:
    total, digit = 0, 0
    for character in written:
        if character in _UNITS:
            total += (digit or 1) * _UNITS[character]
            digit = 0
        else:
            digit = _DIGITS[character]
    return total + digit
