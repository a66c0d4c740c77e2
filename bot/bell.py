"""Redis: wakes a worker, tells open consoles, keeps locks and tokens. What it forgets costs a minute, no message."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Iterator
from datetime import timedelta
from typing import Any

import redis.asyncio as redis
import structlog
from redis.exceptions import RedisError

from bot.errors import Unavailable

log = structlog.get_logger(__name__)

# Deletes or renews only what is still ours (the usual compare-and-delete, in one step on the server).
_DELETE_IF = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"


# Takes a lock, or renews it when it is ours already.
_HOLD = (
    "local v = redis.call('get', KEYS[1]) "
    "if v and v ~= ARGV[1] then return 0 end "
    "redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2]) return 1"
)

_COUNT = "local n = redis.call('incr', KEYS[1]) if n == 1 then redis.call('pexpire', KEYS[1], ARGV[1]) end return n"


class Bell:
    """Rings: `outbox` (something is to be sent), `desk` (a ticket or its thread changed), `chat:<id>` (a reply),
    `pull:<channel>` (something is to be fetched), `files` (a file is to be fetched)."""

    def __init__(self, url: str, prefix: str = "hotline:") -> None:
        self._redis = redis.Redis.from_url(
            url, decode_responses=True, socket_timeout=2, socket_connect_timeout=2, health_check_interval=30
        )
        self._prefix = prefix
        self._silent = asyncio.Event()

    async def ring(self, topic: str, **facts: str) -> None:
        """Tell whoever listens. A Redis that is away is logged and forgiven: the sweep finds what no bell rang for."""
        try:
            await self._redis.publish(self._prefix + topic, json.dumps(facts))
        except (RedisError, OSError) as error:
            log.warning("bell_silent", topic=topic.partition(":")[0], error=type(error).__name__)

    async def listen(self, *topics: str, every: float = 15.0) -> AsyncGenerator[dict[str, str] | None, None]:
        """Yields the facts of each ring, and None every `every` seconds of silence; reconnects by itself until
        `fall_silent`."""
        while not self._silent.is_set():
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(*(self._prefix + topic for topic in topics))
                    yield {}  # What was rung before we listened is unknown: look once.
                    while True:
                        message = await self._heard(pubsub, every)
                        if self._silent.is_set():
                            return
                        yield json.loads(message["data"]) if message else None
            except (RedisError, OSError) as error:
                log.warning("bell_lost", error=type(error).__name__)
                yield None
                await asyncio.sleep(1)

    async def _heard(self, pubsub: redis.client.PubSub, every: float) -> dict[str, Any] | None:
        reading = asyncio.ensure_future(pubsub.get_message(ignore_subscribe_messages=True, timeout=every))
        silence = asyncio.ensure_future(self._silent.wait())
        try:
            await asyncio.wait({reading, silence}, return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else None
        finally:
            reading.cancel()
            silence.cancel()

    def fall_silent(self) -> None:
        """Everybody in this process who listens is done: their streams end by themselves instead of being cut off."""
        self._silent.set()

    async def get(self, key: str) -> str | None:
        with _translated():
            found = await self._redis.get(self._prefix + key)
        return None if found is None else str(found)

    async def set(self, key: str, value: str, *, ttl: timedelta) -> None:
        with _translated():
            await self._redis.set(self._prefix + key, value, px=ttl)

    async def count(self, key: str, *, ttl: timedelta) -> int:
        """One more under `key`; how many that makes. The count falls off `ttl` after its first one."""
        with _translated():
            counted: Any = await self._redis.eval(_COUNT, 1, self._prefix + key, str(int(ttl.total_seconds() * 1000)))
        return int(counted)

    async def delete_if(self, key: str, value: str) -> bool:
        with _translated():
            deleted: Any = await self._redis.eval(_DELETE_IF, 1, self._prefix + key, value)
        return bool(deleted)

    async def acquire(self, key: str, token: str, *, ttl: timedelta) -> bool:
        with _translated():
            taken = await self._redis.set(self._prefix + key, token, px=ttl, nx=True)
        return bool(taken)

    async def hold(self, key: str, token: str, *, ttl: timedelta) -> bool:
        """Take the lock or, when it is ours, keep it for another `ttl`; False when somebody else has it."""
        with _translated():
            held: Any = await self._redis.eval(
                _HOLD, 1, self._prefix + key, token, str(int(ttl.total_seconds() * 1000))
            )
        return bool(held)

    async def ping(self) -> None:
        """Raises `Unavailable` when Redis does not answer within two seconds."""
        with _translated():
            async with asyncio.timeout(2):
                await self._redis.ping()

    async def close(self) -> None:
        await self._redis.aclose()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise Unavailable("Redis 没有回应") from error
