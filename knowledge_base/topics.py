"""The fixed vocabulary: topics, urgency, intake slots, hotlines, and the figures that change by year or place."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from knowledge_base import document


@dataclass(frozen=True, slots=True)
class Topic:
    """`contacts` are numbers of `hotlines`; `slots` what staff will need, in the order to ask."""

    id: str
    name: str
    urgency: str
    contacts: tuple[str, ...]
    slots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hotline:
    """`local`: the number or its hours may change, so it is never shown as certain. `hours` is empty when not known."""

    number: str
    name: str
    hours: str
    local: bool

    @property
    def label(self) -> str:
        return f"{self.name} {self.number}" + (f"（{self.hours}）" if self.hours else "")


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that changes by year or place. `effective` and `unit` may be empty.

    It stands in a line when one of `find` does and, where `near` is given, one of these words too.
    """

    key: str
    name: str
    values: tuple[str, ...]
    unit: str
    effective: str
    document: str
    find: tuple[str, ...]
    near: tuple[str, ...]

    def stands_in(self, line: str) -> str | None:
        """The spelling of this figure in `line`, which `plain_figures` has smoothed; None when it is not there."""
        if self.near and not any(word in line for word in self.near):
            return None
        for spelling in self.find:
            if _pattern(spelling).search(line):
                return spelling
        return None


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What topics.yaml says. `urgency` and `slots` map a key to its Chinese label."""

    topics: dict[str, Topic]
    urgency: dict[str, str]
    slots: dict[str, str]
    hotlines: dict[str, Hotline]
    figures: tuple[Figure, ...]
    regions: tuple[str, ...]
    owners: tuple[str, ...]
    follow_ups: tuple[str, ...]


def plain_figures(line: str) -> str:
    """`line` with full-width digits, thousands separators and spaces around digits taken away."""
    line = re.sub(r"(?<![\d,])\d{1,3}(?:,\d{3})+(?![\d,])", lambda match: match.group().replace(",", ""), line)
    line = unicodedata.normalize("NFKC", line)
    return re.sub(r"(?<=\d)[ \t]+(?=[^\d\s])|(?<=[^\d\s])[ \t]+(?=\d)", "", line)


@cache
def _pattern(spelling: str) -> re.Pattern[str]:
    plain = plain_figures(spelling)
    before = r"(?<![\d.])" if plain[0].isdigit() else ""
    # 2032 is a wage, 2032年 is a year.
    after = r"(?!\d|\.\d|年)" if plain[-1].isdigit() else ""
    return re.compile(before + re.escape(plain) + after)


@cache
def vocabulary() -> Vocabulary:
    """topics.yaml, read once."""
    path = Path(__file__).with_name("topics.yaml")
    rows = document.read(path.read_text(encoding="utf-8"), path.name)
    return Vocabulary(
        topics={name: _topic(name, row) for name, row in rows["topics"].items()},
        urgency=rows["urgency"],
        slots=rows["slots"],
        hotlines={row["number"]: _hotline(row) for row in rows["hotlines"]},
        figures=tuple(_figure(row) for row in rows["local_figures"]),
        regions=tuple(rows["regions"]),
        owners=tuple(rows["owners"]),
        follow_ups=tuple(rows["follow_ups"]),
    )


def _topic(name: str, row: dict[str, Any]) -> Topic:
    return Topic(name, row["name"], row["urgency"], tuple(row["contacts"]), tuple(row["slots"]))


def _hotline(row: dict[str, Any]) -> Hotline:
    return Hotline(row["number"], row["name"], row.get("hours", ""), row.get("local") == "true")


def _figure(row: dict[str, Any]) -> Figure:
    return Figure(
        key=row["key"],
        name=row["name"],
        values=tuple(row["values"]),
        unit=row.get("unit", ""),
        effective=row.get("effective", ""),
        document=row["document"],
        find=tuple(row["find"]),
        near=tuple(row.get("near", ())),
    )
