"""Real processes for every test in this folder, and the platform that calls them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from tests.e2e.service import APP_ID, APP_SECRET, MODEL, Server
from tests.wechat_platform import WeChatPlatform, serving


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test beside this file drives real processes."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="session", autouse=True)
def _model() -> None:
    if not MODEL.exists():
        pytest.fail("没有训练好的模型：先运行 make setup")


@pytest.fixture(scope="module")
async def platform() -> AsyncIterator[WeChatPlatform]:
    """Tencent's side of the API."""
    found = WeChatPlatform(APP_ID, APP_SECRET)
    async with serving(found):
        yield found


@pytest.fixture(scope="module")
async def server(platform: WeChatPlatform, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One running service for the tests of a module that only talk to it."""
    found = Server(tmp_path_factory.mktemp("server"), platform.url)
    try:
        await asyncio.to_thread(found.start)
        yield found
    finally:
        found.end()


@pytest.fixture
async def servers(platform: WeChatPlatform, tmp_path: Path) -> AsyncIterator[Callable[..., Server]]:
    """Makes servers that a test starts, kills and starts again as it likes: `servers(HOTLINE_REDIS_URL=...)`."""
    platform.reset()
    made: list[Server] = []

    def make(**more: str) -> Server:
        folder = tmp_path / f"server{len(made)}"
        folder.mkdir()
        made.append(Server(folder, platform.url, more))
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            one.end()


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30, trust_env=False) as found:
        yield found
