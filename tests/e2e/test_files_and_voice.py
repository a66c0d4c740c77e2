"""Files and recordings with the real server as a process: sent, heard, read back, opened at the console, never lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tests import asr_stand_in, samples
from tests.asr_stand_in import StandIn, never, said
from tests.e2e.service import Desk, Server, until

Servers = Callable[..., Server]
SPOKEN = "老板三个月没给我发工资了"


@pytest.fixture
async def asr() -> AsyncIterator[StandIn]:
    async with asr_stand_in.running() as found:
        yield found


async def texts(phone: httpx.AsyncClient) -> list[str]:
    messages = (await phone.get("/api/chat/messages")).json()["messages"]
    return [message["text"] for message in messages if message["from"] == "bot"]


async def send(phone: httpx.AsyncClient, key: str, name: str, data: bytes) -> dict[str, Any]:
    answer = await phone.post("/api/chat/uploads", data={"id": key}, files={"file": (name, data)})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def read_back(phone: httpx.AsyncClient) -> str | None:
    last = (await texts(phone))[-1]
    return last if "对吗" in last else None


async def test_a_recording_is_heard_and_survives_a_kill(servers: Servers, asr: StandIn) -> None:
    asr.answers = [never]
    server = servers(HOTLINE_ASR_URL=asr.url, HOTLINE_ASR_SECONDS="30")
    await asyncio.to_thread(server.start)
    async with httpx.AsyncClient(base_url=server.url, timeout=30, trust_env=False) as phone:
        await phone.get("/chat")
        told = await send(phone, "voice-1", "录音.m4a", samples.M4A)
        assert "正在听" in told["messages"][-1]["text"]
        await until(lambda: len(asr.asked))
        await asyncio.to_thread(server.kill)
        # The claim of the dead process falls off by itself after some minutes; the test does not wait that long.
        await server.write("UPDATE attachment SET next_try_at = created_at")
        asr.answers = [said(SPOKEN)]
        await asyncio.to_thread(server.start)
        assert SPOKEN in await until(lambda: read_back(phone))
        assert await send(phone, "voice-1", "录音.m4a", samples.M4A) == told
        answer = await phone.post("/api/chat/messages", json={"id": "yes", "text": "", "option": "yes"})
        assert "依据" in answer.json()["messages"][-1]["text"]
        assert sum("对吗" in text for text in await texts(phone)) == 1


async def test_a_colleague_opens_what_a_worker_sent(servers: Servers) -> None:
    server = servers()
    await asyncio.to_thread(server.start)
    async with httpx.AsyncClient(base_url=server.url, timeout=30, trust_env=False) as phone, Desk(server) as desk:
        await phone.get("/chat")
        await send(phone, "photo-1", "工资条.png", samples.PNG)
        said_person = await phone.post("/api/chat/messages", json={"id": "p", "text": "人工"})
        number = said_person.json()["mode"]["ticket"]
        [file] = await server.rows("SELECT id FROM attachment")
        thread = await desk.get(f"/console/tickets/{number}")
        assert "/console/files/" in thread
        path = thread.partition('class="file-image" src="')[2].partition('"')[0]
        assert str(file["id"]).replace("-", "") in path.replace("-", "")
        assert (await phone.get(path)).status_code == 401
        await desk.get(path)
        assert "看过" in await desk.get(f"/console/tickets/{number}")
    on_disk = [path for path in (server.folder / "data" / "media").rglob("*") if path.is_file()]
    assert len(on_disk) == 1
    assert not any(samples.PNG[:8] in path.read_bytes() for path in on_disk)
    assert "Traceback" not in server.logged
