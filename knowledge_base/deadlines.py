"""The time guard: which limit applies to what a worker tells, when it ends, and what to say first when that is near.

Limits are counted as 民法典第200至202条 count them. A last day that is a public holiday would move on; we name the day
before the move, so that nobody comes too late by trusting us.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from knowledge_base import document
from knowledge_base.calculators.dates import Mention, find_all, find_date
from knowledge_base.calculators.numerals import plain
from knowledge_base.calculators.periods import limit_end, shown, span_end
from knowledge_base.calculators.result import Citation

__all__ = ["Deadline", "find_date", "guard", "warning"]

NEAR_DAYS = 60
MONTH_DAYS = 31
WIDE_DAYS = 62
HOLIDAY_DAYS = 9
"""How long after the last day a holiday may still have moved it."""


_HIRED = re.compile(r".{0,4}?(?:入职|进的?(?:公司|厂|单位)|来的|来上班|上的班|开始干)")


@dataclass(frozen=True, slots=True)
class Deadline:
    """`days_left` is negative when `last_day` is over. `near` says what to do now, `past` what can still be done after.

    `what` names the thing to be done in time, for a sentence: 申请仲裁最晚到…. `warn_days`: how many days before the
    end it begins to be worth saying.
    """

    kind: str
    what: str
    last_day: date
    days_left: int
    near: str
    past: str
    citation: Citation
    warn_days: int = NEAR_DAYS


@dataclass(frozen=True, slots=True)
class _Stage:
    what: str
    years: int
    months: int
    days: int
    span_months: int
    warn_days: int

    def ends(self, event: date) -> date:
        start = span_end(event, self.span_months) if self.span_months else event
        return limit_end(start, years=self.years, months=self.months, days=self.days)


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: str
    topics: tuple[str, ...]
    event: str
    words: re.Pattern[str]
    unless: re.Pattern[str] | None
    asked: tuple[str, ...]
    strict: bool
    stages: tuple[_Stage, ...]
    near: str
    past: str
    citation: Citation

    def stage(self, event: date, today: date) -> _Stage:
        """The first stage whose end is still to come, else the last."""
        return next((stage for stage in self.stages if stage.ends(event) >= today), self.stages[-1])

    def deadline(self, stage: _Stage, event: date, today: date) -> Deadline:
        last = stage.ends(event)
        left = (last - today).days
        return Deadline(self.kind, stage.what, last, left, self.near, self.past, self.citation, stage.warn_days)


@cache
def _rules() -> tuple[_Rule, ...]:
    path = Path(__file__).with_name("deadlines.yaml")
    rows = document.read(path.read_text(encoding="utf-8"), path.name)
    return tuple(_rule(kind, row) for kind, row in rows.items())


def _rule(kind: str, row: dict[str, Any]) -> _Rule:
    return _Rule(
        kind=kind,
        topics=tuple(row["topics"]),
        event=row["event"],
        words=re.compile(row["words"]),
        unless=re.compile(row["unless"]) if "unless" in row else None,
        asked=tuple(row.get("asked", ())),
        strict=row.get("strict") == "true",
        stages=tuple(
            _Stage(
                what=stage["what"],
                years=int(stage.get("years", 0)),
                months=int(stage.get("months", 0)),
                days=int(stage.get("days", 0)),
                span_months=int(stage.get("span_months", 0)),
                warn_days=int(stage.get("warn_days", NEAR_DAYS)),
            )
            for stage in row["stages"]
        ),
        near=row["near"],
        past=row["past"],
        citation=Citation(row["cite"]["name"], tuple(map(int, row["cite"]["articles"]))),
    )


def guard(topic: str, event_date: date, today: date) -> Deadline | None:
    """The limit that runs for this topic when its event was on `event_date`; None where none runs.

    The event is what the topic's limit starts from: leaving, the injury, the hiring without a contract, the receipt of
    a decision. Of two limits one after the other (employer's 30 days, worker's year) it is the one still open.
    """
    rule = next((rule for rule in _rules() if topic in rule.topics), None)
    if rule is None or event_date > today:
        return None
    return rule.deadline(rule.stage(event_date, today), event_date, today)


def warning(topic: str, text: str, today: date) -> str | None:
    """The sentence to say before the answer, when a limit that `text` tells of is near or past; None otherwise.

    It says 可能 wherever the date is vague, and 如果 wherever it is not clear that the date is that of the event.
    """
    chosen = _choose(topic, plain(text[:1000]), today)
    if chosen is None:
        return None
    rule, mention, certain = chosen
    latest = min(mention.latest, today)
    stage = rule.stage(mention.earliest, today)
    first, last = (rule.deadline(stage, day, today) for day in (mention.earliest, latest))
    given = f"按你说的“{mention.phrase}”算" if certain else f"如果“{mention.phrase}”就是{rule.event}"
    said = _say(first, last, given)
    return f"⚠ {said}" if said else None


def _say(first: Deadline, last: Deadline, given: str) -> str | None:
    """`first` and `last` are the ends counted from the earliest and the latest day that was meant."""
    exact = first.last_day == last.last_day
    if last.days_left < 0:
        when = (
            f"算到{shown(last.last_day)}" if exact else f"大约在{shown(first.last_day)}到{shown(last.last_day)}之间到期"
        )
        moved = (
            "要是最后一天赶上周末、长假，可以顺延到上班第一天，今天就去问。" if last.days_left >= -HOLIDAY_DAYS else ""
        )
        return f"{given}，{first.what}的期限可能已经过了（{when}，{first.citation}）；不过{moved}{first.past}"
    if first.days_left < 0:
        return (
            f"{given}，{first.what}最晚到{shown(last.last_day)}，{_left(last)}（{first.citation}）；"
            f"要是更早的事，{shown(first.last_day)}就到期了，可能已经过了。先想准是哪天，今天就去办。{first.past}"
        )
    if first.days_left > first.warn_days:
        return None
    if exact:
        return f"{given}，{first.what}最晚到{shown(first.last_day)}，{_left(first)}（{first.citation}）。{first.near}"
    return (
        f"{given}，{first.what}大约在{shown(first.last_day)}到{shown(last.last_day)}之间到期，按早的算{_left(first)}"
        f"（{first.citation}）。{first.near}"
    )


def _left(deadline: Deadline) -> str:
    return f"还剩{deadline.days_left}天" if deadline.days_left else "就是今天"


def _choose(topic: str, text: str, today: date) -> tuple[_Rule, Mention, bool] | None:
    """The rule, the date in `text`, and whether that date clearly is that of the rule's event."""
    rules = [rule for rule in _rules() if topic in rule.topics and not (rule.unless and rule.unless.search(text))]
    # A strict rule speaks only where its own words stand, so it knows better than a general one.
    rules.sort(key=lambda rule: not rule.strict)
    mentions = [mention for mention in find_all(text, today) if mention.earliest <= today]
    # 今年, 最近: too wide to have a limit that is near.
    mentions = [mention for mention in mentions if mention.latest < today or _days(mention) <= WIDE_DAYS]
    for rule in rules:
        told = [mention for mention in mentions if _tells(rule, mention, mentions, text)]
        if told:
            return rule, max(told, key=lambda mention: mention.latest), True
    for rule in rules:
        unclear = [
            mention
            for mention in mentions
            if not mention.tenure
            and mention.latest < today
            and (topic in rule.asked or _days(mention) <= MONTH_DAYS)
            and not _HIRED.match(text[mention.end :])
        ]
        if unclear and not rule.strict:
            return rule, max(unclear, key=lambda mention: mention.latest), False
    return None


def _days(mention: Mention) -> int:
    return (mention.latest - mention.earliest).days


def _tells(rule: _Rule, mention: Mention, mentions: list[Mention], text: str) -> bool:
    """Whether a word of the rule's event stands beside this date rather than beside another one."""
    if mention.tenure:
        return rule.kind == "double_pay"
    following = min((other.start for other in mentions if other.start > mention.start), default=len(text))
    preceding = max((other.end for other in mentions if other.end <= mention.start), default=0)
    behind = re.split(r"[。；;!！?？]", text[mention.end : min(following, mention.end + 14)])[0]
    before = re.split(r"[,，。；;!！?？]", text[max(preceding, mention.start - 8) : mention.start])[-1]
    # After another date, what stands before this one belongs to that one: 去年三月入职，今年五月走.
    return bool(rule.words.search(behind) or (not preceding and rule.words.search(before)))
