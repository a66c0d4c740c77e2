"""The platform's side of the bench: messages sealed before the clock starts, many connections, and what came back."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from bot.dialogue import wording
from connectors.base import Refused
from connectors.tencent import MessageCrypt, read_xml, text_of

# What a talk is made of, by every twenty messages: questions, what follows on a question, a call for a person.
_FOLLOW_UPS = {7: "要带什么材料", 14: "要多久"}
_PERSON = 19
_TALK = 3


@dataclass(frozen=True, slots=True)
class Account:
    token: str
    app_id: str
    key: str

    def crypt(self) -> MessageCrypt:
        return MessageCrypt(self.token, self.app_id, [self.key])


@dataclass(frozen=True, slots=True)
class Level:
    """What one run measured. Times are milliseconds; `kinds` counts replies, acknowledgements, apologies, faults."""

    at_once: int
    messages: int
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    kinds: dict[str, int]


def read_questions(paths: Sequence[Path]) -> list[str]:
    """One question a line: JSON rows with `text`, or plain text."""
    lines = [line.strip() for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    return [str(json.loads(line)["text"]) if line.startswith("{") else line for line in lines if line]


def seal(account: Account, questions: Iterator[str], count: int, port: int) -> list[bytes]:
    """`count` whole HTTP requests; each worker writes three messages, far apart, and nobody has written before."""
    crypt, stamp, talkers = account.crypt(), int(time.time()), max(1, math.ceil(count / _TALK))
    group = secrets.token_hex(4)
    return [_request(crypt, said(questions, n), f"oBench{group}{n % talkers}", stamp, port) for n in range(count)]


def said(questions: Iterator[str], place: int) -> str:
    """What stands at this place of a talk: a question, what follows on one, or the call for a person."""
    if place % 20 == _PERSON:
        return "人工"
    return _FOLLOW_UPS.get(place % 20) or next(questions)


def _request(crypt: MessageCrypt, text: str, openid: str, stamp: int, port: int) -> bytes:
    message = (
        f"<xml><ToUserName>gh_bench</ToUserName><FromUserName>{openid}</FromUserName><CreateTime>{stamp}</CreateTime>"
        f"<MsgType>text</MsgType><Content><![CDATA[{text.replace(']]>', '')}]]></Content>"
        f"<MsgId>{secrets.randbits(60)}</MsgId></xml>"
    )
    return sealed(crypt, "/webhooks/wechat", message, stamp, port)


def sealed(crypt: MessageCrypt, path: str, message: str, stamp: int, port: int) -> bytes:
    """One whole HTTP request with an encrypted and signed body, as Tencent's platforms send it."""
    nonce = secrets.token_hex(5)
    body = crypt.seal(message, 0, stamp, nonce).encode()
    signature = text_of(read_xml(body), "MsgSignature")
    query = urlencode({"timestamp": stamp, "nonce": nonce, "encrypt_type": "aes", "msg_signature": signature})
    return _whole(f"{path}?{query}", body, port, {"Content-Type": "text/xml"})


def post(path: str, sheet: object, port: int, headers: Mapping[str, str] | None = None) -> bytes:
    """One whole HTTP request with a JSON body."""
    body = json.dumps(sheet, ensure_ascii=False).encode()
    return _whole(path, body, port, {"Content-Type": "application/json", **(headers or {})})


def _whole(path: str, body: bytes, port: int, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def drive(account: Account, port: int, requests: Sequence[bytes], at_once: int) -> Level:
    """Send all sealed messages, `at_once` of them under way at any time."""
    crypt = account.crypt()
    return await send(port, requests, at_once, lambda status, body: kind(crypt, status, body))


async def send(port: int, requests: Sequence[bytes], at_once: int, read: Callable[[int, bytes], str]) -> Level:
    """Send all requests, each connection kept open; `read` says afterwards what an answer was."""
    doors = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(at_once)))
    waiting = iter(requests)
    taken: list[tuple[float, int, bytes]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for request in waiting:
            begun = time.perf_counter()
            writer.write(request)
            status, body = await _answer(reader)
            taken.append((time.perf_counter() - begun, status, body))

    begun = time.perf_counter()
    await asyncio.gather(*(talk(*door) for door in doors))
    whole = time.perf_counter() - begun
    for _, writer in doors:
        writer.close()
    times = sorted(seconds for seconds, _, _ in taken)
    return Level(
        at_once,
        len(taken),
        round(len(taken) / whole, 1),
        _rank(times, 0.50),
        _rank(times, 0.95),
        _rank(times, 0.99),
        dict(Counter(read(status, body) for _, status, body in taken)),
    )


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    return int(head.split(maxsplit=2)[1]), await reader.readexactly(length)


def kind(crypt: MessageCrypt, status: int, body: bytes) -> str:
    """What a response of a webhook was: a reply, an acknowledgement, an apology, a fault."""
    if status != 200:
        return "fault"
    if body in (b"", b"success"):
        return "acknowledged"
    try:
        outer = read_xml(body)
        sealed = (text_of(outer, name) for name in ("Encrypt", "MsgSignature", "TimeStamp", "Nonce"))
        said = text_of(read_xml(crypt.open(*sealed).message), "Content")
    except Refused:
        return "fault"
    return "apology" if said == wording.TROUBLE else "reply"


def _rank(times: Sequence[float], share: float) -> float:
    """The nearest-rank percentile in milliseconds."""
    return round(times[max(0, math.ceil(len(times) * share) - 1)] * 1000, 1)


def endless(questions: Sequence[str]) -> Iterator[str]:
    """The questions over and over, each round opened in another way: not what the engine remembers is measured."""
    for opening in itertools.cycle(("", "你好，", "请问", "麻烦问一下，", "在吗，", "您好 ", "师傅你好，", "想问问")):
        yield from (f"{opening}{question}" for question in questions)
