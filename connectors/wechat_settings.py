"""The WeChat section of the settings: what to fill in, and what is wrong with it when it is half filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import httpx
from pydantic import Field, SecretStr

from connectors.settings import Section, plain
from connectors.tencent import aes_key
from connectors.wechat_menu import PACKAGED, read

PREFIX = "HOTLINE_WECHAT_"
_EMPTY = SecretStr("")


class WeChatSettings(Section):
    """All empty: the channel is off. Half filled in or malformed: `ValueError` naming each variable in full."""

    prefix = PREFIX

    token: SecretStr = Field(default=_EMPTY, description="公众平台“服务器配置”里的令牌 Token")
    app_id: str = Field(default="", description="公众号的 AppID")
    app_secret: SecretStr = Field(default=_EMPTY, description="公众号的 AppSecret；只被动回复时可以不填")
    aes_key: SecretStr = Field(default=_EMPTY, description="消息加解密密钥 EncodingAESKey，43 个字符；明文模式可以不填")
    aes_key_previous: SecretStr = Field(default=_EMPTY, description="换密钥时填旧的一把，新旧都能解")
    mode: Literal["safe", "plain", "compat"] = Field(
        default="safe", description="消息加解密方式：safe 安全、compat 兼容、plain 明文"
    )
    passive_only: bool = Field(default=False, description="公众号没有认证、不能主动发消息时设为 true")
    api_url: str = Field(default="https://api.weixin.qq.com", description="微信接口地址")
    freshness: int = Field(default=600, ge=0, description="请求的签名时间与本机相差超过几秒就拒绝；0 不检查")
    menu: str = Field(default="", description="菜单、站点二维码和通知写在哪个 YAML 文件；不填用自带的")
    picture_url: str = Field(default="https://mp.weixin.qq.com", description="取二维码图片的微信地址")
    transfer: bool = Field(default=False, description="有人值守时职工要人工，转到微信自己的客服工具")
    transfer_to: str = Field(default="", description="转给哪个客服账号（如 kf2001@gh_abc）；不填由微信分配")
    notice_template: str = Field(default="", description="订阅通知的模板编号；不填不发通知")

    def configured(self) -> bool:
        """Whether the channel is switched on."""
        return bool(self.token.get_secret_value())

    @property
    def guide_path(self) -> Path:
        """The file with the menu, the sites and the notice."""
        return Path(self.menu) if self.menu else PACKAGED

    def faults(self) -> list[str]:
        needed = ["token", "app_id"]
        if not self.passive_only:
            needed.append("app_secret")
        if self.mode != "plain":
            needed.append("aes_key")
        given = {
            name: value
            for name in ("token", "app_id", "app_secret", "aes_key", "aes_key_previous")
            if (value := plain(getattr(self, name)))
        }
        if not given:
            return []
        faults = [f"{PREFIX}{name.upper()} 没有填{_WHY.get(name, '')}" for name in needed if name not in given]
        faults += [f"{PREFIX}{name.upper()} 里有空白" for name, value in given.items() if any(map(str.isspace, value))]
        for name in ("aes_key", "aes_key_previous"):
            try:
                aes_key(given.get(name, "A" * 43))
            except ValueError as error:
                faults.append(f"{PREFIX}{name.upper()} {error}，现在是 {len(given[name])} 个字符")
        for name in ("api_url", "picture_url"):
            url = httpx.URL(getattr(self, name))
            if url.scheme not in ("http", "https") or not url.host:
                faults.append(f"{PREFIX}{name.upper()} 应是 http(s) 开头的地址")
        return faults + self._guide_faults()

    def _guide_faults(self) -> list[str]:
        faults = []
        try:
            guide = read(self.guide_path)
        except ValueError as error:
            faults.append(f"{PREFIX}MENU {error}")
        else:
            if self.notice_template and not guide.notice:
                faults.append(f"{PREFIX}NOTICE_TEMPLATE 填了，菜单文件里却没有 notice.fields")
        if self.passive_only and self.transfer:
            faults.append(f"{PREFIX}TRANSFER 和 {PREFIX}PASSIVE_ONLY 不能同时用：没有认证的公众号没有客服工具")
        if self.transfer_to and not self.transfer:
            faults.append(f"{PREFIX}TRANSFER_TO 填了，{PREFIX}TRANSFER 却没有打开")
        return faults


_WHY = {
    "app_secret": "（公众号不能主动发消息时设 HOTLINE_WECHAT_PASSIVE_ONLY=true）",
    "aes_key": "（公众平台选了明文模式时设 HOTLINE_WECHAT_MODE=plain）",
}
