"""What `hotline doctor` looks at for an official account, without sending anybody anything."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime

import httpx

from connectors.abilities import Finding
from connectors.base import SendError
from connectors.tencent import sign
from connectors.wechat_api import WeChatApi
from connectors.wechat_menu import Guide, differs

_TIMEOUT = httpx.Timeout(5.0, connect=2.0)
_SKEW = 60


async def examine(
    api: WeChatApi,
    http: httpx.AsyncClient,
    guide: Guide,
    *,
    token: str,
    public_url: str,
    passive: bool,
) -> list[Finding]:
    """One finding a question, in the order in which to mend them. Never raises."""
    found = [*await _host(http, api.url)]
    if passive:
        found.append(Finding(True, "微信：只被动回复，不查令牌、菜单和客服消息"))
    elif found[0].good:
        found.append(await _asked("访问令牌", api.token, "核对 AppID、AppSecret 和公众平台的 IP 白名单"))
        if found[-1].good:
            found.append(await _menu(api, guide))
            found.append(await _asked("回调服务器的地址表", lambda: _callback_addresses(api), "稍后再试"))
    found.append(await _callback(http, token, public_url))
    return found


async def _asked(what: str, ask: Callable[[], Awaitable[object]], todo: str) -> Finding:
    try:
        await ask()
    except SendError as error:
        return Finding(False, f"微信：{what}拿不到（{error.reason}）", todo)
    return Finding(True, f"微信：{what}正常")


async def _host(http: httpx.AsyncClient, url: str) -> list[Finding]:
    """Whether the API answers at all, and what time it has."""
    try:
        answer = await http.get(f"{url}/cgi-bin/getcallbackip", timeout=_TIMEOUT)
    except httpx.HTTPError as error:
        why = f"微信：连不上 {url}（{type(error).__name__}）"
        return [Finding(False, why, "检查出口网络、DNS 和防火墙；地址在 HOTLINE_WECHAT_API_URL")]
    found = [Finding(True, f"微信：接口 {url} 连得上")]
    try:
        skew = round(time.time() - parsedate_to_datetime(answer.headers["date"]).timestamp())
    except (KeyError, ValueError):
        return found
    if abs(skew) > _SKEW:
        return [*found, Finding(False, f"微信：本机时间和平台差 {skew} 秒", "打开时间同步（NTP），差多了消息会被拒绝")]
    return [*found, Finding(True, f"微信：时间和平台差 {skew} 秒")]


async def _menu(api: WeChatApi, guide: Guide) -> Finding:
    try:
        different = await differs(api, guide)
    except SendError as error:
        return Finding(
            False, f"微信：菜单查不到（{error.reason}）", "没有菜单权限的公众号设 HOTLINE_WECHAT_PASSIVE_ONLY=true"
        )
    if different:
        return Finding(False, "微信：公众号上的菜单和菜单文件不一样", "运行 hotline wechat menu")
    return Finding(True, "微信：菜单和菜单文件一样")


async def _callback_addresses(api: WeChatApi) -> None:
    if not isinstance((await api.get("/cgi-bin/getcallbackip")).get("ip_list"), list):
        raise SendError("平台的回应读不懂", retryable=True)


async def _callback(http: httpx.AsyncClient, token: str, public_url: str) -> Finding:
    """Shake hands with ourselves at the address that the platform uses."""
    if not public_url:
        return Finding(False, "微信：不知道外面访问本服务的地址", "设 HOTLINE_PUBLIC_URL，才能检查回调地址")
    url = f"{public_url.rstrip('/')}/webhooks/wechat"
    stamp, nonce, echo = str(int(time.time())), secrets.token_hex(4), secrets.token_hex(8)
    query = {"signature": sign(token, stamp, nonce), "timestamp": stamp, "nonce": nonce, "echostr": echo}
    todo = "反向代理要把这个地址原样转给本服务（80 或 443 端口，不能跳转）"
    try:
        answer = await http.get(url, params=query, timeout=_TIMEOUT, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Finding(False, f"微信：回调地址 {url} 连不上（{type(error).__name__}）", todo)
    if answer.status_code == httpx.codes.FORBIDDEN:
        return Finding(False, f"微信：回调地址 {url} 拒绝了签名", "运行中的服务用的 Token 和这里的不一样，重启服务")
    if answer.status_code != httpx.codes.OK or answer.text != echo:
        return Finding(False, f"微信：回调地址 {url} 没有正确应答（HTTP {answer.status_code}）", todo)
    return Finding(True, f"微信：回调地址 {url} 应答正确")
