from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.bell import Bell
from connectors.base import Connector, Kind, Option, Outbound, Refused, Request, Tools
from connectors.registry import build
from connectors.webchat import LONGEST, WebChat, inbound
from connectors.wechat import WeChatSettings
from tests.connectors.account import section

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


def test_a_visitors_message() -> None:
    read = inbound("s1", "m-1", " 欠薪\x00怎么办\r\n急 ", None, NOW)
    assert (read.channel, read.address, read.external_id) == ("web", "s1", "s1:m-1")
    assert (read.kind, read.text, read.option, read.sent_at) == (Kind.TEXT, "欠薪怎么办\n急", None, NOW)


def test_two_visitors_may_use_the_same_number() -> None:
    assert inbound("s1", "1", "a", None, NOW).external_id != inbound("s2", "1", "a", None, NOW).external_id


def test_a_tapped_option_needs_no_text() -> None:
    assert inbound("s1", "1", "", "wages.unpaid", NOW).option == "wages.unpaid"


@pytest.mark.parametrize("text", ["", " \n\u3000", "\x00\ud800"])
def test_nothing_to_read_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="还没有写内容"):
        inbound("s1", "1", text, None, NOW)


def test_too_much_is_told() -> None:
    assert inbound("s1", "1", "长" * LONGEST, None, NOW).text
    with pytest.raises(ValueError, match="4000"):
        inbound("s1", "1", "长" * (LONGEST + 1), None, NOW)


@pytest.mark.parametrize("number", ["", "a b", "x" * 65, "编号", "a\n"])
def test_a_message_number_that_is_none_is_told(number: str) -> None:
    with pytest.raises(ValueError, match="刷新"):
        inbound("s1", number, "在吗", None, NOW)


@given(st.text(st.characters(), max_size=200), st.none() | st.text(st.characters(), max_size=200))
def test_any_text_is_clean_or_told(text: str, option: str | None) -> None:
    try:
        read = inbound("s1", "1", text, option, NOW)
    except ValueError:
        return
    read.text.encode()
    (read.option or "").encode()
    assert read.text or read.option


async def test_a_reply_needs_no_sending_and_no_callback_is_taken() -> None:
    web = WebChat()
    reply = Outbound("r1", "s1", "您好", (Option("a", "欠薪"),))
    assert web.render(reply) == "您好"
    await web.send(reply, web.render(reply))
    with pytest.raises(Refused):
        web.parse(Request("POST", {}, {}, b"{}", NOW))
    await web.close()


async def test_only_what_is_switched_on_is_built() -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        store = Bell("redis://127.0.0.1:1")
        assert set(build({}, Tools(store, http))) == {"web"}
        assert set(build({"wechat": WeChatSettings()}, Tools(store, http))) == {"web"}
        both = build({"wechat": section()}, Tools(store, http))
    assert set(both) == {"web", "wechat"}
    for name, connector in both.items():
        assert isinstance(connector, Connector)
        assert connector.name == name
