"""A worker as one channel knows them, and the talk we have with them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bot.models.base import Record, Sealed, SealedJSON


class Worker(Record):
    """`address` is the channel's own id (an openid, a web session). `grant_*` is what the platform lets us push.

    Workers with the same `person_id` are one person on several channels. `site` is the poster or place they came from.
    `notices` is how many notices they have allowed us to send outside the window.
    """

    __tablename__ = "worker"
    __table_args__ = (UniqueConstraint("channel", "address_hash"),)

    channel: Mapped[str]
    address_hash: Mapped[str]
    address: Mapped[str] = mapped_column(Sealed)
    reachable: Mapped[bool] = mapped_column(default=True)
    grant_rule: Mapped[str | None]
    grant_until: Mapped[datetime | None]
    grant_left: Mapped[int] = mapped_column(default=0)
    person_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    site: Mapped[str | None] = mapped_column(Sealed)
    notices: Mapped[int] = mapped_column(default=0, server_default="0")


class Conversation(Record):
    """`state` is the dialogue's memory; `limited_until` is set while the worker has been told to slow down.

    Until `elsewhere_until` somebody speaks with the worker in the platform's own desk, and we say nothing.
    """

    __tablename__ = "conversation"
    __table_args__ = (CheckConstraint("mode in ('bot', 'human')", name="mode"),)

    worker_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("worker.id"), unique=True)
    channel: Mapped[str]
    mode: Mapped[str] = mapped_column(default="bot")
    state: Mapped[dict[str, Any]] = mapped_column(SealedJSON, default=dict)
    limited_until: Mapped[datetime | None]
    elsewhere_until: Mapped[datetime | None]


class LinkCode(Record):
    """A code that joins another channel, or carries a web chat to another device. Only its keyed hash is kept."""

    __tablename__ = "link_code"
    __table_args__ = (CheckConstraint("purpose in ('link', 'carry')", name="purpose"),)

    code_hash: Mapped[str] = mapped_column(unique=True)
    worker_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("worker.id"), index=True)
    purpose: Mapped[str]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
