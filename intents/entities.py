"""Money, dates, months, people, phones, places and employers named in a message, found by patterns alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from intents.engine import Entity

_NUMERALS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "俩": 2, "仨": 3}
_UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10_000, "亿": 100_000_000}
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d{1,9})(?:\.\d{1,2})?[万千百]?|[一二两三四五六七八九十百千万零〇半]{1,9}"
_ROUGH = r"(?:多|来|几|余)?"

_MONEY = re.compile(
    rf"({_NUMBER})({_ROUGH})(万|千)?{_ROUGH}(?:块钱|块|元|圆|大洋|rmb)|(?:¥|￥)({_NUMBER})|({_NUMBER})(万|w)(?:多|来)?(?!人|个)"
)
_MONTHS = re.compile(rf"({_NUMBER})(?:多|来)?个(半)?(?:多)?月(?!前|以前|之前|后|以后|内)|(半年|大半年)(?!前|以前)")
_HEADCOUNT = re.compile(rf"({_NUMBER}){_ROUGH}(?:号|个|名|位|口)?(?:人|工友|工人|兄弟|老乡|员工|职工)")
_PHONE = re.compile(r"(?<!\d)(1[3-9]\d{9}|0\d{2,3}-?\d{7,8}|[48]00-?\d{3}-?\d{4})(?!\d)")
_DATE = re.compile(
    r"(?:(?:20)?\d{2}年|今年|去年|前年|大前年|明年)(?:底|初|(?:的)?(?:\d{1,2}|[一二三四五六七八九十]{1,2})月份?(?:\d{1,2}|[一二三四五六七八九十]{1,3})?[日号]?(?:底|初)?)?"
    r"|(?:20)\d{2}[-/.]\d{1,2}(?:[-/.]\d{1,2})?"
    r"|(?:上个?|这个?|下个?|本)月(?:\d{1,2}|[一二三四五六七八九十]{1,3})?[日号]?(?:底|初)?"
    r"|(?:\d{1,2}|[一二三四五六七八九十]{1,2})月(?:份)?(?:(?:\d{1,2}|[一二三四五六七八九十]{1,3})[日号])?"
    r"|(?:今天|昨天|前天|大前天|明天|后天|昨晚|今早|上周[一二三四五六日天]?|上(?:个)?星期[一二三四五六日天]?|这周[一二三四五六日天]?)"
    rf"|(?:{_NUMBER})(?:多)?(?:年|个月|个?星期|周|天)(?:多)?(?:前|以前|之前)"
)
_PLACE = re.compile(
    "(?:黄村|亦庄|西红门|旧宫|瀛海|青云店|采育|安定|礼贤|榆垡|庞各庄|北臧村|魏善庄|长子营|高米店|清源|兴丰|林校路|观音寺|天宫院|荣华|博兴"
    "|大兴机场|大兴|丰台|通州|朝阳|海淀|房山|东城|西城|石景山|门头沟|昌平|顺义|平谷|怀柔|密云|延庆|生物医药基地|北京)"
    "(?:镇|街道|区|经济开发区|地区)?"
)
_EMPLOYER = re.compile(
    r"[\u4e00-\u9fffa-z0-9()]{2,24}?(?:有限责任公司|股份有限公司|有限公司|集团|分公司|加工厂|制衣厂|工厂|家具厂|食品厂|酒店|饭店|物流园|建筑公司|物业公司|保安公司|劳务公司|家政公司|装饰公司|科技公司)"
)
_LEAD = re.compile(
    r"^.*?(?:我们?|俺们?|咱们?|他们?|她)?(?:在|去|到|给|被|跟|和|与|叫|是|找|从|进|的|了|告|投诉|举报)(?=[\u4e00-\u9fffa-z0-9()]{4,})"
)


def number(words: str) -> float | None:
    """ "3,200.5", "两千三", "十五", "一万二", "半" as a number; None when it is none."""
    text = words.replace(",", "")
    scale = 1.0
    if text and text[-1] in "万千百" and text[:-1].replace(".", "", 1).isdigit() and text[:1].isascii():
        scale, text = float(_UNITS[text[-1]]), text[:-1]
    if text.isascii():
        try:
            return float(text) * scale
        except ValueError:
            return None
    if text == "半":
        return 0.5
    return _chinese(text)


def _chinese(text: str) -> float | None:
    total = section = 0.0
    digit: float | None = None
    last = 1
    for char in text:
        if char in _NUMERALS:
            digit = float(_NUMERALS[char]) if digit is None or digit == 0 else digit * 10 + _NUMERALS[char]
            continue
        unit = _UNITS.get(char)
        if unit is None:
            return None
        if unit >= 10_000:
            total = (total + section + (digit or 0.0)) * unit
            section = 0.0
        else:
            section += (1.0 if digit is None else digit) * unit
        digit, last = None, unit
    if digit is not None:
        # 两千三 is 2,300 and 一万二 is 12,000; 一百零三 is 103.
        section += digit * (last / 10 if last >= 100 and "零" not in text and "〇" not in text else 1)
    return total + section


def _show(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _money(found: re.Match[str]) -> str | None:
    value = number(found.group(1) or found.group(4) or found.group(5) or "")
    if value is None:
        return None
    unit = found.group(3) or {"w": "万"}.get(found.group(6), found.group(6))
    return _show(value * _UNITS.get(unit or "", 1))


def _months(found: re.Match[str]) -> str | None:
    if found.group(3):
        return "6"
    value = number(found.group(1))
    return None if value is None else _show(value + (0.5 if found.group(2) else 0.0))


def _headcount(found: re.Match[str]) -> str | None:
    value = number(found.group(1))
    return None if value is None or value < 2 or value != int(value) else _show(value)


def _employer(found: re.Match[str]) -> str | None:
    name = _LEAD.sub("", found.group())
    return name if len(name) >= 4 else None


def _written(found: re.Match[str]) -> str:
    return found.group()


_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[re.Match[str]], str | None]], ...] = (
    ("phone", _PHONE, _written),
    ("money", _MONEY, _money),
    ("months", _MONTHS, _months),
    ("headcount", _HEADCOUNT, _headcount),
    ("date", _DATE, _written),
    ("place", _PLACE, _written),
    ("employer", _EMPLOYER, _employer),
)


def patterns() -> dict[str, str]:
    """Kind → the pattern it is found by in the plain text, for those who look with tools of their own."""
    return {kind: pattern.pattern for kind, pattern, _ in _KINDS}


def find(plain: str) -> tuple[Entity, ...]:
    """Every thing named, kind by kind, each once. `value` is a plain number for money (yuan), months and headcount.

    A date stays as written ("去年三月"): what it means depends on today, which only the caller knows.
    """
    return tuple(dict.fromkeys(_each(plain[:2000])))


def _each(plain: str) -> Iterator[Entity]:
    for kind, pattern, read in _KINDS:
        for found in pattern.finditer(plain):
            value = read(found)
            if value is not None:
                yield Entity(kind, value, found.group())
