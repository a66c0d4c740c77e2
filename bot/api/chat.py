"""The web chat: a page, and the JSON that it speaks; whoever holds the cookie reads that thread and no other."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy.exc import SQLAlchemyError

from bot import conversation
from bot.api import crowd, thread, visitor, widget
from bot.api.crowd import Crowded
from bot.api.forms import Asked, Begun, Puzzled, Said, described, read, refusals
from bot.console.pages import chat_headers, hotline_of, render
from bot.dialogue import wording
from bot.errors import Invalid
from bot.hotline import Hotline
from bot.models import Conversation
from connectors import webchat

log = structlog.get_logger(__name__)
router = APIRouter(tags=["chat"])
# Two processes may commit in another order than they numbered their messages: look back this far, skip what was sent.
_OVERLAP_MS = 30_000


@router.get("/chat", include_in_schema=False)
async def page(request: Request, embed: str = "", site: str = "") -> Response:
    """The page; it opens with what the hotline can do, and a session is there when it has loaded.

    With `embed` it stands in a frame on `site`: no cookie then, and none either while the crowd is such that the page
    has to show some work first.
    """
    origins = widget.origins(hotline_of(request).settings)
    response = render(
        request,
        "chat.html",
        welcome=wording.WELCOME,
        examples=wording.EXAMPLES,
        longest=webchat.LONGEST,
        embed=bool(embed),
        site=site if site in origins or site == widget.own_origin(request) else "",
    )
    response.headers.update(chat_headers(origins if embed else ()))
    if not embed:
        with contextlib.suppress(Crowded):
            visitor.remember(request, response, visitor.known(request) or await visitor.newcomer(request))
    return response


@router.post(
    "/api/chat/session",
    responses=refusals(413, 422, 429) | {200: {"model": Begun}, 428: {"model": Puzzled}},
    openapi_extra=described(Asked, required=False),
)
async def begin(request: Request) -> Response:
    """Make sure that this browser has a session: a cookie, or the signed id for a page that shows it in a header.

    428 with a puzzle when too many come at once: ask again with its solution.
    """
    who = visitor.known(request)
    if who is None:
        asked = await read(request, Asked, empty=b"{}")
        try:
            who = await visitor.newcomer(request, asked.proof)
        except Crowded as crowded:
            return JSONResponse({"error": str(crowded), "puzzle": crowded.puzzle.model_dump()}, crowded.status)
    return visitor.admitted(request, who)


@router.post(
    "/api/chat/messages",
    responses=refusals(401, 413, 422, 429, 503),
    openapi_extra=described(Said),
)
async def say(request: Request) -> Response:
    """Take a message and answer it; sent again with the same id, it gives the same answer and does nothing else."""
    who = visitor.required(request)
    hotline = hotline_of(request)
    await crowd.weigh_message(request, who)
    said = await read(request, Said)
    try:
        inbound = webchat.inbound(who, said.id, said.text, said.option, hotline.clock())
    except ValueError as error:
        raise Invalid(str(error)) from None
    await conversation.turn(hotline, inbound)
    async with hotline.db.reading() as session:
        return JSONResponse(await thread.exchange(session, inbound.external_id))


@router.get("/api/chat/messages", responses=refusals(401, 422, 503))
async def history(request: Request, after: str = "") -> Response:
    """The last messages of this thread, oldest first; with `after` (a message's id) only the later ones."""
    who, last = visitor.required(request), _key(after)
    async with hotline_of(request).db.reading() as session:
        talk = await thread.talk_of(session, who)
        if talk is None:
            return JSONResponse({"messages": [], "mode": {"mode": "bot"}})
        rows = await thread.rows(session, talk, last)
        return JSONResponse({"messages": await thread.shown(session, rows), "mode": await thread.mode(session, talk)})


@router.get("/api/chat/stream", include_in_schema=False)
async def stream(request: Request, after: str = "") -> Response:
    """Server-sent events: `message` with its id, `mode` when a colleague takes over or is done. 204 before any message.

    Goes on after `Last-Event-ID`, or after `after` when the page has just loaded.
    """
    who = visitor.required(request)
    last = _key(request.headers.get("last-event-id") or after)
    async with hotline_of(request).db.reading() as session:
        talk = await thread.talk_of(session, who)
    if talk is None:
        return Response(status_code=204)
    return StreamingResponse(
        _events(hotline_of(request), talk.id, last),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(hotline: Hotline, talk_id: uuid.UUID, last: uuid.UUID | None) -> AsyncIterator[str]:
    sent: set[uuid.UUID] | None = None
    mode: dict[str, Any] | None = None
    yield "retry: 2000\n\n"
    async with contextlib.aclosing(hotline.bell.listen(f"chat:{talk_id}")) as rings:
        async for _ in rings:
            # With Redis away this is every heartbeat: the database is asked all the same.
            try:
                async with hotline.db.reading() as session:
                    talk = await session.get_one(Conversation, talk_id)
                    now_mode = await thread.mode(session, talk)
                    rows = await thread.rows(session, talk, _earlier(last))
                    if sent is None:
                        sent = {row.id for row in rows if last and row.id <= last}
                    shown = await thread.shown(session, [row for row in rows if row.id not in sent])
            except (SQLAlchemyError, OSError) as error:
                log.warning("chat_stream_ended", error=type(error).__name__)
                return
            if now_mode != mode:
                mode = now_mode
                yield f"event: mode\ndata: {json.dumps(mode, ensure_ascii=False)}\n\n"
            for item in shown:
                yield f"id: {item['id']}\nevent: message\ndata: {json.dumps(item, ensure_ascii=False)}\n\n"
            sent = {row.id for row in rows}
            last = rows[-1].id if rows and (last is None or rows[-1].id > last) else last
            if not shown:
                yield ": still here\n\n"


def _key(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        raise Invalid("after 应是一条消息的编号") from None


def _earlier(last: uuid.UUID | None) -> uuid.UUID | None:
    """The same time-ordered key, half a minute before."""
    return uuid.UUID(int=max(0, last.int - (_OVERLAP_MS << 80))) if last else None
