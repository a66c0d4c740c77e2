"""The shapes of what is said: an article as a card, a question with options, an offer of a person."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import date

from bot.dialogue import wording
from bot.dialogue.state import Decision, Handoff, State
from connectors.base import Option, Reply, Section
from intents.engine import FollowUp
from knowledge_base import deadlines
from knowledge_base.article import Article
from knowledge_base.calculators.catalog import for_topic
from knowledge_base.card import card, text
from knowledge_base.catalog import Catalog
from knowledge_base.topics import vocabulary

ASK_HELPFUL = (
    Option("helped", wording.HELPED),
    Option("not_helped", wording.NOT_HELPED),
    Option("person", wording.PERSON),
)
ASK_PERSON = (Option("yes", wording.YES), Option("no", wording.NO))


def article_reply(article: Article) -> Reply:
    """The whole article: complete as text, and as sections for channels that draw cards."""
    sections = [Section(part.kind, part.title, part.text) for part in card(article)]
    return Reply(text(article), card=sections)


def warned(reply: Reply, warning: str | None) -> Reply:
    """A time limit that is near or past is said before everything else."""
    if warning is None:
        return reply
    return Reply(f"{warning}\n\n{reply.text}", reply.options, (Section("deadline", "", warning), *reply.card))


def urgency_of(topic: str | None) -> str:
    """The topic's own urgency; `priority` for a matter without a topic, so that it is seen the same day."""
    known = vocabulary().topics.get(topic or "")
    return known.urgency if known else "priority"


def answer(book: Catalog, state: State, topic: str, today: date, *, second: str | None = None) -> Decision:
    """Give the article; ask once whether it helped, or whether the second question is to be answered too."""
    article = book.servable(topic, today)
    if article is None:
        return offer_person(state, wording.UPDATING, topic=topic)
    reply = warned(article_reply(article), deadlines.warning(topic, state.asked, today))
    answered = (*state.answered, topic)[-6:]
    kept = dataclasses.replace(
        state, topic=topic, answered=answered, failures=0, insults=0, awaiting=None, options=(), second=None, asked=""
    )
    if article.handoff.always:
        handoff = Handoff("article", urgency_of(topic), topic)
        said = dataclasses.replace(reply, text=f"{reply.text}\n\n{wording.HANDOFF_ARTICLE}")
        return Decision("answer", kept, said, handoff=handoff, topic=topic)
    if topic.startswith("meta."):
        return Decision("talk", dataclasses.replace(kept, topic=state.topic), reply, topic=topic)
    if second and second != topic and book.servable(second, today):
        question = wording.SECOND.format(title=book.title(second))
        said = dataclasses.replace(reply, text=f"{reply.text}\n\n{question}", options=ASK_PERSON)
        kept = dataclasses.replace(kept, awaiting="second", second=second, options=_pairs(ASK_PERSON))
        return Decision("answer", kept, said, spoken="回“是”接着说，回“不是”就先不说。", topic=topic)
    if topic in state.answered:
        return Decision("answer", kept, reply, topic=topic)
    options: tuple[Option, ...] = ASK_HELPFUL
    spoken = wording.HELPFUL_SPOKEN
    if own := [each for each in for_topic(topic) if each.topic == topic]:
        options = (Option(f"sum:{own[0].key}", wording.SUM_OFFER), *options)
        spoken = wording.SUM_OFFER_SPOKEN + spoken
    kept = dataclasses.replace(kept, awaiting="helpful", options=_pairs(options))
    return Decision("answer", kept, dataclasses.replace(reply, options=options), spoken=spoken, topic=topic)


def follow_up(book: Catalog, state: State, topic: str, part: FollowUp, today: date) -> Decision:
    """Just the part that was asked for, of the topic at hand."""
    article = book.servable(topic, today)
    if article is None:
        return offer_person(state, wording.UPDATING, topic=topic)
    found = article.follow_up(part.value)
    if found is None:
        return offer_person(state, wording.NO_FOLLOW_UP, topic=topic)
    said = Reply(f"{part.value}（{article.title}）\n{found}\n\n{article.source_line()}")
    kept = dataclasses.replace(state, topic=topic, failures=0, awaiting=None, options=())
    return Decision("follow_up", kept, said, topic=topic)


def ask_back(book: Catalog, state: State, topics: Sequence[str], lead: str = wording.ASK_BACK) -> Decision:
    """The three likeliest as options; the rest waits for "换一个"."""
    shown, rest = topics[:3], topics[3:9]
    options = [Option(f"topic:{topic}", book.title(topic)) for topic in shown]
    options.append(Option("none", wording.NONE_OF_THEM))
    kept = dataclasses.replace(state, awaiting="choose", options=_pairs(options), rest=tuple(rest))
    return Decision("ask_back", kept, Reply(lead, options=options), topic=shown[0] if shown else None)


def offer_person(state: State, why: str, *, topic: str | None = None, action: str = "talk") -> Decision:
    """Say why we cannot, and offer a person: "是" opens the ticket."""
    kept = dataclasses.replace(state, topic=topic or state.topic, awaiting="handoff", options=_pairs(ASK_PERSON))
    said = Reply(why if why.endswith("？") else f"{why}{wording.MAYBE_PERSON}", options=ASK_PERSON)
    return Decision(action, kept, said, spoken="回“是”转人工，回“不是”就不转。", topic=topic)


def hand_over(state: State, reason: str, why: str, topic: str | None = None) -> Decision:
    """Open a ticket. The number and the times are added by whoever opens it."""
    topic = topic or state.topic
    kept = dataclasses.replace(state, topic=topic, awaiting=None, options=(), failures=0)
    return Decision("handoff", kept, Reply(why), handoff=Handoff(reason, urgency_of(topic), topic), topic=topic)


def talk(state: State, text_: str, *, options: Iterable[Option] = ()) -> Decision:
    """A sentence that leaves the open question open."""
    return Decision("talk", state, Reply(text_, options=tuple(options)))


def _pairs(options: Iterable[Option]) -> tuple[tuple[str, str], ...]:
    return tuple((option.id, option.label) for option in options)
