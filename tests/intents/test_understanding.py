"""The whole engine on questions it has not learnt from; needs the full model that `hotline kb train` makes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from intents.evaluate import evaluate, read_rows
from intents.local import LocalEngine
from intents.model import Tier

HERE = Path(__file__).parent


@pytest.fixture
def full(engine: LocalEngine) -> LocalEngine:
    if engine.tier_for(0) is not Tier.FULL:
        pytest.skip("the data folder holds no full model of the present wordings")
    return engine


def sheet(name: str) -> dict[str, dict[str, list[str]]]:
    loaded: dict[str, dict[str, list[str]]] = yaml.safe_load((HERE / name).read_text(encoding="utf-8"))
    return loaded


async def test_questions_of_people_who_have_not_read_ours(full: LocalEngine) -> None:
    # Every fourth question: enough to see a slip, and done in seconds.
    rows = [row for name in ("colloquial", "real") for row in read_rows(HERE / f"questions_{name}.jsonl")[::4]]
    rows += read_rows(HERE / "questions_oos.jsonl")[::4]
    figures = (await evaluate(full, rows, full.bands)).figures
    assert (figures["top1"] or 0) >= 0.88, figures
    assert (figures["top3"] or 0) >= 0.96, figures
    assert (figures["answered"] or 0) >= 0.65, figures
    assert (figures["answered_wrong"] or 0) <= 0.07, figures
    assert (figures["oos_refused_at_95"] or 0) >= 0.88, figures


async def test_danger_is_heard_and_idioms_are_not(full: LocalEngine) -> None:
    ring = [text for texts in sheet("danger_ring.yaml").values() for text in texts]
    quiet = [str(text) for texts in sheet("danger_quiet.yaml").values() for text in texts]
    missed = [text for text in ring if (await full.understand(text)).danger is None]
    rang = [text for text in quiet if (await full.understand(text)).danger is not None]
    assert len(missed) <= 0.01 * len(ring), missed
    assert len(rang) <= 0.015 * len(quiet), rang


@pytest.mark.parametrize(("name", "alarms"), [("danger_fresh", 0.08), ("danger_unseen", 0.01)])
async def test_danger_in_words_that_no_rule_was_written_for(full: LocalEngine, name: str, alarms: float) -> None:
    # The hardest we could think of, many without a single plain word of danger. Lower bounds of what was measured.
    fresh = yaml.safe_load((HERE / f"{name}.yaml").read_text(encoding="utf-8"))
    ring = [text for texts in fresh["ring"].values() for text in texts]
    missed = [text for text in ring if (await full.understand(text)).danger is None]
    rang = [text for text in fresh["quiet"] if (await full.understand(text)).danger is not None]
    assert len(missed) <= 0.2 * len(ring), missed
    assert len(rang) <= alarms * len(fresh["quiet"]), rang


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("gongzi tuoqian le san ge yue", "legal.wage_arrears"),
        ("老闆拖欠工資三個月了，怎麼辦", "legal.wage_arrears"),
        ("公鸡金离职了能取出来不", "legal.housing_fund"),
        ("我想加入工会😊需要啥条件", "membership.join"),
        ("１２小时两班倒，加班费咋算", "legal.hours_overtime"),
    ],
)
async def test_other_scripts_and_spellings(full: LocalEngine, text: str, topic: str) -> None:
    assert (await full.understand(text)).ranking[0].topic == topic
