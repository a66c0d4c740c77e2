"""How well an engine understands: one report on any file of labelled questions, with its mistakes by name."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from intents.bands import Bands
from intents.engine import IntentEngine, Understanding
from intents.questions import OUT_OF_SCOPE

OUTSIDE = {OUT_OF_SCOPE, "oos"}
DANGER_TOPICS = {"meta.self_harm_crisis", "safety.immediate_danger"}
LENGTHS = ((0, 10), (11, 20), (21, 40), (41, 80), (81, 20_000))


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled question; `also` are topics that count as right too."""

    text: str
    topic: str
    also: tuple[str, ...] = ()

    @property
    def outside(self) -> bool:
        return self.topic in OUTSIDE

    @property
    def right(self) -> frozenset[str]:
        return frozenset((self.topic, *self.also))


@dataclass(frozen=True, slots=True)
class Judged:
    """What the engine made of one row. `action` is one of answer, ask_back, handoff, danger, refuse."""

    row: Row
    ranking: tuple[tuple[str, float], ...]
    in_scope: float
    action: str
    danger: str | None
    milliseconds: float

    @property
    def first(self) -> str | None:
        return self.ranking[0][0] if self.ranking else None

    def hit(self, among: int) -> bool:
        return any(topic in self.row.right for topic, _ in self.ranking[:among])

    def as_json(self) -> dict[str, Any]:
        return {
            "text": self.row.text,
            "topic": self.row.topic,
            "also": list(self.row.also),
            "ranking": [{"topic": topic, "confidence": confidence} for topic, confidence in self.ranking],
            "in_scope": round(self.in_scope, 4),
            "action": self.action,
            "danger": self.danger,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """Figures over all rows. Shares are of the rows named in `of`; a share over nothing is None."""

    n: int
    figures: dict[str, float | int | None]
    intervals: dict[str, tuple[float, float]]
    of: dict[str, int]
    by_group: dict[str, dict[str, float | int | None]]
    by_length: dict[str, dict[str, float | int | None]]
    confusions: list[tuple[str, str, int]]
    surest_and_wrong: list[Judged]
    judged: list[Judged] = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        return {
            "n": self.n,
            **self.figures,
            "of": self.of,
            "intervals": {name: list(pair) for name, pair in self.intervals.items()},
            "by_group": self.by_group,
            "by_length": self.by_length,
            "confusions": [{"topic": said, "taken_for": heard, "n": n} for said, heard, n in self.confusions],
            "surest_and_wrong": [judged.as_json() for judged in self.surest_and_wrong],
        }


def read_rows(path: Path) -> list[Row]:
    """Rows of a JSONL file; lines without a text and a topic (remarks on who wrote it) are passed over.

    Raises `ValueError` that names the line that is no JSON.
    """
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"第 {number} 行不是 JSON：{error.msg}") from None
        if isinstance(entry, dict) and isinstance(entry.get("text"), str) and isinstance(entry.get("topic"), str):
            also = entry.get("also") or []
            rows.append(Row(entry["text"], entry["topic"], tuple(also) if isinstance(also, list) else (str(also),)))
    return rows


def act(understood: Understanding, bands: Bands) -> str:
    """What the hotline would do with this as the first message of a talk."""
    if understood.danger is not None:
        return "danger"
    best = understood.ranking[0] if understood.ranking else None
    if best is None:
        return "handoff" if understood.in_scope >= bands.scope else "refuse"
    if understood.in_scope < bands.scope or best.topic == OUT_OF_SCOPE:
        return "refuse"
    if best.confidence >= bands.answer:
        return "answer"
    return "ask_back" if best.confidence >= bands.ask else "handoff"


async def judge(engine: IntentEngine, rows: Iterable[Row], bands: Bands) -> list[Judged]:
    """Ask the engine row by row, one at a time, with the clock running."""
    judged = []
    for row in rows:
        started = time.perf_counter()
        understood = await engine.understand(row.text)
        took = (time.perf_counter() - started) * 1000
        judged.append(
            Judged(
                row,
                tuple((candidate.topic, candidate.confidence) for candidate in understood.ranking),
                understood.in_scope,
                act(understood, bands),
                str(understood.danger) if understood.danger else None,
                took,
            )
        )
    return judged


async def evaluate(engine: IntentEngine, rows: Sequence[Row], bands: Bands) -> Report:
    """The report on these rows. An out-of-scope row counts in `oos_refused` only, never in top1 or top3."""
    return summarise(await judge(engine, rows, bands))


def summarise(judged: Sequence[Judged]) -> Report:
    """Count. `answered` and its kin are shares of the in-scope rows; `answered_wrong` is a share of the answered."""
    inside = [one for one in judged if not one.row.outside]
    outside = [one for one in judged if one.row.outside]
    # The fixed reply to danger is an answer: whether it was the right one shows in answered_wrong as well.
    answered = [one for one in inside if one.action in {"answer", "danger"}]
    dangerous = [one for one in inside if one.row.topic in DANGER_TOPICS]
    harmless = [one for one in judged if not one.row.right & DANGER_TOPICS]
    counts = {
        "top1": (sum(one.hit(1) for one in inside), len(inside)),
        "top3": (sum(one.hit(3) for one in inside), len(inside)),
        "answered": (len(answered), len(inside)),
        "answered_wrong": (sum(not one.hit(1) for one in answered), len(answered)),
        "asked_back": (sum(one.action == "ask_back" for one in inside), len(inside)),
        "asked_back_has_it": (
            sum(one.hit(3) for one in inside if one.action == "ask_back"),
            sum(one.action == "ask_back" for one in inside),
        ),
        "handed_over": (sum(one.action == "handoff" for one in inside), len(inside)),
        "in_scope_refused": (sum(one.action == "refuse" for one in inside), len(inside)),
        "oos_refused": (sum(one.action == "refuse" for one in outside), len(outside)),
        "oos_answered": (sum(one.action == "answer" for one in outside), len(outside)),
        "danger_recall": (sum(one.danger is not None for one in dangerous), len(dangerous)),
        "danger_elsewhere": (sum(one.danger is not None for one in harmless), len(harmless)),
    }
    figures: dict[str, float | int | None] = {name: _share(*pair) for name, pair in counts.items()}
    figures["oos_refused_at_95"] = refused_at(judged, 0.95)
    times = np.array([one.milliseconds for one in judged] or [0.0])
    figures["p50_ms"] = round(float(np.percentile(times, 50)), 1)
    figures["p95_ms"] = round(float(np.percentile(times, 95)), 1)
    missed = Counter((one.row.topic, one.first or "-") for one in inside if not one.hit(1))
    wrong = sorted((one for one in inside if not one.hit(1) and one.ranking), key=lambda one: -one.ranking[0][1])
    return Report(
        n=len(judged),
        figures=figures,
        intervals={name: wilson(*pair) for name, pair in counts.items() if pair[1]},
        of={name: total for name, (_, total) in counts.items()},
        by_group=_parts(inside, lambda one: one.row.topic.split(".")[0]),
        by_length=_parts(inside, lambda one: _length(len(one.row.text))),
        confusions=[(said, heard, n) for (said, heard), n in missed.most_common(25)],
        surest_and_wrong=wrong[:20],
        judged=list(judged),
    )


def _length(count: int) -> str:
    return next(f"{low}-{high}" if high < 20_000 else f"{low}+" for low, high in LENGTHS if count <= high)


def _parts(judged: Sequence[Judged], key: Any) -> dict[str, dict[str, float | int | None]]:
    groups: dict[str, list[Judged]] = {}
    for one in judged:
        groups.setdefault(key(one), []).append(one)
    return {
        name: {
            "n": len(ones),
            "top1": _share(sum(one.hit(1) for one in ones), len(ones)),
            "top3": _share(sum(one.hit(3) for one in ones), len(ones)),
            "answered": _share(sum(one.action in {"answer", "danger"} for one in ones), len(ones)),
        }
        for name, ones in sorted(groups.items())
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def wilson(part: int, whole: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share, after Wilson."""
    if not whole:
        return 0.0, 1.0
    share = part / whole
    middle = share + z * z / (2 * whole)
    spread = z * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    below = 1 + z * z / whole
    return round(max(0.0, (middle - spread) / below), 4), round(min(1.0, (middle + spread) / below), 4)


def refused_at(judged: Sequence[Judged], kept: float) -> float | None:
    """Share of out-of-scope rows below the scope line that still lets `kept` of the in-scope rows through."""
    inside = np.array([one.in_scope for one in judged if not one.row.outside])
    outside = np.array([one.in_scope for one in judged if one.row.outside])
    if not len(inside) or not len(outside):
        return None
    return round(float((outside < np.quantile(inside, 1 - kept)).mean()), 4)


def _topics_alone(one: Judged) -> tuple[tuple[str, float], ...]:
    return tuple(pair for pair in one.ranking if pair[0] != OUT_OF_SCOPE)


def _holds(one: Judged) -> bool:
    return any(topic in one.row.right for topic, _ in _topics_alone(one)[:3])


def choose(judged: Sequence[Judged], precision: float = 0.97, kept: float = 0.97) -> tuple[Bands, dict[str, object]]:
    """Bands from development rows: answer as often as `precision` allows, keep `kept` of what is in scope.

    Returns the bands and the curve they were read from: `[band, share answered, share right]`. Below `ask` the three
    options hold the right one in less than a third of the cases. Both aims are set above what is asked of the service
    (0.95), because questions that nobody has seen are harder than these.
    """
    inside = [one for one in judged if not one.row.outside and one.danger is None and _topics_alone(one)]
    if len(inside) < 50:
        raise ValueError("至少要 50 条服务范围内的问题才能选阈值")
    scope = float(np.quantile([one.in_scope for one in inside], 1 - kept))
    told = [(_topics_alone(one)[0][1], _topics_alone(one)[0][0] in one.row.right) for one in inside]
    told.sort(key=lambda pair: -pair[0])
    curve = []
    for band in np.arange(0.30, 0.991, 0.01):
        above = [right for confidence, right in told if confidence >= band]
        if above:
            curve.append((round(float(band), 2), round(len(above) / len(told), 4), round(sum(above) / len(above), 4)))
    good = [band for band, _, right in curve if right >= precision]
    answer = min(good) if good else 0.99
    ask = 0.05
    for band in np.arange(0.05, answer, 0.01):
        below = [_holds(one) for one in inside if _topics_alone(one)[0][1] < band]
        if len(below) >= 20 and np.mean(below) < 1 / 3:
            ask = round(float(band), 2)
    bands = Bands(answer=answer, ask=ask, scope=round(scope, 3))
    return bands, {"n": len(judged), "precision": precision, "kept": kept, "curve": curve}
