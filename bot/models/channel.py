"""What we keep about the channels themselves: how far a queue was read, and the files that workers sent."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from bot.models.base import Record, Sealed, SealedJSON, Table


class Cursor(Table):
    """How far a queue of a platform was read; written together with the messages that were in it."""

    __tablename__ = "cursor"

    channel: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[str]
    updated_at: Mapped[datetime]


class Attachment(Record):
    """A picture, voice or file of a message.

    `status`: waiting (still at the platform or, with a `key`, a voice that has still to be written down) → kept (in our
    storage under `key`, encrypted), or refused (too large, not what it says it is), or lost (the platform has it no
    more). `source` is what the connector needs to fetch it.
    """

    __tablename__ = "attachment"
    __table_args__ = (
        CheckConstraint("status in ('waiting', 'kept', 'refused', 'lost')", name="status"),
        Index(
            "ix_attachment_due",
            "next_try_at",
            sqlite_where=text("status = 'waiting'"),
            postgresql_where=text("status = 'waiting'"),
        ),
    )

    message_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("message.id"), index=True)
    channel: Mapped[str]
    kind: Mapped[str]
    name: Mapped[str] = mapped_column(Sealed, default="")
    content_type: Mapped[str] = mapped_column(default="")
    size: Mapped[int] = mapped_column(default=0)
    status: Mapped[str]
    source: Mapped[dict[str, Any]] = mapped_column(SealedJSON, default=dict)
    key: Mapped[str | None]
    reason: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime | None]
