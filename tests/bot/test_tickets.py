"""Tickets: one open for each talk, claimed by one, a sheet that says what matters, history in the thread."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from bot import tickets
from bot.conversation import turn
from bot.errors import Conflict, Forbidden, HotlineError, Invalid, NotFound
from bot.hotline import Hotline
from bot.models import Conversation, Message, Staff, Ticket
from tests.conftest import Clock
from tests.fakes import says


@pytest.fixture
async def number(hotline: Hotline) -> str:
    """A ticket of a worker who asked about wages first; another worker's talk and ticket stand beside it."""
    await turn(hotline, says("人工", "noise"))
    await turn(hotline, says("公司拖欠工资三个月不发，一共十二个人，怎么办"))
    return (await turn(hotline, says("转人工"))).ticket or ""


async def load(hotline: Hotline, number: str) -> Ticket:
    async with hotline.db.reading() as session:
        return await tickets.get(session, number)


async def act(hotline: Hotline, number: str, staff: Staff, what: str, *args: str) -> object:
    async with hotline.db.transaction() as session:
        ticket = await tickets.get(session, number)
        return await getattr(tickets, what)(session, ticket, staff, *args, hotline.clock())


async def test_numbers_count_the_day_up(hotline: Hotline, number: str) -> None:
    assert number == "20261123-0002"
    assert (await turn(hotline, says("人工", "third"))).ticket == "20261123-0003"


async def test_numbers_are_never_given_twice(hotline: Hotline) -> None:
    turned = await asyncio.gather(*(turn(hotline, says("人工", f"worker-{n}")) for n in range(12)))
    assert len({found.ticket for found in turned}) == 12


async def test_the_sheet_says_what_was_asked_answered_and_known(hotline: Hotline, number: str) -> None:
    ticket = await load(hotline, number)
    assert ticket.topic == "legal.wage_arrears"
    assert ticket.priority == "priority"
    assert "公司拖欠工资三个月不发" in ticket.sheet["asked"][0]
    assert ticket.sheet["answered"] == [hotline.knowledge.catalog.title("legal.wage_arrears")]
    assert "单位全称" in ticket.sheet["wanted"]


async def test_the_due_times_come_from_the_urgency(hotline: Hotline, number: str, clock: Clock) -> None:
    ticket = await load(hotline, number)
    assert (ticket.respond_due - ticket.created_at).total_seconds() == pytest.approx(3.5 * 3600, abs=2)
    danger = await turn(hotline, says("机器夹住手了正在流血快来人", "hurt"))
    crisis = await load(hotline, danger.ticket or "")
    assert crisis.priority == "crisis"
    assert (crisis.respond_due - crisis.created_at).total_seconds() == pytest.approx(600, abs=2)


async def test_danger_raises_the_ticket_that_is_open(hotline: Hotline, number: str) -> None:
    turned = await turn(hotline, says("我不想活了，跳下去算了"))
    assert turned.ticket == number
    ticket = await load(hotline, number)
    assert ticket.priority == "crisis"
    assert [cause["reason"] for cause in ticket.sheet["causes"]] == ["asked", "danger"]


async def test_of_two_who_claim_at_once_one_wins_and_the_other_hears_who(
    hotline: Hotline, number: str, wang: Staff, li: Staff
) -> None:
    done = await asyncio.gather(
        act(hotline, number, wang, "claim"), act(hotline, number, li, "claim"), return_exceptions=True
    )
    lost = [result for result in done if isinstance(result, Conflict)]
    assert len(lost) == 1
    winner = (await load(hotline, number)).staff_id
    assert ("王芳" if winner == wang.id else "李强") in str(lost[0])


async def test_claiming_twice_oneself_is_fine_and_says_hello_once(hotline: Hotline, number: str, wang: Staff) -> None:
    await act(hotline, number, wang, "claim")
    await act(hotline, number, wang, "claim")
    async with hotline.db.reading() as session:
        said = (await session.scalars(select(Message).where(Message.staff_id == wang.id))).all()
    assert len([message for message in said if message.direction == "out"]) == 1


async def test_only_the_holder_speaks_and_closes(hotline: Hotline, number: str, wang: Staff, li: Staff) -> None:
    with pytest.raises(Forbidden):
        await act(hotline, number, wang, "reply", "你好")
    await act(hotline, number, wang, "claim")
    with pytest.raises(Forbidden):
        await act(hotline, number, li, "reply", "你好")
    with pytest.raises(Forbidden):
        await act(hotline, number, li, "close", "answered")
    await act(hotline, number, li, "note", "我认识这家公司")


@pytest.mark.parametrize("text", ["", "   ", "字" * 4001])
async def test_a_reply_needs_words_and_not_a_book(hotline: Hotline, number: str, wang: Staff, text: str) -> None:
    await act(hotline, number, wang, "claim")
    with pytest.raises(Invalid):
        await act(hotline, number, wang, "reply", text)


async def test_a_long_reply_becomes_messages_that_fit(hotline: Hotline, number: str, wang: Staff) -> None:
    await act(hotline, number, wang, "claim")
    await act(hotline, number, wang, "reply", "请把合同拍照发来。" * 200)
    async with hotline.db.reading() as session:
        said = (await session.scalars(select(Message).where(Message.direction == "out"))).all()
    assert all(len(message.text.encode()) <= 2048 for message in said)


async def test_after_closing_nothing_more_can_be_done_and_the_bot_speaks_again(
    hotline: Hotline, number: str, wang: Staff
) -> None:
    await act(hotline, number, wang, "claim")
    with pytest.raises(Invalid):
        await act(hotline, number, wang, "close", "whatever")
    await act(hotline, number, wang, "close", "helped")
    for what, *args in (("claim",), ("reply", "再见"), ("close", "helped")):
        with pytest.raises(HotlineError):
            await act(hotline, number, wang, what, *args)
    async with hotline.db.reading() as session:
        ticket = await tickets.get(session, number)
        conversation = await session.get_one(Conversation, ticket.conversation_id)
    assert conversation.mode == "bot"


async def test_the_queue_puts_the_most_pressing_first(hotline: Hotline, number: str) -> None:
    await turn(hotline, says("着火了有人困在里面", "fire"))
    async with hotline.db.reading() as session:
        found = [ticket.priority for ticket in await tickets.queue(session)]
    assert found == sorted(found, key=tickets.PRIORITIES.index)
    assert found[0] == "crisis"


async def test_each_step_leaves_a_line_in_the_thread(hotline: Hotline, number: str, wang: Staff) -> None:
    await act(hotline, number, wang, "claim")
    await act(hotline, number, wang, "close", "helped")
    ticket = await load(hotline, number)
    async with hotline.db.reading() as session:
        thread = await tickets.thread(session, ticket.conversation_id)
    assert [message.kind for message in thread if message.direction == "event"] == ["opened", "claimed", "closed"]


async def test_a_number_that_is_not_there(hotline: Hotline) -> None:
    with pytest.raises(NotFound):
        await load(hotline, "20200101-0001")
