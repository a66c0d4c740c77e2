"""Options as menu messages, as links, and as numbered text where neither is allowed."""

from __future__ import annotations

import json

import pytest

from bot.bell import Bell
from connectors.base import Option, Outbound, SendError
from connectors.wechat import WeChat
from connectors.wechat_options import as_numbers, head_of
from tests.connectors.account import OPENID, connector
from tests.connectors.office import office
from tests.wechat_platform import WeChatPlatform

OPTIONS = (Option("topic:a", "欠薪 <急>"), Option("none", "都不是"))
REPLY = Outbound("r1", OPENID, "你是想问：", options=OPTIONS)
NUMBERS = "你是想问：\n\n1. 欠薪 ＜急＞\n2. 都不是\n（回复数字也行）"


async def push(wechat: WeChat, reply: Outbound = REPLY) -> None:
    await wechat.send(reply, wechat.render(reply))


async def test_options_go_as_a_menu_message(platform: WeChatPlatform, store: Bell) -> None:
    async with office(platform, store) as wechat:
        await push(wechat)
    assert json.loads(platform.bodies[-1]) == {
        "touser": OPENID,
        "msgtype": "msgmenu",
        "msgmenu": {
            "head_content": "你是想问：",
            "list": [{"id": "topic:a", "content": "欠薪 ＜急＞"}, {"id": "none", "content": "都不是"}],
            "tail_content": "",
        },
    }


async def test_an_account_without_menu_messages_gets_links_and_is_remembered(
    platform: WeChatPlatform, store: Bell
) -> None:
    platform.menu_messages = False
    async with office(platform, store) as wechat, office(platform, store) as another_process:
        await push(wechat)
        assert platform.calls["custom/send"] == 2
        await push(another_process)
        assert platform.calls["custom/send"] == 3
    assert platform.shown[OPENID] == [connector().render(REPLY)] * 2
    assert "weixin://bizmsgmenu" in platform.shown[OPENID][0]


async def test_where_links_are_refused_numbers_are_left(platform: WeChatPlatform, store: Bell) -> None:
    platform.fail("custom/send", 40200, 45166)
    async with office(platform, store) as wechat, office(platform, store) as another_process:
        await push(wechat)
        assert platform.shown[OPENID] == [NUMBERS]
        assert wechat.render(REPLY) == NUMBERS, "what rides in a response has numbers too from now on"
        # Rendered with links before this process had heard of it.
        await push(another_process)
    assert platform.shown[OPENID] == [NUMBERS] * 2
    assert platform.calls["custom/send"] == 4


async def test_any_other_refusal_is_no_reason_to_change_the_form(platform: WeChatPlatform, store: Bell) -> None:
    platform.fail("custom/send", 45015)
    async with office(platform, store) as wechat:
        with pytest.raises(SendError) as caught:
            await push(wechat)
        assert caught.value.code == 45015
        platform.menu_messages = False
        platform.fail("custom/send", 0, 45047)
        with pytest.raises(SendError) as caught:
            await push(wechat)
        assert caught.value.code == 45047
    assert platform.shown[OPENID] == []


@pytest.mark.parametrize("text", ["前半段\n……回复“更多”看下一段", "你是想问：", ""])
async def test_text_that_does_not_end_with_the_options_stays_text(
    platform: WeChatPlatform, store: Bell, text: str
) -> None:
    assert head_of(text, OPTIONS) is None
    async with office(platform, store) as wechat:
        await wechat.send(REPLY, text or "空")
    assert json.loads(platform.bodies[-1])["msgtype"] == "text"


def test_options_with_nothing_above_them_are_no_menu() -> None:
    assert head_of(as_numbers(OPTIONS), OPTIONS) is None
    assert head_of("头" + as_numbers(OPTIONS), OPTIONS) == "头"
    assert head_of("没有选项", ()) is None
