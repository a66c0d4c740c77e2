"""The Telegram section of the settings: what to fill in, and what is wrong with it when it is half filled in."""

from __future__ import annotations

import re

import httpx
from pydantic import Field, SecretStr

from connectors.settings import Section

PREFIX = "HOTLINE_TELEGRAM_"
API_URL = "https://api.telegram.org"
_EMPTY = SecretStr("")
_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{1,128}")
# What Telegram takes as `secret_token`.
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
_PROXIES = ("http", "https")


class TelegramSettings(Section):
    """All empty: the channel is off. Half filled in or malformed: `ValueError` naming each variable in full."""

    prefix = PREFIX

    token: SecretStr = Field(default=_EMPTY, description="机器人的令牌，找 @BotFather 要")
    secret: SecretStr = Field(
        default=_EMPTY, description="回调暗号，自己定；和 PUBLIC_URL 都填了才用回调，否则由本机去取消息"
    )
    api_url: str = Field(default=API_URL, description="Telegram 接口地址")
    proxy: SecretStr = Field(default=_EMPTY, description="去 Telegram 的代理，如 http://127.0.0.1:7890")

    def configured(self) -> bool:
        """Whether the channel is switched on."""
        return bool(self.token.get_secret_value())

    def faults(self) -> list[str]:
        token, secret, proxy = (part.get_secret_value() for part in (self.token, self.secret, self.proxy))
        faults = []
        if not token and (secret or proxy):
            faults.append(f"{PREFIX}TOKEN 没有填")
        if token and not _TOKEN.fullmatch(token):
            faults.append(f"{PREFIX}TOKEN 应像 123456789:AAE…，是 @BotFather 给的一整串")
        if secret and not _SECRET.fullmatch(secret):
            faults.append(f"{PREFIX}SECRET 只能用字母、数字、_ 和 -，最多 256 个字符")
        if not _is_address(self.api_url, ("http", "https")):
            faults.append(f"{PREFIX}API_URL 应是 http(s) 开头的地址")
        if proxy and not _is_address(proxy, _PROXIES):
            faults.append(f"{PREFIX}PROXY 应像 http://主机:端口；不支持 socks")
        return faults


def _is_address(value: str, schemes: tuple[str, ...]) -> bool:
    try:
        url = httpx.URL(value)
    except httpx.InvalidURL:
        return False
    return url.scheme in schemes and bool(url.host)
