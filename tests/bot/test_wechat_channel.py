"""The service on a WeChat account: posters, menu, late answers, the platform's own desk, notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from bot import outbox, tickets
from bot.api import webhooks
from bot.bell import Bell
from bot.hotline import Hotline
from bot.models import Message, Staff, Ticket, Worker
from connectors.base import Connector
from connectors.webchat import WebChat
from connectors.wechat import WeChat, WeChatSettings
from tests.bot.test_passive_account import Slow, ask_late
from tests.conftest import Clock
from tests.wechat_client import WeChatClient
from tests.wechat_platform import WeChatPlatform, serving

TOKEN, APP_ID, APP_SECRET = "callback-of-the-union", "wx2c2769f8efd9abc2", "7d1f0c9b5e"
QUESTION = "公司拖欠我三个月工资不给怎么办"
GUIDE = """
menu: [{name: 欠薪, topic: legal.wage_arrears}, {name: 找人工, say: 人工}]
sites: {poster-7: 西红门工会服务站}
notice: {fields: {character_string1: "{number}", thing2: 您的工单有新回复}}
"""


@pytest.fixture(scope="module")
async def served() -> AsyncIterator[WeChatPlatform]:
    found = WeChatPlatform(APP_ID, APP_SECRET)
    async with serving(found):
        yield found


@pytest.fixture
def platform(served: WeChatPlatform) -> WeChatPlatform:
    served.reset()
    return served


@pytest.fixture
async def connectors(
    platform: WeChatPlatform, redis_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[dict[str, Connector]]:
    (tmp_path / "menu.yaml").write_text(GUIDE)
    section = WeChatSettings(
        token=TOKEN,  # type: ignore[arg-type]
        app_id=APP_ID,
        app_secret=APP_SECRET,  # type: ignore[arg-type]
        mode="plain",
        freshness=0,
        api_url=platform.url,
        menu=str(tmp_path / "menu.yaml"),
        transfer=True,
        notice_template="TICKET-NEWS",
    )
    bell = Bell(redis_url, prefix=f"{request.node.nodeid}:")
    async with httpx.AsyncClient(trust_env=False) as http:
        yield {"web": WebChat(), "wechat": WeChat(section, bell, http)}
    await bell.close()


@pytest.fixture
async def wechat(client: httpx.AsyncClient) -> WeChatClient:
    return WeChatClient("http://hotline.test", TOKEN, APP_ID, mode="plain", http=client)


async def the_ticket(hotline: Hotline) -> Ticket:
    async with hotline.db.reading() as session:
        return (await session.scalars(select(Ticket))).one()


async def drained(hotline: Hotline, clock: Clock, seconds: float = 30) -> None:
    clock.forward(seconds=seconds)
    while await outbox.drain(hotline):
        pass


@pytest.mark.parametrize(("event", "key"), [("subscribe", "qrscene_poster-7"), ("SCAN", "poster-7")])
async def test_a_poster_is_named_in_the_greeting_and_on_the_ticket(
    hotline: Hotline, wechat: WeChatClient, event: str, key: str
) -> None:
    hello = await wechat.event("oA", event, key, Ticket="T")
    assert "西红门工会服务站" in (hello.text or "")
    await wechat.text("oA", "人工")
    assert (await the_ticket(hotline)).sheet["site"] == "西红门工会服务站"


async def test_a_poster_that_nobody_knows_is_greeted_without_a_name(hotline: Hotline, wechat: WeChatClient) -> None:
    hello = (await wechat.event("oA", "subscribe", "qrscene_elsewhere")).text or ""
    assert "工会" in hello
    assert "扫的码" not in hello
    await wechat.text("oA", "人工")
    assert (await the_ticket(hotline)).sheet["site"] == ""


async def test_the_buttons_of_the_menu_answer_in_the_response(hotline: Hotline, wechat: WeChatClient) -> None:
    assert "工资" in ((await wechat.event("oA", "CLICK", "topic:legal.wage_arrears")).text or "")
    assert "工单号" in ((await wechat.event("oA", "CLICK", "人工")).text or "")
    async with hotline.db.reading() as session:
        said = (await session.scalars(select(Message.text).where(Message.direction == "in"))).all()
    assert sorted(said) == ["人工", "欠薪"], "colleagues read the words of the button, not its key"
    assert (await wechat.event("oA", "scancode_waitmsg", "scan")).text, "the worker looks at 消息接收中 until then"
    assert (await wechat.event("oA", "VIEW", "https://union.example/")).text is None


async def test_a_late_answer_shows_that_somebody_writes_and_is_pushed(
    hotline: Hotline, wechat: WeChatClient, platform: WeChatPlatform
) -> None:
    slow = Slow(hotline, "拖欠")
    assert await ask_late(hotline, wechat, "oA", QUESTION) == ""
    for _ in range(200):
        if platform.typed:
            break
        await asyncio.sleep(0.02)
    assert platform.typed == ["oA"]
    slow.go.set()
    for _ in range(200):
        await outbox.drain(hotline)
        if platform.shown["oA"]:
            break
        await asyncio.sleep(0.02)
    (answer,) = platform.shown["oA"]
    assert "工资" in answer
    await asyncio.gather(*webhooks._background)


async def test_in_duty_hours_a_worker_is_brought_to_the_platforms_desk_with_a_ticket(
    hotline: Hotline, wechat: WeChatClient, platform: WeChatPlatform, clock: Clock
) -> None:
    platform.online = ["kf1@union"]
    answer = await wechat.text("oA", "人工")
    assert answer.body != b"success"
    assert wechat.transferred == [("oA", "")]
    await drained(hotline, clock)
    number = (await the_ticket(hotline)).number
    (told,) = platform.shown["oA"]
    assert number in told

    await wechat.event("oA", "kf_create_session", KfAccount="kf1@union")
    assert (await wechat.text("oA", QUESTION)).text is None, "a colleague speaks with the worker"
    await wechat.event("oA", "kf_close_session", KfAccount="kf1@union")
    assert "工资" in ((await wechat.text("oA", QUESTION)).text or "")
    assert len(wechat.transferred) == 1


async def test_nobody_is_brought_to_an_empty_desk_or_after_hours(
    hotline: Hotline, wechat: WeChatClient, platform: WeChatPlatform, clock: Clock
) -> None:
    assert "工单号" in ((await wechat.text("oA", "人工")).text or "")
    platform.online = ["kf1@union"]
    clock.forward(hours=12)
    assert "工单号" in ((await wechat.text("oB", "人工")).text or "")
    assert wechat.transferred == []


async def test_danger_stays_with_us(wechat: WeChatClient, platform: WeChatPlatform) -> None:
    platform.online = ["kf1@union"]
    assert "12356" in ((await wechat.text("oA", "我不想活了")).text or "")
    assert wechat.transferred == []


async def test_a_worker_who_agreed_is_told_of_a_reply_after_the_window(
    hotline: Hotline, wechat: WeChatClient, platform: WeChatPlatform, wang: Staff, clock: Clock
) -> None:
    await wechat.text("oA", "人工")
    body = (
        "<xml><ToUserName>gh</ToUserName><FromUserName>oA</FromUserName><CreateTime>1763800000</CreateTime>"
        "<MsgType>event</MsgType><Event>subscribe_msg_popup_event</Event><SubscribeMsgPopupEvent><List>"
        "<TemplateId>TICKET-NEWS</TemplateId><SubscribeStatusString>accept</SubscribeStatusString></List>"
        "</SubscribeMsgPopupEvent></xml>"
    )
    for _ in range(3):
        assert (await wechat.raw(body.encode())).content == b"success"
    platform.consents["oA"] = 1
    clock.forward(hours=72)
    async with hotline.db.transaction() as session:
        (ticket,) = await tickets.queue(session)
        await tickets.claim(session, ticket, wang, hotline.clock())
        await tickets.reply(session, ticket, wang, "材料齐了", hotline.clock())
    await drained(hotline, clock)
    assert platform.noticed == [("oA", {"character_string1": ticket.number, "thing2": "您的工单有新回复"})]
    async with hotline.db.reading() as session:
        assert (await session.scalars(select(Worker.notices))).one() == 0
    assert platform.shown["oA"] == []
    await wechat.text("oA", "在")
    await drained(hotline, clock)
    assert platform.shown["oA"][-1] == "材料齐了"
