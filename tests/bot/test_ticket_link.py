"""The signed link in a call to staff: good for a day, and only after the log-in."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import staff, ticket_link
from bot.hotline import Hotline
from tests.bot.console_seat import PASSWORD, browser, token_in
from tests.conftest import Clock

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
NUMBER = "20261123-0007"


def mark(number: str = NUMBER, now: datetime = NOW) -> str:
    return ticket_link.to_ticket(number, now).partition("?k=")[2]


def test_a_link_is_good_for_its_ticket_and_for_a_day() -> None:
    assert ticket_link.to_ticket(NUMBER, NOW).startswith(f"/console/tickets/{NUMBER}?k=")
    assert ticket_link.is_good(NUMBER, mark(), NOW + timedelta(hours=23, minutes=59))
    assert not ticket_link.is_good(NUMBER, mark(), NOW + timedelta(hours=24))
    assert not ticket_link.is_good("20261123-0008", mark(), NOW)


def test_a_time_that_was_changed_breaks_the_mark() -> None:
    until, _, signature = mark().partition(".")
    assert not ticket_link.is_good(NUMBER, f"{int(until) + 1}.{signature}", NOW)


@given(st.text(max_size=60), st.text(max_size=60))
def test_nothing_else_is_good_and_nothing_raises(number: str, given_mark: str) -> None:
    assert not ticket_link.is_good(number, given_mark, NOW)
    assert not ticket_link.is_good(NUMBER, given_mark, NOW)
    assert ticket_link.carried(f"/console/tickets/{number}", given_mark) == ""


@pytest.fixture
async def visitor(hotline: Hotline) -> AsyncIterator[httpx.AsyncClient]:
    async with hotline.db.transaction() as session:
        await staff.add(session, login="wang", name="王芳", password=PASSWORD, role="agent", now=hotline.clock())
    async with browser(hotline) as client:
        yield client


async def log_in(visitor: httpx.AsyncClient, page: httpx.Response, password: str = PASSWORD) -> httpx.Response:
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    return await visitor.post("/console/login", data={**hidden, "login": "wang", "password": password})


async def test_after_the_log_in_the_link_leads_to_its_ticket(visitor: httpx.AsyncClient, clock: Clock) -> None:
    followed = await visitor.get(ticket_link.to_ticket(NUMBER, clock()))
    assert followed.status_code == 303
    assert followed.headers["location"].startswith(f"/console/login?ticket={NUMBER}&k=")
    page = await visitor.get(followed.headers["location"])
    wrong = await log_in(visitor, page, "not the password")
    assert wrong.status_code >= 400
    entered = await log_in(visitor, wrong)
    assert entered.headers["location"] == f"/console/tickets/{NUMBER}"
    again = await visitor.get(followed.headers["location"])
    assert again.headers["location"] == f"/console/tickets/{NUMBER}"


async def test_a_link_alone_opens_nothing(visitor: httpx.AsyncClient, clock: Clock) -> None:
    answer = await visitor.get(ticket_link.to_ticket(NUMBER, clock()))
    assert answer.status_code == 303
    assert "login" in answer.headers["location"]


@pytest.mark.parametrize("way", ["expired", "forged", "elsewhere"])
async def test_whoever_brings_another_link_lands_in_the_queue(
    visitor: httpx.AsyncClient, clock: Clock, way: str
) -> None:
    k = mark(now=clock())
    if way == "expired":
        clock.forward(hours=25)
    number = "//evil.example" if way == "elsewhere" else NUMBER
    k = k[:-1] + ("0" if k[-1] != "0" else "1") if way == "forged" else k
    page = await visitor.get("/console/login", params={"ticket": number, "k": k})
    entered = await log_in(visitor, page)
    assert entered.status_code == 303
    assert entered.headers["location"] == "/console"
    assert token_in(await visitor.get("/console"))
