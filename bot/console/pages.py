"""What all pages have in common: templates, the way times are shown, and the headers that keep strangers' code out."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jinja2
from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute

from bot import ticket_link
from bot.dialogue import wording
from bot.duty import BEIJING
from bot.errors import HotlineError
from bot.hotline import Hotline

STATIC = Path(__file__).parent / "static"
BODY_CAP = 64 * 1024
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
)
_ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store"}
CONSOLE_HEADERS = {**_ALWAYS, "Content-Security-Policy": _POLICY.format(ancestors="'none'"), "X-Frame-Options": "DENY"}
_CHAT_POLICY = _POLICY.replace("img-src 'self' data:", "img-src 'self' data: blob:")

CHANNELS = wording.CHANNELS
PRIORITIES = {"crisis": "危急", "urgent": "紧急", "priority": "优先", "routine": "一般"}

KNOWN = {
    "money": "金额",
    "date": "日期",
    "employer": "单位",
    "place": "地点",
    "phone": "电话",
    "headcount": "人数",
    "months": "月数",
}
LOGIN = "/console/login"


class SignedOut(HotlineError):
    """Nobody is behind this request: `ConsoleRoute` sends them to the log-in page."""

    status = 401


class ConsoleRoute(APIRoute):
    """Every answer of the console carries the same headers; a body larger than any form is refused unread."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            if too_large(request):
                return error_page(request, 413, "内容太长了，请分几次写")
            try:
                response = await handle(request)
            except SignedOut:
                response = go(LOGIN + ticket_link.carried(request.url.path, request.query_params.get("k", "")))
                if request.headers.get("hx-request"):
                    response = Response(status_code=401, headers={"HX-Redirect": LOGIN})
            response.headers.update(CONSOLE_HEADERS)
            return response

        return guarded


def chat_headers(ancestors: Sequence[str] = ()) -> dict[str, str]:
    """Those of the worker's page; `ancestors` are the sites that may show it in a frame, beside our own."""
    return {**_ALWAYS, "Content-Security-Policy": _CHAT_POLICY.format(ancestors=" ".join(["'self'", *ancestors]))}


def too_large(request: Request) -> bool:
    """By what the request says of itself; one that will not say how long its body is counts as too large."""
    if request.method in {"GET", "HEAD"}:
        return False
    length = request.headers.get("content-length", "")
    return not length.isdecimal() or int(length) > BODY_CAP


def hotline_of(request: Request) -> Hotline:
    hotline: Hotline = request.app.state.hotline
    return hotline


def render(request: Request, template: str, code: int = 200, **context: object) -> HTMLResponse:
    """A page or a fragment (`_name.html`). `now` is always there."""
    context.setdefault("now", hotline_of(request).clock())
    return HTMLResponse(environment.get_template(template).render(**context), status_code=code)


def error_page(request: Request, status: int, message: str) -> Response:
    """What an outsider sees of an error: plain words, a way back, no trace."""
    response = render(request, "error.html", status, status=status, message=message)
    response.headers.update(CONSOLE_HEADERS)
    return response


def go(where: str) -> Response:
    """After a POST: a reload must not send it again."""
    return RedirectResponse(where, status_code=303)


def unchanged(request: Request, template: str, **context: object) -> Response:
    """A fragment, or 204 (which htmx leaves alone) when the page shows it already.

    The fragment carries the hash of itself in its own address as `seen`; nothing is drawn anew while somebody is
    selecting text in it.
    """
    context.setdefault("now", hotline_of(request).clock())
    stamp = stamp_of(template, **context)
    if request.query_params.get("seen") == stamp:
        return Response(status_code=204)
    return HTMLResponse(environment.get_template(template).render(stamp=stamp, **context))


def stamp_of(template: str, **context: object) -> str:
    """The hash of a fragment as it would be shown."""
    shown = environment.get_template(template).render(stamp="", **context)
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


def when(moment: datetime, now: datetime) -> str:
    """`14:30`, `昨天 14:30`, `明天 09:00`, `11月20日 14:30` or, of another year, `2025年11月20日 14:30`."""
    there, here = moment.astimezone(BEIJING), now.astimezone(BEIJING)
    days = (there.date() - here.date()).days
    if days in {-1, 0, 1}:
        return f"{('昨天 ', '', '明天 ')[days + 1]}{there:%H:%M}"
    year = "" if there.year == here.year else f"{there.year}年"
    return f"{year}{there.month}月{there.day}日 {there:%H:%M}"


def lasting(span: timedelta) -> str:
    """`不到1分钟`, `12分钟`, `3小时5分钟`, `2天4小时`; without its sign."""
    minutes = int(abs(span).total_seconds() // 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days}天{hours}小时" if hours else f"{days}天"
    if hours:
        return f"{hours}小时{minutes}分钟" if minutes else f"{hours}小时"
    return f"{minutes}分钟" if minutes else "不到1分钟"


@functools.cache
def asset(name: str) -> str:
    """The address of a static file, with its hash, so that no browser shows last month's script."""
    file = STATIC / name
    mark = hashlib.sha256(file.read_bytes()).hexdigest()[:10] if file.is_file() else "missing"
    return f"/static/{name}?v={mark}"


environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
environment.globals.update(asset=asset, channels=CHANNELS, priorities=PRIORITIES, known=KNOWN)
environment.filters.update(when=when, lasting=lasting)
