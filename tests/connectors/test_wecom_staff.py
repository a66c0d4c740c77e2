"""Calls to staff: the robot of the duty group, and the message of the app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from bot.bell import Bell
from connectors import registry
from connectors.abilities import Notice
from connectors.base import SendError, Tools
from connectors.wecom import WeComSettings
from connectors.wecom_staff import AppMessage, Robot, pagers
from tests.connectors.wecom_desk import CORP_ID, SECRET, section
from tests.wecom_platform import WeComPlatform, serving

NOTICE = Notice(
    "紧急工单 20261123-0001", ("事情：维权", "最晚 10:30 前答复"), "https://h.example/console/tickets/x?k=1"
)


@pytest.fixture(scope="module")
async def served() -> AsyncIterator[WeComPlatform]:
    platform = WeComPlatform(CORP_ID, SECRET)
    async with serving(platform):
        yield platform


@pytest.fixture
def platform(served: WeComPlatform) -> WeComPlatform:
    served.reset()
    return served


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as found:
        yield found


def robot(platform: WeComPlatform, http: httpx.AsyncClient, key: str = "robot-key") -> Robot:
    return Robot(f"{platform.url}/cgi-bin/webhook/send?key={key}", http)


async def app(platform: WeComPlatform, http: httpx.AsyncClient, store: Bell, **changes: Any) -> AppMessage:
    [found] = pagers(section(api_url=platform.url, agent_id="1000002", **changes), Tools(store, http))
    assert isinstance(found, AppMessage)
    return found


def test_what_is_set_is_switched_on(store: Bell, http: httpx.AsyncClient) -> None:
    url = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k"
    alone = WeComSettings(robot_url=url)  # type: ignore[arg-type]
    assert [pager.name for pager in pagers(alone, Tools(store, http))] == ["wecom-robot"]
    assert "wecom" not in registry.build({"wecom": alone}, Tools(store, http))
    assert "wecom" in registry.build({"wecom": section()}, Tools(store, http))
    both = section(robot_url=url, agent_id="1")
    assert [pager.name for pager in pagers(both, Tools(store, http))] == ["wecom-robot", "wecom-app"]
    assert pagers(section(), Tools(store, http)) == []


async def test_the_group_reads_what_it_is_and_finds_the_ticket(
    platform: WeComPlatform, http: httpx.AsyncClient
) -> None:
    await robot(platform, http).page(NOTICE)
    [text] = platform.robot
    assert "**紧急工单 20261123-0001**" in text
    assert "事情：维权" in text
    assert "[打开工单](https://h.example/console/tickets/x?k=1)" in text


async def test_markup_in_a_notice_stays_words(platform: WeComPlatform, http: httpx.AsyncClient) -> None:
    await robot(platform, http).page(Notice("[点我](http://evil)<@all>", ("x" * 5000,)))
    [text] = platform.robot
    assert "](" not in text
    assert "<" not in text


async def test_the_app_sends_a_card_to_the_colleagues_named_or_to_all(
    platform: WeComPlatform, http: httpx.AsyncClient, store: Bell
) -> None:
    await (await app(platform, http, store, servicers="wang,li")).page(NOTICE)
    await (await app(platform, http, store)).page(Notice(NOTICE.title, NOTICE.lines))
    card, plain = platform.app
    assert (card["touser"], card["agentid"], card["msgtype"]) == ("wang|li", 1000002, "textcard")
    assert card["textcard"]["url"] == NOTICE.url
    assert (plain["touser"], plain["msgtype"]) == ("@all", "text")
    assert NOTICE.title in plain["text"]["content"]


@pytest.mark.parametrize(
    ("fault", "retryable"), [(-1, True), (45009, True), (b"HTTP 502", True), (b"<html>", True), (93000, False)]
)
async def test_a_call_that_failed_says_so(
    platform: WeComPlatform, http: httpx.AsyncClient, store: Bell, fault: int | bytes, retryable: bool
) -> None:
    for path, pager in (("webhook/send", robot(platform, http)), ("message/send", await app(platform, http, store))):
        platform.fail(path, fault)
        with pytest.raises(SendError) as caught:
            await pager.page(NOTICE)
        assert caught.value.retryable is retryable
    assert (platform.robot, platform.app) == ([], [])


async def test_a_robot_that_is_gone_or_far_away_is_an_error_and_no_crash(
    platform: WeComPlatform, http: httpx.AsyncClient
) -> None:
    for wrong in (robot(platform, http, key="revoked"), Robot("http://127.0.0.1:1/x", http)):
        with pytest.raises(SendError):
            await wrong.page(NOTICE)


async def test_colleagues_whom_the_app_does_not_reach_are_an_alarm(
    platform: WeComPlatform, http: httpx.AsyncClient, store: Bell
) -> None:
    platform.fail("message/send", b'{"errcode":0,"errmsg":"ok","invaliduser":"li"}')
    with pytest.raises(SendError) as caught:
        await (await app(platform, http, store, servicers="wang,li")).page(NOTICE)
    assert (caught.value.alarm, caught.value.retryable) == (True, False)
