"""An article as a reply: its parts in the order a worker needs them, and the same as plain text for a chat bubble."""

from __future__ import annotations

import re

from knowledge_base.article import Article, Section, SectionKind

PAGE_BYTES = 2048
HINT_BYTES = 60

_BODY_ORDER: tuple[SectionKind, ...] = ("conclusion", "step", "note", "deadline")


def card(article: Article) -> list[Section]:
    """Conclusion, steps, notes, deadline, what to bring, where and whom to call, source.

    A `meta.*` article is a fixed reply: its body alone, in the order it was written.
    """
    if article.group == "meta":
        return list(article.sections)
    parts = sorted(article.sections, key=lambda section: _BODY_ORDER.index(section.kind))
    if bring := article.follow_up("材料"):
        parts.append(Section("bring", "带什么", bring))
    place, phone = article.follow_up("去哪办"), article.follow_up("电话")
    if place or phone:
        calls = f"电话：{phone}" if phone else ""
        parts.append(Section("where", "找谁", "\n".join(filter(None, (place, calls)))))
    parts.append(Section("sources", "依据", article.source_line()))
    return parts


def text(article: Article) -> str:
    """The whole card as plain text, an empty line between parts. `pages` cuts it where it is too long for a channel."""
    return "\n\n".join(_spoken(section) for section in card(article))


def pages(whole: str, limit: int = PAGE_BYTES, reserve: int = HINT_BYTES) -> list[str]:
    """`whole` in pages of at most `limit` bytes of UTF-8, cut at line or sentence ends.

    When there is more than one page, each leaves `reserve` bytes for the hint that there is more.
    """
    if len(whole.encode()) <= limit:
        return [whole]
    room = limit - reserve
    found = [""]
    for piece in re.findall(r".*?(?:[。！？；]|\n+|\Z)", whole, re.DOTALL):
        for part in _fitting(piece, room):
            if len((found[-1] + part).rstrip().encode()) > room:
                found.append(part.lstrip())
            else:
                found[-1] += part
    return [page.strip() for page in found if page.strip()]


def _fitting(piece: str, room: int) -> list[str]:
    """A sentence longer than a page is cut between characters."""
    step = room // 4
    if len(piece.encode()) <= room:
        return [piece]
    return [piece[start : start + step] for start in range(0, len(piece), step)]


def _spoken(section: Section) -> str:
    match section.kind:
        case "step":
            return f"{section.title or '这样做'}：\n{section.text}"
        case "where" if section.text.startswith("电话："):
            return section.text
        case "sources":
            return section.text
        case _:
            return f"{section.title}：{section.text}" if section.title else section.text
