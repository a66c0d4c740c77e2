"""Fetch what workers sent: from the platform, looked at, sealed and kept; then what was spoken is written down.

1. A file is due while it waits and its time has come. The claim is a conditional UPDATE: of two processes, one gets it.
2. It is fetched and stored outside any transaction; then the row says kept, refused or lost, with a reason for staff.
3. A kept voice still waits when there is somebody to write it down. The words go through a turn like any message.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession

from bot import conversation, hearing, metrics
from bot.dialogue import wording
from bot.errors import HotlineError, Unavailable
from bot.filetypes import ACCEPTED, Look, fits, named
from bot.hearing import NotHeard
from bot.hotline import Hotline
from bot.models import Attachment, Conversation, Message, Worker
from bot.seal import PIECE
from connectors.abilities import Fetches, Media
from connectors.base import Inbound, Kind, Outbound, SendError

log = structlog.get_logger(__name__)

# How long the platforms keep a file.
_STAYS = timedelta(days=3)
_BACKOFF = tuple(timedelta(seconds=wait) for wait in (5, 30, 120, 600, 1800, 7200, 21600))
_HEAR_AGAIN = (timedelta(seconds=3), timedelta(seconds=10))
_FETCH_SECONDS = 120.0
# Longer than a fetch, or the longest wait for a transcript, with storing.
_LEASE = timedelta(seconds=240)
# A file may lie in memory whole, as the platform gave it.
_AT_ONCE = 4
_SWEEP = 5.0


class _Refused(Exception):
    """`args[0]` says why, for staff and for the worker."""


async def run(hotline: Hotline) -> None:
    """Fetch for ever: when the bell rings, and every few seconds in case it did not."""
    with contextlib.suppress(OSError):
        await hotline.vault.tidy()
    async for _ in hotline.bell.listen("files", every=_SWEEP):
        try:
            while await fetch_due(hotline):
                pass
        except Exception as error:
            log.warning("files_stumbled", error=type(error).__name__)
            await asyncio.sleep(1)


async def fetch_due(hotline: Hotline) -> int:
    """Take care of what is due now, some side by side. Returns how many were due."""
    async with hotline.db.reading() as session:
        due = (
            await session.scalars(
                select(Attachment)
                .where(Attachment.status == "waiting", Attachment.next_try_at <= hotline.clock())
                .order_by(Attachment.next_try_at)
                .limit(_AT_ONCE)
            )
        ).all()
    claimed = [file for file in due if await _claim(hotline, file)]
    await asyncio.gather(*(_take_care(hotline, file) for file in claimed))
    return len(due)


async def _claim(hotline: Hotline, file: Attachment) -> bool:
    file.attempts += 1
    return await _change(
        hotline, file, next_try_at=hotline.clock() + _LEASE, attempts=file.attempts, _was=file.attempts - 1
    )


async def _change(hotline: Hotline, file: Attachment, *, _was: int | None = None, **values: Any) -> bool:
    """False when somebody else has gone on with it meanwhile."""
    async with hotline.db.transaction() as session:
        return await _set(session, file, _was=_was, **values)


async def _set(session: AsyncSession, file: Attachment, *, _was: int | None = None, **values: Any) -> bool:
    attempts = file.attempts if _was is None else _was
    key = Attachment.key.is_(None) if file.key is None else Attachment.key == file.key
    changed = await session.execute(
        update(Attachment)
        .where(Attachment.id == file.id, Attachment.status == "waiting", Attachment.attempts == attempts, key)
        .values(**values)
    )
    return isinstance(changed, CursorResult) and changed.rowcount == 1


async def _take_care(hotline: Hotline, file: Attachment) -> None:
    try:
        await (_bring(hotline, file) if file.key is None else _listen(hotline, file))
    except Exception as error:
        log.error("file_failed", channel=file.channel, kind=file.kind, error=type(error).__name__)
        # With the database away the claim falls off by itself.
        with contextlib.suppress(Exception):
            if file.key is None:
                await _try_later(hotline, file, "没有处理成", None, passing=True)
            else:
                await _not_heard(hotline, file, "没有处理成", again=True)


async def _bring(hotline: Hotline, file: Attachment) -> None:
    try:
        media = await _fetched(hotline, file)
        content_type = await asyncio.to_thread(_inspected, hotline, file, media)
        key = uuid.uuid4().hex
        size = await hotline.vault.put(key, _cut(media.data))
    except _Refused as refused:
        await _give_up(hotline, file, "refused", str(refused), str(refused))
    except SendError as error:
        passing = error.retryable or error.hold or error.alarm
        await _try_later(hotline, file, error.reason, error.after, passing=passing)
    except Unavailable as error:
        log.error("file_not_stored", reason=str(error))
        await _try_later(hotline, file, str(error), None, passing=True)
    else:
        name = named(media.name or file.name, content_type)
        # What was spoken has still to be written down.
        rest = {"status": "waiting", "next_try_at": hotline.clock()} if file.kind == "voice" else _DONE
        kept = await _change(
            hotline,
            file,
            key=key,
            name=name,
            content_type=content_type,
            size=size,
            attempts=0,
            reason=None,
            **rest,
        )
        if not kept:
            await hotline.vault.drop(key)
            return
        metrics.files.labels(channel=file.channel, result="kept").inc()
        await _show(hotline, file)


_DONE: dict[str, Any] = {"status": "kept", "next_try_at": None}


async def _fetched(hotline: Hotline, file: Attachment) -> Media:
    connector = hotline.connectors.get(file.channel)
    if not isinstance(connector, Fetches):
        raise SendError("这个渠道现在没有开通", retryable=True)
    try:
        async with asyncio.timeout(_FETCH_SECONDS):
            return await connector.fetch(file.source, hotline.settings.file_bytes)
    except TimeoutError:
        raise SendError("平台没有及时回应", retryable=True) from None


def _inspected(hotline: Hotline, file: Attachment, media: Media) -> str:
    """What it is. Raises `_Refused`."""
    if len(media.data) > hotline.settings.file_bytes:
        raise _Refused(f"超过 {hotline.settings.file_mb} MB，太大了")
    look = Look()
    for start in range(0, len(media.data), PIECE):
        look.add(media.data[start : start + PIECE])
    content_type = look.speech(media.content_type) if file.kind == "voice" else look.content_type()
    if content_type is None:
        raise _Refused(f"这种文件我们打不开，能收的有{ACCEPTED}")
    if not fits(file.kind, content_type):
        raise _Refused("文件里面的内容和它的类型对不上")
    return content_type


async def _cut(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]


async def _try_later(
    hotline: Hotline, file: Attachment, reason: str, after: timedelta | None, *, passing: bool
) -> None:
    now = hotline.clock()
    if not passing:
        await _give_up(hotline, file, "lost", reason, "平台上已经取不到了")
    elif now - file.created_at > _STAYS:
        await _give_up(hotline, file, "lost", f"三天都没能取回：{reason}", "平台上已经取不到了")
    else:
        wait = after or _BACKOFF[min(file.attempts, len(_BACKOFF)) - 1]
        await _change(hotline, file, next_try_at=now + wait, reason=reason)
        metrics.files.labels(channel=file.channel, result="retry").inc()


async def _give_up(hotline: Hotline, file: Attachment, status: str, reason: str, told: str) -> None:
    """The worker was told that we have it, so they are told that we do not."""
    async with hotline.db.transaction() as session:
        if not await _set(session, file, status=status, next_try_at=None, reason=reason):
            return
        words = wording.NOT_KEPT.format(kind=wording.WHAT_CAME.get(file.kind, "文件"), reason=told)
        rings = await _tell(session, hotline, file, words)
    metrics.files.labels(channel=file.channel, result=status).inc()
    log.warning("file_given_up", channel=file.channel, kind=file.kind, status=status, reason=reason)
    await _show(hotline, file, *rings)


async def _listen(hotline: Hotline, file: Attachment) -> None:
    async with hotline.db.reading() as session:
        row = await session.execute(
            select(Message, Worker.address)
            .join(Conversation, Conversation.id == Message.conversation_id)
            .join(Worker, Worker.id == Conversation.worker_id)
            .where(Message.id == file.message_id)
        )
        message, address = row.one()
    # Some platforms write down what was said themselves, and then the message has been answered.
    if file.kind != "voice" or not hotline.settings.asr_url or message.text:
        await _change(hotline, file, **_DONE)
        return
    try:
        voice = b"".join([piece async for piece in hotline.vault.get(file.key or "")])
        words = await hearing.transcribe(hotline.settings, voice, file.content_type)
    except Unavailable as error:
        await _not_heard(hotline, file, str(error), again=True)
    except HotlineError as error:
        await _not_heard(hotline, file, str(error), again=False)
    except NotHeard as error:
        await _not_heard(hotline, file, error.reason, again=error.retryable)
    else:
        turned = await conversation.turn(hotline, _spoken(hotline, message, address, words))
        if turned.message_id and not turned.repeated:
            await conversation.release(hotline, [turned.message_id])
        await _change(hotline, file, **_DONE, reason=None)
        metrics.heard.labels(result="heard").inc()
        await _show(hotline, file)


def _spoken(hotline: Hotline, message: Message, address: str, words: str) -> Inbound:
    """What was said, as a message that comes after the recording; the same on every try."""
    return Inbound(
        channel=message.channel,
        external_id=f"{message.external_id or message.id}:heard",
        address=address,
        kind=Kind.VOICE,
        sent_at=hotline.clock(),
        text=words,
        payload={"heard": True, "of": str(message.id)},
    )


async def _not_heard(hotline: Hotline, file: Attachment, reason: str, *, again: bool) -> None:
    """Try again while the worker waits, then ask them to type; the recording stays."""
    now = hotline.clock()
    if again and file.attempts <= len(_HEAR_AGAIN):
        await _change(hotline, file, next_try_at=now + _HEAR_AGAIN[file.attempts - 1], reason=reason)
        return
    async with hotline.db.transaction() as session:
        if not await _set(session, file, **_DONE, reason=f"没有转成文字：{reason}"):
            return
        rings = await _tell(session, hotline, file, wording.NOT_HEARD)
    metrics.heard.labels(result="failed").inc()
    await _show(hotline, file, *rings)


async def _tell(session: AsyncSession, hotline: Hotline, file: Attachment, words: str) -> list[str]:
    """Speak to the worker, unless a person does or the channel cannot; returns what to ring."""
    message = await session.get_one(Message, file.message_id)
    talk = await session.get_one(Conversation, message.conversation_id)
    now, connector = hotline.clock(), hotline.connectors.get(file.channel)
    elsewhere = talk.elsewhere_until is not None and talk.elsewhere_until > now
    if connector is None or not connector.capabilities.push or talk.mode == "human" or elsewhere:
        return []
    arrives = connector.capabilities.stored
    session.add(
        Message(
            created_at=now,
            conversation_id=talk.id,
            channel=file.channel,
            direction="out",
            text=connector.render(Outbound(str(file.id), "", words)),
            status="sent" if arrives else "pending",
            sent_at=now if arrives else None,
            next_try_at=None if arrives else now,
        )
    )
    return [f"chat:{talk.id}"] if arrives else ["outbox"]


async def _show(hotline: Hotline, file: Attachment, *topics: str) -> None:
    for topic in topics:
        await hotline.bell.ring(topic)
    await hotline.bell.ring("desk", file=str(file.id))
