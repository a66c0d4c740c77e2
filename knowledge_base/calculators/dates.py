"""When something happened, as workers say it: 去年三月, 快一年了, 上个月15号. A vague word gives a range of days."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from knowledge_base.calculators import elapsed
from knowledge_base.calculators.numerals import DIGITS, plain, read
from knowledge_base.calculators.periods import EARLIEST, after_months

LONGEST = 1000
SOON = timedelta(days=92)
"""How near a day without a year has to be for people to mean the coming one, where they may mean it at all."""

_N = r"(?:[0-9]{1,2}|[一二两三四五六七八九十]{1,3})"
_Y4 = r"(?:(?:19|20)[0-9]{2}|[一二][零〇一二三四五六七八九]{3})"
_Y2 = r"(?:(?<![0-9.了满干做有近约第共整作过])[0-9]{2}|(?<![了满干做有])[零〇一二][零〇一二三四五六七八九])(?=年)"
_REL = r"(?:大前年|前年|去年|上一年|今年|本年|明年)"
_PART = r"(?:上旬|中旬|下旬|月初|月中|月底|月末|初|中|底|末)"
_DAY = r"[日号]"
_AHEAD = r"(?:之前|以前|前|起)"
"""What follows a date by which something has to happen, not one on which it happened."""
_REL_YEARS = {"大前年": -3, "前年": -2, "去年": -1, "上一年": -1, "今年": 0, "本年": 0, "明年": 1}
_SEASONS = {
    "年初": (1, 2),
    "初": (1, 2),
    "年底": (11, 12),
    "年末": (11, 12),
    "底": (11, 12),
    "年中": (5, 7),
    "上半年": (1, 6),
    "下半年": (7, 12),
    "春天": (3, 5),
    "夏天": (6, 8),
    "秋天": (9, 11),
    "春节": (1, 2),
    "过年": (1, 2),
}
_FEASTS = {"元旦": (1, 1, 3), "五一": (5, 1, 5), "十一": (10, 1, 8), "国庆": (10, 1, 8)}
_WEEKS = {"上上": -2, "上": -1, "这": 0, "本": 0, "下": 1}
_DAYS = {
    "大前天": -3,
    "前天": -2,
    "前晚": -2,
    "昨天": -1,
    "昨日": -1,
    "昨晚": -1,
    "昨夜": -1,
    "昨儿": -1,
    "今天": 0,
    "今日": 0,
    "今早": 0,
    "今晚": 0,
    "今儿": 0,
    "刚才": 0,
    "刚刚": 0,
    "明天": 1,
    "后天": 2,
}
_LOOSE = {
    "前几天": (9, 2),
    "前两天": (4, 1),
    "这几天": (5, 0),
    "这两天": (3, 0),
    "最近": (60, 0),
    "前阵子": (90, 5),
    "前段时间": (90, 5),
    "前一阵": (90, 5),
    "前些日子": (60, 5),
    "前些天": (20, 3),
}

Range = tuple[date, date]


@dataclass(frozen=True, slots=True)
class Mention:
    """One expression in a text: the days it may mean, both ends included, and where it stands in the `plain` text.

    `tenure`: it says how long somebody has worked there (干了三年多), not when something went wrong.
    """

    earliest: date
    latest: date
    phrase: str
    start: int
    end: int
    tenure: bool = False


@dataclass(frozen=True, slots=True)
class _Reading:
    today: date
    future: bool

    def year(self, text: str) -> int:
        if text in _REL_YEARS:
            return self.today.year + _REL_YEARS[text]
        digits = int("".join(str(DIGITS.get(each, each)) for each in text.removesuffix("年")))
        if digits > 99:
            return digits
        return digits + (2000 if digits <= self.today.year % 100 + 1 else 1900)

    def month(self, year: int, text: str, part: str | None) -> Range | None:
        number = _small(text)
        if number is None or not 1 <= number <= 12:
            return None
        end = monthrange(year, number)[1]
        first, last = (
            (1, 10) if (part and "初" in part) or part == "上旬" else
            (11, 20) if part and "中" in part else
            (21, end) if part else
            (1, end)
        )  # fmt: skip
        return self.until_now(date(year, number, first), date(year, number, last))

    def day(self, year: int, month: str, day: str) -> Range | None:
        numbers = _small(month), _small(day)
        if numbers[0] is None or numbers[1] is None:
            return None
        try:
            found = date(year, numbers[0], numbers[1])
        except ValueError:
            return None
        return found, found

    def nearest(self, read_year: Callable[[int], Range | None]) -> Range | None:
        """Without a year people mean the last time it was that day; where the future counts too, the nearer one."""
        past = next(
            (one for year in range(3) if (one := read_year(self.today.year - year)) and one[0] <= self.today), None
        )
        coming = (
            read_year(self.today.year) if past and past[0].year < self.today.year else read_year(self.today.year + 1)
        )
        soon = coming is not None and coming[0] - self.today <= SOON
        if self.future and coming and (past is None or (soon and coming[0] - self.today < self.today - past[1])):
            return coming
        return past

    def until_now(self, first: date, last: date) -> Range:
        return first, (self.today if first <= self.today < last and not self.future else last)


def _small(text: str) -> int | None:
    value = read(text)
    return int(value) if value is not None and value == int(value) and value < 100 else None


def _full(found: re.Match[str], reading: _Reading) -> Range | None:
    return reading.day(reading.year(found["y"]), found["m"], found["d"])


def _packed(found: re.Match[str], reading: _Reading) -> Range | None:
    return reading.day(int(found["y"]), found["m"], found["d"])


def _year_month(found: re.Match[str], reading: _Reading) -> Range | None:
    return reading.month(reading.year(found["y"]), found["m"], found.groupdict().get("p"))


def _season(found: re.Match[str], reading: _Reading) -> Range:
    year = reading.year(found["y"])
    first, last = _SEASONS[found["s"]]
    return reading.until_now(date(year, first, 1), date(year, last, monthrange(year, last)[1]))


def _feast(found: re.Match[str], reading: _Reading) -> Range | None:
    month, first, last = _FEASTS[found["s"]]
    if found["y"]:
        year = reading.year(found["y"])
        return date(year, month, first), date(year, month, last)
    return reading.nearest(lambda year: (date(year, month, first), date(year, month, last)))


def _near_month(found: re.Match[str], reading: _Reading) -> Range | None:
    at = after_months(reading.today.replace(day=1), {"上上": -2, "上": -1, "下": 1}.get(found["r"], 0))
    if found["d"]:
        return reading.day(at.year, str(at.month), found["d"])
    return reading.month(at.year, str(at.month), found["p"])


def _month_day(found: re.Match[str], reading: _Reading) -> Range | None:
    return reading.nearest(lambda year: reading.day(year, found["m"], found["d"]))


def _month(found: re.Match[str], reading: _Reading) -> Range | None:
    return reading.nearest(lambda year: reading.month(year, found["m"], found["p"]))


def _week(found: re.Match[str], reading: _Reading) -> Range:
    monday = reading.today - timedelta(days=reading.today.weekday()) + timedelta(weeks=_WEEKS[found["r"]])
    if not found["d"]:
        return reading.until_now(monday, monday + timedelta(days=6))
    weekday = 6 if found["d"] in "日天7" else int(DIGITS.get(found["d"], found["d"])) - 1
    at = monday + timedelta(days=weekday)
    return at, at


def _few_days(found: re.Match[str], reading: _Reading) -> Range:
    at = reading.today + timedelta(days=_DAYS[found["s"]])
    return at, at


def _loose(found: re.Match[str], reading: _Reading) -> Range:
    most, least = _LOOSE[found["s"]]
    return reading.today - timedelta(days=most), reading.today - timedelta(days=least)


def _whole_year(found: re.Match[str], reading: _Reading) -> Range:
    year = reading.year(found["y"])
    return reading.until_now(date(year, 1, 1), date(year, 12, 31))


def _this_year_part(found: re.Match[str], reading: _Reading) -> Range | None:
    first, last = _SEASONS[found["s"]]
    return reading.nearest(
        lambda year: reading.until_now(date(year, first, 1), date(year, last, monthrange(year, last)[1]))
    )


def _day_only(found: re.Match[str], reading: _Reading) -> Range | None:
    for back in range(3):
        at = after_months(reading.today.replace(day=1), -back)
        one = reading.day(at.year, str(at.month), found["d"])
        if one and (one[0] <= reading.today or reading.future):
            return one
    return None


def _gone(found: re.Match[str], reading: _Reading) -> Range | None:
    return elapsed.span(found, reading.today)


# In this order: what a longer pattern has taken, a shorter one does not see.
_PATTERNS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], _Reading], Range | None]], ...] = tuple(
    (re.compile(pattern), how)
    for pattern, how in (
        (
            rf"(?<![0-9.])(?P<y>{_Y4}|{_Y2})(?:年|[./-])(?P<m>{_N})(?:月|[./-])(?P<d>{_N})(?:{_DAY}|(?![0-9.元块]))",
            _full,
        ),
        (r"(?<![0-9.])(?P<y>(?:19|20)[0-9]{2})(?P<m>[01][0-9])(?P<d>[0-3][0-9])(?![0-9.元块])", _packed),
        (rf"(?P<y>{_REL})的?(?P<m>{_N})(?:月|[./-])(?P<d>{_N})(?:{_DAY}|(?![0-9]))", _full),
        (rf"(?<![0-9.])(?P<y>{_Y4}|{_Y2})年的?(?P<m>{_N})月份?(?P<p>{_PART})?", _year_month),
        (r"(?<![0-9.])(?P<y>(?:19|20)[0-9]{2})[./-](?P<m>[01]?[0-9])(?![0-9./元块-])", _year_month),
        (rf"(?P<y>{_REL})的?(?P<m>{_N})月份?(?P<p>{_PART})?", _year_month),
        (rf"(?P<y>{_REL}|(?:{_Y4}|{_Y2})年)的?(?P<s>{'|'.join(_FEASTS)})", _feast),
        (rf"(?P<y>{_REL}|(?:{_Y4}|{_Y2})年)的?(?P<s>{'|'.join(_SEASONS)})", _season),
        (rf"(?P<r>上上|上|这|本|当|下)个?月(?:份)?(?:(?P<d>{_N}){_DAY}|(?P<p>{_PART}))?(?!薪|工资)", _near_month),
        (
            rf"(?<![0-9.年个])(?!两)(?P<m>{_N})月(?P<d>{_N})(?:{_DAY}|(?![0-9个日号零一二三四五六七八九十]))(?!{_AHEAD})",
            _month_day,
        ),
        # 一月五千 is by the month, 两月 is two months: neither is January or February.
        (
            rf"(?<![0-9.年个])(?!两|一月(?!份|初|中|底|末))(?P<m>{_N})月份?(?P<p>{_PART})?(?!薪|收|供|入|{_N}{_DAY}|{_AHEAD})",
            _month,
        ),
        (r"(?P<r>上上|上|这|本|下)个?(?:周|星期|礼拜)(?P<d>[一二三四五六日天1-7])?", _week),
        *((pattern, _gone) for pattern in elapsed.PATTERNS),
        (rf"(?P<s>{'|'.join(_DAYS)})", _few_days),
        (rf"(?P<s>{'|'.join(_LOOSE)})", _loose),
        (rf"(?P<y>(?<![0-9.])(?:{_Y4}|{_Y2})年|{_REL})(?!前|多|半|以前|之前|了|以来|工龄|[0-9])", _whole_year),
        (r"(?P<y>)(?P<s>元旦|五一|国庆)(?!月|[日号天年个])", _feast),
        (r"(?<!大)(?P<s>年初|年底|年末)(?![一二三四五六七八九十])", _this_year_part),
        (rf"(?<![0-9.月第])(?P<d>{_N})号(?![楼线院店])", _day_only),
    )
)


def find_all(text: str, today: date, *, future: bool = False) -> list[Mention]:
    """Every expression of time in `text`, in the order in which they stand there. Never raises."""
    text = plain(text[:LONGEST])
    reading = _Reading(today, future)
    taken: list[Mention] = []
    blocked: list[tuple[int, int]] = []
    for pattern, how in _PATTERNS:
        for found in pattern.finditer(text):
            start, end = found.span()
            if any(start < there and here < end for here, there in [*blocked, *((m.start, m.end) for m in taken)]):
                continue
            try:
                days = how(found, reading)
            except (ValueError, OverflowError):
                days = None
            # 2月30日 is no day, and must not go on to be read as 2月.
            if days is None or not EARLIEST <= days[0] <= days[1] <= today + timedelta(days=800):
                blocked.append((start, end))
                continue
            tenure = how is _gone and elapsed.is_tenure(found)
            taken.append(Mention(*days, phrase=found.group(), start=start, end=end, tenure=tenure))
    return sorted(taken, key=lambda mention: mention.start)


def find_date(text: str, today: date) -> tuple[date, date, str] | None:
    """The first thing in `text` that says when something happened: earliest day, latest day, the words themselves.

    How long somebody has worked there (干了三年多) is not an event and is passed over.
    """
    for mention in find_all(text, today):
        if not mention.tenure and mention.earliest <= today:
            return mention.earliest, min(mention.latest, today), mention.phrase
    return None
