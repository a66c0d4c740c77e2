"""A stand-in for api.weixin.qq.com on loopback: tokens, messages, quotas, menus, files, notices and bad days."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

import uvicorn

Scope = Mapping[str, Any]

QUOTA = 5
WINDOW_SECONDS = 48 * 3600
_JSON = "application/json; encoding=utf-8"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(64)


class WeChatPlatform:
    """State and behaviour; read and set freely from the test while it serves in its own thread.

    `shown` holds what each openid has read: a text, or a menu message as its head and the labels below it. A worker who
    never called `contact` may be written to without limit unless `strict` is set. `files` are by media id: bytes with
    their type, or the address of a video. `consents` are how many notices each openid has allowed.
    """

    def __init__(self, app_id: str, app_secret: str, *, strict: bool = False) -> None:
        self.app_id = app_id
        self.app_secret = app_secret
        self.url = ""
        self._lock = threading.Lock()
        self.reset(strict=strict)

    def reset(self, *, strict: bool = False) -> None:
        """A new day: nothing sent, nothing wrong."""
        self.strict = strict
        self.shown: dict[str, list[str]] = defaultdict(list)
        self.calls: Counter[str] = Counter()
        self.forced = 0
        self.bodies: list[bytes] = []
        self.token = ""
        self.token_lasts = 7200
        self.unheard_of_token = False
        self.delay = 0.0
        self.ahead = 0.0
        self.menu_messages = True
        self.menu: list[dict[str, Any]] = []
        self.files: dict[str, tuple[bytes, str] | str] = {}
        self.online: list[str] = []
        self.consents: Counter[str] = Counter()
        self.noticed: list[tuple[str, dict[str, str]]] = []
        self.codes: list[str] = []
        self.templates: list[dict[str, str]] = []
        self.typed: list[str] = []
        self._contacts: dict[str, tuple[float, int]] = {}
        self._bad_days: dict[str, deque[int | bytes]] = defaultdict(deque)

    def contact(self, openid: str, sends: int = QUOTA) -> None:
        """The worker wrote: `sends` messages may follow within 48 h."""
        self._contacts[openid] = (time.time(), sends)

    def fail(self, path: str, *faults: int | bytes) -> None:
        """The next answers on `path`, such as "custom/send": an error code, or bytes in place of JSON.

        The bytes b"HTTP 500" are an answer of that status which reads like a success.
        """
        self._bad_days[path].extend(faults)

    def expire(self) -> None:
        """The token in use stops working, as when another system fetches one."""
        self.token = ""

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        if self.delay:
            await asyncio.sleep(self.delay)
        path = scope["path"].removeprefix("/cgi-bin/").removeprefix("message/")
        query = dict(parse_qsl(scope["query_string"].decode()))
        with self._lock:
            answer = self._file(path, query) or self._answer(path, query, body)
        answer, kind = answer if isinstance(answer, tuple) else (answer, _JSON)
        status = 200
        if answer.startswith(b"HTTP "):
            status, answer = int(answer[5:]), _refusal(0)
        headers = [
            (b"content-type", kind.encode()),
            (b"date", formatdate(time.time() + self.ahead, usegmt=True).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _file(self, path: str, query: Mapping[str, str]) -> tuple[bytes, str] | None:
        """What is not JSON: a file by its media id, a video by its address, the picture of a QR code."""
        if path == "showqrcode" and query.get("ticket"):
            return PICTURE, "image/jpg"
        if path.startswith("/video/"):
            return PICTURE, "video/mp4"
        good = self.token and query.get("access_token") == self.token and not self._bad_days[path]
        if path != "media/get" or not good:
            return None
        self.calls[path] += 1
        match self.files.get(query["media_id"]):
            case None:
                return _refusal(40007), _JSON
            case str(address):
                return json.dumps({"video_url": self.url + address}).encode(), "text/plain"
            case found:
                return found

    def _answer(self, path: str, query: Mapping[str, str], body: bytes) -> bytes:
        self.calls[path] += 1
        self.bodies.append(body)
        fault: int | bytes = self._bad_days[path].popleft() if self._bad_days[path] else 0
        if isinstance(fault, bytes):
            return fault
        try:
            asked = json.loads(body or b"{}")
        except ValueError:
            return _refusal(47001)
        if fault:
            return _refusal(fault)
        if path == "stable_token":
            return self._stable_token(asked)
        if not self.token or query.get("access_token") != self.token or self.unheard_of_token:
            return _refusal(40001)
        if path == "custom/send":
            return _refusal(self._send(asked))
        if path == "custom/typing":
            self.typed.append(asked["touser"])
            return _refusal(0)
        if path == "subscribe/bizsend":
            return _refusal(self._notify(asked))
        if path.startswith("menu/"):
            return self._menu(path, asked)
        if path == "qrcode/create":
            scene = asked["action_info"]["scene"]["scene_str"]
            self.codes.append(scene)
            return json.dumps({"ticket": f"T/{scene}+=", "url": f"http://weixin.example/q/{scene}"}).encode()
        if path == "customservice/getonlinekflist":
            return json.dumps({"kf_online_list": [{"kf_account": name, "status": 1} for name in self.online]}).encode()
        if path == "/wxaapi/newtmpl/gettemplate":
            return json.dumps({"errcode": 0, "data": self.templates}).encode()
        if path == "getcallbackip":
            return json.dumps({"ip_list": ["127.0.0.1"]}).encode()
        return _refusal(48001)

    def _menu(self, path: str, asked: Mapping[str, Any]) -> bytes:
        if path == "menu/get":
            # As the platform does it: a key of its own on every button.
            shown = [{"sub_button": [], **button} for button in self.menu]
            return json.dumps({"menu": {"button": shown}}).encode() if shown else _refusal(46003)
        if path == "menu/delete":
            self.menu = []
            return _refusal(0)
        if any(len(button["name"].encode()) > 16 for button in asked["button"]):
            return _refusal(40018)
        self.menu = asked["button"]
        return _refusal(0)

    def _notify(self, asked: Mapping[str, Any]) -> int:
        openid = asked["touser"]
        if not self.consents[openid]:
            return 43101
        self.consents[openid] -= 1
        self.noticed.append((openid, {name: field["value"] for name, field in asked["data"].items()}))
        return 0

    def _stable_token(self, asked: Mapping[str, Any]) -> bytes:
        if asked.get("appid") != self.app_id:
            return _refusal(40013)
        if asked.get("secret") != self.app_secret:
            return _refusal(40125)
        if asked.get("force_refresh"):
            self.forced += 1
            self.token = ""
        self.token = self.token or secrets.token_hex(256)
        return json.dumps({"access_token": self.token, "expires_in": self.token_lasts}).encode()

    def _send(self, asked: Mapping[str, Any]) -> int:
        openid, kind = asked["touser"], asked["msgtype"]
        if kind == "msgmenu":
            if not self.menu_messages:
                return 40200
            text = "\n".join([asked[kind]["head_content"], *(item["content"] for item in asked[kind]["list"])])
        else:
            text = asked[kind]["content"]
        if not text:
            return 44004
        if len(text.encode()) > 2048:
            return 45002
        if openid in self._contacts:
            since, left = self._contacts[openid]
            if time.time() - since > WINDOW_SECONDS:
                return 45015
            if not left:
                return 45047
            self._contacts[openid] = (since, left - 1)
        elif self.strict:
            return 45015
        self.shown[openid].append(text)
        return 0


def _refusal(code: int) -> bytes:
    return json.dumps({"errcode": code, "errmsg": "ok" if not code else f"refused rid: {code}"}).encode()


class _Server(uvicorn.Server):
    """Leaves the signals to the test run."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@contextlib.asynccontextmanager
async def serving(platform: WeChatPlatform) -> AsyncIterator[str]:
    """Serve `platform` on a free port of loopback; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        platform, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=1, date_header=False
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
