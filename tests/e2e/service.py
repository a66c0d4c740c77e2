"""The real server as a process, to be started, killed and started again, and a colleague at its console."""

from __future__ import annotations

import asyncio
import contextlib
import html
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from bot.db import Database
from tests.wechat_client import WeChatClient

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL = ROOT / "var" / "model"
HOTLINE = Path(sys.executable).parent / "hotline"
TOKEN, APP_ID, APP_SECRET = "callback-of-the-union", "wx2c2769f8efd9abc2", "7d1f0c9b5e"
KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
# A machine that runs other things at the same time is slow, not broken.
_PATIENCE = 60.0


def find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Server:
    """`hotline run` on a data folder and a port of its own; `more` are settings beside those of the WeChat account."""

    folder: Path
    api_url: str
    more: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=find_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def printed(self) -> str:
        """What this and all earlier starts wrote for the person at the terminal."""
        return self._log("out").read_text()

    @property
    def logged(self) -> str:
        return self._log("err").read_text()

    @property
    def database_url(self) -> str:
        given = self.more.get("HOTLINE_DATABASE_URL", f"sqlite:///{self.folder}/data/hotline.db")
        return given.replace("postgresql:", "postgresql+asyncpg:").replace("sqlite:", "sqlite+aiosqlite:")

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.txt"

    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HOTLINE_")}
        return {
            **clean,
            "HOTLINE_DATA_DIR": str(self.folder / "data"),
            "HOTLINE_WECHAT_TOKEN": TOKEN,
            "HOTLINE_WECHAT_APP_ID": APP_ID,
            "HOTLINE_WECHAT_APP_SECRET": APP_SECRET,
            "HOTLINE_WECHAT_AES_KEY": KEY,
            "HOTLINE_WECHAT_API_URL": self.api_url,
            **self.more,
        }

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the process and do not wait for it. Its working folder is empty, so that no `.env` has a say."""
        model = self.folder / "data" / "model"
        if not model.exists():
            model.parent.mkdir(parents=True, exist_ok=True)
            model.symlink_to(MODEL)
        with self._log("out").open("ab") as out, self._log("err").open("ab") as err:
            self._process = subprocess.Popen(
                [HOTLINE, "run", "--port", str(self.port)],
                cwd=self.folder,
                env=self.environment(),
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        return self._process

    def start(self) -> float:
        """Start and wait until it is ready; how many seconds that took."""
        begun = time.perf_counter()
        process = self.spawn()
        while time.perf_counter() - begun < _PATIENCE:
            if process.poll() is not None:
                raise AssertionError(f"ended with {process.returncode}: {self.printed[-500:]}{self.logged[-3000:]}")
            if self.readiness()[0] == 200:
                return time.perf_counter() - begun
            time.sleep(0.1)
        raise AssertionError(f"not ready: {self.readiness()} {self.logged[-3000:]}")

    def readiness(self) -> tuple[int, dict[str, Any]]:
        """Status and body of /readyz; status 0 while nothing listens."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                pass
            answer = httpx.get(f"{self.url}/readyz", timeout=8, trust_env=False)
        except (OSError, httpx.HTTPError):
            return 0, {}
        return answer.status_code, json.loads(answer.content)

    def kill(self) -> None:
        """The server alone, at once: what it started stays behind, as after a real kill -9."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def stop(self, number: signal.Signals = signal.SIGINT) -> float:
        """How many seconds it took. Ctrl-C goes to the whole group, as from a terminal; others to the server."""
        assert self._process
        begun = time.perf_counter()
        if number is signal.SIGINT:
            os.killpg(self._process.pid, number)
        else:
            self._process.send_signal(number)
        self._process.wait(timeout=30)
        return time.perf_counter() - begun

    def valkeys(self) -> list[int]:
        """The process ids of the servers that run on this data folder."""
        here = self.folder.resolve() / "data" / "valkey"
        return [pid for pid, command in _processes() if "valkey-server" in command and _folder_of(pid) == here]

    def end(self) -> None:
        """Leave nothing running, whatever the test has done."""
        self.kill()
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        for pid in self.valkeys():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """What the database says, past the service."""
        database = Database(self.database_url)
        try:
            async with database.reading() as session:
                return [dict(row) for row in (await session.execute(text(query), values)).mappings()]
        finally:
            await database.close()

    async def write(self, statement: str) -> None:
        """Change what the database says, past the service."""
        database = Database(self.database_url)
        try:
            async with database.transaction() as session:
                await session.execute(text(statement))
        finally:
            await database.close()

    async def messages(self, openid: str) -> list[dict[str, Any]]:
        """The worker's thread: direction, kind, status, external_id, reply_to, id; in order."""
        return await self.rows(
            "SELECT m.direction, m.kind, m.status, m.external_id, m.reply_to, m.id FROM message m WHERE"
            " m.conversation_id IN (SELECT conversation_id FROM message WHERE external_id LIKE :mine) ORDER BY m.id",
            mine=f"{openid}:%",
        )

    async def tickets(self, openid: str) -> list[dict[str, Any]]:
        return await self.rows(
            "SELECT number, status FROM ticket WHERE conversation_id IN"
            " (SELECT conversation_id FROM message WHERE external_id LIKE :mine)",
            mine=f"{openid}:%",
        )


def _folder_of(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None


def _processes() -> Iterator[tuple[int, str]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                yield (
                    int(folder.name),
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"),
                )


class Desk:
    """A colleague at the console, over HTTP, as a browser would: forms as they stand on the page."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._http = httpx.AsyncClient(base_url=server.url, follow_redirects=True, timeout=20, trust_env=False)

    async def __aenter__(self) -> Desk:
        found = re.findall(r"账号 (\S+)\s+密码 (\S+?)（", self._server.printed)
        login, password = found[-1]
        page = await self.post("/console/login", "/console/login", login=login, password=password)
        assert "登录" not in page.split("<title>")[1].split("</title>")[0]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def get(self, path: str) -> str:
        answer = await self._http.get(path)
        assert answer.status_code == 200, answer.text[:300]
        return answer.text

    async def post(self, page: str, action: str, **fields: str) -> str:
        """Fill in and send the form on `page` whose action is `action`."""
        shown = await self.get(page)
        form = re.search(rf'<form[^>]*action="{re.escape(action)}".*?</form>', shown, re.DOTALL)
        assert form, f"no form for {action} on {page}"
        csrf = re.search(r'name="csrf" value="([^"]+)"', form[0])
        assert csrf
        answer = await self._http.post(action, data={"csrf": html.unescape(csrf[1]), **fields})
        assert answer.status_code == 200, answer.text[:500]
        return answer.text

    async def on_ticket(self, number: str, step: str, **fields: str) -> str:
        """claim, reply, note or close."""
        return await self.post(f"/console/tickets/{number}", f"/console/tickets/{number}/{step}", **fields)


async def until(holds: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Ask again until it is true; gives back what it said. Takes functions that answer at once or are awaited."""
    deadline = time.monotonic() + seconds
    while True:
        found = holds()
        if isinstance(found, Awaitable):
            found = await found
        if found or time.monotonic() > deadline:
            assert found, f"not within {seconds} s: {holds}"
            return found
        await asyncio.sleep(0.1)


def wechat_at(server: Server, http: httpx.AsyncClient) -> WeChatClient:
    """The platform's callbacks, in safe mode."""
    return WeChatClient(server.url, TOKEN, APP_ID, KEY, http=http)
