"""WeCom 微信客服: callbacks that only ring, queues that we empty, and replies that respect who holds the session."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import structlog

from connectors.abilities import Finding, Media, Pulled
from connectors.base import (
    Capabilities,
    Delivery,
    Handshake,
    Inbound,
    Kind,
    Option,
    Outbound,
    Refused,
    Request,
    Response,
    Ring,
    SendError,
    Store,
)
from connectors.pages import clean, size
from connectors.tencent import MessageCrypt, read_xml, text_of
from connectors.wecom_answers import NOT_ON_DUTY, WRONG_STATE, guarded
from connectors.wecom_api import WeComApi
from connectors.wecom_check import examine
from connectors.wecom_messages import SENDS, STALE, WINDOW, key_of, parts_of, read_items
from connectors.wecom_settings import WeComSettings

__all__ = ["MAX_BODY", "TEXT_BYTES", "WeCom", "WeComSettings"]

log = structlog.get_logger(__name__)

MAX_BODY = 64 * 1024
TEXT_BYTES = 2048
_MENU_HEAD, _MENU_ITEMS, _MENU_ID, _MENU_LABEL = 1024, 10, 64, 128
_FRESH_SECONDS = 600
_SECONDS = re.compile(r"[0-9]{1,12}")
_QUEUE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HINT = "（回复数字就行）"
# Only we and the colleagues at the platform's desk change a session, and both are told to us: what is known to be ours
# stays ours for about as long as one exchange takes.
_STATE_LASTS = timedelta(seconds=30)
# The platform honours the token of a callback for ten minutes.
_TICKET_LASTS = timedelta(minutes=9)
_CALL_SECONDS = 20.0
_FETCHED = {Kind.IMAGE, Kind.VOICE, Kind.VIDEO, Kind.FILE}
NEW, BOT, WAITING, HUMAN, ENDED = range(5)
_WHY_SILENT = {
    WAITING: "职工在微信客服里排队等人接待，这里不能说话",
    HUMAN: "同事正在微信客服里接待，这里不能说话",
    ENDED: "微信客服的会话已经结束，等职工再来消息",
}


class WeCom:
    """All 微信客服 accounts that the app may manage. `http` is shared with other connectors and closed by its owner."""

    name = "wecom"
    # A callback can get lost; without one the platform allows few calls.
    every = timedelta(minutes=2)

    def __init__(self, settings: WeComSettings, store: Store, http: httpx.AsyncClient) -> None:
        self.capabilities = Capabilities(
            text_bytes=TEXT_BYTES, buttons=True, window=WINDOW, quota=SENDS, stale_after=STALE
        )
        self._crypt = MessageCrypt(
            settings.token.get_secret_value(), settings.corp_id, [settings.aes_key.get_secret_value()]
        )
        self._servicers = settings.on_desk()
        self._store = store
        self._http = http
        self._settings = settings
        self._api = WeComApi(settings.api_url, settings.corp_id, settings.secret.get_secret_value(), store, http)

    def parse(self, request: Request) -> Handshake | Delivery:
        """Verify and decrypt. A callback carries no message: it names the queue that has to be emptied."""
        if request.method == "GET":
            return Handshake(self._open(request, request.query.get("echostr", "")).decode("utf-8", "replace"))
        if request.method != "POST":
            raise Refused(f"method {request.method}", status=405)
        if len(request.body) > MAX_BODY:
            raise Refused("body too large", status=413)
        nodes = read_xml(self._open(request, text_of(read_xml(request.body), "Encrypt")))
        queue, ticket = text_of(nodes, "OpenKfId"), text_of(nodes, "Token")
        if text_of(nodes, "Event") != "kf_msg_or_event" or not _QUEUE.fullmatch(queue):
            log.info("wecom_acknowledged", kind=(text_of(nodes, "Event") or text_of(nodes, "MsgType"))[:40])
            return Delivery(())
        return Delivery((), ring=Ring(queue, ticket))

    def _open(self, request: Request, sealed: str) -> bytes:
        query = request.query
        if not sealed:
            raise Refused("nothing to decrypt", status=400)
        timestamp = query.get("timestamp", "")
        opened = self._crypt.open(sealed, query.get("msg_signature", ""), timestamp, query.get("nonce", ""))
        if not _SECONDS.fullmatch(timestamp):
            raise Refused("the timestamp is no number", status=400)
        skew = round(request.at.timestamp() - int(timestamp))
        if abs(skew) > _FRESH_SECONDS:
            # A signature never expires by itself.
            log.warning("wecom_stale", skew_seconds=skew)
            raise Refused(f"signed {skew} s away from our clock")
        return opened.message

    async def queues(self) -> Sequence[str]:
        return [account for account in await self._api.accounts() if _QUEUE.fullmatch(account)]

    async def pull(self, queue: str, cursor: str, ticket: str) -> Pulled:
        """A page of one account's messages and events. Raises `SendError`, never anything else."""
        return await guarded("pull", self._pull(queue, cursor, ticket), 2 * _CALL_SECONDS)

    async def _pull(self, queue: str, cursor: str, ticket: str) -> Pulled:
        kept = f"wecom:ticket:{queue}"
        if ticket:
            await self._store.set(kept, ticket, ttl=_TICKET_LASTS)
        items, after, more = await self._api.page(queue, cursor, ticket or await self._store.get(kept) or "")
        messages = read_items(items, datetime.now(UTC))
        for inbound in messages:
            if inbound.kind is Kind.EVENT:
                await self._forget(inbound.address)
        return Pulled(messages, after, more)

    def render(self, reply: Outbound) -> str:
        """The text, then the options by number: what a worker reads where no menu can be shown."""
        text = clean(reply.text)
        return text + _numbered(reply.options) if reply.options else text

    def reply(self, delivery: Delivery, inbound: Inbound, text: str) -> Response:
        """The response to a callback carries nothing to a worker."""
        return self.acknowledge(delivery)

    def acknowledge(self, delivery: Delivery) -> Response:
        return Response(b"success")

    async def send(self, reply: Outbound, text: str) -> None:
        """By the code of the event that is answered while it lasts, else into the session while it is ours."""
        await guarded("send", self._send(reply, text), _CALL_SECONDS)

    async def _send(self, reply: Outbound, text: str) -> None:
        account, customer = parts_of(reply.address)
        key, body = key_of(reply.id, text), _body(clean(text), reply.options)
        code = str(reply.answers.get("code") or "")
        if code and time.time() < float(reply.answers.get("code_until") or 0):
            try:
                await self._api.send_on_event(code, key, body)
                return
            except SendError as error:
                if error.retryable or error.alarm:
                    raise
                log.info("wecom_code_refused", code=error.code)
        try:
            await self._ask_to_speak(reply.address)
            await self._api.send(account, customer, key, body)
        except SendError as error:
            if error.code in WRONG_STATE:
                await self._forget(reply.address)
            # What the bot said to a message is out of place once a colleague has answered it or the session is over; a
            # colleague's own words wait for the worker.
            if reply.answers and (error.code in WRONG_STATE or (code and error.hold and not error.alarm)):
                raise SendError(error.reason, retryable=False, code=error.code) from None
            raise

    async def _ask_to_speak(self, address: str) -> None:
        """Raises `SendError` unless the session is new or with the bot."""
        key = _state_key(address)
        if await self._store.get(key):
            return
        state = await self._api.state(*parts_of(address))
        if state in _WHY_SILENT:
            raise SendError(_WHY_SILENT[state], retryable=False, hold=True, code=95018)
        await self._store.set(key, "ours", ttl=_STATE_LASTS)

    async def _forget(self, address: str) -> None:
        await self._store.delete_if(_state_key(address), "ours")

    async def hand_over(self, address: str) -> str | None:
        """Give the session to the first colleague who is on duty at the platform's own desk, and say who it is.

        None when there is none: then our console takes it. Raises `SendError` when it may be tried again.
        """
        return await guarded("hand_over", self._hand_over(address), _CALL_SECONDS)

    async def _hand_over(self, address: str) -> str | None:
        account, customer = parts_of(address)
        if not self._servicers or await self._api.state(account, customer) not in (NEW, BOT, WAITING):
            return None
        for servicer in self._servicers:
            try:
                await self._api.give_to(account, customer, servicer)
            except SendError as error:
                if error.retryable:
                    raise
                log.info("wecom_not_handed_over", code=error.code)
                if error.code != NOT_ON_DUTY:
                    return None
            else:
                await self._forget(address)
                return servicer
        return None

    def media(self, inbound: Inbound) -> Mapping[str, Any] | None:
        found = inbound.payload.get("media_id")
        return {"media_id": found} if inbound.kind in _FETCHED and found else None

    async def fetch(self, source: Mapping[str, Any], limit: int) -> Media:
        return await self._api.media(str(source["media_id"]), limit)

    async def check(self, public_url: str) -> Sequence[Finding]:
        """Token, clock, accounts, and whether the callback's address leads to us."""
        return await examine(self._api, self._http, self._crypt, self.name, public_url)

    async def token_age(self) -> timedelta | None:
        return await self._api.token_age()

    async def close(self) -> None: ...


def _state_key(address: str) -> str:
    return f"wecom:state:{hashlib.sha256(address.encode()).hexdigest()[:32]}"


def _label(option: Option) -> str:
    return " ".join(clean(option.label).split())


def _numbered(options: Sequence[Option]) -> str:
    lines = [f"{number}. {_label(option)}" for number, option in enumerate(options, 1)]
    return "\n\n" + "\n".join([*lines, _HINT])


def _body(text: str, options: Sequence[Option]) -> dict[str, object]:
    """A menu where the platform's limits allow it and this is the page that ends with the options; else text."""
    tail = _numbered(options) if options else ""
    head = text.removesuffix(tail)
    fits = (
        bool(tail)
        and head != text
        and 0 < size(head) <= _MENU_HEAD
        and len(options) <= _MENU_ITEMS
        and all(0 < size(option.id) <= _MENU_ID and 0 < size(_label(option)) <= _MENU_LABEL for option in options)
    )
    if not fits:
        return {"msgtype": "text", "text": {"content": text}}
    items = [{"type": "click", "click": {"id": option.id, "content": _label(option)}} for option in options]
    return {"msgtype": "msgmenu", "msgmenu": {"head_content": head, "list": items}}
