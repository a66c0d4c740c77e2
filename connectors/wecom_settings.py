"""The WeCom section of the settings: 微信客服 and the calls to staff, and what is wrong when it is half filled in."""

from __future__ import annotations

import re

import httpx
from pydantic import Field, SecretStr

from connectors.settings import Section, plain
from connectors.tencent import aes_key

PREFIX = "HOTLINE_WECOM_"
_EMPTY = SecretStr("")
_DESK = ("corp_id", "secret", "token", "aes_key")
_USER_ID = re.compile(r"[\w.@-]{1,64}", re.ASCII)


class WeComSettings(Section):
    """All empty: nothing is switched on. Half filled in or malformed: `ValueError` naming each variable in full.

    The group robot stands by itself: a union without 微信客服 may still have its duty group called.
    """

    prefix = PREFIX

    corp_id: str = Field(default="", description="企业微信的企业 ID")
    secret: SecretStr = Field(default=_EMPTY, description="微信客服“可调用接口的应用”的 Secret")
    token: SecretStr = Field(default=_EMPTY, description="应用“接收消息”里的 Token")
    aes_key: SecretStr = Field(default=_EMPTY, description="应用“接收消息”里的 EncodingAESKey，43 个字符")
    api_url: str = Field(default="https://qyapi.weixin.qq.com", description="企业微信接口地址")
    robot_url: SecretStr = Field(default=_EMPTY, description="值班群机器人的 Webhook 地址；不填就不在群里提醒")
    agent_id: str = Field(default="", description="应用的 AgentId；填了就用应用消息提醒值班同事")
    servicers: str = Field(
        default="", description="微信客服接待人员的账号，逗号分隔；填了先转给他们，不填只在控制台接待"
    )

    def configured(self) -> bool:
        """Whether the channel is switched on."""
        return bool(self.token.get_secret_value())

    def calls_staff(self) -> bool:
        """Whether staff are called outside the console."""
        return bool(self.robot_url.get_secret_value() or self.agent_id)

    def on_desk(self) -> list[str]:
        """The colleagues at the platform's own desk, in the order they are asked."""
        return [name.strip() for name in self.servicers.split(",") if name.strip()]

    def faults(self) -> list[str]:
        given = {name: value for name in (*_DESK, "agent_id", "servicers") if (value := plain(getattr(self, name)))}
        faults = [f"{PREFIX}{name.upper()} 没有填" for name in _DESK if given and name not in given]
        faults += [f"{PREFIX}{name.upper()} 里有空白" for name in _DESK if any(map(str.isspace, given.get(name, "")))]
        try:
            aes_key(given.get("aes_key", "A" * 43))
        except ValueError as error:
            faults.append(f"{PREFIX}AES_KEY {error}，现在是 {len(given['aes_key'])} 个字符")
        if self.agent_id and not (self.agent_id.isascii() and self.agent_id.isdecimal()):
            faults.append(f"{PREFIX}AGENT_ID 应是数字")
        faults += [
            f"{PREFIX}SERVICERS 里的 {name!r} 不像账号" for name in self.on_desk() if not _USER_ID.fullmatch(name)
        ]
        for name in ("api_url", "robot_url"):
            if (address := plain(getattr(self, name))) and not _is_address(address):
                faults.append(f"{PREFIX}{name.upper()} 应是 http(s) 开头的地址")
        return faults


def _is_address(value: str) -> bool:
    try:
        url = httpx.URL(value)
    except httpx.InvalidURL:
        return False
    return url.scheme in ("http", "https") and bool(url.host)
