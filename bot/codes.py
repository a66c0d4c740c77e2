"""Codes that a worker carries from one place to another: given out, typed in, used once, and hard to guess."""

from __future__ import annotations

import re
import secrets
import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot import privacy
from bot.models import LinkCode, LoginFailure, new_id

Purpose = Literal["link", "carry"]
LASTS = timedelta(minutes=10)
WRONG_TRIES = 5
LENGTH = 8
SIGNS = "23456789ACDEFGHJKMNPQRTUWXY"
# What people type for a sign that we do use; the signs on the left are never given out.
_ALIKE = str.maketrans("SZBV", "528U")


def tidy(typed: str) -> str:
    """A code as it was given out, from what somebody typed: any case, gaps, look-alikes.

    Empty when it cannot be one.
    """
    signs = re.sub(r"[\s\-]+", "", unicodedata.normalize("NFKC", typed[:80])).upper().translate(_ALIKE)
    return signs if len(signs) == LENGTH and set(signs) <= set(SIGNS) else ""


async def issue(session: AsyncSession, worker_id: uuid.UUID, purpose: Purpose, now: datetime) -> str:
    """A fresh code; the one that this worker was given before for the same purpose is worth nothing any more."""
    await session.execute(delete(LinkCode).where(LinkCode.worker_id == worker_id, LinkCode.purpose == purpose))
    code = "".join(secrets.choice(SIGNS) for _ in range(LENGTH))
    session.add(
        LinkCode(
            created_at=now,
            code_hash=_hash(code, purpose),
            worker_id=worker_id,
            purpose=purpose,
            expires_at=now + LASTS,
        )
    )
    return code


async def whose(session: AsyncSession, code: str, purpose: Purpose, now: datetime) -> uuid.UUID | None:
    """The worker who was given this code; None when it is wrong, too old, or was used before.

    Only keyed hashes are compared, so the time it takes tells nothing about the code.
    """
    found: uuid.UUID | None = await session.scalar(select(LinkCode.worker_id).where(*_usable(code, purpose, now)))
    return found


async def redeem(session: AsyncSession, code: str, purpose: Purpose, now: datetime) -> uuid.UUID | None:
    """As `whose`, and the code is used up: of two who bring it at once, one gets it."""
    found: uuid.UUID | None = await session.scalar(
        update(LinkCode)
        .where(*_usable(code, purpose, now))
        .values(used_at=now)
        .returning(LinkCode.worker_id)
        .execution_options(synchronize_session=False)
    )
    return found


async def note_try(session: AsyncSession, subjects: Mapping[str, int], now: datetime) -> list[uuid.UUID]:
    """Count a try before it is weighed; `subjects` are whoever tries, each with how many wrong tries they may have."""
    tries = [LoginFailure(id=new_id(), created_at=now, subject=subject) for subject in subjects]
    session.add_all(tries)
    await session.flush()
    return [each.id for each in tries]


async def is_spent(session: AsyncSession, subjects: Mapping[str, int], now: datetime) -> bool:
    """Whether one of them has tried too often in the last ten minutes, this try included."""
    rows = await session.execute(
        select(LoginFailure.subject, func.count())
        .where(LoginFailure.subject.in_(subjects), LoginFailure.created_at > now - LASTS)
        .group_by(LoginFailure.subject)
    )
    return any(count > subjects[subject] for subject, count in rows)


async def forgive(session: AsyncSession, tries: Sequence[uuid.UUID]) -> None:
    """These tries were right, or were not looked at."""
    await session.execute(delete(LoginFailure).where(LoginFailure.id.in_(tries)))


def trier(worker_id: uuid.UUID) -> dict[str, int]:
    return {privacy.fingerprint("link-try", str(worker_id)): WRONG_TRIES}


def _usable(code: str, purpose: Purpose, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (LinkCode.code_hash == _hash(code, purpose), LinkCode.used_at.is_(None), LinkCode.expires_at > now)


def _hash(code: str, purpose: Purpose) -> str:
    return privacy.fingerprint("link-code", purpose, code)
