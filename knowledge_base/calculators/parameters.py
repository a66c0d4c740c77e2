"""The figures that change by year or place, each with its source and the day it has to be checked again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from knowledge_base import document


class Outdated(Exception):
    """A figure is past its date. `reason` is for the worker."""

    def __init__(self, parameter: Parameter, reason: str) -> None:
        super().__init__(reason)
        self.parameter = parameter
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Parameter:
    """One figure. `values` has a single entry under "" unless the figure comes by grade; empty means not known.

    In force from `valid_from` to `valid_to` (None: until something new is published); `review_by` is the last day on
    which we still trust it unread.
    """

    key: str
    name: str
    values: Mapping[str, Decimal]
    unit: str
    valid_from: date
    valid_to: date | None
    review_by: date
    document: str
    checked: date

    @property
    def known(self) -> bool:
        return bool(self.values)

    @property
    def value(self) -> Decimal:
        return self.values[""]

    def __str__(self) -> str:
        amount = f"{self.value}{self.unit}" if "" in self.values else ""
        return f"{self.name}{amount}（{self.valid_from.year}年{self.valid_from.month}月起，{self.document}）"


@dataclass(frozen=True, slots=True)
class Book:
    """All figures of one file."""

    parameters: Mapping[str, Parameter]

    def figure(self, key: str, today: date) -> Parameter:
        """The figure as it may be used today, known or not. Raises `Outdated` when it is past its date."""
        parameter = self.parameters[key]
        if today > min(parameter.valid_to or today, parameter.review_by):
            raise Outdated(parameter, _expired(parameter))
        return parameter

    def reaching(self, key: str, day: date, today: date) -> Parameter | None:
        """The figure for something that happened on `day`; None when ours is for another time. `Outdated` as above."""
        parameter = self.parameters[key]
        if today > parameter.review_by:
            raise Outdated(parameter, _expired(parameter))
        return parameter if parameter.valid_from <= day <= (parameter.valid_to or day) else None


def _expired(parameter: Parameter) -> str:
    return f"要用到的“{parameter.name}”，这个数到期了，等核对。请同事查到新的再给你算。"


def parse(text: str, path: str) -> Book:
    """The figures in `text`, a YAML mapping as in parameters.yaml. Raises `document.ArticleError`."""
    rows = document.read(text, path)
    try:
        return Book({key: _parameter(key, row) for key, row in rows.items()})
    except (KeyError, ValueError, ArithmeticError, TypeError, AttributeError) as error:
        raise document.ArticleError(path, f"有一个数的字段不全或写法不对（{error}）") from error


@cache
def parameters() -> Book:
    """parameters.yaml, read once."""
    path = Path(__file__).parent.with_name("parameters.yaml")
    return parse(path.read_text(encoding="utf-8"), path.name)


def _parameter(key: str, row: dict[str, Any]) -> Parameter:
    given = row["value"]
    if given == "null":
        values = {}
    elif isinstance(given, dict):
        values = {grade: Decimal(value) for grade, value in given.items()}
    else:
        values = {"": Decimal(given)}
    return Parameter(
        key=key,
        name=row["name"],
        values=values,
        unit=row["unit"],
        valid_from=date.fromisoformat(row["valid_from"]),
        valid_to=date.fromisoformat(row["valid_to"]) if "valid_to" in row else None,
        review_by=date.fromisoformat(row["review_by"]),
        document=row["document"],
        checked=date.fromisoformat(row["checked"]),
    )
