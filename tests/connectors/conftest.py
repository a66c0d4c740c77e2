"""What every test of a connector stands on: no request leaves the machine, no setting leaks in, a real Valkey."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from bot.bell import Bell
from bot.embedded import valkey
from tests.connectors.account import APP_ID, APP_SECRET
from tests.wechat_platform import WeChatPlatform, serving


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and not ipaddress.ip_address(address[0]).is_loopback:
            pytest.fail(f"a request left the machine for {address[0]}")
        connect(self, address)

    def guarded_resolve(host: Any, *more: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in ("127.0.0.1", "::1", "localhost", None):
            pytest.fail(f"a request left the machine for {name}")
        return resolve(host, *more, **named)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_resolve)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in list(os.environ):
        if name.startswith("HOTLINE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with valkey(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture
async def store(redis_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Bell]:
    """What the connectors share between processes, empty for each test."""
    bell = Bell(redis_url, prefix=f"{request.node.nodeid}:")
    yield bell
    await bell.close()


@pytest.fixture(scope="module")
async def wechat_served() -> AsyncIterator[WeChatPlatform]:
    platform = WeChatPlatform(APP_ID, APP_SECRET)
    async with serving(platform):
        yield platform


@pytest.fixture
def platform(wechat_served: WeChatPlatform) -> WeChatPlatform:
    """Tencent's side of the WeChat API, on a day on which nothing is wrong."""
    wechat_served.reset()
    return wechat_served
