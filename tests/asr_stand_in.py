"""A speech recognition service for tests: a real socket that says what a test wants, or fails as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP


@dataclass(frozen=True, slots=True)
class Asked:
    """`voice` and `file_name` are those of the part `file`; `fields` are the others."""

    path: str
    authorization: str
    fields: dict[str, str]
    voice: bytes
    file_name: str


def http(status: int, body: bytes, kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def said(text: object, status: int = 200) -> bytes:
    return http(status, json.dumps({"text": text}).encode())


Answer = Callable[[], Awaitable[bytes | None]]
"""The whole HTTP answer; None hangs up without one."""


@dataclass
class StandIn:
    """`answers` are given in turn, the last one for ever; `asked` is everything that came in."""

    answers: list[bytes | Answer | None] = field(default_factory=lambda: [said("老板三个月没给我发工资了。")])
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            self.asked.append(await _read(reader))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            whole = await answer() if callable(answer) else answer
            if whole is not None:
                writer.write(whole)
                await writer.drain()
        writer.close()


async def never() -> bytes | None:
    """An answer that does not come."""
    await asyncio.Event().wait()
    return None


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = await reader.readuntil(b"\r\n\r\n")
    line, _, rest = head.partition(b"\r\n")
    headers = BytesParser(policy=HTTP).parsebytes(rest, headersonly=True)
    body = await reader.readexactly(int(headers["content-length"]))
    form: Message = BytesParser(policy=HTTP).parsebytes(
        f"content-type: {headers['content-type']}\r\n\r\n".encode() + body
    )
    fields, voice, name = {}, b"", ""
    for part in form.get_payload():
        assert isinstance(part, Message)
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        if part.get_filename():
            voice, name = content, part.get_filename() or ""
        else:
            fields[str(part.get_param("name", header="content-disposition"))] = content.decode()
    return Asked(line.split()[1].decode(), str(headers["authorization"] or ""), fields, voice, name)


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[StandIn]:
    found, at_work = StandIn(), set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        at_work.add(task)
        try:
            await found.serve(reader, writer)
        finally:
            at_work.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield found
    finally:
        server.close()
        left = [task for task in at_work if task is not None]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
