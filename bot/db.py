"""The database: one engine, and `transaction()`, the only place that commits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from bot.errors import Unavailable
from bot.sqlite import Connection

_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "cache_size=-16000", "busy_timeout=20")
# How long another process may keep us from writing before we give up.
_BUSY = 5.0


class Database:
    """PostgreSQL or SQLite behind one face.

    SQLite lets one writer in at a time and makes the others poll; a lock in the process lines our own writers up
    instead, so that under load nobody waits longer than their turn.
    """

    def __init__(self, url: str) -> None:
        self.engine: AsyncEngine = _engine(url)
        self._sqlite = self.engine.dialect.name == "sqlite"
        self._writer = asyncio.Lock()
        self._committed = 0.0

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A unit of work: commits when the block ends, rolls back when it raises."""
        async with (
            self._writer if self._sqlite else contextlib.nullcontext(),
            AsyncSession(self.engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            if self._sqlite:
                await self._begin(session)
            yield session
        self._committed = time.monotonic()

    def is_busy(self) -> bool:
        """Whether work got done within the last second: then what waits is in a queue, and not in front of a wall."""
        return time.monotonic() - self._committed < 1.0

    async def _begin(self, session: AsyncSession) -> None:
        """SQLite would wait for another process on our event loop: we ask again instead, and others go on meanwhile."""
        connection = await session.connection()
        async with asyncio.timeout(_BUSY):
            while True:
                try:
                    await connection.exec_driver_sql("BEGIN IMMEDIATE")
                    return
                except OperationalError as error:
                    if "locked" not in str(error):
                        raise
                await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """Look things up; whatever is changed here is thrown away."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            yield session

    async def ping(self) -> None:
        """Raises `Unavailable` when the database does not answer within two seconds."""
        try:
            async with asyncio.timeout(2), self.reading() as session:
                await session.execute(text("SELECT 1"))
        except Exception as error:
            raise Unavailable(f"数据库没有回应（HOTLINE_DATABASE_URL）：{type(error).__name__}") from error

    async def close(self) -> None:
        await self.engine.dispose()


def _engine(url: str) -> AsyncEngine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_async_engine(
            url, pool_size=10, max_overflow=10, pool_pre_ping=True, pool_timeout=3, hide_parameters=True
        )
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)

    async def connect(*_: Any, **__: Any) -> Connection:
        return Connection(parsed.database or ":memory:")

    engine = create_async_engine(
        url, pool_size=10, max_overflow=20, pool_timeout=3, hide_parameters=True, async_creator=connect
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _open(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine
