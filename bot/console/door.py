"""Log in, log out."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from bot import staff, ticket_link
from bot.console.access import COOKIE, Signed, seat_of
from bot.console.pages import LOGIN, ConsoleRoute, go, hotline_of, render
from bot.errors import HotlineError

router = APIRouter(route_class=ConsoleRoute)
# Nobody has a session before the log-in, so its form is tied to the browser by a cookie of its own.
_DOOR = "hotline_door"


@router.get("/login")
async def show(request: Request, ticket: str = "", k: str = "") -> Response:
    if await seat_of(request):
        return go(_wanted(request, ticket, k))
    return _page(request, ticket=ticket, mark=k)


@router.post("/login")
async def enter(
    request: Request,
    login: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
    ticket: Annotated[str, Form()] = "",
    k: Annotated[str, Form()] = "",
) -> Response:
    hotline = hotline_of(request)
    expected = request.cookies.get(_DOOR, "")
    if not expected or not staff.same(csrf, expected):
        return _page(request, 403, "这一页放得太久了，请再登录一次（浏览器要允许 cookie）", login, ticket, k)
    address = request.client.host if request.client else ""
    try:
        token = await staff.log_in(
            hotline.db, hotline.settings, login=login, password=password, address=address, now=hotline.clock()
        )
    except HotlineError as error:
        return _page(request, error.status, str(error), login, ticket, k)
    response = go(_wanted(request, ticket, k))
    _keep(request, response, COOKIE, token)
    response.delete_cookie(_DOOR, path="/console")
    return response


@router.post("/logout")
async def leave(request: Request, _seat: Signed) -> Response:
    async with hotline_of(request).db.transaction() as session:
        await staff.log_out(session, request.cookies[COOKIE])
    response = go(LOGIN)
    response.delete_cookie(COOKIE, path="/console")
    return response


def _wanted(request: Request, ticket: str, mark: str) -> str:
    """The ticket whose signed link somebody followed, else the queue: nobody is sent on to a place we did not name."""
    good = ticket_link.is_good(ticket, mark, hotline_of(request).clock())
    return f"/console/tickets/{ticket}" if good else "/console"


def _page(
    request: Request, status: int = 200, alert: str = "", login: str = "", ticket: str = "", mark: str = ""
) -> Response:
    token = request.cookies.get(_DOOR) or secrets.token_urlsafe(24)
    response = render(
        request, "login.html", status, alert=alert, login=login, csrf=token, ticket=ticket[:40], mark=mark[:60]
    )
    _keep(request, response, _DOOR, token)
    return response


def _keep(request: Request, response: Response, name: str, token: str) -> None:
    settings = hotline_of(request).settings
    response.set_cookie(
        name,
        token,
        max_age=int(settings.session_lasts.total_seconds()),
        path="/console",
        secure=settings.cookie_secure,
        httponly=True,
        samesite="lax",
    )
