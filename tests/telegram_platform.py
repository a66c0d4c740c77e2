"""A stand-in for api.telegram.org on loopback: one bot, its chats, its updates, and bad days.

Real HTTP in the shapes of the Bot API, written after its documentation. It serves in a thread of its own; a test reads
and sets the state freely.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx
import uvicorn

TOKEN = "987654321:AAE-stand-in_of_the_bot_api"
LONGEST_TEXT, LONGEST_DATA, LARGEST_FILE = 4096, 64, 20 * 1024 * 1024
_JSON = b"application/json"


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as the worker sees it. `buttons` are (label, data) from top to bottom."""

    chat: int
    text: str
    buttons: tuple[tuple[str, str], ...]
    at: float
    fields: Mapping[str, Any]


@dataclass(slots=True)
class Fault:
    """How the next call goes wrong. `status` 0 drops the connection; `seconds` of delay come first."""

    status: int = 200
    description: str = ""
    retry_after: int | None = None
    body: bytes | None = None
    seconds: float = 0.0
    only_chat: int | None = None


@dataclass(slots=True)
class Hook:
    url: str = ""
    secret: str = ""
    allowed: Sequence[str] = ()
    error: str = ""
    error_date: int = 0


def slow_down(seconds: int, chat: int | None = None) -> Fault:
    return Fault(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds, only_chat=chat)


def dropped() -> Fault:
    return Fault(0)


@dataclass
class TelegramPlatform:
    """`shown` holds what was sent to each chat. Calls by name are counted in `calls`, whatever came of them."""

    token: str = TOKEN
    url: str = ""
    shown: dict[int, list[Sent]] = field(default_factory=lambda: defaultdict(list))
    calls: Counter[str] = field(default_factory=Counter)
    answered: list[str] = field(default_factory=list)
    typing: list[int] = field(default_factory=list)
    commands: list[dict[str, str]] = field(default_factory=list)
    blocked: set[int] = field(default_factory=set)
    hook: Hook = field(default_factory=Hook)
    files: dict[str, bytes] = field(default_factory=dict)
    offsets: list[int | None] = field(default_factory=list)
    clock_ahead: float = 0.0
    hold: float = 1.0
    """How long a long poll is held at most, whatever it asked for."""
    _updates: list[dict[str, Any]] = field(default_factory=list)
    _faults: dict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _number: int = field(default_factory=lambda: int(time.time() * 1000))
    _polls: int = 0
    _given: set[int] = field(default_factory=set)

    def fail(self, method: str, *faults: Fault) -> None:
        """The next calls of `method` (any: "*") go wrong so."""
        with self._lock:
            self._faults[method].extend(faults)

    def next_number(self) -> int:
        with self._lock:
            self._number += 1
            return self._number

    # What workers do: each gives back the update as Telegram would bring it.

    def message(self, chat: int, *, update: str = "message", kind: str = "private", **fields: Any) -> dict[str, Any]:
        number = self.next_number()
        said = {
            "message_id": number % 10**9,
            "date": int(time.time()),
            "chat": {"id": chat, "type": kind, "first_name": "张"},
            "from": {"id": abs(chat), "is_bot": False, "first_name": "张", "language_code": "zh-hans"},
        }
        return {"update_id": number, update: said | fields}

    def text(self, chat: int, text: str, **more: Any) -> dict[str, Any]:
        return self.message(chat, text=text, **more)

    def tap(self, sent: Sent, label: str) -> dict[str, Any]:
        """The worker taps the button with this label below what they were sent."""
        data = dict(sent.buttons)[label]
        rows = [[{"text": name, "callback_data": known}] for name, known in sent.buttons]
        number = self.next_number()
        person = {"id": sent.chat, "is_bot": False, "first_name": "张"}
        below = {
            "message_id": number % 10**9,
            "date": int(sent.at),
            "chat": {"id": sent.chat, "type": "private", "first_name": "张"},
            "from": {"id": int(self.token.partition(":")[0]), "is_bot": True, "first_name": "热线"},
            "text": sent.text,
            "reply_markup": {"inline_keyboard": rows},
        }
        query = {"id": str(number), "from": person, "message": below, "chat_instance": "1", "data": data}
        return {"update_id": number, "callback_query": query}

    def membership(self, chat: int, status: str) -> dict[str, Any]:
        """`kicked`: the worker has blocked the bot; `member`: let it in again."""
        number = self.next_number()
        bot = {"id": int(self.token.partition(":")[0]), "is_bot": True, "first_name": "热线"}
        new: dict[str, Any] = {"status": status, "user": bot}
        if status == "kicked":
            new["until_date"] = 0
            self.blocked.add(chat)
        else:
            self.blocked.discard(chat)
        change = {
            "chat": {"id": chat, "type": "private", "first_name": "张"},
            "from": {"id": chat, "is_bot": False, "first_name": "张"},
            "date": int(time.time()),
            "old_chat_member": {"status": "member", "user": bot},
            "new_chat_member": new,
        }
        return {"update_id": number, "my_chat_member": change}

    def queue(self, *updates: dict[str, Any]) -> None:
        """For the next poll."""
        with self._lock:
            self._updates.extend(updates)

    async def deliver(self, http: httpx.AsyncClient, update: Mapping[str, Any] | bytes) -> httpx.Response:
        """One try to bring an update to the webhook that was set."""
        body = update if isinstance(update, bytes) else json.dumps(update).encode()
        headers = {"X-Telegram-Bot-Api-Secret-Token": self.hook.secret} if self.hook.secret else {}
        return await http.post(self.hook.url, content=body, headers={"Content-Type": "application/json", **headers})

    # The Bot API.

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        path: str = scope["path"]
        if path.startswith("/file/bot"):
            await self._serve(send, path.removeprefix(f"/file/bot{self.token}/"))
            return
        token, _, method = path.removeprefix("/bot").rpartition("/")
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
        with self._lock:
            self.calls[method] += 1
            fault = self._next_fault(method, fields)
        if fault and fault.seconds:
            await asyncio.sleep(fault.seconds)
        if fault and fault.status == 0:
            # Uvicorn hangs up on an application that answers nothing.
            return
        if fault and fault.body is not None:
            await _respond(send, fault.status, fault.body, self._date(), b"text/html")
            return
        if fault and fault.status != 200:
            answer = _refused(fault.status, fault.description, fault.retry_after)
        elif token != self.token:
            answer = _refused(401, "Unauthorized")
        elif method == "getUpdates":
            answer = await self._get_updates(fields)
        else:
            with self._lock:
                answer = self._answer(method, fields)
        status = answer.get("error_code", 200)
        await _respond(send, status, json.dumps(answer).encode(), self._date())

    def _date(self) -> str:
        return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + self.clock_ahead))

    def _next_fault(self, method: str, fields: Mapping[str, str]) -> Fault | None:
        for name in (method, "*"):
            waiting = self._faults[name]
            if waiting and waiting[0].only_chat in (None, int(fields.get("chat_id", "0"))):
                return waiting.popleft()
        return None

    def _answer(self, method: str, fields: Mapping[str, str]) -> dict[str, Any]:
        match method:
            case "getMe":
                me = {"id": int(self.token.partition(":")[0]), "is_bot": True, "first_name": "热线"}
                return _fine(me | {"username": "daxing_hotline_bot"})
            case "sendMessage":
                return self._send(fields)
            case "sendChatAction":
                self.typing.append(int(fields["chat_id"]))
                return _fine(True)
            case "answerCallbackQuery":
                self.answered.append(fields["callback_query_id"])
                return _fine(True)
            case "setMyCommands":
                self.commands = json.loads(fields["commands"])
                return _fine(True)
            case "setWebhook":
                self.hook = Hook(
                    fields["url"], fields.get("secret_token", ""), json.loads(fields.get("allowed_updates", "[]"))
                )
                return _fine(True)
            case "deleteWebhook":
                self.hook = Hook()
                return _fine(True)
            case "getWebhookInfo":
                return self._webhook_info()
            case "getFile":
                return self._get_file(fields["file_id"])
            case _:
                return _refused(404, "Not Found")

    def _send(self, fields: Mapping[str, str]) -> dict[str, Any]:
        chat, text = int(fields["chat_id"]), fields.get("text", "")
        keyboard = json.loads(fields.get("reply_markup", "{}")).get("inline_keyboard", [])
        buttons = tuple((button["text"], button["callback_data"]) for row in keyboard for button in row)
        if chat in self.blocked:
            return _refused(403, "Forbidden: bot was blocked by the user")
        if not text.strip():
            return _refused(400, "Bad Request: message text is empty")
        if len(text.encode("utf-16-le")) // 2 > LONGEST_TEXT:
            return _refused(400, "Bad Request: message is too long")
        if any(not 0 < len(data.encode()) <= LONGEST_DATA for _, data in buttons):
            return _refused(400, "Bad Request: BUTTON_DATA_INVALID")
        self.shown[chat].append(Sent(chat, text, buttons, time.time(), dict(fields)))
        said = {"message_id": len(self.shown[chat]), "date": int(time.time()), "text": text}
        return _fine(said | {"chat": {"id": chat, "type": "private", "first_name": "张"}})

    def _webhook_info(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "url": self.hook.url,
            "has_custom_certificate": False,
            "pending_update_count": len(self._updates),
        }
        if self.hook.error:
            found |= {"last_error_date": self.hook.error_date, "last_error_message": self.hook.error}
        return _fine(found)

    def _get_file(self, file_id: str) -> dict[str, Any]:
        data = self.files.get(file_id)
        if data is None:
            return _refused(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
        if len(data) > LARGEST_FILE:
            return _refused(400, "Bad Request: file is too big")
        return _fine(
            {"file_id": file_id, "file_unique_id": file_id, "file_size": len(data), "file_path": f"kept/{file_id}"}
        )

    async def _serve(self, send: Any, path: str) -> None:
        with self._lock:
            self.calls["download"] += 1
            fault = self._next_fault("download", {})
        data = self.files.get(path.removeprefix("kept/"))
        if fault is not None or data is None:
            status = fault.status if fault else 404
            if status:
                await _respond(send, status, json.dumps(_refused(status, "Not Found")).encode(), self._date())
            return
        await _respond(send, 200, data, self._date(), b"application/octet-stream")

    async def _get_updates(self, fields: Mapping[str, str]) -> dict[str, Any]:
        """What was given out and is below the offset is forgotten; waits for something new; one poll at a time."""
        if self.hook.url:
            return _refused(409, "Conflict: can't use getUpdates method while webhook is active")
        offset = int(fields["offset"]) if "offset" in fields else None
        with self._lock:
            self._polls += 1
            mine = self._polls
            self.offsets.append(offset)
            if offset is not None:
                done = {number for number in self._given if number < offset}
                self._updates = [update for update in self._updates if update["update_id"] not in done]
        until = time.monotonic() + min(float(fields.get("timeout", "0")), self.hold)
        while not self._updates and time.monotonic() < until:
            await asyncio.sleep(0.02)
            if mine != self._polls:
                return _refused(409, "Conflict: terminated by other getUpdates request")
        with self._lock:
            page = self._updates[: int(fields.get("limit", "100"))]
            self._given |= {update["update_id"] for update in page}
            return _fine(page)


def _fine(result: Any) -> dict[str, Any]:
    return {"ok": True, "result": result}


def _refused(code: int, description: str, retry_after: int | None = None) -> dict[str, Any]:
    answer: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
    return answer if retry_after is None else answer | {"parameters": {"retry_after": retry_after}}


async def _respond(send: Any, status: int, body: bytes, date: str, kind: bytes = _JSON) -> None:
    headers = [(b"content-type", kind), (b"date", date.encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Server(uvicorn.Server):
    """Leaves the signals to the test run."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@contextlib.asynccontextmanager
async def serving(platform: TelegramPlatform, port: int = 0) -> AsyncIterator[str]:
    """Serve `platform` on this port of loopback, or a free one; yields its address."""
    listener = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(
        platform, log_level=60, lifespan="off", ws="none", timeout_graceful_shutdown=1, date_header=False
    )
    server = _Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        platform.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield platform.url
    finally:
        server.should_exit = True
        await asyncio.to_thread(thread.join, 5)
        listener.close()


def new_chat() -> int:
    """Somebody who has never written before."""
    return secrets.randbelow(10**9) + 10**9
