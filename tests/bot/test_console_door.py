"""The door of the console: who gets in, for how long, and what a guess costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from bot.hotline import Hotline
from tests.bot.console_seat import PASSWORD, Colleague, at_desk, browser, token_in
from tests.conftest import Clock


@pytest.fixture
async def fang(hotline: Hotline) -> AsyncIterator[Colleague]:
    async with at_desk(hotline, "fang", "王芳") as colleague:
        yield colleague


@pytest.fixture
async def stranger(hotline: Hotline, fang: Colleague) -> AsyncIterator[Colleague]:
    async with browser(hotline, "192.0.2.9") as client:
        yield Colleague(client)


@pytest.mark.parametrize("path", ["/console", "/console/tickets/20261123-0001", "/console/status", "/console/stream"])
async def test_without_a_session_every_page_leads_to_the_door(stranger: Colleague, path: str) -> None:
    answer = await stranger.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/login")


async def test_a_fragment_without_a_session_sends_the_whole_page_to_the_door(stranger: Colleague) -> None:
    answer = await stranger.get("/console", **{"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/console/login")


async def test_the_right_password_opens(fang: Colleague) -> None:
    page = await fang.get("/console")
    assert page.status_code == 200
    assert "王芳" in page.text


async def test_the_cookie_is_for_the_server_only(stranger: Colleague) -> None:
    entered = await stranger.log_in("fang")
    cookie = next(value for value in entered.headers.get_list("set-cookie") if value.startswith("hotline_session"))
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()


@pytest.mark.parametrize(("login", "password"), [("fang", "wrong"), ("nobody", PASSWORD), ("fang", ""), ("\x00", "x")])
async def test_a_wrong_name_and_a_wrong_password_say_the_same(stranger: Colleague, login: str, password: str) -> None:
    answer = await stranger.log_in(login, password)
    assert answer.status_code == 401
    assert "账号或密码不对" in answer.text
    assert (await stranger.get("/console")).status_code == 303


async def test_a_log_in_form_of_another_site_is_refused(stranger: Colleague) -> None:
    form = {"login": "fang", "password": PASSWORD, "csrf": "made-up"}
    assert (await stranger.client.post("/console/login", data=form)).status_code == 403
    token_in(await stranger.get("/console/login"))
    assert (await stranger.client.post("/console/login", data=form)).status_code == 403


async def test_guessing_one_account_is_stopped_from_every_address(
    hotline: Hotline, fang: Colleague, clock: Clock
) -> None:
    for number in range(hotline.settings.login_rate):
        async with browser(hotline, f"192.0.2.{number}") as client:
            assert (await Colleague(client).log_in("fang", "wrong")).status_code == 401
    async with browser(hotline, "198.51.100.1") as client:
        late = Colleague(client)
        refused = await late.log_in("fang")
        assert refused.status_code == 429
        assert "10 分钟" in refused.text
        clock.forward(minutes=11)
        assert (await late.log_in("fang")).status_code == 303


async def test_guessing_many_accounts_from_one_address_is_stopped(hotline: Hotline, stranger: Colleague) -> None:
    for number in range(hotline.settings.login_rate):
        assert (await stranger.log_in(f"user{number}", "wrong")).status_code == 401
    assert (await stranger.log_in("fang")).status_code == 429


async def test_guesses_at_once_are_all_counted(hotline: Hotline, stranger: Colleague) -> None:
    door = token_in(await stranger.get("/console/login"))
    form = {"login": "fang", "password": "wrong", "csrf": door}
    answers = await asyncio.gather(*(stranger.client.post("/console/login", data=form) for _ in range(30)))
    assert sum(answer.status_code == 401 for answer in answers) <= hotline.settings.login_rate


async def test_a_session_ends_by_itself(hotline: Hotline, fang: Colleague, clock: Clock) -> None:
    clock.forward(hours=hotline.settings.session_hours, seconds=-10)
    assert (await fang.get("/console")).status_code == 200
    clock.forward(seconds=20)
    assert (await fang.get("/console")).status_code == 303


async def test_logging_out_ends_the_session_on_the_server(fang: Colleague, hotline: Hotline) -> None:
    cookie = fang.client.cookies["hotline_session"]
    assert (await fang.post("/console/logout")).status_code == 303
    async with browser(hotline) as client:
        client.cookies.set("hotline_session", cookie, path="/console")
        assert (await client.get("/console")).status_code == 303


@pytest.mark.parametrize("csrf", ["", "wrong", "\u00e9"])
async def test_a_form_without_the_token_is_refused(fang: Colleague, csrf: str) -> None:
    for path in ("/console/logout", "/console/tickets/20261123-0001/claim", "/console/tickets/20261123-0001/reply"):
        answer = await fang.client.post(path, data={"csrf": csrf, "text": "x"})
        assert answer.status_code == 403
    assert (await fang.get("/console")).status_code == 200


async def test_pages_keep_strangers_code_out(fang: Colleague) -> None:
    for path in ("/console", "/console/status", "/console/tickets/nothing", "/console/login"):
        headers = (await fang.get(path)).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


async def test_an_endless_form_is_refused_unread(stranger: Colleague) -> None:
    answer = await stranger.client.post("/console/login", data={"password": "x" * 100_000})
    assert answer.status_code == 413

    async def endless() -> AsyncIterator[bytes]:
        yield b"login=x"
        raise AssertionError("read on")

    chunked = await stranger.client.post("/console/login", content=endless())
    assert chunked.status_code == 413


async def test_an_error_page_says_what_and_no_more(fang: Colleague) -> None:
    answer = await fang.get("/console/tickets/20990101-0001")
    assert answer.status_code == 404
    assert "没有工单 20990101-0001" in answer.text
    assert "Traceback" not in answer.text


async def test_without_a_database_the_error_page_still_stands(hotline: Hotline, fang: Colleague) -> None:
    from bot.db import Database

    good, hotline.db = hotline.db, Database("postgresql+asyncpg://nobody@127.0.0.1:1/none")
    try:
        answer: httpx.Response = await fang.get("/console")
    finally:
        await hotline.db.close()
        hotline.db = good
    assert answer.status_code == 500
    assert "<html" in answer.text
    assert "asyncpg" not in answer.text
