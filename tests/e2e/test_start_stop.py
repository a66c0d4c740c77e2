"""What the person at the terminal sees: a start, a stop, a second start, and one line for what is wrong."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

import httpx
import pytest

from tests.e2e.service import Server, wechat_at

Servers = Callable[..., Server]


async def _refusal(server: Server) -> str:
    """What a start that cannot work says."""
    process = server.spawn()
    code = await asyncio.to_thread(process.wait, 60)
    assert code == 1
    said = (server.printed + server.logged).strip()
    assert "Traceback" not in said
    return said


async def test_it_starts_stops_and_starts_again_and_shows_the_password_once(servers: Servers) -> None:
    server = servers()
    await asyncio.to_thread(server.start)
    assert len(re.findall(r"密码 \S+", server.printed)) == 1
    for address in ("/chat", "/console"):
        assert f"{server.url}{address}" in server.printed
    assert len(server.valkeys()) == 1
    assert server.stop() < 5
    assert server.valkeys() == []
    assert "Traceback" not in server.printed + server.logged

    assert await asyncio.to_thread(server.start) < 10
    assert len(re.findall(r"密码 \S+", server.printed)) == 1, "the second start knows that there is an account"
    assert server.stop() < 5
    assert server.valkeys() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_stops_while_a_chat_is_listening(servers: Servers, number: signal.Signals) -> None:
    server = servers()
    await asyncio.to_thread(server.start)
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as browser:
        await browser.get("/chat")
        said = await browser.post("/api/chat/messages", json={"id": "first-words", "text": "你好"})
        assert said.status_code == 200
        async with browser.stream("GET", "/api/chat/stream") as stream:
            assert stream.status_code == 200
            assert await asyncio.to_thread(server.stop, number) < 5
    assert server.valkeys() == []
    assert "Traceback" not in server.logged


async def test_it_stops_in_time_while_a_hundred_workers_write(servers: Servers, http: httpx.AsyncClient) -> None:
    server = servers()
    await asyncio.to_thread(server.start)
    wechat = wechat_at(server, http)
    writing = [asyncio.create_task(wechat.text(f"oBusy{n}", "公司拖欠我三个月工资不给怎么办")) for n in range(100)]
    await asyncio.wait(writing, return_when=asyncio.FIRST_COMPLETED)
    assert await asyncio.to_thread(server.stop, signal.SIGTERM) < 5
    await asyncio.gather(*writing, return_exceptions=True)
    assert server.valkeys() == []


def test_the_arithmetic_takes_one_thread() -> None:
    """More of them halve the speed of everything else on a small machine."""
    asked = (
        "import os, bot, numpy as np; wide = np.ones((900, 900), np.float32); wide @ wide; "
        "print(len(os.listdir('/proc/self/task')))"
    )
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    found = subprocess.run([sys.executable, "-c", asked], env=clean, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "1"


async def test_a_taken_port_is_said_in_one_line(servers: Servers) -> None:
    server = servers()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", server.port))
        taken.listen()
        said = await _refusal(server)
    assert len(said.splitlines()) == 1
    assert str(server.port) in said
    assert server.valkeys() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOTLINE_WECHAT_AES_KEY", ""),
        ("HOTLINE_WECHAT_AES_KEY", "too-short"),
        ("HOTLINE_WECHAT_APP_ID", ""),
        ("HOTLINE_WECHAT_APP_SECRET", ""),
        ("HOTLINE_WECHAT_TOKEN", ""),
        ("HOTLINE_WECHAT_MODE", "secret"),
        ("HOTLINE_WORKER_RATE", "many"),
        ("HOTLINE_PII_KEYS", "not-a-key"),
    ],
)
async def test_a_setting_that_is_missing_or_wrong_is_named_in_one_line(servers: Servers, name: str, value: str) -> None:
    server = servers(**{name: value})
    said = await _refusal(server)
    assert name in said
    assert len(said.splitlines()) == 1, said
    assert server.valkeys() == []


async def test_a_database_that_is_not_there_is_said_without_a_trace(servers: Servers) -> None:
    said = await _refusal(servers(HOTLINE_DATABASE_URL="postgresql://nobody@127.0.0.1:9/nothing"))
    assert len(said.splitlines()) <= 2
    assert "DATABASE_URL" in said


async def test_a_redis_that_is_not_there_does_not_keep_workers_from_being_answered(servers: Servers) -> None:
    server = servers(HOTLINE_REDIS_URL="redis://127.0.0.1:9/0")
    process = server.spawn()
    for _ in range(300):
        status, _parts = await asyncio.to_thread(server.readiness)
        if status or process.poll() is not None:
            break
        await asyncio.sleep(0.1)
    assert status == 503
