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
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot import handoff, inbox, metrics, privacy
from bot.dialogue import wording
from bot.dialogue.decide import danger, decide
from bot.dialogue.state import Decision, Handoff, Heard, Situation, State
from bot.duty import BEIJING, say
from bot.hotline import Hotline
from bot.inbox import Talk
from bot.models import Conversation, Message, Ticket, Worker, new_id
from connectors.abilities import Fetches
from connectors.base import Connector, Event, Inbound, Kind, Option, Outbound, Reply, Section
from connectors.pages import pages
from intents.engine import Command, Understanding

log = structlog.get_logger(__name__)

# How long the outbox leaves a reply alone that was put into a webhook's response: longer than the platform's retries.
_PASSIVE_GRACE = timedelta(seconds=20)
_MINUTE = timedelta(minutes=1)
# A platform's own desk gives a talk back by itself; should that news be lost, we speak again after as long.
_ELSEWHERE = timedelta(hours=48)
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


async def keep(hotline: Hotline, *messages: Inbound, at: tuple[str, str, str] | None = None) -> None:
    """Store messages that cannot be answered in time, so that they may be acknowledged; the sweep answers them.

    With them, in one step, how far their queue was read: `at` is (channel, queue, position).
    """
    now = hotline.clock()
    async with hotline.db.transaction() as session:
        for inbound in messages:
            talk = await inbox.find_talk(session, inbound, privacy.fingerprint(inbound.channel, inbound.address), now)
            await inbox.note_contact(session, talk, inbound, now)
            await inbox.store(session, inbound, talk, now, "received")
        if at is not None:
            await inbox.move_cursor(session, *at, now)


async def _understand(hotline: Hotline, inbound: Inbound) -> Understanding:
    if not inbound.text or (inbound.kind is Kind.EVENT and inbound.event is not Event.MENU):
        return Understanding(text="")
    with metrics.stage("understand"):
        return await hotline.engine.understand(inbound.text, crowd=len(_turns))


async def _turn(
    session: AsyncSession, hotline: Hotline, inbound: Inbound, who: str, understood: Understanding
) -> tuple[Turned, list[tuple[str, dict[str, str]]]]:
    now = hotline.clock()
    talk = await inbox.find_talk(session, inbound, who, now)
    key = await inbox.store(session, inbound, talk, now, "handled")
    if key is None:
        seen = await inbox.seen(session, inbound)
        if seen is None:
            raise LookupError("a message that is there and is not")
        return await _again(session, seen), []
    connector = hotline.connectors[inbound.channel]
    await inbox.note_contact(session, talk, inbound, now)
    if isinstance(connector, Fetches) and (source := connector.media(inbound)):
        await inbox.attach(session, inbound, key, source, now)
    recent, held, ticket = await inbox.standing(session, talk, now)
    if held and connector.capabilities.push:
        await inbox.release_held(session, talk, now)
    rings: list[tuple[str, dict[str, str]]] = [("desk", {"ticket": ticket.number})] if ticket else []
    if recent > hotline.settings.worker_rate and not _cannot_wait(understood, ticket):
        decision = _slow_down(talk, now)
    else:
        decision = _decide(hotline, connector, talk, inbound, understood, ticket, now)
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
            talk,
            ticket,
            decision.handoff,
            decision.state,
            hotline.knowledge.catalog,
            hotline.hours,
            now,
        )
        reply = replace(reply, text=f"{reply.text}\n\n{told}") if reply else Reply(told)
        rings = [("desk", {"ticket": opened.number, "priority": opened.priority, "new": "1"})]
    if reply is None or _is_elsewhere(talk, now):
        talk.state = decision.state.to_json()
        await inbox.keep_talk(session, talk)
        return Turned(talk.id), rings
    said = await _reply(session, talk, inbound.address, connector, key, reply, decision, now)
    if connector.capabilities.stored:
        rings.append((f"chat:{talk.id}", {}))
    return replace(said, ticket=opened.number if opened else None), rings


def _decide(
    hotline: Hotline,
    connector: Connector,
    talk: Talk,
    inbound: Inbound,
    understood: Understanding,
    ticket: Ticket | None,
    now: datetime,
) -> Decision:
    """Silence while a person holds the talk, but for danger; the next page; else the dialogue."""
    state = State.from_json(talk.state)
    if inbound.event in {Event.TAKEN, Event.RETURNED}:
        talk.elsewhere_until = now + _ELSEWHERE if inbound.event is Event.TAKEN else None
        return Decision("silent", state)
    if talk.mode == "human" or _is_elsewhere(talk, now):
        if understood.danger is not None:
            return danger(state, understood.danger)
        return Decision("silent", state)
    stale = connector.capabilities.stale_after
    if stale and now - inbound.sent_at > stale and inbound.kind is not Kind.EVENT and understood.danger is None:
        return Decision("handoff", state, Reply(wording.SEEN_LATE), handoff=Handoff("late", "priority"))
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


def _is_elsewhere(talk: Talk, now: datetime) -> bool:
    return talk.elsewhere_until is not None and talk.elsewhere_until > now


async def _again(session: AsyncSession, seen: Message) -> Turned:
    """The reply that an earlier delivery was given; nothing when the outbox has taken it on, or it would come twice."""
    metrics.repeats.labels(channel=seen.channel).inc()
    out = await session.scalar(select(Message).where(Message.reply_to == seen.id).order_by(Message.id).limit(1))
    if out is None or out.attempts:
        return Turned(seen.conversation_id, repeated=True)
    return Turned(seen.conversation_id, out.id, out.text, repeated=True)


def _cannot_wait(understood: Understanding, ticket: Ticket | None) -> bool:
    """Danger, and the wish for a person, are heard also from somebody who writes too fast; once each."""
    if understood.danger is not None:
        return ticket is None or ticket.priority not in {"crisis", "urgent"}
    return understood.command is Command.PERSON and ticket is None


def _slow_down(talk: Talk, now: datetime) -> Decision:
    """Told once in a minute; the messages are stored all the same."""
    state = State.from_json(talk.state)
    if talk.limited_until and talk.limited_until > now:
        return Decision("silent", state)
    talk.limited_until = now + _MINUTE
    return Decision("talk", state, Reply(wording.LIMITED))


async def _reply(
    session: AsyncSession,
    talk: Talk,
    address: str,
    connector: Connector,
    answers: uuid.UUID,
    reply: Reply,
    decision: Decision,
    now: datetime,
) -> Turned:
    """Give the reply the channel's shape and store it; pages that do not fit wait for "更多"."""
    able, key = connector.capabilities, new_id()
    waiting = await _waiting(session, talk, now) if able.passive_reply and not able.push else []
    shaped = _shape(connector, address, str(key), reply, decision.spoken)
    whole = "\n\n".join([*waiting, shaped])
    first, *rest = pages(whole, able.text_bytes) if able.text_bytes else [whole]
    talk.state = replace(decision.state, more=(*rest, *decision.state.more)).to_json()
    await inbox.add_reply(
        session,
        talk,
        id=key,
        created_at=now,
        text=first,
        payload=_shown(reply, decision),
        status="sent" if able.stored else "pending",
        sent_at=now if able.stored else None,
        next_try_at=None if able.stored else now + (_PASSIVE_GRACE if able.passive_reply else timedelta()),
        reply_to=answers,
    )
    await inbox.keep_talk(session, talk)
    return Turned(talk.id, key, first)


async def _waiting(session: AsyncSession, talk: Talk, now: datetime) -> list[str]:
    """Where we may never push, what staff wrote rides in front of the next passive reply."""
    rows = (
        await session.scalars(
            select(Message)
            .where(
                Message.conversation_id == talk.id,
                Message.direction == "out",
                Message.status.in_(("held", "pending")),
            )
            .order_by(Message.id)
        )
    ).all()
    for row in rows:
        row.status, row.sent_at, row.next_try_at = "sent", now, None
    return [row.text for row in rows]


def _shape(connector: Connector, address: str, key: str, reply: Reply, spoken: str) -> str:
    """What the channel shows: options as it has them, or one short sentence in their place."""
    if spoken and not connector.capabilities.buttons:
        return connector.render(Outbound(key, address, f"{reply.text}\n\n{spoken}", card=reply.card))
    return connector.render(Outbound(key, address, reply.text, options=reply.options, card=reply.card))


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
