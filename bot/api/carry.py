"""A web thread on another device: a code on the old one opens it on the new one; both keep it."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import codes, linking, privacy
from bot.api import visitor
from bot.api.crowd import TooMany
from bot.api.forms import Begun, Entered, Given, described, read, refusals
from bot.console.pages import hotline_of
from bot.dialogue import wording
from bot.errors import Conflict, Invalid
from bot.models import Worker
from connectors.webchat import WebChat

router = APIRouter(tags=["chat"])
# Who guesses from many sessions is still at one address.
_ADDRESS_TRIES = 30


@router.post("/api/chat/carry", responses=refusals(401, 409, 503) | {200: {"model": Given}})
async def give(request: Request) -> Given:
    """A code for this thread; the one given before is worth nothing any more. 409 before the first message."""
    who, hotline = visitor.required(request), hotline_of(request)
    now = hotline.clock()
    async with hotline.db.transaction() as session:
        worker = await _worker(session, who)
        if worker is None:
            raise Conflict("这里还没有说过话。换个手机，直接打开这个网页说就行。")
        code = await codes.issue(session, worker.id, "carry", now)
    return Given(code=code, minutes=int(codes.LASTS.total_seconds() // 60))


@router.post(
    "/api/chat/carried",
    responses=refusals(401, 409, 413, 422, 429, 503) | {200: {"model": Begun}},
    openapi_extra=described(Entered),
)
async def take(request: Request) -> Response:
    """Open the thread that the code stands for on this device; what was said here before joins the same person."""
    who, hotline = visitor.required(request), hotline_of(request)
    code = codes.tidy((await read(request, Entered)).code)
    if not code:
        raise Invalid("码是8位字母和数字，请对着另一台设备再看一遍")
    address = request.client.host if request.client else ""
    triers = {privacy.fingerprint("carry-try", who): codes.WRONG_TRIES}
    triers[privacy.fingerprint("carry-address", address)] = _ADDRESS_TRIES
    now = hotline.clock()
    # Counted before it is weighed, so that a hundred tries at once cannot all find the count still low.
    async with hotline.db.transaction() as session:
        tries = await codes.note_try(session, triers, now)
    async with hotline.db.transaction() as session:
        spent = await codes.is_spent(session, triers, now)
        found = None if spent else await codes.redeem(session, code, "carry", now)
        if spent or found:
            await codes.forgive(session, tries)
        session_id = await _settle(session, await session.get_one(Worker, found), who, now) if found else None
    if spent:
        raise TooMany("码试错太多次了，请过10分钟再试")
    if session_id is None:
        raise Invalid("这个码对不上：可能打错了、过了10分钟，或者已经用过。请在原来的设备上再点一次“换手机继续”")
    await hotline.bell.ring("outbox")
    return visitor.admitted(request, session_id)


async def _settle(session: AsyncSession, carried: Worker, who: str, now: datetime) -> str:
    """The session to go on with; the old device and the colleagues are told."""
    if carried.address != who:
        if (here := await _worker(session, who)) is not None:
            await linking.join(session, here, carried, now)
        await linking.record(session, carried, "carried", now)
        await linking.tell(session, carried, wording.CARRIED, now)
    return carried.address


async def _worker(session: AsyncSession, who: str) -> Worker | None:
    """The visitor as the tables know them, from their first message on."""
    found: Worker | None = await session.scalar(
        select(Worker).where(
            Worker.channel == WebChat.name, Worker.address_hash == privacy.fingerprint(WebChat.name, who)
        )
    )
    return found
