"""How long ago: 三个月前, 快一年了, 两年多了, 一年半以前, 十几天前. Every phrase gives a range of days."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal

from knowledge_base.calculators.numerals import DIGITS, read
from knowledge_base.calculators.periods import ONE_DAY, after_months

_COUNT = r"(?<![0-9.零〇一二三四五六七八九十百])(?P<n>[0-9]{1,4}(?:\.5)?|[一二两三四五六七八九十百]+几?|好几|几|数|半)"
_UNIT = r"(?P<more>多|来)?(?P<u>年|个半月|个月|月|周|个星期|星期|个礼拜|礼拜|天|日)"
_REST = r"(?P<rest>半|零?[0-9一二两三四五六七八九十]{1,3}个月)?(?P<over>多|出头|有余)?"
_NEARLY = r"(?P<nearly>快要?|将近|接近|马上|近)"
_ABOUT = r"(?:已经|(?P<gone>过去|过了)|都有|都|差不多|大概|大约)"

PATTERNS = (
    rf"{_NEARLY}?(?:有|到|满)?{_COUNT}{_UNIT}{_REST}(?P<ago>之前|以前|前)(?!的工资)",
    rf"{_NEARLY}(?:有|到|满)?{_COUNT}{_UNIT}{_REST}(?!的|内|期)了?",
    rf"{_COUNT}{_UNIT}{_REST}了",
    rf"{_ABOUT}{_COUNT}{_UNIT}{_REST}(?!的|内|期|合同)",
    rf"(?:干|工作|上班|做|来|入职|待|呆)(?:了|都|已经|有|满|整整)*{_COUNT}{_UNIT}{_REST}(?!内|期)",
)
"""On `plain` text, all with the groups that `span` reads."""

_TENURE = re.compile(
    r"(?:干|工作|上班|做|待|呆|工龄|入职|进厂|进公司|来|打工|用工|在这家?|在单位|在公司|在厂里?|跟着?(?:他|老板)|签)"
    r"(?:了|都|已经|有|快要?|将近|接近|近|差不多|整整|满|得|到现在|算来|合同|这儿?|这里|这行|北京|公司|厂里?|单位|的?活)*$"
)
_MONTHS = {"年": 12, "个月": 1, "月": 1, "个半月": 1}
_DAYS = {"周": 7, "个星期": 7, "星期": 7, "个礼拜": 7, "礼拜": 7, "天": 1, "日": 1}


def is_tenure(found: re.Match[str]) -> bool:
    """Whether the words before the count say that this is how long somebody has worked there."""
    return not found.groupdict().get("ago") and bool(_TENURE.search(found.string[: found.start("n")]))


def span(found: re.Match[str], today: date) -> tuple[date, date] | None:
    """Earliest and latest day that a match of `PATTERNS` may mean, seen from `today`."""
    groups = found.groupdict()
    counted = _count(groups["n"])
    if counted is None:
        return None
    low, high = counted
    unit = groups["u"]
    more = groups["more"] or groups["over"]
    if unit in _DAYS:
        return _days_back(low, high, _DAYS[unit], today, nearly=bool(groups.get("nearly")), more=bool(more))
    months = Decimal(_MONTHS[unit])
    extra = _rest(groups["rest"], unit)
    low, high = low * months + extra, high * months + extra
    if high > 1200:
        return None
    if groups.get("nearly"):
        return _back(high, today) + ONE_DAY, _back(low - _slack(low, unit), today)
    if more:
        return _back(high + (months if high >= months and not groups["rest"] else 1), today) + ONE_DAY, _back(
            low, today
        ) - ONE_DAY
    if low != high:
        return _back(high, today), _back(low, today)
    after, before = _tolerance(low, unit, groups["rest"], ago=bool(groups.get("ago")))
    if groups.get("gone"):
        before = Decimal(0)
    return _back(high + after, today), _back(low - before, today)


def _tolerance(months: Decimal, unit: str, rest: str | None, *, ago: bool) -> tuple[Decimal, Decimal]:
    """Months that a round number may be off, to either side: 一年前 is looser than 一年了 or 三个月前."""
    if unit != "年" or (rest and rest != "半"):
        return Decimal("0.5"), Decimal("0.5")
    if rest or months < 12:
        return Decimal("1.5"), Decimal("1.5")
    return Decimal(6 if ago else 3), Decimal(2)


def _count(text: str) -> tuple[Decimal, Decimal] | None:
    """The least and the most that a count word means: 三 (3, 3), 两三 (2, 3), 几 (2, 9), 十几 (11, 19)."""
    if text in {"几", "数"}:
        return Decimal(2), Decimal(9)
    if text == "好几":
        return Decimal(3), Decimal(9)
    if text == "半":
        return Decimal("0.5"), Decimal("0.5")
    if text.endswith("几"):
        base = read(text[:-1])
        return (base + 1, base + 9) if base is not None else None
    if len(text) == 2 and text[0] in DIGITS and text[1] in DIGITS:
        first, second = DIGITS[text[0]], DIGITS[text[1]]
        return (Decimal(first), Decimal(second)) if second == first + 1 else None
    value = read(text)
    return (value, value) if value is not None else None


def _rest(text: str | None, unit: str) -> Decimal:
    """Months beyond the counted ones: 一年半, 一年零三个月, 两个半月."""
    half = Decimal("0.5") if unit == "个半月" else Decimal(0)
    if text == "半":
        return half + (6 if unit == "年" else Decimal("0.5"))
    if text:
        return half + (read(text.removeprefix("零").removesuffix("个月")) or 0)
    return half


def _slack(months: Decimal, unit: str) -> Decimal:
    """How far short of it a worker may still say 快: two months of a year, half a month of a month."""
    return Decimal(2) if unit == "年" and months >= 12 else Decimal(1) if unit == "年" else Decimal("0.5")


def _back(months: Decimal, today: date) -> date:
    whole = int(months)
    return after_months(today, -whole) - timedelta(days=int((months - whole) * 30))


def _days_back(
    low: Decimal, high: Decimal, length: int, today: date, *, nearly: bool, more: bool
) -> tuple[date, date] | None:
    if high * length > 40_000:
        return None
    least, most = int(low * length), int(high * length)
    if nearly:
        least, most = max(0, least - max(1, least // 5)), max(0, most - 1)
    elif more:
        least, most = least + 1, most + (9 if length == 1 else 6)
    elif length > 1:
        least, most = max(0, least - 3), most + 3
    return today - timedelta(days=most), today - timedelta(days=least)
