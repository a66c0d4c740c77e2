"""One Telegram bot and one pinned moment, for the tests of its connector."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from bot.bell import Bell
from connectors.base import Delivery, Inbound, Request
from connectors.telegram import Telegram, TelegramPolling, TelegramSettings
from tests.telegram_platform import TOKEN, TelegramPlatform

SECRET = "shared-with_Telegram-42"
AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
ZHANG = 1000000001
HEADER = "x-telegram-bot-api-secret-token"
platform = TelegramPlatform()


def section(**changes: Any) -> TelegramSettings:
    """A whole section, with `changes`."""
    whole: dict[str, Any] = {"token": TOKEN, "secret": SECRET, "api_url": "http://127.0.0.1:1"}
    return TelegramSettings(**(whole | changes))


def connector(store: Bell, **changes: Any) -> Telegram:
    return Telegram(section(**changes), store)


def polling(store: Bell, **changes: Any) -> TelegramPolling:
    return TelegramPolling(section(**changes), store)


def request(body: bytes, secret: str | None = SECRET, method: str = "POST") -> Request:
    return Request(method, {}, {} if secret is None else {HEADER: secret}, body, AT)


def pushed(update: object) -> Request:
    return request(json.dumps(update).encode())


def read(telegram: Telegram, update: object) -> list[Inbound]:
    delivery = telegram.parse(pushed(update))
    assert isinstance(delivery, Delivery)
    return list(delivery.messages)


def only(telegram: Telegram, update: object) -> Inbound:
    (inbound,) = read(telegram, update)
    return inbound
