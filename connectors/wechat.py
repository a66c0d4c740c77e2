"""WeChat Official Account: its callbacks in, its passive replies and customer-service messages out."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
import structlog
from wechatpy.replies import TextReply

from connectors.abilities import Finding, Media
from connectors.base import (
    Capabilities,
    Delivery,
    Handshake,
    Inbound,
    Kind,
    Outbound,
    Refused,
    Request,
    Response,
    SendError,
    Store,
)
from connectors.pages import clean, size
from connectors.tencent import MessageCrypt, check_signature, read_xml, text_of
from connectors.wechat_api import WeChatApi
from connectors.wechat_check import examine
from connectors.wechat_media import fetch, source_of
from connectors.wechat_menu import publish, read
from connectors.wechat_messages import read_message
from connectors.wechat_options import OptionForms, as_links, as_numbers, head_of
from connectors.wechat_refusals import NO_RIGHTS
from connectors.wechat_settings import WeChatSettings

__all__ = ["MAX_BODY", "TEXT_BYTES", "WeChat", "WeChatSettings"]

log = structlog.get_logger(__name__)

MAX_BODY = 64 * 1024
# Not documented, measured by many: one byte more and the worker reads that the account is out of order.
TEXT_BYTES = 2048
_SECONDS = re.compile(r"[0-9]{1,12}")
# An account that may not push is tried again after as long: somebody may have seen to its rights.
_RIGHTS_AGAIN = 3600.0
# What is left of the five seconds when a turn has taken its whole budget.
_DESK_SECONDS = 0.8


@dataclass(frozen=True, slots=True)
class Shape:
    """How a request came: to which account name, at what second, and opened by which key (None: in plain text)."""

    account: str
    at: int
    key: int | None


class WeChat:
    """One account. `http` is shared with other connectors and closed by its owner."""

    name = "wechat"

    def __init__(self, settings: WeChatSettings, store: Store, http: httpx.AsyncClient) -> None:
        self._passive = settings.passive_only
        self._able = Capabilities(
            text_bytes=TEXT_BYTES,
            passive_reply=True,
            push=not self._passive,
            window=timedelta(hours=48),
            quota=5,
            typing=not self._passive,
        )
        self.capabilities = self._able
        self.guide = read(settings.guide_path)
        self.api = WeChatApi(settings.api_url, settings.app_id, settings.app_secret.get_secret_value(), store, http)
        self._settings = settings
        self._http = http
        self._token = settings.token.get_secret_value()
        self._mode = settings.mode
        self._freshness = settings.freshness
        keys = [key.get_secret_value() for key in (settings.aes_key, settings.aes_key_previous)]
        self._crypt = MessageCrypt(self._token, settings.app_id, [key for key in keys if key])
        self._forms = OptionForms(self.api, store, settings.app_id)
        self._no_rights_until = 0.0

    def parse(self, request: Request) -> Handshake | Delivery:
        """Verify, decrypt, clean. Raises `Refused`, and nothing else, for whatever is not a message of our account."""
        if request.method == "GET":
            return self._handshake(request)
        if request.method != "POST":
            raise Refused(f"method {request.method}", status=405)
        if len(request.body) > MAX_BODY:
            raise Refused("body too large", status=413)
        encrypted = request.query.get("encrypt_type", "raw") != "raw" or "msg_signature" in request.query
        if not encrypted and self._mode == "safe":
            raise Refused("a plain message, but the account is in safe mode")
        nodes, account, key = self._open(request) if encrypted and self._mode != "plain" else self._read(request)
        shape = Shape(text_of(nodes, "ToUserName") or account, int(request.at.timestamp()), key)
        return Delivery(read_message(nodes, request.at, self.guide, self._settings.notice_template), shape)

    def _open(self, request: Request) -> tuple[dict[str, Any], str, int]:
        outer = read_xml(request.body)
        query = request.query
        opened = self._crypt.open(
            text_of(outer, "Encrypt"),
            query.get("msg_signature", ""),
            query.get("timestamp", ""),
            query.get("nonce", ""),
        )
        self._check_age(request)
        return read_xml(opened.message), text_of(outer, "ToUserName"), opened.key

    def _read(self, request: Request) -> tuple[dict[str, Any], str, None]:
        # In compat mode as well: that is how an account changes from plain to safe without losing a message.
        self._verify(request)
        nodes = read_xml(request.body)
        if "Encrypt" in nodes and "MsgType" not in nodes:
            raise Refused("an encrypted message, but the account is in plain mode")
        return nodes, "", None

    def _handshake(self, request: Request) -> Handshake:
        self._verify(request)
        echo = request.query.get("echostr", "")
        if not echo:
            raise Refused("nothing to echo", status=400)
        return Handshake(echo)

    def _verify(self, request: Request) -> None:
        query = request.query
        check_signature(query.get("signature", ""), self._token, query.get("timestamp", ""), query.get("nonce", ""))
        self._check_age(request)

    def _check_age(self, request: Request) -> None:
        # A signature never expires by itself; the library checks no time and the platform names none.
        if not self._freshness:
            return
        timestamp = request.query.get("timestamp", "")
        if not _SECONDS.fullmatch(timestamp):
            raise Refused("the timestamp is no number", status=400)
        skew = round(request.at.timestamp() - int(timestamp))
        if abs(skew) > self._freshness:
            log.warning("wechat_stale", skew_seconds=skew)
            raise Refused(f"signed {skew} s away from our clock")

    def render(self, reply: Outbound) -> str:
        """The text, then each option as a numbered link that sends its label when tapped."""
        text = clean(reply.text)
        return text + (as_numbers(reply.options) if self._forms.plain else as_links(reply.options))

    def reply(self, delivery: Delivery, inbound: Inbound, text: str) -> Response:
        """Raises `ValueError` when `text` is longer than a page: the worker would read a notice of failure instead."""
        text = clean(text)
        if size(text) > TEXT_BYTES:
            raise ValueError(f"a passive reply of {size(text)} bytes, {TEXT_BYTES} are allowed")
        if not text:
            return self.acknowledge(delivery)
        shape: Shape = delivery.shape
        # The library writes CDATA as it is given: the end mark has to be taken apart.
        body: str = TextReply(
            source=shape.account,
            target=inbound.address,
            time=shape.at,
            content=text.replace("]]>", "]]]]><![CDATA[>"),
        ).render()
        return self._enclosed(body, shape)

    def _enclosed(self, body: str, shape: Shape) -> Response:
        if shape.key is not None:
            body = self._crypt.seal(body, shape.key, shape.at, secrets.token_hex(8))
        return Response(body.encode(), "application/xml; charset=utf-8")

    def acknowledge(self, delivery: Delivery) -> Response:
        """`success` stays unencrypted in every mode; anything else makes the platform send again."""
        return Response(b"success")

    async def transfer(self, delivery: Delivery, inbound: Inbound) -> Response | None:
        """Where a colleague of the platform's own desk takes over; a worker sent to an empty desk would be stuck."""
        if not self._settings.transfer or inbound.kind is Kind.EVENT:
            return None
        try:
            async with asyncio.timeout(_DESK_SECONDS):
                found = (await self.api.get("/cgi-bin/customservice/getonlinekflist")).get("kf_online_list")
        except (SendError, TimeoutError) as error:
            log.warning("wechat_desk_unknown", error=type(error).__name__)
            return None
        online = [one.get("kf_account") for one in found if isinstance(one, dict)] if isinstance(found, list) else []
        if not online:
            return None
        named, shape = self._settings.transfer_to, delivery.shape
        whom = f"<TransInfo><KfAccount><![CDATA[{named}]]></KfAccount></TransInfo>" if named in online else ""
        # The library has no room for the account of a colleague.
        body = (
            f"<xml><ToUserName><![CDATA[{inbound.address}]]></ToUserName>"
            f"<FromUserName><![CDATA[{shape.account}]]></FromUserName><CreateTime>{shape.at}</CreateTime>"
            f"<MsgType><![CDATA[transfer_customer_service]]></MsgType>{whom}</xml>"
        )
        return self._enclosed(body, shape)

    async def send(self, reply: Outbound, text: str) -> None:
        """Options go as a menu message where the account may send one."""
        self._may_push()
        text = clean(text)
        head = head_of(text, reply.options)
        try:
            if head is None:
                await self.api.send(reply.address, "text", {"content": text})
            else:
                await self._forms.send(reply.address, head, reply.options)
        except SendError as error:
            if error.code in NO_RIGHTS:
                self.capabilities = replace(self._able, push=False, typing=False)
                self._no_rights_until = time.monotonic() + _RIGHTS_AGAIN
            raise

    async def typing(self, address: str) -> None:
        try:
            self._may_push()
            await self.api.typing(address)
        except SendError as error:
            log.debug("wechat_typing_refused", code=error.code)

    def _may_push(self) -> None:
        if self._passive or time.monotonic() < self._no_rights_until:
            raise SendError("公众号只能被动回复，等职工下次来消息再发", retryable=False, hold=True)
        self.capabilities = self._able

    def media(self, inbound: Inbound) -> Mapping[str, Any] | None:
        return None if self._passive else source_of(inbound)

    async def fetch(self, source: Mapping[str, Any], limit: int) -> Media:
        return await fetch(self.api, source, limit)

    async def prepare(self, public_url: str) -> None:
        """Menus made in the platform's console are off as soon as messages come to us: the file's menu is shown."""
        if not self._passive and await publish(self.api, self.guide):
            log.info("wechat_menu_published", buttons=len(self.guide.buttons))

    def notice(self) -> str | None:
        if self._passive or not self._settings.notice_template:
            return None
        return "，".join(words for words in self.guide.notice.values() if "{number}" not in words)

    async def notify(self, address: str, number: str) -> None:
        fields = {name: {"value": words.replace("{number}", number)} for name, words in self.guide.notice.items()}
        about = {"touser": address, "template_id": self._settings.notice_template, "data": fields}
        await self.api.post("/cgi-bin/message/subscribe/bizsend", about)

    async def check(self, public_url: str) -> Sequence[Finding]:
        return await examine(
            self.api, self._http, self.guide, token=self._token, public_url=public_url, passive=self._passive
        )

    async def token_age(self) -> timedelta | None:
        return await self.api.token_age()

    async def close(self) -> None: ...
