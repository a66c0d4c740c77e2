"""The whole way over HTTP: our client as the platform, the connector behind a bare route, and servers gone wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from connectors.base import Delivery, Handshake, Inbound, Refused, Request, Response
from connectors.wechat import WeChat
from tests.connectors.account import APP_ID, KEY, OPENID, TOKEN, connector
from tests.wechat_client import Fault, WeChatClient

Answer = Callable[[WeChat, Delivery], Response]


class Desk:
    """The smallest server around a connector; remembers what it was told."""

    def __init__(self, wechat: WeChat, answer: Answer) -> None:
        self.wechat = wechat
        self.answer = answer
        self.heard: list[Inbound] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        query = dict(httpx.QueryParams(scope["query_string"].decode()))
        try:
            parsed = self.wechat.parse(Request(scope["method"], query, {}, body, datetime.now(UTC)))
        except Refused as refused:
            status, response = refused.status, Response(b"refused")
        else:
            status = 200
            if isinstance(parsed, Handshake):
                response = Response(parsed.body.encode())
            else:
                self.heard += parsed.messages
                response = self.answer(self.wechat, parsed)
        kind = [(b"content-type", response.media_type.encode())]
        await send({"type": "http.response.start", "status": status, "headers": kind})
        await send({"type": "http.response.body", "body": response.body})


def repeat(wechat: WeChat, delivery: Delivery) -> Response:
    if not delivery.messages:
        return wechat.acknowledge(delivery)
    return wechat.reply(delivery, delivery.messages[0], f"您说：{delivery.messages[0].text}")


def platform_for(desk: Desk, mode: str) -> WeChatClient:
    http = httpx.AsyncClient(transport=httpx.ASGITransport(desk))
    return WeChatClient("http://127.0.0.1:8000", TOKEN, APP_ID, KEY, mode, http=http)


@pytest.mark.parametrize("mode", ["safe", "compat", "plain"])
async def test_there_and_back(mode: str) -> None:
    desk = Desk(connector(mode=mode), repeat)
    async with platform_for(desk, mode) as platform:
        await platform.verify()
        await platform.verify("a+b &%=")
        assert (await platform.text(OPENID, "]]> 欠薪\x08")).text == "您说：]]> 欠薪"
        assert (await platform.message(OPENID, "image", MediaId="m", PicUrl="u")).text == "您说："
        assert (await platform.event(OPENID, "subscribe")).text == "您说："
        assert (await platform.event(OPENID, "LOCATION", Latitude="39.7", Longitude="116.3")).text is None
        assert (await platform.raw(b"<xml>")).status_code in (400, 403)


async def test_one_message_three_times_is_one_message() -> None:
    desk = Desk(connector(), repeat)
    async with platform_for(desk, "safe") as platform:
        await platform.text(OPENID, "在吗", msg_id=42, times=3)
    assert [inbound.external_id for inbound in desk.heard] == [f"{OPENID}:42"] * 3


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Internal Server Error</html>",
        b'{"detail": "oops"}',
        b"Success",
        b"<xml><ToUserName>x</ToUserName></xml>",
        b"<xml><Encrypt>AAAA</Encrypt><MsgSignature>0</MsgSignature><TimeStamp>1</TimeStamp><Nonce>2</Nonce></xml>",
    ],
)
async def test_the_client_catches_what_the_platform_would_not_take(body: bytes) -> None:
    desk = Desk(connector(), lambda wechat, delivery: Response(body))
    async with platform_for(desk, "safe") as platform:
        with pytest.raises(Fault):
            await platform.text(OPENID, "在吗")


async def test_the_client_catches_a_plain_reply_in_safe_mode() -> None:
    def bare(wechat: WeChat, delivery: Delivery) -> Response:
        plain = Delivery(delivery.messages, type(delivery.shape)(delivery.shape.account, delivery.shape.at, None))
        return wechat.reply(plain, delivery.messages[0], "在")

    async with platform_for(Desk(connector(), bare), "safe") as platform:
        with pytest.raises(Fault, match="plain reply"):
            await platform.text(OPENID, "在吗")


async def test_the_client_catches_a_refusal() -> None:
    async with platform_for(Desk(connector(token="another"), repeat), "safe") as platform:
        with pytest.raises(Fault):
            await platform.verify()
        with pytest.raises(Fault, match="403"):
            await platform.text(OPENID, "在吗")
