"""Notices after the window: once for what colleagues write until the worker is back, and only with consent."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import select

from bot import notices, outbox, tickets
from bot.conversation import keep, turn
from bot.hotline import Hotline
from bot.models import Message, Staff, Worker
from connectors.base import Connector, Event, Inbound, SendError
from connectors.webchat import WebChat
from tests.conftest import Clock
from tests.fakes import FakeConnector, happens, says


class Notifying(FakeConnector):
    """A channel with notices; `refuse` errors come first, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.noticed: list[tuple[str, str]] = []
        self.refuse: list[SendError] = []
        self.words: str | None = "您的工单有新回复"

    def notice(self) -> str | None:
        return self.words

    async def notify(self, address: str, number: str) -> None:
        if self.refuse:
            raise self.refuse.pop(0)
        self.noticed.append((address, number))


@pytest.fixture
def channel() -> Notifying:
    return Notifying()


@pytest.fixture
def connectors(channel: Notifying) -> dict[str, Connector]:
    return {"web": WebChat(), "fake": channel}


def consents(count: int) -> Inbound:
    return dataclasses.replace(happens(Event.OTHER), payload={"notices": count})


async def left(hotline: Hotline) -> int:
    async with hotline.db.reading() as session:
        return (await session.scalars(select(Worker.notices))).one()


async def told(hotline: Hotline) -> Sequence[Message]:
    async with hotline.db.reading() as session:
        return (await session.scalars(select(Message).where(Message.kind == notices.KIND))).all()


@pytest.fixture
async def number(hotline: Hotline, wang: Staff, clock: Clock) -> str:
    """A claimed ticket whose worker was last heard of three days ago."""
    turned = await turn(hotline, says("人工"))
    assert turned.message_id
    await outbox.mark_sent(hotline, [turned.message_id])
    async with hotline.db.transaction() as session:
        ticket = await tickets.get(session, turned.ticket or "")
        await tickets.claim(session, ticket, wang, hotline.clock())
    await drained(hotline, clock)
    clock.forward(hours=72)
    return turned.ticket or ""


async def drained(hotline: Hotline, clock: Clock) -> None:
    for _ in range(4):
        clock.forward(seconds=1)
        await asyncio.gather(*(outbox.drain(hotline) for _ in range(3)))


async def write(hotline: Hotline, number: str, wang: Staff, words: str) -> None:
    async with hotline.db.transaction() as session:
        ticket = await tickets.get(session, number)
        await tickets.reply(session, ticket, wang, words, hotline.clock())


async def test_one_notice_for_all_that_is_held_until_the_worker_is_back(
    hotline: Hotline, number: str, wang: Staff, channel: Notifying, clock: Clock
) -> None:
    await turn(hotline, consents(3))
    before = len(channel.sent)
    for words in ("一", "二", "三"):
        await write(hotline, number, wang, words)
    await drained(hotline, clock)
    assert channel.noticed == [("zhang", number)]
    assert await left(hotline) == 2
    assert [row.status for row in await told(hotline)] == ["sent"]
    assert len(channel.sent) == before

    await turn(hotline, says("我在"))
    await drained(hotline, clock)
    assert [text for _, text in channel.sent[before:]] == ["一", "二", "三"]
    assert len(channel.noticed) == 1

    clock.forward(hours=72)
    await write(hotline, number, wang, "四")
    await drained(hotline, clock)
    assert len(channel.noticed) == 2


async def test_nobody_is_told_who_has_not_agreed(
    hotline: Hotline, number: str, wang: Staff, channel: Notifying, clock: Clock
) -> None:
    await write(hotline, number, wang, "一")
    await drained(hotline, clock)
    assert not await told(hotline)
    await turn(hotline, consents(2))
    await turn(hotline, consents(0))
    await write(hotline, number, wang, "二")
    await drained(hotline, clock)
    assert channel.noticed == []


async def test_without_a_template_nothing_is_announced(
    hotline: Hotline, number: str, wang: Staff, channel: Notifying, clock: Clock
) -> None:
    channel.words = None
    await turn(hotline, consents(1))
    await write(hotline, number, wang, "一")
    await drained(hotline, clock)
    assert not await told(hotline)


async def test_inside_the_window_no_notice_is_spent(
    hotline: Hotline, number: str, wang: Staff, channel: Notifying, clock: Clock
) -> None:
    await turn(hotline, consents(1))
    await turn(hotline, says("在吗"))
    await write(hotline, number, wang, "一")
    await drained(hotline, clock)
    assert channel.noticed == []
    assert await left(hotline) == 1


async def test_what_the_platform_holds_back_is_announced_too(
    hotline: Hotline, number: str, wang: Staff, channel: Notifying, clock: Clock
) -> None:
    await turn(hotline, consents(1))
    await turn(hotline, says("在吗"))
    channel.fail.append(SendError("窗口外", retryable=False, hold=True, spent=True))
    await write(hotline, number, wang, "一")
    await drained(hotline, clock)
    assert channel.noticed == [("zhang", number)]


async def test_a_look_at_the_menu_brings_nothing_and_costs_no_second_notice(
    hotline: Hotline, number: str, wang: Staff, channel: Notifying, clock: Clock
) -> None:
    await turn(hotline, consents(3))
    before = len(channel.sent)
    await write(hotline, number, wang, "一")
    await drained(hotline, clock)
    await turn(hotline, happens(Event.OTHER))
    await drained(hotline, clock)
    assert len(channel.noticed) == 1
    assert len(channel.sent) == before


async def test_a_notice_is_tried_again_and_counted_once(
    hotline: Hotline, number: str, wang: Staff, channel: Notifying, clock: Clock
) -> None:
    channel.refuse = [SendError("忙", retryable=True)]
    await turn(hotline, consents(1))
    await write(hotline, number, wang, "一")
    await drained(hotline, clock)
    clock.forward(seconds=10)
    await drained(hotline, clock)
    assert channel.noticed == [("zhang", number)]
    assert await left(hotline) == 0


async def test_a_notice_that_is_refused_has_failed_and_is_never_held(
    hotline: Hotline, number: str, wang: Staff, channel: Notifying, clock: Clock
) -> None:
    channel.refuse = [SendError("职工没有同意接收通知", retryable=False, hold=True)]
    await turn(hotline, consents(1))
    await write(hotline, number, wang, "一")
    await drained(hotline, clock)
    assert [(row.status, row.error) for row in await told(hotline)] == [("failed", "职工没有同意接收通知")]


async def test_consent_that_was_taken_back_before_the_notice_went_is_obeyed(
    hotline: Hotline, number: str, wang: Staff, channel: Notifying, clock: Clock
) -> None:
    channel.refuse = [SendError("忙", retryable=True, after=timedelta(minutes=1))]
    await turn(hotline, consents(1))
    await write(hotline, number, wang, "一")
    await drained(hotline, clock)
    await turn(hotline, consents(0))
    clock.forward(minutes=1)
    await drained(hotline, clock)
    assert channel.noticed == []
    assert [row.status for row in await told(hotline)] == ["failed"]


async def test_a_consent_counts_once_however_often_it_is_delivered(hotline: Hotline) -> None:
    once = consents(1)
    await keep(hotline, once)
    for _ in range(3):
        await turn(hotline, once)
    assert await left(hotline) == 1
