"""WeChat Official Account: its callbacks in, its passive replies and customer-service messages out."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import structlog
from wechatpy.replies import TextReply

from connectors.base import (
    Capabilities,
    Delivery,
    Handshake,
    Inbound,
    Option,
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
from connectors.wechat_messages import read_message
from connectors.wechat_settings import WeChatSettings

__all__ = ["MAX_BODY", "TEXT_BYTES", "WeChat", "WeChatSettings"]

log = structlog.get_logger(__name__)

MAX_BODY = 64 * 1024
# Not documented, measured by many: one byte more and the worker reads that the account is out of order.
TEXT_BYTES = 2048
_SECONDS = re.compile(r"[0-9]{1,12}")
_HINT = "（回复数字也行）"


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
        push = not settings.passive_only
        self.capabilities = Capabilities(
            text_bytes=TEXT_BYTES,
            passive_reply=True,
            push=push,
            window=timedelta(hours=48),
            quota=5,
            typing=push,
        )
        self._token = settings.token.get_secret_value()
        self._mode = settings.mode
        self._freshness = settings.freshness
        keys = [key.get_secret_value() for key in (settings.aes_key, settings.aes_key_previous)]
        self._crypt = MessageCrypt(self._token, settings.app_id, [key for key in keys if key])
        self._api = WeChatApi(settings.api_url, settings.app_id, settings.app_secret.get_secret_value(), store, http)

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
        return Delivery(read_message(nodes, request.at), shape)

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
        if not reply.options:
            return text
        links = [_link(number, option) for number, option in enumerate(reply.options, 1)]
        return "\n".join([text, "", *links, _HINT])

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
        if shape.key is not None:
            body = self._crypt.seal(body, shape.key, shape.at, secrets.token_hex(8))
        return Response(body.encode(), "application/xml; charset=utf-8")

    def acknowledge(self, delivery: Delivery) -> Response:
        """`success` stays unencrypted in every mode; anything else makes the platform send again."""
        return Response(b"success")

    async def send(self, reply: Outbound, text: str) -> None:
        self._may_push()
        await self._api.send_text(reply.address, clean(text))

    async def typing(self, address: str) -> None:
        """Shows the worker that somebody writes. Never fails: it is a courtesy."""
        try:
            self._may_push()
            await self._api.typing(address)
        except SendError as error:
            log.debug("wechat_typing_refused", code=error.code)

    def _may_push(self) -> None:
        if not self.capabilities.push:
            raise SendError("公众号只能被动回复，等职工下次来消息再发", retryable=False, hold=True)

    async def close(self) -> None: ...


def _link(number: int, option: Option) -> str:
    # Angle brackets would end the link; their full-width twins look the same to a reader.
    label = " ".join(clean(option.label).split()).replace("<", "＜").replace(">", "＞")
    target = f"weixin://bizmsgmenu?msgmenucontent={quote(label, safe='')}&msgmenuid={quote(clean(option.id), safe='')}"
    return f'<a href="{target}">{number}. {label}</a>'
