"""The platform's API as we call it: send a message to a worker, and say what a refusal means."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
import structlog

from connectors.base import SendError, Store
from connectors.tencent import AccessTokens

log = structlog.get_logger(__name__)

# httpx notes every address it calls, and Tencent wants the access token in the address.
logging.getLogger("httpx").setLevel(logging.WARNING)

TOTAL_SECONDS = 5.0
_TIMEOUT = httpx.Timeout(TOTAL_SECONDS, connect=2.0)
_TOKEN_REFUSED = frozenset({40001, 40014, 41001, 42001})


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an error code means for the message at hand; the fields are those of `SendError`."""

    reason: str
    retryable: bool = False
    hold: bool = False
    unreachable: bool = False
    alarm: bool = False


_TOKEN = Refusal("平台不认访问令牌", hold=True, alarm=True)
_CONFIG = Refusal("公众号的配置不对（AppID、密钥或 IP 白名单）", hold=True, alarm=True)
_RIGHTS = Refusal("公众号没有发客服消息的权限，只能被动回复", hold=True, alarm=True)
_MEDIA = Refusal("图片或语音文件不能用")
_GONE = Refusal("职工没有关注或已拉黑公众号", unreachable=True)

# Tencent's global return codes, reactions as decided in this project: a refusal that time or the worker can undo holds
# the message, one that only a person can undo rings the alarm as well.
REFUSALS: Mapping[int, Refusal] = {
    -1: Refusal("平台繁忙", retryable=True),
    45011: Refusal("一分钟内发得太多", retryable=True),
    **dict.fromkeys(_TOKEN_REFUSED, _TOKEN),
    **dict.fromkeys((40013, 40125, 40164, 40243, 61004, 89503), _CONFIG),
    **dict.fromkeys((48001, 48004, 50002), _RIGHTS),
    **dict.fromkeys((40004, 40007, 40009), _MEDIA),
    **dict.fromkeys((43004, 43019), _GONE),
    40003: Refusal("这个微信用户不属于本公众号"),
    40200: Refusal("这类公众号不能发菜单消息"),
    44004: Refusal("消息是空的"),
    45002: Refusal("消息太长"),
    47001: Refusal("平台读不懂我们的请求"),
    45009: Refusal("今天的发送次数用完了", hold=True, alarm=True),
    45015: Refusal("职工超过 48 小时没有来消息，或已取消关注", hold=True),
    45047: Refusal("职工来消息后可发的条数已用完", hold=True),
}
# Never said to the worker, so nothing is lost by keeping it for the next contact.
_UNKNOWN = Refusal("平台拒绝了这条消息", hold=True)


class WeChatApi:
    """Calls with the account's access token. Raises `SendError`, never anything else."""

    def __init__(self, url: str, app_id: str, app_secret: str, store: Store, http: httpx.AsyncClient) -> None:
        self._url = url.rstrip("/")
        self._app_id = app_id
        self._app_secret = app_secret
        self._http = http
        self._tokens = AccessTokens(store, app_id, self._ask_token)

    async def send_text(self, openid: str, text: str) -> None:
        """One bubble of at most 2048 bytes."""
        await self.call(
            "/cgi-bin/message/custom/send", {"touser": openid, "msgtype": "text", "text": {"content": text}}
        )

    async def typing(self, openid: str) -> None:
        """Shows that somebody writes; the platform wants the worker to have spoken within 30 s."""
        await self.call("/cgi-bin/message/custom/typing", {"touser": openid, "command": "Typing"})

    async def call(self, path: str, body: Mapping[str, object]) -> dict[str, object]:
        """POST `body` and give back the answer, within 5 s for all of it.

        A refused token is renewed once and the call repeated once.
        """
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                token = await self._tokens.get()
                answer = await self._post(path, body, token)
                if answer["errcode"] in _TOKEN_REFUSED:
                    token = await self._tokens.get(rejected=token)
                    answer = await self._post(path, body, token)
        except SendError:
            raise
        except (TimeoutError, httpx.TimeoutException):
            raise SendError("平台没有及时回应", retryable=True) from None
        except httpx.TransportError as error:
            raise SendError(f"连不上平台：{type(error).__name__}", retryable=True) from None
        except Exception as error:
            # The shared store may be away, with an error of its own kind.
            log.warning("wechat_call_failed", path=path, error=type(error).__name__)
            raise SendError(f"发送没有成功：{type(error).__name__}", retryable=True) from error
        _check(answer)
        return answer

    async def _ask_token(self, force: bool) -> tuple[str, int]:
        body = {
            "grant_type": "client_credential",
            "appid": self._app_id,
            "secret": self._app_secret,
            "force_refresh": force,
        }
        answer = await self._post("/cgi-bin/stable_token", body)
        _check(answer)
        token, lasts = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not token or not isinstance(lasts, int) or lasts <= 0:
            raise SendError("平台给的访问令牌读不懂", retryable=True)
        return token, lasts

    async def _post(self, path: str, body: Mapping[str, object], token: str | None = None) -> dict[str, object]:
        """The JSON object that came back, with an integer `errcode`, which the platform leaves out beside a token."""
        response = await self._http.post(
            self._url + path,
            params={"access_token": token} if token else None,
            # Escaped characters have been shown to people as they stand, so the JSON is UTF-8.
            content=json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
            headers={"Content-Type": "application/json; charset=utf-8"},
            timeout=_TIMEOUT,
        )
        status = response.status_code
        if status != httpx.codes.OK:
            passing = status >= 500 or status in (408, 429)
            raise SendError(f"平台回应 HTTP {status}", retryable=passing, hold=not passing, alarm=not passing)
        try:
            answer = json.loads(response.content)
        except ValueError:
            answer = None
        if isinstance(answer, dict) and "access_token" in answer:
            answer.setdefault("errcode", 0)
        if not isinstance(answer, dict) or not isinstance(answer.get("errcode"), int):
            raise SendError("平台的回应读不懂", retryable=True)
        return answer


def _check(answer: Mapping[str, object]) -> None:
    """Raises the `SendError` that the answer's error code stands for."""
    code = answer["errcode"]
    if code == 0 or not isinstance(code, int):
        return
    refusal = REFUSALS.get(code, _UNKNOWN)
    log.warning("wechat_refused", code=code, known=code in REFUSALS)
    raise SendError(
        f"{refusal.reason}（{code}）",
        retryable=refusal.retryable,
        hold=refusal.hold,
        unreachable=refusal.unreachable,
        alarm=refusal.alarm,
        code=code,
    )
