"""Open a ticket: number, priority, due times, and a sheet that a colleague reads in ten seconds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.dialogue import wording
from bot.dialogue.state import Handoff, State
from bot.duty import BEIJING, Hours, say
from bot.inbox import Talk
from bot.models import Message, Ticket, TicketDay
from bot.tickets import PRIORITIES
from knowledge_base.catalog import Catalog
from knowledge_base.topics import vocabulary

_ASKED = 6
# Asked for in the handover message; who somebody is, is asked by a person and only when it is needed.
_PERSONAL = {
    "contact_phone",
    "contact_name",
    "phone_last4",
    "deceased_name",
    "hirer_name",
    "risk_screen",
    "is_safe_now",
}


async def open_ticket(
    session: AsyncSession,
    talk: Talk,
    ticket: Ticket | None,
    handoff: Handoff,
    state: State,
    book: Catalog,
    hours: Hours,
    now: datetime,
) -> tuple[Ticket, str]:
    """The ticket of this conversation, new or already open, and what to tell the worker of it.

    `ticket` is the conversation's open one. There is one at most: a second cause is added to its sheet, and a more
    pressing one raises its priority and brings its due times forward.
    """
    respond, resolve = hours.due(handoff.urgency, now)
    sheet = await sheet_of(session, talk, handoff, state, book)
    if ticket is None:
        ticket = Ticket(
            created_at=now,
            number=await _next_number(session, now),
            conversation_id=talk.id,
            channel=talk.channel,
            topic=handoff.topic,
            reason=handoff.reason,
            priority=handoff.urgency,
            sheet=sheet,
            respond_due=respond,
            resolve_due=resolve,
        )
        session.add(ticket)
        await session.flush()
        _record(session, talk, ticket, "opened", handoff, now)
    else:
        ticket.sheet = {**sheet, "causes": [*ticket.sheet.get("causes", []), *sheet["causes"]][-8:]}
        if PRIORITIES.index(handoff.urgency) < PRIORITIES.index(ticket.priority):
            ticket.priority, ticket.topic, ticket.reason = handoff.urgency, handoff.topic, handoff.reason
            ticket.respond_due, ticket.resolve_due = min(ticket.respond_due, respond), min(ticket.resolve_due, resolve)
            _record(session, talk, ticket, "raised", handoff, now)
    told = wording.handed_over(
        ticket.number,
        on_duty=hours.on_duty(now),
        opens=say(hours.next_open(now), now),
        due=say(ticket.respond_due, now),
        urgent=ticket.priority in {"crisis", "urgent"},
        wanted=_wanted(book, handoff.topic) if handoff.reason != "danger" else [],
    )
    return ticket, told


async def sheet_of(session: AsyncSession, talk: Talk, handoff: Handoff, state: State, book: Catalog) -> dict[str, Any]:
    """Keys: asked (the worker's last words), answered (titles), known ([kind, value] pairs), wanted, causes, site."""
    rows = await session.scalars(
        select(Message)
        .where(Message.conversation_id == talk.id, Message.direction == "in", Message.kind != "event")
        .order_by(Message.id.desc())
        .limit(_ASKED)
    )
    asked = [_said(row) for row in rows][::-1]
    return {
        "asked": [text[:400] for text in asked],
        "answered": [book.title(topic) for topic in state.answered],
        "known": [list(pair) for pair in state.known],
        "wanted": _labels(book, handoff.topic),
        "causes": [{"reason": handoff.reason, "topic": handoff.topic, "urgency": handoff.urgency}],
        "site": talk.site or "",
    }


def _said(message: Message) -> str:
    if message.payload.get("heard"):
        return f"{message.text}（语音，机器听写）"
    return message.text or f"［{wording.WHAT_CAME.get(message.kind, message.kind)}］"


def _labels(book: Catalog, topic: str | None) -> list[str]:
    return [label for _, label in _intake(book, topic)]


def _wanted(book: Catalog, topic: str | None) -> list[str]:
    return [label for slot, label in _intake(book, topic) if slot not in _PERSONAL][:3]


def _intake(book: Catalog, topic: str | None) -> list[tuple[str, str]]:
    """What staff will need to know, as (slot, label)."""
    article = book.article(topic) if topic else None
    labels = vocabulary().slots
    return [(slot, labels[slot]) for slot in article.intake] if article else []


def _record(session: AsyncSession, talk: Talk, ticket: Ticket, kind: str, handoff: Handoff, now: datetime) -> None:
    session.add(
        Message(
            created_at=now,
            conversation_id=talk.id,
            channel=talk.channel,
            direction="event",
            kind=kind,
            payload={"ticket": ticket.number, "reason": handoff.reason, "priority": handoff.urgency},
            status="handled",
            ticket_id=ticket.id,
        )
    )


async def _next_number(session: AsyncSession, now: datetime) -> str:
    """The day's next number, counted in the database so that two processes never give the same one."""
    day = now.astimezone(BEIJING).date()
    insert = postgres_insert if session.bind and session.bind.dialect.name == "postgresql" else sqlite_insert
    statement = (
        insert(TicketDay)
        .values(day=day, last=1)
        .on_conflict_do_update(index_elements=["day"], set_={"last": TicketDay.last + 1})
        .returning(TicketDay.last)
    )
    last = await session.scalar(statement)
    return f"{day:%Y%m%d}-{last:04d}"
