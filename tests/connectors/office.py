"""A WeChat connector that speaks to the platform's stand-in, as each process of the service has one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from bot.bell import Bell
from connectors.wechat import WeChat
from tests.connectors.account import section
from tests.wechat_platform import WeChatPlatform


@asynccontextmanager
async def office(platform: WeChatPlatform, store: Bell, **changes: Any) -> AsyncIterator[WeChat]:
    async with httpx.AsyncClient(trust_env=False) as http:
        yield WeChat(section(**({"api_url": platform.url} | changes)), store, http)
