"""The dialogue as tables: what was remembered, what came in, what is done. No database, no engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.dialogue import wording
from bot.dialogue.decide import FAILURES_TO_HANDOFF, decide
from bot.dialogue.state import Decision, Heard, Situation, State
from connectors.base import Event, Kind
from intents.bands import Bands
from intents.engine import Candidate, Command, Danger, Entity, FollowUp, Understanding
from knowledge_base import catalog

BOOK = catalog.load()
BANDS = Bands(answer=0.7, ask=0.2, scope=0.5)
TODAY = date(2026, 11, 23)
WAGES, INJURY, JOIN = "legal.wage_arrears", "legal.injury_recognition", "membership.join"


def ranked(*pairs: tuple[str, float], text: str = "x", **more: object) -> Understanding:
    found = tuple(Candidate(topic, confidence) for topic, confidence in pairs)
    return dataclasses.replace(Understanding(text, ranking=found), **more)  # type: ignore[arg-type]


def commanded(command: Command, text: str = "x", *, pure: bool = True) -> Understanding:
    return Understanding(text, command=command, pure=pure, ranking=(Candidate("meta.chitchat", 0.1),))


def said(
    understood: Understanding,
    state: State | None = None,
    *,
    situation: Situation | None = None,
    kind: Kind = Kind.TEXT,
    event: Event | None = None,
    option: str | None = None,
    site: str = "",
) -> Decision:
    heard = Heard(kind, understood.text, event, option, site)
    return decide(state or State(), heard, understood, BOOK, BANDS, TODAY, situation or Situation())


def labels(decision: Decision) -> list[str]:
    assert decision.say is not None
    return [option.label for option in decision.say.options]


def words(decision: Decision) -> str:
    assert decision.say is not None
    return decision.say.text


class TestAnswer:
    def test_sure_gives_the_article_with_its_source_and_date(self) -> None:
        decision = said(ranked((WAGES, 0.9)))
        assert decision.action == "answer"
        assert decision.topic == WAGES
        assert "依据" in words(decision)
        assert "2026年11月22日" in words(decision)
        kinds = [part.kind for part in decision.say.card] if decision.say else []
        assert kinds[0] == "conclusion"
        assert kinds[-1] == "sources"

    def test_it_asks_once_whether_it_helped(self) -> None:
        first = said(ranked((WAGES, 0.9)))
        assert first.state.awaiting == "helpful"
        again = said(ranked((WAGES, 0.9)), first.state)
        assert again.action == "answer"
        assert again.state.awaiting is None

    def test_half_sure_asks_back_with_three_and_a_way_out(self) -> None:
        decision = said(ranked((WAGES, 0.4), (INJURY, 0.2), (JOIN, 0.1), ("legal.mediation", 0.05)))
        assert decision.action == "ask_back"
        assert labels(decision) == [*(BOOK.title(topic) for topic in (WAGES, INJURY, JOIN)), wording.NONE_OF_THEM]

    def test_nothing_near_says_so_and_offers_a_person(self) -> None:
        decision = said(ranked((WAGES, 0.05)))
        assert decision.action == "refuse"
        assert decision.state.awaiting == "handoff"

    def test_a_message_without_words_is_asked_about_and_not_sent_away(self) -> None:
        decision = said(Understanding("。。。", in_scope=0.0))
        assert words(decision).startswith(wording.NOT_UNDERSTOOD)

    def test_outside_the_service_is_never_answered_however_sure(self) -> None:
        decision = said(ranked((WAGES, 0.99), in_scope=0.1))
        assert decision.action == "refuse"

    def test_an_expired_article_is_not_served(self) -> None:
        decision = decide(
            State(),
            Heard(Kind.TEXT, "x"),
            ranked((WAGES, 0.9)),
            BOOK,
            BANDS,
            date(2031, 1, 1),
            Situation(),
        )
        assert wording.UPDATING in words(decision)
        assert decision.state.awaiting == "handoff"

    def test_a_second_question_is_offered_after_the_first(self) -> None:
        first = said(ranked((WAGES, 0.9), second=INJURY))
        assert first.state.awaiting == "second"
        assert BOOK.title(INJURY) in words(first)
        assert said(commanded(Command.YES, "是"), first.state).topic == INJURY


class TestChoice:
    ASKED = State(
        awaiting="choose",
        options=((f"topic:{WAGES}", BOOK.title(WAGES)), (f"topic:{INJURY}", BOOK.title(INJURY)), ("none", "都不是")),
        rest=(JOIN,),
    )

    def test_a_number_picks(self) -> None:
        assert said(Understanding("2", choice=2, pure=True), self.ASKED).topic == INJURY

    def test_the_last_one_is_the_last_topic(self) -> None:
        assert said(Understanding("最后一个", choice=-1, pure=True), self.ASKED).topic == INJURY

    def test_a_label_picks(self) -> None:
        assert said(Understanding(BOOK.title(INJURY) + "。"), self.ASKED).topic == INJURY

    def test_a_tap_picks_even_when_the_question_is_long_gone(self) -> None:
        assert said(Understanding("x"), State(), option=f"topic:{JOIN}").topic == JOIN

    def test_free_text_picks_with_less_certainty_than_a_fresh_question_needs(self) -> None:
        assert said(ranked((INJURY, 0.3)), self.ASKED).action == "answer"

    def test_other_brings_the_next(self) -> None:
        decision = said(commanded(Command.OTHER, "换一个"), self.ASKED)
        assert labels(decision)[0] == BOOK.title(JOIN)

    def test_yes_to_options_takes_the_first(self) -> None:
        assert said(commanded(Command.YES, "是"), self.ASKED).topic == WAGES

    @pytest.mark.parametrize("number", [4, 9])
    def test_a_number_beyond_the_options_does_not_pick(self, number: int) -> None:
        assert said(Understanding(str(number), choice=number, pure=True), self.ASKED).action != "answer"


class TestFollowUp:
    HELD = State(topic=WAGES, awaiting="helpful")

    @pytest.mark.parametrize("part", list(FollowUp))
    def test_only_the_part_asked_for(self, part: FollowUp) -> None:
        decision = said(Understanding("x", follow_up=part, pure=True), self.HELD)
        article = BOOK.article(WAGES)
        assert article is not None
        assert decision.action == "follow_up"
        assert (article.follow_up(part.value) or "") in words(decision)
        assert article.sections[0].text not in words(decision)

    def test_a_sure_new_topic_is_not_taken_for_a_follow_up(self) -> None:
        decision = said(ranked((INJURY, 0.95), follow_up=FollowUp.DURATION), self.HELD)
        assert decision.topic == INJURY

    def test_without_a_topic_at_hand_it_is_a_question_like_any_other(self) -> None:
        assert said(ranked(("legal.arbitration_procedure", 0.4), follow_up=FollowUp.DURATION)).action == "ask_back"


class TestHandoff:
    def test_a_person_at_once_in_any_state(self) -> None:
        for state in (State(), TestChoice.ASKED, TestFollowUp.HELD, State(awaiting="handoff")):
            decision = said(commanded(Command.PERSON, "人工"), state)
            assert decision.handoff is not None
            assert decision.handoff.reason == "asked"

    def test_the_matter_beside_the_wish_is_kept(self) -> None:
        decision = said(ranked((WAGES, 0.9), command=Command.PERSON))
        assert decision.handoff is not None
        assert decision.handoff.topic == WAGES
        assert decision.handoff.urgency == "priority"

    def test_asking_twice_opens_no_second_ticket(self) -> None:
        waiting = Situation("20261123-0001", "明天 09:00前有人回复")
        decision = said(commanded(Command.PERSON, "人工"), situation=waiting)
        assert decision.handoff is None
        assert "20261123-0001" in words(decision)

    def test_three_failures_in_a_row(self) -> None:
        state = State()
        for _ in range(FAILURES_TO_HANDOFF - 1):
            decision = said(ranked((WAGES, 0.05)), state)
            assert decision.handoff is None
            state = decision.state
        last = said(ranked((WAGES, 0.05)), state)
        assert last.handoff is not None
        assert last.handoff.reason == "stuck"

    def test_an_answer_between_failures_starts_the_count_afresh(self) -> None:
        state = State(failures=2)
        assert said(ranked((WAGES, 0.9)), state).state.failures == 0

    def test_no_offers_a_person_and_yes_takes_it(self) -> None:
        offered = said(commanded(Command.NO, "没有"), State(topic=WAGES, awaiting="helpful"))
        assert offered.handoff is None
        assert offered.state.awaiting == "handoff"
        taken = said(commanded(Command.YES, "好"), offered.state)
        assert taken.handoff is not None
        assert taken.handoff.topic == WAGES

    def test_no_help_opens_a_ticket(self) -> None:
        decision = said(Understanding("没有帮助"), State(topic=WAGES, awaiting="helpful"))
        assert decision.handoff is not None
        assert decision.handoff.reason == "unhelpful"

    def test_an_article_that_says_so_hands_over_after_its_answer(self) -> None:
        always = next(article for article in BOOK if article.handoff.always and not article.id.startswith("meta."))
        decision = said(ranked((always.id, 0.95)))
        assert decision.action == "answer"
        assert decision.handoff is not None
        assert decision.handoff.reason == "article"

    def test_what_the_worker_let_us_know_goes_along(self) -> None:
        understood = ranked((WAGES, 0.9), entities=(Entity("headcount", "12", "十二个人"),))
        assert ("headcount", "12") in said(understood).state.known


class TestDanger:
    @pytest.mark.parametrize("kind", list(Danger))
    def test_it_comes_before_everything(self, kind: Danger) -> None:
        understood = ranked((WAGES, 0.99), danger=kind, command=Command.PERSON, in_scope=0.0)
        decision = said(understood, TestChoice.ASKED)
        assert decision.action == "danger"
        assert words(decision) == wording.DANGER[kind]
        assert decision.handoff is not None
        assert decision.handoff.urgency in {"crisis", "urgent"}

    @pytest.mark.parametrize("kind", list(Danger))
    def test_the_words_say_a_number_that_answers_now_and_fit_one_message(self, kind: Danger) -> None:
        text = wording.DANGER[kind]
        assert "110" in text
        assert "叫工会的同事" in text
        assert len(text.encode()) < 1200
        assert "保密" not in text

    def test_a_short_word_afterwards_is_heard_and_not_taken_for_a_question(self) -> None:
        first = said(Understanding("x", danger=Danger.ACCIDENT))
        after = said(ranked(("safety.labor_protection", 0.9), text="安全了"), first.state)
        assert words(after) == wording.DANGER_HEARD
        assert said(ranked((WAGES, 0.9), text="还有老板欠我三个月工资没发我想知道怎么要"), after.state).topic == WAGES


class TestTalk:
    def test_subscribing_is_greeted(self) -> None:
        decision = said(Understanding(""), kind=Kind.EVENT, event=Event.SUBSCRIBE)
        assert words(decision) == wording.WELCOME

    def test_a_poster_is_named_to_whoever_scanned_it(self) -> None:
        for event in (Event.SUBSCRIBE, Event.SCAN):
            assert "西红门站" in words(said(Understanding(""), kind=Kind.EVENT, event=event, site="西红门站"))
            assert "“”" not in words(said(Understanding(""), kind=Kind.EVENT, event=event))

    @pytest.mark.parametrize("event", [Event.UNSUBSCRIBE, Event.OTHER])
    def test_other_events_are_silent(self, event: Event) -> None:
        assert said(Understanding(""), kind=Kind.EVENT, event=event).say is None

    @pytest.mark.parametrize("kind", [Kind.IMAGE, Kind.VOICE, Kind.VIDEO, Kind.FILE, Kind.LOCATION, Kind.LINK])
    def test_media_get_a_useful_answer(self, kind: Kind) -> None:
        assert said(Understanding(""), kind=kind).say is not None

    def test_abuse_is_met_calmly_and_not_twice_the_same(self) -> None:
        first = said(commanded(Command.ABUSE))
        second = said(commanded(Command.ABUSE), first.state)
        assert words(first) != words(second)

    @pytest.mark.parametrize("command", [Command.GREETING, Command.THANKS, Command.IDENTITY, Command.STOP])
    def test_pleasantries_are_answered(self, command: Command) -> None:
        assert words(said(commanded(command)))

    def test_progress_names_the_open_ticket(self) -> None:
        waiting = Situation("20261123-0001", "明天 09:00前有人回复")
        assert "20261123-0001" in words(said(commanded(Command.PROGRESS), situation=waiting))


TOPICS = st.sampled_from([*BOOK.articles, "no.such_topic"])
UNDERSTANDINGS = st.builds(
    Understanding,
    text=st.text(max_size=30),
    ranking=st.lists(st.builds(Candidate, TOPICS, st.floats(0, 1)), max_size=6).map(tuple),
    in_scope=st.floats(0, 1),
    danger=st.none() | st.sampled_from(Danger),
    command=st.none() | st.sampled_from(Command),
    follow_up=st.none() | st.sampled_from(FollowUp),
    choice=st.none() | st.sampled_from([-1, *range(1, 10)]),
    pure=st.booleans(),
    second=st.none() | TOPICS,
)


@given(st.lists(st.tuples(UNDERSTANDINGS, st.none() | st.sampled_from(["none", "yes", "helped", "topic:x.y", "?"]))))
def test_any_talk_leaves_the_worker_with_words_and_the_state_can_be_kept(
    talk: Sequence[tuple[Understanding, str | None]],
) -> None:
    state = State()
    for understood, option in talk:
        decision = said(understood, state, option=option)
        assert decision.say is not None
        assert decision.say.text.strip()
        kept = State.from_json(decision.state.to_json())
        assert kept == decision.state
        assert decision.state.failures < FAILURES_TO_HANDOFF
        state = kept


def test_a_state_of_another_version_is_read() -> None:
    assert State.from_json({"topic": WAGES, "gone": 1}) == State(topic=WAGES)
