"""SQLite on the event loop: transactions hold, another writer is waited for without stopping anybody else."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError, IntegrityError

from bot.db import Database


@pytest.fixture
async def database(tmp_path: Path) -> Database:
    found = Database(f"sqlite+aiosqlite:///{tmp_path}/new folder/a b.db")
    async with found.transaction() as session:
        await session.execute(text("CREATE TABLE said (key INTEGER PRIMARY KEY, words TEXT UNIQUE)"))
    return found


async def write(database: Database, *words: str) -> None:
    async with database.transaction() as session:
        await session.execute(text("INSERT INTO said (words) VALUES (:words)"), [{"words": word} for word in words])


async def count(database: Database) -> int:
    async with database.reading() as session:
        found: int = (await session.execute(text("SELECT count(*) FROM said"))).scalar_one()
        return found


async def test_what_raises_leaves_nothing_behind(database: Database) -> None:
    await write(database, "a")
    with pytest.raises(IntegrityError):
        await write(database, "b", "a")
    with pytest.raises(LookupError):
        await _write_and_fail(database)
    assert await count(database) == 1
    await database.close()


async def _write_and_fail(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(text("INSERT INTO said (words) VALUES ('c')"))
        raise LookupError


async def test_many_writers_line_up(database: Database) -> None:
    await asyncio.gather(*(write(database, f"word {n}") for n in range(100)))
    assert await count(database) == 100
    await database.close()


async def test_a_task_that_is_cancelled_gives_its_turn_back(database: Database) -> None:
    async def hold() -> None:
        async with database.transaction() as session:
            await session.execute(text("INSERT INTO said (words) VALUES ('held')"))
            await asyncio.sleep(60)

    task = asyncio.create_task(hold())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await write(database, "after")
    assert await count(database) == 1
    await database.close()


async def test_readers_see_what_was_there_while_somebody_writes(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(text("INSERT INTO said (words) VALUES ('a')"))
        assert await count(database) == 0
    assert await count(database) == 1
    await database.close()


async def test_another_process_that_writes_is_waited_for_and_stops_nobody_else(
    database: Database, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "new folder" / "a b.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(write(database, "late"))
    beats, longest = time.perf_counter(), 0.0
    for _ in range(20):
        await asyncio.sleep(0.01)
        longest, beats = max(longest, time.perf_counter() - beats), time.perf_counter()
    assert not waiting.done()
    assert longest < 1
    other.execute("COMMIT")
    other.close()
    await waiting
    assert await count(database) == 1
    await database.close()


async def test_a_fault_that_is_not_a_lock_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_bytes(b"not a database" * 100)
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/no.db")
    with pytest.raises(DatabaseError, match="not a database"):
        async with database.transaction():
            pass
    await database.close()
