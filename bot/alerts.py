"""Call people when a ticket opens or becomes more pressing: the platform's own desk, then the phones of the duty staff.

1. The rows that say "opened" and "raised" are the list; the bell only wakes us, and a look every few seconds finds what
   no bell rang for.
2. A key in Redis for each row and each way of calling is taken before and kept after: of several processes one calls,
   and nobody is called twice. The key of a process that died falls off, and the call is made again.
3. What fails is tried again later and later, and given up after an hour: the console shows the ticket all the same.
"""

from __future__ import annotations

import asyncio
import functools
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select

from bot import conversation, metrics, ticket_link
from bot.console.pages import CHANNELS, PRIORITIES
from bot.dialogue import wording
from bot.duty import say
from bot.hotline import Hotline
from bot.models import Conversation, Message, Ticket, Worker
from connectors.abilities import HandsOver, Notice
from connectors.base import Event, Inbound, Kind, SendError

log = structlog.get_logger(__name__)

_LOOK = 15.0
_RECENT = timedelta(hours=1)
_LEASE = timedelta(seconds=60)
_KEPT = timedelta(days=1)
_BACKOFF = tuple(timedelta(seconds=wait) for wait in (5, 15, 30, 60, 120, 300, 600, 1200))
# A reply that tells the worker the ticket's number has to be out before the talk is given away.
_PATIENCE = 60
_GROUPS = {
    "aid": "帮扶救助",
    "legal": "维权",
    "membership": "入会和会员",
    "safety": "劳动安全",
    "service": "工会服务",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """A row that says "opened" or "raised", its ticket, and the worker's address on the channel."""

    id: uuid.UUID
    kind: str
    ticket: Ticket
    address: str


class _NotYet(Exception):
    """Something else has to happen first."""


async def run(hotline: Hotline) -> None:
    """Call for ever: when a new ticket rings, and every so often in case it did not."""
    if not hotline.pagers and not any(isinstance(each, HandsOver) for each in hotline.connectors.values()):
        return
    async for rung in hotline.bell.listen("desk", every=_LOOK):
        if rung and rung.get("new") != "1":
            continue
        try:
            for _ in range(_PATIENCE):
                if not await call(hotline):
                    break
                await asyncio.sleep(1)
        except Exception as error:
            log.warning("alerts_stumbled", error=type(error).__name__)


async def call(hotline: Hotline) -> bool:
    """Make every call that is due. True when one has to wait for something that is about to happen."""
    soon = False
    for cause in await _causes(hotline):
        connector = hotline.connectors.get(cause.ticket.channel)
        ways: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        if isinstance(connector, HandsOver) and cause.ticket.status == "open":
            ways.append(("desk", functools.partial(_hand_over, hotline, connector, cause)))
        notice = _notice(hotline, cause)
        ways += [(pager.name, functools.partial(pager.page, notice)) for pager in hotline.pagers]
        for name, make in ways:
            soon |= await _once(hotline, f"alert:{cause.id}:{name}", name, make)
    return soon


async def _causes(hotline: Hotline) -> list[Cause]:
    async with hotline.db.reading() as session:
        rows = await session.execute(
            select(Message.id, Message.kind, Ticket, Worker.address)
            .join(Ticket, Ticket.conversation_id == Message.conversation_id)
            .join(Conversation, Conversation.id == Message.conversation_id)
            .join(Worker, Worker.id == Conversation.worker_id)
            .where(
                Ticket.status != "closed",
                Message.ticket_id == Ticket.id,
                Message.direction == "event",
                Message.kind.in_(("opened", "raised")),
                Message.created_at > hotline.clock() - _RECENT,
            )
            .order_by(Message.id)
        )
        return [Cause(*row) for row in rows]


async def _once(hotline: Hotline, key: str, name: str, make: Callable[[], Awaitable[None]]) -> bool:
    """Call in one way, unless it was done or is being done. True when it has to wait a moment."""
    bell = hotline.bell
    if not await bell.acquire(key, "calling", ttl=_LEASE):
        return False
    try:
        await make()
    except _NotYet:
        await bell.delete_if(key, "calling")
        return True
    except SendError as error:
        tries = int(await bell.get(f"{key}:tries") or 0) + 1
        again = error.retryable and tries <= len(_BACKOFF)
        wait = error.after or _BACKOFF[min(tries, len(_BACKOFF)) - 1]
        await bell.set(f"{key}:tries", str(tries), ttl=_KEPT)
        await bell.set(key, "later" if again else "given up", ttl=wait if again else _KEPT)
        log.log(30 if again else 40, "staff_not_called", way=name, tries=tries, again=again, reason=error.reason)
        metrics.calls.labels(way=name, result="retry" if again else "failed").inc()
    else:
        await bell.set(key, "done", ttl=_KEPT)
        metrics.calls.labels(way=name, result="done").inc()
    return False


async def _hand_over(hotline: Hotline, desk: HandsOver, cause: Cause) -> None:
    """Give the talk to a colleague at the platform's own desk; when nobody there can, the console has it already."""
    async with hotline.db.reading() as session:
        unsent = await session.scalar(
            select(Message.id)
            .where(
                Message.conversation_id == cause.ticket.conversation_id,
                Message.direction == "out",
                Message.status.in_(("pending", "sending")),
                Message.created_at > hotline.clock() - _LEASE,
            )
            .limit(1)
        )
    if unsent:
        raise _NotYet
    servicer = await desk.hand_over(cause.address)
    if servicer is None:
        return
    # From now on the bot is silent, also where the platform itself reports nothing of what we asked it to do.
    taken = Inbound(
        channel=cause.ticket.channel,
        external_id=f"handed-over:{cause.id}",
        address=cause.address,
        kind=Kind.EVENT,
        sent_at=hotline.clock(),
        event=Event.TAKEN,
        payload={"servicer": servicer},
    )
    await conversation.turn(hotline, taken)
    await hotline.bell.ring("desk", ticket=cause.ticket.number)


def _notice(hotline: Hotline, cause: Cause) -> Notice:
    """Number, priority, kind of matter and time: nothing of what the worker said or who it is."""
    ticket, now = cause.ticket, hotline.clock()
    urgency = PRIORITIES.get(ticket.priority, ticket.priority)
    title = f"{urgency}工单 {ticket.number}" if cause.kind == "opened" else f"工单 {ticket.number} 升为{urgency}"
    return Notice(
        title,
        (
            f"事情：{_matter(hotline, ticket)}",
            f"原因：{wording.REASONS.get(ticket.reason, '需要人工')}",
            f"渠道：{CHANNELS.get(ticket.channel, ticket.channel)}",
            f"最晚 {say(ticket.respond_due, now)} 前答复",
        ),
        _link(hotline, ticket, now),
    )


def _matter(hotline: Hotline, ticket: Ticket) -> str:
    """The group that the topic belongs to: in a group chat the topic itself may tell too much of somebody."""
    if ticket.reason == "danger":
        return "有人可能有危险，请马上看"
    return _GROUPS.get((ticket.topic or "").partition(".")[0], "还没说清")


def _link(hotline: Hotline, ticket: Ticket, now: datetime) -> str:
    base = hotline.settings.public_url.rstrip("/")
    return f"{base}{ticket_link.to_ticket(ticket.number, now)}" if base else ""
