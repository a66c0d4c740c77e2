"""Which channels there are, and which of them are switched on."""

from __future__ import annotations

import httpx

from connectors.base import Connector, Store
from connectors.webchat import WebChat
from connectors.wechat import WeChat, WeChatSettings

CONNECTORS: dict[str, type[Connector]] = {WeChat.name: WeChat, WebChat.name: WebChat}


def build(wechat: WeChatSettings | None, store: Store, http: httpx.AsyncClient) -> dict[str, Connector]:
    """The channels that are switched on, by name. The web chat always is; a section that is None is off."""
    built: dict[str, Connector] = {WebChat.name: WebChat()}
    if wechat and wechat.configured():
        built[WeChat.name] = WeChat(wechat, store, http)
    return built
