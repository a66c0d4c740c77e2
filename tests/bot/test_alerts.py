"""Calls to staff: each new or raised ticket once, over all processes, tried again, and with nothing personal."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from bot import alerts, conversation, outbox
from bot.hotline import Hotline
from bot.models import Conversation, Message, Ticket
from bot.settings import Settings, settings
from connectors.abilities import Notice
from connectors.base import SendError
from tests.conftest import Clock
from tests.fakes import FakeConnector, says


class Phone:
    """Collects what staff read; `fail` errors come first, in order."""

    def __init__(self, name: str = "phone") -> None:
        self.name = name
        self.read: list[Notice] = []
        self.fail: deque[SendError] = deque()
        self.rang = asyncio.Event()

    async def page(self, notice: Notice) -> None:
        if self.fail:
            raise self.fail.popleft()
        self.read.append(notice)
        self.rang.set()


class DeskConnector(FakeConnector):
    """A channel whose platform has a desk of its own."""

    def __init__(self, *on_duty: str) -> None:
        super().__init__(passive=False)
        self.on_duty = on_duty
        self.given: list[str] = []
        self.said_before: list[int] = []

    async def hand_over(self, address: str) -> str | None:
        if self.fail:
            raise self.fail.popleft()
        if not self.on_duty:
            return None
        self.said_before.append(len(self.sent))
        self.given.append(address)
        return self.on_duty[0]


@pytest.fixture
def configured() -> Settings:
    return settings().model_copy(update={"public_url": "https://hotline.example.org/"})


@pytest.fixture
def phone(hotline: Hotline) -> Phone:
    found = Phone()
    hotline.pagers = [found]
    return found


@pytest.fixture
def desk(hotline: Hotline) -> DeskConnector:
    found = DeskConnector("wang")
    hotline.connectors["fake"] = found
    return found


async def ask(hotline: Hotline, words: str = "人工", address: str = "zhang") -> str | None:
    return (await conversation.turn(hotline, says(words, address))).ticket


async def test_a_new_ticket_is_told_once(hotline: Hotline, phone: Phone) -> None:
    number = await ask(hotline)
    for _ in range(3):
        assert not await alerts.call(hotline)
    [notice] = phone.read
    assert number
    assert number in notice.title
    assert notice.url.startswith(f"https://hotline.example.org/console/tickets/{number}?k=")
    assert any("前答复" in line for line in notice.lines)


async def test_processes_side_by_side_tell_it_once(hotline: Hotline, phone: Phone) -> None:
    for number in range(5):
        await ask(hotline, address=f"worker{number}")
    await asyncio.gather(*(alerts.call(hotline) for _ in range(6)))
    assert len(phone.read) == len({notice.title for notice in phone.read}) == 5


async def test_nothing_about_the_worker_is_told(hotline: Hotline, phone: Phone) -> None:
    await ask(hotline, "我叫张三丰，手机13800138000，老板拖欠工资，转人工", "oZhangSan")
    await ask(hotline, "我不想活了", "oLiSi")
    await alerts.call(hotline)
    told = repr(phone.read)
    for secret in ("张三丰", "13800138000", "oZhangSan", "oLiSi", "拖欠", "不想活", "自杀", "自伤"):
        assert secret not in told
    assert "维权" in told
    assert "危急" in told


async def test_a_ticket_that_becomes_more_pressing_is_told_again(hotline: Hotline, phone: Phone) -> None:
    number = await ask(hotline)
    await alerts.call(hotline)
    await ask(hotline, "我不想活了")
    await alerts.call(hotline)
    assert len(phone.read) == 2
    assert phone.read[1].title == f"工单 {number} 升为危急"


def busy(milliseconds: float) -> SendError:
    return SendError("忙", retryable=True, after=timedelta(milliseconds=milliseconds))


async def test_what_fails_is_tried_again_but_not_at_once(hotline: Hotline, phone: Phone) -> None:
    phone.fail.extend([busy(300), busy(1)])
    await ask(hotline)
    await alerts.call(hotline)
    await alerts.call(hotline)
    assert len(phone.fail) == 1, "not before its time"
    async with asyncio.timeout(10):
        await until_called(hotline, phone)
    assert len(phone.read) == 1


async def until_called(hotline: Hotline, phone: Phone) -> None:
    for _ in range(200):
        await alerts.call(hotline)
        if phone.read:
            return
        await asyncio.sleep(0.05)


async def test_what_fails_for_ever_is_given_up(hotline: Hotline, phone: Phone) -> None:
    phone.fail.extend(busy(1) for _ in range(50))
    await ask(hotline)
    for _ in range(15):
        await alerts.call(hotline)
        await asyncio.sleep(0.01)
    tried = 50 - len(phone.fail)
    await alerts.call(hotline)
    assert 5 < tried < 12
    assert (50 - len(phone.fail), phone.read) == (tried, [])


async def test_one_phone_that_is_broken_does_not_silence_the_other(hotline: Hotline) -> None:
    broken, other = Phone("broken"), Phone("other")
    broken.fail.append(SendError("没有这个机器人", retryable=False))
    hotline.pagers = [broken, other]
    await ask(hotline)
    await alerts.call(hotline)
    await alerts.call(hotline)
    assert (len(broken.read), len(other.read)) == (0, 1)


async def test_tickets_that_are_closed_or_old_are_not_told(hotline: Hotline, phone: Phone, clock: Clock) -> None:
    await ask(hotline)
    clock.forward(hours=2)
    await alerts.call(hotline)
    await ask(hotline, address="li")
    async with hotline.db.transaction() as session:
        await session.execute(update(Ticket).values(status="closed"))
    await alerts.call(hotline)
    assert phone.read == []


async def test_without_an_address_of_ours_there_is_no_link(hotline: Hotline, phone: Phone) -> None:
    hotline.settings = settings()
    await ask(hotline)
    await alerts.call(hotline)
    assert phone.read[0].url == ""


async def test_the_ring_of_a_new_ticket_makes_the_phone_ring(hotline: Hotline, phone: Phone) -> None:
    listening = asyncio.create_task(alerts.run(hotline))
    try:
        await ask(hotline)
        async with asyncio.timeout(10):
            await phone.rang.wait()
    finally:
        hotline.bell.fall_silent()
        await listening


async def test_with_nobody_to_call_nothing_listens(hotline: Hotline) -> None:
    async with asyncio.timeout(2):
        await alerts.run(hotline)


async def test_the_talk_goes_to_the_platforms_desk_after_the_worker_was_told(
    hotline: Hotline, desk: DeskConnector
) -> None:
    number = await ask(hotline)
    assert await alerts.call(hotline), "the reply with the number is not out yet"
    assert desk.given == []
    await outbox.drain(hotline)
    assert not await alerts.call(hotline)
    await alerts.call(hotline)
    assert desk.given == ["zhang"]
    assert desk.said_before == [1]
    assert number
    assert number in desk.sent[0][1]
    async with hotline.db.reading() as session:
        [talk] = (await session.scalars(select(Conversation))).all()
        [taken] = (
            await session.scalars(select(Message).where(Message.kind == "event", Message.direction == "in"))
        ).all()
    assert talk.elsewhere_until
    assert taken.payload["servicer"] == "wang"
    assert (await conversation.turn(hotline, says("在吗"))).text is None, "the bot is silent from now on"


async def test_with_nobody_at_the_platforms_desk_the_bot_goes_on(hotline: Hotline) -> None:
    desk = DeskConnector()
    hotline.connectors["fake"] = desk
    await ask(hotline)
    await outbox.drain(hotline)
    await alerts.call(hotline)
    assert desk.given == []
    assert (await conversation.turn(hotline, says("你好"))).text


async def test_a_ticket_that_a_colleague_took_in_the_console_stays_there(hotline: Hotline, desk: DeskConnector) -> None:
    await ask(hotline)
    await outbox.drain(hotline)
    async with hotline.db.transaction() as session:
        await session.execute(update(Ticket).values(status="claimed"))
    await alerts.call(hotline)
    assert desk.given == []
