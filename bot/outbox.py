"""Deliver what is pending: claim a row, send it outside any transaction, record what came of it, try again later.

1. A row is due when it is pending (or was being sent by a process that died) and its time has come.
2. Of each talk only the oldest unsent row may go, so that a worker reads replies in order.
3. The claim is a conditional UPDATE: of two processes, one changes the row and the other goes on.
4. Where the platform counts sends, one is taken from the worker's grant in the same way; none left: the row is held.
5. Sent, held until the worker's next contact, put off, or failed with a reason that staff can read.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import aliased

from bot import conversation, metrics
from bot.errors import Unavailable
from bot.hotline import Hotline
from bot.models import Conversation, Message, Worker
from connectors.base import Connector, Outbound, SendError

log = structlog.get_logger(__name__)

_LEASE = timedelta(seconds=60)
_BACKOFF = tuple(timedelta(seconds=wait) for wait in (2, 10, 30, 120, 600, 1800, 3600))
_BATCH = 50
_SWEEP = 5.0


@dataclass(frozen=True, slots=True)
class Parcel:
    """`answers` is the payload of the message that this one answers."""

    message: Message
    address: str
    worker_id: uuid.UUID
    answers: dict[str, Any] | None


async def run(hotline: Hotline) -> None:
    """Send for ever: when the bell rings, and every few seconds in case it did not."""
    async for _ in hotline.bell.listen("outbox", every=_SWEEP):
        try:
            while await drain(hotline):
                pass
            await conversation.answer_left_over(hotline)
            await _count(hotline)
        except Exception as error:
            log.warning("outbox_stumbled", error=type(error).__name__)
            await asyncio.sleep(1)


async def drain(hotline: Hotline) -> int:
    """Send what is due now, the talks side by side. Returns how many rows were due."""
    parcels = await _due(hotline)
    claimed = [parcel for parcel in parcels if await _claim(hotline, parcel)]
    await asyncio.gather(*(_deliver(hotline, parcel) for parcel in claimed))
    return len(parcels)


async def mark_sent(hotline: Hotline, ids: Sequence[uuid.UUID]) -> None:
    """These replies went out in the response to their message."""
    async with hotline.db.transaction() as session:
        await session.execute(
            update(Message)
            .where(Message.id.in_(ids), Message.status == "pending", Message.attempts == 0)
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


async def _due(hotline: Hotline) -> list[Parcel]:
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
            )
            .order_by(Message.next_try_at)
            .limit(_BATCH)
        )
        return [Parcel(*row) for row in rows]


async def _claim(hotline: Hotline, parcel: Parcel) -> bool:
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
            return False
        if connector is None or not _counts(connector):
            return True
        granted = await session.execute(
            update(Worker)
            .where(Worker.id == parcel.worker_id, Worker.grant_left > 0, Worker.grant_until > now)
            .values(grant_left=Worker.grant_left - 1)
        )
        if _changed(granted):
            return True
        await session.execute(
            update(Message)
            .where(Message.id == parcel.message.id)
            .values(status="held", next_try_at=None, error="可发条数用完或已过时限，等对方来信")
        )
        metrics.sent.labels(channel=parcel.message.channel, result="held").inc()
        return False


async def _deliver(hotline: Hotline, parcel: Parcel) -> None:
    message = parcel.message
    connector = hotline.connectors.get(message.channel)
    try:
        if connector is None:
            raise SendError("这个渠道现在没有开通", retryable=False, hold=True)
        outbound = Outbound(
            str(message.id),
            parcel.address,
            message.text,
            options=conversation.options_of(message),
            answers=parcel.answers or {},
        )
        with metrics.stage("send"):
            await connector.send(outbound, message.text)
    except SendError as error:
        await _refused(hotline, parcel, error)
    except Unavailable as error:
        await _refused(hotline, parcel, SendError(str(error), retryable=True))
    else:
        await _record(hotline, message, status="sent", sent_at=hotline.clock(), next_try_at=None, error=None)
        metrics.sent.labels(channel=message.channel, result="sent").inc()
    await hotline.bell.ring("desk", conversation=str(message.conversation_id))
    if connector is not None and connector.capabilities.stored:
        await hotline.bell.ring(f"chat:{message.conversation_id}")


async def _refused(hotline: Hotline, parcel: Parcel, error: SendError) -> None:
    message, tries = parcel.message, parcel.message.attempts + 1
    metrics.refusals.labels(channel=message.channel, code=str(error.code or "none")).inc()
    log.log(40 if error.alarm else 30, "send_refused", channel=message.channel, code=error.code, reason=error.reason)
    if error.retryable and tries <= len(_BACKOFF):
        wait = error.after or _BACKOFF[tries - 1]
        result, values = "retry", {"status": "pending", "next_try_at": hotline.clock() + wait}
        await _give_back(hotline, parcel)
    elif error.hold or error.alarm:
        result, values = "held", {"status": "held", "next_try_at": None}
    else:
        result, values = "failed", {"status": "failed", "next_try_at": None}
    metrics.sent.labels(channel=message.channel, result=result).inc()
    await _record(hotline, message, **values, error=error.reason)
    if error.unreachable:
        async with hotline.db.transaction() as session:
            await session.execute(update(Worker).where(Worker.id == parcel.worker_id).values(reachable=False))


async def _give_back(hotline: Hotline, parcel: Parcel) -> None:
    """What never reached the platform has not used up a send."""
    connector = hotline.connectors.get(parcel.message.channel)
    if connector is not None and _counts(connector):
        async with hotline.db.transaction() as session:
            await session.execute(
                update(Worker).where(Worker.id == parcel.worker_id).values(grant_left=Worker.grant_left + 1)
            )


async def _record(hotline: Hotline, message: Message, **values: object) -> None:
    async with hotline.db.transaction() as session:
        await session.execute(
            update(Message).where(Message.id == message.id, Message.status == "sending").values(**values)
        )


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
