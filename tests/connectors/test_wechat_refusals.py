"""Every error code of the platform and what becomes of the message."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bot.bell import Bell
from connectors.base import Outbound, SendError
from connectors.wechat import WeChat
from connectors.wechat_refusals import until_reset
from tests.connectors.account import OPENID
from tests.connectors.office import office
from tests.wechat_platform import WeChatPlatform

REPLY = Outbound("r1", OPENID, "您好")


async def failure(wechat: WeChat) -> SendError:
    with pytest.raises(SendError) as caught:
        await wechat.send(REPLY, "您好")
    return caught.value


@pytest.mark.parametrize("code", [40164, 61004])
async def test_the_engineer_is_told_which_address_to_allow(platform: WeChatPlatform, store: Bell, code: int) -> None:
    said = {"errcode": code, "errmsg": "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 66"}
    platform.fail("stable_token", json.dumps(said).encode())
    async with office(platform, store) as wechat:
        with structlog.testing.capture_logs() as logs:
            error = await failure(wechat)
    assert "203.0.113.7" in error.reason
    assert error.alarm
    assert [line["our_ip"] for line in logs if line["event"] == "wechat_refused"] == ["203.0.113.7"]


async def test_a_day_that_is_used_up_stops_all_processes_until_midnight(platform: WeChatPlatform, store: Bell) -> None:
    platform.fail("custom/send", 45009)
    async with office(platform, store) as wechat, office(platform, store) as another_process:
        first = await failure(wechat)
        assert first.retryable
        assert first.alarm
        assert first.after is not None
        assert timedelta() < first.after <= timedelta(hours=24, minutes=1)
        again = await failure(another_process)
        assert again.retryable
        assert not again.alarm, "rung once"
        assert again.after is not None
        assert platform.calls["custom/send"] == 1
        # Only what was used up: a file can still be fetched, the menu still be made.
        await wechat.prepare("")
        assert platform.menu


@given(st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_the_day_of_the_platform_ends_at_midnight_in_beijing(now: datetime) -> None:
    wait = until_reset(now)
    assert timedelta(minutes=1) < wait <= timedelta(days=1, minutes=1)
    reset = (now + wait).astimezone(ZoneInfo("Asia/Shanghai"))
    assert (reset.hour, reset.minute) == (0, 1)


async def test_a_minute_that_is_used_up_is_waited_for(platform: WeChatPlatform, store: Bell) -> None:
    platform.fail("custom/send", 45011)
    async with office(platform, store) as wechat:
        assert (await failure(wechat)).after == timedelta(minutes=1)
        await wechat.send(REPLY, "您好")
    assert platform.shown[OPENID] == ["您好"]


@pytest.mark.parametrize("code", [48001, 48004, 50002])
async def test_without_the_right_to_push_the_account_only_answers(
    platform: WeChatPlatform, store: Bell, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.fail("custom/send", code)
    async with office(platform, store) as wechat:
        assert wechat.capabilities.push
        error = await failure(wechat)
        assert error.alarm
        assert error.hold
        assert not wechat.capabilities.push
        assert wechat.capabilities.passive_reply
        assert not (await failure(wechat)).alarm
        await wechat.typing(OPENID)
        assert (platform.calls["custom/send"], platform.calls["custom/typing"]) == (1, 0)
        # An hour later it is tried again, and works.
        wechat._no_rights_until = 0.0
        await wechat.send(REPLY, "您好")
        assert wechat.capabilities.push


@pytest.mark.parametrize("code", [45015, 45047])
async def test_the_platforms_own_count_is_the_one_that_holds(platform: WeChatPlatform, store: Bell, code: int) -> None:
    platform.fail("custom/send", code)
    async with office(platform, store) as wechat:
        error = await failure(wechat)
    assert (error.spent, error.hold, error.retryable) == (True, True, False)
