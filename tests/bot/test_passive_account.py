"""An account that may only answer: late answers wait for the next message, whole, in order, never crossed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from bot import outbox, passive, tickets
from bot.api import webhooks
from bot.bell import Bell
from bot.dialogue import wording
from bot.hotline import Hotline
from bot.models import Message, Staff
from connectors.base import Connector
from connectors.pages import MORE
from connectors.webchat import WebChat
from connectors.wechat import WeChat, WeChatSettings
from intents.engine import Understanding
from tests.wechat_client import WeChatClient

TOKEN, APP_ID = "callback-of-the-union", "wx2c2769f8efd9abc2"
QUESTION = "公司拖欠我三个月工资不给怎么办"
OTHER = "上班路上被车撞了算工伤吗"


@pytest.fixture
async def connectors(redis_url: str, tmp_path: Path) -> AsyncIterator[dict[str, Connector]]:
    section = WeChatSettings(token=TOKEN, app_id=APP_ID, mode="plain", passive_only=True, freshness=0)  # type: ignore[arg-type]
    bell = Bell(redis_url)
    async with httpx.AsyncClient(trust_env=False) as http:
        yield {"web": WebChat(), "wechat": WeChat(section, bell, http)}
    await bell.close()


class Slow:
    """The engine on a bad day: what contains one of `on` is understood once `go` is set."""

    def __init__(self, hotline: Hotline, *on: str) -> None:
        self._engine = hotline.engine
        self._on = on
        self.go = asyncio.Event()
        hotline.engine = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def understand(self, text: str, *args: Any, **more: Any) -> Understanding:
        if any(word in text for word in self._on):
            await self.go.wait()
        return await self._engine.understand(text, *args, **more)


@pytest.fixture
async def wechat(client: httpx.AsyncClient) -> WeChatClient:
    return WeChatClient("http://hotline.test", TOKEN, APP_ID, mode="plain", http=client)


async def ask_late(hotline: Hotline, wechat: WeChatClient, openid: str, words: str, msg_id: int | None = None) -> str:
    """A message that is not answered in time. The budget is short only now: a busy machine is not late at rest."""
    usual = hotline.settings
    hotline.settings = usual.model_copy(update={"reply_budget": 0.4})
    try:
        return await say(wechat, openid, words, msg_id)
    finally:
        hotline.settings = usual


async def say(wechat: WeChatClient, openid: str, words: str, msg_id: int | None = None) -> str:
    return (await wechat.text(openid, words, msg_id)).text or ""


async def settle(hotline: Hotline, count: int = 1) -> None:
    """Until so many answers are ready and wait."""
    for _ in range(200):
        async with hotline.db.reading() as session:
            rows = (await session.scalars(select(Message.id).where(Message.status == "held"))).all()
        if len(rows) == count:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"{len(rows)} answers wait, not {count}")


async def test_the_worker_is_told_to_write_again_and_then_reads_the_answer_once(
    hotline: Hotline, wechat: WeChatClient
) -> None:
    slow = Slow(hotline, "拖欠")
    assert await ask_late(hotline, wechat, "oA", QUESTION) == wording.LATE
    slow.go.set()
    await settle(hotline)
    await outbox.drain(hotline)
    answer = await say(wechat, "oA", "1")
    assert "工资" in answer
    assert wording.GLAD not in answer, "the number was for the answer that had not been seen"
    assert wording.NOT_UNDERSTOOD not in answer
    later = await say(wechat, "oA", OTHER)
    assert "工伤" in later
    assert answer[:40] not in later


async def test_a_word_that_comes_while_the_answer_is_being_made_brings_it(
    hotline: Hotline, wechat: WeChatClient
) -> None:
    slow = Slow(hotline, "拖欠")
    assert await ask_late(hotline, wechat, "oA", QUESTION) == wording.LATE
    asking = asyncio.create_task(say(wechat, "oA", "好了吗"))
    await asyncio.sleep(0.1)
    slow.go.set()
    assert "工资" in await asking


async def test_answers_of_two_workers_are_never_crossed(hotline: Hotline, wechat: WeChatClient) -> None:
    slow = Slow(hotline, "拖欠", "被车撞")
    assert await ask_late(hotline, wechat, "oA", QUESTION) == wording.LATE
    assert await ask_late(hotline, wechat, "oB", OTHER) == wording.LATE
    slow.go.set()
    await settle(hotline, 2)
    for_b, for_a = await say(wechat, "oB", "看"), await say(wechat, "oA", "看")
    assert "工资" in for_a.splitlines()[0] + for_a
    assert "被车撞" not in for_a
    assert "工伤" in for_b
    assert for_a != for_b


async def test_a_new_question_is_answered_behind_the_older_answer(hotline: Hotline, wechat: WeChatClient) -> None:
    slow = Slow(hotline, "拖欠")
    assert await ask_late(hotline, wechat, "oA", QUESTION) == wording.LATE
    slow.go.set()
    await settle(hotline)
    pages = [await say(wechat, "oA", OTHER)]
    while pages[-1].endswith("看下一段"):
        pages.append(await say(wechat, "oA", "更多"))
    whole = "\n".join(page.removesuffix("……回复“更多”看下一段") for page in pages)
    slow.go.set()
    alone = await say(wechat, "oNew", QUESTION)
    first = alone.split("……")[0][:60]
    assert whole.count(first) == 1
    assert whole.index(first) < whole.index("交通事故")
    assert whole.count("看下一段") == 0


async def test_a_person_and_danger_are_heard_while_an_answer_waits(hotline: Hotline, wechat: WeChatClient) -> None:
    slow = Slow(hotline, "拖欠")
    for openid, words, sign in (("oA", "人工", "工单号"), ("oB", "不想活了", "12356")):
        slow.go.clear()
        assert await ask_late(hotline, wechat, openid, QUESTION) == wording.LATE
        slow.go.set()
        await settle(hotline)
        said = await say(wechat, openid, words)
        while said.endswith("看下一段"):
            said += await say(wechat, openid, "更多")
        assert "工资" in said
        assert sign in said


async def test_a_repeated_delivery_brings_the_answer_and_the_next_message_does_not(
    hotline: Hotline, wechat: WeChatClient
) -> None:
    slow = Slow(hotline, "拖欠")
    assert await ask_late(hotline, wechat, "oA", QUESTION, 77) == wording.LATE
    slow.go.set()
    await settle(hotline)
    repeated = await say(wechat, "oA", QUESTION, 77)
    assert "工资" in repeated
    await wechat_receipts(wechat)
    assert repeated[:40] not in await say(wechat, "oA", OTHER)


async def wechat_receipts(wechat: WeChatClient) -> None:
    """What the task beside the requests does twice a second."""
    app = wechat._http._transport.app  # type: ignore[attr-defined]
    await app.state.receipts.flush()


async def test_two_messages_in_a_row_get_one_answer_each(wechat: WeChatClient) -> None:
    first = await say(wechat, "oA", QUESTION)
    second = await say(wechat, "oA", OTHER)
    assert first[:40] not in second


async def test_what_a_colleague_writes_rides_on_the_next_message_also_while_they_hold_the_talk(
    hotline: Hotline, wechat: WeChatClient, wang: Staff
) -> None:
    await say(wechat, "oA", "人工")
    await wechat_receipts(wechat)
    async with hotline.db.transaction() as session:
        (ticket,) = await tickets.queue(session)
        await tickets.claim(session, ticket, wang, hotline.clock())
        await tickets.reply(session, ticket, wang, "明天带合同来", hotline.clock())
    while await outbox.drain(hotline):
        pass
    said = await say(wechat, "oA", "在吗")
    assert said.endswith("明天带合同来")
    assert "王芳" in said
    assert await say(wechat, "oA", "好的") == ""


async def test_nothing_is_left_running_behind_the_responses(hotline: Hotline, wechat: WeChatClient) -> None:
    slow = Slow(hotline, "拖欠")
    await ask_late(hotline, wechat, "oA", QUESTION)
    slow.go.set()
    await settle(hotline)
    assert not webhooks._background


def row(text: str) -> Message:
    return Message(text=text, status="held")


def test_the_pages_of_what_waited_follow_it_and_pages_of_something_read_do_not() -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    waiting = [row("同事的话"), row(f"第一页\n{MORE}")]
    assert passive.continues(waiting)
    assert passive.hand_out(waiting, (f"第二页\n{MORE}", "第三页"), now) == ["同事的话", "第一页", "第二页", "第三页"]
    assert {found.status for found in waiting} == {"sent"}
    assert not passive.continues([row("同事的话")])
    assert not passive.continues([])
    assert passive.hand_out([row("同事的话")], ("早先那段的下一页",), now) == ["同事的话"]
