"""The desk: the queue and the ticket as colleagues see them, and what they may do with it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from bot import outbox, tickets
from bot.conversation import turn
from bot.hotline import Hotline
from bot.models import Conversation, Message, Ticket, Worker
from connectors.base import Event, Inbound, Kind
from tests.bot.console_seat import Colleague, at_desk
from tests.conftest import Clock
from tests.fakes import FakeConnector, happens, says

HOSTILE = "13812345678是我电话<script>alert('x')</script><img src=x onerror=alert(1)>公司拖欠工资"


@pytest.fixture
async def fang(hotline: Hotline) -> AsyncIterator[Colleague]:
    async with at_desk(hotline, "fang", "王芳") as colleague:
        yield colleague


@pytest.fixture
async def qiang(hotline: Hotline) -> AsyncIterator[Colleague]:
    async with at_desk(hotline, "qiang", "李<b>强</b>") as colleague:
        yield colleague


@pytest.fixture
async def number(hotline: Hotline) -> str:
    """The ticket of a worker whose words are not to be trusted; another worker's stands beside it."""
    await turn(hotline, says("人工", "noise"))
    await turn(hotline, says(HOSTILE))
    return (await turn(hotline, says("人工"))).ticket or ""


@pytest.fixture
async def held(fang: Colleague, number: str) -> str:
    assert (await fang.post(f"/console/tickets/{number}/claim")).status_code == 303
    return number


async def load(hotline: Hotline, number: str) -> Ticket:
    async with hotline.db.reading() as session:
        return await tickets.get(session, number)


async def thread(hotline: Hotline, number: str) -> list[Message]:
    async with hotline.db.reading() as session:
        ticket = await tickets.get(session, number)
        return list(await tickets.thread(session, ticket.conversation_id))


async def deliver(hotline: Hotline, clock: Clock) -> None:
    """Everything that is due, once the replies that rode in responses are no longer left alone."""
    clock.forward(seconds=30)
    while await outbox.drain(hotline):
        pass


async def test_the_queue_shows_what_waits(fang: Colleague, number: str) -> None:
    page = (await fang.get("/console")).text
    assert number in page
    assert "<strong>2</strong> 张等人接手" in page
    assert "待接手" in page
    assert "本人要求人工" in page


async def test_long_numbers_are_masked_in_the_queue_and_whole_in_the_thread(fang: Colleague, number: str) -> None:
    queue = (await fang.get("/console")).text
    assert "13812345678" not in queue
    assert "138****5678" in queue
    assert "13812345678" in (await fang.get(f"/console/tickets/{number}")).text


async def test_what_people_wrote_is_never_markup(fang: Colleague, qiang: Colleague, number: str) -> None:
    await qiang.post(f"/console/tickets/{number}/claim")
    await qiang.post(f"/console/tickets/{number}/note", text="<b onclick=x>备注</b>")
    for path in ("/console", f"/console/tickets/{number}"):
        page = (await fang.get(path)).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "<b>强" not in page
        assert "<b onclick" not in page
        assert "李&lt;b&gt;强&lt;/b&gt;" in page


async def test_late_is_loud(fang: Colleague, number: str, clock: Clock) -> None:
    assert "is-late" not in (await fang.get("/console")).text
    clock.forward(hours=6)
    page = (await fang.get("/console")).text
    assert "is-late" in page
    assert "已超" in page


async def test_the_most_pressing_comes_first(hotline: Hotline, fang: Colleague, number: str) -> None:
    async with hotline.db.transaction() as session:
        await session.execute(update(Ticket).where(Ticket.number == number).values(priority="crisis"))
    page = (await fang.get("/console")).text
    assert re.findall(r'q-title" href="/console/tickets/([0-9-]+)"', page)[0] == number
    assert f'data-urgent="{number}"' in page
    assert "危急" in page


async def test_mine_and_closed_are_lists_of_their_own(fang: Colleague, qiang: Colleague, held: str) -> None:
    assert held in (await fang.get("/console?show=mine")).text
    assert held not in (await qiang.get("/console?show=mine")).text
    await fang.post(f"/console/tickets/{held}/close", outcome="answered")
    assert held not in (await fang.get("/console")).text
    closed = (await fang.get("/console?show=closed")).text
    assert held in closed
    assert "已解答" in closed


async def test_a_number_opens_its_ticket(fang: Colleague, number: str) -> None:
    answer = await fang.get(f"/console?number=%20{number}")
    assert answer.headers["location"] == f"/console/tickets/{number}"
    astray = await fang.get("/console?number=../../evil")
    assert astray.headers["location"] == "/console/tickets/-"


async def test_the_fragment_is_sent_only_when_it_changed(hotline: Hotline, fang: Colleague, number: str) -> None:
    page = (await fang.get("/console")).text
    address = re.search(r'hx-get="(/console\?[^"]+)"', page)
    assert address
    path = address[1].replace("&amp;", "&")
    assert (await fang.get(path, **{"HX-Request": "true"})).status_code == 204
    await turn(hotline, says("人工", "third"))
    changed = await fang.get(path, **{"HX-Request": "true"})
    assert changed.status_code == 200
    assert "<html" not in changed.text
    assert "<strong>3</strong>" in changed.text


@pytest.mark.parametrize("part", ["thread", "room", "actions"])
async def test_each_part_of_a_ticket_is_sent_only_when_it_changed(
    hotline: Hotline, fang: Colleague, held: str, part: str, clock: Clock
) -> None:
    page = (await fang.get(f"/console/tickets/{held}")).text
    address = re.search(rf'hx-get="(/console/tickets/[^"]+part={part}[^"]+)"', page)
    assert address
    path = address[1].replace("&amp;", "&")
    assert (await fang.get(path)).status_code == 204
    await fang.post(f"/console/tickets/{held}/reply", text="您好")
    await deliver(hotline, clock)
    after = {"thread": 200, "room": 200, "actions": 204}[part]
    assert (await fang.get(path)).status_code == after


async def test_two_claims_at_once_one_wins_and_the_other_is_told_who(
    hotline: Hotline, fang: Colleague, qiang: Colleague, number: str
) -> None:
    path = f"/console/tickets/{number}/claim"
    answers = await asyncio.gather(fang.post(path), qiang.post(path))
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    winner = "王芳" if answers[0].status_code == 303 else "李&lt;b&gt;强&lt;/b&gt;"
    lost = next(answer for answer in answers if answer.status_code == 409)
    assert f"{winner}已经接手了这张工单" in lost.text
    claims = [line for line in await thread(hotline, number) if line.kind == "claimed"]
    assert len(claims) == 1


async def test_only_the_holder_may_reply(hotline: Hotline, qiang: Colleague, held: str) -> None:
    refused = await qiang.post(f"/console/tickets/{held}/reply", text="我来说两句")
    assert refused.status_code == 403
    assert "请先接手这张工单" in refused.text
    assert not [line for line in await thread(hotline, held) if line.text == "我来说两句"]


async def test_a_reply_goes_out_and_its_state_is_shown(
    hotline: Hotline, fang: Colleague, held: str, channel: FakeConnector, clock: Clock
) -> None:
    assert (await fang.post(f"/console/tickets/{held}/reply", text="材料带上合同")).status_code == 303
    assert "待发" in (await fang.get(f"/console/tickets/{held}")).text
    await deliver(hotline, clock)
    assert ("zhang", "材料带上合同") in channel.sent
    assert "已发" in (await fang.get(f"/console/tickets/{held}")).text


async def test_a_second_click_does_not_say_it_twice(hotline: Hotline, fang: Colleague, held: str, clock: Clock) -> None:
    path = f"/console/tickets/{held}/reply"
    await asyncio.gather(*(fang.post(path, text="材料带上合同") for _ in range(4)))
    assert [line.text for line in await thread(hotline, held)].count("材料带上合同") == 1
    clock.forward(minutes=2)
    await fang.post(path, text="材料带上合同")
    assert [line.text for line in await thread(hotline, held)].count("材料带上合同") == 2


async def test_an_empty_reply_is_asked_for_again(fang: Colleague, held: str) -> None:
    answer = await fang.post(f"/console/tickets/{held}/reply", text="  ")
    assert answer.status_code == 422
    assert "请先写点什么" in answer.text


async def test_too_long_a_reply_keeps_what_was_typed(fang: Colleague, held: str) -> None:
    answer = await fang.post(f"/console/tickets/{held}/reply", text="长" * 4001)
    assert answer.status_code == 422
    assert "长" * 4001 in answer.text


async def test_a_note_is_for_colleagues_only(
    hotline: Hotline, fang: Colleague, qiang: Colleague, held: str, channel: FakeConnector, clock: Clock
) -> None:
    await qiang.post(f"/console/tickets/{held}/note", text="这家单位上个月也有人投诉")
    await deliver(hotline, clock)
    assert "这家单位上个月也有人投诉" in (await fang.get(f"/console/tickets/{held}")).text
    assert not any("上个月也有人投诉" in text for _, text in channel.sent)


async def test_closing_gives_the_talk_back(hotline: Hotline, fang: Colleague, held: str) -> None:
    assert (await fang.post(f"/console/tickets/{held}/close", outcome="")).status_code == 422
    assert (await fang.post(f"/console/tickets/{held}/close", outcome="helped")).status_code == 303
    ticket = await load(hotline, held)
    assert (ticket.status, ticket.outcome) == ("closed", "helped")
    async with hotline.db.reading() as session:
        assert (await session.get_one(Conversation, ticket.conversation_id)).mode == "bot"
    page = (await fang.get(f"/console/tickets/{held}")).text
    assert "王芳办结：已帮助解决" in page
    assert (await fang.post(f"/console/tickets/{held}/reply", text="还有")).status_code == 409


async def test_what_the_channel_still_allows_is_shown(
    hotline: Hotline, fang: Colleague, held: str, clock: Clock
) -> None:
    page = (await fang.get(f"/console/tickets/{held}")).text
    assert re.search(r"还能发 <strong>5</strong> 条，到 <strong>11月25日 10:\d\d</strong>", page)
    async with hotline.db.transaction() as session:
        await session.execute(update(Worker).values(grant_left=0))
    assert "对方下次来信时送达" in (await fang.get(f"/console/tickets/{held}")).text
    async with hotline.db.transaction() as session:
        await session.execute(update(Worker).values(grant_left=3))
    clock.forward(hours=49)
    fresh = Colleague(fang.client)
    await fresh.log_in("fang")
    assert "对方下次来信时送达" in (await fresh.get(f"/console/tickets/{held}")).text


async def test_a_held_and_a_failed_reply_say_why(hotline: Hotline, fang: Colleague, held: str) -> None:
    await fang.post(f"/console/tickets/{held}/reply", text="等你回话")
    async with hotline.db.transaction() as session:
        await session.execute(update(Message).where(Message.staff_id.is_not(None)).values(status="held"))
    assert "等待对方来信" in (await fang.get(f"/console/tickets/{held}")).text
    async with hotline.db.transaction() as session:
        failed = {"status": "failed", "error": "账号没有这项权限"}
        await session.execute(update(Message).where(Message.staff_id.is_not(None)).values(**failed))
    assert "未送达：账号没有这项权限" in (await fang.get(f"/console/tickets/{held}")).text


async def test_a_worker_who_left_cannot_be_reached(hotline: Hotline, fang: Colleague, held: str) -> None:
    await turn(hotline, happens(Event.UNSUBSCRIBE))
    page = (await fang.get(f"/console/tickets/{held}")).text
    assert "对方已经取消关注" in page
    assert "对方取消了关注" in page


async def test_pictures_options_and_cards_are_readable(hotline: Hotline, fang: Colleague, clock: Clock) -> None:
    await turn(hotline, says("公司拖欠工资三个月不发怎么办"))
    picture = Inbound("fake", "pic", "zhang", Kind.IMAGE, clock(), payload={"media_id": "MEDIA-7", "url": "http://p/1"})
    await turn(hotline, picture)
    number = (await turn(hotline, says("人工"))).ticket
    page = (await fang.get(f"/console/tickets/{number}")).text
    assert "［图片，http://p/1，MEDIA-7］" in page
    assert "卡片全文" in page
    assert "没有帮助" in page
    assert hotline.knowledge.catalog.title("legal.wage_arrears") in page


async def test_the_status_page_tells_what_waits(hotline: Hotline, fang: Colleague, held: str) -> None:
    await fang.post(f"/console/tickets/{held}/reply", text="材料带上合同")
    page = (await fang.get("/console/status")).text
    assert "数据库" in page
    assert "Redis" in page
    waiting = re.search(r"<dt>等着发</dt><dd>(\d+)</dd>", page)
    assert waiting
    async with hotline.db.reading() as session:
        pending = select(Message).where(Message.direction == "out", Message.status == "pending")
        assert int(waiting[1]) == len((await session.scalars(pending)).all())


async def test_a_ticket_of_yesterday_says_so(fang: Colleague, number: str, clock: Clock, hotline: Hotline) -> None:
    clock.now += timedelta(hours=20)
    again = Colleague(fang.client)
    await again.log_in("fang")
    assert "昨天 10:" in (await again.get(f"/console/tickets/{number}")).text
