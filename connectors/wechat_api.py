"""The platform's API as we call it: one token for all processes, one time limit, one way to fail."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx
import structlog

from connectors.base import SendError, Store
from connectors.tencent import AccessTokens
from connectors.wechat_refusals import DAY_USED_UP, TOKEN_REFUSED, check, until_reset

log = structlog.get_logger(__name__)
T = TypeVar("T")

# httpx notes every address it calls, and Tencent wants the access token in the address.
logging.getLogger("httpx").setLevel(logging.WARNING)

TOTAL_SECONDS = 5.0
# A video over a slow line.
_DOWNLOAD_SECONDS = 60.0
_TIMEOUT = httpx.Timeout(TOTAL_SECONDS, connect=2.0)
_CONTENT = frozenset({"access_token", "ticket"})
SEND = "/cgi-bin/message/custom/send"


class WeChatApi:
    """Calls with the account's access token. Raises `SendError`, never anything else."""

    def __init__(self, url: str, app_id: str, app_secret: str, store: Store, http: httpx.AsyncClient) -> None:
        self.url = url.rstrip("/")
        self._app_id = app_id
        self._app_secret = app_secret
        self._store = store
        self._http = http
        self._tokens = AccessTokens(store, app_id, self._ask_token)

    async def send(self, openid: str, kind: str, content: Mapping[str, object]) -> None:
        """One bubble; text in it is at most 2048 bytes."""
        await self.post(SEND, {"touser": openid, "msgtype": kind, kind: content})

    async def typing(self, openid: str) -> None:
        """Shows that somebody writes; the platform wants the worker to have spoken within 30 s."""
        await self.post("/cgi-bin/message/custom/typing", {"touser": openid, "command": "Typing"})

    async def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """POST `body` and give back the answer, within 5 s for all of it."""
        return await self._call(path, lambda token: self._json(path, body, token), TOTAL_SECONDS)

    async def get(self, path: str) -> dict[str, Any]:
        return await self._call(path, lambda token: self._json(path, None, token), TOTAL_SECONDS)

    async def download(self, path: str, limit: int, **query: str) -> tuple[bytes, httpx.Headers]:
        """A file of at most `limit` bytes, with the headers that came along; a larger one is not retryable."""
        return await self._call(path, lambda token: self._stream(path, limit, query, token), _DOWNLOAD_SECONDS)

    async def elsewhere(self, url: str, limit: int) -> tuple[bytes, httpx.Headers]:
        """A file at an address that the platform has named; no token goes there."""
        return await self._guarded(url, lambda: self._file(url, {}, limit), _DOWNLOAD_SECONDS)

    async def token_age(self) -> timedelta | None:
        """How long ago the access token in use was fetched; None when there is none."""
        return await self._tokens.age()

    async def token(self) -> None:
        """Raises `SendError` when no access token can be had."""
        await self._guarded("token", self._tokens.get, TOTAL_SECONDS)

    async def _call(self, path: str, ask: Callable[[str], Awaitable[T]], seconds: float) -> T:
        """A refused token is renewed once and the call repeated once; a day's quota that is used up stops the calls."""
        stopped = f"stopped:{self._app_id}:{path}"

        async def go() -> T:
            if await self._store.get(stopped):
                wait = until_reset(datetime.now(UTC))
                raise SendError("今天的调用次数用完了，零点后再发", retryable=True, after=wait, code=DAY_USED_UP)
            token = await self._tokens.get()
            try:
                return await ask(token)
            except SendError as error:
                if error.code not in TOKEN_REFUSED:
                    raise
            return await ask(await self._tokens.get(rejected=token))

        try:
            return await self._guarded(path, go, seconds)
        except SendError as error:
            if error.code == DAY_USED_UP and error.after is None:
                error.after = await self._stop(stopped)
            raise

    async def _stop(self, key: str) -> timedelta:
        wait = until_reset(datetime.now(UTC))
        try:
            await self._store.set(key, "1", ttl=wait)
        except Exception as error:
            log.warning("wechat_stop_not_kept", error=type(error).__name__)
        return wait

    async def _guarded(self, path: str, go: Callable[[], Awaitable[T]], seconds: float) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await go()
        except SendError:
            raise
        except (TimeoutError, httpx.TimeoutException):
            raise SendError("平台没有及时回应", retryable=True) from None
        except httpx.TransportError as error:
            raise SendError(f"连不上平台：{type(error).__name__}", retryable=True) from None
        except Exception as error:
            # The shared store may be away, with an error of its own kind.
            log.warning("wechat_call_failed", path=path[:80], error=type(error).__name__)
            raise SendError(f"调用没有成功：{type(error).__name__}", retryable=True) from error

    async def _ask_token(self, force: bool) -> tuple[str, int]:
        body = {
            "grant_type": "client_credential",
            "appid": self._app_id,
            "secret": self._app_secret,
            "force_refresh": force,
        }
        answer = await self._json("/cgi-bin/stable_token", body)
        token, lasts = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not token or not isinstance(lasts, int) or lasts <= 0:
            raise SendError("平台给的访问令牌读不懂", retryable=True)
        return token, lasts

    async def _json(self, path: str, body: Mapping[str, object] | None, token: str | None = None) -> dict[str, Any]:
        """The JSON object that came back; GET when there is no `body`. Raises `SendError` for its error code."""
        response = await self._http.request(
            "GET" if body is None else "POST",
            self.url + path,
            params={"access_token": token} if token else None,
            # Escaped characters have been shown to people as they stand, so the JSON is UTF-8.
            content=None if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
            headers={"Content-Type": "application/json; charset=utf-8"},
            timeout=_TIMEOUT,
        )
        _check_status(response)
        answer = _object(response.content)
        # Answers with a content of their own leave the code out.
        bare = body is None or not _CONTENT.isdisjoint(answer or {})
        if answer is None or not answer or not isinstance(answer.get("errcode", 0 if bare else None), int):
            raise SendError("平台的回应读不懂", retryable=True)
        check(answer)
        return answer

    async def _stream(self, path: str, limit: int, query: Mapping[str, str], token: str) -> tuple[bytes, httpx.Headers]:
        data, headers = await self._file(self.url + path, {**query, "access_token": token}, limit)
        # A refusal comes as JSON with status 200 in place of the file.
        if headers.get("content-type", "").startswith(("application/json", "text/")):
            check(_object(data) or {})
        return data, headers

    async def _file(self, url: str, query: Mapping[str, str], limit: int) -> tuple[bytes, httpx.Headers]:
        data = bytearray()
        async with self._http.stream("GET", url, params=dict(query) or None, timeout=_TIMEOUT) as response:
            _check_status(response)
            if int(response.headers.get("content-length", 0)) > limit:
                raise SendError("文件太大", retryable=False)
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) > limit:
                    raise SendError("文件太大", retryable=False)
            return bytes(data), response.headers


def _check_status(response: httpx.Response) -> None:
    status = response.status_code
    if status != httpx.codes.OK:
        passing = status >= 500 or status in (408, 429)
        raise SendError(f"平台回应 HTTP {status}", retryable=passing, hold=not passing, alarm=not passing)


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(content)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
