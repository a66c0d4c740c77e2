"""Accounts: made once, hashed, disabled for good, and the first one when there is nobody."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from bot import staff
from bot.errors import Conflict, Invalid, NotFound
from bot.hotline import Hotline
from bot.models import LoginFailure, Staff, StaffSession

PASSWORD = "correct-horse"


async def add(hotline: Hotline, login: str = "wang", role: str = "agent", password: str = PASSWORD) -> Staff:
    async with hotline.db.transaction() as session:
        return await staff.add(session, login=login, name="王芳", password=password, role=role, now=hotline.clock())


async def log_in(hotline: Hotline, login: str, password: str = PASSWORD, address: str = "192.0.2.1") -> str:
    return await staff.log_in(
        hotline.db, hotline.settings, login=login, password=password, address=address, now=hotline.clock()
    )


async def test_a_password_is_kept_as_argon2_only(hotline: Hotline) -> None:
    person = await add(hotline)
    assert person.password_hash.startswith("$argon2id$")
    assert PASSWORD not in person.password_hash


async def test_a_login_is_taken_once_whatever_its_case(hotline: Hotline) -> None:
    await add(hotline, "wang")
    with pytest.raises(Conflict):
        await add(hotline, " WANG ")


@pytest.mark.parametrize(
    ("login", "role", "password"), [("", "agent", PASSWORD), ("li", "chief", PASSWORD), ("li", "agent", "short")]
)
async def test_a_bad_account_is_refused(hotline: Hotline, login: str, role: str, password: str) -> None:
    with pytest.raises(Invalid):
        await add(hotline, login, role, password)


async def test_the_first_log_in_is_made_once_and_works(hotline: Hotline) -> None:
    async with hotline.db.transaction() as session:
        first = await staff.first_login(session, hotline.clock())
    assert first is not None
    assert await log_in(hotline, *first)
    async with hotline.db.transaction() as session:
        assert await staff.first_login(session, hotline.clock()) is None


async def test_a_seat_belongs_to_its_token(hotline: Hotline) -> None:
    await add(hotline)
    token = await log_in(hotline, "Wang")
    async with hotline.db.reading() as session:
        seat = await staff.seat(session, token, hotline.clock())
        assert seat is not None
        assert seat.staff.name == "王芳"
        assert await staff.seat(session, token[:-1], hotline.clock()) is None
        kept = (await session.scalars(select(StaffSession))).one()
    assert token not in kept.token_hash


async def test_disabling_ends_the_session_and_the_log_in(hotline: Hotline) -> None:
    await add(hotline)
    token = await log_in(hotline, "wang")
    async with hotline.db.transaction() as session:
        await staff.disable(session, await staff.find(session, "wang"))
    async with hotline.db.reading() as session:
        assert await staff.seat(session, token, hotline.clock()) is None
    with pytest.raises(staff.WrongPassword):
        await log_in(hotline, "wang")


async def test_a_new_password_ends_old_sessions_and_brings_the_account_back(hotline: Hotline) -> None:
    await add(hotline)
    token = await log_in(hotline, "wang")
    async with hotline.db.transaction() as session:
        person = await staff.find(session, "wang")
        await staff.disable(session, person)
        await staff.set_password(session, person, "battery-staple")
    async with hotline.db.reading() as session:
        assert await staff.seat(session, token, hotline.clock()) is None
    with pytest.raises(staff.WrongPassword):
        await log_in(hotline, "wang")
    assert await log_in(hotline, "wang", "battery-staple")


async def test_an_unknown_account_is_not_found(hotline: Hotline) -> None:
    async with hotline.db.reading() as session:
        with pytest.raises(NotFound):
            await staff.find(session, "nobody")


async def test_failures_are_kept_without_names_and_forgotten_with_time(hotline: Hotline) -> None:
    await add(hotline)
    with pytest.raises(staff.WrongPassword):
        await log_in(hotline, "wang", "wrong")
    async with hotline.db.reading() as session:
        subjects = list(await session.scalars(select(LoginFailure.subject)))
    assert len(subjects) == 2
    assert not any("wang" in subject or "192.0.2.1" in subject for subject in subjects)


async def test_a_success_does_not_use_up_a_try(hotline: Hotline) -> None:
    await add(hotline)
    for _ in range(hotline.settings.login_rate + 2):
        await log_in(hotline, "wang")
