"""A worker as one channel knows them, and the talk we have with them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bot.models.base import Record, Sealed, SealedJSON


class Worker(Record):
    """`address` is the channel's own id (an openid, a web session). `grant_*` is what the platform lets us push."""

    __tablename__ = "worker"
    __table_args__ = (UniqueConstraint("channel", "address_hash"),)

    channel: Mapped[str]
    address_hash: Mapped[str]
    address: Mapped[str] = mapped_column(Sealed)
    reachable: Mapped[bool] = mapped_column(default=True)
    grant_rule: Mapped[str | None]
    grant_until: Mapped[datetime | None]
    grant_left: Mapped[int] = mapped_column(default=0)


class Conversation(Record):
    """`state` is the dialogue's memory; `limited_until` is set while the worker has been told to slow down."""

    __tablename__ = "conversation"
    __table_args__ = (CheckConstraint("mode in ('bot', 'human')", name="mode"),)

    worker_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("worker.id"), unique=True)
    channel: Mapped[str]
    mode: Mapped[str] = mapped_column(default="bot")
    state: Mapped[dict[str, Any]] = mapped_column(SealedJSON, default=dict)
    limited_until: Mapped[datetime | None]
