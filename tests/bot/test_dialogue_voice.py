"""What was spoken is read back before anything is made of it: danger, a person and bare answers excepted."""

from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.dialogue import voice, wording
from bot.dialogue.decide import FAILURES_TO_HANDOFF, decide
from bot.dialogue.state import Decision, Heard, Situation, State
from connectors.base import Kind
from intents.bands import Bands
from intents.engine import Candidate, Command, Danger, Entity, FollowUp, Understanding
from knowledge_base import catalog

BOOK = catalog.load()
BANDS = Bands(answer=0.7, ask=0.2, scope=0.5)
TODAY = date(2026, 11, 23)
WAGES = "legal.wage_arrears"
SPOKEN = "老板三个月没给我发工资了"
WAGES_MEANT = Understanding(SPOKEN, ranking=(Candidate(WAGES, 0.9),), entities=(Entity("months", "3", "三个月"),))


def take(
    understood: Understanding, state: State | None = None, *, kind: Kind = Kind.TEXT, option: str | None = None
) -> Decision:
    heard = Heard(kind, understood.text, None, option)
    return decide(state or State(), heard, understood, BOOK, BANDS, TODAY, Situation())


def spoken(understood: Understanding = WAGES_MEANT, state: State | None = None) -> Decision:
    return take(understood, state, kind=Kind.VOICE)


def words(decision: Decision) -> str:
    assert decision.say is not None
    return decision.say.text


def yes(text: str = "对") -> Understanding:
    return Understanding(text, command=Command.YES, pure=True)


def no(text: str = "不对") -> Understanding:
    return Understanding(text, command=Command.NO, pure=True)


def test_a_transcript_is_read_back_with_two_options() -> None:
    decision = spoken()
    assert decision.action == "read_back"
    assert words(decision) == f"您说的是：“{SPOKEN}”，对吗？"
    assert decision.say
    assert [option.label for option in decision.say.options] == ["对", "不对"]
    assert decision.spoken
    assert decision.state.known == ()


@pytest.mark.parametrize("option", [None, "yes"])
def test_yes_goes_the_usual_way_with_what_was_spoken(option: str | None) -> None:
    decision = take(yes(), spoken().state, option=option)
    assert decision.action == "answer"
    assert decision.topic == WAGES
    assert ("months", "3") in decision.state.known
    assert (decision.state.heard, decision.state.paused, decision.state.awaiting) == ("", None, "helpful")


def test_the_label_itself_is_an_answer() -> None:
    state = spoken().state
    assert take(Understanding("对"), state).action == "answer"
    assert words(take(Understanding("不对！"), state)) == wording.HEARD_WRONG


def test_the_first_number_is_yes_and_the_second_is_no() -> None:
    state = spoken().state
    assert take(Understanding("1", choice=1, pure=True), state).action == "answer"
    assert words(take(Understanding("2", choice=2, pure=True), state)) == wording.HEARD_WRONG


def test_yes_may_itself_be_spoken() -> None:
    assert take(yes(), spoken().state, kind=Kind.VOICE).action == "answer"


def test_no_asks_to_say_it_again_and_the_third_time_brings_a_person() -> None:
    state = State()
    for _ in range(FAILURES_TO_HANDOFF - 1):
        decision = take(no(), spoken(state=state).state)
        assert words(decision) == wording.HEARD_WRONG
        assert "人工" in words(decision)
        assert decision.state.awaiting is None
        state = decision.state
    decision = take(no(), spoken(state=state).state)
    assert decision.handoff
    assert decision.handoff.reason == "stuck"


def test_who_just_goes_on_in_writing_is_answered() -> None:
    decision = take(Understanding("怎么加入工会", ranking=(Candidate("membership.join", 0.95),)), spoken().state)
    assert decision.topic == "membership.join"
    assert decision.state.heard == ""


def test_a_second_recording_is_read_back_in_place_of_the_first() -> None:
    first = spoken().state
    second = spoken(Understanding("我说的是工伤", ranking=(Candidate("legal.injury_recognition", 0.9),)), first)
    assert "我说的是工伤" in words(second)
    assert take(yes(), second.state).topic == "legal.injury_recognition"
    assert second.state.paused is None


def test_the_question_that_was_open_waits() -> None:
    asked = take(Understanding("x", ranking=(Candidate(WAGES, 0.4), Candidate("membership.join", 0.3)))).state
    assert asked.awaiting == "choose"
    back = take(no(), spoken(Understanding("嗯那个什么", ranking=(Candidate(WAGES, 0.1),)), asked).state)
    assert back.state.awaiting == "choose"
    assert back.state.options == asked.options
    assert take(Understanding("2", choice=2, pure=True), back.state).topic == "membership.join"


def test_an_offered_label_that_is_spoken_needs_no_asking_back() -> None:
    asked = take(Understanding("x", ranking=(Candidate(WAGES, 0.4), Candidate("membership.join", 0.3)))).state
    assert spoken(Understanding(BOOK.title("membership.join")), asked).topic == "membership.join"


def test_a_spoken_value_is_confirmed_and_then_taken_by_the_calculation() -> None:
    decision = take(Understanding("算"), State(topic="legal.severance_pay"), option="sum:severance")
    while decision.say and decision.say.options:
        decision = take(Understanding("x"), decision.state, option=decision.say.options[0].id)
    asking = decision.state
    asked = spoken(Understanding("2020年3月1日"), asking)
    assert asked.action == "read_back"
    assert asked.state.sum == "severance"
    assert len(take(yes(), asked.state).state.given) > len(asking.given)
    assert take(no(), asked.state).state.awaiting == "sum"


@pytest.mark.parametrize("danger", list(Danger))
def test_danger_is_answered_at_once(danger: Danger) -> None:
    decision = spoken(Understanding("我不想活了", danger=danger))
    assert decision.action == "danger"
    assert words(decision) == wording.DANGER[danger]


def test_danger_is_answered_while_a_read_back_is_open() -> None:
    assert take(Understanding("有人要打我", danger=Danger.VIOLENCE), spoken().state).action == "danger"


@pytest.mark.parametrize("pure", [True, False])
def test_a_person_is_called_at_once(pure: bool) -> None:
    decision = spoken(Understanding("我要找人工", command=Command.PERSON, pure=pure))
    assert decision.handoff
    assert decision.handoff.reason == "asked"


def test_a_few_words_after_danger_are_not_questioned() -> None:
    state = State(awaiting="danger", topic="safety.immediate_danger")
    assert words(spoken(Understanding("在黄村三个人"), state)) == wording.DANGER_HEARD


def test_a_long_transcript_is_shown_short_and_meant_whole() -> None:
    long = "工资" * 400
    decision = spoken(Understanding(long, ranking=(Candidate(WAGES, 0.9),)))
    assert len(words(decision)) < 400
    assert take(yes(), decision.state).state.answered == (WAGES,)


def test_while_it_is_being_written_down_nobody_is_asked_to_type() -> None:
    heard = Heard(Kind.VOICE)
    for situation in (Situation(listening=True), Situation("20261123-0001", "已登记", listening=True)):
        decision = decide(State(), heard, Understanding(""), BOOK, BANDS, TODAY, situation)
        assert words(decision) == wording.LISTENING
    decision = decide(State(), heard, Understanding(""), BOOK, BANDS, TODAY, Situation())
    assert "打字" in words(decision)


MEANINGS = st.builds(
    Understanding,
    text=st.text(min_size=1),
    ranking=st.lists(st.builds(Candidate, st.sampled_from([WAGES, "membership.join"]), st.floats(0, 1)), max_size=10),
    in_scope=st.floats(0, 1),
    command=st.none() | st.sampled_from([command for command in Command if command is not Command.PERSON]),
    follow_up=st.none() | st.sampled_from(list(FollowUp)),
    second=st.none() | st.just("membership.join"),
    entities=st.lists(st.builds(Entity, st.just("money"), st.text(), st.text()), max_size=3),
    engine=st.just("local"),
)


@given(MEANINGS)
def test_what_was_meant_survives_the_store(understood: Understanding) -> None:
    state = spoken(understood).state
    again = State.from_json(json.loads(json.dumps(state.to_json())))
    assert again == state
    assert voice.meant(again) == understood
    assert voice.set_aside(again) == State()


@given(MEANINGS)
def test_any_transcript_that_is_confirmed_ends_the_read_back(understood: Understanding) -> None:
    decision = take(yes(), spoken(understood).state)
    assert decision.state.awaiting != "heard"
    assert decision.state.heard == ""
    assert decision.say is not None
