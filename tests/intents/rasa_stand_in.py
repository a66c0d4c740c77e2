"""A Rasa service for tests: a real socket that answers as recorded, or fails in the way a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "between-the-two"
DATA = "0123456789ab"


def parsed(*ranking: tuple[str, float], **more: Any) -> dict[str, Any]:
    """An answer of `POST /model/parse` in Rasa's own shape."""
    entries = [{"name": name, "confidence": confidence} for name, confidence in ranking]
    return {
        "text": "…",
        "intent": entries[0] if entries else {"name": None, "confidence": 0.0},
        "entities": [],
        "text_tokens": [],
        "intent_ranking": entries,
        "scope": 0.98,
        "danger": "accident",
        "alarm": 0.01,
        "data_hash": DATA,
    } | more


WELL = parsed(("legal.wage_arrears", 0.91), ("meta.greeting", 0.05))


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    token: str
    sheet: dict[str, Any]
    connection: int


Answer = Callable[[Asked], Awaitable[bytes | None]]
"""The whole HTTP answer; None hangs up without one."""


def http(status: int, body: bytes, kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def said(sheet: object, status: int = 200) -> bytes:
    return http(status, json.dumps(sheet).encode())


@dataclass
class StandIn:
    """`sheet`, `model_file` and `parse` may be changed while it runs; `asked` is everything that came in."""

    sheet: dict[str, Any] = field(default_factory=lambda: WELL)
    model_file: str = f"hotline-{DATA}.tar.gz"
    parse: Answer | None = None
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    under_way: int = 0
    most_under_way: int = 0
    port: int = 0
    _server: asyncio.Server | None = None
    _at_work: set[asyncio.Task[Any]] = field(default_factory=set)
    _doors: dict[int, asyncio.StreamWriter] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def texts(self) -> list[str]:
        return [one.sheet["text"] for one in self.asked if one.path == "/model/parse"]

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        """Gone at once, with whatever was under way; `start` comes back on the same port."""
        if self._server is not None:
            self._server.close()
            self.hang_up()
            # A fault may kill it from within an answer.
            at_work = [task for task in self._at_work if task is not asyncio.current_task()]
            for task in at_work:
                task.cancel()
            await asyncio.gather(*at_work, return_exceptions=True)
            self._server = None

    def hang_up(self) -> None:
        """Close every connection, as a server does with those that were idle for too long."""
        for writer in self._doors.values():
            writer.transport.abort()

    async def trickle(self, asked: Asked, answer: bytes, every: float) -> None:
        """Send an answer byte by byte."""
        writer = self._doors[asked.connection]
        for at in range(len(answer)):
            writer.write(answer[at : at + 1])
            await writer.drain()
            await asyncio.sleep(every)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._doors[number] = writer
        here = asyncio.current_task()
        assert here is not None
        self._at_work.add(here)
        try:
            while (asked := await _read(reader, number)) is not None:
                self.asked.append(asked)
                self.under_way += 1
                self.most_under_way = max(self.most_under_way, self.under_way)
                try:
                    answer = await self._answer(asked)
                finally:
                    self.under_way -= 1
                if answer is None:
                    return
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            del self._doors[number]
            self._at_work.discard(here)
            writer.close()

    async def _answer(self, asked: Asked) -> bytes | None:
        if asked.token != TOKEN:
            return said({"status": "failure", "reason": "NotAuthenticated", "code": 401}, 401)
        if asked.path == "/status":
            return said({"model_file": self.model_file, "model_id": "x", "num_active_training_jobs": 0})
        return await self.parse(asked) if self.parse else said(self.sheet)


async def _read(reader: asyncio.StreamReader, number: int) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    line, *fields = head.split("\r\n")
    method, target, _ = line.split()
    named = {name.lower(): value for name, _, value in (one.partition(":") for one in fields)}
    body = await reader.readexactly(int(named.get("content-length", 0)))
    parts = urlsplit(target)
    token = parse_qs(parts.query).get("token", [""])[0]
    return Asked(method, parts.path, token, json.loads(body) if body else {}, number)


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[StandIn]:
    found = StandIn()
    await found.start()
    try:
        yield found
    finally:
        await found.kill()
