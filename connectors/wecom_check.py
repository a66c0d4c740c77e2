"""What `hotline doctor` looks at on WeCom, without sending anybody anything."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx

from connectors.abilities import Finding
from connectors.base import SendError
from connectors.tencent import MessageCrypt, read_xml, text_of
from connectors.wecom_api import WeComApi

_SKEW_SECONDS = 60


async def examine(
    api: WeComApi, http: httpx.AsyncClient, crypt: MessageCrypt, name: str, public_url: str
) -> Sequence[Finding]:
    """Never raises: what fails is a finding."""
    return [await _clock(api), await _accounts(api), await _callback(http, crypt, name, public_url)]


async def _clock(api: WeComApi) -> Finding:
    try:
        skew = round((datetime.now(UTC) - await api.clock()).total_seconds())
    except SendError as error:
        return Finding(False, f"企业微信接口：{error.reason}", "检查服务器能否访问 HOTLINE_WECOM_API_URL")
    if abs(skew) > _SKEW_SECONDS:
        return Finding(False, f"本机时钟与企业微信差 {skew} 秒", "打开 NTP 校时；差 10 分钟以上会拒绝回调")
    return Finding(True, f"企业微信接口可以访问，时钟差 {skew} 秒")


async def _accounts(api: WeComApi) -> Finding:
    """Asked with the access token: this looks at corp id, secret, trusted IP and rights as well."""
    try:
        found = await api.accounts()
    except SendError as error:
        todo = "核对 HOTLINE_WECOM_CORP_ID、HOTLINE_WECOM_SECRET，把本机出口 IP 加进应用的“企业可信 IP”"
        return Finding(False, f"微信客服账号列表：{error.reason}", todo)
    if not found:
        todo = "在企业微信管理后台“微信客服 › 可调用接口的应用”里，把客服账号交给这个应用"
        return Finding(False, "没有这个应用可以管理的客服账号", todo)
    return Finding(True, f"访问令牌有效，可以管理 {len(found)} 个客服账号")


async def _callback(http: httpx.AsyncClient, crypt: MessageCrypt, name: str, public_url: str) -> Finding:
    """The platform's own handshake, made by us."""
    if not public_url:
        return Finding(False, "不知道回调地址", "设 HOTLINE_PUBLIC_URL")
    where = f"{public_url.rstrip('/')}/webhooks/{name}"
    word, stamp, nonce = secrets.token_hex(8), int(time.time()), secrets.token_hex(8)
    envelope = read_xml(crypt.seal(word, 0, stamp, nonce).encode())
    query = {
        "msg_signature": text_of(envelope, "MsgSignature"),
        "timestamp": str(stamp),
        "nonce": nonce,
        "echostr": text_of(envelope, "Encrypt"),
    }
    try:
        answer = await http.get(where, params=query, timeout=5)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Finding(False, f"回调地址 {where} 打不开：{type(error).__name__}", "检查域名、证书和反向代理")
    if answer.status_code != httpx.codes.OK or answer.text != word:
        todo = "地址要直接指到本服务，不能跳转；Token 和 EncodingAESKey 要与正在运行的服务一致"
        return Finding(False, f"回调地址 {where} 回应 HTTP {answer.status_code}，不是我们的回应", todo)
    return Finding(True, f"回调地址 {where} 通")
