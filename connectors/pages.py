"""Text as a channel can carry it: cleaned of what breaks a channel, and cut into pages that fit."""

from __future__ import annotations

import re

MORE = "……回复“更多”看下一段"

# Control characters (XML 1.0 forbids most of them, no screen shows any) and halves of surrogate pairs.
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_LINK = re.compile(r"<a\s[^<>]*>[^<]*</a>")
# Best place first: a blank line, the end of a sentence with its closing marks, a pause.
_BREAKS = (
    re.compile(r"\n[ \t]*\n\s*"),
    re.compile(r"[。！？；!?;\n]+[”’」』）)】》]*"),
    re.compile(r"[，、：,\s]+"),
)
# A page that stops earlier than this leaves the reader with many short pages: the next best place is taken.
_FULL_ENOUGH = 3
# What belongs to the character before it: joiners, variation selectors, skin tones, combining marks.
_CLINGS = re.compile("[\u200d\ufe00-\ufe0f\u0300-\u036f\u20d0-\u20f0\U0001f3fb-\U0001f3ff]")
_LONGEST_CLUSTER = 16


def clean(text: str) -> str:
    """The same text without control characters and lone surrogates; line ends become `\\n`, outer blanks go."""
    return _UNSPEAKABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def size(text: str) -> int:
    """Bytes in UTF-8, which is how Tencent counts."""
    return len(text.encode("utf-8", "replace"))


def pages(text: str, limit_bytes: int, hint: str = MORE) -> list[str]:
    """Cut `text` into pages of at most `limit_bytes` UTF-8 bytes; every page but the last ends with `hint`.

    Cuts at a blank line, else after a sentence, else at a pause, else between characters; never within a link, unless
    one link alone is longer than a page. Raises `ValueError` when `hint` leaves no room for text.
    """
    room = limit_bytes - size(hint) - 1
    if room < 4:
        raise ValueError(f"a page of {limit_bytes} bytes has no room beside its hint")
    rest = text.strip()
    cut: list[str] = []
    while size(rest) > limit_bytes:
        end = _end_of_page(rest, room)
        page = rest[:end].rstrip()
        rest = rest[end:].lstrip()
        cut.append(f"{page}\n{hint}")
    if rest or not cut:
        cut.append(rest)
    return cut


def _end_of_page(text: str, room: int) -> int:
    """How many characters of `text`, which is longer than `room` bytes, go on this page; at least one."""
    most = len(text.encode("utf-8", "replace")[:room].decode("utf-8", "ignore"))
    links = [match.span() for match in _LINK.finditer(text)]
    for place in _BREAKS:
        # A little beyond the page, so that closing marks which do not fit any more take their sentence along.
        breaks = [match.end() for match in place.finditer(text, 0, most + 8)]
        ends = [end for end in breaks if end <= most and not any(start < end < stop for start, stop in links)]
        if ends and ends[-1] * _FULL_ENOUGH >= most:
            return ends[-1]
    end = next((start for start, stop in links if start < most < stop), most) or most
    for back in range(min(_LONGEST_CLUSTER, end)):
        if not _clings(text, end - back):
            return end - back
    return end


def _clings(text: str, end: int) -> bool:
    return bool(_CLINGS.match(text, end)) or text[end - 1] == "\u200d"
