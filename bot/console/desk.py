"""The queue: what waits, for how long, until when, and who has it; live."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import privacy, tickets
from bot.console import articles, pages
from bot.console.access import Seated, seat_of
from bot.console.pages import ConsoleRoute, go, hotline_of, render
from bot.dialogue import wording
from bot.hotline import Hotline
from bot.models import Staff, Ticket
from bot.staff import Seat

router = APIRouter(route_class=ConsoleRoute)
Show = Literal["open", "mine", "closed"]
SHOWN = 200
_EXCERPT = 60


@dataclass(frozen=True, slots=True)
class Line:
    """A ticket as the queue shows it. `due` is when to answer and, once answered, when to settle.

    `excerpt` is the longest of the worker's last messages (the last one is often just "人工"), long numbers masked.
    """

    number: str
    title: str
    excerpt: str
    reason: str
    priority: str
    channel: str
    status: str
    opened: datetime
    due: datetime
    answered: bool
    late: bool
    holder: str | None
    mine: bool
    outcome: str | None
    closed: datetime | None


@router.get("")
async def queue(request: Request, seat: Seated, show: str = "open", number: str = "") -> Response:
    """The page, or its live part when htmx asks for it. `number` jumps to a ticket that somebody was told."""
    if number.strip():
        return go(f"/console/tickets/{''.join(sign for sign in number if sign.isdigit() or sign == '-')[:32] or '-'}")
    hotline = hotline_of(request)
    chosen: Show = "mine" if show == "mine" else "closed" if show == "closed" else "open"
    async with hotline.db.reading() as session:
        lines = await _lines(session, hotline, chosen, seat)
        counts = await _counts(session, seat)
    context: dict[str, Any] = {"show": chosen, "lines": lines, "counts": counts, "now": hotline.clock()}
    if request.headers.get("hx-request"):
        return pages.unchanged(request, "_queue.html", **context)
    context["expired"] = articles.expired(hotline)
    return render(request, "desk.html", seat=seat, stamp=pages.stamp_of("_queue.html", **context), **context)


@router.get("/stream")
async def stream(request: Request, _seat: Seated, ticket: str = "") -> Response:
    """Says `desk` whenever a ticket changed (with `ticket`: that one only), and every 15 s in case a ring was lost."""
    return StreamingResponse(
        _rings(request, ticket), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


async def _rings(request: Request, ticket: str) -> AsyncIterator[str]:
    yield "retry: 3000\n\n"
    async with contextlib.aclosing(hotline_of(request).bell.listen("desk")) as rings:
        async for ring in rings:
            if ring and ticket and ring.get("ticket", ticket) != ticket:
                continue
            if not await seat_of(request):
                return
            yield "event: desk\ndata: changed\n\n"


async def _lines(session: AsyncSession, hotline: Hotline, show: Show, seat: Seat) -> list[Line]:
    found: Sequence[Ticket]
    if show == "open":
        found = await tickets.queue(session, limit=SHOWN)
    else:
        mine = Ticket.staff_id == seat.staff.id
        query = select(Ticket).where(mine, Ticket.status == "claimed").order_by(Ticket.respond_due)
        if show == "closed":
            query = select(Ticket).where(Ticket.status == "closed").order_by(Ticket.closed_at.desc())
        found = (await session.scalars(query.limit(SHOWN))).all()
    holders = {ticket.staff_id for ticket in found if ticket.staff_id}
    rows = await session.execute(select(Staff.id, Staff.name).where(Staff.id.in_(holders)))
    names = dict(rows.all())
    now = hotline.clock()
    return [
        _line(hotline, ticket, names.get(ticket.staff_id) if ticket.staff_id else None, seat, now) for ticket in found
    ]


def _line(hotline: Hotline, ticket: Ticket, holder: str | None, seat: Seat, now: datetime) -> Line:
    due = ticket.resolve_due if ticket.replied_at else ticket.respond_due
    asked = ticket.sheet.get("asked") or [""]
    return Line(
        number=ticket.number,
        title=title_of(hotline, ticket),
        excerpt=privacy.mask(max(asked, key=len))[:_EXCERPT],
        reason=wording.REASONS.get(ticket.reason, ticket.reason),
        priority=ticket.priority,
        channel=ticket.channel,
        status=ticket.status,
        opened=ticket.created_at,
        due=due,
        answered=ticket.replied_at is not None,
        late=ticket.status != "closed" and due < now,
        holder=holder,
        mine=ticket.staff_id == seat.staff.id,
        outcome=tickets.OUTCOMES.get(ticket.outcome or "", ticket.outcome),
        closed=ticket.closed_at,
    )


def title_of(hotline: Hotline, ticket: Ticket) -> str:
    """What the matter is called; a topic that left the knowledge base keeps its id."""
    if ticket.topic is None:
        return "还没说清是什么事"
    return hotline.knowledge.catalog.title(ticket.topic) or ticket.topic


async def _counts(session: AsyncSession, seat: Seat) -> dict[str, int]:
    """`waiting`: nobody has taken it; `open`: all that is not closed; `mine`: what I have."""
    rows = await session.execute(
        select(Ticket.status, Ticket.staff_id, func.count())
        .where(Ticket.status != "closed")
        .group_by(Ticket.status, Ticket.staff_id)
    )
    counts = {"waiting": 0, "open": 0, "mine": 0}
    for status, holder, count in rows:
        counts["open"] += count
        counts["waiting"] += count if status == "open" else 0
        counts["mine"] += count if holder == seat.staff.id else 0
    return counts
