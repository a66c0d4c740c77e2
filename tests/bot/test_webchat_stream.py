"""What arrives without being asked for: a staff reply in the chat, a new ticket at the desk; over a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn

from bot.app import create_app
from bot.bell import Bell
from bot.hotline import Hotline
from tests.bot.console_seat import Colleague, at_desk
from tests.conftest import Clock

PATIENCE = 20.0


@dataclass
class Heard:
    """The events of one stream so far."""

    events: list[tuple[str, str, str]] = field(default_factory=list)
    rung: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, found: Callable[[list[tuple[str, str, str]]], bool]) -> list[tuple[str, str, str]]:
        async with asyncio.timeout(PATIENCE):
            while not found(self.events):
                self.rung.clear()
                await self.rung.wait()
        return self.events

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(data) for name, data, _ in self.events if name == "message"]


@pytest.fixture
async def base(hotline: Hotline, free_port: Callable[[], int]) -> AsyncIterator[str]:
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(create_app(hotline), port=port, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    )
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(PATIENCE):
        while not server.started:  # noqa: ASYNC110 - uvicorn offers nothing to wait for
            await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await running


@pytest.fixture
async def worker(base: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=base, timeout=PATIENCE) as client:
        await client.post("/api/chat/session")
        yield client


@pytest.fixture
async def fang(hotline: Hotline) -> AsyncIterator[Colleague]:
    async with at_desk(hotline, "fang", "王芳") as colleague:
        yield colleague


@contextlib.asynccontextmanager
async def listening(client: httpx.AsyncClient, path: str, **headers: str) -> AsyncIterator[Heard]:
    heard = Heard()

    async def listen() -> None:
        async with client.stream("GET", path, headers=headers, timeout=PATIENCE) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            name = data = key = ""
            async for line in answer.aiter_lines():
                label, _, value = line.partition(": ")
                name, data, key = (
                    value if label == "event" else name,
                    value if label == "data" else data,
                    value if label == "id" else key,
                )
                if not line and data:
                    heard.events.append((name or "message", data, key))
                    name = data = key = ""
                    heard.rung.set()

    listener = asyncio.create_task(listen())
    try:
        yield heard
    finally:
        listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listener


async def settled(heard: Heard) -> int:
    """How many events there are once the opening ones are through."""
    await heard.until(bool)
    count = 0
    while count < len(heard.events):
        count = len(heard.events)
        await asyncio.sleep(0.2)
    return count


async def say(client: httpx.AsyncClient, text: str) -> dict[str, Any]:
    answer = await client.post("/api/chat/messages", json={"id": uuid.uuid4().hex, "text": text})
    told: dict[str, Any] = answer.json()
    return told


async def test_a_colleagues_reply_and_their_name_arrive_by_themselves(
    worker: httpx.AsyncClient, fang: Colleague
) -> None:
    told = await say(worker, "人工")
    number, last = told["mode"]["ticket"], told["messages"][-1]["id"]
    async with listening(worker, f"/api/chat/stream?after={last}") as heard:
        await heard.until(lambda events: any(name == "mode" for name, _, _ in events))
        await fang.post(f"/console/tickets/{number}/claim")
        await fang.post(f"/console/tickets/{number}/note", text="只给同事看")
        await fang.post(f"/console/tickets/{number}/reply", text="请写下欠薪的月份")
        events = await heard.until(lambda events: any("请写下欠薪的月份" in data for _, data, _ in events))
    modes = [json.loads(data) for name, data, _ in events if name == "mode"]
    assert modes[-1] == {"mode": "human", "ticket": number, "name": "王芳"}
    messages = heard.messages()
    assert [message["from"] for message in messages] == ["staff", "staff"]
    assert len({message["id"] for message in messages}) == 2
    assert all(key == json.loads(data)["id"] for name, data, key in events if name == "message")
    assert "只给同事看" not in str(events)


async def test_a_stream_goes_on_where_it_was_cut(worker: httpx.AsyncClient, fang: Colleague) -> None:
    number = (await say(worker, "人工"))["mode"]["ticket"]
    await fang.post(f"/console/tickets/{number}/claim")
    await fang.post(f"/console/tickets/{number}/reply", text="第一句")
    async with listening(worker, "/api/chat/stream") as heard:
        events = await heard.until(lambda events: any("第一句" in data for _, data, _ in events))
    last = next(key for _, data, key in events if "第一句" in data)
    await fang.post(f"/console/tickets/{number}/reply", text="第二句")
    async with listening(worker, "/api/chat/stream", **{"Last-Event-ID": last}) as again:
        await again.until(lambda events: any("第二句" in data for _, data, _ in events))
        await fang.post(f"/console/tickets/{number}/reply", text="第三句")
        await again.until(lambda events: any("第三句" in data for _, data, _ in events))
    assert [message["text"] for message in again.messages()] == ["第二句", "第三句"]


async def test_another_tab_sees_what_was_said_here(worker: httpx.AsyncClient) -> None:
    first = await say(worker, "你好")
    async with listening(worker, f"/api/chat/stream?after={first['messages'][-1]['id']}") as heard:
        await heard.until(bool)
        told = await say(worker, "公司拖欠工资三个月不发怎么办")
        await heard.until(lambda events: sum(name == "message" for name, _, _ in events) >= 2)
    assert heard.messages() == told["messages"]


async def test_a_new_ticket_rings_at_the_desk(base: str, worker: httpx.AsyncClient, fang: Colleague) -> None:
    cookies = {"hotline_session": fang.client.cookies["hotline_session"]}
    async with (
        httpx.AsyncClient(base_url=base, cookies=cookies) as desk,
        listening(desk, "/console/stream") as heard,
    ):
        before = await settled(heard)
        await say(worker, "人工")
        await heard.until(lambda events: len(events) > before)
    assert {name for name, _, _ in heard.events} == {"desk"}


async def test_a_tickets_stream_is_quiet_about_other_tickets(
    base: str, hotline: Hotline, worker: httpx.AsyncClient, fang: Colleague
) -> None:
    number = (await say(worker, "人工"))["mode"]["ticket"]
    cookies = {"hotline_session": fang.client.cookies["hotline_session"]}
    async with (
        httpx.AsyncClient(base_url=base, cookies=cookies) as desk,
        listening(desk, f"/console/stream?ticket={number}") as heard,
    ):
        before = await settled(heard)
        await hotline.bell.ring("desk", ticket="20000101-0001")
        await hotline.bell.ring("desk", ticket=number)
        await heard.until(lambda events: len(events) > before)
        assert await settled(heard) == before + 1


async def test_the_desks_stream_ends_with_the_session(
    base: str, hotline: Hotline, fang: Colleague, clock: Clock
) -> None:
    cookies = {"hotline_session": fang.client.cookies["hotline_session"]}
    async with (
        httpx.AsyncClient(base_url=base, cookies=cookies, timeout=PATIENCE) as desk,
        desk.stream("GET", "/console/stream") as answer,
    ):
        lines = answer.aiter_lines()
        while await anext(lines) != "event: desk":
            pass
        clock.forward(hours=hotline.settings.session_hours + 1)
        await hotline.bell.ring("desk", ticket="20000101-0001")
        async with asyncio.timeout(PATIENCE):
            left = [line async for line in lines if line.startswith("event")]
    assert len(left) <= 1, "one may have been on its way"


async def test_with_redis_away_the_stream_asks_the_database(
    hotline: Hotline, worker: httpx.AsyncClient, fang: Colleague
) -> None:
    number = (await say(worker, "人工"))["mode"]["ticket"]
    good, hotline.bell = hotline.bell, Bell("redis://127.0.0.1:1")
    try:
        async with listening(worker, "/api/chat/stream") as heard:
            await heard.until(lambda events: len(events) >= 3)
            await fang.post(f"/console/tickets/{number}/claim")
            await fang.post(f"/console/tickets/{number}/reply", text="我在")
            await heard.until(lambda events: any("我在" in data for _, data, _ in events))
    finally:
        await hotline.bell.close()
        hotline.bell = good
