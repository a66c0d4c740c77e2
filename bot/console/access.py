"""Who may do what at the console: the session behind every page, the token behind every form."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Form, Request

from bot import staff
from bot.console.pages import SignedOut, hotline_of
from bot.errors import Forbidden
from bot.staff import Seat

COOKIE = "hotline_session"


async def seated(request: Request) -> Seat:
    """The colleague behind this request; everybody else is sent to the log-in page."""
    if seat := await seat_of(request):
        return seat
    raise SignedOut("请先登录")


async def seat_of(request: Request) -> Seat | None:
    token = request.cookies.get(COOKIE)
    if not token:
        return None
    hotline = hotline_of(request)
    async with hotline.db.reading() as session:
        return await staff.seat(session, token, hotline.clock())


Seated = Annotated[Seat, Depends(seated)]


async def signed(seat: Seated, csrf: Annotated[str, Form()] = "") -> Seat:
    """As `seated`, for a form: raises `Forbidden` when the form does not carry the session's token."""
    if not staff.same(csrf, seat.csrf):
        raise Forbidden("这一页放得太久了，请回到上一页刷新后再试")
    return seat


Signed = Annotated[Seat, Depends(signed)]
