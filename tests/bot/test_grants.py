"""What the platform lets us push: grants that meet, bubbles that are joined, counts that the platform corrects."""

from __future__ import annotations

import dataclasses
import uuid
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from bot import outbox, tickets
from bot.conversation import turn
from bot.hotline import Hotline
from bot.models import Message, Staff, Worker
from connectors.base import Event, Grant, Option, Outbound, SendError
from connectors.wechat_events import AFTER_MENU, AFTER_SCAN, AFTER_SUBSCRIBE
from connectors.wechat_messages import AFTER_MESSAGE, AFTER_OPTION
from tests.conftest import Clock
from tests.fakes import FakeConnector, happens, says


def test_the_rules_are_those_that_the_platform_publishes() -> None:
    table = {grant.rule: (grant.sends, grant.lasts) for grant in (AFTER_MESSAGE, AFTER_MENU, AFTER_SCAN)}
    assert table == {
        "message": (5, timedelta(hours=48)),
        "menu": (3, timedelta(minutes=1)),
        "scan": (3, timedelta(minutes=1)),
    }
    assert (AFTER_SUBSCRIBE.sends, AFTER_SUBSCRIBE.lasts) == (AFTER_OPTION.sends, AFTER_OPTION.lasts) == table["menu"]


async def worker(hotline: Hotline) -> Worker:
    async with hotline.db.reading() as session:
        return (await session.scalars(select(Worker))).one()


async def granted(hotline: Hotline, grant: Grant | None, text: str = "你好") -> Worker:
    await turn(hotline, dataclasses.replace(says(text), grant=grant))
    return await worker(hotline)


async def spend(hotline: Hotline, left: int) -> None:
    async with hotline.db.transaction() as session:
        await session.execute(update(Worker).values(grant_left=left))


@pytest.mark.parametrize("short", [AFTER_MENU, AFTER_OPTION, AFTER_SCAN, AFTER_SUBSCRIBE])
@pytest.mark.parametrize(("left", "then"), [(5, 5), (3, 3), (1, 3), (0, 3)])
async def test_a_click_takes_nothing_away_from_the_message_before_it(
    hotline: Hotline, clock: Clock, short: Grant, left: int, then: int
) -> None:
    first = await granted(hotline, AFTER_MESSAGE)
    assert (first.grant_rule, first.grant_left) == ("message", 5)
    await spend(hotline, left)
    clock.forward(hours=1)
    second = await granted(hotline, short)
    assert (second.grant_rule, second.grant_left) == ("message", then), "the larger number holds, they are not added"
    assert second.grant_until == first.grant_until, "the later end holds"


async def test_a_message_after_a_click_is_the_longer_one(hotline: Hotline, clock: Clock) -> None:
    clicked = await granted(hotline, AFTER_MENU)
    assert (clicked.grant_rule, clicked.grant_left) == ("menu", 3)
    said = await granted(hotline, AFTER_MESSAGE)
    assert (said.grant_rule, said.grant_left) == ("message", 5)
    assert said.grant_until is not None
    assert said.grant_until > clock.now + timedelta(hours=47)


async def test_what_has_run_out_counts_for_nothing(hotline: Hotline, clock: Clock) -> None:
    await granted(hotline, AFTER_MESSAGE)
    clock.forward(hours=49)
    clicked = await granted(hotline, AFTER_MENU)
    assert (clicked.grant_rule, clicked.grant_left) == ("menu", 3)
    assert clicked.grant_until is not None
    assert clicked.grant_until < clock.now + timedelta(minutes=2)


async def test_opening_a_page_of_the_menu_grants_nothing(hotline: Hotline) -> None:
    assert (await granted(hotline, None)).grant_left == 0


async def test_whoever_leaves_and_comes_back_starts_with_what_following_grants(hotline: Hotline) -> None:
    await granted(hotline, AFTER_MESSAGE)
    await turn(hotline, happens(Event.UNSUBSCRIBE))
    await turn(hotline, dataclasses.replace(happens(Event.SUBSCRIBE), grant=AFTER_SUBSCRIBE))
    back = await worker(hotline)
    assert (back.reachable, back.grant_rule, back.grant_left) == (True, "subscribe", 3)


@pytest.fixture
async def number(hotline: Hotline, wang: Staff, clock: Clock) -> str:
    """A claimed ticket whose worker has heard everything so far, with four sends left."""
    turned = await turn(hotline, says("人工"))
    assert turned.message_id
    await outbox.mark_sent(hotline, [turned.message_id])
    async with hotline.db.transaction() as session:
        ticket = await tickets.get(session, turned.ticket or "")
        await tickets.claim(session, ticket, wang, hotline.clock())
    await drained(hotline, clock)
    return turned.ticket or ""


async def drained(hotline: Hotline, clock: Clock) -> None:
    clock.forward(seconds=1)
    while await outbox.drain(hotline):
        pass


async def write(hotline: Hotline, number: str, wang: Staff, *words: str) -> list[uuid.UUID]:
    keys = []
    for text in words:
        async with hotline.db.transaction() as session:
            ticket = await tickets.get(session, number)
            written = await tickets.reply(session, ticket, wang, text, hotline.clock())
        keys.append(written.id)
    return keys


async def states(hotline: Hotline, keys: list[uuid.UUID]) -> list[str]:
    async with hotline.db.reading() as session:
        found = {row.id: row.status for row in await session.scalars(select(Message))}
    return [found[key] for key in keys]


async def test_enough_sends_one_bubble_each(
    hotline: Hotline, number: str, wang: Staff, channel: FakeConnector, clock: Clock
) -> None:
    keys = await write(hotline, number, wang, "一", "二", "三", "四")
    await drained(hotline, clock)
    assert [text for _, text in channel.sent[-4:]] == ["一", "二", "三", "四"]
    assert await states(hotline, keys) == ["sent"] * 4


async def test_too_few_sends_and_the_replies_are_joined_in_order(
    hotline: Hotline, number: str, wang: Staff, channel: FakeConnector, clock: Clock
) -> None:
    await spend(hotline, 2)
    before = len(channel.sent)
    keys = await write(hotline, number, wang, "一", "二", "三")
    await drained(hotline, clock)
    assert [text for _, text in channel.sent[before:]] == ["一\n\n二\n\n三"]
    assert await states(hotline, keys) == ["sent"] * 3
    assert (await worker(hotline)).grant_left == 1


async def test_a_joined_bubble_never_outgrows_what_the_channel_carries(
    hotline: Hotline, number: str, wang: Staff, channel: FakeConnector, clock: Clock
) -> None:
    await spend(hotline, 2)
    before = len(channel.sent)
    keys = await write(hotline, number, wang, *(str(n) * 600 for n in range(8)))
    await drained(hotline, clock)
    bubbles = [text for _, text in channel.sent[before:]]
    assert [len(text.encode()) for text in bubbles] == [1804, 1804]
    assert await states(hotline, keys) == ["sent"] * 6 + ["held"] * 2
    await turn(hotline, says("我在"))
    await drained(hotline, clock)
    assert [text for _, text in channel.sent][-2:] == ["6" * 600, "7" * 600]


async def test_a_joined_bubble_that_fails_is_tried_again_whole(
    hotline: Hotline, number: str, wang: Staff, channel: FakeConnector, clock: Clock
) -> None:
    await spend(hotline, 1)
    before = len(channel.sent)
    channel.fail.append(SendError("忙", retryable=True))
    keys = await write(hotline, number, wang, "一", "二")
    await drained(hotline, clock)
    assert await states(hotline, keys) == ["pending"] * 2
    clock.forward(seconds=10)
    await drained(hotline, clock)
    assert [text for _, text in channel.sent[before:]] == ["一\n\n二"]
    assert await states(hotline, keys) == ["sent"] * 2


class Plain(FakeConnector):
    """Remembers the options that were handed over."""

    async def send(self, reply: Outbound, text: str) -> None:
        self.options = list(reply.options)
        await super().send(reply, text)


async def test_what_offers_options_is_not_joined(
    hotline: Hotline, number: str, wang: Staff, channel: FakeConnector, clock: Clock
) -> None:
    await spend(hotline, 2)
    before = len(channel.sent)
    keys = await write(hotline, number, wang, "一", "二", "三", "四")
    async with hotline.db.transaction() as session:
        await session.execute(
            update(Message).where(Message.id == keys[2]).values(payload={"options": [{"id": "a", "label": "甲"}]})
        )
    await drained(hotline, clock)
    assert [text for _, text in channel.sent[before:]] == ["一\n\n二", "三"]
    assert await states(hotline, keys) == ["sent", "sent", "sent", "held"]


async def test_options_go_with_a_bubble_of_their_own(hotline: Hotline, clock: Clock) -> None:
    plain = Plain()
    hotline.connectors["fake"] = plain
    await turn(hotline, says("公司拖欠我三个月工资不给怎么办"))
    async with hotline.db.transaction() as session:
        await session.execute(
            update(Message).where(Message.direction == "out").values(payload={"options": [{"id": "a", "label": "甲"}]})
        )
    clock.forward(seconds=60)
    await drained(hotline, clock)
    assert plain.options == [Option("a", "甲")]


@pytest.mark.parametrize("spent", [True, False])
async def test_when_the_platform_counts_otherwise_it_is_right(
    hotline: Hotline, number: str, wang: Staff, channel: FakeConnector, clock: Clock, spent: bool
) -> None:
    channel.fail.append(SendError("条数用完", retryable=False, hold=True, spent=spent))
    before = len(channel.sent)
    (first,) = await write(hotline, number, wang, "一")
    await drained(hotline, clock)
    (second,) = await write(hotline, number, wang, "二")
    await drained(hotline, clock)
    assert await states(hotline, [first, second]) == ["held", "held" if spent else "sent"]
    assert len(channel.sent) - before == (0 if spent else 1)
