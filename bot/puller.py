"""Fetch what waits in the platforms' queues: store a page with its cursor in one step, then answer it.

1. One process at a time empties a queue; the lock falls off by itself when that process dies.
2. A page and the place where the next one begins are stored together: a restart answers nobody twice and skips nobody.
3. Workers are answered side by side, the messages of each in their order. What fails is left to the sweep.
"""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta

import structlog

from bot import conversation, inbox, metrics
from bot.errors import Unavailable
from bot.hotline import Hotline
from connectors.abilities import Pulled, Pulls
from connectors.base import Inbound, SendError

log = structlog.get_logger(__name__)

# Longer than the longest we wait for a page (25 s); after a process was killed a queue rests for as long.
_LEASE = timedelta(seconds=45)
# What failed is tried again after so many seconds, and then waits for the next ring or look.
_PAUSES = (1.0, 5.0, 15.0, 60.0)
_SIDE_BY_SIDE = 20
_process = secrets.token_hex(8)


async def run(hotline: Hotline, connector: Pulls) -> None:
    """Empty the queues of one channel for ever: when it rings, and every so often in case it did not."""
    every = connector.every.total_seconds()
    async for rung in hotline.bell.listen(f"pull:{connector.name}", every=every):
        left = {rung["queue"]: rung.get("ticket", "")} if rung else None
        for pause in _PAUSES:
            left, wait = await _look(hotline, connector, left)
            if left == {}:
                break
            await asyncio.sleep(max(pause, wait.total_seconds()))


async def _look(
    hotline: Hotline, connector: Pulls, queues: dict[str, str] | None
) -> tuple[dict[str, str] | None, timedelta]:
    """Empty these queues (by name, with their tickets), or all of them when None. Gives back what failed for now and
    how long the platform wants to be left alone; a queue that is refused does not keep the others waiting."""
    again: dict[str, str] = {}
    wait = timedelta()
    try:
        queues = await _known(hotline, connector) if queues is None else queues
    except Exception as error:
        return None, _failed(connector, error)
    for queue, ticket in queues.items():
        try:
            await empty(hotline, connector, queue, ticket)
        except Exception as error:
            wait = max(wait, _failed(connector, error))
            if not isinstance(error, SendError) or error.retryable:
                again[queue] = ticket
    return again, wait


async def _known(hotline: Hotline, connector: Pulls) -> dict[str, str]:
    """The queues we have read before and those the platform lists; when it lists none now, the former alone."""
    async with hotline.db.reading() as session:
        queues = dict.fromkeys(await inbox.read_cursor(session, connector.name), "")
    try:
        return queues | dict.fromkeys(await connector.queues(), "")
    except SendError as error:
        if not queues:
            raise
        _failed(connector, error)
        return queues


def _failed(connector: Pulls, error: Exception) -> timedelta:
    """Note it, and say how long the platform wants to be left alone."""
    reason = error.reason if isinstance(error, SendError) else type(error).__name__
    log.warning("pull_failed", channel=connector.name, reason=reason)
    metrics.pulls.labels(channel=connector.name, result="failed").inc()
    return (error.after if isinstance(error, SendError) else None) or timedelta()


async def empty(hotline: Hotline, connector: Pulls, queue: str, ticket: str = "") -> int:
    """Fetch pages until none is left, unless another process is at it. Returns how many messages there were.

    Raises `SendError` when the platform refuses, and what the database raises; what was stored before stays.
    """
    lock, count = f"puller:{connector.name}:{queue}", 0
    try:
        while await hotline.bell.hold(lock, _process, ttl=_LEASE):
            async with hotline.db.reading() as session:
                cursor = (await inbox.read_cursor(session, connector.name)).get(queue, "")
            page = await connector.pull(queue, cursor, ticket)
            await _keep(hotline, connector, queue, cursor, page)
            metrics.pulls.labels(channel=connector.name, result="page").inc()
            count += len(page.messages)
            await _answer(hotline, page)
            if not page.more:
                break
    finally:
        try:
            await hotline.bell.delete_if(lock, _process)
        except Unavailable:
            log.warning("puller_lock_left", channel=connector.name)
    return count


async def _keep(hotline: Hotline, connector: Pulls, queue: str, cursor: str, page: Pulled) -> None:
    if page.messages or page.cursor != cursor:
        await conversation.keep(hotline, *page.messages, at=(connector.name, queue, page.cursor))


async def _answer(hotline: Hotline, page: Pulled) -> None:
    gate = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def one(messages: list[Inbound]) -> None:
        async with gate:
            for inbound in messages:
                try:
                    turned = await conversation.turn(hotline, inbound)
                except Exception as error:
                    log.warning("left_to_the_sweep", channel=inbound.channel, error=type(error).__name__)
                    return
                if turned.message_id:
                    await hotline.bell.ring("outbox")

    await asyncio.gather(*(one(messages) for messages in inbox.by_worker(page.messages)))
