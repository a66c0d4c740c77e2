"""Notices outside the window: a colleague's reply waits, and the worker has allowed us to say so."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from bot.models import Message, Ticket, Worker
from connectors.abilities import Notifies
from connectors.base import Connector

KIND = "notice"


async def announce(
    session: AsyncSession, connector: Connector | None, held: Message, worker: uuid.UUID, now: datetime
) -> None:
    """One notice, as a row for the outbox, for all that colleagues write until the worker is here again.

    Nothing happens where the channel has no notices, the worker has allowed none, or `held` is not from a colleague.
    """
    words = connector.notice() if isinstance(connector, Notifies) else None
    if words is None or held.staff_id is None or held.ticket_id is None:
        return
    told, heard = aliased(Message), aliased(Message)
    talk = held.conversation_id
    back = select(heard.id).where(heard.conversation_id == talk, heard.direction == "in", heard.id > told.id).exists()
    number = await session.scalar(
        select(Ticket.number).where(
            Ticket.id == held.ticket_id,
            select(Worker.id).where(Worker.id == worker, Worker.notices > 0).exists(),
            ~select(told.id).where(told.conversation_id == talk, told.kind == KIND, ~back).exists(),
        )
    )
    if number is not None:
        session.add(
            Message(
                created_at=now,
                conversation_id=talk,
                channel=held.channel,
                direction="out",
                kind=KIND,
                text=words,
                payload={"ticket": number},
                status="pending",
                ticket_id=held.ticket_id,
                next_try_at=now,
            )
        )


async def use(session: AsyncSession, notice: Message, worker: uuid.UUID) -> bool:
    """Take one of the notices that the worker has allowed; none left: the row has failed."""
    used: Any = await session.execute(
        update(Worker).where(Worker.id == worker, Worker.notices > 0).values(notices=Worker.notices - 1)
    )
    if used.rowcount:
        return True
    await session.execute(
        update(Message)
        .where(Message.id == notice.id)
        .values(status="failed", next_try_at=None, error="对方没有同意接收通知")
    )
    return False
