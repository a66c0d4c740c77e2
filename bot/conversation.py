"""A worker's message in, one reply out: stored once, understood, decided, answered, in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import and_, func, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot import handoff, metrics, privacy
from bot.dialogue import wording
from bot.dialogue.decide import danger, decide
from bot.dialogue.state import Decision, Heard, Situation, State
from bot.duty import BEIJING, say
from bot.hotline import Hotline
from bot.models import Conversation, Message, Ticket, Worker, new_id
from connectors.base import Connector, Event, Inbound, Kind, Option, Outbound, Reply, Section
from connectors.pages import pages
from intents.engine import Command, Understanding

log = structlog.get_logger(__name__)

# How long the outbox leaves a reply alone that was put into a webhook's response: longer than the platform's retries.
_PASSIVE_GRACE = timedelta(seconds=20)
_MINUTE = timedelta(minutes=1)
_turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class Turned:
    """What became of one message. `text` is what to put into the response; None when there is nothing to say now."""

    conversation_id: uuid.UUID
    message_id: uuid.UUID | None = None
    text: str | None = None
    repeated: bool = False
    ticket: str | None = None


async def turn(hotline: Hotline, inbound: Inbound) -> Turned:
    """Take one message to its reply. Called again with the same message, it returns the reply already made.

    Messages of one worker are taken in the order they came in. Raises what the database raises; nothing is kept then,
    and the platform's next delivery starts afresh.
    """
    who = privacy.fingerprint(inbound.channel, inbound.address)
    lock = _turns.setdefault(who, asyncio.Lock())
    async with lock:
        understood = await _understand(hotline, inbound)
        with metrics.stage("store"):
            async with hotline.db.transaction() as session:
                turned, rings = await _turn(session, hotline, inbound, who, understood)
    for topic, facts in rings:
        await hotline.bell.ring(topic, **facts)
    return turned


async def keep(hotline: Hotline, inbound: Inbound) -> None:
    """Store a message that cannot be answered in time, so that it may be acknowledged; the sweep answers it."""
    who = privacy.fingerprint(inbound.channel, inbound.address)
    async with hotline.db.transaction() as session:
        conversation, worker = await _conversation(session, inbound, who, hotline.clock())
        _grant(worker, inbound, hotline.clock())
        await _store(session, inbound, conversation, hotline.clock(), "received")


async def _understand(hotline: Hotline, inbound: Inbound) -> Understanding:
    if not inbound.text or (inbound.kind is Kind.EVENT and inbound.event is not Event.MENU):
        return Understanding(text="")
    with metrics.stage("understand"):
        return await hotline.engine.understand(inbound.text, crowd=len(_turns))


async def _turn(
    session: AsyncSession, hotline: Hotline, inbound: Inbound, who: str, understood: Understanding
) -> tuple[Turned, list[tuple[str, dict[str, str]]]]:
    now = hotline.clock()
    conversation, worker = await _conversation(session, inbound, who, now)
    key = await _store(session, inbound, conversation, now, "handled")
    if key is None:
        seen = await _seen(session, inbound)
        if seen is None:
            raise LookupError("a message that is there and is not")
        return await _again(session, seen), []
    connector = hotline.connectors[inbound.channel]
    _grant(worker, inbound, now)
    recent, held, ticket = await _standing(session, conversation, now)
    if held and connector.capabilities.push:
        await _release(session, conversation, now)
    rings: list[tuple[str, dict[str, str]]] = [("desk", {"ticket": ticket.number})] if ticket else []
    if recent > hotline.settings.worker_rate and not _cannot_wait(understood, ticket):
        decision = _slow_down(conversation, now)
    else:
        decision = _decide(hotline, conversation, inbound, understood, ticket, now)
    metrics.turns.labels(channel=inbound.channel, action=decision.action).inc()
    log.info(
        "turn",
        who=who[:12],
        channel=inbound.channel,
        action=decision.action,
        topic=decision.topic,
        confidence=round(understood.ranking[0].confidence, 2) if understood.ranking else None,
    )
    reply, opened = decision.say, None
    if decision.handoff is not None:
        opened, told = await handoff.open_ticket(
            session,
            conversation,
            ticket,
            decision.handoff,
            decision.state,
            hotline.knowledge.catalog,
            hotline.hours,
            now,
        )
        reply = replace(reply, text=f"{reply.text}\n\n{told}") if reply else Reply(told)
        rings = [("desk", {"ticket": opened.number, "priority": opened.priority, "new": "1"})]
    if reply is None:
        conversation.state = decision.state.to_json()
        return Turned(conversation.id), rings
    out = await _reply(session, conversation, worker, connector, key, reply, decision, now)
    if inbound.channel == "web":
        rings.append((f"chat:{conversation.id}", {}))
    return Turned(conversation.id, out.id, out.text, ticket=opened.number if opened else None), rings


def _decide(
    hotline: Hotline,
    conversation: Conversation,
    inbound: Inbound,
    understood: Understanding,
    ticket: Ticket | None,
    now: datetime,
) -> Decision:
    """Silence while a person holds the talk, but for danger; the next page; else the dialogue."""
    state = State.from_json(conversation.state)
    if conversation.mode == "human":
        if understood.danger is not None:
            return danger(state, understood.danger)
        return Decision("silent", state)
    if understood.command is Command.MORE and understood.pure and state.more:
        return Decision("talk", replace(state, more=state.more[1:]), Reply(state.more[0]))
    heard = Heard(inbound.kind, inbound.text, inbound.event, inbound.option)
    return decide(
        replace(state, more=()),
        heard,
        understood,
        hotline.knowledge.catalog,
        hotline.bands,
        now.astimezone(BEIJING).date(),
        _situation(hotline, ticket, now),
    )


def _situation(hotline: Hotline, ticket: Ticket | None, now: datetime) -> Situation:
    if ticket is None:
        return Situation()
    if ticket.status == "claimed":
        return Situation(ticket.number, "同事已经接手")
    if ticket.respond_due > now:
        return Situation(ticket.number, f"{say(ticket.respond_due, now)}前有人在这里回复您")
    return Situation(ticket.number, "已经过了该回复的时间，已为您催办")


async def _conversation(
    session: AsyncSession, inbound: Inbound, who: str, now: datetime
) -> tuple[Conversation, Worker]:
    """The worker's row and talk, made at the first contact; the talk is locked until the transaction ends."""
    insert = postgres_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    both = (
        select(Conversation, Worker)
        .join(Worker, Worker.id == Conversation.worker_id)
        .where(Worker.channel == inbound.channel, Worker.address_hash == who)
        .with_for_update(of=Conversation)
    )
    found = (await session.execute(both)).first()
    if found is None:
        values = {
            "id": new_id(),
            "created_at": now,
            "channel": inbound.channel,
            "address_hash": who,
            "address": inbound.address,
            "reachable": True,
            "grant_left": 0,
        }
        await session.execute(insert(Worker).values(values).on_conflict_do_nothing())
        worker_id = await session.scalar(
            select(Worker.id).where(Worker.channel == inbound.channel, Worker.address_hash == who)
        )
        values = {
            "id": new_id(),
            "created_at": now,
            "worker_id": worker_id,
            "channel": inbound.channel,
            "mode": "bot",
            "state": {},
        }
        await session.execute(insert(Conversation).values(values).on_conflict_do_nothing())
        found = (await session.execute(both)).one()
    return found[0], found[1]


async def _store(
    session: AsyncSession, inbound: Inbound, conversation: Conversation, now: datetime, status: str
) -> uuid.UUID | None:
    """The key of this message's row, ours to answer; None when it was stored before and has been answered."""
    insert = postgres_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    key = new_id()
    values = {
        "id": key,
        "created_at": now,
        "conversation_id": conversation.id,
        "channel": inbound.channel,
        "external_id": inbound.external_id,
        "direction": "in",
        "kind": inbound.kind.value,
        "text": inbound.text,
        "payload": _payload(inbound),
        "status": status,
        "attempts": 0,
    }
    added = await session.execute(insert(Message).values(values).on_conflict_do_nothing().returning(Message.id))
    if added.first() is None:
        claimed = await session.execute(
            update(Message)
            .where(
                Message.channel == inbound.channel,
                Message.external_id == inbound.external_id,
                Message.status == "received",
            )
            .values(status=status)
            .returning(Message.id)
        )
        return claimed.scalar()
    return key


def _payload(inbound: Inbound) -> dict[str, object]:
    payload: dict[str, object] = dict(inbound.payload)
    if inbound.event:
        payload["event"] = inbound.event.value
    if inbound.option:
        payload["option"] = inbound.option
    return payload


async def _seen(session: AsyncSession, inbound: Inbound) -> Message | None:
    found: Message | None = await session.scalar(
        select(Message).where(Message.channel == inbound.channel, Message.external_id == inbound.external_id)
    )
    return found


async def _again(session: AsyncSession, seen: Message) -> Turned:
    """The reply that an earlier delivery was given; nothing when the outbox has taken it on, or it would come twice."""
    metrics.repeats.labels(channel=seen.channel).inc()
    out = await session.scalar(select(Message).where(Message.reply_to == seen.id).order_by(Message.id).limit(1))
    if out is None or out.attempts:
        return Turned(seen.conversation_id, repeated=True)
    return Turned(seen.conversation_id, out.id, out.text, repeated=True)


def _grant(worker: Worker, inbound: Inbound, now: datetime) -> None:
    """What the platform lets us push from now on; a new contact replaces what was left of the old grant."""
    if inbound.event is Event.UNSUBSCRIBE:
        worker.reachable, worker.grant_left = False, 0
        return
    worker.reachable = True
    if inbound.grant:
        worker.grant_rule, worker.grant_left = inbound.grant.rule, inbound.grant.sends
        worker.grant_until = now + inbound.grant.lasts


async def _standing(
    session: AsyncSession, conversation: Conversation, now: datetime
) -> tuple[int, bool, Ticket | None]:
    """How many messages came in the last minute, whether something is held for the worker, and the open ticket."""
    of_talk = Message.conversation_id == conversation.id
    recent = select(func.count()).where(of_talk, Message.direction == "in", Message.created_at > now - _MINUTE)
    held = select(Message.id).where(of_talk, Message.status == "held").exists()
    row = (
        await session.execute(
            select(recent.scalar_subquery(), held, Ticket)
            .select_from(Conversation)
            .outerjoin(Ticket, and_(Ticket.conversation_id == Conversation.id, Ticket.status != "closed"))
            .where(Conversation.id == conversation.id)
        )
    ).one()
    return row[0], bool(row[1]), row[2]


async def _release(session: AsyncSession, conversation: Conversation, now: datetime) -> None:
    """The worker is here again: what waited for them goes out."""
    await session.execute(
        update(Message)
        .where(Message.conversation_id == conversation.id, Message.status == "held")
        .values(status="pending", next_try_at=now)
    )


def _cannot_wait(understood: Understanding, ticket: Ticket | None) -> bool:
    """Danger, and the wish for a person, are heard also from somebody who writes too fast; once each."""
    if understood.danger is not None:
        return ticket is None or ticket.priority not in {"crisis", "urgent"}
    return understood.command is Command.PERSON and ticket is None


def _slow_down(conversation: Conversation, now: datetime) -> Decision:
    """Told once in a minute; the messages are stored all the same."""
    state = State.from_json(conversation.state)
    if conversation.limited_until and conversation.limited_until > now:
        return Decision("silent", state)
    conversation.limited_until = now + _MINUTE
    return Decision("talk", state, Reply(wording.LIMITED))


async def _reply(
    session: AsyncSession,
    conversation: Conversation,
    worker: Worker,
    connector: Connector,
    answers: uuid.UUID,
    reply: Reply,
    decision: Decision,
    now: datetime,
) -> Message:
    """Give the reply the channel's shape and store it; pages that do not fit wait for "更多"."""
    passive = connector.capabilities.passive_reply
    key = new_id()
    waiting = await _waiting(session, conversation, connector, now) if passive else []
    shaped = _shape(connector, worker, str(key), reply, decision.spoken)
    limit, whole = connector.capabilities.text_bytes, "\n\n".join([*waiting, shaped])
    first, *rest = pages(whole, limit) if limit else [whole]
    conversation.state = replace(decision.state, more=(*rest, *decision.state.more)).to_json()
    stored = connector.name == "web"
    out = Message(
        id=key,
        created_at=now,
        conversation_id=conversation.id,
        channel=conversation.channel,
        direction="out",
        text=first,
        payload=_shown(reply, decision),
        status="sent" if stored else "pending",
        sent_at=now if stored else None,
        next_try_at=None if stored else now + (_PASSIVE_GRACE if passive else timedelta()),
        reply_to=answers,
    )
    session.add(out)
    return out


async def _waiting(session: AsyncSession, conversation: Conversation, connector: Connector, now: datetime) -> list[str]:
    """Where we may never push, what staff wrote rides in front of the next passive reply."""
    if connector.capabilities.push:
        return []
    rows = (
        await session.scalars(
            select(Message)
            .where(
                Message.conversation_id == conversation.id,
                Message.direction == "out",
                Message.status.in_(("held", "pending")),
            )
            .order_by(Message.id)
        )
    ).all()
    for row in rows:
        row.status, row.sent_at, row.next_try_at = "sent", now, None
    return [row.text for row in rows]


def _shape(connector: Connector, worker: Worker, key: str, reply: Reply, spoken: str) -> str:
    """What the channel shows: options as it has them, or one short sentence in their place."""
    if spoken and not connector.capabilities.buttons:
        return connector.render(Outbound(key, worker.address, f"{reply.text}\n\n{spoken}", card=reply.card))
    return connector.render(Outbound(key, worker.address, reply.text, options=reply.options, card=reply.card))


def _shown(reply: Reply, decision: Decision) -> dict[str, object]:
    return {
        "options": [{"id": option.id, "label": option.label} for option in reply.options],
        "card": [{"kind": part.kind, "title": part.title, "text": part.text} for part in reply.card],
        "topic": decision.topic,
        "action": decision.action,
    }


def options_of(message: Message) -> Sequence[Option]:
    return [Option(item["id"], item["label"]) for item in message.payload.get("options", [])]


def card_of(message: Message) -> Sequence[Section]:
    return [Section(item["kind"], item["title"], item["text"]) for item in message.payload.get("card", [])]


async def answer_left_over(hotline: Hotline, *, older: timedelta = timedelta(seconds=30)) -> int:
    """Answer what was stored but not answered, because a process died or was late. Returns how many."""
    async with hotline.db.reading() as session:
        rows = (
            await session.execute(
                select(Message, Worker)
                .join(Conversation, Conversation.id == Message.conversation_id)
                .join(Worker, Worker.id == Conversation.worker_id)
                .where(Message.status == "received", Message.created_at < hotline.clock() - older)
                .order_by(Message.id)
                .limit(50)
            )
        ).all()
    for message, worker in rows:
        event = message.payload.get("event")
        inbound = Inbound(
            channel=message.channel,
            external_id=message.external_id or str(message.id),
            address=worker.address,
            kind=Kind(message.kind),
            sent_at=message.created_at,
            text=message.text,
            event=Event(event) if event else None,
            option=message.payload.get("option"),
            payload=message.payload,
        )
        with contextlib.suppress(LookupError):
            turned = await turn(hotline, inbound)
            if turned.message_id:
                await release(hotline, [turned.message_id])
    return len(rows)


async def release(hotline: Hotline, ids: Sequence[uuid.UUID]) -> None:
    """The response could not carry these replies: let the outbox send them now."""
    async with hotline.db.transaction() as session:
        await session.execute(
            update(Message).where(Message.id.in_(ids), Message.status == "pending").values(next_try_at=hotline.clock())
        )
    await hotline.bell.ring("outbox")
