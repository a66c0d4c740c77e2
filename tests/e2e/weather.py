"""Bad weather between the service and a platform: one send in ten goes wrong, as networks and platforms do."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

Asgi = Callable[[Mapping[str, Any], Any, Any], Any]
_BETWEEN_EXPIRIES = 3.0


@dataclass(frozen=True, slots=True)
class Fault:
    """How a send goes wrong: it waits, then is refused with `body` and `status`, and with neither it goes through.

    Status 0 hangs up. `expires`: the access token stops working first. `lost`: it is done, and the answer gets lost.
    """

    name: str
    status: int | None = None
    body: Mapping[str, Any] | None = None
    seconds: float = 0.0
    expires: bool = False
    lost: bool = False


SLOW, DROPPED, BROKEN = Fault("slow", seconds=1.2), Fault("dropped", 0), Fault("broken", 502)
BUSY = Fault("busy", 200, {"errcode": -1, "errmsg": "system busy"})
TOO_FAST = Fault("too fast", 429, {"errcode": -1, "errmsg": "slow down"})
EXPIRED = Fault("expired", expires=True)
LOST = Fault("lost", 500, lost=True)
FLOOD = Fault(
    "flood",
    429,
    {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 1}},
)


class Weather:
    """Stands before a platform's stand-in. `sends` is how the path of a send ends, `to` its field with the worker.

    A worker's send that follows on one that went wrong goes through: pauses grow with the tries, and nothing would be
    seen by waiting for them. `seen` counts all sends as "fine" or by the fault they met.
    """

    def __init__(
        self, platform: Any, sends: str, to: str, faults: Sequence[Fault], chance: random.Random, share: float = 0.1
    ) -> None:
        self.seen: Counter[str] = Counter()
        self._platform = platform
        self._sends, self._to = sends, to
        self._faults = faults
        self._chance = chance
        self._share = share
        self._spared: set[str] = set()
        self._expired = 0.0

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].endswith(self._sends):
            await self._platform(scope, receive, send)
            return
        body = await _whole(receive)
        fault = self._draw(_worker(body, self._to))
        self.seen[fault.name if fault else "fine"] += 1
        if fault and fault.seconds:
            await asyncio.sleep(fault.seconds)
        if fault and fault.expires:
            self._platform.expire()
        if fault is None or fault.status is None:
            await self._platform(scope, _again(body), send)
            return
        if fault.lost:
            await self._platform(scope, _again(body), _nobody)
        await _answer(send, fault.status or 200, json.dumps(fault.body or {}).encode(), whole=bool(fault.status))

    def _draw(self, worker: str) -> Fault | None:
        if worker in self._spared:
            self._spared.discard(worker)
            return None
        if self._chance.random() >= self._share:
            return None
        fault = self._chance.choice(self._faults)
        if fault.expires:
            # A token that dies again while it is being renewed is another matter: that rings the alarm.
            if time.monotonic() - self._expired < _BETWEEN_EXPIRIES:
                return None
            self._expired = time.monotonic()
        self._spared.add(worker)
        return fault


async def _whole(receive: Any) -> bytes:
    body = b""
    while True:
        event = await receive()
        body += bytes(event.get("body", b""))
        if not event.get("more_body"):
            return body


def _worker(body: bytes, field: str) -> str:
    if body.startswith(b"{"):
        return str(json.loads(body)[field])
    return parse_qs(body.decode())[field][0]


def _again(body: bytes) -> Any:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _nobody(event: Mapping[str, Any]) -> None:
    """The platform's answer, to no one."""


async def _answer(send: Any, status: int, body: bytes, *, whole: bool) -> None:
    """Uvicorn hangs up on an application that announces more than it sends."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if whole:
        await send({"type": "http.response.body", "body": body})
