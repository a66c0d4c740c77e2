"""Ask the hotline from the command line: the real engine and dialogue, without a database."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from bot.dialogue.decide import decide
from bot.dialogue.state import Heard, Situation, State
from bot.duty import BEIJING
from bot.engines import bands_of, engine
from bot.hotline import utcnow
from bot.knowledge import ARTICLES
from bot.settings import settings
from connectors.base import Kind
from intents.cli import Which
from knowledge_base import catalog
from knowledge_base.card import text as card_text
from knowledge_base.catalog import Catalog


def answers(questions: list[str], which: Which | None = None) -> Iterator[dict[str, Any]]:
    """One row a question: question, action, topic, ranking, reply, article_text, engine.

    `engine` is the one that understood: that of the settings unless `which` names one, and the local one where Rasa did
    not answer. `article_text` is the whole article that ranked first, with its follow-up answers; empty when there is
    none.
    """
    book = catalog.load(ARTICLES)
    with asyncio.Runner() as runner, contextlib.ExitStack() as at_the_end:
        opened = contextlib.AsyncExitStack()
        at_the_end.callback(lambda: runner.run(opened.aclose()))
        understanding = runner.run(opened.enter_async_context(engine(settings(), which)))
        bands = bands_of(settings(), understanding)
        today = utcnow().astimezone(BEIJING).date()
        for question in questions:
            understood = runner.run(understanding.understand(question))
            decision = decide(State(), Heard(Kind.TEXT, question), understood, book, bands, today, Situation())
            reply = decision.say
            shown = [f"{number}. {option.label}" for number, option in enumerate(reply.options, 1)] if reply else []
            first = understood.ranking[0].topic if understood.ranking else decision.topic
            yield {
                "question": question,
                "action": decision.action,
                "topic": decision.topic,
                "ranking": [
                    {"topic": candidate.topic, "confidence": round(candidate.confidence, 4)}
                    for candidate in understood.ranking[:10]
                ],
                "reply": "\n".join([reply.text, *shown]) if reply else "",
                "article_text": _whole(book, first),
                "engine": understood.engine,
            }


def _whole(book: Catalog, topic: str | None) -> str:
    article = book.article(topic) if topic else None
    if article is None:
        return ""
    parts = [f"{key}：{words}" for key, words in article.follow_ups.items()]
    return "\n".join([article.title, card_text(article), *parts])
