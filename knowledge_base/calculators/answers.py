"""Reading a worker's answer to one question: money, a day, a span of time, a number, or one of several choices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Literal

from knowledge_base.calculators.dates import find_all
from knowledge_base.calculators.numerals import LONGEST, NUMBER, plain, read

Value = Decimal | date | int | str
"""Money and numbers are `Decimal`, spans whole months as `int`, a choice its key."""

Edge = Literal["first", "last"]

_RUN = re.compile(r"[0-9零〇一二两三四五六七八九十百千万kw.点]+")
_PAIR = re.compile(r"([一二两三四五六七八])([二两三四五六七八九])(?=[十百千万年个天])")
_OTHER_UNITS = re.compile(rf"{NUMBER}(?:个半?月|年|天|号|日|级|次|人|点钟)")
_PASS = re.compile(
    r"(?:我?也?(?:跳过|略过|不知道|不清楚|说不清|不记得|记不清|忘了|不确定|没有|没|无|随便|默认|不填|不用|不说|pass|都没有)了?[吧啊呢。.!！]*)"
)
_NEGATIVE = re.compile(r"(?<![0-9年月日号])[-−—负][0-9零一二两三四五六七八九十百千万]")
_PER = {
    "月": (r"每?天|日薪|小时|时薪|年薪|每年|一年|/年|周薪|每周", "请说一个月的数"),
    "小时": (r"每?天|日薪|月|年薪|每年|周薪", "请说一小时的数"),
    "月小时": (r"每?天|天天|每周|一周", "请说一个月合计多少小时，一天也只有24小时；比如每天加2小时、干22天，就回44"),
}
_NO_PAIR = "给一个准些的数就行，拿不准就取中间的"


class Unclear(ValueError):
    """An answer that cannot be used. `reason` says why, in words for the worker."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def is_pass(text: str) -> bool:
    """Whether this is a way of saying "I cannot say" or "none"."""
    return bool(_PASS.fullmatch(plain(text[:LONGEST])))


def written(value: Value) -> str:
    """The value as text that reads back as the same value."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date):
        return value.isoformat()
    return f"{value}个月" if isinstance(value, int) else value


def money(text: str, per: str = "") -> Decimal:
    """元. `per` is 月 or 小时 where the question asks for that; an answer by another unit is refused."""
    given = _answer(text)
    given = re.sub(r"(?:一|1|每)个?月|月(?:薪|工资)", "月" if per == "小时" else "", given)
    if per == "小时":
        given = re.sub(r"(?:一|1|每)个?(?:小时|钟头)|/小时|时薪", "", given)
    return _one_number(given, per, r"元|块|人民币|rmb|¥|￥")


def number(text: str, per: str = "") -> Decimal:
    """A plain number; `per` 月小时 asks for hours in a month, 天 for days."""
    given = re.sub(r"(?:一|1|每)个?月", "", _answer(text))
    if per == "月小时" and re.search(rf"{NUMBER}天", given):
        raise Unclear("请换成小时：一天一般按8小时算，3天就回24")
    units = {"月小时": r"个?小时|个?钟头", "天": r"天|日", "年": r"年"}.get(per, r"级|年|天|个?小时")
    return _one_number(re.sub(rf"(?<=[0-9零〇一二两三四五六七八九十百千万半])(?:{units})", "", given), per, "")


def _one_number(given: str, per: str, signs: str) -> Decimal:
    if per in _PER and re.search(_PER[per][0], given):
        raise Unclear(_PER[per][1])
    if _PAIR.search(given) or re.search(r"[0-9千万](?:元|块)?(?:到|至|~|～|-|—)[0-9一二三四五六七八九]", given):
        raise Unclear(_NO_PAIR)
    given = re.sub(signs, " ", given) if signs else given
    runs = [run.strip(".点") for run in _RUN.findall(_OTHER_UNITS.sub(" ", given))]
    values = [value for run in runs if run and (value := read(run)) is not None]
    if len(values) != 1 or len([run for run in runs if run]) != 1:
        raise Unclear("没看懂，只回一个数字就行，比如5000或8千" if per != "天" else "没看懂，只回一个数字就行，比如5")
    if values[0] >= Decimal(10) ** 12:
        raise Unclear("这个数太大了，对不上，再看看")
    return values[0]


def span(text: str, kind: Literal["months", "years"]) -> int:
    """Whole months. A bare number counts months or years as `kind` says; 快十年 is a month short of ten years."""
    given = re.sub(
        r"^(?:大概|大约|差不多|一共|总共|累计|有|干了|工作了|缴了|交了)+|(?:左右|整|吧|了)+$", "", _answer(text)
    )
    if _PAIR.search(given) or re.search(r"几|到|至|~|(?<=[0-9年月])-", given):
        raise Unclear("说准一点，几年几个月？比如3年零4个月")
    nearly = bool(re.match(r"快|将近|接近|近", given))
    given = re.sub(r"^(?:快|将近|接近|近)", "", given)
    found = re.fullmatch(
        rf"(?:(?P<y>半|{NUMBER})(?:多)?年(?P<half>半)?)?(?:多|零|又|和|,|，)*(?:(?P<m>半|{NUMBER})个?(?P<mid>半)?月)?(?:多|出头)?",
        given,
    )
    if found and (found["y"] or found["m"]):
        years, months = _count(found["y"]), _count(found["m"])
        total = years * 12 + (6 if found["half"] else 0) + months
    elif (bare := read(given)) is not None:
        total = bare * (12 if kind == "years" else 1)
    else:
        raise Unclear("没看懂，说几年几个月就行，比如3年零4个月")
    if total >= 10_000:
        raise Unclear("这个时间太长了，对不上，再看看")
    return max(0, int(total) - (1 if nearly else 0))


def _count(text: str | None) -> Decimal:
    if text is None:
        return Decimal(0)
    value = Decimal("0.5") if text == "半" else read(text)
    if value is None:
        raise Unclear("没看懂，说几年几个月就行，比如3年零4个月")
    return value


def day(text: str, today: date, *, future: bool = False, edge: Edge = "first") -> date:
    """One day. A month alone is taken as its first or its last day, as `edge` says; anything vaguer is asked again."""
    given = plain(text[:LONGEST])
    if re.fullmatch(r"[0-9]{1,2}[./-][0-9]{1,2}", given):
        given = re.sub(r"[./-]", "月", given) + "日"
    mentions = find_all(given, today, future=future)
    if not mentions:
        raise Unclear("没看懂是哪天，或者没有这一天。写成2024年3月1日这样，记不清哪天就写到几月")
    if len(mentions) > 1:
        raise Unclear("看到好几个日子，只回一个就行")
    mention = mentions[0]
    if (mention.latest - mention.earliest).days > 31:
        raise Unclear("最好说到几月几号，记不清哪天就说到几月，比如2024年3月")
    found = mention.earliest if edge == "first" else mention.latest
    if found > today and not future:
        found = mention.earliest
        if found > today:
            raise Unclear("这个日子还没到，再看看是哪一年")
    return found


def choice(text: str, choices: Mapping[str, Sequence[str]]) -> str:
    """The key whose number or words stand in `text`. The longest words win, so that 非全日制 is not 全日制."""
    given = plain(text[:LONGEST])
    if given in choices:
        return given
    keys = list(choices)
    picked = re.fullmatch(r"(?:选|第)*([0-9]{1,2}|[一二两三四五六七八九十]{1,2})(?:个|项|种|条)?[.、。)）]?", given)
    if picked and (value := read(picked[1])) is not None and 1 <= value <= len(keys):
        return keys[int(value) - 1]
    matched = {key: max(_shared(plain(word), given) for word in choices[key]) for key in keys}
    longest = max(matched.values())
    best = [key for key in keys if matched[key] == longest]
    if longest and len(best) == 1:
        return best[0]
    listed = "；".join(f"{index}. {choices[key][0]}" for index, key in enumerate(keys, 1))
    raise Unclear(f"回前面的数字就行：{listed}")


def _shared(word: str, given: str) -> int:
    """How well an answer fits a choice: holding all of its words counts for more than being a part of them."""
    return 2 * len(word) if word in given else len(given) if len(given) > 1 and given in word else 0


def spot_money(text: str, hints: str) -> set[Decimal]:
    """Sums that stand right behind one of `hints` in a story: 月薪8000, 工资一个月四千五."""
    behind = re.finditer(
        rf"(?:{hints})(?:大概|大约|差不多|平均|每个?月|一个月|是|才|就|只有|有|给|发|拿|:|，|,)*(?P<n>{_RUN.pattern})(?P<u>[元块多左/]|$|[,，。；;!！?？了]|(?=[^0-9年月天日号个小时%级]))",
        plain(text[:1000]),
    )
    # 欠我工资20000 is what is owed, not what a month pays.
    values = (
        read(found["n"].strip(".点"))
        for found in behind
        if not re.search("[欠拖扣讨]", found.string[max(0, found.start() - 4) : found.start()])
    )
    return {value for value in values if value is not None and value >= 5}


def spot_days(text: str, hints: str, today: date, edge: Edge, *, future: bool) -> set[date]:
    """Days that stand right before one of `hints` in a story (2019年3月入职), or, failing that, right after it."""
    clean = plain(text[:1000])
    mentions = [mention for mention in find_all(clean, today, future=future) if not mention.tenure]
    close = [mention for mention in mentions if (mention.latest - mention.earliest).days <= 31]
    starts = [mention.start for mention in mentions[1:]] + [len(clean)]
    after = [
        mention
        for mention, ends in zip(mentions, starts, strict=False)
        if re.search(hints, clean[mention.end : min(mention.end + 8, ends)])
    ]
    before = [
        mention for mention in mentions if re.search(rf"(?:{hints})[^,，。；;!！?？]{{0,4}}$", clean[: mention.start])
    ]
    named = after or before
    end = date.max if future else today
    return {mention.earliest if edge == "first" else min(mention.latest, end) for mention in named if mention in close}


def _answer(text: str) -> str:
    given = plain(text[:LONGEST])
    if _NEGATIVE.search(given):
        raise Unclear("这个数不能是负的，再看看")
    return given
