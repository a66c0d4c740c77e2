"""Webhooks: verify, take the turn, answer in the response when there is time. Never 5xx, never HTML."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Coroutine

import structlog
from fastapi import APIRouter, Response
from fastapi import Request as HttpRequest

from bot import conversation, metrics, passive
from bot.conversation import Turned
from bot.dialogue import wording
from bot.hotline import Hotline
from bot.outbox import Receipts
from connectors.abilities import Transfers, Types
from connectors.base import Connector, Delivery, Handshake, Inbound, Outbound, Refused, Request
from connectors.base import Response as Answer

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/webhooks", include_in_schema=False)

# Telegram writes each character of 4,096 as \uXXXX twice over; a connector may want less.
MAX_BODY = 256 * 1024
_background: set[asyncio.Task[None]] = set()


class _NotKept(Exception):
    """The message could not be stored, and the channel's response cannot tell the worker so."""


@router.api_route("/{channel}", methods=["GET", "POST"])
async def webhook(channel: str, http: HttpRequest) -> Response:
    hotline: Hotline = http.app.state.hotline
    connector = hotline.connectors.get(channel)
    if connector is None or connector.capabilities.stored:
        return _plain("no such channel", 404)
    try:
        body = await _body(http)
        request = Request(http.method, dict(http.query_params), dict(http.headers), body, hotline.clock())
        with metrics.stage("parse"):
            parsed = connector.parse(request)
    except Refused as refusal:
        metrics.refused.labels(channel=channel, status=str(refusal.status)).inc()
        log.info("refused", channel=channel, status=refusal.status, reason=refusal.reason)
        return _plain("refused", refusal.status)
    if isinstance(parsed, Handshake):
        return _plain(parsed.body, 200)
    metrics.last_push.labels(channel=channel).set(time.time())
    if parsed.ring is not None:
        await hotline.bell.ring(f"pull:{channel}", queue=parsed.ring.queue, ticket=parsed.ring.ticket)
    return await _take(hotline, connector, parsed, http.app.state.receipts)


async def _take(hotline: Hotline, connector: Connector, delivery: Delivery, receipts: Receipts) -> Response:
    answer = connector.acknowledge(delivery)
    for inbound in delivery.messages:
        try:
            turned = await _in_time(hotline, connector, inbound)
        except _NotKept:
            # The platform asks again, and that is what we want.
            return _plain("not kept, send it again", 503)
        if isinstance(turned, str):
            answer = connector.reply(delivery, inbound, turned)
        elif turned is not None and turned.text is not None and connector.capabilities.passive_reply:
            if turned.to_desk and (desk := await _to_desk(hotline, connector, delivery, inbound, turned)):
                answer = desk
                continue
            with metrics.stage("reply"):
                answer = connector.reply(delivery, inbound, turned.text)
            if turned.message_id:
                receipts.add(turned.message_id)
        elif turned is not None and turned.message_id is not None:
            await hotline.bell.ring("outbox")
    return Response(answer.body, media_type=answer.media_type)


async def _to_desk(
    hotline: Hotline, connector: Connector, delivery: Delivery, inbound: Inbound, turned: Turned
) -> Answer | None:
    """The response that brings the worker to the platform's own desk; our words about the ticket then go by push."""
    if not isinstance(connector, Transfers) or not turned.message_id:
        return None
    answer = await connector.transfer(delivery, inbound)
    if answer is not None:
        await conversation.release(hotline, [turned.message_id])
    return answer


async def _in_time(hotline: Hotline, connector: Connector, inbound: Inbound) -> Turned | str | None:
    """The turn, if it ends within the budget; None when it goes on behind the acknowledgement; a plain apology as text
    when the database is away and the channel can still carry one."""
    late = asyncio.Event()
    turn = asyncio.create_task(conversation.turn(hotline, inbound, late))
    try:
        async with asyncio.timeout(hotline.settings.reply_budget):
            return await asyncio.shield(turn)
    except TimeoutError:
        if not turn.done():
            return await _late(hotline, connector, inbound, turn, late)
    except Exception as error:
        log.error("turn_failed", channel=inbound.channel, error=type(error).__name__, detail=str(error)[:200])
    return _apology(connector, inbound)


async def _late(
    hotline: Hotline, connector: Connector, inbound: Inbound, turn: asyncio.Task[Turned], late: asyncio.Event
) -> Turned | str | None:
    """Store the message, acknowledge it, and let the outbox bring the answer when it is ready.

    Where we may only answer, the worker is told to write once more: the answer rides on that.
    """
    metrics.late.labels(channel=inbound.channel).inc()
    try:
        async with asyncio.timeout(0.5):
            await conversation.keep(hotline, inbound)
    except TimeoutError:
        if not hotline.db.is_busy():
            turn.add_done_callback(_swallow)
            return _apology(connector, inbound)
        # Too busy even for that. Not acknowledged, the platform sends it again, and that delivery joins this turn.
        log.warning("not_kept_yet", channel=inbound.channel)
        return await _at_last(connector, inbound, turn)
    except Exception as error:
        log.error("not_kept", channel=inbound.channel, error=type(error).__name__)
        turn.add_done_callback(_swallow)
        return _apology(connector, inbound)
    if turn.done():
        return await _at_last(connector, inbound, turn)
    late.set()
    turn.add_done_callback(_swallow)
    if passive.only_answers(connector.capabilities):
        return connector.render(Outbound(str(uuid.uuid4()), inbound.address, wording.LATE))
    if isinstance(connector, Types):
        _beside(connector.typing(inbound.address))
    return None


def _beside(work: Coroutine[None, None, None]) -> None:
    task = asyncio.create_task(work)
    _background.add(task)
    task.add_done_callback(_background.discard)


async def _at_last(connector: Connector, inbound: Inbound, turn: asyncio.Task[Turned]) -> Turned | str | None:
    try:
        return await turn
    except Exception as error:
        log.error("turn_failed", channel=inbound.channel, error=type(error).__name__)
        return _apology(connector, inbound)


def _swallow(turn: asyncio.Task[Turned]) -> None:
    if not turn.cancelled() and (error := turn.exception()):
        log.error("late_turn_failed", error=type(error).__name__)


def _apology(connector: Connector, inbound: Inbound) -> str:
    """Raises `_NotKept` where the response carries no words."""
    if not connector.capabilities.passive_reply:
        raise _NotKept
    return connector.render(Outbound(str(uuid.uuid4()), inbound.address, wording.TROUBLE))


async def _body(http: HttpRequest) -> bytes:
    """The body up to its cap. Raises `Refused`(413) without reading on, (400) when the caller goes away."""
    length = http.headers.get("content-length", "")
    if length.isdigit() and int(length) > MAX_BODY:
        raise Refused("body too large", 413)
    body = bytearray()
    async for chunk in http.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise Refused("body too large", 413)
    return bytes(body)


def _plain(text: str, status: int) -> Response:
    return Response(text, status_code=status, media_type="text/plain; charset=utf-8")
