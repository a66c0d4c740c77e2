"""How many come to the web chat, and what they come up against when they are too many to be people."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import ipaddress
import secrets
from datetime import datetime, timedelta

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from bot import privacy
from bot.console.pages import hotline_of
from bot.errors import HotlineError, Unavailable
from bot.hotline import Hotline

_MINUTE, _TEN_MINUTES = timedelta(minutes=1), timedelta(minutes=10)
# A puzzle costs a cheap phone about a second; each doubling of the crowd doubles it, up to what a person still bears.
_EASY, _HARD = 15, 18
_PUZZLE_LASTS = timedelta(minutes=5)
# So many messages a minute nobody types, even with all that waited for a connection.
_SESSION_MESSAGES = 60


class TooMany(HotlineError):
    status = 429


class Puzzle(BaseModel):
    """Find a `nonce` so that SHA-256 of `seed:nonce` begins with `bits` zero bits."""

    seed: str
    bits: int


class Proof(BaseModel):
    """The solution of a puzzle."""

    model_config = ConfigDict(extra="forbid", strict=True)

    seed: str = Field(max_length=100)
    nonce: str = Field(pattern=r"^[0-9]{1,12}$")


class Crowded(HotlineError):
    """So many new visitors that each has to show a little work first."""

    status = 428

    def __init__(self, puzzle: Puzzle) -> None:
        super().__init__("现在打开的人太多，请稍等几秒")
        self.puzzle = puzzle


async def admit(request: Request, proof: Proof | None) -> None:
    """Let a new visitor in. Raises `Crowded` when work has to be shown first, `TooMany` when even that is not enough.

    Quiet times ask nothing of anybody. Without Redis nobody is counted and nobody is turned away.
    """
    hotline = hotline_of(request)
    address, now = _address(request), hotline.clock()
    with contextlib.suppress(Unavailable):
        pressure = await _pressure(hotline, address, now)
        if pressure >= 1 and not await _shown(hotline, proof, now):
            raise Crowded(_puzzle(pressure, now))
        made = await _count(hotline, "made", address, _TEN_MINUTES, now)
        if made > 10 * hotline.settings.chat_network_rate:
            raise TooMany("这个网络上打开页面的人太多了，请过几分钟再试。急事请打 12351，有危险打 110 或 120")


async def weigh_message(request: Request, who: str) -> None:
    """Raises `TooMany` when this visitor, or all who share the address, send more than people can."""
    hotline = hotline_of(request)
    with contextlib.suppress(Unavailable):
        now = hotline.clock()
        if await _count(hotline, "said", who, _MINUTE, now) > _SESSION_MESSAGES:
            raise TooMany("发得太快了，请过一分钟再发。急事请打 12351，有危险打 110 或 120")
        if await _count(hotline, "said-from", _address(request), _MINUTE, now) > hotline.settings.chat_message_rate:
            raise TooMany("这个网络上发的消息太多了，请过一分钟再发。急事请打 12351，有危险打 110 或 120")


async def _pressure(hotline: Hotline, address: str, now: datetime) -> float:
    """New visitors of this minute or the last one against what is usual; 1 is the threshold."""
    network = await _new(hotline, "from", network_of(address), now)
    overall = await _new(hotline, "all", "", now)
    return max(network / hotline.settings.chat_network_rate, overall / hotline.settings.chat_overall_rate)


async def _new(hotline: Hotline, name: str, what: str, now: datetime) -> int:
    """How many came before this one, in this minute or in the last, whichever saw more."""
    last = await hotline.bell.get(_key(name, what, _MINUTE, now - _MINUTE))
    return max(int(last or 0), await _count(hotline, name, what, _MINUTE, now) - 1)


async def _count(hotline: Hotline, name: str, what: str, span: timedelta, now: datetime) -> int:
    return await hotline.bell.count(_key(name, what, span, now), ttl=2 * span)


def _key(name: str, what: str, span: timedelta, now: datetime) -> str:
    return f"crowd:{name}:{privacy.fingerprint('crowd', what)}:{int(now.timestamp() // span.total_seconds())}"


def network_of(address: str) -> str:
    """The neighbourhood of an address: /24, or /48 of IPv6; what is no address stands for itself."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network(f"{ip}/{24 if ip.version == 4 else 48}", strict=False))


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _puzzle(pressure: float, now: datetime) -> Puzzle:
    bits = min(_HARD, _EASY + int(pressure).bit_length() - 1)
    told = f"{int(now.timestamp()):x}.{bits}.{secrets.token_hex(6)}"
    return Puzzle(seed=f"{told}.{_signature(told)}", bits=bits)


async def _shown(hotline: Hotline, proof: Proof | None, now: datetime) -> bool:
    """Whether this is a puzzle of ours, still fresh, solved, and not shown before."""
    if proof is None:
        return False
    told, _, signature = proof.seed.rpartition(".")
    if not hmac.compare_digest(signature.encode("utf-8", "replace"), _signature(told).encode()):
        return False
    made, bits, _ = told.split(".")
    if now - datetime.fromtimestamp(int(made, 16), now.tzinfo) > _PUZZLE_LASTS or not solves(proof, int(bits)):
        return False
    return await hotline.bell.acquire(f"crowd:shown:{told}", "1", ttl=_PUZZLE_LASTS)


def solves(proof: Proof, bits: int) -> bool:
    digest = hashlib.sha256(f"{proof.seed}:{proof.nonce}".encode("utf-8", "replace")).digest()
    return int.from_bytes(digest) >> (256 - bits) == 0


def _signature(told: str) -> str:
    return privacy.fingerprint("chat-puzzle", told)[:16]
