"""What every calculator is made of: the questions it asks, their answers, and the sum it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal, cast

from knowledge_base.calculators import answers
from knowledge_base.calculators.answers import Unclear, Value
from knowledge_base.calculators.parameters import Book, Parameter
from knowledge_base.calculators.periods import EARLIEST
from knowledge_base.calculators.result import Result

Kind = Literal["money", "date", "months", "years", "number", "choice"]
Values = Mapping[str, Value]
FARTHEST = timedelta(days=366)
"""How far ahead a last working day may lie."""

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "money": Decimal,
    "number": Decimal,
    "months": int,
    "years": int,
    "date": date,
    "choice": str,
}


class Refused(ValueError):
    """These inputs make no sense together. `reason` is for the worker; `field` names the input to ask again, if one."""

    def __init__(self, reason: str, field: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to ask. `low` and `high` bound the value as `answers.read` returns it (months for a span of years).

    `choices` maps a key to the words that workers see and answer with. `hints` are words that stand beside this value
    when a worker tells the story unasked. `default` stands in when the worker cannot say ("today" for a date);
    None means that there is no going on without an answer. `needed` says, from what is known so far, whether this
    matters at all, `asked` whether to ask for it unless the worker names it. `edge` says how a bare month is read,
    `per` the unit that money or a number is asked in (月, 小时, 月小时, 天).
    """

    name: str
    question: str
    kind: Kind
    low: Decimal | None = None
    high: Decimal | None = None
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    hints: str = ""
    default: Value | None = None
    needed: Callable[[Values], bool] = lambda given: True
    asked: bool = True
    future: bool = False
    edge: Literal["first", "last"] = "first"
    per: str = ""

    def parse(self, text: str, today: date) -> Value:
        """The value that `text` answers with. Raises `Unclear` with a reason in words, and nothing else.

        `written` of the value reads back as the same value: that is how a conversation may keep it.
        """
        if self.default is not None and answers.is_pass(text):
            return self.check(cast(Value, self.fallback(today)), today)
        match self.kind:
            case "choice":
                value: Value = answers.choice(text, self.choices)
            case "date":
                value = answers.day(text, today, future=self.future, edge=self.edge)
            case "money":
                value = answers.money(text, self.per)
            case "months" | "years":
                value = answers.span(text, self.kind)
            case "number":
                value = answers.number(text, self.per)
        return self.check(value, today)

    def fallback(self, today: date) -> Value | None:
        """The value to go on with when there is no answer; None when there is none to go on with."""
        return today if self.kind == "date" and self.default == "today" else self.default

    def find(self, text: str, today: date) -> Value | None:
        """The value where a story names it beside one of `hints`, as in 月薪8000; None unless there is exactly one."""
        found: set[Decimal] | set[date] = set()
        if self.hints and self.kind == "money":
            found = answers.spot_money(text, self.hints)
        elif self.hints and self.kind == "date":
            found = answers.spot_days(text, self.hints, today, self.edge, future=self.future)
        if len(found) != 1:
            return None
        try:
            return self.parse(answers.written(found.pop()), today)
        except Unclear:
            return None

    def check(self, value: Value, today: date) -> Value:
        """`value` as it is, when it is of this input's kind and within its bounds; raises `Unclear` else."""
        if not isinstance(value, _TYPES[self.kind]) or (self.kind == "choice" and value not in self.choices):
            raise Unclear(f"没看懂，再说一次：{self.question}")
        if isinstance(value, (int, Decimal)):
            if isinstance(value, Decimal) and not value.is_finite():
                raise Unclear(f"这不是个数，再说一次：{self.question}")
            if self.low is not None and value < self.low:
                raise Unclear(f"这个数太小了，对不上。{self.question}")
            if self.high is not None and value > self.high:
                raise Unclear(f"这个数太大了，对不上。{self.question}")
        if isinstance(value, date):
            if value < EARLIEST:
                raise Unclear("这个日子太早了，再看看是哪一年")
            if value > (today + FARTHEST if self.future else today):
                raise Unclear("这个日子太远了，再看看是哪一年" if self.future else "这个日子还没到，再看看是哪一年")
        return value


@dataclass(frozen=True, slots=True)
class Given:
    """The checked inputs of one sum, the day it is done on, and the figures it may use."""

    values: Values
    today: date
    book: Book

    def amount(self, name: str) -> Decimal:
        """A money or number input."""
        return cast(Decimal, self.values[name])

    def months(self, name: str) -> int:
        """A months or years input, in whole months."""
        return cast(int, self.values[name])

    def day(self, name: str) -> date:
        return cast(date, self.values[name])

    def pick(self, name: str) -> str:
        return cast(str, self.values[name])

    def figure(self, key: str) -> Parameter:
        """The figure in force today; raises `parameters.Outdated`."""
        return self.book.figure(key, self.today)


@dataclass(frozen=True, slots=True)
class Calculator:
    """One sum that the law gives a formula for. `topic` is the topic it belongs to, `also` further ones it helps with.

    `triggers` is a pattern: a worker who writes it wants this sum. `work` gets every needed input, checked.
    """

    key: str
    title: str
    topic: str
    triggers: str
    inputs: tuple[Input, ...]
    work: Callable[[Given], Result]
    also: tuple[str, ...] = ()

    def missing(self, given: Values) -> Input | None:
        """The next input to ask for; None when there is enough to calculate."""
        for each in self.inputs:
            if each.asked and each.name not in given and each.needed(given):
                return each
        return None

    def gather(self, text: str, today: date) -> dict[str, Value]:
        """What a worker's own story already answers; only what stands clearly beside its name."""
        found = ((each.name, each.find(text, today)) for each in self.inputs)
        return {name: value for name, value in found if value is not None}

    def calculate(self, values: Values, today: date, book: Book) -> Result:
        """Raises `Refused` for nonsense and `parameters.Outdated` when a figure it needs is past its date.

        Inputs that are left out take their default; one without a default that is needed is a `Refused` too.
        """
        complete: dict[str, Value] = {}
        for each in self.inputs:
            if not each.needed(complete):
                continue
            value = values.get(each.name, each.fallback(today))
            if value is None:
                raise Refused(f"还差一样：{each.question}", each.name)
            try:
                complete[each.name] = each.check(value, today)
            except Unclear as error:
                raise Refused(error.reason, each.name) from error
        return self.work(Given(complete, today, book))
