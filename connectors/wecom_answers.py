"""How a call to WeCom ends: within a time, with a JSON object, or with a refusal whose meaning is in one table."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

import httpx
import structlog

from connectors.base import SendError
from connectors.tencent import Refusal

log = structlog.get_logger(__name__)
T = TypeVar("T")

TOTAL_SECONDS = 5.0
TOKEN_REFUSED = frozenset({40014, 41001, 42001})
TICKET_REFUSED = 95007
NOT_ON_DUTY = 95014
WRONG_STATE = frozenset({95013, 95018})
_WRONG_IP = 60020
_FROM_IP = re.compile(r"from ip: ?([0-9a-fA-F.:]+[0-9a-fA-F])")
_ALREADY = re.compile(r"(?=.*msg_?id).*(dup|repeat|exist)", re.IGNORECASE)


_TOKEN = Refusal("企业微信不认访问令牌", hold=True, alarm=True)
_CONFIG = Refusal("企业微信的配置不对（企业 ID、Secret 或可信 IP）", hold=True, alarm=True)
_RIGHTS = Refusal("应用没有微信客服的接口权限", hold=True, alarm=True)
_ACCOUNT = Refusal("这个客服账号不在了，或没有交给这个应用", hold=True, alarm=True)
_MEDIA = Refusal("图片、语音或文件已经取不到")
_BUSY = Refusal("企业微信接口调用太频繁", retryable=True, after=timedelta(minutes=1))
_OURS = Refusal("企业微信读不懂我们的请求")

# WeCom's global return codes, reactions as decided here: a refusal that time or the worker can undo holds the
# message, one that only a person can undo rings the alarm as well.
REFUSALS: Mapping[int, Refusal] = {
    -1: Refusal("企业微信繁忙", retryable=True),
    6000: Refusal("企业微信数据冲突", retryable=True),
    45009: _BUSY,
    45033: _BUSY,
    **dict.fromkeys(TOKEN_REFUSED, _TOKEN),
    **dict.fromkeys((40001, 40013, 40056, 60020), _CONFIG),
    **dict.fromkeys((48002, 48003, 50001, 50002, 60011, 95011, 95012, 95017, 301002), _RIGHTS),
    **dict.fromkeys((40201, 95000, 95004), _ACCOUNT),
    **dict.fromkeys((40004, 40006, 40007, 41006), _MEDIA),
    **dict.fromkeys((40008, 40033, 40035, 40058, 44004, 45002, 47001), _OURS),
    40096: Refusal("找不到这位微信客户", unreachable=True),
    95001: Refusal("职工来消息后可发的 5 条已用完", hold=True),
    95002: Refusal("职工超过 48 小时没有来消息", hold=True),
    95007: Refusal("回调里的凭据过期了"),
    95013: Refusal("这次会话已经结束，等职工再来消息", hold=True),
    95014: Refusal("接待人员不在接待中"),
    95016: Refusal("会话现在的状态不能这样转"),
    95018: Refusal("会话在人工接待、排队或已结束，机器人不能说话", hold=True),
}
# Never said to the worker, so nothing is lost by keeping it for the next contact.
_UNKNOWN = Refusal("企业微信拒绝了这条消息", hold=True)


class AlreadyThere(SendError):
    """The platform has a message with this id: an earlier try arrived."""


async def guarded(path: str, work: Awaitable[T], seconds: float) -> T:
    """Await a call within `seconds`; whatever goes wrong is a `SendError`."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except SendError:
        raise
    except (TimeoutError, httpx.TimeoutException):
        raise SendError("企业微信没有及时回应", retryable=True) from None
    except httpx.TransportError as error:
        raise SendError(f"连不上企业微信：{type(error).__name__}", retryable=True) from None
    except Exception as error:
        # The shared store may be away, with an error of its own kind.
        log.warning("wecom_call_failed", path=path, error=type(error).__name__)
        raise SendError(f"调用没有成功：{type(error).__name__}", retryable=True) from error


async def post_json(
    http: httpx.AsyncClient,
    url: str,
    body: Mapping[str, object],
    params: Mapping[str, str] | None = None,
    seconds: float = TOTAL_SECONDS,
) -> httpx.Response:
    """The body as UTF-8, unescaped: escaped characters are refused (40033) or shown to people as they stand."""
    return await http.post(
        url,
        params=params,
        content=json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
        headers={"Content-Type": "application/json; charset=utf-8"},
        timeout=httpx.Timeout(seconds, connect=2.0),
    )


def read(response: httpx.Response) -> dict[str, Any]:
    """The JSON object that came back, with an integer `errcode`. Raises `SendError` for anything else."""
    status = response.status_code
    if status != httpx.codes.OK:
        passing = status >= 500 or status in (408, 429)
        raise SendError(f"企业微信回应 HTTP {status}", retryable=passing, hold=not passing, alarm=not passing)
    try:
        answer = json.loads(response.content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or type(answer.get("errcode")) is not int:
        raise SendError("企业微信的回应读不懂", retryable=True)
    return answer


def check(answer: Mapping[str, Any]) -> None:
    """Raises the `SendError` that the answer's error code stands for."""
    code = answer["errcode"]
    if code == 0:
        return
    if code not in REFUSALS and _ALREADY.match(str(answer.get("errmsg", ""))):
        raise AlreadyThere("这条消息已经发过", retryable=False, code=code)
    refusal = REFUSALS.get(code, _UNKNOWN)
    log.warning("wecom_refused", code=code, known=code in REFUSALS)
    ours = _FROM_IP.search(str(answer.get("errmsg", ""))) if code == _WRONG_IP else None
    raise SendError(
        f"{refusal.reason}（{code}{f'，本机出口 IP 是 {ours[1]}' if ours else ''}）",
        retryable=refusal.retryable,
        hold=refusal.hold,
        unreachable=refusal.unreachable,
        alarm=refusal.alarm,
        after=refusal.after,
        code=code,
    )
