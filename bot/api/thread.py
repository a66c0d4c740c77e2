"""The thread of a web visitor as JSON: what they said, what was said to them, and who answers now."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import privacy
from bot.console.line import tail
from bot.dialogue import wording
from bot.models import Conversation, Message, Staff, Ticket, Worker
from connectors.webchat import WebChat

_HISTORY = 200


async def talk_of(session: AsyncSession, who: str) -> Conversation | None:
    """The talk of this session; None before its first message."""
    found: Conversation | None = await session.scalar(
        select(Conversation)
        .join(Worker, Worker.id == Conversation.worker_id)
        .where(
            Worker.channel == WebChat.name,
            Worker.address_hash == privacy.fingerprint(WebChat.name, who),
        )
    )
    return found


async def rows(session: AsyncSession, talk: Conversation, after: uuid.UUID | None) -> Sequence[Message]:
    """What the worker may see: what they said and what was said to them; never notes, never events."""
    query = select(Message).where(
        Message.conversation_id == talk.id, Message.direction.in_(("in", "out")), Message.kind != "event"
    )
    if after is not None:
        query = query.where(Message.id > after)
    return (await session.scalars(query.order_by(Message.id.desc()).limit(_HISTORY))).all()[::-1]


async def shown(session: AsyncSession, messages: Sequence[Message]) -> list[dict[str, Any]]:
    """What a machine wrote down of a recording is for staff: the worker hears it read back."""
    messages = [row for row in messages if not row.payload.get("heard")]
    authors = {row.staff_id for row in messages if row.staff_id}
    found = await session.execute(select(Staff.id, Staff.name).where(Staff.id.in_(authors)))
    names = dict(found.all())
    return [_message(row, names.get(row.staff_id) if row.staff_id else None) for row in messages]


async def exchange(session: AsyncSession, external_id: str) -> dict[str, Any]:
    """One message of the page with the replies to it, and who answers now."""
    mine = (
        await session.scalars(
            select(Message).where(Message.channel == WebChat.name, Message.external_id == external_id)
        )
    ).one()
    replies = await session.scalars(select(Message).where(Message.reply_to == mine.id).order_by(Message.id))
    talk = await session.get_one(Conversation, mine.conversation_id)
    return {"messages": await shown(session, [mine, *replies]), "mode": await mode(session, talk)}


async def mode(session: AsyncSession, talk: Conversation) -> dict[str, Any]:
    """Who answers now: `{"mode": "bot"}`, with the ticket's number when one waits, or a colleague by name."""
    row = (
        await session.execute(
            select(Ticket.number, Staff.name)
            .outerjoin(Staff, Staff.id == Ticket.staff_id)
            .where(Ticket.conversation_id == talk.id, Ticket.status != "closed")
        )
    ).first()
    found: dict[str, Any] = {"mode": talk.mode}
    if row:
        found["ticket"] = row[0]
        if row[1]:
            found["name"] = row[1]
    return found


def _message(row: Message, name: str | None) -> dict[str, Any]:
    """`from` is worker, bot or staff. `tail` is what follows the card, for a page that draws the card itself.

    `prompt` is the question that the options answer, where the text does not ask it. `kind` is text, image, voice,
    video or file; `file` is the name of what came with it.
    """
    card, options = row.payload.get("card", []), row.payload.get("options", [])
    asks_helpful = any(option["id"] == "helped" for option in options)
    return {
        "id": str(row.id),
        "client_id": (row.external_id or "").rpartition(":")[2] or None,
        "from": "worker" if row.direction == "in" else "staff" if row.staff_id else "bot",
        "name": name,
        "kind": row.kind,
        "file": str(row.payload.get("file_name", "")),
        "text": row.text,
        "tail": tail(row.text, card) if card else "",
        "prompt": wording.HELPFUL if asks_helpful else "",
        "options": options,
        "card": card,
        "at": row.created_at.isoformat(),
    }
