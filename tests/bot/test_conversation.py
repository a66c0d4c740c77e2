"""One message, one turn: stored once, answered once, in order, with nothing lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from bot import conversation, outbox, tickets
from bot.conversation import turn
from bot.dialogue import wording
from bot.hotline import Hotline
from bot.models import Conversation, Message, Staff, Ticket, Worker
from connectors.base import Event
from tests.conftest import Clock
from tests.fakes import FakeConnector, happens, says


async def rows(hotline: Hotline, *where: object) -> Sequence[Message]:
    async with hotline.db.reading() as session:
        found = await session.scalars(select(Message).where(*where).order_by(Message.id))  # type: ignore[arg-type]
        return found.all()


async def count(hotline: Hotline, table: type) -> int:
    async with hotline.db.reading() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def test_a_question_is_answered_from_an_article(hotline: Hotline) -> None:
    turned = await turn(hotline, says("公司拖欠工资三个月不发怎么办"))
    assert turned.text is not None
    assert "依据" in turned.text or "更多" in turned.text
    assert len(turned.text.encode()) <= 2048


async def test_a_repeat_gets_the_same_reply_and_leaves_no_second_row(hotline: Hotline) -> None:
    first = await turn(hotline, says("人工", key="once"))
    again = await turn(hotline, says("人工", key="once"))
    assert again.repeated
    assert again.text == first.text
    assert await count(hotline, Ticket) == 1
    assert len(await rows(hotline, Message.direction == "in")) == 1


async def test_three_deliveries_at_the_same_instant_are_one_message(hotline: Hotline) -> None:
    found = await asyncio.gather(*(turn(hotline, says("人工", key="once")) for _ in range(3)))
    assert len({turned.text for turned in found}) == 1
    assert await count(hotline, Ticket) == 1
    assert len(await rows(hotline, Message.direction == "in")) == 1
    assert len(await rows(hotline, Message.direction == "out")) == 1


async def test_a_first_contact_by_many_messages_at_once_makes_one_worker(hotline: Hotline) -> None:
    await asyncio.gather(*(turn(hotline, says("你好")) for _ in range(5)))
    assert await count(hotline, Worker) == 1
    assert await count(hotline, Conversation) == 1


async def test_two_workers_do_not_meet(hotline: Hotline) -> None:
    first = await turn(hotline, says("人工", "zhang"))
    second = await turn(hotline, says("人工", "li"))
    assert first.conversation_id != second.conversation_id
    assert await count(hotline, Ticket) == 2


async def test_nothing_personal_stands_in_the_database(hotline: Hotline) -> None:
    await turn(hotline, says("我叫张大力，电话13812345678，老板不发工资", "openid-of-zhang"))
    await turn(hotline, says("人工", "openid-of-zhang"))
    async with hotline.db.reading() as session:
        for table in ("worker", "conversation", "message", "ticket"):
            for row in await session.execute(text(f"SELECT * FROM {table}")):  # noqa: S608
                plain = " ".join(str(value) for value in row)
                assert "13812345678" not in plain
                assert "张大力" not in plain
                assert "openid-of-zhang" not in plain


async def test_the_rest_of_a_long_answer_comes_on_more(hotline: Hotline) -> None:
    turned = await turn(hotline, says("公司拖欠工资三个月不发怎么办"))
    pages = [turned.text or ""]
    while "更多" in pages[-1].splitlines()[-1]:
        pages.append((await turn(hotline, says("更多"))).text or "")
        assert len(pages) <= 3
    assert all(len(page.encode()) <= 2048 for page in pages)
    assert "核对" in "".join(pages)


async def test_the_bot_is_silent_while_a_person_holds_the_talk(hotline: Hotline, wang: Staff) -> None:
    opened = await turn(hotline, says("人工"))
    await _claim(hotline, opened.ticket, wang)
    assert (await turn(hotline, says("公司拖欠工资怎么办"))).text is None
    danger = await turn(hotline, says("我不想活了，站在楼顶"))
    assert danger.text is not None
    assert "12356" in danger.text
    async with hotline.db.reading() as session:
        assert (await tickets.get(session, opened.ticket or "")).priority == "crisis"


async def test_closing_gives_the_talk_back_and_asks_whether_it_is_solved(hotline: Hotline, wang: Staff) -> None:
    opened = await turn(hotline, says("人工"))
    await _claim(hotline, opened.ticket, wang)
    async with hotline.db.transaction() as session:
        ticket = await tickets.get(session, opened.ticket or "")
        await tickets.close(session, ticket, wang, "answered", hotline.clock())
    again = await turn(hotline, says("没有"))
    assert again.ticket is not None
    assert again.ticket != opened.ticket


async def test_after_hours_the_worker_hears_when_a_person_answers(hotline: Hotline, clock: Clock) -> None:
    clock.forward(hours=10)  # Eight in the evening.
    turned = await turn(hotline, says("转人工"))
    assert turned.text is not None
    assert "下班时间" in turned.text
    assert "明天 09:00" in turned.text


async def test_five_hundred_messages_in_a_minute_are_all_kept_and_told_once(hotline: Hotline) -> None:
    limit = hotline.settings.worker_rate
    replies = [(await turn(hotline, says("在吗"))).text for _ in range(limit + 30)]
    assert replies[limit] == wording.LIMITED
    assert replies[limit + 1 :] == [None] * 29
    assert len(await rows(hotline, Message.direction == "in")) == limit + 30


async def test_danger_and_a_person_are_heard_also_from_somebody_who_writes_too_fast(hotline: Hotline) -> None:
    for _ in range(hotline.settings.worker_rate + 2):
        await turn(hotline, says("在吗"))
    assert (await turn(hotline, says("人工"))).ticket
    assert (await turn(hotline, says("人工"))).text is None
    assert "12356" in ((await turn(hotline, says("我不想活了"))).text or "")
    assert (await turn(hotline, says("我不想活了"))).text is None


async def test_a_message_that_was_only_kept_is_answered_by_the_sweep(
    hotline: Hotline, clock: Clock, channel: FakeConnector
) -> None:
    inbound = says("公司拖欠工资怎么办", key="late")
    await conversation.keep(hotline, inbound)
    assert await conversation.answer_left_over(hotline) == 0
    clock.forward(minutes=1)
    assert await conversation.answer_left_over(hotline) == 1
    clock.forward(seconds=1)
    await outbox.drain(hotline)
    assert len(channel.sent) == 1
    again = await turn(hotline, inbound)
    assert again.text is None, "it was pushed, a late repeat must not show it twice"


async def test_a_kept_message_is_answered_once_by_the_turn_that_was_late(hotline: Hotline) -> None:
    inbound = says("公司拖欠工资怎么办", key="late")
    await conversation.keep(hotline, inbound)
    assert (await turn(hotline, inbound)).text
    assert len(await rows(hotline, Message.direction == "out")) == 1


async def test_unsubscribing_marks_the_worker_and_says_nothing(hotline: Hotline) -> None:
    await turn(hotline, says("你好"))
    assert (await turn(hotline, happens(Event.UNSUBSCRIBE))).text is None
    async with hotline.db.reading() as session:
        worker = (await session.scalars(select(Worker))).one()
    assert not worker.reachable
    assert worker.grant_left == 0


async def test_subscribing_is_greeted_with_what_the_hotline_can_do(hotline: Hotline) -> None:
    turned = await turn(hotline, happens(Event.SUBSCRIBE))
    assert turned.text is not None
    assert "人工" in turned.text


@pytest.mark.parametrize("words", ["😀😀😀", "a" * 20000, "\u200b", "。。。", "&lt;script&gt;", "' OR 1=1 --"])
async def test_odd_texts_get_words(hotline: Hotline, words: str) -> None:
    assert (await turn(hotline, says(words))).text


async def _claim(hotline: Hotline, number: str | None, colleague: Staff) -> None:
    async with hotline.db.transaction() as session:
        ticket = await tickets.get(session, number or "")
        await tickets.claim(session, ticket, colleague, hotline.clock())


def test_grace_is_longer_than_the_platform_keeps_trying() -> None:
    assert timedelta(seconds=15) < conversation._PASSIVE_GRACE


async def test_a_reply_waits_behind_what_the_outbox_is_about_to_send(hotline: Hotline, channel: FakeConnector) -> None:
    late = says("你好")
    first = await conversation.turn(hotline, late)
    assert first.message_id
    await conversation.release(hotline, [first.message_id])
    second = await conversation.turn(hotline, says("谢谢"))
    assert second.text is None, "in the response it would be read before the late one"
    assert (await conversation.turn(hotline, late)).text is None, "a repeat would bring it a second time"
    while await outbox.drain(hotline):
        pass
    told = "\n\n".join(text for _, text in channel.sent)
    assert told.startswith(first.text or "-")
    assert len(told) > len(first.text or "")
