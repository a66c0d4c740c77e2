"""What a calculator hands back: the result, how it came about, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from knowledge_base.calculators.parameters import Parameter
from knowledge_base.calculators.periods import shown
from knowledge_base.statutes import statutes

DISCLAIMER = "只是估算，以仲裁或法院认定为准。"
LONGEST = 900
"""Characters of a chat bubble that `Result.text` stays below."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A statute by its short name with articles, or, without articles, a document by its own name."""

    name: str
    articles: tuple[int, ...] = ()

    def __str__(self) -> str:
        known = statutes().get(self.name)
        name = known.shown if known else self.name
        return name + (f"第{'、'.join(map(str, self.articles))}条" if self.articles else "")


@dataclass(frozen=True, slots=True)
class Result:
    """What came out. `total` is rounded to 分, a day, a number of `unit`, or None where only a person can go on.

    `headline` says the result in one sentence. `ask_person` says why a person should look, "" when none is needed.
    """

    headline: str
    steps: tuple[str, ...]
    total: Decimal | date | None
    unit: str
    citations: tuple[Citation, ...]
    figures: tuple[Parameter, ...] = ()
    warnings: tuple[str, ...] = ()
    ask_person: str = ""

    def text(self) -> str:
        """One chat bubble: result, working, what it rests on; the last warnings are dropped if it is long."""
        for kept in range(len(self.warnings), -1, -1):
            said = self._lines(self.warnings[:kept])
            if len(said) < LONGEST:
                break
        return said

    def _lines(self, warnings: Sequence[str]) -> str:
        lines = [f"结果：{self.headline}", "怎么算的："]
        lines += [f"{number}. {step}" for number, step in enumerate(self.steps, 1)]
        lines.append(f"依据：{'；'.join(map(str, self.citations))}")
        if self.figures:
            lines.append(f"用的数：{'；'.join(map(str, self.figures))}，以当地最新公布为准")
        lines += [f"注意：{warning}" for warning in warnings]
        if self.ask_person:
            lines.append(f"{self.ask_person}回“人工”请同事帮你核。")
        lines.append(DISCLAIMER)
        return "\n".join(lines)


def yuan(amount: Decimal) -> str:
    """12,345.60 as 12345.6元, rounded to 分."""
    rounded = cents(amount)
    return f"{rounded:.2f}".rstrip("0").rstrip(".") + "元"


def cents(amount: Decimal) -> Decimal:
    """Rounded to 分, half up; only ever done to what is shown or handed out."""
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def figure(amount: Decimal) -> str:
    """A plain number without trailing zeros: 21.75, 4.5, 12."""
    return f"{amount:f}".rstrip("0").rstrip(".") if "." in f"{amount:f}" else f"{amount:f}"


def between(first: date, last: date) -> str:
    return f"{shown(first)}到{shown(last)}"
