"""What a worker sent, as colleagues see it in the thread, and the only way it leaves our storage."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.console.access import Seated
from bot.console.pages import hotline_of
from bot.errors import NotFound
from bot.filetypes import named
from bot.models import Attachment, Message, Staff, Ticket

log = structlog.get_logger(__name__)
# Not a `ConsoleRoute`: its policy is for pages, and a stranger's file gets a stricter one.
router = APIRouter(prefix="/files")

# What a browser shows by itself and cannot run; everything else is only ever downloaded.
_SHOWN = {
    "image/jpeg": "image",
    "image/png": "image",
    "image/gif": "image",
    "image/webp": "image",
    "audio/mpeg": "audio",
    "audio/ogg": "audio",
    "audio/wav": "audio",
    "audio/mp4": "audio",
    "video/mp4": "video",
    "video/quicktime": "video",
    "video/3gpp": "video",
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; media-src 'self'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}
# A page draws its pictures again and again; the log has every time, the thread each colleague's first in a while.
_LOOK = timedelta(hours=1)
_SPAN = re.compile(r"bytes=([0-9]{0,12})-([0-9]{0,12})")


@dataclass(frozen=True, slots=True)
class Shown:
    """A file in the thread. `how` is image, audio, video or link; empty while there is nothing to open.

    `state` says what is still going on or what went wrong. `seen` are the colleagues who have opened it.
    """

    id: str
    how: str
    name: str
    size: str
    state: str
    seen: Collection[str] = ()


def shown(file: Attachment, seen: Collection[str], *, written: bool) -> Shown:
    """`written`: what was spoken in it stands beside it."""
    how = (_SHOWN.get(file.content_type) or "link") if file.key else ""
    return Shown(str(file.id), how, named(file.name, file.content_type), _size(file.size), _state(file, written), seen)


def _state(file: Attachment, written: bool) -> str:
    if file.status in {"refused", "lost"}:
        return f"没有存下：{file.reason}"
    if file.key is None:
        return f"还没取回，会再试：{file.reason}" if file.reason else "正在取回"
    if file.kind != "voice" or written:
        return ""
    return file.reason or ("正在转成文字" if file.status == "waiting" else "")


async def of(session: AsyncSession, messages: Collection[Message]) -> dict[uuid.UUID, Attachment]:
    """The file of each message that brought one."""
    ids = [message.id for message in messages if message.direction == "in"]
    rows = await session.scalars(select(Attachment).where(Attachment.message_id.in_(ids)))
    return {row.message_id: row for row in rows}


@router.get("/{key}")
async def serve(request: Request, key: str, seat: Seated, download: str = "") -> Response:
    """The file, to a colleague who may read the talk that it belongs to; every look is recorded."""
    hotline = hotline_of(request)
    async with hotline.db.reading() as session:
        file, talk, ticket = await _found(session, key)
    pieces = hotline.vault.get(file.key or "")
    # Before the answer begins: what cannot be opened is said in words.
    first = await anext(pieces, b"")
    log.info("file_looked", file=str(file.id), staff=str(seat.staff.id), download=bool(download))
    async with hotline.db.transaction() as session:
        await _record(session, file, talk, ticket, seat.staff, hotline.clock())
    how = "inline" if file.content_type in _SHOWN and not download else "attachment"
    headers = {
        **_HEADERS,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"{how}; filename*=UTF-8''{quote(named(file.name, file.content_type), safe='')}",
    }
    span = _span(request.headers.get("range", ""), file.size)
    start, end = span or (0, file.size)
    headers["Content-Length"] = str(end - start)
    if span:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
    return StreamingResponse(
        _part(first, pieces, start, end),
        status_code=206 if span else 200,
        media_type=file.content_type if how == "inline" else "application/octet-stream",
        headers=headers,
    )


async def _found(session: AsyncSession, key: str) -> tuple[Attachment, uuid.UUID, Ticket]:
    """The file, its talk and the talk's last ticket: what nobody handed to a person, no person looks at."""
    try:
        wanted = uuid.UUID(key)
    except ValueError:
        raise NotFound("没有这个文件") from None
    row = (
        await session.execute(
            select(Attachment, Ticket)
            .join(Message, Message.id == Attachment.message_id)
            .join(Ticket, Ticket.conversation_id == Message.conversation_id)
            .where(Attachment.id == wanted, Attachment.key.is_not(None))
            .order_by(Ticket.id.desc())
            .limit(1)
        )
    ).first()
    if row is None:
        raise NotFound("没有这个文件")
    return row[0], row[1].conversation_id, row[1]


async def _record(
    session: AsyncSession, file: Attachment, talk: uuid.UUID, ticket: Ticket, staff: Staff, now: datetime
) -> None:
    looks = await session.scalars(
        select(Message).where(
            Message.conversation_id == talk,
            Message.direction == "event",
            Message.kind == "looked",
            Message.staff_id == staff.id,
            Message.created_at > now - _LOOK,
        )
    )
    if any(look.payload.get("file") == str(file.id) for look in looks):
        return
    session.add(
        Message(
            created_at=now,
            conversation_id=talk,
            channel=ticket.channel,
            direction="event",
            kind="looked",
            payload={"ticket": ticket.number, "file": str(file.id)},
            status="handled",
            staff_id=staff.id,
            ticket_id=ticket.id,
        )
    )


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """The part that a player asks for; None for the whole, and for what makes no sense."""
    found = _SPAN.fullmatch(asked.strip())
    if not found or not any(found.groups()):
        return None
    first, last = found.groups()
    start, end = (int(first), min(size, int(last) + 1) if last else size) if first else (size - int(last), size)
    start = max(0, start)
    return (start, end) if start < end else None


async def _part(first: bytes, pieces: AsyncGenerator[bytes, None], start: int, end: int) -> AsyncIterator[bytes]:
    at, piece = 0, first
    try:
        while piece and at < end:
            if at + len(piece) > start:
                yield piece[max(0, start - at) : end - at]
            at += len(piece)
            piece = await anext(pieces, b"")
    finally:
        await pieces.aclose()


def _size(size: int) -> str:
    if size < 1024 * 1024:
        return f"{max(1, round(size / 1024))} KB"
    return f"{size / 1024 / 1024:.1f} MB"
