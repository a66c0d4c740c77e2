"""Colleagues who log in: passwords, sessions, and slowing down whoever guesses."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db import Database
from bot.errors import Conflict, HotlineError, Invalid, NotFound
from bot.models import LoginFailure, Staff, StaffSession
from bot.privacy import fingerprint
from bot.settings import Settings

ROLES = {"agent": "值班", "policy": "政策", "admin": "管理"}
SHORTEST = 10
WINDOW = timedelta(minutes=10)
# OWASP's figures for argon2id: some ten milliseconds and 19 MB a try, so that a burst of log-ins is not felt elsewhere.
_HASHER = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19_456, parallelism=1),))
# Verified when nobody has that name, so that the time taken tells nothing.
_NOBODY = _HASHER.hash(secrets.token_urlsafe())
# No letters or digits that are mistaken for one another when a password is read from a screen.
_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"


class WrongPassword(HotlineError):
    """Says the same for an unknown name, a wrong password and a disabled account."""

    status = 401


class TooManyTries(HotlineError):
    status = 429


@dataclass(frozen=True, slots=True)
class Seat:
    """A colleague at the console: who, and the token that each of their forms must carry."""

    staff: Staff
    csrf: str


async def find(session: AsyncSession, login: str) -> Staff:
    """Raises `NotFound`."""
    found = await session.scalar(select(Staff).where(Staff.login == _login(login)))
    if found is None:
        raise NotFound(f"没有账号 {login}")
    return found


async def everyone(session: AsyncSession) -> Sequence[Staff]:
    return (await session.scalars(select(Staff).order_by(Staff.login))).all()


async def add(session: AsyncSession, *, login: str, name: str, password: str, role: str, now: datetime) -> Staff:
    """Raises `Invalid` for a bad name, role or password, `Conflict` when the login is taken."""
    login, name = _login(login), name.strip()
    if not login or not name or len(login) > 64 or len(name) > 32:
        raise Invalid("账号和姓名都要写，账号不超过 64 个字，姓名不超过 32 个字")
    if role not in ROLES:
        raise Invalid(f"角色只能是：{'、'.join(ROLES)}")
    person = Staff(created_at=now, login=login, name=name, role=role, password_hash=await _hashed(password))
    try:
        async with session.begin_nested():
            session.add(person)
    except IntegrityError:
        raise Conflict(f"账号 {login} 已经有了") from None
    return person


async def set_password(session: AsyncSession, person: Staff, password: str) -> None:
    """Also ends every session of theirs, lets them try again at once, and brings a disabled account back."""
    person.active = True
    person.password_hash = await _hashed(password)
    await _end_sessions(session, person)
    await session.execute(delete(LoginFailure).where(LoginFailure.subject == _name_subject(person.login)))


async def disable(session: AsyncSession, person: Staff) -> None:
    """They are out at once; what they wrote keeps their name."""
    person.active = False
    await _end_sessions(session, person)


async def first_login(session: AsyncSession, now: datetime) -> tuple[str, str] | None:
    """Make the first account when there is none: (login, password), to be shown once. None when somebody is there."""
    if await session.scalar(select(func.count()).select_from(Staff)):
        return None
    password = "-".join("".join(secrets.choice(_READABLE) for _ in range(4)) for _ in range(4))
    try:
        await add(session, login="admin", name="值班管理员", password=password, role="admin", now=now)
    except Conflict:
        return None
    return "admin", password


async def log_in(db: Database, settings: Settings, *, login: str, password: str, address: str, now: datetime) -> str:
    """Returns the token for the cookie. Raises `WrongPassword` or `TooManyTries`.

    Takes the database and not a session: the try is committed before it is weighed, so that a hundred tries at once
    cannot all find the count still low; and no transaction is held while the hash is worked out.
    """
    subjects = [_name_subject(login), fingerprint("login-address", address)]
    tries = [LoginFailure(created_at=now, subject=subject) for subject in subjects]
    async with db.transaction() as session:
        await session.execute(delete(LoginFailure).where(LoginFailure.created_at < now - WINDOW))
        session.add_all(tries)
    async with db.reading() as session:
        counts = await session.execute(
            select(LoginFailure.subject, func.count())
            .where(LoginFailure.subject.in_(subjects), LoginFailure.created_at >= now - WINDOW)
            .group_by(LoginFailure.subject)
        )
        person = await session.scalar(select(Staff).where(Staff.login == _login(login)))
    mine = [item.id for item in tries]
    if max(count for _, count in counts) > settings.login_rate:
        async with db.transaction() as session:
            await session.execute(delete(LoginFailure).where(LoginFailure.id.in_(mine)))
        raise TooManyTries("试错次数太多了，请过 10 分钟再试；忘了密码请找管理员重设")
    good = await asyncio.to_thread(_HASHER.verify, password, person.password_hash if person else _NOBODY)
    if person is None or not person.active or not good:
        raise WrongPassword("账号或密码不对")
    token = secrets.token_urlsafe(32)
    async with db.transaction() as session:
        await session.execute(delete(LoginFailure).where(LoginFailure.id.in_(mine)))
        await session.execute(delete(StaffSession).where(StaffSession.expires_at < now))
        session.add(
            StaffSession(
                created_at=now,
                token_hash=_token_hash(token),
                staff_id=person.id,
                csrf=secrets.token_urlsafe(24),
                expires_at=now + settings.session_lasts,
            )
        )
    return token


async def seat(session: AsyncSession, token: str, now: datetime) -> Seat | None:
    """Who this cookie belongs to; None when the session is unknown, over, or its owner disabled."""
    row = await session.execute(
        select(Staff, StaffSession.csrf)
        .join(StaffSession, StaffSession.staff_id == Staff.id)
        .where(StaffSession.token_hash == _token_hash(token), StaffSession.expires_at > now, Staff.active)
    )
    found = row.first()
    return Seat(found[0], found[1]) if found else None


async def log_out(session: AsyncSession, token: str) -> None:
    await session.execute(delete(StaffSession).where(StaffSession.token_hash == _token_hash(token)))


def same(given: str, expected: str) -> bool:
    """Compares tokens in constant time, whatever was given."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())


async def _hashed(password: str) -> str:
    if not SHORTEST <= len(password) <= 256:
        raise Invalid(f"密码至少 {SHORTEST} 个字符")
    return await asyncio.to_thread(_HASHER.hash, password)


async def _end_sessions(session: AsyncSession, person: Staff) -> None:
    await session.execute(delete(StaffSession).where(StaffSession.staff_id == person.id))


def _login(login: str) -> str:
    # PostgreSQL stores no NUL.
    return login.replace("\0", "").strip().lower()


def _name_subject(login: str) -> str:
    return fingerprint("login-name", _login(login))


def _token_hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
