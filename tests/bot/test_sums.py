"""Sums and time limits in the talk: asked for step by step, left at will, refused with a reason."""

from __future__ import annotations

import re
from datetime import date

from bot.dialogue import wording
from bot.dialogue.decide import decide
from bot.dialogue.state import Decision, Heard, Situation, State
from connectors.base import Kind
from intents.bands import Bands
from intents.engine import Candidate, Command, Understanding
from knowledge_base import catalog

BOOK = catalog.load()
BANDS = Bands(answer=0.7, ask=0.2, scope=0.5)
TODAY = date(2026, 11, 23)


def say(
    text: str,
    state: State | None = None,
    topic: str = "",
    confidence: float = 0.9,
    *,
    option: str | None = None,
    command: Command | None = None,
    choice: int | None = None,
    today: date = TODAY,
) -> Decision:
    ranking = (Candidate(topic, confidence),) if topic else ()
    understood = Understanding(text, ranking=ranking, command=command, pure=bool(command or choice), choice=choice)
    return decide(state or State(), Heard(Kind.TEXT, text, None, option), understood, BOOK, BANDS, today, Situation())


def words(decision: Decision) -> str:
    assert decision.say is not None
    return decision.say.text


def test_a_question_with_its_numbers_starts_the_sum_and_asks_for_the_rest() -> None:
    first = say("我月薪8000，被公司辞退了，经济补偿能拿多少", topic="legal.severance_pay")
    assert first.action == "ask_more"
    assert first.state.awaiting == "sum"
    assert first.state.given


def test_a_sum_is_done_step_by_step() -> None:
    decision = say("算", State(topic="legal.severance_pay"), option="sum:severance")
    for _ in range(12):
        if decision.state.awaiting != "sum":
            break
        options = decision.say.options if decision.say else ()
        if options:
            decision = say("x", decision.state, option=options[0].id)
        elif "钱" in words(decision) or "工资" in words(decision):
            decision = say("8000", decision.state)
        elif "入职" in words(decision) or "哪天进" in words(decision) or "开始" in words(decision):
            decision = say("2020年3月1日", decision.state)
        else:
            decision = say("2026年10月31日", decision.state)
    assert decision.action == "answer"
    assert re.search(r"\d", words(decision))
    assert "劳动合同法" in words(decision)
    assert len(words(decision).encode()) <= 2048 * 2


def test_what_is_no_answer_is_asked_again_once_with_the_reason() -> None:
    asking = say("算", State(topic="legal.severance_pay"), option="sum:severance").state
    again = say("什么呀", asking)
    assert again.action == "ask_more"
    assert say("什么呀", again.state).action != "ask_more"


def test_another_question_leaves_the_sum() -> None:
    asking = say("算", State(topic="legal.severance_pay"), option="sum:severance").state
    other = say("工伤怎么申请认定", asking, topic="legal.injury_recognition", confidence=0.95)
    assert other.topic == "legal.injury_recognition"
    assert other.state.sum is None


def test_enough_and_a_person_leave_the_sum() -> None:
    asking = say("算", State(topic="legal.severance_pay"), option="sum:severance").state
    assert words(say("算了", asking, command=Command.STOP)) == wording.SUM_LEFT
    assert say("人工", asking, command=Command.PERSON).handoff is not None


def test_the_article_offers_its_sum() -> None:
    answered = say("经济补偿金怎么算", topic="legal.severance_pay")
    assert answered.action == "answer"
    assert answered.state.options[0] == ("sum:severance", wording.SUM_OFFER)
    assert say("帮我算一下", answered.state).action == "ask_more"


def test_a_limit_that_is_past_is_said_first() -> None:
    decision = say("去年三月被辞退的，一直没去仲裁，还来得及吗", topic="legal.unfair_dismissal")
    assert words(decision).startswith("⚠")
    assert "人工" in words(decision).split("\n")[0]


def test_the_limit_is_said_also_when_the_topic_was_picked_from_options() -> None:
    asked = say("去年三月被辞退的，一直没去仲裁", topic="legal.unfair_dismissal", confidence=0.4)
    picked = say("1", asked.state, choice=1)
    assert words(picked).startswith("⚠")
    assert picked.state.asked == ""


def test_a_fresh_matter_carries_no_warning() -> None:
    assert not words(say("昨天被公司辞退了", topic="legal.unfair_dismissal")).startswith("⚠ 按")
