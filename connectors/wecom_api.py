"""WeCom's API as we call it: our own calls for 微信客服, with the app's access token."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from email.message import Message as MailHeaders
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx
import structlog

from connectors.abilities import Media
from connectors.base import SendError, Store
from connectors.tencent import AccessTokens
from connectors.wecom_answers import (
    TICKET_REFUSED,
    TOKEN_REFUSED,
    TOTAL_SECONDS,
    AlreadyThere,
    check,
    guarded,
    post_json,
    read,
)

log = structlog.get_logger(__name__)
T = TypeVar("T")

# httpx notes every address it calls, and the access token and the robot's key stand in the address.
logging.getLogger("httpx").setLevel(logging.WARNING)

_PAGE_SECONDS = 20.0
_FILE_SECONDS = 60.0
_TIMEOUT = httpx.Timeout(TOTAL_SECONDS, connect=2.0)
_FILE_TIMEOUT = httpx.Timeout(15.0, connect=2.0)
_PAGE = 1000
_ACCOUNTS = 100


class WeComApi:
    """Calls with the app's access token. Raises `SendError`, never anything else."""

    def __init__(self, url: str, corp_id: str, secret: str, store: Store, http: httpx.AsyncClient) -> None:
        self._url = url.rstrip("/") + "/cgi-bin"
        self._corp_id = corp_id
        self._secret = secret
        self._http = http
        self._tokens = AccessTokens(store, f"wecom:{corp_id}", self._ask_token)

    async def token_age(self) -> timedelta | None:
        """How long ago the access token in use was fetched; None when there is none."""
        return await self._tokens.age()

    async def accounts(self) -> Sequence[str]:
        """The open_kfid of every account that this app may manage."""
        found: list[str] = []
        for offset in range(0, 50 * _ACCOUNTS, _ACCOUNTS):
            answer = await self.call("kf/account/list", {"offset": offset, "limit": _ACCOUNTS})
            page = [entry for entry in _list(answer, "account_list") if isinstance(entry.get("open_kfid"), str)]
            found += [entry["open_kfid"] for entry in page if entry.get("manage_privilege") is not False]
            if len(page) < _ACCOUNTS:
                break
        return list(dict.fromkeys(found))

    async def page(self, account: str, cursor: str, ticket: str) -> tuple[list[dict[str, Any]], str, bool]:
        """The items after `cursor`, where the next page begins, and whether there is one.

        Without `ticket` (the token of a callback, good for ten minutes) the platform allows few calls.
        """
        asked: dict[str, object] = {"open_kfid": account, "limit": _PAGE, "voice_format": 0}
        asked |= {name: value for name, value in (("cursor", cursor), ("token", ticket)) if value}
        try:
            answer = await self.call("kf/sync_msg", asked, seconds=_PAGE_SECONDS)
        except SendError as error:
            if error.code != TICKET_REFUSED or not ticket:
                raise
            return await self.page(account, cursor, "")
        after = answer.get("next_cursor")
        after = after if isinstance(after, str) and after else cursor
        # "More" at the very place where we are would be asked for ever.
        return _list(answer, "msg_list"), after, bool(answer.get("has_more")) and after != cursor

    async def state(self, account: str, customer: str) -> int:
        """0 new, 1 with the bot, 2 waiting for a person, 3 with a person, 4 ended."""
        answer = await self.call("kf/service_state/get", {"open_kfid": account, "external_userid": customer})
        state = answer.get("service_state")
        if not isinstance(state, int) or not 0 <= state <= 4:
            raise SendError("企业微信给的会话状态读不懂", retryable=True)
        return state

    async def give_to(self, account: str, customer: str, servicer: str) -> None:
        """Hand the session to a colleague at the platform's own desk."""
        await self.call(
            "kf/service_state/trans",
            {"open_kfid": account, "external_userid": customer, "service_state": 3, "servicer_userid": servicer},
        )

    async def send(self, account: str, customer: str, key: str, body: Mapping[str, object]) -> None:
        """One bubble. A `key` that the platform has seen sends nothing a second time."""
        await self._send("kf/send_msg", {"touser": customer, "open_kfid": account, "msgid": key, **body})

    async def send_on_event(self, code: str, key: str, body: Mapping[str, object]) -> None:
        """The one bubble that an event's code allows."""
        await self._send("kf/send_msg_on_event", {"code": code, "msgid": key, **body})

    async def _send(self, path: str, body: Mapping[str, object]) -> None:
        try:
            await self.call(path, body)
        except AlreadyThere:
            log.info("wecom_already_there", path=path)

    async def media(self, media_id: str, limit: int) -> Media:
        """The file, whole. Not retryable when it is gone or larger than `limit` bytes."""

        async def fetch(token: str) -> Media | dict[str, Any]:
            return await self._download(token, media_id, limit)

        return await self._with_token("media/get", fetch, _FILE_SECONDS)

    async def call(self, path: str, body: Mapping[str, object], seconds: float = TOTAL_SECONDS) -> dict[str, Any]:
        """POST `body` and give back the answer; a refused token is renewed once and the call repeated once."""

        async def post(token: str) -> dict[str, Any]:
            return read(await post_json(self._http, f"{self._url}/{path}", body, {"access_token": token}, seconds))

        return await self._with_token(path, post, seconds)

    async def clock(self) -> datetime:
        """The time at the platform, from the header of any answer."""
        response = await guarded("clock", self._http.get(self._url + "/gettoken", timeout=_TIMEOUT), TOTAL_SECONDS)
        try:
            return parsedate_to_datetime(response.headers["date"])
        except (KeyError, ValueError):
            raise SendError("接口的回应里没有时间", retryable=True) from None

    async def _with_token(self, path: str, ask: Callable[[str], Awaitable[T | dict[str, Any]]], seconds: float) -> T:
        async def go() -> Any:
            token = await self._tokens.get()
            answer = await ask(token)
            if isinstance(answer, dict) and answer["errcode"] in TOKEN_REFUSED:
                answer = await ask(await self._tokens.get(rejected=token))
            return answer

        answer = await guarded(path, go(), seconds)
        if isinstance(answer, dict):
            check(answer)
        found: T = answer
        return found

    async def _ask_token(self, force: bool) -> tuple[str, int]:
        """WeCom gives the same token until it ends and cannot be forced: a second question may bring a new one."""
        response = await self._http.get(
            self._url + "/gettoken", params={"corpid": self._corp_id, "corpsecret": self._secret}, timeout=_TIMEOUT
        )
        answer = read(response)
        check(answer)
        token, lasts = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not token or not isinstance(lasts, int) or lasts <= 0:
            raise SendError("企业微信给的访问令牌读不懂", retryable=True)
        return token, lasts

    async def _download(self, token: str, media_id: str, limit: int) -> Media | dict[str, Any]:
        """The file, or the platform's refusal as it came: both arrive with status 200."""
        asked = {"access_token": token, "media_id": media_id}
        async with self._http.stream("GET", f"{self._url}/media/get", params=asked, timeout=_FILE_TIMEOUT) as response:
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            refused = response.status_code != httpx.codes.OK or (
                kind in ("application/json", "text/plain") and "content-disposition" not in response.headers
            )
            if refused:
                await response.aread()
                return read(response)
            length = response.headers.get("content-length", "")
            data = bytearray()
            if length.isdecimal() and int(length) > limit:
                raise SendError("文件太大", retryable=False)
            async for piece in response.aiter_bytes():
                data += piece
                if len(data) > limit:
                    raise SendError("文件太大", retryable=False)
            return Media(bytes(data), kind, _file_name(response.headers.get("content-disposition", "")))


def _list(answer: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = answer.get(name)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _file_name(disposition: str) -> str:
    headers = MailHeaders()
    headers["content-disposition"] = disposition.encode("ascii", "ignore").decode()
    return headers.get_filename() or ""
