"""Delivery: claimed once, counted, put off, held, in order, never lost."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import pytest
from sqlalchemy import select

from bot import conversation, outbox, tickets
from bot.hotline import Hotline
from bot.models import Message, Staff, Worker
from connectors.base import SendError
from tests.conftest import Clock
from tests.fakes import FakeConnector, says


@pytest.fixture
async def number(hotline: Hotline, wang: Staff, clock: Clock) -> str:
    """A claimed ticket whose worker has heard everything so far, with three sends left."""
    turned = await conversation.turn(hotline, says("人工"))
    assert turned.message_id
    await outbox.mark_sent(hotline, [turned.message_id])
    async with hotline.db.transaction() as session:
        ticket = await tickets.get(session, turned.ticket or "")
        await tickets.claim(session, ticket, wang, hotline.clock())
    clock.forward(seconds=1)
    await outbox.drain(hotline)
    return turned.ticket or ""


async def write(hotline: Hotline, number: str, wang: Staff, words: str) -> uuid.UUID:
    async with hotline.db.transaction() as session:
        ticket = await tickets.get(session, number)
        found = await tickets.reply(session, ticket, wang, words, hotline.clock())
    return found.id


async def state_of(hotline: Hotline, key: uuid.UUID) -> Message:
    async with hotline.db.reading() as session:
        return (await session.scalars(select(Message).where(Message.id == key))).one()


async def test_a_reply_is_sent_once_by_two_processes(
    hotline: Hotline, number: str, wang: Staff, channel: FakeConnector, clock: Clock
) -> None:
    key = await write(hotline, number, wang, "您把合同拍给我")
    clock.forward(seconds=1)
    before = len(channel.sent)
    await asyncio.gather(*(outbox.drain(hotline) for _ in range(4)))
    assert [text for _, text in channel.sent[before:]] == ["您把合同拍给我"]
    assert (await state_of(hotline, key)).status == "sent"


async def test_replies_keep_their_order_when_the_first_is_put_off(
    hotline: Hotline, number: str, wang: Staff, channel: FakeConnector, clock: Clock
) -> None:
    before = len(channel.sent)
    channel.fail.append(SendError("忙", retryable=True))
    await write(hotline, number, wang, "一")
    await write(hotline, number, wang, "二")
    for _ in range(6):
        clock.forward(seconds=5)
        while await outbox.drain(hotline):
            pass
    assert [text for _, text in channel.sent[before:]] == ["一", "二"]


async def test_the_fifth_send_is_the_last_and_the_rest_waits_for_the_worker(
    hotline: Hotline, number: str, wang: Staff, channel: FakeConnector, clock: Clock
) -> None:
    keys = []
    for n in range(6):
        keys.append(await write(hotline, number, wang, f"第{n}条"))
        clock.forward(seconds=1)
        while await outbox.drain(hotline):
            pass
    assert len(channel.sent) == 5
    assert [(await state_of(hotline, key)).status for key in keys] == ["sent"] * 4 + ["held"] * 2
    await conversation.turn(hotline, says("我在"))
    clock.forward(seconds=1)
    while await outbox.drain(hotline):
        pass
    assert [text for _, text in channel.sent][-2:] == ["第4条", "第5条"]


async def test_after_the_window_nothing_is_pushed(
    hotline: Hotline, number: str, wang: Staff, channel: FakeConnector, clock: Clock
) -> None:
    clock.forward(hours=49)
    key = await write(hotline, number, wang, "在吗")
    clock.forward(seconds=1)
    before = len(channel.sent)
    await outbox.drain(hotline)
    assert len(channel.sent) == before
    assert (await state_of(hotline, key)).status == "held"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SendError("太长", retryable=False), "failed"),
        (SendError("窗口外", retryable=False, hold=True), "held"),
        (SendError("密钥不对", retryable=False, alarm=True), "held"),
        (SendError("拉黑", retryable=False, unreachable=True), "failed"),
        (SendError("忙", retryable=True), "pending"),
    ],
)
async def test_each_refusal_has_its_consequence_and_its_reason(
    hotline: Hotline, number: str, wang: Staff, channel: FakeConnector, clock: Clock, error: SendError, status: str
) -> None:
    channel.fail.append(error)
    key = await write(hotline, number, wang, "在吗")
    clock.forward(seconds=1)
    await outbox.drain(hotline)
    found = await state_of(hotline, key)
    assert (found.status, found.error) == (status, error.reason)
    async with hotline.db.reading() as session:
        worker = (await session.scalars(select(Worker))).one()
    assert worker.reachable is not error.unreachable
    assert worker.grant_left == (4 if error.retryable else 3)


async def test_a_row_of_a_dead_process_is_taken_again_when_its_lease_is_over(
    hotline: Hotline, number: str, wang: Staff, channel: FakeConnector, clock: Clock
) -> None:
    key = await write(hotline, number, wang, "在吗")
    clock.forward(seconds=1)
    parcels = await outbox._due(hotline, None)
    assert await outbox._claim(hotline, parcels[0])
    before = len(channel.sent)
    await outbox.drain(hotline)
    assert len(channel.sent) == before
    clock.forward(seconds=61)
    await outbox.drain(hotline)
    assert len(channel.sent) == before + 1
    assert (await state_of(hotline, key)).status == "sent"


async def test_it_gives_up_in_the_end_and_says_so(
    hotline: Hotline, number: str, wang: Staff, channel: FakeConnector, clock: Clock
) -> None:
    channel.fail.extend(SendError("忙", retryable=True) for _ in range(50))
    key = await write(hotline, number, wang, "在吗")
    for _ in range(20):
        clock.forward(**{"hours": 1})
        await outbox.drain(hotline)
    found = await state_of(hotline, key)
    assert found.status == "failed"
    assert found.attempts < 20


async def test_a_passive_reply_that_nobody_recorded_goes_out_by_push(
    hotline: Hotline, channel: FakeConnector, clock: Clock
) -> None:
    turned = await conversation.turn(hotline, says("你好"))
    await outbox.drain(hotline)
    assert channel.sent == []
    clock.forward(**{"seconds": timedelta(minutes=1).total_seconds()})
    await outbox.drain(hotline)
    assert [text for _, text in channel.sent] == [turned.text]


async def test_receipts_are_recorded_together_and_kept_when_the_database_is_away(hotline: Hotline) -> None:
    turned = await conversation.turn(hotline, says("你好"))
    assert turned.message_id
    receipts = outbox.Receipts(hotline)
    receipts.add(turned.message_id)
    await receipts.flush()
    assert (await state_of(hotline, turned.message_id)).status == "sent"


async def test_where_we_may_never_push_staff_words_ride_on_the_next_reply(hotline: Hotline, wang: Staff) -> None:
    hotline.connectors["fake"] = FakeConnector(push=False)
    opened = await conversation.turn(hotline, says("人工"))
    assert opened.message_id
    await outbox.mark_sent(hotline, [opened.message_id])
    async with hotline.db.transaction() as session:
        ticket = await tickets.get(session, opened.ticket or "")
        await tickets.claim(session, ticket, wang, hotline.clock())
        await tickets.reply(session, ticket, wang, "明天带合同来", hotline.clock())
        await tickets.close(session, ticket, wang, "answered", hotline.clock())
    turned = await conversation.turn(hotline, says("你好"))
    assert turned.text is not None
    assert "明天带合同来" in turned.text
