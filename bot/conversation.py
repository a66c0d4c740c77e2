"""A worker's message in, one reply out: stored once, understood, decided, answered, in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot import handoff, inbox, linking, metrics, passive, privacy
from bot.dialogue import wording
from bot.dialogue.decide import danger, decide
from bot.dialogue.state import Decision, Handoff, Heard, Situation, State
from bot.duty import BEIJING, say
from bot.hotline import Hotline
from bot.inbox import Talk
from bot.models import Conversation, Message, Ticket, Worker, new_id
from connectors.abilities import Fetches
from connectors.base import Connector, Event, Inbound, Kind, Option, Outbound, Reply
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
    """What became of one message. `text` is what to put into the response; None when there is nothing to say now.

    `to_desk`: a person was asked for while colleagues are on duty, so a platform's own desk may take over.
    """

    conversation_id: uuid.UUID
    message_id: uuid.UUID | None = None
    text: str | None = None
    repeated: bool = False
    ticket: str | None = None
    to_desk: bool = False


async def turn(hotline: Hotline, inbound: Inbound, late: asyncio.Event | None = None) -> Turned:
    """Take one message to its reply. Called again with the same message, it returns the reply already made.

    Messages of one worker are taken in the order they came in. Raises what the database raises; nothing is kept then,
    and the platform's next delivery starts afresh. `late` is set by a caller who could not wait: where we may only
    answer, the reply is then held for the next message.
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
        # Nothing is awaited between this look and the end: whoever finds the turn undone has been seen here. A repeat
        # finds the reply in the outbox's hands then, and does not carry it as well.
        if late is not None and late.is_set() and turned.message_id and not turned.repeated:
            if passive.only_answers(hotline.connectors[inbound.channel].capabilities):
                await _hold(hotline, turned.message_id)
            else:
                await release(hotline, [turned.message_id])
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
        return await _again(session, seen, now), []
    connector = hotline.connectors[inbound.channel]
    await inbox.note_contact(session, talk, inbound, now)
    waits: list[tuple[str, dict[str, str]]] = []
    if (source := _file_of(connector, inbound)) is not None:
        await inbox.attach(session, inbound, key, source, now)
        waits.append(("files", {}))
    await inbox.note_consent(session, talk, inbound)
    recent, held, ticket = await inbox.standing(session, talk, now)
    waiting = await passive.unread(session, talk, now) if passive.only_answers(connector.capabilities) else []
    more = State.from_json(talk.state).more if passive.continues(waiting) else ()
    if held and connector.capabilities.push and (inbound.grant or connector.capabilities.quota is None):
        await inbox.release_held(session, talk, now)
    rings: list[tuple[str, dict[str, str]]] = [("desk", {"ticket": ticket.number})] if ticket else []
    if undelivered := inbound.payload.get("undelivered"):
        await inbox.mark_undelivered(session, talk, str(undelivered), str(inbound.payload.get("note", "")))
    changed_hands = inbound.event in {Event.TAKEN, Event.RETURNED}
    if recent > hotline.settings.worker_rate and not changed_hands and not _cannot_wait(understood, ticket):
        decision = _slow_down(talk, now)
    elif passive.only_fetches(inbound, understood, waiting, hotline.bands):
        decision = Decision("fetch", State.from_json(talk.state))
    else:
        decision = await linking.answer(
            session, talk, inbound, understood, lambda each: _situation(hotline, each, now).ticket_line, now
        ) or _decide(hotline, connector, talk, inbound, understood, ticket, now)
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
    ready = passive.hand_out(waiting, more, now)
    if more and decision.state.more == more:
        decision = replace(decision, state=replace(decision.state, more=()))
    if (reply is None and not ready) or _is_elsewhere(talk, now):
        talk.state = decision.state.to_json()
        await inbox.keep_talk(session, talk)
        return Turned(talk.id), [*rings, *waits]
    said = await _reply(session, talk, inbound.address, connector, key, reply or Reply(""), decision, ready, now)
    if connector.capabilities.stored:
        rings.append((f"chat:{talk.id}", {}))
    asked = decision.handoff is not None and decision.handoff.reason in {"asked", "offered"}
    to_desk = asked and hotline.hours.on_duty(now)
    return replace(said, ticket=opened.number if opened else None, to_desk=to_desk), [*rings, *waits]


def _file_of(connector: Connector, inbound: Inbound) -> Mapping[str, Any] | None:
    """What finds the file of this message, empty when the message brought it along; None when there is none."""
    if "upload" in inbound.payload:
        return {}
    return connector.media(inbound) or None if isinstance(connector, Fetches) else None


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
        if inbound.event is Event.RETURNED and inbound.grant and talk.mode == "bot":
            return Decision("talk", state, Reply(wording.BACK))
        return Decision("silent", state)
    if talk.mode == "human" or _is_elsewhere(talk, now):
        if understood.danger is not None:
            return danger(state, understood.danger)
        return Decision("silent", state)
    if inbound.payload.get("heard") and not connector.capabilities.push:
        # They were asked to type, and what they typed would be answered by this.
        return danger(state, understood.danger) if understood.danger else Decision("silent", state)
    stale = connector.capabilities.stale_after
    if stale and now - inbound.sent_at > stale and inbound.kind is not Kind.EVENT and understood.danger is None:
        if ticket is not None and any(cause["reason"] == "late" for cause in ticket.sheet.get("causes", [])):
            # Told once: the others of the same outage are in the ticket's thread.
            return Decision("silent", state)
        return Decision("handoff", state, Reply(wording.SEEN_LATE), handoff=Handoff("late", "priority"))
    if understood.command is Command.MORE and understood.pure and state.more:
        return Decision("talk", replace(state, more=state.more[1:]), Reply(state.more[0]))
    heard = Heard(inbound.kind, inbound.text, inbound.event, inbound.option, inbound.payload.get("site") or "")
    return decide(
        replace(state, more=()),
        heard,
        understood,
        hotline.knowledge.catalog,
        hotline.bands,
        now.astimezone(BEIJING).date(),
        replace(_situation(hotline, ticket, now), listening=_is_listening(hotline, connector, inbound)),
    )


def _is_listening(hotline: Hotline, connector: Connector, inbound: Inbound) -> bool:
    """Whether this recording is being written down, and the channel lets us come back to it."""
    if inbound.kind is not Kind.VOICE or not hotline.settings.asr_url or not connector.capabilities.push:
        return False
    return _file_of(connector, inbound) is not None


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


async def _again(session: AsyncSession, seen: Message, now: datetime) -> Turned:
    """The reply that an earlier delivery was given; nothing when the outbox has it, or it would come twice."""
    metrics.repeats.labels(channel=seen.channel).inc()
    out = await session.scalar(select(Message).where(Message.reply_to == seen.id).order_by(Message.id).limit(1))
    if out is None or out.attempts or (out.status == "pending" and out.next_try_at and out.next_try_at <= now):
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
    ready: Sequence[str],
    now: datetime,
) -> Turned:
    """Give the reply the channel's shape and store it; pages that do not fit wait for "更多".

    `ready` is what the worker should have read before.
    """
    able, key = connector.capabilities, new_id()
    shaped = _shape(connector, address, str(key), reply, decision.spoken)
    whole = "\n\n".join(text for text in (*ready, shaped) if text)
    first, *rest = pages(whole, able.text_bytes) if able.text_bytes else [whole]
    talk.state = replace(decision.state, more=(*rest, *decision.state.more)).to_json()
    # What is urgent goes at once; all else waits for what the outbox is about to send, or it would be read before it.
    queues = able.passive_reply and able.push and decision.action != "danger"
    behind = queues and await inbox.is_queued(session, talk, now)
    due = now + _PASSIVE_GRACE if able.passive_reply and not behind else now
    await inbox.add_reply(
        session,
        talk,
        id=key,
        created_at=now,
        text=first,
        payload=_shown(reply, decision),
        status="sent" if able.stored else "pending",
        sent_at=now if able.stored else None,
        next_try_at=None if able.stored else due,
        reply_to=answers,
    )
    await inbox.keep_talk(session, talk)
    return Turned(talk.id, key, None if behind else first)


async def _hold(hotline: Hotline, key: uuid.UUID) -> None:
    """The response said that the answer comes with the next message: there it goes, and nowhere else."""
    async with hotline.db.transaction() as session:
        await session.execute(
            update(Message)
            .where(Message.id == key, Message.status == "pending")
            .values(status="held", next_try_at=None)
        )


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
