"""One ticket: its sheet, the whole talk, and what the colleague who holds it may do."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import linking, tickets
from bot.console import files, pages
from bot.console.access import Seated, Signed
from bot.console.desk import title_of
from bot.console.line import lines
from bot.console.pages import ConsoleRoute, go, hotline_of, render
from bot.dialogue import wording
from bot.errors import Conflict, Forbidden, HotlineError, Invalid
from bot.hotline import Hotline
from bot.models import Conversation, Message, Staff, Ticket, Worker
from bot.staff import Seat

router = APIRouter(prefix="/tickets", route_class=ConsoleRoute)
# The same words twice within this time are a second click, not a second thought.
_ECHO = timedelta(seconds=20)
# What is kept up to date, each by itself, so that a new message does not disturb somebody who is writing.
_PARTS = ("thread", "room", "person", "actions")


@dataclass(frozen=True, slots=True)
class Room:
    """What the channel still lets us say. `left` None: as often as we like. `until` goes with `left`."""

    reachable: bool
    left: int | None
    until: datetime | None


@router.get("/{number}")
async def show(request: Request, number: str, seat: Seated, part: str = "") -> Response:
    """The page; with `part` that part alone, or 204 when nothing in it changed."""
    context = await _context(request, number, seat)
    if part in _PARTS:
        return pages.unchanged(request, f"_{part}.html", **context)
    return _page(request, context)


@router.post("/{number}/claim")
async def claim(request: Request, number: str, seat: Signed) -> Response:
    """Take the ticket; the one who comes second is told who has it."""
    hotline = hotline_of(request)
    try:
        async with hotline.db.transaction() as session:
            ticket = await tickets.get(session, number)
            await tickets.claim(session, ticket, seat.staff, hotline.clock())
    except Conflict as error:
        return await _again(request, number, seat, error)
    await _ring(hotline, ticket)
    return go(f"/console/tickets/{number}")


@router.post("/{number}/reply")
async def reply(request: Request, number: str, seat: Signed, text: Annotated[str, Form()] = "") -> Response:
    """Speak to the worker."""
    hotline = hotline_of(request)
    try:
        async with hotline.db.transaction() as session:
            ticket = await _held(session, number)
            if not await _just_said(session, ticket, seat.staff, direction="out", text=text, now=hotline.clock()):
                await tickets.reply(session, ticket, seat.staff, text, hotline.clock())
    except (Conflict, Forbidden, Invalid) as error:
        return await _again(request, number, seat, error, text=text)
    await _ring(hotline, ticket)
    return go(f"/console/tickets/{number}#latest")


@router.post("/{number}/note")
async def note(request: Request, number: str, seat: Signed, text: Annotated[str, Form()] = "") -> Response:
    """Write down what only colleagues see."""
    hotline = hotline_of(request)
    try:
        async with hotline.db.transaction() as session:
            ticket = await _held(session, number)
            if not await _just_said(session, ticket, seat.staff, direction="note", text=text, now=hotline.clock()):
                await tickets.note(session, ticket, seat.staff, text, hotline.clock())
    except Invalid as error:
        return await _again(request, number, seat, error, note=text)
    await hotline.bell.ring("desk", ticket=ticket.number)
    return go(f"/console/tickets/{number}#latest")


@router.post("/{number}/close")
async def close(request: Request, number: str, seat: Signed, outcome: Annotated[str, Form()] = "") -> Response:
    """Settle the ticket; the talk goes back to the bot."""
    hotline = hotline_of(request)
    try:
        async with hotline.db.transaction() as session:
            ticket = await _held(session, number)
            await tickets.close(session, ticket, seat.staff, outcome, hotline.clock())
    except (Conflict, Forbidden, Invalid) as error:
        return await _again(request, number, seat, error)
    await _ring(hotline, ticket)
    return go(f"/console/tickets/{number}")


async def _again(request: Request, number: str, seat: Seat, error: HotlineError, **typed: str) -> Response:
    """The page as it is now, with what went wrong; what was typed is still there."""
    context = await _context(request, number, seat)
    return _page(request, context, error.status, alert=str(error), **typed)


def _page(
    request: Request, context: dict[str, Any], code: int = 200, *, alert: str = "", text: str = "", note: str = ""
) -> Response:
    stamps = {part: pages.stamp_of(f"_{part}.html", **context) for part in _PARTS}
    typed = {"alert": alert, "text": text, "note": note}
    return render(request, "ticket.html", code, stamps=stamps, **{**context, **typed})


async def _context(request: Request, number: str, seat: Seat) -> dict[str, Any]:
    hotline = hotline_of(request)
    async with hotline.db.reading() as session:
        ticket = await tickets.get(session, number)
        messages = await tickets.thread(session, ticket.conversation_id)
        kept = await files.of(session, messages)
        people = await _people(session, messages, ticket.staff_id)
        worker = await _worker(session, ticket)
        elsewhere = await linking.elsewhere(session, worker)
    now = hotline.clock()
    return {
        "seat": seat,
        "ticket": ticket,
        "title": title_of(hotline, ticket),
        "reason": wording.REASONS.get(ticket.reason, ticket.reason),
        "holder": people.get(ticket.staff_id) if ticket.staff_id else None,
        "mine": ticket.staff_id == seat.staff.id and ticket.status == "claimed",
        "lines": lines(messages, people, kept),
        "room": _room(hotline, worker, now),
        "elsewhere": elsewhere,
        "outcomes": tickets.OUTCOMES,
        "now": now,
        "text": "",
        "note": "",
    }


async def _people(session: AsyncSession, messages: Sequence[Message], holder: uuid.UUID | None) -> dict[uuid.UUID, str]:
    ids = {message.staff_id for message in messages if message.staff_id} | ({holder} if holder else set())
    rows = await session.execute(select(Staff.id, Staff.name).where(Staff.id.in_(ids)))
    return dict(rows.all())


async def _worker(session: AsyncSession, ticket: Ticket) -> Worker:
    rows = await session.scalars(
        select(Worker)
        .join(Conversation, Conversation.worker_id == Worker.id)
        .where(Conversation.id == ticket.conversation_id)
    )
    return rows.one()


def _room(hotline: Hotline, worker: Worker, now: datetime) -> Room:
    connector = hotline.connectors.get(worker.channel)
    if connector is not None and connector.capabilities.quota is None and connector.capabilities.push:
        return Room(worker.reachable, None, None)
    if worker.grant_until is None or worker.grant_until <= now:
        return Room(worker.reachable, 0, None)
    return Room(worker.reachable, worker.grant_left, worker.grant_until)


async def _held(session: AsyncSession, number: str) -> Ticket:
    """The ticket, locked: two clicks at once come in one after the other."""
    ticket = await tickets.get(session, number)
    await session.refresh(ticket, with_for_update=True)
    return ticket


async def _just_said(
    session: AsyncSession, ticket: Ticket, person: Staff, *, direction: str, text: str, now: datetime
) -> bool:
    rows = await session.scalars(
        select(Message)
        .where(
            Message.ticket_id == ticket.id,
            Message.staff_id == person.id,
            Message.direction == direction,
            Message.created_at > now - _ECHO,
        )
        .order_by(Message.id.desc())
        .limit(1)
    )
    last = rows.first()
    return last is not None and last.text == text.strip()


async def _ring(hotline: Hotline, ticket: Ticket) -> None:
    """Colleagues' screens, the worker's page, and the outbox that delivers what was said."""
    await hotline.bell.ring("desk", ticket=ticket.number)
    await hotline.bell.ring("outbox")
    connector = hotline.connectors.get(ticket.channel)
    if connector is not None and connector.capabilities.stored:
        await hotline.bell.ring(f"chat:{ticket.conversation_id}")
