"""The Bot API as we call it: at the pace that Telegram allows, and with every refusal put into our own terms."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx
import structlog
from telegram import (
    Bot,
    BotCommand,
    BotCommandScopeAllPrivateChats,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    Update,
    WebhookInfo,
)
from telegram import User as BotUser
from telegram.constants import ChatAction
from telegram.error import TelegramError
from telegram.request import HTTPXRequest

from connectors.base import Refused, SendError, Store
from connectors.telegram_messages import ALLOWED, open_object
from connectors.telegram_refusals import refusal
from connectors.telegram_settings import TelegramSettings

log = structlog.get_logger(__name__)
T = TypeVar("T")

# The token is part of every address, and these write addresses down.
for _name in ("httpx", "httpcore", "telegram"):
    logging.getLogger(_name).setLevel(logging.WARNING)
# The library is moving from seconds to timedelta and warns at each use of the old kind.
os.environ.setdefault("PTB_TIMEDELTA", "true")

# Telegram allows about 30 messages a second for all chats together.
PACE = 20
POLL = timedelta(seconds=25)
# The largest file that the Bot API hands out.
LARGEST_FILE = 20 * 1024 * 1024
_SECONDS, _FILE_SECONDS = 8.0, 60.0
_SLOT = timedelta(minutes=1)
_LATE, _TRIES = 0.1, 10
# So many calls without any answer, one after the other, and we stop waiting for the next ones.
_DOWN_AFTER, _DOWN_SECONDS = 3, 5.0


class _Request(HTTPXRequest):
    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, object]:
        """The library writes what it cannot read into the log, and that may be what a worker has said."""
        try:
            found = json.loads(payload)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or (found.get("ok") and "result" not in found):
            raise TelegramError("not the JSON of the Bot API")
        return found


class _Polling(_Request):
    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, object]:
        """One update that the library cannot read would hold up all that come after it: only its number is kept."""
        found = _Request.parse_json_payload(payload)
        if isinstance(result := found.get("result"), list):
            found["result"] = [_readable(update) for update in result]
        return found


def _readable(update: dict[str, object]) -> Mapping[str, object]:
    try:
        return open_object(update)[0]
    except Refused as refused:
        log.warning("telegram_update_skipped", reason=refused.reason)
        return {"update_id": update["update_id"]}


class TelegramApi:
    """One bot. Raises `SendError`, never anything else."""

    def __init__(self, settings: TelegramSettings, store: Store) -> None:
        token, url = settings.token.get_secret_value(), settings.api_url.rstrip("/")
        proxy = settings.proxy.get_secret_value() or None
        hooks = {"event_hooks": {"response": [self._note_time]}}
        # A long poll that was torn off keeps its connection for a while: one alone would leave us deaf.
        self._requests = (
            _Polling(4, connect_timeout=5, pool_timeout=5, proxy=proxy, httpx_kwargs=hooks),
            _Request(64, connect_timeout=3, pool_timeout=5, proxy=proxy, httpx_kwargs=hooks),
        )
        self._bot = Bot(
            token,
            base_url=f"{url}/bot",
            base_file_url=f"{url}/file/bot",
            get_updates_request=self._requests[0],
            request=self._requests[1],
        )
        self.id = token.partition(":")[0]
        self.skew: timedelta | None = None
        """How far our clock is ahead of Telegram's, as of the last answer."""
        self._store = store
        self._slot = 0
        self._failures, self._down_until = 0, 0.0

    async def send(self, chat: str, text: str, keyboard: InlineKeyboardMarkup | None) -> None:
        """One bubble of plain text; waits until it is its turn."""
        self._check_line()
        await self._wait_for_slot()
        await self._call(
            lambda: self._bot.send_message(
                int(chat), text, reply_markup=keyboard, link_preview_options=LinkPreviewOptions(is_disabled=True)
            )
        )

    async def typing(self, chat: str) -> None:
        """Shows for five seconds that somebody writes."""
        self._check_line()
        await self._call(lambda: self._bot.send_chat_action(int(chat), ChatAction.TYPING))

    async def answer(self, query: str) -> None:
        """Ends the waiting sign on the button that was tapped."""
        await self._call(lambda: self._bot.answer_callback_query(query))

    async def updates(self, after: int | None) -> Sequence[Update]:
        """What has come in, or nothing after 25 s; `after` tells Telegram that everything before it is ours."""
        return await self._call(
            lambda: self._bot.get_updates(offset=after, timeout=POLL, allowed_updates=ALLOWED),
            POLL.total_seconds() + 10,
        )

    async def set_webhook(self, url: str, secret: str) -> None:
        await self._call(
            lambda: self._bot.set_webhook(url, secret_token=secret, allowed_updates=ALLOWED, max_connections=40)
        )

    async def delete_webhook(self) -> None:
        """What has come in meanwhile stays to be fetched."""
        await self._call(lambda: self._bot.delete_webhook(drop_pending_updates=False))

    async def set_commands(self, commands: Sequence[tuple[str, str]]) -> None:
        """(command, what it does) as the menu of private chats shows them."""
        shown = [BotCommand(name, does) for name, does in commands]
        await self._call(lambda: self._bot.set_my_commands(shown, scope=BotCommandScopeAllPrivateChats()))

    async def me(self) -> BotUser:
        return await self._call(self._bot.get_me)

    async def webhook(self) -> WebhookInfo:
        return await self._call(self._bot.get_webhook_info)

    async def file(self, file_id: str, limit: int) -> bytes:
        """A file that a worker sent. Not retryable when it is gone or larger than `limit` bytes."""
        most = min(limit, LARGEST_FILE)
        too_large = SendError("文件太大", retryable=False)
        found = await self._call(lambda: self._bot.get_file(file_id))
        if (found.file_size or 0) > most:
            raise too_large
        try:
            data = await self._call(found.download_as_bytearray, _FILE_SECONDS)
        except SendError as error:
            if error.code == 401:
                # What is gone is refused in the words of a wrong token, and getFile has just taken ours.
                raise SendError("文件已经不在 Telegram 了", retryable=False, code=404) from None
            raise
        if len(data) > most:
            raise too_large
        return bytes(data)

    async def close(self) -> None:
        for request in self._requests:
            await request.shutdown()

    async def _call(self, call: Callable[[], Awaitable[T]], seconds: float = _SECONDS) -> T:
        try:
            async with asyncio.timeout(seconds):
                found = await call()
        except Exception as error:
            silent = isinstance(error, TimeoutError) or isinstance(error.__cause__, httpx.TransportError)
            self._note_line(answered=not silent)
            raise refusal(error) from None
        self._note_line(answered=True)
        return found

    def _check_line(self) -> None:
        """While Telegram cannot be reached nobody waits for it, or the sends of other channels would wait as well."""
        now = time.monotonic()
        if self._failures < _DOWN_AFTER:
            return
        if now < self._down_until:
            raise SendError("连不上 Telegram，过一会儿再发", retryable=True, hold=True)
        # One goes ahead to see.
        self._down_until = now + _SECONDS + _DOWN_SECONDS

    def _note_line(self, *, answered: bool) -> None:
        self._failures = 0 if answered else self._failures + 1
        if not answered:
            self._down_until = time.monotonic() + _DOWN_SECONDS

    async def _wait_for_slot(self) -> None:
        """All processes together send `PACE` messages a second: each message takes a slot of its own.

        Who wakes up late lets the slot go, or a busy machine would send in bursts what it had spread evenly.
        """
        for _ in range(_TRIES):
            mine = await self._take_slot()
            await asyncio.sleep(max(0.0, mine / PACE - time.time()))
            if time.time() - mine / PACE < _LATE:
                return

    async def _take_slot(self) -> int:
        """The number of the next free slot, counted from the epoch."""
        while True:
            self._slot = mine = max(int(time.time() * PACE) + 1, self._slot + 1)
            try:
                if await self._store.acquire(f"telegram:{self.id}:{mine}", secrets.token_hex(4), ttl=_SLOT):
                    return mine
            except Exception as error:
                log.warning("telegram_pace_alone", error=type(error).__name__)
                return mine

    async def _note_time(self, response: httpx.Response) -> None:
        try:
            theirs = parsedate_to_datetime(response.headers["Date"])
            self.skew = datetime.now(UTC) - theirs
        except (KeyError, ValueError, TypeError):
            self.skew = None
