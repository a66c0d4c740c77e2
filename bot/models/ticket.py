"""A matter that a person has taken on or is to take on."""

from __future__ import annotations

import datetime as dt
import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from bot.models.base import Record, SealedJSON, Table


class Ticket(Record):
    """`number` is for people (`20261122-0007`). `sheet` is encrypted: what was asked, answered and is known.

    A conversation has one open ticket at most: a second cause is added to it.
    """

    __tablename__ = "ticket"
    __table_args__ = (
        CheckConstraint("status in ('open', 'claimed', 'closed')", name="status"),
        CheckConstraint("priority in ('crisis', 'urgent', 'priority', 'routine')", name="priority"),
        Index(
            "uq_ticket_open_conversation",
            "conversation_id",
            unique=True,
            sqlite_where=text("status != 'closed'"),
            postgresql_where=text("status != 'closed'"),
        ),
        Index("ix_ticket_queue", "status", "respond_due"),
    )

    number: Mapped[str] = mapped_column(unique=True)
    conversation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("conversation.id"), index=True)
    channel: Mapped[str]
    topic: Mapped[str | None]
    reason: Mapped[str]
    priority: Mapped[str]
    status: Mapped[str] = mapped_column(default="open")
    sheet: Mapped[dict[str, Any]] = mapped_column(SealedJSON)
    respond_due: Mapped[datetime]
    resolve_due: Mapped[datetime]
    staff_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff.id"))
    claimed_at: Mapped[datetime | None]
    replied_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    outcome: Mapped[str | None]


class TicketDay(Table):
    """The last ticket number given on a day (Asia/Shanghai)."""

    __tablename__ = "ticket_day"

    day: Mapped[dt.date] = mapped_column(primary_key=True)
    last: Mapped[int]
