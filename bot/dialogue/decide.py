"""One message in, one decision out. The order of the rules is the policy: danger, a person, the open question, rest."""

from __future__ import annotations

import dataclasses
import re
from datetime import date

from bot.dialogue import replies, sums, voice, wording
from bot.dialogue.state import Decision, Handoff, Heard, Situation, State
from connectors.base import Event, Kind, Reply
from intents.bands import Bands
from intents.engine import Command, Danger, Understanding
from knowledge_base.calculators.calculation import Calculator
from knowledge_base.calculators.catalog import CALCULATORS, for_topic, wanted
from knowledge_base.catalog import Catalog

FAILURES_TO_HANDOFF = 3
# After danger, words as few as these tell where somebody is and how they are: no question to the desk.
_SHORT = 16
# A menu button with any other key is taken as the text it carries.
_KINDS_OF_OPTION = {"topic", "none", "person", "helped", "not_helped", "yes", "no", "sum", "value"}
_SUM = re.compile(
    r"^(请|麻烦|那)?(你|您)?(给|帮|替)?我?(算一?算|算一?下|算算|计算一?下)(能拿|该给|应该)?(有?多少钱?)?[吧呢啊。？?！!]*$"
)
_SOLVED = re.compile(r"^(已经)?(解决|办好|办成|搞定|处理好)了?吧?[。！!]?$")
_UNHELPFUL = re.compile(r"^(还是)?(没有?帮助|没有?用|不管用|没帮上忙?|没说到点上|没解决|帮不了我?)[了吧呢啊。！!]*$")
_HELPFUL = re.compile(r"^(有用|有帮助|清楚了?|明白了?|懂了|知道了|可以了?|行了?)[了吧呢啊。！!]*$")


def decide(
    state: State,
    heard: Heard,
    understood: Understanding,
    book: Catalog,
    bands: Bands,
    today: date,
    situation: Situation,
) -> Decision:
    """What to say and do. Pure: the same arguments give the same decision."""
    if heard.kind is Kind.EVENT and heard.option is None and not heard.text:
        return _event(state, heard)
    if heard.kind is not Kind.EVENT and heard.kind is not Kind.TEXT and not heard.text:
        return _media(state, heard, situation)
    if _is_guess(state, heard, understood):
        return voice.read_back(state, heard.text, understood)
    if state.awaiting == "heard":
        right = _is_right(state, heard, understood)
        if right is False:
            return _misheard(state)
        earlier = voice.set_aside(state)
        if right:
            told = voice.meant(state)
            return decide(earlier, Heard(Kind.TEXT, told.text), told, book, bands, today, situation)
        state = earlier
    state = dataclasses.replace(state, known=_remember(state, understood))
    if heard.option is None and understood.choice is None and not understood.pure:
        state = dataclasses.replace(state, asked=understood.text[:500])
    if understood.danger is not None:
        return danger(state, understood.danger)
    if understood.command is Command.PERSON:
        return _person(book, state, understood, bands, situation)
    chosen = _chosen(state, heard, understood)
    if state.awaiting == "sum":
        if said := _sum(book, state, chosen, understood, bands, today):
            return said
        state = sums.leave(state)
    if chosen:
        return _pick(book, state, chosen, today, situation)
    if (
        understood.pure
        and understood.command is not None
        and (said := _command(book, state, understood.command, today, situation))
    ):
        return said
    if state.awaiting in {"helpful", "handoff", "solved"} and _UNHELPFUL.match(understood.text):
        return replies.hand_over(state, "unhelpful", wording.SORRY_HANDOFF)
    if state.awaiting == "helpful" and _HELPFUL.match(understood.text):
        return replies.talk(dataclasses.replace(state, awaiting=None, options=()), wording.GLAD)
    if state.awaiting == "solved" and _SOLVED.match(understood.text):
        return replies.talk(dataclasses.replace(state, awaiting=None, options=()), wording.SOLVED_YES)
    if state.awaiting == "danger" and len(understood.text) <= _SHORT:
        return replies.talk(state, wording.DANGER_HEARD)
    if _SUM.match(understood.text.strip()) and state.topic and not for_topic(state.topic):
        return replies.offer_person(state, wording.SUM_NONE, topic=state.topic)
    if calculator := _sum_wanted(state, understood, bands, today):
        return sums.begin(book, state, calculator, understood.text, today)
    if understood.follow_up is not None and state.topic and _about_topic_at_hand(state, understood, bands):
        return replies.follow_up(book, state, state.topic, understood.follow_up, today)
    return _by_ranking(book, state, understood, bands, today)


def danger(state: State, kind: Danger) -> Decision:
    """The fixed words for a kind of danger, and the urgent lane."""
    topic = wording.DANGER_TOPIC[kind]
    kept = dataclasses.replace(state, topic=topic, awaiting="danger", options=(), failures=0, more=())
    handoff = Handoff("danger", wording.DANGER_URGENCY[kind], topic)
    return Decision("danger", kept, Reply(wording.DANGER[kind]), handoff=handoff, topic=topic)


def _event(state: State, heard: Heard) -> Decision:
    if heard.event is Event.SUBSCRIBE:
        return Decision("talk", State(known=state.known), Reply(wording.welcome(heard.site)))
    if heard.event is Event.SCAN:
        return replies.talk(state, wording.scanned(heard.site))
    return Decision("silent", state)


def _is_guess(state: State, heard: Heard, understood: Understanding) -> bool:
    """Words that a machine wrote down are asked about, but for danger, a person, and an answer to what we offered."""
    if heard.kind is not Kind.VOICE or understood.danger is not None or understood.pure:
        return False
    if _chosen(state, heard, understood) is not None:
        return False
    if state.awaiting == "danger" and len(understood.text) <= _SHORT:
        return False
    return understood.command is not Command.PERSON


def _is_right(state: State, heard: Heard, understood: Understanding) -> bool | None:
    """Whether we heard what was said; None when the worker just goes on."""
    if understood.danger is not None or understood.command is Command.PERSON:
        return None
    chosen = _chosen(state, heard, understood)
    if chosen in {"yes", "no"}:
        return chosen == "yes"
    if understood.pure and understood.command in {Command.YES, Command.NO}:
        return understood.command is Command.YES
    return None


def _misheard(state: State) -> Decision:
    """Say it again; the third failure in a row opens a ticket."""
    failures = state.failures + 1
    earlier = dataclasses.replace(voice.set_aside(state), failures=failures)
    if failures >= FAILURES_TO_HANDOFF:
        return replies.hand_over(earlier, "stuck", wording.STUCK)
    return replies.talk(earlier, wording.HEARD_WRONG)


def _media(state: State, heard: Heard, situation: Situation) -> Decision:
    if situation.listening:
        return replies.talk(state, wording.LISTENING)
    if situation.ticket:
        return replies.talk(state, wording.KIND_WITH_TICKET.format(number=situation.ticket))
    return replies.talk(state, wording.KINDS[heard.kind.value])


def _person(book: Catalog, state: State, understood: Understanding, bands: Bands, situation: Situation) -> Decision:
    if situation.ticket and situation.ticket_line:
        return replies.talk(state, wording.already(situation.ticket, situation.ticket_line))
    best = understood.ranking[0] if understood.ranking and not understood.pure else None
    topic = best.topic if best and best.confidence >= bands.ask and not best.topic.startswith("meta.") else None
    return replies.hand_over(state, "asked", wording.HANDOFF_ASKED, topic)


def _chosen(state: State, heard: Heard, understood: Understanding) -> str | None:
    """The option that was tapped, numbered, or written out; a tap on an option of an earlier message counts too."""
    if heard.option and heard.option.partition(":")[0] in _KINDS_OF_OPTION:
        return heard.option
    if not state.options:
        return None
    if understood.choice is not None:
        return _numbered(state, understood.choice)
    written = _letters(understood.text)
    for option, label in state.options:
        if written and written == _letters(label):
            return option
    if state.awaiting == "choose" and len(written) >= 2:
        near = [option for option, label in state.options if written in _letters(label)]
        if len(near) == 1:
            return near[0]
    return None


def _numbered(state: State, number: int) -> str | None:
    """The option of that number, from 1; -1 is "the last one", which nobody says of the way out below the topics."""
    if number == -1:
        meant = [option for option, _ in state.options if option != "none"]
        return meant[-1] if meant else None
    return state.options[number - 1][0] if 1 <= number <= len(state.options) else None


def _pick(book: Catalog, state: State, option: str, today: date, situation: Situation) -> Decision:
    kind, _, topic = option.partition(":")
    settled = dataclasses.replace(state, awaiting=None, options=())
    if kind == "topic" and book.article(topic):
        return replies.answer(book, settled, topic, today)
    if kind == "none":
        return _none_of_them(book, state)
    if kind == "sum" and topic in CALCULATORS:
        return sums.begin(book, settled, CALCULATORS[topic], state.asked, today)
    if kind == "person":
        if situation.ticket and situation.ticket_line:
            return replies.talk(settled, wording.already(situation.ticket, situation.ticket_line))
        return replies.hand_over(state, "asked", wording.HANDOFF_ASKED)
    if kind == "helped":
        return replies.talk(settled, wording.GLAD)
    if kind == "not_helped":
        return replies.hand_over(state, "unhelpful", wording.SORRY_HANDOFF)
    if kind in {"yes", "no"}:
        return _yes_no(book, state, kind == "yes", today) or replies.talk(settled, wording.NOT_UNDERSTOOD)
    return replies.talk(settled, wording.NOT_UNDERSTOOD)


def _sum(
    book: Catalog, state: State, chosen: str | None, understood: Understanding, bands: Bands, today: date
) -> Decision | None:
    """The open question of a calculation; None when the worker has turned to something else."""
    if understood.pure and understood.command in {Command.STOP, Command.BACK}:
        return replies.talk(sums.leave(state), wording.SUM_LEFT)
    kind, _, value = (chosen or "").partition(":")
    if chosen and kind != "value":
        return None
    best = understood.ranking[0] if understood.ranking else None
    elsewhere = understood.follow_up is not None or (best is not None and best.confidence >= bands.answer)
    return sums.take(book, state, value or understood.text, today, elsewhere=elsewhere)


def _sum_wanted(state: State, understood: Understanding, bands: Bands, today: date) -> Calculator | None:
    """The calculator that is asked for in so many words, or by a question that brings its numbers along."""
    if _SUM.match(understood.text.strip()) and state.topic and (own := for_topic(state.topic)):
        return own[0]
    best = understood.ranking[0] if understood.ranking else None
    if best is None or best.confidence < bands.ask or understood.in_scope < bands.scope:
        return None
    calculator = wanted(understood.text, best.topic)
    return calculator if calculator and calculator.gather(understood.text, today) else None


def _yes_no(book: Catalog, state: State, yes: bool, today: date) -> Decision | None:
    """The answer to the open question; None when no question is open."""
    settled = dataclasses.replace(state, awaiting=None, options=())
    match state.awaiting:
        case "handoff" if yes:
            return replies.hand_over(settled, "offered", wording.HANDOFF_ASKED)
        case "handoff":
            return replies.talk(dataclasses.replace(settled, failures=0), wording.DECLINED)
        case "helpful" if yes:
            return replies.talk(settled, wording.GLAD)
        case "helpful":
            return replies.offer_person(settled, wording.SORRY_OFFER)
        case "second" if yes and state.second:
            return replies.answer(book, dataclasses.replace(settled, second=None), state.second, today)
        case "second":
            return replies.talk(dataclasses.replace(settled, second=None), wording.GLAD)
        case "solved" if yes:
            return replies.talk(settled, wording.SOLVED_YES)
        case "solved":
            return replies.hand_over(settled, "unhelpful", wording.SOLVED_NO)
        case "choose" if yes and state.options:
            return _pick(book, state, state.options[0][0], today, Situation())
        case "choose":
            return _none_of_them(book, state)
        case _:
            return None


def _none_of_them(book: Catalog, state: State) -> Decision:
    """Not what we guessed: show the next ones, or own up; the third failure in a row opens a ticket."""
    failures = state.failures + 1
    if failures >= FAILURES_TO_HANDOFF:
        return replies.hand_over(state, "stuck", wording.STUCK)
    tried = dataclasses.replace(state, failures=failures)
    if state.rest:
        return replies.ask_back(book, tried, state.rest, wording.ASK_AGAIN)
    return replies.offer_person(tried, wording.NOT_UNDERSTOOD)


def _command(book: Catalog, state: State, command: Command, today: date, situation: Situation) -> Decision | None:
    """Words that steer; None when the word means nothing at this point of the talk."""
    match command:
        case Command.YES:
            return _yes_no(book, state, True, today)
        case Command.NO:
            return _yes_no(book, state, False, today)
        case Command.OTHER if state.rest or state.awaiting == "choose":
            return _none_of_them(book, state)
        case Command.OTHER:
            return replies.talk(state, wording.NOTHING_EARLIER)
        case Command.BACK:
            if state.awaiting == "choose" or not state.options:
                return replies.talk(dataclasses.replace(state, awaiting=None, options=()), wording.NOTHING_EARLIER)
            return replies.talk(dataclasses.replace(state, awaiting=None, options=()), wording.WELCOME)
        case Command.STOP:
            return replies.talk(State(known=state.known, ticket=state.ticket), wording.STOPPED)
        case Command.PROGRESS:
            if situation.ticket and situation.ticket_line:
                return replies.talk(state, wording.already(situation.ticket, situation.ticket_line))
            return replies.talk(state, wording.UNKNOWN_PROGRESS)
        case Command.MORE:
            return replies.talk(state, wording.MORE_NONE)
        case Command.GREETING:
            return replies.answer(book, state, "meta.greeting", today)
        case Command.THANKS:
            settled = dataclasses.replace(state, awaiting=None, options=())
            return replies.answer(book, settled, "meta.thanks_bye", today)
        case Command.IDENTITY:
            return replies.answer(book, state, "meta.bot_identity", today)
        case Command.ABUSE:
            said = wording.CALM if state.insults == 0 else wording.CALM_AGAIN
            return replies.talk(dataclasses.replace(state, insults=state.insults + 1), said)
        case _:
            return None


def _about_topic_at_hand(state: State, understood: Understanding, bands: Bands) -> bool:
    """Whether "多久" is about what we talked of: always when it stands alone, else unless another topic is sure."""
    if understood.pure or not understood.ranking:
        return True
    best = understood.ranking[0]
    return best.topic == state.topic or best.confidence < bands.answer


def _by_ranking(book: Catalog, state: State, understood: Understanding, bands: Bands, today: date) -> Decision:
    ranking = [candidate for candidate in understood.ranking if book.article(candidate.topic)]
    offered = {option for option, _ in state.options} if state.awaiting == "choose" else set()
    best = ranking[0] if ranking else None
    if best and f"topic:{best.topic}" in offered and best.confidence >= bands.ask:
        return replies.answer(book, state, best.topic, today, second=understood.second)
    if best is None:
        return _failed(book, state)
    if understood.in_scope < bands.scope or best.topic == "meta.out_of_scope":
        return _not_ours(book, state, understood, bands, today)
    if best.topic == "meta.handoff" and best.confidence >= bands.answer:
        return replies.hand_over(state, "asked", wording.HANDOFF_ASKED)
    if best.confidence >= bands.answer:
        return replies.answer(book, state, best.topic, today, second=understood.second)
    if best.confidence >= bands.ask:
        failures = state.failures + 1 if state.awaiting == "choose" else state.failures
        if failures >= FAILURES_TO_HANDOFF:
            return replies.hand_over(state, "stuck", wording.STUCK)
        kept = dataclasses.replace(state, failures=failures)
        return replies.ask_back(book, kept, [candidate.topic for candidate in ranking[:9]])
    return _failed(book, state)


def _not_ours(book: Catalog, state: State, understood: Understanding, bands: Bands, today: date) -> Decision:
    """Outside the service: the article that says whom to ask instead; the third time in a row, a person."""
    article = book.servable("meta.out_of_scope", today)
    if state.failures + 1 >= FAILURES_TO_HANDOFF:
        return replies.hand_over(state, "stuck", wording.STUCK)
    said = replies.article_reply(article).text if article else wording.NOT_OURS
    tried = dataclasses.replace(state, failures=state.failures + 1)
    return replies.offer_person(tried, f"{said}\n", action="refuse")


def _failed(book: Catalog, state: State) -> Decision:
    failures = state.failures + 1
    if failures >= FAILURES_TO_HANDOFF:
        return replies.hand_over(state, "stuck", wording.STUCK)
    return replies.offer_person(dataclasses.replace(state, failures=failures), wording.NOT_UNDERSTOOD, action="refuse")


def _remember(state: State, understood: Understanding) -> tuple[tuple[str, str], ...]:
    """What the worker has let us know, newest last, each kind and value once; for the sheet that staff read."""
    known = dict.fromkeys(state.known)
    known.update(dict.fromkeys((entity.kind, entity.value) for entity in understood.entities))
    return tuple(known)[-24:]


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()
