"""A worker on Telegram against the running service: by webhook and by polling, on good days and on bad ones."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tests.e2e.service import Desk, Server, find_port, until, wechat_at
from tests.telegram_platform import TOKEN, Sent, TelegramPlatform, dropped, new_chat, serving, slow_down
from tests.wechat_platform import WeChatPlatform

SECRET = "of-the-union_and-Telegram"
NUMBER = re.compile(r"\d{8}-\d{4}")
QUESTION = "公司拖欠我三个月工资不给怎么办"
SILENCE = 1.5
Servers = Callable[..., Server]
pytestmark = pytest.mark.timeout(300)


def by_webhook(platform_url: str, port: int) -> dict[str, str]:
    return {
        "HOTLINE_TELEGRAM_TOKEN": TOKEN,
        "HOTLINE_TELEGRAM_SECRET": SECRET,
        "HOTLINE_TELEGRAM_API_URL": platform_url,
        "HOTLINE_PUBLIC_URL": f"http://127.0.0.1:{port}",
    }


def by_polling(platform_url: str) -> dict[str, str]:
    return {"HOTLINE_TELEGRAM_TOKEN": TOKEN, "HOTLINE_TELEGRAM_API_URL": platform_url}


@pytest.fixture(scope="module")
async def telegram() -> AsyncIterator[TelegramPlatform]:
    """Telegram's side."""
    found = TelegramPlatform()
    async with serving(found):
        yield found


@pytest.fixture(scope="module")
async def server(
    platform: WeChatPlatform, telegram: TelegramPlatform, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    """One running service that Telegram brings its updates to."""
    port = find_port()
    found = Server(tmp_path_factory.mktemp("server"), platform.url, by_webhook(telegram.url, port), port)
    try:
        await asyncio.to_thread(found.start)
        await until(lambda: telegram.hook.url and telegram.commands)
        yield found
    finally:
        found.end()


@pytest.fixture
async def desk(server: Server) -> AsyncIterator[Desk]:
    async with Desk(server) as found:
        yield found


@pytest.fixture
def say(server: Server, telegram: TelegramPlatform, http: httpx.AsyncClient) -> Any:
    """Brings an update and gives back what the worker is shown next."""

    async def bring(chat: int, update: dict[str, Any]) -> Sent:
        before = len(telegram.shown[chat])
        answer = await telegram.deliver(http, update)
        assert answer.status_code == 200
        await until(lambda: len(telegram.shown[chat]) > before)
        return telegram.shown[chat][before]

    return bring


async def rows(server: Server, what: str, *updates: dict[str, Any]) -> list[dict[str, Any]]:
    """`what` is in, out or the columns of their worker."""
    keys = ", ".join(f"'{TOKEN.partition(':')[0]}:{update['update_id']}'" for update in updates)
    mine = f"SELECT conversation_id FROM message WHERE external_id IN ({keys})"  # noqa: S608  # our own numbers
    if what == "worker":
        return await server.rows(
            "SELECT w.reachable, w.site FROM worker w JOIN conversation c ON c.worker_id = w.id"  # noqa: S608
            f" WHERE c.id IN ({mine})"
        )
    return await server.rows(
        "SELECT id, status, external_id, reply_to, attempts FROM message"  # noqa: S608
        f" WHERE direction = '{what}' AND conversation_id IN ({mine}) ORDER BY id"
    )


# By webhook.


async def test_the_service_tells_telegram_where_it_is(server: Server, telegram: TelegramPlatform) -> None:
    assert telegram.hook.url == f"{server.url}/webhooks/telegram"
    assert telegram.hook.secret == SECRET
    assert [command["command"] for command in telegram.commands] == ["start", "help", "human", "status"]


async def test_from_hello_to_thanks(server: Server, telegram: TelegramPlatform, say: Any) -> None:
    chat = new_chat()
    hello = await say(chat, telegram.text(chat, "/start"))
    assert "工会" in hello.text
    assert "人工" in hello.text
    answer = await say(chat, telegram.text(chat, QUESTION))
    assert "工资" in answer.text
    labels = [label for label, _ in answer.buttons]
    assert {"有用", "没有帮助", "人工"} <= set(labels)
    thanks = await say(chat, telegram.tap(answer, "有用"))
    assert "那就好" in thanks.text
    await until(lambda: telegram.answered)


async def test_an_unsure_question_is_asked_back_with_buttons(
    server: Server, telegram: TelegramPlatform, say: Any
) -> None:
    chat = new_chat()
    asked = await say(chat, telegram.text(chat, "钱的事"))
    if len(asked.buttons) < 2:
        asked = await say(chat, telegram.text(chat, "合同"))
    label = asked.buttons[0][0]
    assert (await say(chat, telegram.tap(asked, label))).text


async def test_help_says_what_it_can_do(server: Server, telegram: TelegramPlatform, say: Any) -> None:
    chat = new_chat()
    assert "工会" in (await say(chat, telegram.text(chat, "/help"))).text


async def test_human_opens_a_ticket_and_a_colleague_answers_in_the_same_chat(
    server: Server, telegram: TelegramPlatform, desk: Desk, say: Any, http: httpx.AsyncClient
) -> None:
    chat = new_chat()
    asked = await say(chat, telegram.text(chat, QUESTION))
    told = await say(chat, telegram.text(chat, "/human"))
    number = NUMBER.search(told.text)
    assert number
    assert number[0] in (await say(chat, telegram.text(chat, "/status"))).text
    before = len(telegram.shown[chat])
    await desk.on_ticket(number[0], "claim")
    await until(lambda: len(telegram.shown[chat]) > before)
    await desk.on_ticket(number[0], "reply", text="我是小李，正在看您的事")
    await until(lambda: telegram.shown[chat][-1].text == "我是小李，正在看您的事")
    # While a person holds the talk the bot is silent, but no button is left waiting.
    shown, tap = len(telegram.shown[chat]), telegram.tap(asked, "有用")
    assert (await telegram.deliver(http, tap)).status_code == 200
    assert (await telegram.deliver(http, telegram.text(chat, "好的，谢谢"))).status_code == 200
    await until(lambda: tap["callback_query"]["id"] in telegram.answered)
    await asyncio.sleep(SILENCE)
    assert len(telegram.shown[chat]) == shown


@pytest.mark.parametrize("at_once", [True, False])
async def test_an_update_that_comes_three_times_is_answered_once(
    server: Server, telegram: TelegramPlatform, http: httpx.AsyncClient, at_once: bool
) -> None:
    chat = new_chat()
    update = telegram.text(chat, "人工")
    if at_once:
        answers = await asyncio.gather(*(telegram.deliver(http, update) for _ in range(3)))
    else:
        answers = [await telegram.deliver(http, update) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    await until(lambda: telegram.shown[chat])
    await asyncio.sleep(SILENCE)
    assert len(telegram.shown[chat]) == 1
    assert len(await rows(server, "in", update)) == 1
    assert len(await rows(server, "out", update)) == 1


async def test_it_is_stored_before_it_is_acknowledged(
    server: Server, telegram: TelegramPlatform, http: httpx.AsyncClient
) -> None:
    update = telegram.text(new_chat(), "工伤认定要多久")
    assert (await telegram.deliver(http, update)).status_code == 200
    assert len(await rows(server, "in", update)) == 1


async def test_each_chat_is_answered_in_its_order_and_the_chats_side_by_side(
    server: Server, telegram: TelegramPlatform, http: httpx.AsyncClient
) -> None:
    """Telegram keeps the order within a chat and brings many chats at once; so does it here."""
    chats = [new_chat() for _ in range(12)]
    script = ["你好", QUESTION, "要带什么材料", "谢谢"]

    async def worker(chat: int) -> list[dict[str, Any]]:
        updates = [telegram.text(chat, words) for words in script]
        for update in updates:
            assert (await telegram.deliver(http, update)).status_code == 200
        return updates

    brought = await asyncio.gather(*(worker(chat) for chat in chats))
    await until(lambda: all(len(telegram.shown[chat]) == len(script) for chat in chats), 60)
    for chat, updates in zip(chats, brought, strict=True):
        asked = [row["id"] for row in await rows(server, "in", *updates)]
        said = await rows(server, "out", *updates)
        assert [row["reply_to"] for row in said] == asked
        assert [sent.text for sent in telegram.shown[chat]] == [sent.text for sent in telegram.shown[chats[0]]]


async def test_strangers_groups_and_broken_bodies(
    server: Server, telegram: TelegramPlatform, http: httpx.AsyncClient
) -> None:
    chat, url = new_chat(), f"{server.url}/webhooks/telegram"
    update = telegram.text(chat, "你好")
    for headers in (
        {},
        {"X-Telegram-Bot-Api-Secret-Token": "wrong"},
        {"X-Telegram-Bot-Api-Secret-Token": SECRET + "x"},
    ):
        assert (await http.post(url, json=update, headers=headers)).status_code == 403
    for body in (b"", b"{", b"[]", b"{}", b'{"update_id":1,"message":{}}', b"\xff" * 100, b"[" * 9000):
        answer = await telegram.deliver(http, body)
        assert answer.status_code == 400
        assert answer.headers["content-type"].startswith("text/plain")
    assert (await http.get(url)).status_code == 405
    group = telegram.text(-chat, "大家好", kind="supergroup")
    assert (await telegram.deliver(http, group)).status_code == 200
    await asyncio.sleep(SILENCE)
    assert not telegram.shown[chat]
    assert not telegram.shown[-chat]
    assert not await rows(server, "in", update, group)


async def test_429_of_one_chat_is_obeyed_and_the_others_go_on(
    server: Server, telegram: TelegramPlatform, say: Any, http: httpx.AsyncClient
) -> None:
    slow, others = new_chat(), [new_chat() for _ in range(5)]
    telegram.fail("sendMessage", slow_down(4, slow))
    told = time.time()
    assert (await telegram.deliver(http, telegram.text(slow, QUESTION))).status_code == 200
    for chat in others:
        await say(chat, telegram.text(chat, QUESTION))
    assert not telegram.shown[slow]
    await until(lambda: telegram.shown[slow])
    assert telegram.shown[slow][0].at - told >= 4
    await asyncio.sleep(SILENCE)
    assert len(telegram.shown[slow]) == 1


async def test_lost_connections_and_5xx_are_tried_again(server: Server, telegram: TelegramPlatform, say: Any) -> None:
    chat = new_chat()
    telegram.fail("sendMessage", dropped())
    assert "工资" in (await say(chat, telegram.text(chat, QUESTION))).text
    await asyncio.sleep(SILENCE)
    assert len(telegram.shown[chat]) == 1


async def test_who_blocks_the_bot_is_known_to_be_out_of_reach_until_they_are_back(
    server: Server, telegram: TelegramPlatform, say: Any, http: httpx.AsyncClient
) -> None:
    chat = new_chat()
    first = telegram.text(chat, QUESTION)
    await say(chat, first)

    async def reachable() -> bool:
        return bool((await rows(server, "worker", first))[0]["reachable"])

    assert await reachable()
    await telegram.deliver(http, telegram.membership(chat, "kicked"))
    assert not await reachable()
    shown = len(telegram.shown[chat])
    await telegram.deliver(http, telegram.membership(chat, "member"))
    assert await reachable()
    # Blocked without our being told: the refusal of a message says so.
    telegram.blocked.add(chat)
    await telegram.deliver(http, telegram.text(chat, "在吗"))

    async def is_gone() -> bool:
        return not await reachable()

    await until(is_gone)
    assert (await rows(server, "out", first))[-1]["status"] == "failed"
    telegram.blocked.discard(chat)
    await say(chat, telegram.text(chat, "我又回来了，工伤认定要多久"))
    assert await reachable()
    assert len(telegram.shown[chat]) == shown + 1


async def test_pictures_voices_and_files_are_answered_and_their_files_remembered(
    server: Server, telegram: TelegramPlatform, say: Any
) -> None:
    telegram.files["VOICE"] = b"OggS" + b"\0" * 60
    chat = new_chat()
    file = {"file_id": "VOICE", "file_unique_id": "u", "file_size": 64}
    voice = telegram.message(chat, voice=file | {"duration": 2})
    heard = await say(chat, voice)
    assert "语音" in heard.text
    (inbound,) = await rows(server, "in", voice)
    found = await server.rows("SELECT channel, kind FROM attachment WHERE message_id = :id", id=inbound["id"])
    assert found == [{"channel": "telegram", "kind": "voice"}]
    where = await say(chat, telegram.message(chat, location={"latitude": 39.73, "longitude": 116.33}))
    assert "位置" in where.text


async def test_the_place_of_a_poster_is_kept(server: Server, telegram: TelegramPlatform, say: Any) -> None:
    chat = new_chat()
    update = telegram.text(chat, "/start site-12")
    await say(chat, update)
    assert (await rows(server, "worker", update))[0]["site"]


async def test_no_secret_and_no_word_of_a_worker_is_in_the_log(
    server: Server, telegram: TelegramPlatform, say: Any
) -> None:
    chat = new_chat()
    telegram.fail("sendMessage", dropped())
    await say(chat, telegram.text(chat, "我叫欧阳建国，老板不发工资"))
    written = server.logged + server.printed
    for secret in (TOKEN.partition(":")[2], SECRET, "欧阳建国", str(chat)):
        assert secret not in written


# By polling.


async def test_polling_answers_what_waited_and_a_restart_repeats_nothing(servers: Servers) -> None:
    """A host without a public address; it is killed with some updates answered and others waiting."""
    polled = TelegramPlatform(hold=2)
    async with serving(polled) as url:
        chat, other = new_chat(), new_chat()
        polled.hook.url = "https://the-old-server.example.org"
        polled.queue(polled.text(chat, QUESTION), polled.text(other, "人工"))
        one = servers(**by_polling(url))
        await asyncio.to_thread(one.start)
        await until(lambda: polled.shown[chat] and polled.shown[other])
        assert polled.hook.url == ""
        assert NUMBER.search(polled.shown[other][0].text)
        polled.queue(polled.tap(polled.shown[chat][0], "有用"))
        await until(lambda: polled.answered and len(polled.shown[chat]) == 2)
        one.kill()
        polled.queue(polled.text(chat, "工伤认定要多久"))
        await asyncio.to_thread(one.start)
        await until(lambda: len(polled.shown[chat]) == 3, 120)
        await asyncio.sleep(SILENCE)
        assert len(polled.shown[chat]) == 3
        assert len(polled.shown[other]) == 1
        assert await asyncio.to_thread(one.stop) < 10


# On bad days.


async def test_a_telegram_that_is_away_touches_nobody_else_and_is_served_when_it_is_back(
    servers: Servers, platform: WeChatPlatform, http: httpx.AsyncClient
) -> None:
    port, telegram_port = find_port(), find_port()
    url = f"http://127.0.0.1:{telegram_port}"
    one = servers(**by_webhook(url, port))
    one.port = port
    await asyncio.to_thread(one.start)
    away = TelegramPlatform()
    away.hook.url, away.hook.secret = f"{one.url}/webhooks/telegram", SECRET
    chats = [new_chat() for _ in range(8)]
    for chat in chats:
        assert (await away.deliver(http, away.text(chat, QUESTION))).status_code == 200
    wechat = wechat_at(one, http)
    for n in range(5):
        answer = await wechat.text(f"oAway{n}", QUESTION)
        assert answer.text
        assert answer.seconds < 3
    assert (await http.get(f"{one.url}/chat")).status_code == 200
    assert one.readiness()[0] == 200
    async with serving(away, telegram_port):
        await until(lambda: all(away.shown[chat] for chat in chats), 60)
        await until(lambda: away.calls["setWebhook"], 60)
        await asyncio.sleep(SILENCE)
        assert all(len(away.shown[chat]) == 1 for chat in chats)


async def test_a_killed_service_answers_afterwards_what_it_had_taken(servers: Servers, http: httpx.AsyncClient) -> None:
    """The replies could not be sent yet when the process dies: none is lost, none comes twice."""
    port = find_port()
    mine = TelegramPlatform()
    async with serving(mine) as url:
        one = servers(**by_webhook(url, port))
        one.port = port
        await asyncio.to_thread(one.start)
        await until(lambda: mine.hook.url)
        chats = [new_chat() for _ in range(6)]
        mine.fail("sendMessage", *(dropped() for _ in range(2 * len(chats))))
        updates = [mine.text(chat, QUESTION) for chat in chats]
        answers = await asyncio.gather(*(mine.deliver(http, update) for update in updates))
        assert {answer.status_code for answer in answers} == {200}

        async def are_put_off() -> bool:
            said = await rows(one, "out", *updates)
            return len(said) == len(chats) and all(row["status"] == "pending" and row["attempts"] for row in said)

        await until(are_put_off)
        one.kill()
        await asyncio.to_thread(one.start)
        await until(lambda: all(mine.shown[chat] for chat in chats), 120)
        again = await asyncio.gather(*(mine.deliver(http, update) for update in updates))
        assert {answer.status_code for answer in again} == {200}
        await asyncio.sleep(SILENCE)
        assert all(len(mine.shown[chat]) == 1 for chat in chats)


async def test_a_malformed_setting_refuses_to_start_and_is_named(servers: Servers) -> None:
    name = "HOTLINE_TELEGRAM_SECRET"
    one = servers(**(by_polling("http://127.0.0.1:1") | {name: "有 空格"}))
    process = one.spawn()
    assert await asyncio.to_thread(process.wait, 60) != 0
    written = one.printed + one.logged
    assert name in written
    assert TOKEN not in written
    assert "Traceback" not in written
