"""A web thread on another device: a code opens it there, both devices keep it, and nobody guesses it."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from bot import codes, outbox
from bot.dialogue import wording
from bot.hotline import Hotline
from bot.models import Conversation, LinkCode, Message, Worker
from tests.bot.console_seat import at_desk, browser
from tests.conftest import Clock


@pytest.fixture
async def old(hotline: Hotline) -> AsyncIterator[httpx.AsyncClient]:
    """The device that has the thread."""
    async with browser(hotline, "192.0.2.1") as client:
        await client.post("/api/chat/session")
        await say(client, "公司拖欠工资三个月不发怎么办")
        yield client


@pytest.fixture
async def new(hotline: Hotline) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(hotline, "198.51.100.1") as client:
        await client.post("/api/chat/session")
        yield client


async def say(client: httpx.AsyncClient, text: str) -> dict[str, Any]:
    answer = await client.post("/api/chat/messages", json={"id": uuid.uuid4().hex, "text": text})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def thread(client: httpx.AsyncClient) -> list[str]:
    return [message["text"] for message in (await client.get("/api/chat/messages")).json()["messages"]]


async def given(client: httpx.AsyncClient) -> str:
    answer = await client.post("/api/chat/carry")
    assert answer.status_code == 200, answer.text
    assert answer.json()["minutes"] == 10
    return str(answer.json()["code"])


async def enter(client: httpx.AsyncClient, code: str) -> httpx.Response:
    return await client.post("/api/chat/carried", json={"code": code})


async def test_the_thread_is_there_on_the_new_device_and_stays_on_the_old(
    hotline: Hotline, old: httpx.AsyncClient, new: httpx.AsyncClient
) -> None:
    before = await thread(old)
    code = await given(old)
    assert (await enter(new, f"{code[:4]} {code[4:].lower()}")).status_code == 200
    assert await thread(new) == await thread(old)
    assert (await thread(new))[: len(before)] == before
    await say(new, "要带什么材料")
    assert "要带什么材料" in await thread(old)
    async with hotline.db.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Conversation)) == 1


async def test_the_old_device_is_told_and_colleagues_see_it(
    hotline: Hotline, old: httpx.AsyncClient, new: httpx.AsyncClient, clock: Clock
) -> None:
    number = (await say(old, "人工"))["mode"]["ticket"]
    await enter(new, await given(old))
    clock.forward(seconds=1)
    while await outbox.drain(hotline):
        pass
    assert (await thread(old))[-1] == wording.CARRIED
    async with at_desk(hotline, "fang", "王芳") as colleague:
        assert "在另一台设备上打开了这个对话" in (await colleague.get(f"/console/tickets/{number}")).text


async def test_what_was_said_on_the_new_device_before_belongs_to_the_same_person(
    hotline: Hotline, old: httpx.AsyncClient, new: httpx.AsyncClient
) -> None:
    number = (await say(new, "人工"))["mode"]["ticket"]
    await enter(new, await given(old))
    assert number in (await say(new, "进度"))["messages"][-1]["text"]
    async with hotline.db.reading() as session:
        people = (await session.scalars(select(Worker.person_id))).all()
    assert len(set(people)) == 1
    assert people[0] is not None


async def test_a_code_works_once_for_ten_minutes_and_only_the_newest(
    hotline: Hotline, old: httpx.AsyncClient, new: httpx.AsyncClient, clock: Clock
) -> None:
    first, second = await given(old), await given(old)
    assert (await enter(new, first)).status_code == 422
    clock.forward(minutes=10, seconds=1)
    assert (await enter(new, second)).status_code == 422
    third = await given(old)
    assert (await enter(new, third)).status_code == 200
    async with browser(hotline, "203.0.113.1") as thief:
        await thief.post("/api/chat/session")
        assert (await enter(thief, third)).status_code == 422
        assert await thread(thief) == []
    async with hotline.db.reading() as session:
        kept = (await session.scalars(select(LinkCode))).one()
    assert third not in kept.code_hash


async def test_wrong_codes_are_stopped_by_visitor_and_by_address(
    hotline: Hotline, old: httpx.AsyncClient, new: httpx.AsyncClient, clock: Clock
) -> None:
    good = await given(old)
    wrong = "2" * codes.LENGTH if good != "2" * codes.LENGTH else "3" * codes.LENGTH
    assert [(await enter(new, wrong)).status_code for _ in range(6)] == [422] * 5 + [429]
    assert (await enter(new, good)).status_code == 429
    for _ in range(6):
        new.cookies.clear()
        await new.post("/api/chat/session")
        for _ in range(5):
            last = await enter(new, wrong)
    assert last.status_code == 429, "a new session at the same address does not begin afresh for ever"
    clock.forward(minutes=11)
    assert (await enter(new, await given(old))).status_code == 200


async def test_a_link_code_opens_no_thread_and_a_carry_code_joins_nobody(
    old: httpx.AsyncClient, new: httpx.AsyncClient
) -> None:
    told = (await say(old, "绑定"))["messages"][-1]["text"]
    link = told.split("绑定码是 ")[1][: codes.LENGTH]
    assert (await enter(new, link)).status_code == 422
    carry = await given(old)
    assert (await say(new, f"绑定 {carry}"))["messages"][-1]["text"] == wording.LINK_WRONG


async def test_before_the_first_message_there_is_nothing_to_carry(new: httpx.AsyncClient) -> None:
    answer = await new.post("/api/chat/carry")
    assert answer.status_code == 409
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"code": 5}', b'{"code": "x"}', b'{"code": "' + b"A" * 100 + b'"}']
)
async def test_a_malformed_code_is_refused_in_words(new: httpx.AsyncClient, body: bytes) -> None:
    answer = await new.post("/api/chat/carried", content=body)
    assert answer.status_code == 422
    assert answer.json()["error"]


async def test_a_stranger_gets_neither(hotline: Hotline) -> None:
    async with browser(hotline) as client:
        assert (await client.post("/api/chat/carry")).status_code == 401
        assert (await enter(client, "ACDE2345")).status_code == 401


async def test_a_page_in_a_frame_carries_by_its_header(hotline: Hotline, old: httpx.AsyncClient) -> None:
    async with browser(hotline, "198.51.100.1") as frame:
        token = (await frame.post("/api/chat/session", headers={"x-hotline-session": "new"})).json()["token"]
        answer = await frame.post(
            "/api/chat/carried", json={"code": await given(old)}, headers={"x-hotline-session": token}
        )
        carried = answer.json()["token"]
        assert carried == old.cookies["hotline_chat"]
        assert "set-cookie" not in answer.headers
        seen = await frame.get("/api/chat/messages", headers={"x-hotline-session": carried})
        assert "公司拖欠工资" in json.dumps(seen.json(), ensure_ascii=False)


async def test_giving_a_code_says_nothing_in_the_thread(hotline: Hotline, old: httpx.AsyncClient) -> None:
    code = await given(old)
    async with hotline.db.reading() as session:
        rows = (await session.scalars(select(Message))).all()
    assert all(code not in row.text for row in rows)
