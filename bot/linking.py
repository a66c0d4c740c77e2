"""One person on several channels: talks joined and parted by a code, and what the person has going elsewhere."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot import codes
from bot.dialogue import wording
from bot.dialogue.state import Decision, State
from bot.inbox import Talk
from bot.models import Conversation, Message, Ticket, Worker, new_id
from connectors.base import Inbound, Kind, Reply
from intents.engine import Command, Understanding

_EXAMPLE = "ACDE2345"
_POLITE = r"(?:请|麻烦|帮我|给我|我要|我想|想要|能不能|怎么)*"
_END = r"(?:一下|吧|了|吗|呢)*[。！？.!?~]*"
_ASK = re.compile(rf"{_POLITE}(?:个|一个)?(?:绑定码?|[换換](?:个|個)?(?:手机|手機|设备)(?:继续)?){_END}")
_UNDO = re.compile(rf"{_POLITE}(?:解绑|解除绑定|取消绑定){_END}")
_ENTER = re.compile(r"(?:我的)?绑定(?:码)?(?:是|为)?[\s:,，。.]*([0-9A-Za-z][0-9A-Za-z \-]{2,30})[。.!]*")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a worker wants of the linking. `code` of an `enter` is empty when what they wrote cannot be one."""

    kind: Literal["ask", "enter", "undo"]
    code: str = ""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another talk of the same person. `tickets` are newest first, the closed ones too."""

    channel: str
    last_at: datetime | None
    tickets: Sequence[Ticket]


def read(text: str) -> Wish | None:
    """The wish of a message that says nothing else."""
    said = unicodedata.normalize("NFKC", text[:80]).strip().replace("綁", "绑")
    if len(text) > 60 or not said:
        return None
    if _ASK.fullmatch(said):
        return Wish("ask")
    if _UNDO.fullmatch(said):
        return Wish("undo")
    if found := _ENTER.fullmatch(said):
        return Wish("enter", codes.tidy(found[1]))
    return None


async def join(session: AsyncSession, one: Worker, other: Worker, now: datetime) -> bool:
    """Make two workers one person, and whoever was joined to either; False when they are already.

    Both threads keep a line of it for colleagues.
    """
    if one.id == other.id or (one.person_id and one.person_id == other.person_id):
        return False
    person = other.person_id or one.person_id or new_id()
    known = [found for found in (one.person_id, other.person_id) if found]
    await session.execute(
        update(Worker)
        .where(or_(Worker.id.in_((one.id, other.id)), Worker.person_id.in_(known)))
        .values(person_id=person)
        .execution_options(synchronize_session=False)
    )
    for worker, elsewhere in ((one, other), (other, one)):
        await record(session, worker, "linked", now, channel=elsewhere.channel)
    return True


async def part(session: AsyncSession, worker: Worker, now: datetime) -> bool:
    """Take a worker out of the person; somebody left alone is no person of several channels. False when in none."""
    person = worker.person_id
    if person is None:
        return False
    await session.execute(update(Worker).where(Worker.id == worker.id).values(person_id=None))
    left = (await session.scalars(select(Worker.id).where(Worker.person_id == person))).all()
    if len(left) == 1:
        await session.execute(update(Worker).where(Worker.id == left[0]).values(person_id=None))
    await record(session, worker, "unlinked", now)
    return True


async def elsewhere(session: AsyncSession, worker: Worker) -> list[Elsewhere]:
    """The other talks of this person, the latest first."""
    if worker.person_id is None:
        return []
    last = (
        select(func.max(Message.created_at))
        .where(Message.conversation_id == Conversation.id, Message.direction.in_(("in", "out")))
        .scalar_subquery()
    )
    rows = (
        await session.execute(
            select(Conversation.id, Conversation.channel, last)
            .join(Worker, Worker.id == Conversation.worker_id)
            .where(Worker.person_id == worker.person_id, Worker.id != worker.id)
            .order_by(last.desc())
        )
    ).all()
    found = (
        await session.scalars(
            select(Ticket)
            .where(Ticket.conversation_id.in_([row[0] for row in rows]))
            .order_by(Ticket.created_at.desc())
            .limit(20)
        )
    ).all()
    return [
        Elsewhere(channel, at, [ticket for ticket in found if ticket.conversation_id == talk])
        for talk, channel, at in rows
    ]


async def answer(
    session: AsyncSession,
    talk: Talk,
    inbound: Inbound,
    understood: Understanding,
    line_of: Callable[[Ticket], str | None],
    now: datetime,
) -> Decision | None:
    """What to say to somebody who wants a code, brings one, or asks how all their tickets stand; None for the rest.

    Danger goes first, and a bare "换手机" is left to the colleague who holds the talk; nothing is said while the
    platform's own desk speaks. `line_of` says how a ticket stands.
    """
    if inbound.kind is not Kind.TEXT or inbound.option or understood.danger is not None:
        return None
    if talk.elsewhere_until is not None and talk.elsewhere_until > now:
        return None
    wish, said = read(inbound.text), None
    if wish is not None and (talk.mode == "bot" or wish.kind != "ask" or "绑" in inbound.text):
        said = await _grant(session, talk, wish, now)
    elif understood.command is Command.PROGRESS and understood.pure and talk.mode == "bot":
        said = await _progress(session, talk, line_of)
    return Decision("talk", State.from_json(talk.state), Reply(said)) if said else None


async def _grant(session: AsyncSession, talk: Talk, wish: Wish, now: datetime) -> str:
    worker = await session.get_one(Worker, talk.worker_id)
    if wish.kind == "ask":
        return wording.LINK_CODE.format(code=await codes.issue(session, worker.id, "link", now))
    if wish.kind == "undo":
        return wording.UNLINK_DONE if await part(session, worker, now) else wording.UNLINK_NONE
    if not wish.code:
        return wording.LINK_SHAPE.format(example=_EXAMPLE)
    tries = await codes.note_try(session, codes.trier(worker.id), now)
    if await codes.is_spent(session, codes.trier(worker.id), now):
        await codes.forgive(session, tries)
        return wording.LINK_WAIT
    if await codes.whose(session, wish.code, "link", now) == worker.id:
        # Sent back where it came from: it can still be used in the right place.
        await codes.forgive(session, tries)
        return wording.LINK_SELF
    giver_id = await codes.redeem(session, wish.code, "link", now)
    if giver_id is None:
        return wording.LINK_WRONG
    giver = await session.get_one(Worker, giver_id)
    await codes.forgive(session, tries)
    if not await join(session, worker, giver, now):
        return wording.LINK_TWICE
    await tell(session, giver, wording.LINK_TOLD.format(where=wording.CHANNELS.get(talk.channel, talk.channel)), now)
    return wording.LINK_DONE.format(where=wording.CHANNELS.get(giver.channel, giver.channel))


async def _progress(session: AsyncSession, talk: Talk, line_of: Callable[[Ticket], str | None]) -> str | None:
    """The open tickets of the whole person; None when there are none elsewhere, so that the talk goes its usual way."""
    if talk.person_id is None:
        return None
    found = (
        await session.scalars(
            select(Ticket)
            .join(Conversation, Conversation.id == Ticket.conversation_id)
            .join(Worker, Worker.id == Conversation.worker_id)
            .where(Worker.person_id == talk.person_id, Ticket.status != "closed")
            .order_by(Ticket.created_at)
            .limit(9)
        )
    ).all()
    if all(ticket.conversation_id == talk.id for ticket in found):
        return None
    lines = []
    for ticket in found:
        where, line = wording.CHANNELS.get(ticket.channel, ticket.channel), line_of(ticket) or ""
        # The answer comes where the ticket was opened, not where it is asked about.
        line = line if ticket.conversation_id == talk.id else line.replace("在这里", f"在{where}")
        lines.append(wording.TICKET_LINE.format(number=ticket.number, where=where, line=line))
    return "\n".join([wording.TICKETS_OF_ALL.format(count=len(found)), *lines])


async def tell(session: AsyncSession, worker: Worker, text: str, now: datetime) -> None:
    """Say something to a worker in their own talk, unasked; the outbox brings it."""
    talk = await session.scalar(select(Conversation).where(Conversation.worker_id == worker.id))
    if talk is not None:
        session.add(
            Message(
                created_at=now,
                conversation_id=talk.id,
                channel=talk.channel,
                direction="out",
                text=text,
                status="pending",
                next_try_at=now,
            )
        )


async def record(session: AsyncSession, worker: Worker, kind: str, now: datetime, **facts: str) -> None:
    """A line for colleagues in the talk of this worker: `linked` (with `channel`), `unlinked`, `carried`."""
    talk = await session.scalar(select(Conversation).where(Conversation.worker_id == worker.id))
    if talk is not None:
        session.add(
            Message(
                created_at=now,
                conversation_id=talk.id,
                channel=talk.channel,
                direction="event",
                kind=kind,
                payload=facts,
                status="handled",
            )
        )
