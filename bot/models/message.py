"""The thread: inbox, outbox, transcript, notes and history at once."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from bot.models.base import Record, Sealed, SealedJSON


class Message(Record):
    """One line of the thread.

    `direction`: in (the worker), out (to the worker), note (among staff), event (something happened: `kind` names it).
    `status` of an in: received (stored, not yet answered) → handled. Of an out: pending → sending → sent, or held
    (waits for the worker's next contact), or failed. `reply_to` is the inbound that an out answers. `payload` keeps
    options and card of a reply, media ids of a message, the facts of an event.
    """

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("channel", "external_id"),
        CheckConstraint("direction in ('in', 'out', 'note', 'event')", name="direction"),
        CheckConstraint(
            "status in ('received', 'handled', 'pending', 'sending', 'sent', 'held', 'failed')", name="status"
        ),
        Index("ix_message_thread", "conversation_id", "id"),
        Index(
            "ix_message_due",
            "next_try_at",
            sqlite_where=text("status in ('pending', 'sending')"),
            postgresql_where=text("status in ('pending', 'sending')"),
        ),
        Index(
            "ix_message_unanswered",
            "created_at",
            sqlite_where=text("status = 'received'"),
            postgresql_where=text("status = 'received'"),
        ),
    )

    conversation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("conversation.id"))
    channel: Mapped[str]
    direction: Mapped[str]
    kind: Mapped[str] = mapped_column(default="text")
    external_id: Mapped[str | None]
    text: Mapped[str] = mapped_column(Sealed, default="")
    payload: Mapped[dict[str, Any]] = mapped_column(SealedJSON, default=dict)
    status: Mapped[str]
    reply_to: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("message.id"), index=True)
    staff_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff.id"))
    ticket_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("ticket.id"))
    attempts: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    error: Mapped[str | None]
