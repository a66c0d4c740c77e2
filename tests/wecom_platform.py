"""A stand-in for WeCom on loopback: 微信客服 with its queues, sessions, quotas and codes, staff calls, and bad days."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import secrets
import socket
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn

ACCOUNT = "wkAJ2GCAAAZSfhHCt7IFSvLKtMPxyJTw"
HOURS_48 = 48 * 3600
_MSGID = re.compile(r"[0-9A-Za-z_-]{1,32}")
# What may become of a session by a call; the end is undone by the customer alone.
_MAY_BECOME = {0: {1, 2, 3, 4}, 1: {2, 3, 4}, 2: {3, 4}, 3: {3, 4}, 4: set[int]()}


@dataclass
class Session:
    """`left` and `since`: how many messages may still follow the customer's last one, and when that came."""

    state: int = 4
    servicer: str = ""
    left: int = 0
    since: float = 0.0
    greeted: float = 0.0


@dataclass
class Code:
    """Lets one message through, until a time."""

    account: str
    customer: str
    until: float
    used: bool = False


@dataclass
class Shown:
    """What a customer reads: the text, and the items of a menu as (id, label)."""

    text: str
    options: list[tuple[str, str]] = field(default_factory=list)
    by_code: bool = False


class WeComPlatform:
    """State and behaviour; read and set freely from the test while it serves in its own thread."""

    def __init__(self, corp_id: str, secret: str) -> None:
        self.corp_id = corp_id
        self.secret = secret
        self.url = ""
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self.reset()

    def reset(self) -> None:
        """A new day: nothing said, nothing wrong."""
        self.accounts: list[dict[str, Any]] = [{"open_kfid": ACCOUNT, "name": "职工热线", "manage_privilege": True}]
        self.queue: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.sessions: dict[tuple[str, str], Session] = defaultdict(Session)
        self.shown: dict[str, list[Shown]] = defaultdict(list)
        self.codes: dict[str, Code] = {}
        self.on_duty: set[str] = set()
        self.files: dict[str, tuple[bytes, str, str]] = {}
        self.robot: list[str] = []
        self.app: list[dict[str, Any]] = []
        self.calls: Counter[str] = Counter()
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.tickets: set[str] = set()
        self.page_size = 1000
        self.token = ""
        self.token_lasts = 7200
        self.unheard_of_token = False
        self.refuses_duplicates = False
        self.delay = 0.0
        self.late: dict[str, float] = {}
        self._msgids: set[str] = set()
        self._bad_days: dict[str, deque[int | bytes]] = defaultdict(deque)

    # What customers and servicers do.

    def says(self, customer: str, content: str, *, menu_id: str = "", ago: float = 0.0, account: str = ACCOUNT) -> str:
        text: dict[str, Any] = {"content": content} | ({"menu_id": menu_id} if menu_id else {})
        return self.sends(customer, "text", text, ago=ago, account=account)

    def sends(
        self, customer: str, kind: str, content: Mapping[str, Any], *, ago: float = 0.0, account: str = ACCOUNT
    ) -> str:
        """A customer's message of any kind; the msgid."""
        session = self.sessions[account, customer]
        if session.state == 4:
            session.state = 0
        session.left, session.since = 5, time.time() - ago
        return self._put(
            account,
            {"open_kfid": account, "external_userid": customer, "origin": 3, "msgtype": kind, kind: dict(content)},
            ago,
        )

    def enters(self, customer: str, *, ago: float = 0.0, account: str = ACCOUNT, **more: str) -> str:
        """The customer opens the talk; the welcome code, "" when the rules give none."""
        session, code = self.sessions[account, customer], ""
        now = time.time()
        if now - session.greeted > HOURS_48 and now - session.since > HOURS_48:
            code, session.greeted = self._code(account, customer, 20 - ago), now
        self.reports(customer, "enter_session", ago=ago, account=account, welcome_code=code, **more)
        return code

    def takes(self, customer: str, servicer: str, *, account: str = ACCOUNT) -> None:
        session = self.sessions[account, customer]
        session.state, session.servicer = 3, servicer
        code = self._code(account, customer, HOURS_48)
        self.reports(
            customer,
            "session_status_change",
            account=account,
            change_type=1,
            new_servicer_userid=servicer,
            msg_code=code,
        )

    def ends(self, customer: str, *, ago: float = 0.0, account: str = ACCOUNT) -> str:
        """The servicer ends the session; the code of the end message."""
        session = self.sessions[account, customer]
        was, session.state, session.servicer = session.servicer, 4, ""
        code = self._code(account, customer, 20 - ago)
        self.reports(
            customer,
            "session_status_change",
            ago=ago,
            account=account,
            change_type=3,
            old_servicer_userid=was,
            msg_code=code,
        )
        return code

    def servicer_says(self, customer: str, content: str, *, account: str = ACCOUNT) -> None:
        self._put(
            account,
            {
                "open_kfid": account,
                "external_userid": customer,
                "origin": 5,
                "servicer_userid": self.sessions[account, customer].servicer,
                "msgtype": "text",
                "text": {"content": content},
            },
        )

    def reports(self, customer: str, event: str, *, ago: float = 0.0, account: str = ACCOUNT, **facts: Any) -> str:
        """A system event about a customer."""
        inner = {"event_type": event, "open_kfid": account, "external_userid": customer} | facts
        return self._put(account, {"origin": 4, "msgtype": "event", "event": inner}, ago)

    def _put(self, account: str, item: dict[str, Any], ago: float = 0.0) -> str:
        key = f"msg{next(self._numbers):08d}"
        self.queue[account].append({"msgid": key, "send_time": int(time.time() - ago), **item})
        return key

    def _code(self, account: str, customer: str, lasts: float) -> str:
        code = secrets.token_hex(12)
        self.codes[code] = Code(account, customer, time.time() + lasts)
        return code

    def texts(self, customer: str) -> list[str]:
        return [shown.text for shown in self.shown[customer]]

    def ticket(self) -> str:
        """A token for `sync_msg`, as a callback brings it."""
        fresh = secrets.token_hex(8)
        self.tickets.add(fresh)
        return fresh

    # What goes wrong.

    def fail(self, path: str, *faults: int | bytes) -> None:
        """The next answers on `path`, such as "kf/send_msg": an error code, or bytes in place of JSON.

        The bytes b"HTTP 500" are an answer of that status; b"after" does the work and then hangs up with status 500.
        """
        self._bad_days[path].extend(faults)

    def forget_faults(self) -> None:
        self._bad_days.clear()

    def pending_faults(self, path: str) -> int:
        return len(self._bad_days[path])

    def expire(self) -> None:
        """The token in use stops working."""
        self.token = ""

    # The API.

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        path = scope["path"].removeprefix("/cgi-bin/")
        if wait := self.late.get(path, self.delay):
            await asyncio.sleep(wait)
        query = dict(httpx.QueryParams(scope["query_string"].decode()))
        with self._lock:
            status, kind, answer, more = self._answer(path, query, body)
        headers = [(b"content-type", kind.encode()), *more]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _answer(
        self, path: str, query: Mapping[str, str], body: bytes
    ) -> tuple[int, str, bytes, list[tuple[bytes, bytes]]]:
        self.calls[path] += 1
        kind, more = "application/json; charset=UTF-8", list[tuple[bytes, bytes]]()
        fault: int | bytes = self._bad_days[path].popleft() if self._bad_days[path] else 0
        if isinstance(fault, bytes) and fault != b"after":
            return (int(fault[5:]), kind, b"{}", more) if fault.startswith(b"HTTP ") else (200, kind, fault, more)
        if isinstance(fault, int) and fault:
            answer: dict[str, Any] = {"errcode": fault, "errmsg": f"refused, hint: [1], from ip: 127.0.0.9, {fault}"}
            return 200, kind, json.dumps(answer).encode(), more
        try:
            asked = json.loads(body) if body else {}
        except ValueError:
            return 200, kind, b'{"errcode": 47001, "errmsg": "bad json"}', more
        self.asked.append((path, asked))
        if path == "gettoken":
            answer = self._gettoken(query)
        elif path == "webhook/send":
            answer = self._robot(query, asked)
        elif not self.token or query.get("access_token") != self.token or self.unheard_of_token:
            answer = {"errcode": 40014, "errmsg": "invalid access_token"}
        elif path == "media/get":
            found = self.files.get(query.get("media_id", ""))
            if found:
                data, kind, name = found
                return 200, kind, data, [(b"content-disposition", f'attachment; filename="{name}"'.encode())]
            answer = {"errcode": 40007, "errmsg": "invalid media_id"}
        else:
            answer = self._call(path, asked)
        status = 500 if fault == b"after" else 200
        return status, kind, json.dumps({"errcode": 0, "errmsg": "ok", **answer}, ensure_ascii=False).encode(), more

    def _gettoken(self, query: Mapping[str, str]) -> dict[str, Any]:
        if query.get("corpid") != self.corp_id:
            return {"errcode": 40013, "errmsg": "invalid corpid"}
        if query.get("corpsecret") != self.secret:
            return {"errcode": 40001, "errmsg": "invalid credential"}
        self.token = self.token or secrets.token_hex(64)
        return {"access_token": self.token, "expires_in": self.token_lasts}

    def _robot(self, query: Mapping[str, str], asked: Mapping[str, Any]) -> dict[str, Any]:
        if query.get("key") != "robot-key":
            return {"errcode": 93000, "errmsg": "invalid webhook url"}
        if asked["msgtype"] != "markdown" or len(asked["markdown"]["content"].encode()) > 4096:
            return {"errcode": 40058, "errmsg": "invalid request"}
        self.robot.append(asked["markdown"]["content"])
        return {}

    def _call(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        match path:
            case "kf/account/list":
                start = asked.get("offset", 0)
                return {"account_list": self.accounts[start : start + asked.get("limit", 100)]}
            case "kf/sync_msg":
                return self._sync(asked)
            case "kf/service_state/get":
                session = self.sessions[asked["open_kfid"], asked["external_userid"]]
                return {"service_state": session.state, "servicer_userid": session.servicer}
            case "kf/service_state/trans":
                return self._trans(asked)
            case "kf/send_msg":
                return self._send(asked)
            case "kf/send_msg_on_event":
                return self._send_on_event(asked)
            case "message/send":
                self.app.append(asked)
                return {"msgid": "app"}
            case _:
                return {"errcode": 48002, "errmsg": "api forbidden"}

    def _sync(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        if asked.get("token") and asked["token"] not in self.tickets:
            return {"errcode": 95007, "errmsg": "invalid msgtoken"}
        if asked["open_kfid"] not in [account["open_kfid"] for account in self.accounts]:
            return {"errcode": 95004, "errmsg": "open_kfid not exist"}
        items = self.queue[asked["open_kfid"]]
        start = int(asked.get("cursor", "c0")[1:])
        stop = min(start + min(asked.get("limit", 1000), self.page_size), len(items))
        return {"msg_list": items[start:stop], "next_cursor": f"c{stop}", "has_more": int(stop < len(items))}

    def _trans(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        account, customer, wanted = asked["open_kfid"], asked["external_userid"], asked["service_state"]
        session = self.sessions[account, customer]
        if wanted not in _MAY_BECOME[session.state]:
            return {"errcode": 95016, "errmsg": "status transition not allowed"}
        if wanted == 3 and asked.get("servicer_userid") not in self.on_duty:
            return {"errcode": 95014, "errmsg": "not receptionist"}
        session.state, session.servicer = wanted, asked.get("servicer_userid", "")
        return {"msg_code": self._code(account, customer, 20 if wanted == 4 else HOURS_48)}

    def _send(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        session = self.sessions[asked["open_kfid"], asked["touser"]]
        if wrong := self._wrong_shape(asked):
            return wrong
        if asked["msgid"] in self._msgids:
            return self._seen(asked)
        if session.state not in (0, 1):
            return {"errcode": 95018, "errmsg": "send msg session status invalid"}
        if time.time() - session.since > HOURS_48:
            return {"errcode": 95002, "errmsg": "send msg time limit"}
        if not session.left:
            return {"errcode": 95001, "errmsg": "send msg count limit"}
        session.left -= 1
        return self._show(asked["touser"], asked)

    def _send_on_event(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        code = self.codes.get(asked["code"])
        if wrong := self._wrong_shape(asked):
            return wrong
        if asked["msgid"] in self._msgids:
            return self._seen(asked)
        if code is None or code.used or time.time() > code.until:
            return {"errcode": 95019, "errmsg": "invalid code"}
        code.used = True
        return self._show(code.customer, asked, by_code=True)

    def _seen(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        if self.refuses_duplicates:
            return {"errcode": 95099, "errmsg": "duplicate msgid"}
        return {"msgid": asked["msgid"]}

    def _wrong_shape(self, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        if not _MSGID.fullmatch(asked.get("msgid", "x")):
            return {"errcode": 40058, "errmsg": "invalid msgid"}
        if asked["msgtype"] == "text":
            content = asked["text"]["content"]
            return None if 0 < len(content.encode()) <= 2048 else {"errcode": 45002, "errmsg": "content size"}
        menu = asked["msgmenu"]
        fits = (
            len(menu["head_content"].encode()) <= 1024
            and len(menu.get("tail_content", "").encode()) <= 1024
            and 0 < len(menu["list"]) <= 10
            and all(
                item["type"] == "click"
                and 0 < len(item["click"]["id"].encode()) <= 64
                and 0 < len(item["click"]["content"].encode()) <= 128
                for item in menu["list"]
            )
        )
        return None if fits else {"errcode": 40058, "errmsg": "menu"}

    def _show(self, customer: str, asked: Mapping[str, Any], *, by_code: bool = False) -> dict[str, Any]:
        self._msgids.add(asked["msgid"])
        if asked["msgtype"] == "text":
            shown = Shown(asked["text"]["content"], by_code=by_code)
        else:
            menu = asked["msgmenu"]
            options = [(item["click"]["id"], item["click"]["content"]) for item in menu["list"]]
            shown = Shown(menu["head_content"], options, by_code)
        self.shown[customer].append(shown)
        return {"msgid": asked["msgid"]}


class _Server(uvicorn.Server):
    """Leaves the signals to the test run."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Serve an ASGI application on a free port of loopback; yields its address, and tells a platform its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=1)
    server = _Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if isinstance(app, WeComPlatform):
            app.url = url
        yield url
    finally:
        server.should_exit = True
        await asyncio.to_thread(thread.join, 5)
        listener.close()
