"""Accounts that may only answer: what is ready too late waits, and rides in front of the next answer, in order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.inbox import Talk
from bot.models import Message
from connectors.base import Capabilities, Inbound, Kind
from connectors.pages import MORE
from intents.bands import Bands
from intents.engine import Command, Understanding

# "回复任意字看答案": words as short as these are no new question unless the engine is sure of one.
_SHORT = 4


def only_answers(able: Capabilities) -> bool:
    return able.passive_reply and not able.push


async def unread(session: AsyncSession, talk: Talk, now: datetime) -> Sequence[Message]:
    """What the worker has not read, oldest first.

    A reply that a response may be carrying at this moment is not among them.
    """
    rows = await session.scalars(
        select(Message)
        .where(
            Message.conversation_id == talk.id,
            Message.direction == "out",
            or_(
                Message.status == "held",
                and_(Message.status == "pending", or_(Message.reply_to.is_(None), Message.next_try_at <= now)),
            ),
        )
        .order_by(Message.id)
    )
    return rows.all()


def only_fetches(inbound: Inbound, understood: Understanding, waiting: Sequence[Message], bands: Bands) -> bool:
    """Whether the worker just asks for the answer that they were promised.

    A number or "有用" then means no option: those of the answer they have not seen yet.
    """
    if inbound.kind is not Kind.TEXT or not any(row.reply_to for row in waiting):
        return False
    if understood.danger is not None or understood.command is Command.PERSON:
        return False
    sure = bool(understood.ranking) and understood.ranking[0].confidence >= bands.answer
    return understood.pure or understood.choice is not None or (len(inbound.text) <= _SHORT and not sure)


def hand_out(waiting: Sequence[Message], more: Sequence[str], now: datetime) -> list[str]:
    """The words of what waited, now on their way; the pages of the last one follow it at once."""
    words = []
    for row in waiting:
        row.status, row.sent_at, row.next_try_at = "sent", now, None
        words.append(row.text)
    if words and words[-1].endswith(MORE):
        words += more
    return [text.removesuffix(MORE).rstrip() for text in words]


def continues(waiting: Sequence[Message]) -> bool:
    """Whether the pages that wait for "更多" belong to what the worker has not read yet."""
    return bool(waiting) and waiting[-1].text.endswith(MORE)
