"""A worker on WeChat, from the first hello to the call after the ticket is closed, against the running service."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from itertools import count

import httpx
import pytest

from tests.e2e.service import Desk, Server, until, wechat_at
from tests.wechat_client import WeChatClient
from tests.wechat_platform import WeChatPlatform

NUMBER = re.compile(r"\d{8}-\d{4}")
CHECKED = re.compile(r"\d{4}年\d{1,2}月|\d{4}-\d{2}-\d{2}")
_people = count(1)


@pytest.fixture
def wechat(server: Server, http: httpx.AsyncClient, platform: WeChatPlatform) -> WeChatClient:
    platform.reset()
    return wechat_at(server, http)


@pytest.fixture
async def desk(server: Server) -> AsyncIterator[Desk]:
    async with Desk(server) as found:
        yield found


@pytest.fixture
def openid() -> str:
    """A worker who has never written before."""
    return f"oJourney{next(_people):04d}{time.time_ns()}"


async def say(wechat: WeChatClient, openid: str, words: str) -> str:
    """What the worker reads at once; not a word is a failure."""
    answer = await wechat.text(openid, words)
    assert answer.text, f"silence after {words}"
    return answer.text


async def hear_all(wechat: WeChatClient, openid: str, words: str) -> str:
    """The answer with all its pages."""
    pages = [await say(wechat, openid, words)]
    while "回复“更多”" in pages[-1] and len(pages) < 6:
        pages.append(await say(wechat, openid, "更多"))
    return "\n".join(pages)


async def ask_for_a_person(wechat: WeChatClient, openid: str) -> str:
    """The ticket's number."""
    found = NUMBER.search(await say(wechat, openid, "人工"))
    assert found
    return found[0]


async def take_over(wechat: WeChatClient, platform: WeChatPlatform, desk: Desk, openid: str) -> str:
    """A ticket that a colleague holds and whose worker has been told so."""
    number = await ask_for_a_person(wechat, openid)
    platform.contact(openid)
    await desk.on_ticket(number, "claim")
    await until(lambda: platform.shown[openid])
    return number


async def test_the_platform_checks_that_we_are_there(wechat: WeChatClient) -> None:
    await wechat.verify()
    await wechat.verify("7f3a&b=c d+e")


async def test_whoever_subscribes_is_greeted_and_told_how_to_reach_a_person(wechat: WeChatClient, openid: str) -> None:
    hello = await wechat.event(openid, "subscribe")
    assert hello.text
    assert "工会" in hello.text
    assert "人工" in hello.text


async def test_a_question_is_answered_in_the_response_with_source_and_date(wechat: WeChatClient, openid: str) -> None:
    first = await wechat.text(openid, "公司拖欠我三个月工资不给怎么办")
    assert first.text
    assert "工资" in first.text
    assert first.seconds < 5
    rest = "" if "更多" not in first.text else await hear_all(wechat, openid, "更多")
    whole = first.text + rest
    assert re.search(r"第\d+条|法|条例|办法", whole)
    assert CHECKED.search(whole)


async def test_a_follow_up_gets_just_that_part_of_the_same_matter(wechat: WeChatClient, openid: str) -> None:
    whole = await hear_all(wechat, openid, "公司拖欠我三个月工资不给怎么办")
    part = await say(wechat, openid, "要带什么材料")
    assert part.startswith("材料")
    assert len(part) < len(whole)


async def test_a_person_is_one_word_away_and_comes_with_a_number_and_a_time(
    wechat: WeChatClient, server: Server, openid: str
) -> None:
    told = await say(wechat, openid, "人工")
    number = NUMBER.search(told)
    assert number
    assert re.search(r"\d{1,2}[:：点]\d{0,2}", told)
    assert [row["number"] for row in await server.tickets(openid)] == [number[0]]
    again = await say(wechat, openid, "0")
    assert number[0] in again
    assert len(await server.tickets(openid)) == 1


@pytest.mark.parametrize("words", ["工伤认定要多久", "人工"])
async def test_a_message_delivered_three_times_is_answered_once(
    wechat: WeChatClient, server: Server, openid: str, words: str
) -> None:
    msg_id = time.time_ns()
    said = [(await wechat.text(openid, words, msg_id=msg_id)).text for _ in range(3)]
    assert said[0]
    assert len(set(said)) == 1
    await _one_of_each(server, openid, tickets=words == "人工")


@pytest.mark.parametrize("words", ["工伤认定要多久", "人工"])
async def test_three_deliveries_at_the_same_instant_are_answered_once(
    wechat: WeChatClient, server: Server, openid: str, words: str
) -> None:
    msg_id = time.time_ns()
    answers = await asyncio.gather(*(wechat.text(openid, words, msg_id=msg_id) for _ in range(3)))
    assert answers[0].text
    assert len({answer.text for answer in answers}) == 1
    await _one_of_each(server, openid, tickets=words == "人工")


async def _one_of_each(server: Server, openid: str, *, tickets: bool) -> None:
    rows = await server.messages(openid)
    assert [row["direction"] for row in rows if row["direction"] in ("in", "out")] == ["in", "out"]
    assert len(await server.tickets(openid)) == tickets


async def test_a_subscription_delivered_twice_is_greeted_once(
    wechat: WeChatClient, server: Server, openid: str
) -> None:
    fields: dict[str, str | int] = {"ToUserName": "gh", "FromUserName": openid, "CreateTime": int(time.time())}
    answers = await wechat.deliver(fields | {"MsgType": "event", "Event": "subscribe", "EventKey": ""}, times=3)
    assert len({answer.text for answer in answers}) == 1
    assert len([row for row in await server.messages(openid) if row["direction"] == "out"]) == 1


async def test_a_colleague_takes_over_answers_and_gives_the_talk_back(
    wechat: WeChatClient, platform: WeChatPlatform, desk: Desk, server: Server, openid: str
) -> None:
    await hear_all(wechat, openid, "公司拖欠我三个月工资不给怎么办")
    number = await ask_for_a_person(wechat, openid)
    platform.contact(openid)
    assert number in await desk.get("/console")

    await desk.on_ticket(number, "claim")
    await until(lambda: platform.shown[openid])
    await desk.on_ticket(number, "reply", text="你把劳动合同拍一张发我")
    await until(lambda: "你把劳动合同拍一张发我" in platform.shown[openid])
    assert platform.calls["stable_token"] <= 1, "one token for all pushes"
    assert "token" not in platform.calls

    for words in ("好的", "公司拖欠我三个月工资不给怎么办", "在吗"):
        assert (await wechat.text(openid, words)).text is None, "the bot speaks while a person holds the talk"
    assert "公司拖欠我三个月工资不给怎么办" in await desk.get(f"/console/tickets/{number}")

    await desk.on_ticket(number, "close", outcome="answered")
    asked = await until(lambda: next((text for text in platform.shown[openid] if "解决了吗" in text), None))
    assert number in asked
    assert await say(wechat, openid, "解决了")
    assert [row["status"] for row in await server.tickets(openid)] == ["closed"]
    assert "工伤" in await hear_all(wechat, openid, "上班路上被车撞了算工伤吗")


async def test_the_sixth_push_waits_for_the_worker_and_then_comes(
    wechat: WeChatClient, platform: WeChatPlatform, desk: Desk, server: Server, openid: str
) -> None:
    number = await take_over(wechat, platform, desk, openid)
    tried = platform.calls["custom/send"]
    for turn in range(2, 7):
        await desk.on_ticket(number, "reply", text=f"第{turn}句")
    await until(lambda: _held(server, openid))
    assert platform.shown[openid][1:] == ["第2句", "第3句", "第4句", "第5句"]
    assert platform.calls["custom/send"] == tried + 4, "the quota is ours to keep, not the platform's to enforce"
    page = await desk.get(f"/console/tickets/{number}")
    assert "发不出去" in page
    assert "第6句" in page

    platform.contact(openid)
    assert (await wechat.text(openid, "我在")).text is None
    await until(lambda: platform.shown[openid][-1] == "第6句")


async def _held(server: Server, openid: str) -> bool:
    return "held" in [row["status"] for row in await server.messages(openid)]


async def test_a_token_that_died_is_renewed_once_and_the_reply_arrives(
    wechat: WeChatClient, platform: WeChatPlatform, desk: Desk, openid: str
) -> None:
    number = await take_over(wechat, platform, desk, openid)
    before = platform.calls["stable_token"]
    platform.expire()
    await desk.on_ticket(number, "reply", text="你的材料齐了")
    await until(lambda: "你的材料齐了" in platform.shown[openid])
    assert platform.calls["stable_token"] == before + 1
    assert platform.forced <= 1


@pytest.mark.parametrize("fault", [b"<html><body>502 Bad Gateway</body></html>", b"500", b"", b"{}", -1])
async def test_a_platform_with_a_bad_minute_gets_the_reply_again(
    wechat: WeChatClient, platform: WeChatPlatform, desk: Desk, openid: str, fault: int | bytes
) -> None:
    number = await take_over(wechat, platform, desk, openid)
    platform.fail("custom/send", fault)
    await desk.on_ticket(number, "reply", text="下午两点带身份证来")
    await until(lambda: "下午两点带身份证来" in platform.shown[openid])
    assert platform.shown[openid].count("下午两点带身份证来") == 1


async def test_a_platform_that_is_slow_gets_the_reply_again(
    wechat: WeChatClient, platform: WeChatPlatform, desk: Desk, openid: str
) -> None:
    number = await take_over(wechat, platform, desk, openid)
    tried = platform.calls["custom/send"]
    platform.delay = 8
    await desk.on_ticket(number, "reply", text="我们核实后回复你")
    begun = time.perf_counter()
    assert (await wechat.text(openid, "好")).status == 200
    assert time.perf_counter() - begun < 1, "a slow platform holds up the webhook"
    await until(lambda: platform.calls["custom/send"] > tried)
    platform.delay = 0
    await until(lambda: "我们核实后回复你" in platform.shown[openid])


@pytest.mark.parametrize(
    ("kind", "nodes"),
    [
        ("image", {"MediaId": "m-1", "PicUrl": "https://mmbiz.example/p.jpg"}),
        ("voice", {"MediaId": "m-2", "Format": "amr", "MediaId16K": "m-2-16k"}),
        ("video", {"MediaId": "m-3", "ThumbMediaId": "t-3"}),
        ("shortvideo", {"MediaId": "m-4", "ThumbMediaId": "t-4"}),
        ("location", {"Location_X": "39.72", "Location_Y": "116.34", "Scale": 15, "Label": "大兴区某工地"}),
        ("link", {"Title": "通知", "Description": "说明", "Url": "https://example.org/"}),
        ("file", {"Title": "劳动合同.pdf", "FileMd5": "0" * 32, "FileTotalLen": 123456}),
    ],
)
async def test_what_is_not_text_gets_a_useful_answer_and_is_kept(
    wechat: WeChatClient, server: Server, openid: str, kind: str, nodes: dict[str, str | int]
) -> None:
    answer = await wechat.message(openid, kind, **nodes)
    assert answer.text
    assert "收到" in answer.text
    stored = [row for row in await server.messages(openid) if row["direction"] == "in"]
    assert [row["kind"] for row in stored] == ["video" if kind == "shortvideo" else kind]


async def test_a_voice_message_that_the_platform_has_read_is_answered_like_text(
    wechat: WeChatClient, openid: str
) -> None:
    answer = await wechat.message(openid, "voice", MediaId="m", Format="amr", Recognition="转人工")
    assert answer.text
    assert NUMBER.search(answer.text)


@pytest.mark.parametrize("kind", ["sticker_of_tomorrow", "miniprogrampage", "transfer_customer_service"])
async def test_kinds_that_nobody_has_heard_of_are_acknowledged(wechat: WeChatClient, openid: str, kind: str) -> None:
    assert (await wechat.message(openid, kind, Whatever="1")).body == b"success"


@pytest.mark.parametrize(
    "event", ["VIEW", "TEMPLATESENDJOBFINISH", "kf_create_session", "LOCATION", "scancode_push", "unheard_of"]
)
async def test_events_that_need_no_answer_are_acknowledged(wechat: WeChatClient, openid: str, event: str) -> None:
    assert (await wechat.event(openid, event, "key")).body == b"success"


async def test_whoever_unsubscribes_gets_nothing_and_is_greeted_when_they_return(
    wechat: WeChatClient, openid: str
) -> None:
    await wechat.event(openid, "subscribe")
    assert (await wechat.event(openid, "unsubscribe")).body == b"success"
    assert "工会" in await say(wechat, openid, "你好")


async def test_a_tapped_option_and_a_typed_number_mean_the_same(wechat: WeChatClient, openid: str) -> None:
    await hear_all(wechat, openid, "公司拖欠我三个月工资不给怎么办")
    tapped = await wechat.text(openid, "人工", bizmsgmenuid="person")
    assert tapped.text
    assert NUMBER.search(tapped.text)


async def test_danger_is_answered_at_once_and_rings_the_desk(wechat: WeChatClient, desk: Desk, openid: str) -> None:
    said = await say(wechat, openid, "我不想活了")
    assert "110" in said
    assert "12356" in said
    number = NUMBER.search(said)
    assert number
    assert number[0] in await desk.get("/console")


async def test_the_service_logs_neither_words_nor_names(wechat: WeChatClient, server: Server, openid: str) -> None:
    words = "我叫张三丰手机13800138000老板欠我钱"
    await say(wechat, openid, words)
    log = server.logged
    assert "turn" in log
    for secret in (openid, words, "张三丰", "13800138000"):
        assert secret not in log
