"""One official account and one pinned moment, for the tests of its connector."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from bot.bell import Bell
from connectors.base import Delivery, Request
from connectors.wechat import WeChat, WeChatSettings
from tests.wechat_client import WeChatClient

TOKEN = "hotline-callback"
APP_ID = "wx2c2769f8efd9abc2"
APP_SECRET = "7d1f0c9b5e"
KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
OTHER_KEY = "ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210zyxwvuA"
OPENID = "oMgHVjngRipVsoxg6TuX3vz6glDg"
AT = datetime(2025, 11, 22, 8, 26, 42, tzinfo=UTC)
# Never sends: one for all, because making a client reads all certificates of the machine.
_HTTP = httpx.AsyncClient(trust_env=False)
PAYLOADS = Path(__file__).parent / "payloads" / "wechat"


def section(**changes: Any) -> WeChatSettings:
    """A whole section, with `changes`."""
    whole: dict[str, Any] = {"token": TOKEN, "app_id": APP_ID, "app_secret": APP_SECRET, "aes_key": KEY}
    return WeChatSettings(**(whole | changes))


def connector(**changes: Any) -> WeChat:
    """A connector for parsing and rendering: nothing listens where it would send to."""
    return WeChat(section(**changes), Bell("redis://127.0.0.1:1"), _HTTP)


def client(mode: str = "safe", key: str = KEY, token: str = TOKEN, app_id: str = APP_ID) -> WeChatClient:
    return WeChatClient("http://127.0.0.1:1", token, app_id, key, mode, http=_HTTP)


def request(body: bytes, query: dict[str, str], method: str = "POST") -> Request:
    return Request(method, query, {}, body, AT)


def pushed(body: bytes, mode: str = "safe", **account: str) -> Request:
    """The request in which the platform brings the plain XML `body`, signed at `AT`."""
    return request(*client(mode, **account).sealed(body, OPENID, int(AT.timestamp())))


def parsed(body: bytes, mode: str = "safe", **changes: Any) -> Delivery:
    delivery = connector(mode=mode, **changes).parse(pushed(body, mode))
    assert isinstance(delivery, Delivery)
    return delivery
