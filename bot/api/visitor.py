"""Who a visitor of the web chat is: a random id in a signed cookie, and no more sessions than people."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import re
import uuid
from datetime import timedelta

from fastapi import Request, Response

from bot import privacy
from bot.console.pages import hotline_of
from bot.errors import HotlineError, Unavailable

COOKIE = "hotline_chat"
LASTS = timedelta(days=30)
# A whole building site may come from one address; a script that makes sessions without end is stopped all the same.
_NEW_SESSIONS = 300
_WINDOW = timedelta(minutes=10)
_counting = asyncio.Lock()


class SignedOut(HotlineError):
    status = 401


class TooMany(HotlineError):
    status = 429


def known(request: Request) -> str | None:
    """The session that the cookie proves; None when there is none, or one that we did not sign."""
    key, _, signature = request.cookies.get(COOKIE, "").partition(".")
    if not re.fullmatch(r"[0-9a-f]{32}", key):
        return None
    return key if hmac.compare_digest(signature.encode("utf-8", "replace"), _signature(key).encode()) else None


def required(request: Request) -> str:
    """As `known`. Raises `SignedOut`."""
    if (who := known(request)) is None:
        raise SignedOut("页面放得太久了，请刷新后再说")
    return who


async def newcomer(request: Request) -> str:
    """A new session. Raises `TooMany`; without Redis nobody is counted and nobody is turned away."""
    hotline = hotline_of(request)
    address = request.client.host if request.client else ""
    slot = int(hotline.clock().timestamp() // _WINDOW.total_seconds())
    key = f"chat-sessions:{privacy.fingerprint('chat-address', address)}:{slot}"
    with contextlib.suppress(Unavailable):
        async with _counting:
            count = int(await hotline.bell.get(key) or 0)
            if count >= _NEW_SESSIONS:
                raise TooMany("这个网络上打开页面的人太多了，请过几分钟再试。急事请打 12351，有危险打 110 或 120")
            await hotline.bell.set(key, str(count + 1), ttl=_WINDOW)
    return uuid.uuid4().hex


def remember(request: Request, response: Response, key: str) -> None:
    """Give the browser its cookie, or thirty more days of it."""
    response.set_cookie(
        COOKIE,
        f"{key}.{_signature(key)}",
        max_age=int(LASTS.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=hotline_of(request).settings.cookie_secure,
    )


def _signature(key: str) -> str:
    return privacy.fingerprint("chat-session", key)
