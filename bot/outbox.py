"""Deliver what is pending: claim a row, send it outside any transaction, record what came of it, try again later.

1. A row is due when it is pending (or was being sent by a process that died) and its time has come.
2. Of each talk only the oldest unsent row may go, so that a worker reads replies in order.
3. The claim is a conditional UPDATE: of two processes, one changes the row and the other goes on.
4. Where the platform counts sends, one is taken from the worker's grant in the same way; none left: the row is held.
5. Sent, held until the worker's next contact, put off, or failed with a reason that staff can read.
6. Are there more rows than sends left, they go joined, as many as one bubble carries.
7. A colleague's reply that is held is announced once, where the worker has allowed a notice.
"""

from __future__ import annotations

import asyncio
import functools
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, func, select, true, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from bot import conversation, metrics, notices
from bot.errors import Unavailable
from bot.hotline import Hotline
from bot.models import Conversation, Message, Worker
from connectors.abilities import Notifies
from connectors.base import Connector, Outbound, SendError
from connectors.pages import size

log = structlog.get_logger(__name__)

_LEASE = timedelta(seconds=60)
_BACKOFF = tuple(timedelta(seconds=wait) for wait in (2, 10, 30, 120, 600, 1800, 3600))
_BATCH = 50
_SWEEP = 5.0
_BETWEEN = "\n\n"


@dataclass(frozen=True, slots=True)
class Parcel:
    """`answers` is the payload of the message that this one answers; `joined` are later rows that go with it."""

    message: Message
    address: str
    worker_id: uuid.UUID
    answers: dict[str, Any] | None
    joined: Sequence[Message] = ()

    @property
    def rows(self) -> list[uuid.UUID]:
        return [self.message.id, *(row.id for row in self.joined)]


async def run(hotline: Hotline) -> None:
    """Send for ever: when the bell rings, and every few seconds in case it did not.

    Each channel by itself: one that is slow or away holds up no other.
    """

    async def mind() -> None:
        while await drain(hotline, Message.channel.not_in(hotline.connectors)):
            pass
        await conversation.answer_left_over(hotline)
        await _count(hotline)

    async def deliver(channel: str) -> None:
        while await drain(hotline, Message.channel == channel):
            pass

    await asyncio.gather(
        _again_and_again(hotline, mind),
        *(_again_and_again(hotline, functools.partial(deliver, channel)) for channel in hotline.connectors),
    )


async def _again_and_again(hotline: Hotline, work: Callable[[], Awaitable[None]]) -> None:
    async for _ in hotline.bell.listen("outbox", every=_SWEEP):
        try:
            await work()
        except Exception as error:
            log.warning("outbox_stumbled", error=type(error).__name__)
            await asyncio.sleep(1)


async def drain(hotline: Hotline, only: ColumnElement[bool] | None = None) -> int:
    """Send what is due now, the talks side by side, `only` some of them. Returns how many rows were due."""
    parcels = await _due(hotline, only)
    claimed = [taken for parcel in parcels if (taken := await _claim(hotline, parcel))]
    await asyncio.gather(*(_deliver(hotline, parcel) for parcel in claimed))
    return len(parcels)


async def mark_sent(hotline: Hotline, ids: Sequence[uuid.UUID]) -> None:
    """These replies went out in the response to their message; a repeated delivery may have carried a held one."""
    async with hotline.db.transaction() as session:
        await session.execute(
            update(Message)
            .where(Message.id.in_(ids), Message.status.in_(("pending", "held")), Message.attempts == 0)
            .values(status="sent", sent_at=hotline.clock(), next_try_at=None)
        )


class Receipts:
    """Collects the replies that responses carried and records them together, a few times a second.

    A process that dies in between leaves them pending: the worker may then hear one twice, never not at all.
    """

    def __init__(self, hotline: Hotline) -> None:
        self._hotline = hotline
        self._ids: list[uuid.UUID] = []

    def add(self, message_id: uuid.UUID) -> None:
        self._ids.append(message_id)

    async def run(self) -> None:
        """Record for ever; what cannot be recorded now is tried again."""
        while True:
            await asyncio.sleep(0.5)
            try:
                await self.flush()
            except Exception as error:
                log.warning("receipts_wait", error=type(error).__name__)

    async def flush(self) -> None:
        ids, self._ids = self._ids, []
        if not ids:
            return
        try:
            await mark_sent(self._hotline, ids)
        except BaseException:
            self._ids = ids + self._ids
            raise


async def _due(hotline: Hotline, only: ColumnElement[bool] | None = None) -> list[Parcel]:
    earlier, answered = aliased(Message), aliased(Message)
    unsent_before = (
        select(earlier.id)
        .where(
            earlier.conversation_id == Message.conversation_id,
            earlier.direction == "out",
            earlier.status.in_(("pending", "sending")),
            earlier.id < Message.id,
        )
        .exists()
    )
    async with hotline.db.reading() as session:
        rows = await session.execute(
            select(Message, Worker.address, Worker.id, answered.payload)
            .join(Conversation, Conversation.id == Message.conversation_id)
            .join(Worker, Worker.id == Conversation.worker_id)
            .outerjoin(answered, answered.id == Message.reply_to)
            .where(
                Message.status.in_(("pending", "sending")),
                Message.next_try_at <= hotline.clock(),
                ~unsent_before,
                true() if only is None else only,
            )
            .order_by(Message.next_try_at)
            .limit(_BATCH)
        )
        return [Parcel(*row) for row in rows]


async def _claim(hotline: Hotline, parcel: Parcel) -> Parcel | None:
    """The parcel, ours to send; None when somebody else has it or the platform lets us send nothing."""
    now = hotline.clock()
    connector = hotline.connectors.get(parcel.message.channel)
    async with hotline.db.transaction() as session:
        taken = await session.execute(
            update(Message)
            .where(
                Message.id == parcel.message.id,
                Message.status == parcel.message.status,
                Message.next_try_at == parcel.message.next_try_at,
            )
            .values(status="sending", attempts=Message.attempts + 1, next_try_at=now + _LEASE)
        )
        if not _changed(taken):
            return None
        if parcel.message.kind == notices.KIND:
            return parcel if await notices.use(session, parcel.message, parcel.worker_id) else None
        if connector is None or not _counts(connector):
            return parcel
        granted = await session.execute(
            update(Worker)
            .where(Worker.id == parcel.worker_id, Worker.grant_left > 0, Worker.grant_until > now)
            .values(grant_left=Worker.grant_left - 1)
        )
        if _changed(granted):
            return replace(parcel, joined=await _join(session, connector, parcel, now))
        await session.execute(
            update(Message)
            .where(Message.id == parcel.message.id)
            .values(status="held", next_try_at=None, error="可发条数用完或已过时限，等对方来信")
        )
        await notices.announce(session, connector, parcel.message, parcel.worker_id, now)
        metrics.sent.labels(channel=parcel.message.channel, result="held").inc()
        return None


async def _join(session: AsyncSession, connector: Connector, parcel: Parcel, now: datetime) -> Sequence[Message]:
    """The rows that go into the same bubble because there are not enough sends for one each.

    One with options keeps a bubble of its own: some channels draw them below the text. Nobody else can have these rows:
    an earlier one of their talk is being sent.
    """
    limit = connector.capabilities.text_bytes if not conversation.options_of(parcel.message) else None
    rows = (
        await session.scalars(
            select(Message)
            .where(
                Message.conversation_id == parcel.message.conversation_id,
                Message.direction == "out",
                Message.kind != notices.KIND,
                Message.status == "pending",
                Message.next_try_at <= now,
                Message.id > parcel.message.id,
            )
            .order_by(Message.id)
        )
    ).all()
    left = await session.scalar(select(Worker.grant_left).where(Worker.id == parcel.worker_id)) if rows else 0
    if limit is None or len(rows) <= (left or 0):
        return ()
    total, fitting = size(parcel.message.text), []
    for row in rows:
        total += size(_BETWEEN + row.text)
        if total > limit or conversation.options_of(row):
            break
        fitting.append(row)
    for row in fitting:
        row.status, row.attempts, row.next_try_at = "sending", row.attempts + 1, now + _LEASE
    return fitting


async def _deliver(hotline: Hotline, parcel: Parcel) -> None:
    message = parcel.message
    connector = hotline.connectors.get(message.channel)
    try:
        if connector is None:
            raise SendError("这个渠道现在没有开通", retryable=False, hold=True)
        with metrics.stage("send"):
            if message.kind == notices.KIND and isinstance(connector, Notifies):
                await connector.notify(parcel.address, message.payload["ticket"])
            else:
                await _send(connector, parcel)
    except SendError as error:
        await _refused(hotline, parcel, error)
    except Unavailable as error:
        await _refused(hotline, parcel, SendError(str(error), retryable=True))
    else:
        await _record(hotline, parcel, status="sent", sent_at=hotline.clock(), next_try_at=None, error=None)
        metrics.sent.labels(channel=message.channel, result="sent").inc()
    await hotline.bell.ring("desk", conversation=str(message.conversation_id))
    if connector is not None and connector.capabilities.stored:
        await hotline.bell.ring(f"chat:{message.conversation_id}")


async def _send(connector: Connector, parcel: Parcel) -> None:
    message = parcel.message
    text = _BETWEEN.join([message.text, *(row.text for row in parcel.joined)])
    outbound = Outbound(
        str(message.id),
        parcel.address,
        text,
        options=conversation.options_of(message),
        answers=parcel.answers or {},
    )
    await connector.send(outbound, text)


async def _refused(hotline: Hotline, parcel: Parcel, error: SendError) -> None:
    message, tries = parcel.message, parcel.message.attempts + 1
    metrics.refusals.labels(channel=message.channel, code=str(error.code or "none")).inc()
    log.log(40 if error.alarm else 30, "send_refused", channel=message.channel, code=error.code, reason=error.reason)
    if error.retryable and tries <= len(_BACKOFF):
        wait = error.after or _BACKOFF[tries - 1]
        result, values = "retry", {"status": "pending", "next_try_at": hotline.clock() + wait}
        await _give_back(hotline, parcel)
    elif (error.hold or error.alarm) and message.kind != notices.KIND:
        result, values = "held", {"status": "held", "next_try_at": None}
    else:
        result, values = "failed", {"status": "failed", "next_try_at": None}
    metrics.sent.labels(channel=message.channel, result=result).inc()
    await _record(hotline, parcel, announced=result == "held", **values, error=error.reason)
    facts: dict[str, object] = {"reachable": False} if error.unreachable else {}
    if facts := facts | ({"grant_left": 0} if error.spent else {}):
        async with hotline.db.transaction() as session:
            await session.execute(update(Worker).where(Worker.id == parcel.worker_id).values(**facts))


async def _give_back(hotline: Hotline, parcel: Parcel) -> None:
    """What never reached the platform has not used up a send."""
    connector = hotline.connectors.get(parcel.message.channel)
    if parcel.message.kind == notices.KIND:
        facts = {"notices": Worker.notices + 1}
    elif connector is not None and _counts(connector):
        facts = {"grant_left": Worker.grant_left + 1}
    else:
        return
    async with hotline.db.transaction() as session:
        await session.execute(update(Worker).where(Worker.id == parcel.worker_id).values(**facts))


async def _record(hotline: Hotline, parcel: Parcel, *, announced: bool = False, **values: object) -> None:
    """`announced`: the worker is to be told that something is held for them."""
    async with hotline.db.transaction() as session:
        await session.execute(
            update(Message).where(Message.id.in_(parcel.rows), Message.status == "sending").values(**values)
        )
        if announced:
            connector = hotline.connectors.get(parcel.message.channel)
            await notices.announce(session, connector, parcel.message, parcel.worker_id, hotline.clock())


async def _count(hotline: Hotline) -> None:
    async with hotline.db.reading() as session:
        rows = await session.execute(
            select(Message.status, func.count())
            .where(Message.direction == "out", Message.status.in_(("pending", "sending", "held", "failed")))
            .group_by(Message.status)
        )
        found: dict[str, int] = dict(rows.all())
    for status in ("pending", "sending", "held", "failed"):
        metrics.backlog.labels(status=status).set(found.get(status, 0))


def _counts(connector: Connector) -> bool:
    return connector.capabilities.quota is not None


def _changed(result: object) -> int:
    return result.rowcount if isinstance(result, CursorResult) else 0
