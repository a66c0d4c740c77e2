"""The guide's example: taken out of the document and run, from a message in to the answer at the gateway."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from bot import outbox
from bot.app import create_app
from bot.hotline import Hotline
from bot.models import Message
from connectors import registry
from connectors.base import Connector, Tools
from connectors.registry import Channel

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "new-channel.md"
FILE, LINE = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
TOKEN = "gateway-token"


@dataclass
class Gateway:
    """The other side of the wire."""

    got: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.status == 200:
            self.got.append(json.loads(request.content))
        return httpx.Response(self.status, json={})


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def sms(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The guide's file as a module, and its line in the registry."""
    module = ModuleType("connectors.sms")
    sys.modules["connectors.sms"] = module
    exec(compile(FILE, str(GUIDE), "exec"), module.__dict__)  # noqa: S102 - our own document
    channels: dict[str, Channel] = eval(f"{{{LINE}}}", {**module.__dict__, "Channel": Channel})  # noqa: S307 - as above
    for name, channel in channels.items():
        monkeypatch.setitem(registry.CHANNELS, name, channel)
    yield module
    del sys.modules["connectors.sms"]


@pytest.fixture
async def connectors(sms: ModuleType, gateway: Gateway, redis_url: str) -> AsyncIterator[dict[str, Connector]]:
    from bot.bell import Bell

    section = sms.SmsSettings(url="http://gateway.test/send", token=TOKEN)
    async with httpx.AsyncClient(transport=httpx.MockTransport(gateway)) as http:
        bell = Bell(redis_url)
        yield registry.build({"sms": section}, Tools(bell, http))
        await bell.close()


async def _post(hotline: Hotline, said: object, token: str = TOKEN) -> httpx.Response:
    transport = httpx.ASGITransport(create_app(hotline), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hotline.test") as client:
        return await client.post("/webhooks/sms", json=said, headers={"x-token": token})


async def test_a_question_is_answered_over_the_gateway(hotline: Hotline, gateway: Gateway) -> None:
    question = {"from": "13800000000", "id": "1", "text": "老板拖欠工资不给怎么办"}
    assert (await _post(hotline, question)).status_code == 200
    assert (await _post(hotline, question)).status_code == 200
    while await outbox.drain(hotline):
        pass
    (answer,) = gateway.got
    assert answer["to"] == "13800000000"
    assert "工资" in answer["text"]
    assert len(answer["text"].encode()) <= 600


async def test_a_gateway_in_trouble_loses_nothing(hotline: Hotline, gateway: Gateway) -> None:
    gateway.status = 503
    await _post(hotline, {"from": "13800000000", "id": "1", "text": "人工"})
    await outbox.drain(hotline)
    async with hotline.db.reading() as session:
        (waits,) = (await session.scalars(select(Message).where(Message.direction == "out"))).all()
    assert (waits.status, waits.attempts) == ("pending", 1)


@pytest.mark.parametrize(
    ("said", "token", "status"),
    [
        ({"from": "1", "id": "1", "text": "你好"}, "wrong", 403),
        ({"from": "1", "text": "你好"}, TOKEN, 400),
        (["你好"], TOKEN, 400),
        ({"from": "", "id": "1", "text": "你好"}, TOKEN, 400),
    ],
)
async def test_what_is_no_message_is_refused(hotline: Hotline, said: object, token: str, status: int) -> None:
    assert (await _post(hotline, said, token)).status_code == status
