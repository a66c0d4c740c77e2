"""Ask the hotline from the command line: the real engine and dialogue, without a database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from bot.dialogue.decide import decide
from bot.dialogue.state import Heard, Situation, State
from bot.duty import BEIJING
from bot.hotline import bands_of, utcnow
from bot.knowledge import ARTICLES
from bot.settings import settings
from connectors.base import Kind
from intents.local import LocalEngine
from knowledge_base import catalog
from knowledge_base.card import text as card_text
from knowledge_base.catalog import Catalog


def answers(questions: list[str]) -> Iterator[dict[str, Any]]:
    """One row a question: question, action, topic, ranking, reply, article_text.

    `article_text` is the whole article that ranked first, with its follow-up answers; empty when there is none.
    """
    book = catalog.load(ARTICLES)
    with asyncio.Runner() as runner:
        engine = LocalEngine.load(settings().data_dir / "model")
        bands = bands_of(settings(), engine)
        today = utcnow().astimezone(BEIJING).date()
        for question in questions:
            understood = runner.run(engine.understand(question))
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
            }
        runner.run(engine.close())


def _whole(book: Catalog, topic: str | None) -> str:
    article = book.article(topic) if topic else None
    if article is None:
        return ""
    parts = [f"{key}：{words}" for key, words in article.follow_ups.items()]
    return "\n".join([article.title, card_text(article), *parts])
