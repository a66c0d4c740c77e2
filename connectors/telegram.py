"""Telegram: updates by webhook or by polling in, messages with buttons out. Only private chats are served."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import structlog

from connectors.abilities import Finding, Media, Pulled
from connectors.base import (
    Capabilities,
    Delivery,
    Handshake,
    Inbound,
    Outbound,
    Refused,
    Request,
    Response,
    SendError,
    Store,
    Tools,
)
from connectors.pages import MORE as MORE_HINT
from connectors.pages import clean, pages
from connectors.telegram_api import TelegramApi
from connectors.telegram_buttons import are_meant, buttons, numbered
from connectors.telegram_messages import CHANNEL, Read, open_update, read_update
from connectors.telegram_settings import API_URL, TelegramSettings

__all__ = ["TEXT_BYTES", "Telegram", "TelegramPolling", "TelegramSettings", "build"]

log = structlog.get_logger(__name__)

# Telegram counts 4096 characters, some of them twice; no text of as many bytes has more, however it is counted.
TEXT_BYTES = 4096
MAX_BODY = 256 * 1024
PATH = "/webhooks/telegram"
COMMANDS = (
    ("start", "从头开始"),
    ("help", "能帮什么忙"),
    ("human", "找工会的同事"),
    ("status", "工单办到哪了"),
)
_HEADER = "x-telegram-bot-api-secret-token"
_PORTS = (443, 80, 88, 8443)
_STALE = timedelta(hours=1)
_TOLERATED = timedelta(seconds=60)
_FAREWELL = 2.0
_MANY = 100


class Telegram:
    """One bot whose updates Telegram brings to our webhook."""

    name = CHANNEL
    capabilities = Capabilities(text_bytes=TEXT_BYTES, buttons=True, typing=True)

    def __init__(self, settings: TelegramSettings, store: Store) -> None:
        self._secret = settings.secret.get_secret_value()
        self._address = settings.api_url
        self._proxied = bool(settings.proxy.get_secret_value())
        self._api = TelegramApi(settings, store)
        self._tasks: set[asyncio.Task[None]] = set()

    def parse(self, request: Request) -> Handshake | Delivery:
        """Verify and clean. Raises `Refused`, and nothing else, for whatever is not an update of our bot."""
        if request.method != "POST":
            raise Refused(f"method {request.method}", status=405)
        given = request.headers.get(_HEADER, "").encode("utf-8", "replace")
        if not self._secret or not hmac.compare_digest(given, self._secret.encode()):
            raise Refused("not our secret")
        if len(request.body) > MAX_BODY:
            raise Refused("body too large", status=413)
        read = read_update(open_update(request.body), self._api.id, request.at)
        return Delivery(read.messages, read)

    def render(self, reply: Outbound) -> str:
        """The text alone: options are buttons below it."""
        return clean(reply.text)

    def reply(self, delivery: Delivery, inbound: Inbound, text: str) -> Response:
        """Only acknowledges: an answer in the response would go unconfirmed."""
        return self.acknowledge(delivery)

    def acknowledge(self, delivery: Delivery) -> Response:
        self._answer_tap(delivery.shape)
        return Response(b"")

    async def send(self, reply: Outbound, text: str) -> None:
        """In as many bubbles as it takes, the buttons below the last one."""
        *before, last = pages(clean(text), TEXT_BYTES, hint="……")
        for page in before:
            await self._api.send(reply.address, page, None)
        keyboard = buttons(reply.options, more=last.endswith(MORE_HINT))
        try:
            await self._api.send(reply.address, last, keyboard)
        except SendError as error:
            if not (error.code == 400 and keyboard and are_meant(error.reason)):
                raise
            log.warning("telegram_buttons_refused", reason=error.reason)
            await self._api.send(reply.address, numbered(last, reply.options), None)

    async def typing(self, address: str) -> None:
        """Shows the worker that somebody writes. Never fails: it is a courtesy."""
        try:
            await self._api.typing(address)
        except SendError as error:
            log.debug("telegram_typing_refused", code=error.code)

    async def prepare(self, public_url: str) -> None:
        """Tell Telegram where to bring updates, and which commands there are."""
        await self._api.set_webhook(_webhook(public_url), self._secret)
        await self._api.set_commands(COMMANDS)

    def media(self, inbound: Inbound) -> Mapping[str, Any] | None:
        wanted = ("media_id", "content_type", "file_name", "size")
        kept = {name: value for name in wanted if (value := inbound.payload.get(name))}
        return kept if "media_id" in kept else None

    async def fetch(self, source: Mapping[str, Any], limit: int) -> Media:
        if source.get("size", 0) > limit:
            raise SendError("文件太大", retryable=False)
        data = await self._api.file(source["media_id"], limit)
        return Media(data, source.get("content_type", ""), source.get("file_name", ""))

    async def check(self, public_url: str) -> Sequence[Finding]:
        """The token, the way to Telegram, the clock, and how updates come to us."""
        try:
            me = await self._api.me()
            findings = [Finding(True, f"Telegram 机器人 @{me.username}")]
            if (skew := self._api.skew) is not None:
                seconds = round(skew.total_seconds())
                findings.append(
                    Finding(abs(skew) < _TOLERATED, f"本机时钟与 Telegram 相差 {seconds} 秒", "让本机与时间服务器对时")
                )
            findings += await self._check_updates(public_url)
        except SendError as error:
            return [Finding(False, f"Telegram：{error.reason}", self._advice(error))]
        return findings

    async def _check_updates(self, public_url: str) -> Sequence[Finding]:
        wanted, found = urlsplit(_webhook(public_url)), await self._api.webhook()
        findings = []
        if self._address == API_URL:
            good = wanted.scheme == "https" and (wanted.port or 443) in _PORTS
            todo = "HOTLINE_PUBLIC_URL 要用 https，端口 443、80、88 或 8443；否则清空 HOTLINE_TELEGRAM_SECRET 改为轮询"
            findings.append(Finding(good, f"回调地址 {wanted.geturl()}", todo))
        todo = "重启服务会重新登记；还不对，就是另有程序用着同一个机器人"
        findings.append(Finding(found.url == wanted.geturl(), f"Telegram 登记的回调是 {found.url or '空的'}", todo))
        findings.append(_failed(found.last_error_date, found.last_error_message))
        todo = "服务停过就会攒下，过几分钟再看；一直不减，看上面几项"
        findings.append(
            Finding(found.pending_update_count < _MANY, f"{found.pending_update_count} 条消息还没送到", todo)
        )
        return findings

    def _advice(self, error: SendError) -> str:
        if error.alarm:
            return "向 @BotFather 核对令牌，填到 HOTLINE_TELEGRAM_TOKEN"
        if self._proxied:
            return "检查 HOTLINE_TELEGRAM_PROXY 的代理通不通"
        return "内地主机要有代理才到得了 Telegram：设 HOTLINE_TELEGRAM_PROXY"

    def _answer_tap(self, read: Read) -> None:
        """Beside everything else, and also when nothing is said: the button must not go on waiting."""
        if read.query:
            self._beside(self._api.answer(read.query))

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        async def quietly() -> None:
            try:
                await work
            except SendError as error:
                log.info("telegram_tap_unanswered", code=error.code)

        task = asyncio.create_task(quietly())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_FAREWELL)
            for task in late:
                task.cancel()
        await self._api.close()


class TelegramPolling(Telegram):
    """The same for a host that nobody can reach from outside: we ask Telegram for what has come in."""

    capabilities = Capabilities(text_bytes=TEXT_BYTES, buttons=True, typing=True, stale_after=_STALE)
    every = timedelta(seconds=1)
    _free = False

    async def prepare(self, public_url: str) -> None:
        await self._api.set_commands(COMMANDS)

    async def queues(self) -> Sequence[str]:
        """One for each bot: the numbers of another bot's updates say nothing about ours."""
        return [self._api.id]

    async def pull(self, queue: str, cursor: str, ticket: str) -> Pulled:
        if queue != self._api.id:
            return Pulled((), cursor)
        if not self._free:
            # Telegram refuses to be asked while it has an address to bring updates to.
            await self._api.delete_webhook()
            self._free = True
        try:
            updates = await self._api.updates(int(cursor) if cursor else None)
        except SendError as error:
            self._free = error.code != 409
            raise
        found: list[Inbound] = []
        for update in updates:
            try:
                read = read_update(update, self._api.id, datetime.now(UTC))
            except Refused as refusal:
                log.warning("telegram_update_skipped", reason=refusal.reason)
                continue
            found += read.messages
            self._answer_tap(read)
        # The last one, not the highest: after a quiet week Telegram begins at any number.
        after = str(updates[-1].update_id + 1) if updates else cursor
        return Pulled(found, after, more=bool(updates))

    async def _check_updates(self, public_url: str) -> Sequence[Finding]:
        found = await self._api.webhook()
        todo = "重启服务会取消它；还在，就是另有程序用着同一个机器人"
        return [Finding(not found.url, f"轮询取消息；Telegram 登记的回调是 {found.url or '空的'}", todo)]


def build(settings: TelegramSettings, tools: Tools) -> Telegram:
    """By webhook where there is an address to bring updates to and a secret to know Telegram by; else by polling."""
    by_webhook = tools.public_url and settings.secret.get_secret_value()
    return Telegram(settings, tools.store) if by_webhook else TelegramPolling(settings, tools.store)


def _webhook(public_url: str) -> str:
    return public_url.rstrip("/") + PATH


def _failed(at: datetime | None, message: str | None) -> Finding:
    recent = at is not None and datetime.now(UTC) - at < timedelta(hours=1)
    what = f"Telegram 上次送消息失败：{at:%m-%d %H:%M} UTC {message}" if at else "Telegram 送消息没有出过错"
    return Finding(not recent, what, "看看域名、证书、防火墙；403 是暗号不对，重启服务重新登记")
