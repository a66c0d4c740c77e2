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
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from bot import conversation
from bot.api import thread, visitor
from bot.console.pages import BODY_CAP, CHAT_HEADERS, hotline_of, render
from bot.dialogue import wording
from bot.errors import HotlineError, Invalid
from bot.hotline import Hotline
from bot.models import Conversation, Message
from connectors import webchat

log = structlog.get_logger(__name__)
router = APIRouter(tags=["chat"])
# Two processes may commit in another order than they numbered their messages: look back this far, skip what was sent.
_OVERLAP_MS = 30_000


class TooLarge(HotlineError):
    status = 413


class Said(BaseModel):
    """One message of the page. `id` is made by the page and the same on every try."""

    model_config = ConfigDict(extra="forbid", strict=True)

    # Checked where every channel's message is made; said here for whoever reads the description.
    id: str = Field(json_schema_extra={"pattern": "^[A-Za-z0-9_-]{1,64}$"})
    text: str = Field("", json_schema_extra={"maxLength": webchat.LONGEST})
    option: str | None = None


class Trouble(BaseModel):
    """Every refusal, in words for the visitor."""

    error: str


def _refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": Trouble} for code in codes}


@router.get("/chat", include_in_schema=False)
async def page(request: Request) -> Response:
    """The page; it opens with what the hotline can do, and a session is there when it has loaded."""
    response = render(
        request,
        "chat.html",
        welcome=wording.WELCOME,
        examples=wording.EXAMPLES,
        longest=webchat.LONGEST,
    )
    response.headers.update(CHAT_HEADERS)
    visitor.remember(request, response, visitor.known(request) or await visitor.newcomer(request))
    return response


@router.post("/api/chat/session", responses=_refusals(429))
async def begin(request: Request) -> Response:
    """Make sure that this browser has a session: 200 with the cookie, 429 when too many came from this address."""
    response = JSONResponse({"ok": True})
    visitor.remember(request, response, visitor.known(request) or await visitor.newcomer(request))
    return response


@router.post(
    "/api/chat/messages",
    responses=_refusals(401, 413, 422, 503),
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": Said.model_json_schema()}}}
    },
)
async def say(request: Request) -> Response:
    """Take a message and answer it; sent again with the same id, it gives the same answer and does nothing else."""
    who = visitor.required(request)
    hotline = hotline_of(request)
    said = _read(await _body(request))
    try:
        inbound = webchat.inbound(who, said.id, said.text, said.option, hotline.clock())
    except ValueError as error:
        raise Invalid(str(error)) from None
    turned = await conversation.turn(hotline, inbound)
    async with hotline.db.reading() as session:
        mine = (
            await session.scalars(
                select(Message).where(Message.channel == inbound.channel, Message.external_id == inbound.external_id)
            )
        ).one()
        replies = await session.scalars(select(Message).where(Message.reply_to == mine.id).order_by(Message.id))
        shown = await thread.shown(session, [mine, *replies])
        talk = await session.get_one(Conversation, turned.conversation_id)
        mode = await thread.mode(session, talk)
    return JSONResponse({"messages": shown, "mode": mode})


@router.get("/api/chat/messages", responses=_refusals(401, 422, 503))
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


def _read(body: bytes) -> Said:
    """Raises `Invalid` for anything that is not a message."""
    try:
        return Said.model_validate_json(body)
    except ValidationError:
        raise Invalid("消息的格式不对，请刷新页面再试") from None


async def _body(request: Request) -> bytes:
    """Raises `TooLarge` as soon as there is more than a message can be; the rest is not read."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_CAP:
            raise TooLarge("一次说得太长了，请分几条发")
    return bytes(body)


def _key(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        raise Invalid("after 应是一条消息的编号") from None


def _earlier(last: uuid.UUID | None) -> uuid.UUID | None:
    """The same time-ordered key, half a minute before."""
    return uuid.UUID(int=max(0, last.int - (_OVERLAP_MS << 80))) if last else None
