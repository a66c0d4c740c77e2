"""The status page: what went over each channel, as an engineer on duty looks for it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator

import pytest

from bot import outbox
from bot.conversation import turn
from bot.hotline import Hotline
from connectors.base import SendError
from tests.bot.console_seat import Colleague, at_desk
from tests.conftest import Clock
from tests.fakes import FakeConnector, says


@pytest.fixture
async def fang(hotline: Hotline) -> AsyncIterator[Colleague]:
    async with at_desk(hotline, "fang", "王芳") as colleague:
        yield colleague


async def _row(fang: Colleague) -> list[str]:
    page = (await fang.get("/console/status")).text
    row = re.search(r"<tr>\s*<th scope=\"row\">fake</th>(.*?)</tr>", page, re.DOTALL)
    assert row, page
    return [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td>(.*?)</td>", row[1], re.DOTALL)]


async def test_deliveries_retries_and_refusals_are_counted(
    hotline: Hotline, fang: Colleague, channel: FakeConnector, clock: Clock
) -> None:
    before = await _row(fang)
    channel.fail = deque([SendError("忙", retryable=True, code=45011)])
    await turn(hotline, says("你好"))
    clock.forward(seconds=30)
    await outbox.drain(hotline)
    clock.forward(seconds=30)
    await outbox.drain(hotline)
    after = await _row(fang)
    assert [int(now) - int(then) for now, then in zip(after[2:4], before[2:4], strict=True)] == [1, 1]
    assert "45011 ×" in after[6]
    assert after[1] == "—"
