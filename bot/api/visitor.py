"""Who a visitor of the web chat is: a random id that we have signed, in a cookie, or in a header where there is none.

In a frame on another site most browsers keep no plain cookie of ours: the page in the frame keeps the signed id itself
and shows it in a header. Where it may not keep anything either, the header says `kept`, and the id is in a cookie that
belongs to our frame on that one site. No other site can send such a header, so neither way lets it speak for a visitor.
"""

from __future__ import annotations

import hmac
import re
import uuid
from datetime import timedelta

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from bot import privacy
from bot.api import crowd
from bot.api.crowd import Proof
from bot.console.pages import hotline_of
from bot.errors import HotlineError

COOKIE, FRAME_COOKIE = "hotline_chat", "hotline_chat_frame"
HEADER, KEPT = "x-hotline-session", "kept"
LASTS = timedelta(days=30)


class SignedOut(HotlineError):
    status = 401


def known(request: Request) -> str | None:
    """The session that the header or the cookie proves; None when there is none, or one that we did not sign."""
    shown = request.headers.get(HEADER)
    if shown is None or shown == KEPT:
        shown = request.cookies.get(FRAME_COOKIE if shown else COOKIE, "")
    key, _, signature = shown.partition(".")
    if not re.fullmatch(r"[0-9a-f]{32}", key):
        return None
    return key if hmac.compare_digest(signature.encode("utf-8", "replace"), _signature(key).encode()) else None


def required(request: Request) -> str:
    """As `known`. Raises `SignedOut`."""
    if (who := known(request)) is None:
        raise SignedOut("页面放得太久了，请刷新后再说")
    return who


async def newcomer(request: Request, proof: Proof | None = None) -> str:
    """A new session. Raises what `crowd.admit` raises."""
    await crowd.admit(request, proof)
    return uuid.uuid4().hex


def remember(request: Request, response: Response, key: str) -> None:
    """Give the browser its cookie, or thirty more days of it."""
    response.set_cookie(
        COOKIE,
        token_of(key),
        max_age=int(LASTS.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=hotline_of(request).settings.cookie_secure,
    )


def admitted(request: Request, who: str) -> Response:
    """The session is theirs from now on, in the way that their page keeps it."""
    shown = request.headers.get(HEADER)
    if shown is not None and shown != KEPT:
        return JSONResponse({"ok": True, "token": token_of(who)})
    response = JSONResponse({"ok": True})
    if shown is None:
        remember(request, response, who)
    else:
        # Written by hand: the library knows `Partitioned` only from Python 3.14 on.
        lasts = int(LASTS.total_seconds())
        cookie = (
            f"{FRAME_COOKIE}={token_of(who)}; Max-Age={lasts}; Path=/; HttpOnly; Secure; SameSite=None; Partitioned"
        )
        response.headers.append("set-cookie", cookie)
    return response


def token_of(key: str) -> str:
    return f"{key}.{_signature(key)}"


def _signature(key: str) -> str:
    return privacy.fingerprint("chat-session", key)
