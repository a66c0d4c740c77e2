"""One corp with 微信客服, for the tests of its connector."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from bot.bell import Bell
from connectors.base import Option, Outbound, Request
from connectors.wecom import WeCom, WeComSettings
from connectors.wecom_messages import address_of
from tests.wecom_client import WeComClient
from tests.wecom_platform import ACCOUNT, WeComPlatform

CORP_ID, SECRET, TOKEN = "wx5823bf96d3bd56c7", "s3cret-of-the-app", "QDG6eK"
KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
CUSTOMER = "wmAJ2GCAAAme1XQRC-NI-q0_ZM9ukoAw"
ADDRESS = address_of(ACCOUNT, CUSTOMER)
AT = datetime(2025, 11, 22, 8, 26, 42, tzinfo=UTC)
YES_NO = (Option("yes", "是"), Option("no", "不是"))
_HTTP = httpx.AsyncClient(trust_env=False)


def section(**changes: Any) -> WeComSettings:
    """A whole section, with `changes`."""
    whole: dict[str, Any] = {"corp_id": CORP_ID, "secret": SECRET, "token": TOKEN, "aes_key": KEY}
    return WeComSettings(**(whole | changes))


def connector(**changes: Any) -> WeCom:
    """A connector for parsing and rendering: nothing listens where it would send to."""
    return WeCom(section(**changes), Bell("redis://127.0.0.1:1"), _HTTP)


@asynccontextmanager
async def office(platform: WeComPlatform, store: Bell, **changes: Any) -> AsyncIterator[WeCom]:
    """A connector with its own http client, as each process has."""
    async with httpx.AsyncClient(trust_env=False) as http:
        yield WeCom(section(**({"api_url": platform.url} | changes)), store, http)


def client(**changes: str) -> WeComClient:
    account = {"token": TOKEN, "corp_id": CORP_ID, "aes_key": KEY} | changes
    return WeComClient("http://127.0.0.1:1", account["token"], account["corp_id"], account["aes_key"], _HTTP)


def posted(body: bytes, query: dict[str, str], method: str = "POST") -> Request:
    return Request(method, query, {}, body, AT)


def reply(identity: str = "0193-a", text: str = "您好", **more: Any) -> Outbound:
    return Outbound(identity, ADDRESS, text, **more)
