"""The statutes that may be cited, and how far their articles run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from knowledge_base import document


@dataclass(frozen=True, slots=True)
class Statute:
    """One statute. `last` is 0 for a notice without numbered articles; `shown` is the name that workers read.

    `also` are other names it goes by. `superseded` maps an article that still stands in the text to the provision
    that has taken its place.
    """

    name: str
    title: str
    shown: str
    version: date
    effective: date
    first: int
    last: int
    also: tuple[str, ...]
    superseded: dict[int, str]

    def has(self, article: int) -> bool:
        return self.first <= article <= self.last

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.name, self.title, self.shown, *self.also)))


@cache
def statutes() -> dict[str, Statute]:
    """All statutes of statutes.yaml by short name."""
    path = Path(__file__).with_name("statutes.yaml")
    rows = document.read(path.read_text(encoding="utf-8"), path.name)
    return {
        name: Statute(
            name=name,
            title=row["title"],
            shown=row.get("cited_as", name),
            version=date.fromisoformat(row["version"]),
            effective=date.fromisoformat(row["effective"]),
            first=int(row.get("first", 1)),
            last=int(row["last"]),
            also=tuple(row.get("also", ())),
            superseded={int(number): by for number, by in row.get("superseded", {}).items()},
        )
        for name, row in rows.items()
    }


@cache
def find(name: str) -> tuple[Statute, ...]:
    """Statutes of this short name, full title or shown name; the parts of the civil code share one shown name."""
    return tuple(statute for statute in statutes().values() if name in statute.names)
