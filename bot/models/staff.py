"""Colleagues who log in to the console, and their sessions."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from bot.models.base import Record


class Staff(Record):
    """`login` is what they type, `name` what colleagues and workers see. A password is kept as an argon2 hash."""

    __tablename__ = "staff"
    __table_args__ = (CheckConstraint("role in ('agent', 'policy', 'admin')", name="role"),)

    login: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    role: Mapped[str] = mapped_column(default="agent")
    password_hash: Mapped[str]
    active: Mapped[bool] = mapped_column(default=True)


class StaffSession(Record):
    """A log-in. The cookie carries the token; the row keeps only its hash. `csrf` goes into every form."""

    __tablename__ = "staff_session"

    token_hash: Mapped[str] = mapped_column(unique=True)
    staff_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("staff.id"), index=True)
    csrf: Mapped[str]
    expires_at: Mapped[datetime]


class LoginFailure(Record):
    """A failed log-in, kept to slow down guessing. `subject` is a keyed hash of the login name or of the address."""

    __tablename__ = "login_failure"

    subject: Mapped[str] = mapped_column(index=True)
