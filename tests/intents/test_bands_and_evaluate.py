"""The arithmetic of the report, and the bands that are read from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intents import bands
from intents.bands import Bands
from intents.engine import Candidate, Danger, Understanding
from intents.evaluate import Row, act, choose, evaluate, read_rows, refused_at, wilson

BANDS = Bands(answer=0.6, ask=0.2, scope=0.5)


class Scripted:
    """An engine on the wire's other side: answers what the text itself says, `topic:confidence:in_scope`."""

    name = "scripted"

    async def understand(self, text: str, crowd: int = 0) -> Understanding:
        topic, confidence, in_scope = text.split("|", maxsplit=1)[0].split(":")
        ranking = (Candidate(topic, float(confidence)), Candidate("legal.second", 0.1))
        danger = Danger.ACCIDENT if topic == "safety.immediate_danger" else None
        return Understanding(text=text, ranking=ranking, in_scope=float(in_scope), danger=danger)

    def status(self) -> dict[str, object]:
        return {}

    async def close(self) -> None:
        return


def understood(confidence: float, in_scope: float = 1.0, danger: Danger | None = None) -> Understanding:
    return Understanding("", (Candidate("legal.a", confidence),), in_scope, danger)


@pytest.mark.parametrize(
    ("given_", "action"),
    [
        (understood(0.6), "answer"),
        (understood(0.59), "ask_back"),
        (understood(0.19), "handoff"),
        (understood(0.9, in_scope=0.49), "refuse"),
        (understood(0.1, in_scope=0.1, danger=Danger.SELF_HARM), "danger"),
        (Understanding("", (Candidate("meta.out_of_scope", 0.9),), 0.9), "refuse"),
        (Understanding("", (), 0.0), "refuse"),
        (Understanding("", (), 1.0), "handoff"),
    ],
)
def test_what_is_done(given_: Understanding, action: str) -> None:
    assert act(given_, BANDS) == action


async def test_the_report_counts() -> None:
    rows = [
        Row("legal.a:0.9:1", "legal.a"),
        Row("legal.a:0.9:1|b", "legal.b"),
        Row("legal.a:0.4:1", "legal.second"),
        Row("legal.a:0.1:1", "legal.b", also=("legal.a",)),
        Row("legal.a:0.9:0.2", "legal.a"),
        Row("safety.immediate_danger:0.9:1", "safety.immediate_danger"),
        Row("legal.a:0.9:0.2", "oos"),
        Row("legal.a:0.9:0.9", "meta.out_of_scope"),
    ]
    report = await evaluate(Scripted(), rows, BANDS)
    figures = report.figures
    assert report.n == 8
    assert figures["top1"] == round(4 / 6, 4)
    assert figures["top3"] == round(5 / 6, 4)
    assert figures["answered"] == round(3 / 6, 4)
    assert figures["answered_wrong"] == round(1 / 3, 4)
    assert figures["asked_back"] == round(1 / 6, 4)
    assert figures["handed_over"] == round(1 / 6, 4)
    assert figures["oos_refused"] == 0.5
    assert figures["danger_recall"] == 1.0
    assert report.by_group["legal"]["n"] == 5
    assert report.confusions[0][1] == "legal.a"
    assert [one.row.topic for one in report.surest_and_wrong] == ["legal.b", "legal.second"]
    json.dumps(report.as_json())


def test_rows_are_read_and_remarks_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"_remark": "谁写的"}\n\n{"text": "工资", "topic": "legal.a", "also": ["legal.b"]}\n', "utf-8")
    assert read_rows(path) == [Row("工资", "legal.a", ("legal.b",))]
    path.write_text("{broken\n", "utf-8")
    with pytest.raises(ValueError, match="第 1 行"):
        read_rows(path)


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_interval_holds_the_share(part: int, whole: int) -> None:
    part = min(part, whole)
    low, high = wilson(part, whole)
    assert 0 <= low <= part / whole + 1e-3
    assert part / whole - 1e-3 <= high <= 1


async def test_bands_are_chosen_by_precision() -> None:
    # Right from 0.8 up, one in two wrong below.
    rows = [Row(f"legal.a:{0.80 + n / 1000}:0.9", "legal.a") for n in range(100)]
    rows += [Row(f"legal.a:{0.50 + n / 1000}:0.9|{n}", "legal.a" if n % 2 else "legal.b") for n in range(100)]
    rows += [Row("legal.a:0.5:0.1", "oos")] * 10
    report = await evaluate(Scripted(), rows, BANDS)
    chosen, why = choose(report.judged)
    assert 0.58 <= chosen.answer <= 0.81
    assert chosen.ask < chosen.answer
    assert refused_at(report.judged, 0.95) == 1.0
    assert why["n"] == 210
    with pytest.raises(ValueError, match="50"):
        choose(report.judged[:20])


def test_bands_are_kept_with_their_reasons(tmp_path: Path) -> None:
    path = tmp_path / "bands.json"
    bands.keep(BANDS, {"n": 3}, path)
    assert bands.chosen(path) == BANDS
    assert json.loads(path.read_text("utf-8"))["chosen_by"] == {"n": 3}


def test_the_bands_that_come_with_the_engine() -> None:
    chosen = bands.chosen()
    assert 0 < chosen.ask < chosen.answer < 1
    assert 0 < chosen.scope < 1
