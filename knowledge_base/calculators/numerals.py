"""Numbers as workers write them: 一万二, 8千5, １．２万, 二〇一九."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

LONGEST = 200
"""Characters of an answer that are looked at; what is longer is not an answer to a question of ours."""

DIGITS = {character: value for value, character in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
NUMBER = r"(?:[0-9]+(?:\.[0-9]+)?|[零〇一二两三四五六七八九十百千万]+)"
"""A number without its unit, for building patterns on `plain` text."""

_SCALES = {"十": 10, "百": 100, "千": 1000}
_SIMPLER = str.maketrans(
    "兩個號後週萬塊錢過歲還沒幾剛發現從離職開辭來傷僱闢時間禮拜點農曆",
    "两个号后周万块钱过岁还没几刚发现从离职开辞来伤雇辟时间礼拜点农历",
)
_POINT = re.compile(r"([零〇一二两三四五六七八九]|[0-9]+)点([零〇一二三四五六七八九0-9]+)")
_PIECE = re.compile(r"[0-9]+(?:\.[0-9]+)?|[零〇一二两三四五六七八九]|[十百千]")


def plain(text: str) -> str:
    """`text` in half width and lower case, common traditional characters simplified, no spaces, no commas in 1,000."""
    text = unicodedata.normalize("NFKC", text).lower().translate(_SIMPLER)
    text = re.sub(r"(?<![0-9,])[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])", lambda found: found.group().replace(",", ""), text)
    return re.sub(r"\s+", "", text)


def read(text: str) -> Decimal | None:
    """The number that the whole of `text` (already `plain`) writes; None when it writes none, or an ambiguous one.

    A lone digit after a unit counts a tenth of that unit, as people say it: 一万二 is 12000, 两千五 is 2500.
    """
    if not text or len(text) > 24:
        return None
    text = _POINT.sub(_decimal, text.replace("w", "万").replace("k", "千"))
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", text):
        return Decimal(text)
    if re.fullmatch(r"[零〇一二三四五六七八九]{2,}", text):
        return Decimal("".join(str(DIGITS[character]) for character in text))
    head, mark, tail = text.partition("万")
    if not mark:
        return _below_ten_thousand(text)
    if "万" in tail:
        return None
    high = _below_ten_thousand(head)
    if high is None or high == 0:
        return None
    low = Decimal(0) if not tail else _tail(tail, 10_000)
    return None if low is None else high * 10_000 + low


def _decimal(found: re.Match[str]) -> str:
    whole, rest = ("".join(str(DIGITS.get(each, each)) for each in found[group]) for group in (1, 2))
    return f"{whole}.{rest}"


def _tail(text: str, unit: int) -> Decimal | None:
    """What follows 万: a lone digit counts thousands, anything else as it stands, as long as it stays below."""
    if re.fullmatch(r"[1-9一二两三四五六七八九]", text):
        return Decimal(DIGITS.get(text) or int(text)) * (unit // 10)
    if re.fullmatch(r"[0-9]{2,3}", text):
        return None
    low = _below_ten_thousand(text)
    return low if low is not None and low < unit else None


def _below_ten_thousand(text: str) -> Decimal | None:
    parts = _PIECE.findall(text)
    if not parts or "".join(parts) != text:
        return None
    total, waiting, smallest, gap = Decimal(0), None, 10_000, False
    for index, part in enumerate(parts):
        if part in _SCALES:
            scale = _SCALES[part]
            if scale >= smallest or (waiting is None and (scale != 10 or index > 0)):
                return None
            total += (Decimal(1) if waiting is None else waiting) * scale
            waiting, smallest, gap = None, scale, False
        elif part in "零〇" and len(parts) > 1:
            if waiting is not None:
                return None
            gap = True
        elif waiting is not None:
            return None
        else:
            waiting = Decimal(DIGITS[part]) if part in DIGITS else Decimal(part)
    if waiting is None:
        return None if gap else total
    if smallest == 10_000:
        return waiting
    lone = waiting == int(waiting) and waiting < 10
    if lone and not gap and smallest > 10:
        return total + waiting * (smallest // 10)
    return total + waiting if waiting < smallest else None
