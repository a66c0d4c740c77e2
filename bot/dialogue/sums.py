"""Work out a sum in the chat: ask for what is missing, one thing at a time, then show the result with its formula."""

from __future__ import annotations

import dataclasses
from datetime import date

from bot.dialogue import wording
from bot.dialogue.replies import offer_person
from bot.dialogue.state import Decision, State
from connectors.base import Option, Reply
from knowledge_base.calculators.answers import Unclear, Value, written
from knowledge_base.calculators.calculation import Calculator, Input, Refused
from knowledge_base.calculators.catalog import CALCULATORS
from knowledge_base.calculators.parameters import Outdated, parameters
from knowledge_base.catalog import Catalog

_TRIES = 2


def begin(book: Catalog, state: State, calculator: Calculator, text: str, today: date) -> Decision:
    """Start with what the worker has told already."""
    told = calculator.gather(text, today)
    kept = dataclasses.replace(state, topic=calculator.topic, failures=0)
    return _go_on(book, kept, calculator, told, today, lead=wording.SUM_BEGIN.format(title=calculator.title))


def take(book: Catalog, state: State, text: str, today: date, *, elsewhere: bool) -> Decision | None:
    """The answer to the question that is open. None when it is no answer and the worker has gone on to something else,
    which `elsewhere` suspects. The second that is no answer ends the calculation with the offer of a person.
    """
    calculator, given = open_sum(state, today)
    if calculator is None or (asked := calculator.missing(given)) is None:
        return None
    try:
        given[asked.name] = asked.parse(text, today)
    except Unclear as unclear:
        if elsewhere:
            return None
        if state.failures + 1 >= _TRIES:
            return offer_person(leave(state), wording.SUM_FAILED)
        again = dataclasses.replace(state, failures=state.failures + 1)
        return Decision("ask_more", again, _question(asked, unclear.reason), topic=state.topic)
    return _go_on(book, dataclasses.replace(state, failures=0), calculator, given, today)


def open_sum(state: State, today: date) -> tuple[Calculator | None, dict[str, Value]]:
    """The calculation that is under way, with the values so far."""
    calculator = CALCULATORS.get(state.sum or "")
    if calculator is None or state.awaiting != "sum":
        return None, {}
    inputs = {each.name: each for each in calculator.inputs}
    given = {name: inputs[name].parse(value, today) for name, value in state.given if name in inputs}
    return calculator, given


def _go_on(
    book: Catalog, state: State, calculator: Calculator, given: dict[str, Value], today: date, lead: str = ""
) -> Decision:
    kept = dataclasses.replace(
        state,
        sum=calculator.key,
        given=tuple((name, written(value)) for name, value in given.items()),
        awaiting="sum",
        options=(),
    )
    if (asked := calculator.missing(given)) is not None:
        said = _question(asked, lead)
        kept = dataclasses.replace(kept, options=tuple((option.id, option.label) for option in said.options))
        return Decision("ask_more", kept, said, topic=calculator.topic)
    try:
        result = calculator.calculate(given, today, parameters())
    except Refused as refused:
        return _refused(book, kept, calculator, given, refused, today)
    except Outdated as outdated:
        return offer_person(leave(kept), str(outdated), topic=calculator.topic)
    done = dataclasses.replace(leave(kept), answered=(*state.answered, calculator.topic)[-6:])
    if result.ask_person:
        offer = offer_person(done, f"{result.text()}\n\n{result.ask_person}", topic=calculator.topic)
        return dataclasses.replace(offer, action="answer")
    options = [Option("person", wording.PERSON)]
    if book.article(calculator.topic):
        options.insert(0, Option(f"topic:{calculator.topic}", book.title(calculator.topic)))
    done = dataclasses.replace(done, options=tuple((option.id, option.label) for option in options))
    return Decision("answer", done, Reply(result.text(), options=options), wording.SUM_SPOKEN, topic=calculator.topic)


def _refused(
    book: Catalog, state: State, calculator: Calculator, given: dict[str, Value], refused: Refused, today: date
) -> Decision:
    """Nonsense in, the reason out: the value at fault is asked for again."""
    if refused.field not in given or state.failures + 1 >= _TRIES:
        return offer_person(leave(state), str(refused), topic=calculator.topic)
    rest = {name: value for name, value in given.items() if name != refused.field}
    again = dataclasses.replace(state, failures=state.failures + 1)
    return _go_on(book, again, calculator, rest, today, lead=str(refused))


def _question(asked: Input, lead: str) -> Reply:
    options = [Option(f"value:{key}", words[0]) for key, words in asked.choices.items()]
    return Reply("\n".join(filter(None, (lead, asked.question))), options=options)


def leave(state: State) -> State:
    """Forget the calculation that is under way."""
    return dataclasses.replace(state, sum=None, given=(), awaiting=None, options=(), failures=0)
