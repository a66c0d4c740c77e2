"""How updates reach us: the webhook that is set, the queue that is polled, taps answered, files fetched, the doctor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

from bot.bell import Bell
from connectors.abilities import Checks, Fetches, Finding, Prepares, Pulls, Types
from connectors.base import Connector, Delivery, SendError
from connectors.telegram import Telegram, TelegramPolling
from tests.connectors.telegram_bot import SECRET, connector, only, polling, pushed
from tests.telegram_platform import TOKEN, Fault, Sent, TelegramPlatform, dropped, new_chat, serving

BOT = TOKEN.partition(":")[0]
ADDRESS = "https://hotline.example.org"
Tapped = Sent(7, "说清楚了吗？", (("有用", "helped"),), 0, {})


@pytest.fixture
async def platform() -> AsyncIterator[TelegramPlatform]:
    found = TelegramPlatform(hold=0.2)
    async with serving(found):
        yield found


@pytest.fixture
async def telegram(platform: TelegramPlatform, store: Bell) -> AsyncIterator[Telegram]:
    found = connector(store, api_url=platform.url)
    yield found
    await found.close()


@pytest.fixture
async def polled(platform: TelegramPlatform, store: Bell) -> AsyncIterator[TelegramPolling]:
    found = polling(store, api_url=platform.url, secret="")
    yield found
    await found.close()


def test_only_the_polling_one_pulls(telegram: Telegram, polled: TelegramPolling) -> None:
    assert not isinstance(telegram, Pulls)
    assert isinstance(polled, Pulls)
    for one in (telegram, polled):
        for ability in (Connector, Prepares, Fetches, Checks, Types):
            assert isinstance(one, ability)
    assert polled.capabilities.stale_after == timedelta(hours=1)


# The webhook.


async def test_at_the_start_telegram_is_told_where_to_bring_what(
    telegram: Telegram, platform: TelegramPlatform
) -> None:
    await telegram.prepare(f"{ADDRESS}/")
    assert platform.hook.url == f"{ADDRESS}/webhooks/telegram"
    assert platform.hook.secret == SECRET
    assert set(platform.hook.allowed) == {"message", "edited_message", "callback_query", "my_chat_member"}
    assert [command["command"] for command in platform.commands] == ["start", "help", "human", "status"]
    assert all(command["description"] for command in platform.commands)
    await telegram.prepare(ADDRESS)


@pytest.mark.parametrize("fault", [dropped(), Fault(502), Fault(429, "Too Many Requests", retry_after=3)])
async def test_a_start_while_telegram_is_away_is_tried_again(
    telegram: Telegram, platform: TelegramPlatform, fault: Fault
) -> None:
    platform.fail("setWebhook", fault)
    with pytest.raises(SendError) as caught:
        await telegram.prepare(ADDRESS)
    assert caught.value.retryable


async def test_an_address_that_telegram_does_not_like_is_not_tried_again(
    telegram: Telegram, platform: TelegramPlatform
) -> None:
    platform.fail("setWebhook", Fault(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook"))
    with pytest.raises(SendError) as caught:
        await telegram.prepare("http://hotline.example.org")
    assert not caught.value.retryable
    assert "HTTPS" in caught.value.reason.upper()


async def test_every_tap_is_answered_also_one_that_brings_nothing(
    telegram: Telegram, platform: TelegramPlatform
) -> None:
    ours, in_group = platform.tap(Tapped, "有用"), platform.tap(Tapped, "有用")
    in_group["callback_query"]["message"]["chat"]["type"] = "group"
    for update in (ours, in_group, platform.text(7, "没有按钮")):
        delivery = telegram.parse(pushed(update))
        assert isinstance(delivery, Delivery)
        assert telegram.acknowledge(delivery).body == b""
    await telegram.close()
    assert sorted(platform.answered) == sorted(update["callback_query"]["id"] for update in (ours, in_group))


async def test_a_tap_that_cannot_be_answered_any_more_hurts_nobody(
    telegram: Telegram, platform: TelegramPlatform
) -> None:
    platform.fail("answerCallbackQuery", Fault(400, "Bad Request: query is too old and response timeout expired"))
    delivery = telegram.parse(pushed(platform.tap(Tapped, "有用")))
    assert isinstance(delivery, Delivery)
    telegram.acknowledge(delivery)
    await telegram.close()
    assert platform.calls["answerCallbackQuery"] == 1


# The queue.


async def pull(polled: TelegramPolling, cursor: str = "") -> tuple[list[str], str, bool]:
    (queue,) = await polled.queues()
    page = await polled.pull(queue, cursor, "")
    return [inbound.text for inbound in page.messages], page.cursor, page.more


async def test_what_waits_is_fetched_in_order_and_confirmed_by_the_next_question(
    polled: TelegramPolling, platform: TelegramPlatform
) -> None:
    chat = new_chat()
    platform.queue(*(platform.text(chat, f"第{n}条") for n in range(3)))
    texts, cursor, more = await pull(polled)
    assert (texts, more) == (["第0条", "第1条", "第2条"], True)
    assert (await pull(polled))[0] == texts, "not confirmed yet: a process that died gets them again"
    platform.queue(platform.text(chat, "第3条"))
    texts, cursor, more = await pull(polled, cursor)
    assert texts == ["第3条"]
    assert await pull(polled, cursor) == ([], cursor, False)


async def test_a_poll_waits_until_there_is_something(polled: TelegramPolling, platform: TelegramPlatform) -> None:
    platform.hold = 10
    waiting = asyncio.create_task(pull(polled))
    for _ in range(500):
        if platform.calls["getUpdates"]:
            break
        await asyncio.sleep(0.01)
    begun = time.monotonic()
    platform.queue(platform.text(new_chat(), "来了"))
    assert (await waiting)[0] == ["来了"]
    assert time.monotonic() - begun < 2


async def test_a_polling_host_takes_the_webhook_away_first(polled: TelegramPolling, platform: TelegramPlatform) -> None:
    platform.hook.url = "https://old.example.org"
    platform.queue(platform.text(new_chat(), "你好"))
    await polled.prepare("")
    assert (await pull(polled))[0] == ["你好"]
    assert platform.hook.url == ""
    assert platform.commands
    calls = platform.calls["deleteWebhook"]
    await pull(polled)
    assert platform.calls["deleteWebhook"] == calls


async def test_a_webhook_that_somebody_sets_meanwhile_is_taken_away_again(
    polled: TelegramPolling, platform: TelegramPlatform
) -> None:
    await pull(polled)
    platform.hook.url = "https://old.example.org"
    with pytest.raises(SendError) as caught:
        await pull(polled)
    assert caught.value.retryable
    platform.queue(platform.text(new_chat(), "你好"))
    assert (await pull(polled))[0] == ["你好"]


async def test_one_update_that_nobody_can_read_does_not_hold_up_the_others(
    polled: TelegramPolling, platform: TelegramPlatform
) -> None:
    broken = platform.text(new_chat(), "x")
    broken["message"] = {"chat": 5}
    platform.queue(platform.text(new_chat(), "之前"), broken, platform.text(new_chat(), "之后"))
    texts, cursor, _ = await pull(polled)
    assert texts == ["之前", "之后"]
    assert (await pull(polled, cursor))[0] == []


async def test_numbers_that_begin_anew_after_a_quiet_week_lose_nothing(
    polled: TelegramPolling, platform: TelegramPlatform
) -> None:
    platform.queue(platform.text(new_chat(), "上周"))
    _, cursor, _ = await pull(polled)
    low = platform.text(new_chat(), "这周") | {"update_id": 1000}
    platform.queue(low)
    texts, cursor, _ = await pull(polled, cursor)
    assert (texts, cursor) == (["这周"], "1001")
    platform.queue(platform.text(new_chat(), "接着") | {"update_id": 1001})
    assert (await pull(polled, cursor))[0] == ["接着"]


async def test_the_queue_of_another_bot_is_left_alone(polled: TelegramPolling, platform: TelegramPlatform) -> None:
    page = await polled.pull("111", "42", "")
    assert (page.messages, page.cursor, page.more) == ((), "42", False)
    assert not platform.calls["getUpdates"]


async def test_a_tap_in_the_queue_is_answered(polled: TelegramPolling, platform: TelegramPlatform) -> None:
    update = platform.tap(Tapped, "有用")
    platform.queue(update)
    assert (await pull(polled))[0] == ["有用"]
    await polled.close()
    assert platform.answered == [update["callback_query"]["id"]]


@pytest.mark.parametrize("fault", [dropped(), Fault(502), Fault(401, "Unauthorized"), Fault(200, body=b'{"ok":true}')])
async def test_a_queue_that_cannot_be_read_says_so_and_is_read_later(
    polled: TelegramPolling, platform: TelegramPlatform, fault: Fault
) -> None:
    platform.queue(platform.text(new_chat(), "你好"))
    platform.fail("getUpdates", fault)
    with pytest.raises(SendError):
        await pull(polled)
    assert (await pull(polled))[0] == ["你好"]


async def test_the_texts_of_workers_are_in_no_log_line(
    polled: TelegramPolling, platform: TelegramPlatform, caplog: pytest.LogCaptureFixture
) -> None:
    platform.fail("getUpdates", Fault(200, body=b'{"ok":true,"result":[{"update_id":1,"message":{"text":"SAID'))
    with pytest.raises(SendError):
        await pull(polled)
    platform.fail("getUpdates", Fault(200, body=b'{"ok":true,"result":[{"update_id":1,"message":{"text":"SAID"}}]}'))
    await pull(polled)
    assert "SAID" not in caplog.text


# Files.


async def test_a_file_is_fetched_whole(telegram: Telegram, platform: TelegramPlatform) -> None:
    platform.files["PDF"] = b"%PDF-1.7 contract"
    document = {"file_id": "PDF", "file_unique_id": "u", "file_name": "合同.pdf", "mime_type": "application/pdf"}
    source = telegram.media(only(telegram, platform.message(7, document=document)))
    assert source is not None
    media = await telegram.fetch(source, 1000)
    assert (media.data, media.content_type, media.name) == (b"%PDF-1.7 contract", "application/pdf", "合同.pdf")


async def test_a_file_that_is_too_large_is_not_even_asked_for(telegram: Telegram, platform: TelegramPlatform) -> None:
    platform.files["F"] = b"x" * 101
    for source in ({"media_id": "F", "size": 101}, {"media_id": "F"}):
        with pytest.raises(SendError) as caught:
            await telegram.fetch(source, 100)
        assert not caught.value.retryable
    assert not platform.calls["download"]


@pytest.mark.parametrize(
    ("method", "fault", "retryable"),
    [
        ("getFile", Fault(400, "Bad Request: wrong file_id or the file is temporarily unavailable"), False),
        ("getFile", Fault(400, "Bad Request: file is too big"), False),
        ("getFile", Fault(502), True),
        ("getFile", dropped(), True),
        ("download", Fault(404), False),
        ("download", Fault(502), True),
        ("download", dropped(), True),
    ],
)
async def test_a_file_that_cannot_be_had(
    telegram: Telegram, platform: TelegramPlatform, method: str, fault: Fault, retryable: bool
) -> None:
    platform.files["F"] = b"x"
    platform.fail(method, fault)
    with pytest.raises(SendError) as caught:
        await telegram.fetch({"media_id": "F"}, 100)
    assert caught.value.retryable is retryable
    assert not caught.value.alarm
    assert (await telegram.fetch({"media_id": "F"}, 100)).data == b"x"


# The doctor.


def bad(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if not finding.good]


async def test_a_healthy_bot_is_found_healthy(
    telegram: Telegram, polled: TelegramPolling, platform: TelegramPlatform
) -> None:
    assert not bad(await polled.check(""))
    await telegram.prepare(ADDRESS)
    findings = await telegram.check(ADDRESS)
    assert not bad(findings)
    assert "@daxing_hotline_bot" in findings[0].what
    assert not platform.shown


async def test_each_thing_that_is_wrong_is_named_with_what_to_do(
    telegram: Telegram, polled: TelegramPolling, platform: TelegramPlatform
) -> None:
    platform.hook.url = "https://other.example.org/hook"
    (elsewhere,) = bad(await telegram.check(ADDRESS))
    assert "other.example.org" in elsewhere.what
    assert elsewhere.todo
    (webhook,) = bad(await polled.check(""))
    assert "other.example.org" in webhook.what

    await telegram.prepare(ADDRESS)
    platform.hook.error, platform.hook.error_date = "Wrong response from the webhook: 403 Forbidden", int(time.time())
    (failing,) = bad(await telegram.check(ADDRESS))
    assert "403 Forbidden" in failing.what
    platform.hook.error_date -= 7200
    assert not bad(await telegram.check(ADDRESS))

    platform.clock_ahead = 300
    (skew,) = bad(await telegram.check(ADDRESS))
    assert "-300" in skew.what or "-299" in skew.what or "-301" in skew.what


async def test_a_wrong_token_and_a_host_out_of_reach(platform: TelegramPlatform, store: Bell) -> None:
    stranger = connector(store, api_url=platform.url, token="1:other")
    (finding,) = await stranger.check(ADDRESS)
    assert not finding.good
    assert "HOTLINE_TELEGRAM_TOKEN" in finding.todo
    nowhere = connector(store, api_url="http://127.0.0.1:1")
    (finding,) = await nowhere.check(ADDRESS)
    assert not finding.good
    assert "HOTLINE_TELEGRAM_PROXY" in finding.todo
    proxied = connector(store, api_url="http://telegram.invalid", proxy="http://127.0.0.1:1")
    (finding,) = await proxied.check(ADDRESS)
    assert "HOTLINE_TELEGRAM_PROXY" in finding.todo
    for one in (stranger, nowhere, proxied):
        await one.close()
