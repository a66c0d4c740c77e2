"""Messages to Telegram: buttons and their data, length, pace, and what each refusal leads to."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import structlog

from bot.bell import Bell
from connectors.base import Option, Outbound, SendError
from connectors.pages import MORE
from connectors.telegram import Telegram
from tests.connectors.telegram_bot import SECRET, connector, only
from tests.telegram_platform import TOKEN, Fault, TelegramPlatform, dropped, new_chat, serving, slow_down


@pytest.fixture
async def platform() -> AsyncIterator[TelegramPlatform]:
    found = TelegramPlatform()
    async with serving(found):
        yield found


@pytest.fixture
async def telegram(platform: TelegramPlatform, store: Bell) -> AsyncIterator[Telegram]:
    found = connector(store, api_url=platform.url)
    yield found
    await found.close()


@pytest.fixture
def chat() -> int:
    return new_chat()


async def send(telegram: Telegram, chat: int, text: str, *options: Option) -> None:
    reply = Outbound("1", str(chat), text, options=options)
    await telegram.send(reply, telegram.render(reply))


async def refused(telegram: Telegram, chat: int, text: str = "你好", *options: Option) -> SendError:
    with pytest.raises(SendError) as caught:
        await send(telegram, chat, text, *options)
    return caught.value


# The shape of a message.


async def test_a_message_is_plain_text_whatever_it_looks_like(
    telegram: Telegram, platform: TelegramPlatform, chat: int
) -> None:
    odd = "*工资* _2026_ <b>加班</b> [链接](https://example.org) `x` \\ &amp;"
    await send(telegram, chat, odd)
    (sent,) = platform.shown[chat]
    assert sent.text == odd
    assert "parse_mode" not in sent.fields
    assert json.loads(sent.fields["link_preview_options"]) == {"is_disabled": True}


async def test_options_are_buttons_and_come_back_as_they_were(
    telegram: Telegram, platform: TelegramPlatform, chat: int
) -> None:
    options = [Option("topic:rights.wage_arrears", "老板拖欠工资怎么办"), Option("none", "都不是")]
    await send(telegram, chat, "你是想问：", *options)
    (sent,) = platform.shown[chat]
    assert sent.text == "你是想问："
    assert sent.buttons == (("老板拖欠工资怎么办", "topic:rights.wage_arrears"), ("都不是", "none"))
    assert len(json.loads(sent.fields["reply_markup"])["inline_keyboard"]) == 2
    inbound = only(telegram, platform.tap(sent, "老板拖欠工资怎么办"))
    assert (inbound.option, inbound.text) == ("topic:rights.wage_arrears", "老板拖欠工资怎么办")


async def test_short_buttons_stand_side_by_side(telegram: Telegram, platform: TelegramPlatform, chat: int) -> None:
    await send(telegram, chat, "说清楚了吗？", Option("helped", "有用"), Option("not_helped", "没有帮助"))
    rows = json.loads(platform.shown[chat][0].fields["reply_markup"])["inline_keyboard"]
    assert [[button["text"] for button in row] for row in rows] == [["有用", "没有帮助"]]


@pytest.mark.parametrize("id_", ["x" * 65, "题" * 22, "#2", "a\u0000b", " yes", ""])
async def test_an_id_that_does_not_fit_below_a_button_comes_back_as_its_label(
    telegram: Telegram, platform: TelegramPlatform, chat: int, id_: str
) -> None:
    await send(telegram, chat, "哪一个？", Option("yes", "是"), Option(id_, "第二种情况"))
    (sent,) = platform.shown[chat]
    assert all(0 < len(data.encode()) <= 64 for _, data in sent.buttons)
    inbound = only(telegram, platform.tap(sent, "第二种情况"))
    assert (inbound.option, inbound.text) == (None, "第二种情况")
    update = platform.tap(sent, "第二种情况")
    del update["callback_query"]["message"]["reply_markup"]
    assert only(telegram, update).text == "2"


@pytest.mark.parametrize("id_", ["x" * 64, "题" * 21])
async def test_an_id_that_just_fits_is_kept(
    telegram: Telegram, platform: TelegramPlatform, chat: int, id_: str
) -> None:
    await send(telegram, chat, "哪一个？", Option(id_, "这个"))
    assert only(telegram, platform.tap(platform.shown[chat][0], "这个")).option == id_


async def test_a_page_with_more_to_come_has_a_button_for_it(
    telegram: Telegram, platform: TelegramPlatform, chat: int
) -> None:
    await send(telegram, chat, f"第一段\n{MORE}", Option("helped", "有用"))
    (sent,) = platform.shown[chat]
    assert [label for label, _ in sent.buttons] == ["看下一段", "有用"]
    inbound = only(telegram, platform.tap(sent, "看下一段"))
    assert (inbound.text, inbound.option) == ("更多", None)


@pytest.mark.parametrize("unit", ["工资怎么办。", "😀😀。", "word. "])
async def test_a_long_text_is_cut_at_sentences_with_the_buttons_below_the_last_part(
    telegram: Telegram, platform: TelegramPlatform, chat: int, unit: str
) -> None:
    text = (unit * (9000 // len(unit.encode()))).strip()
    await send(telegram, chat, text, Option("yes", "是"))
    *before, last = platform.shown[chat]
    assert before
    assert all(len(sent.text.encode()) <= 4096 for sent in platform.shown[chat])
    assert all(not sent.buttons for sent in before)
    assert last.buttons
    joined = "".join(sent.text.removesuffix("……").strip() for sent in platform.shown[chat])
    assert joined.replace(" ", "") == text.replace(" ", "")


async def test_where_buttons_are_refused_the_options_are_numbered_lines(
    telegram: Telegram, platform: TelegramPlatform, chat: int
) -> None:
    platform.fail("sendMessage", Fault(400, "Bad Request: BUTTON_DATA_INVALID"))
    await send(telegram, chat, "哪一个？", Option("yes", "是"), Option("no", "不是"))
    (sent,) = platform.shown[chat]
    assert sent.text == "哪一个？\n\n1. 是\n2. 不是"
    assert sent.buttons == ()


# What a refusal leads to.


async def test_429_waits_as_long_as_it_is_told_and_stops_nobody_else(
    telegram: Telegram, platform: TelegramPlatform, chat: int
) -> None:
    platform.fail("sendMessage", slow_down(17, chat))
    error = await refused(telegram, chat)
    assert (error.retryable, error.after, error.code) == (True, timedelta(seconds=17), 429)
    await send(telegram, new_chat(), "别人照常")


async def test_a_blocked_bot_makes_the_worker_unreachable(
    telegram: Telegram, platform: TelegramPlatform, chat: int
) -> None:
    platform.blocked.add(chat)
    error = await refused(telegram, chat)
    assert (error.retryable, error.unreachable, error.code) == (False, True, 403)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(400, "Bad Request: chat not found"), {"retryable": False, "unreachable": True}),
        (Fault(400, "Bad Request: message text is empty"), {"retryable": False, "hold": True, "alarm": False}),
        (Fault(401, "Unauthorized"), {"retryable": False, "hold": True, "alarm": True}),
        (Fault(404, "Not Found"), {"retryable": False, "hold": True, "alarm": True}),
        (Fault(409, "Conflict: terminated"), {"retryable": True, "hold": True}),
        (Fault(429, "Too Many Requests"), {"retryable": True, "after": None}),
        (Fault(500, "Internal Server Error"), {"retryable": True, "hold": True}),
        (Fault(502, body=b"<html>Bad Gateway</html>"), {"retryable": True, "hold": True}),
        (Fault(503, body=b""), {"retryable": True, "hold": True}),
        (Fault(200, body=b"<html>proxy login</html>"), {"retryable": True, "hold": True}),
        (Fault(200, body=b"[]"), {"retryable": True, "hold": True}),
        (Fault(200, body=b'{"ok": true}'), {"retryable": True, "hold": True}),
        (Fault(200, body=b'{"ok": true, "result": 7}'), {"retryable": True, "hold": True}),
        (dropped(), {"retryable": True, "hold": True}),
    ],
)
async def test_each_fault_has_its_reaction(
    telegram: Telegram, platform: TelegramPlatform, chat: int, fault: Fault, expected: dict[str, Any]
) -> None:
    platform.fail("sendMessage", fault)
    error = await refused(telegram, chat)
    assert {name: getattr(error, name) for name in expected} == expected
    assert TOKEN not in error.reason
    await send(telegram, chat, "再来一次")
    assert [sent.text for sent in platform.shown[chat]] == ["再来一次"]


async def test_an_answer_that_does_not_come_is_not_waited_for(
    telegram: Telegram, platform: TelegramPlatform, chat: int
) -> None:
    platform.fail("sendMessage", Fault(seconds=9))
    begun = time.monotonic()
    error = await refused(telegram, chat)
    assert error.retryable
    assert time.monotonic() - begun < 8.5


async def test_a_silent_host_costs_the_others_only_a_few_seconds(store: Bell) -> None:
    """It takes connections and never answers; after three tries nobody waits for it any more."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        telegram = connector(store, api_url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        errors = await asyncio.gather(*(refused(telegram, new_chat()) for _ in range(3)))
        assert all(error.retryable and error.hold for error in errors)
        begun = time.monotonic()
        for _ in range(50):
            error = await refused(telegram, new_chat())
            assert error.retryable
            assert error.hold
        assert time.monotonic() - begun < 1
        await telegram.close()


async def test_one_lost_connection_stops_nobody(telegram: Telegram, platform: TelegramPlatform, chat: int) -> None:
    platform.fail("sendMessage", dropped(), dropped())
    for _ in range(2):
        assert (await refused(telegram, chat)).retryable
    await send(telegram, chat, "好了")
    platform.fail("sendMessage", dropped(), dropped())
    for _ in range(2):
        assert (await refused(telegram, chat)).retryable
    await send(telegram, chat, "又好了")


# Pace.


def most_in_a_second(times: list[float]) -> int:
    times = sorted(times)
    return max(sum(1 for other in times if 0 <= other - at < 1) for at in times)


async def test_all_processes_together_keep_below_thirty_a_second(
    platform: TelegramPlatform, redis_url: str, store: Bell, request: pytest.FixtureRequest
) -> None:
    other_store = Bell(redis_url, prefix=f"{request.node.nodeid}:")
    ours = [connector(one, api_url=platform.url) for one in (store, other_store)]
    await asyncio.gather(*(send(ours[n % 2], new_chat(), f"第{n}条") for n in range(60)))
    times = [sent.at for shown in platform.shown.values() for sent in shown]
    assert len(times) == 60
    assert most_in_a_second(times) <= 30
    for one in ours:
        await one.close()
    await other_store.close()


async def test_without_redis_it_still_sends_at_its_own_pace(platform: TelegramPlatform) -> None:
    telegram = connector(Bell("redis://127.0.0.1:1"), api_url=platform.url)
    await asyncio.gather(*(send(telegram, new_chat(), "你好") for _ in range(35)))
    times = [sent.at for shown in platform.shown.values() for sent in shown]
    assert len(times) == 35
    assert most_in_a_second(times) <= 30
    await telegram.close()


# Courtesies, the proxy, and secrets.


async def test_typing_is_shown_and_never_fails(telegram: Telegram, platform: TelegramPlatform, chat: int) -> None:
    await telegram.typing(str(chat))
    assert platform.typing == [chat]
    platform.fail("sendChatAction", Fault(403, "Forbidden: bot was blocked by the user"), dropped())
    await telegram.typing(str(chat))
    await telegram.typing(str(chat))
    assert platform.typing == [chat]


async def test_everything_goes_through_the_proxy(platform: TelegramPlatform, store: Bell, chat: int) -> None:
    """The host of the API cannot even be looked up from here."""
    platform.files["F"] = b"data"
    telegram = connector(store, api_url="http://telegram.invalid", proxy=platform.url)
    await send(telegram, chat, "绕过去")
    assert (await telegram.fetch({"media_id": "F"}, 100)).data == b"data"
    assert [sent.text for sent in platform.shown[chat]] == ["绕过去"]
    await telegram.close()


async def test_the_token_stands_in_no_log_line(
    telegram: Telegram,
    platform: TelegramPlatform,
    chat: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    secret_part = TOKEN.partition(":")[2]
    faults = [Fault(401, "Unauthorized"), Fault(502, body=b"<html>"), Fault(200, body=b"secret words"), dropped()]
    with structlog.testing.capture_logs() as events:
        await telegram.prepare("https://hotline.example.org")
        await send(telegram, chat, "你好")
        for fault in faults:
            platform.fail("sendMessage", fault)
            assert secret_part not in (await refused(telegram, chat)).reason
        await telegram.typing(str(chat))
        await telegram.check("https://hotline.example.org")
    for line in [*(record.getMessage() for record in caplog.records), *map(str, events), caplog.text]:
        assert secret_part not in line
        assert SECRET not in line
        assert "secret words" not in line
