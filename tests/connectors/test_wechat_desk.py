"""The platform's own desk, its notices, and what the doctor looks at."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from bot.bell import Bell
from connectors.abilities import Checks, Finding, Notifies, Prepares, Transfers, Types
from connectors.base import Delivery, Handshake, Refused, Request, SendError
from connectors.wechat import WeChat
from tests.connectors.account import APP_ID, KEY, OPENID, connector, pushed, section
from tests.connectors.office import office
from tests.connectors.test_wechat_parse import payload
from tests.wechat_client import ACCOUNT, decrypt
from tests.wechat_platform import WeChatPlatform


def test_the_account_has_every_ability_that_is_asked_for() -> None:
    for ability in (Checks, Notifies, Prepares, Transfers, Types):
        assert isinstance(connector(), ability)


async def transferred(wechat: WeChat, name: str = "text", mode: str = "safe") -> dict[str, str] | None:
    """The nodes of the response that hands the worker over."""
    delivery = wechat.parse(pushed(payload(name), mode))
    assert isinstance(delivery, Delivery)
    response = await wechat.transfer(delivery, delivery.messages[0])
    if response is None:
        return None
    nodes = ET.fromstring(response.body)  # noqa: S314  # our own answer
    if mode == "safe":
        nodes = ET.fromstring(decrypt(nodes.findtext("Encrypt", ""), KEY, APP_ID))  # noqa: S314  # our own answer
    return {node.tag: node.text or "" for node in nodes.iter()}


@pytest.mark.parametrize("mode", ["safe", "plain"])
async def test_a_worker_is_brought_to_the_platforms_desk(platform: WeChatPlatform, store: Bell, mode: str) -> None:
    platform.online = ["kf1@union", "kf2@union"]
    async with office(platform, store, transfer=True, mode=mode) as wechat:
        nodes = await transferred(wechat, mode=mode)
    assert nodes is not None
    assert (nodes["MsgType"], nodes["ToUserName"], nodes["FromUserName"]) == (
        "transfer_customer_service",
        OPENID,
        ACCOUNT,
    )
    assert "KfAccount" not in nodes


async def test_a_named_colleague_is_only_named_while_online(platform: WeChatPlatform, store: Bell) -> None:
    async with office(platform, store, transfer=True, transfer_to="kf2@union") as wechat:
        platform.online = ["kf1@union", "kf2@union"]
        assert (await transferred(wechat) or {})["KfAccount"] == "kf2@union"
        platform.online = ["kf1@union"]
        assert "KfAccount" not in (await transferred(wechat) or {"KfAccount": ""})
        platform.online = []
        assert await transferred(wechat) is None, "an empty desk would keep the worker for ever"


async def test_events_are_never_transferred_nor_anything_unless_it_is_set(
    platform: WeChatPlatform, store: Bell
) -> None:
    platform.online = ["kf1@union"]
    async with office(platform, store, transfer=True) as wechat:
        assert await transferred(wechat, "click") is None
    async with office(platform, store) as wechat:
        assert await transferred(wechat) is None
    assert platform.calls["customservice/getonlinekflist"] == 0


@pytest.mark.parametrize("fault", [65400, -1, b"<html>", b'{"kf_online_list": "x"}', b'{"kf_online_list": [1]}'])
async def test_a_desk_that_cannot_be_asked_about_is_empty(
    platform: WeChatPlatform, store: Bell, fault: int | bytes
) -> None:
    platform.online = ["kf1@union"]
    platform.fail("customservice/getonlinekflist", fault)
    async with office(platform, store, transfer=True) as wechat:
        assert await transferred(wechat) is None


async def test_a_slow_desk_does_not_cost_the_five_seconds(platform: WeChatPlatform, store: Bell) -> None:
    platform.online = ["kf1@union"]
    async with office(platform, store, transfer=True) as wechat:
        await wechat.api.token()
        platform.delay = 3
        begun = datetime.now(UTC)
        assert await transferred(wechat) is None
    assert (datetime.now(UTC) - begun).total_seconds() < 2


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"transfer": True, "passive_only": True}, "TRANSFER 和 HOTLINE_WECHAT_PASSIVE_ONLY"),
        ({"transfer_to": "kf1@union"}, "TRANSFER_TO"),
        ({"picture_url": "mp.weixin.qq.com"}, "PICTURE_URL"),
    ],
)
def test_settings_that_contradict_each_other_are_named(changes: dict[str, Any], names: str) -> None:
    with pytest.raises(ValueError, match=names):
        section(**changes)


async def test_a_notice_fills_in_the_fields_of_the_template(platform: WeChatPlatform, store: Bell) -> None:
    platform.consents[OPENID] = 1
    async with office(platform, store, notice_template="TICKET-NEWS") as wechat:
        assert wechat.notice() == "您的工单有新回复，请回到公众号发任意字查看"
        await wechat.notify(OPENID, "20261122-0007")
        assert platform.noticed == [
            (
                OPENID,
                {
                    "character_string1": "20261122-0007",
                    "thing2": "您的工单有新回复",
                    "thing3": "请回到公众号发任意字查看",
                },
            )
        ]
        with pytest.raises(SendError) as caught:
            await wechat.notify(OPENID, "20261122-0007")
    assert (caught.value.code, caught.value.retryable) == (43101, False)


def test_without_a_template_there_are_no_notices() -> None:
    assert connector().notice() is None
    assert connector(notice_template="TICKET-NEWS", passive_only=True).notice() is None


# The doctor


@asynccontextmanager
async def patient(platform: WeChatPlatform, store: Bell, *, answers: str = "", **changes: Any) -> AsyncIterator[WeChat]:
    """A connector whose own webhook stands at https://hotline.example; `answers` is what a proxy says instead."""
    async with httpx.AsyncClient(trust_env=False) as real:

        async def route(request: httpx.Request) -> httpx.Response:
            if request.url.host != "hotline.example":
                return await real.send(request)
            if answers.isdigit():
                return httpx.Response(int(answers), headers={"location": "https://elsewhere.example/"})
            if answers:
                return httpx.Response(200, text=answers)
            try:
                parsed = wechat.parse(Request("GET", dict(request.url.params), {}, b"", datetime.now(UTC)))
            except Refused as refused:
                return httpx.Response(refused.status)
            assert isinstance(parsed, Handshake)
            assert request.url.path == "/webhooks/wechat"
            return httpx.Response(200, text=parsed.body)

        async with httpx.AsyncClient(transport=httpx.MockTransport(route)) as http:
            wechat = WeChat(section(**({"api_url": platform.url} | changes)), store, http)
            yield wechat


async def examined(
    platform: WeChatPlatform, store: Bell, public_url: str = "https://hotline.example", **changes: Any
) -> list[Finding]:
    async with patient(platform, store, **changes) as wechat:
        return list(await wechat.check(public_url))


def bad(findings: list[Finding]) -> list[str]:
    assert all(finding.todo for finding in findings if not finding.good)
    return [finding.what for finding in findings if not finding.good]


async def test_a_healthy_account_has_nothing_to_mend(platform: WeChatPlatform, store: Bell) -> None:
    async with patient(platform, store) as wechat:
        await wechat.prepare("")
        findings = list(await wechat.check("https://hotline.example"))
    assert bad(findings) == []
    assert len(findings) == 6


async def test_each_fault_is_named_with_what_to_do(platform: WeChatPlatform, store: Bell) -> None:
    (menu,) = bad(await examined(platform, store))
    assert "菜单" in menu
    platform.fail("stable_token", 40164)
    (token,) = bad(await examined(platform, Bell("redis://127.0.0.1:1")))[:1]
    assert "令牌" in token
    (wrong,) = bad(await examined(platform, store, api_url="http://127.0.0.1:1"))[:1]
    assert "连不上" in wrong
    unset = bad(await examined(platform, store, public_url=""))
    assert any("外面访问" in what for what in unset)
    platform.fail("getcallbackip", 0, -1)
    assert any("地址表" in what for what in bad(await examined(platform, store)))


@pytest.mark.parametrize("ahead", [-300, 300])
async def test_a_clock_that_goes_wrong_is_found(platform: WeChatPlatform, store: Bell, ahead: int) -> None:
    platform.ahead = ahead
    assert any("时间" in what for what in bad(await examined(platform, store)))


@pytest.mark.parametrize("answers", ["301", "404", "502", "<html>不是回声</html>"])
async def test_a_proxy_that_does_not_pass_the_callback_on_is_found(
    platform: WeChatPlatform, store: Bell, answers: str
) -> None:
    found = bad(await examined(platform, store, answers=answers))
    assert any("没有正确应答" in what for what in found)


async def test_a_service_that_runs_with_another_token_is_found(platform: WeChatPlatform, store: Bell) -> None:
    assert any("拒绝了签名" in what for what in bad(await examined(platform, store, answers="403")))


async def test_an_account_that_only_answers_is_asked_less(platform: WeChatPlatform, store: Bell) -> None:
    assert bad(await examined(platform, store, passive_only=True)) == []
    assert platform.calls["stable_token"] == 0
