"""The rows behind a turn: whose talk it is, the message itself, what the platform lets us send, the reply.

Statements are built once and run on the connection: a turn costs a handful of them, and building each anew would cost
more than running it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Executable, Table, and_, bindparam, case, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from bot.models import Attachment, Conversation, Cursor, Message, Ticket, Worker, new_id
from connectors.base import Event, Grant, Inbound, Kind

_MINUTE = timedelta(minutes=1)
# A reply that is to be tried again later than this does not keep the next ones waiting.
_SOON = timedelta(seconds=15)


def _table(model: Any) -> Table:
    table: Table = model.__table__
    return table


def _unless_there(table: Table) -> dict[str, Executable]:
    """An INSERT that does nothing when the row is there, for each database."""
    return {
        "sqlite": sqlite_insert(table).on_conflict_do_nothing(),
        "postgresql": postgres_insert(table).on_conflict_do_nothing(),
    }


_worker, _talk, _message, _ticket = _table(Worker), _table(Conversation), _table(Message), _table(Ticket)

_FIND = (
    select(
        _talk.c.id,
        _talk.c.channel,
        _talk.c.worker_id,
        _talk.c.mode,
        _talk.c.state,
        _talk.c.limited_until,
        _talk.c.elsewhere_until,
        _worker.c.person_id,
        _worker.c.site,
    )
    .join(_worker, _worker.c.id == _talk.c.worker_id)
    .where(_worker.c.channel == bindparam("channel"), _worker.c.address_hash == bindparam("who"))
    .with_for_update(of=_talk)
)
_NEW_WORKER = _unless_there(_worker)
_NEW_TALK = _unless_there(_talk)
_NEW_MESSAGE = _unless_there(_message)
_ADD_MESSAGE = _message.insert()
_WORKER_ID = select(_worker.c.id).where(
    _worker.c.channel == bindparam("channel"), _worker.c.address_hash == bindparam("who")
)
_TAKE_UP = (
    update(_message)
    .where(
        _message.c.channel == bindparam("of_channel"),
        _message.c.external_id == bindparam("of_external_id"),
        _message.c.status == "received",
    )
    .values(status=bindparam("status"))
    .returning(_message.c.id)
)
_of_talk = _message.c.conversation_id == bindparam("talk")
_STANDING = (
    select(
        select(func.count())
        .where(_of_talk, _message.c.direction == "in", _message.c.created_at > bindparam("since"))
        .scalar_subquery(),
        select(_message.c.id).where(_of_talk, _message.c.status == "held").exists(),
        _ticket.c.id,
    )
    .select_from(_talk)
    .outerjoin(_ticket, and_(_ticket.c.conversation_id == _talk.c.id, _ticket.c.status != "closed"))
    .where(_talk.c.id == bindparam("talk"))
)
_QUEUED = (
    select(_message.c.id)
    .where(
        _of_talk,
        _message.c.direction == "out",
        or_(
            _message.c.status == "sending",
            and_(
                _message.c.status == "pending",
                or_(
                    _message.c.next_try_at <= bindparam("now"),
                    and_(_message.c.attempts > 0, _message.c.next_try_at <= bindparam("soon")),
                ),
            ),
        ),
    )
    .limit(1)
)
_RELEASE = (
    update(_message).where(_of_talk, _message.c.status == "held").values(status="pending", next_try_at=bindparam("due"))
)
_until, _sends = (
    bindparam("until", type_=_worker.c.grant_until.type),
    bindparam("sends", type_=_worker.c.grant_left.type),
)
_longer = _worker.c.grant_until > _until
_more = and_(_worker.c.grant_until > bindparam("now", type_=_worker.c.grant_until.type), _worker.c.grant_left > _sends)
_GRANT = (
    update(_worker)
    .where(_worker.c.id == bindparam("worker"))
    .values(
        reachable=True,
        grant_rule=case((_longer, _worker.c.grant_rule), else_=bindparam("rule", type_=_worker.c.grant_rule.type)),
        grant_left=case((_more, _worker.c.grant_left), else_=_sends),
        grant_until=case((_longer, _worker.c.grant_until), else_=_until),
    )
)
_LEFT = (
    update(_worker).where(_worker.c.id == bindparam("worker")).values(reachable=False, grant_left=0, grant_until=None)
)
_MORE_NOTICES = (
    update(_worker)
    .where(_worker.c.id == bindparam("worker"))
    .values(notices=_worker.c.notices + bindparam("allowed", type_=_worker.c.notices.type))
)
_NO_NOTICES = update(_worker).where(_worker.c.id == bindparam("worker")).values(notices=0)
_BACK = (
    update(_worker).where(_worker.c.id == bindparam("worker"), _worker.c.reachable.is_(False)).values(reachable=True)
)
_SITE = update(_worker).where(_worker.c.id == bindparam("worker")).values(site=bindparam("place"))
_KEEP_STATE = (
    update(_talk)
    .where(_talk.c.id == bindparam("talk"))
    .values(
        state=bindparam("memory", type_=_talk.c.state.type),
        limited_until=bindparam("limited"),
        elsewhere_until=bindparam("elsewhere"),
    )
)


@dataclass(slots=True)
class Talk:
    """A worker's conversation as this turn found it; `keep_talk` writes back the state and the two times."""

    id: uuid.UUID
    channel: str
    worker_id: uuid.UUID
    mode: str
    state: dict[str, Any]
    limited_until: datetime | None
    elsewhere_until: datetime | None
    person_id: uuid.UUID | None
    site: str | None


async def find_talk(session: AsyncSession, inbound: Inbound, who: str, now: datetime) -> Talk:
    """The talk of this address, made at the first contact; it is locked until the transaction ends."""
    connection = await session.connection()
    at = {"channel": inbound.channel, "who": who}
    found = (await connection.execute(_FIND, at)).first()
    if found is None:
        await _meet(connection, inbound, who, now)
        found = (await connection.execute(_FIND, at)).one()
    return Talk(*found)


async def _meet(connection: AsyncConnection, inbound: Inbound, who: str, now: datetime) -> None:
    dialect = connection.dialect.name
    await connection.execute(
        _NEW_WORKER[dialect],
        {
            "id": new_id(),
            "created_at": now,
            "channel": inbound.channel,
            "address_hash": who,
            "address": inbound.address,
            "reachable": True,
            "grant_left": 0,
            "notices": 0,
        },
    )
    worker_id = await connection.scalar(_WORKER_ID, {"channel": inbound.channel, "who": who})
    await connection.execute(
        _NEW_TALK[dialect],
        {
            "id": new_id(),
            "created_at": now,
            "worker_id": worker_id,
            "channel": inbound.channel,
            "mode": "bot",
            "state": {},
        },
    )


async def store(session: AsyncSession, inbound: Inbound, talk: Talk, now: datetime, status: str) -> uuid.UUID | None:
    """The key of this message's row, ours to answer; None when it was stored before and has been answered."""
    connection = await session.connection()
    key = new_id()
    added = await connection.execute(
        _NEW_MESSAGE[connection.dialect.name],
        {
            "id": key,
            "created_at": now,
            "conversation_id": talk.id,
            "channel": inbound.channel,
            "external_id": inbound.external_id,
            "direction": "in",
            "kind": inbound.kind.value,
            "text": inbound.text,
            "payload": _payload(inbound),
            "status": status,
            "attempts": 0,
        },
    )
    if added.rowcount:
        return key
    taken: uuid.UUID | None = await connection.scalar(
        _TAKE_UP, {"of_channel": inbound.channel, "of_external_id": inbound.external_id, "status": status}
    )
    return taken


def _payload(inbound: Inbound) -> dict[str, object]:
    payload: dict[str, object] = dict(inbound.payload)
    if inbound.event:
        payload["event"] = inbound.event.value
    if inbound.option:
        payload["option"] = inbound.option
    return payload


async def attach(session: AsyncSession, inbound: Inbound, message: uuid.UUID, source: Any, now: datetime) -> None:
    """Remember that a file of this message has still to be fetched; `source` is for the connector.

    What the message brought along itself (payload `upload`: key, size, content_type) is kept already.
    """
    upload = inbound.payload.get("upload", {})
    waits = not upload or inbound.kind is Kind.VOICE
    session.add(
        Attachment(
            created_at=now,
            message_id=message,
            channel=inbound.channel,
            kind=inbound.kind.value,
            name=str(inbound.payload.get("file_name", ""))[:200],
            content_type=upload.get("content_type", ""),
            size=upload.get("size", 0),
            key=upload.get("key"),
            status="waiting" if waits else "kept",
            source=dict(source),
            next_try_at=now if waits else None,
        )
    )


async def standing(session: AsyncSession, talk: Talk, now: datetime) -> tuple[int, bool, Ticket | None]:
    """How many messages came in the last minute, whether something is held for the worker, and the open ticket."""
    connection = await session.connection()
    row = (await connection.execute(_STANDING, {"talk": talk.id, "since": now - _MINUTE})).one()
    ticket = await session.get(Ticket, row[2]) if row[2] else None
    return row[0], bool(row[1]), ticket


async def is_queued(session: AsyncSession, talk: Talk, now: datetime) -> bool:
    """Whether the outbox is about to send the worker something, at the latest within seconds."""
    connection = await session.connection()
    found = await connection.scalar(_QUEUED, {"talk": talk.id, "now": now, "soon": now + _SOON})
    return found is not None


async def release_held(session: AsyncSession, talk: Talk, now: datetime) -> None:
    """The worker is here again: what waited for them goes out."""
    await (await session.connection()).execute(_RELEASE, {"talk": talk.id, "due": now})


async def note_contact(session: AsyncSession, talk: Talk, inbound: Inbound, now: datetime) -> None:
    """What the platform lets us push from now on, and where the worker comes from.

    Grants do not add up. As the platform words it: after a new contact the larger number of sends holds, and the later
    end; so a click, good for three in a minute, takes nothing away from the message of an hour ago.
    """
    connection = await session.connection()
    if inbound.event is Event.UNSUBSCRIBE:
        await connection.execute(_LEFT, {"worker": talk.worker_id})
        return
    if inbound.grant:
        await connection.execute(_GRANT, {"worker": talk.worker_id, "now": now, **_granted(inbound.grant, now)})
    else:
        await connection.execute(_BACK, {"worker": talk.worker_id})
    place = inbound.payload.get("site")
    if isinstance(place, str) and place and place != talk.site:
        talk.site = place[:200]
        await connection.execute(_SITE, {"worker": talk.worker_id, "place": talk.site})


async def note_consent(session: AsyncSession, talk: Talk, inbound: Inbound) -> None:
    """How many notices outside the window the worker has just allowed; 0: none any more.

    Once a message, while contact may be noted twice.
    """
    allowed = inbound.payload.get("notices")
    if isinstance(allowed, int):
        statement = _MORE_NOTICES if allowed else _NO_NOTICES
        facts = {"worker": talk.worker_id} | ({"allowed": allowed} if allowed else {})
        await (await session.connection()).execute(statement, facts)


def _granted(grant: Grant, now: datetime) -> dict[str, Any]:
    return {"rule": grant.rule, "sends": grant.sends, "until": now + grant.lasts}


async def keep_talk(session: AsyncSession, talk: Talk) -> None:
    await (await session.connection()).execute(
        _KEEP_STATE,
        {
            "talk": talk.id,
            "memory": talk.state,
            "limited": talk.limited_until,
            "elsewhere": talk.elsewhere_until,
        },
    )


async def add_reply(session: AsyncSession, talk: Talk, **values: Any) -> None:
    """A row to the worker; `values` are columns of `Message`."""
    await (await session.connection()).execute(
        _ADD_MESSAGE,
        {
            "conversation_id": talk.id,
            "channel": talk.channel,
            "direction": "out",
            "kind": "text",
            "attempts": 0,
            **values,
        },
    )


async def mark_undelivered(session: AsyncSession, talk: Talk, key: str, why: str) -> None:
    """The platform took this reply and could not deliver it after all. What is no key of ours changes nothing."""
    try:
        reply = uuid.UUID(key)
    except ValueError:
        return
    await session.execute(
        update(Message)
        .where(
            Message.id == reply,
            Message.conversation_id == talk.id,
            Message.direction == "out",
            Message.status.in_(("sending", "sent")),
        )
        .values(status="failed", next_try_at=None, error=why)
    )


async def seen(session: AsyncSession, inbound: Inbound) -> Message | None:
    """The row of a message that came before."""
    found: Message | None = await session.scalar(
        select(Message).where(Message.channel == inbound.channel, Message.external_id == inbound.external_id)
    )
    return found


async def read_cursor(session: AsyncSession, channel: str) -> dict[str, str]:
    """How far each queue of a channel was read."""
    rows = await session.execute(select(Cursor.queue, Cursor.position).where(Cursor.channel == channel))
    return {row.queue: row.position for row in rows}


async def move_cursor(session: AsyncSession, channel: str, queue: str, position: str, now: datetime) -> None:
    await session.merge(Cursor(channel=channel, queue=queue, position=position, updated_at=now))


def by_worker(messages: Sequence[Inbound]) -> list[list[Inbound]]:
    """One list a worker, each in the order it came."""
    found: dict[str, list[Inbound]] = {}
    for inbound in messages:
        found.setdefault(inbound.address, []).append(inbound)
    return list(found.values())
