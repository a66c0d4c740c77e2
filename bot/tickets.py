"""What staff do with a ticket: claim, reply, note, close. Each step leaves a line in the thread."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import case, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession

from bot.dialogue import wording
from bot.dialogue.state import State
from bot.errors import Conflict, Forbidden, Invalid, NotFound
from bot.models import Conversation, Message, Staff, Ticket
from connectors.pages import pages

OUTCOMES = {
    "answered": "已解答",
    "helped": "已帮助解决",
    "transferred": "已转有关单位",
    "unreachable": "联系不上",
    "duplicate": "重复",
}
# What fits every channel we push to: WeChat and WeCom take 2,048 bytes, the others more.
_SMALLEST_PAGE = 2048
PRIORITIES = ("crisis", "urgent", "priority", "routine")
_RANK = case({name: rank for rank, name in enumerate(PRIORITIES)}, value=Ticket.priority, else_=9)


async def get(session: AsyncSession, number: str) -> Ticket:
    ticket = await session.scalar(select(Ticket).where(Ticket.number == number))
    if ticket is None:
        raise NotFound(f"没有工单 {number}")
    return ticket


async def queue(session: AsyncSession, *, limit: int = 200) -> Sequence[Ticket]:
    """All that is not closed: the most pressing first, then the one that is due first."""
    rows = await session.scalars(
        select(Ticket).where(Ticket.status != "closed").order_by(_RANK, Ticket.respond_due).limit(limit)
    )
    return rows.all()


async def thread(
    session: AsyncSession, conversation_id: uuid.UUID, *, after: uuid.UUID | None = None, limit: int = 500
) -> Sequence[Message]:
    """The newest `limit` lines of the talk, oldest first; with `after`, only what came later."""
    query = select(Message).where(Message.conversation_id == conversation_id)
    if after is not None:
        query = query.where(Message.id > after)
    rows = await session.scalars(query.order_by(Message.id.desc()).limit(limit))
    return rows.all()[::-1]


async def claim(session: AsyncSession, ticket: Ticket, staff: Staff, now: datetime) -> None:
    """Take a ticket. Raises `Conflict` that names the colleague who was quicker; claiming twice oneself is fine."""
    claimed = await session.execute(
        update(Ticket)
        .where(Ticket.id == ticket.id, Ticket.status == "open")
        .values(status="claimed", staff_id=staff.id, claimed_at=now)
        .execution_options(synchronize_session=False)
    )
    await session.refresh(ticket)
    if not _changed(claimed):
        if ticket.status == "closed":
            raise Conflict("这张工单已经办结")
        if ticket.staff_id != staff.id:
            holder = await session.get(Staff, ticket.staff_id)
            raise Conflict(f"{holder.name if holder else '同事'}已经接手了这张工单")
        return
    conversation = await _conversation(session, ticket)
    conversation.mode = "human"
    _event(session, ticket, staff, "claimed", now)
    _say(session, ticket, staff, wording.CLAIMED.format(name=staff.name), now)


async def reply(session: AsyncSession, ticket: Ticket, staff: Staff, text: str, now: datetime) -> Message:
    """Speak to the worker over their own channel. Only the one who holds the ticket may."""
    _require_holder(ticket, staff)
    message = _say(session, ticket, staff, _written(text), now)
    ticket.replied_at = ticket.replied_at or now
    return message


async def note(session: AsyncSession, ticket: Ticket, staff: Staff, text: str, now: datetime) -> Message:
    """A line that the worker never sees."""
    message = Message(
        created_at=now,
        conversation_id=ticket.conversation_id,
        channel=ticket.channel,
        direction="note",
        text=_written(text),
        status="handled",
        staff_id=staff.id,
        ticket_id=ticket.id,
    )
    session.add(message)
    return message


async def close(session: AsyncSession, ticket: Ticket, staff: Staff, outcome: str, now: datetime) -> None:
    """Settle a ticket: the talk goes back to the bot, and the worker is asked whether it is solved."""
    _require_holder(ticket, staff)
    if outcome not in OUTCOMES:
        raise Invalid("请选一个办理结果")
    ticket.status, ticket.outcome, ticket.closed_at = "closed", outcome, now
    conversation = await _conversation(session, ticket)
    conversation.mode = "bot"
    conversation.state = State(topic=ticket.topic, awaiting="solved", ticket=ticket.number).to_json()
    _event(session, ticket, staff, "closed", now, outcome=outcome)
    _say(session, ticket, staff, wording.CLOSED.format(number=ticket.number), now)


def _require_holder(ticket: Ticket, staff: Staff) -> None:
    if ticket.status == "closed":
        raise Conflict("这张工单已经办结")
    if ticket.staff_id != staff.id:
        raise Forbidden("请先接手这张工单")


def _written(text: str) -> str:
    """Raises `Invalid` when there is nothing to say or far too much."""
    clean = text.strip()
    if not clean:
        raise Invalid("请先写点什么")
    if len(clean) > 4000:
        raise Invalid("一次最多写 4000 字")
    return clean


def _say(session: AsyncSession, ticket: Ticket, staff: Staff, text: str, now: datetime) -> Message:
    """One row for each message that the channel will show; returns the last."""
    parts = [text] if ticket.channel == "web" else pages(text, _SMALLEST_PAGE, "（接下条）")
    said = [
        Message(
            created_at=now,
            conversation_id=ticket.conversation_id,
            channel=ticket.channel,
            direction="out",
            text=part,
            status="pending",
            next_try_at=now,
            staff_id=staff.id,
            ticket_id=ticket.id,
        )
        for part in parts
    ]
    session.add_all(said)
    return said[-1]


def _event(session: AsyncSession, ticket: Ticket, staff: Staff | None, kind: str, now: datetime, **facts: str) -> None:
    session.add(
        Message(
            created_at=now,
            conversation_id=ticket.conversation_id,
            channel=ticket.channel,
            direction="event",
            kind=kind,
            payload={"ticket": ticket.number, **facts},
            status="handled",
            staff_id=staff.id if staff else None,
            ticket_id=ticket.id,
        )
    )


async def _conversation(session: AsyncSession, ticket: Ticket) -> Conversation:
    found = await session.get(Conversation, ticket.conversation_id, with_for_update=True)
    if found is None:
        raise NotFound("这次对话已经不在了")
    return found


def _changed(result: object) -> int:
    return result.rowcount if isinstance(result, CursorResult) else 0
