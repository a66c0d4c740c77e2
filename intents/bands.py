"""Where confidence turns into action: answer, ask back, or say that it is not for us."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

CHOSEN = Path(__file__).with_name("bands.json")
"""Chosen on development questions by `hotline eval FILE --choose`, with what they gave there."""


@dataclass(frozen=True, slots=True)
class Bands:
    """Answer at `answer` or above, ask back at `ask` or above; `in_scope` below `scope` means that it is not for us."""

    answer: float
    ask: float
    scope: float


def chosen(path: Path = CHOSEN) -> Bands:
    """The bands that this version of the engine comes with."""
    sheet = json.loads(path.read_text(encoding="utf-8"))
    return Bands(answer=sheet["answer"], ask=sheet["ask"], scope=sheet["scope"])


def keep(bands: Bands, why: dict[str, object], path: Path = CHOSEN) -> None:
    """Write down the bands and the figures that they were chosen by."""
    path.write_text(json.dumps({**asdict(bands), "chosen_by": why}, ensure_ascii=False, indent=1) + "\n", "utf-8")
