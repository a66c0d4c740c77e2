"""The hotline with a channel that collects."""

from __future__ import annotations

import pytest

from bot.hotline import Hotline
from bot.models import Staff
from connectors.base import Connector
from connectors.webchat import WebChat
from tests.fakes import FakeConnector


@pytest.fixture
def channel() -> FakeConnector:
    return FakeConnector()


@pytest.fixture
def connectors(channel: FakeConnector) -> dict[str, Connector]:
    return {"web": WebChat(), "fake": channel}


@pytest.fixture
async def wang(hotline: Hotline) -> Staff:
    return await _colleague(hotline, "wang", "王芳")


@pytest.fixture
async def li(hotline: Hotline) -> Staff:
    return await _colleague(hotline, "li", "李强")


async def _colleague(hotline: Hotline, login: str, name: str) -> Staff:
    async with hotline.db.transaction() as session:
        found = Staff(created_at=hotline.clock(), login=login, name=name, role="agent", password_hash="-")
        session.add(found)
    return found
