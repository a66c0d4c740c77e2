from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from bot.bell import Bell
from connectors.base import Outbound, SendError
from connectors.wechat import WeChat
from connectors.wechat_refusals import REFUSALS
from tests.connectors.account import APP_ID, APP_SECRET, OPENID
from tests.connectors.office import office
from tests.wechat_platform import WeChatPlatform, serving

REPLY = Outbound("r1", OPENID, "您好")


async def failure(wechat: WeChat, text: str = "您好") -> SendError:
    with pytest.raises(SendError) as caught:
        await wechat.send(REPLY, text)
    return caught.value


async def test_a_message_arrives_as_written(platform: WeChatPlatform, store: Bell) -> None:
    async with office(platform, store) as wechat:
        await wechat.send(REPLY, "“您好”😭\n</xml>\x08")
    assert platform.shown[OPENID] == ["“您好”😭\n</xml>"]


async def test_the_json_is_utf8_and_not_escaped(platform: WeChatPlatform, store: Bell) -> None:
    async with office(platform, store) as wechat:
        await wechat.send(REPLY, "您好")
    sent = platform.bodies[-1]
    assert "您好".encode() in sent
    assert json.loads(sent) == {"touser": OPENID, "msgtype": "text", "text": {"content": "您好"}}


async def test_the_stable_token_is_asked_for_once_and_not_forced(platform: WeChatPlatform, store: Bell) -> None:
    async with office(platform, store) as wechat:
        for _ in range(3):
            await wechat.send(REPLY, "您好")
    assert platform.calls["stable_token"] == 1
    asked = json.loads(platform.bodies[0])
    assert asked == {
        "grant_type": "client_credential",
        "appid": APP_ID,
        "secret": APP_SECRET,
        "force_refresh": False,
    }


async def test_the_age_of_the_token_is_known(platform: WeChatPlatform, store: Bell) -> None:
    async with office(platform, store) as wechat:
        assert await wechat.token_age() is None
        await wechat.send(REPLY, "您好")
        age = await wechat.token_age()
    assert age is not None
    assert timedelta() <= age < timedelta(seconds=30)


async def test_processes_that_start_together_fetch_one_token(platform: WeChatPlatform, store: Bell) -> None:
    platform.delay = 0.05
    async with AsyncExitStack() as stack:
        desks = [await stack.enter_async_context(office(platform, store)) for _ in range(8)]
        await asyncio.gather(*(desk.send(REPLY, "您好") for desk in desks))
    assert platform.calls["stable_token"] == 1
    assert len(platform.shown[OPENID]) == 8


class LateStore(Bell):
    """Another process renews the token in the very moment before we get the lock."""

    async def acquire(self, key: str, token: str, *, ttl: timedelta) -> bool:
        renewed = json.dumps({"token": "renewed-by-another", "until": time.time() + 60})
        await self.set(f"token:{APP_ID}", renewed, ttl=ttl)
        return await super().acquire(key, token, ttl=ttl)


async def test_a_token_renewed_just_before_the_lock_is_taken_as_it_is(platform: WeChatPlatform, redis_url: str) -> None:
    platform.token = "renewed-by-another"
    late = LateStore(redis_url, prefix="late:")
    async with office(platform, late) as wechat:
        await wechat.send(REPLY, "您好")
    await late.close()
    assert platform.calls["stable_token"] == 0


async def test_a_token_that_another_system_replaced_is_renewed_once_for_all(
    platform: WeChatPlatform, store: Bell
) -> None:
    async with AsyncExitStack() as stack:
        desks = [await stack.enter_async_context(office(platform, store)) for _ in range(8)]
        await desks[0].send(REPLY, "您好")
        platform.expire()
        platform.delay = 0.02
        for _ in range(5):
            await asyncio.gather(*(desk.send(REPLY, "您好") for desk in desks))
    assert platform.calls["stable_token"] == 2
    assert platform.forced == 0
    assert len(platform.shown[OPENID]) == 41


async def test_a_refused_token_that_stays_the_same_is_forced_once(platform: WeChatPlatform, store: Bell) -> None:
    async with office(platform, store) as wechat:
        await wechat.send(REPLY, "您好")
        platform.fail("custom/send", 40001)
        await wechat.send(REPLY, "还在")
    assert platform.shown[OPENID] == ["您好", "还在"]
    assert (platform.calls["stable_token"], platform.forced) == (3, 1)


async def test_tokens_refused_for_ever_end_in_an_alarm_and_few_calls(platform: WeChatPlatform, store: Bell) -> None:
    platform.unheard_of_token = True
    async with AsyncExitStack() as stack:
        desks = [await stack.enter_async_context(office(platform, store)) for _ in range(8)]
        for _ in range(3):
            errors = await asyncio.gather(*(failure(desk) for desk in desks))
            assert all(error.alarm and error.hold and not error.retryable for error in errors)
    assert platform.forced == 1, "the platform allows 20 a day"
    assert platform.calls["stable_token"] <= 1 + 1 + 24
    assert platform.calls["custom/send"] <= 2 * 24


async def test_a_token_is_renewed_before_it_ends(platform: WeChatPlatform, store: Bell) -> None:
    platform.token_lasts = 7200
    async with office(platform, store) as wechat:
        await wechat.send(REPLY, "您好")
        kept = json.loads(await store.get(f"token:{APP_ID}") or "")
        assert 6800 < kept["until"] - time.time() <= 6900
        # What the store still holds but has run out is not used.
        worn = json.dumps(kept | {"token": "worn out", "until": time.time() - 1})
        await store.set(f"token:{APP_ID}", worn, ttl=timedelta(minutes=1))
        await wechat.send(REPLY, "您好")
    assert platform.calls["stable_token"] == 2
    assert platform.calls["custom/send"] == 2


@pytest.mark.parametrize("kept", ["", "no json", "[]", '{"token": "x"}', '{"token": "x", "until": "soon"}'])
async def test_a_spoilt_store_is_like_an_empty_one(platform: WeChatPlatform, store: Bell, kept: str) -> None:
    await store.set(f"token:{APP_ID}", kept, ttl=timedelta(minutes=1))
    async with office(platform, store) as wechat:
        await wechat.send(REPLY, "您好")
    assert platform.shown[OPENID] == ["您好"]


async def test_the_lock_of_a_process_that_died_does_not_hold_a_message_for_ever(
    platform: WeChatPlatform, store: Bell
) -> None:
    assert await store.acquire(f"token:{APP_ID}:lock", "the dead", ttl=timedelta(milliseconds=300))
    async with office(platform, store) as wechat:
        await wechat.send(REPLY, "您好")
    assert platform.shown[OPENID] == ["您好"]


@pytest.mark.parametrize("code", REFUSALS)
async def test_each_known_code_has_its_reaction(platform: WeChatPlatform, store: Bell, code: int) -> None:
    platform.fail("custom/send", code, code)
    async with office(platform, store) as wechat:
        error = await failure(wechat)
    refusal = REFUSALS[code]
    assert error.code == code
    assert (error.retryable, error.hold, error.unreachable, error.alarm) == (
        refusal.retryable,
        refusal.hold,
        refusal.unreachable,
        refusal.alarm,
    )


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((-1, 45011), {"retryable"}),
        ((45009,), {"retryable", "alarm"}),
        ((40001, 40014, 42001), {"hold", "alarm"}),
        ((40013, 40125, 40164, 61004, 40243), {"hold", "alarm"}),
        ((48001, 48004, 50002), {"hold", "alarm"}),
        ((45015, 45047), {"hold", "spent"}),
        ((40037, 47003), {"alarm"}),
        ((43004, 43019), {"unreachable"}),
        ((40003, 40004, 40007, 40009, 40200, 44004, 45002, 45166, 47001), set()),
        ((45072, 45080, 45081, 43101, 40016, 40018, 40023, 40055, 46003), set()),
    ],
)
def test_the_table_says_what_the_platform_documents(codes: tuple[int, ...], expected: set[str]) -> None:
    for code in codes:
        refusal = REFUSALS[code]
        names = ("retryable", "hold", "unreachable", "alarm", "spent")
        flags = {name for name in names if getattr(refusal, name)}
        assert flags == expected, code


async def test_an_unknown_code_keeps_the_message(platform: WeChatPlatform, store: Bell) -> None:
    platform.fail("custom/send", 99999)
    async with office(platform, store) as wechat:
        error = await failure(wechat)
    assert (error.retryable, error.hold, error.code) == (False, True, 99999)


async def test_the_quota_and_the_length_of_the_platform(platform: WeChatPlatform, store: Bell) -> None:
    platform.contact(OPENID)
    async with office(platform, store) as wechat:
        assert (await failure(wechat, "长" * 683)).code == 45002
        assert (await failure(wechat, " ")).code == 44004
        for number in range(5):
            await wechat.send(REPLY, str(number))
        assert (await failure(wechat)).hold
        platform.contact(OPENID)
        await wechat.send(REPLY, "5")
    assert platform.shown[OPENID] == list("012345")


@pytest.mark.parametrize("answer", [b"<html>502 Bad Gateway</html>", b"", b"[]", b"{}", b'{"errcode": "0"}', b"null"])
@pytest.mark.parametrize("path", ["custom/send", "stable_token"])
async def test_an_answer_that_is_not_the_platforms_is_no_success(
    platform: WeChatPlatform, store: Bell, answer: bytes, path: str
) -> None:
    platform.fail(path, answer)
    async with office(platform, store) as wechat:
        error = await failure(wechat)
        assert error.retryable
        assert not platform.shown[OPENID]
        await wechat.send(REPLY, "您好")
    assert platform.shown[OPENID] == ["您好"]


@pytest.mark.parametrize("answer", [b'{"access_token": "", "expires_in": 7200}', b'{"access_token": "x"}'])
async def test_half_a_token_is_no_token(platform: WeChatPlatform, store: Bell, answer: bytes) -> None:
    platform.fail("stable_token", answer)
    async with office(platform, store) as wechat:
        assert (await failure(wechat)).retryable


@pytest.mark.parametrize(
    ("status", "retryable"), [(500, True), (502, True), (429, True), (301, False), (403, False), (404, False)]
)
async def test_a_wrong_status_is_no_success(
    platform: WeChatPlatform, store: Bell, status: int, retryable: bool
) -> None:
    platform.fail("custom/send", f"HTTP {status}".encode())
    async with office(platform, store) as wechat:
        error = await failure(wechat)
    assert (error.retryable, error.hold, error.alarm) == (retryable, not retryable, not retryable)


async def test_a_wrong_secret_is_an_alarm(platform: WeChatPlatform, store: Bell) -> None:
    async with office(platform, store, app_secret="wrong") as wechat:
        error = await failure(wechat)
    assert (error.code, error.alarm, error.retryable) == (40125, True, False)
    assert platform.calls["custom/send"] == 0


async def test_a_platform_that_hangs_costs_five_seconds_at_most(store: Bell) -> None:
    # One of its own: what it still does after we hung up must not count elsewhere.
    hanging = WeChatPlatform(APP_ID, APP_SECRET)
    hanging.delay = 3.0
    begun = time.perf_counter()
    async with serving(hanging), office(hanging, store) as wechat:
        error = await failure(wechat)
        took = time.perf_counter() - begun
    assert error.retryable
    assert 4 < took < 6


async def test_nobody_listening_is_tried_again_later(platform: WeChatPlatform, store: Bell) -> None:
    async with office(platform, store, api_url="http://127.0.0.1:1") as wechat:
        assert (await failure(wechat)).retryable


async def test_a_store_that_is_away_is_tried_again_later(platform: WeChatPlatform) -> None:
    away = Bell("redis://127.0.0.1:1")
    async with office(platform, away) as wechat:
        assert (await failure(wechat)).retryable
    await away.close()


async def test_a_passive_account_holds_and_never_calls(platform: WeChatPlatform, store: Bell) -> None:
    async with office(platform, store, passive_only=True) as wechat:
        error = await failure(wechat)
        await wechat.typing(OPENID)
    assert (error.hold, error.retryable) == (True, False)
    assert not platform.calls


@pytest.mark.parametrize("code", [0, 45072, 45080, 45081, 40001])
async def test_typing_never_fails(platform: WeChatPlatform, store: Bell, code: int) -> None:
    platform.fail("custom/typing", code, code)
    async with office(platform, store) as wechat:
        await wechat.typing(OPENID)
    assert platform.calls["custom/typing"] >= 1


async def test_no_secret_and_nobody_in_the_log(
    platform: WeChatPlatform, store: Bell, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with office(platform, store) as wechat:
        await wechat.send(REPLY, "我的秘密")
        platform.fail("custom/send", 45015)
        error = await failure(wechat, "我的秘密")
    written = caplog.text + "".join(capsys.readouterr()) + str(error)
    assert "45015" in written
    for secret in (platform.token, APP_SECRET, OPENID, "我的秘密"):
        assert secret not in written


async def test_no_test_reaches_the_real_platform(platform: WeChatPlatform, store: Bell) -> None:
    async with office(platform, store, api_url="https://api.weixin.qq.com") as wechat:
        with pytest.raises(pytest.fail.Exception, match=r"left the machine for api\.weixin\.qq\.com"):
            await wechat.send(REPLY, "您好")
