"""The engine as the service uses it: real training, real files, real thread."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intents import model, train
from intents.engine import Command, Danger, FollowUp, IntentEngine
from intents.local import CROWDED, PACKED, LocalEngine, by_rules
from intents.model import Message, NotTrained, Tier
from intents.questions import OUT_OF_SCOPE, Questions, read_questions
from intents.text import normalise


async def test_a_question_finds_its_topic(engine: LocalEngine) -> None:
    understood = await engine.understand("老板欠我三个月工资一直不给")
    assert isinstance(engine, IntentEngine)
    assert understood.ranking[0].topic == "legal.wage_arrears"
    assert [entity.value for entity in understood.entities if entity.kind == "months"] == ["3"]
    confidences = [candidate.confidence for candidate in understood.ranking]
    assert confidences == sorted(confidences, reverse=True)
    assert all(0 <= confidence <= 1 for confidence in confidences)
    assert OUT_OF_SCOPE not in {candidate.topic for candidate in understood.ranking}


async def test_danger_leads_the_ranking(engine: LocalEngine) -> None:
    understood = await engine.understand("工资不给我就不想活了")
    assert understood.danger is Danger.SELF_HARM
    assert understood.ranking[0].topic == "meta.self_harm_crisis"
    assert understood.in_scope == 1.0


async def test_a_person_beside_a_matter_keeps_the_matter(engine: LocalEngine) -> None:
    understood = await engine.understand("公司拖欠工资，转人工")
    assert (understood.command, understood.pure) == (Command.PERSON, False)
    assert understood.ranking[0].topic == "legal.wage_arrears"


async def test_a_follow_up_is_still_ranked(engine: LocalEngine) -> None:
    understood = await engine.understand("要带什么材料")
    assert (understood.follow_up, understood.pure) == (FollowUp.MATERIALS, True)
    assert understood.ranking


async def test_a_rule_decides_alone(engine: LocalEngine) -> None:
    understood = await engine.understand("转人工")
    assert (understood.command, understood.pure, understood.engine) == (Command.PERSON, True, "rules")
    assert [candidate.topic for candidate in understood.ranking] == ["meta.handoff"]
    assert (await engine.understand("第二个")).choice == 2
    assert (await engine.understand("。。。")).in_scope == 0.0


async def test_what_is_not_ours_is_led_by_the_refusal(engine: LocalEngine) -> None:
    understood = await engine.understand("帮我用python写个冒泡排序，再画个流程图")
    assert understood.in_scope < 0.5
    assert understood.ranking[0].topic == OUT_OF_SCOPE


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(text=st.text(st.characters(codec=None, exclude_categories=()), max_size=200))
async def test_any_text_is_understood(engine: LocalEngine, text: str) -> None:
    understood = await engine.understand(text)
    assert understood.text == text
    json.dumps([candidate.confidence for candidate in understood.ranking], allow_nan=False)


async def test_a_very_long_message(engine: LocalEngine) -> None:
    assert (await engine.understand("工资" * 10_000)).ranking


async def test_the_arithmetic_is_not_on_the_event_loop(engine: LocalEngine) -> None:
    seen: list[str] = []
    await asyncio.gather(*(engine.understand(f"加班费怎么算{n}") for n in range(3)))
    seen.extend(thread.name for thread in threading.enumerate())
    assert any(name.startswith("understand") for name in seen)
    assert engine.status()["waiting"] == 0


def test_a_long_queue_is_served_by_the_lighter_tiers(engine: LocalEngine) -> None:
    assert engine.tier_for(PACKED) is Tier.CHARS
    assert engine.tier_for(CROWDED) is not Tier.FULL


async def test_without_encoders_it_goes_on_and_says_so(small: Path) -> None:
    bare = LocalEngine(model.load(small), None, None)
    status = bare.status()
    assert (status["tier"], status["missing"]) == ("chars", ["use", "e5"])
    assert (await bare.understand("老板欠我三个月工资不给")).ranking[0].topic == "legal.wage_arrears"
    await bare.close()


def test_a_saved_model_says_the_same_again(small: Path, tmp_path: Path) -> None:
    first = model.load(small)
    model.save(first, tmp_path / "copy")
    again = model.load(tmp_path / "copy")
    for text in ("工资没发", "想考电工证", "你好", ""):
        one, two = first.score(Message(text)), again.score(Message(text))
        np.testing.assert_array_equal(one.chances, two.chances)
        assert (one.in_scope, one.alarm) == (two.in_scope, two.alarm)
    assert model.sealed(tmp_path / "copy") == first.seal


@pytest.mark.parametrize("spoil", ["missing", "garbage", "old", "half"])
def test_a_folder_without_a_model_says_what_to_run(small: Path, tmp_path: Path, spoil: str) -> None:
    folder = tmp_path / "model"
    if spoil != "missing":
        model.save(model.load(small), folder)
    if spoil == "garbage":
        (folder / "model.npz").write_bytes(b"PK not really")
    if spoil == "half":
        (folder / "model.json").unlink()
    if spoil == "old":
        head = json.loads((folder / "model.json").read_text("utf-8")) | {"format": 0}
        (folder / "model.json").write_text(json.dumps(head), "utf-8")
    with pytest.raises(NotTrained, match="hotline kb train"):
        LocalEngine.load(folder)


def test_the_seal_changes_with_the_data(questions: Questions, negatives: dict[str, list[str]]) -> None:
    seal = train.seal_of(questions, negatives, [])
    more = questions | {"legal.wage_arrears": [*questions["legal.wage_arrears"], ("工钱呢", "terse")]}
    assert train.seal_of(questions, negatives, []) == seal
    assert train.seal_of(more, negatives, []) != seal


def test_a_broken_question_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "legal").mkdir()
    (tmp_path / "legal" / "wages.questions.yaml").write_text("topic: [", encoding="utf-8")
    with pytest.raises(ValueError, match=r"wages\.questions\.yaml"):
        read_questions(tmp_path)


def test_rules_alone_leave_questions_to_the_model() -> None:
    assert by_rules(normalise("加班费怎么算")) is None
    assert by_rules(normalise("不想活了")) is None
    ruled = by_rules(normalise("你好"))
    assert ruled is not None
    assert ruled.ranking[0].topic == "meta.greeting"


def test_inference_loads_neither_scipy_nor_sklearn(small: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; from intents.local import LocalEngine; "
        f"engine = LocalEngine.load(Path({str(small)!r})); asyncio.run(engine.understand('工资没发怎么办')); "
        "print([name for name in ('scipy', 'sklearn', 'jionlp') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "both"),
    [
        ("老板欠我三个月工资还没签合同怎么办", {"legal.wage_arrears", "legal.no_written_contract"}),
        ("我想入会，再问一下困难补助怎么申请", {"membership.join", "aid.temporary_relief"}),
        ("加班费不给，想走法律援助", {"legal.hours_overtime", "legal.legal_aid"}),
    ],
)
async def test_two_wishes_in_one_breath(engine: LocalEngine, text: str, both: set[str]) -> None:
    understood = await engine.understand(text)
    assert {understood.ranking[0].topic, understood.second} == both


async def test_a_second_matter_is_offered(engine: LocalEngine) -> None:
    understood = await engine.understand("老板拖欠工资三个月不给怎么办？另外，住院互助保障二次报销要怎么办理？")
    found = {understood.ranking[0].topic, understood.second}
    assert found == {"legal.wage_arrears", "aid.mutual_insurance"}


@pytest.mark.parametrize(
    "text",
    [
        "老板拖欠工资三个月不给怎么办？他说下个月给，下个月又说没钱。我该怎么要？",
        "工资一直没发，给老板打电话不接，发微信也不回，工资到底怎么要",
    ],
)
async def test_one_matter_told_at_length_stays_one(engine: LocalEngine, text: str) -> None:
    assert (await engine.understand(text)).second is None
