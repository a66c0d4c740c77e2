"""SQLite without a thread behind every statement: a local file answers in microseconds, a thread's turn takes longer.

SQLAlchemy asks its asynchronous driver some five times for each statement; handing each over to a thread and back costs
more than the statements themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Self


class Cursor:
    """An asynchronous face on a cursor of the standard library; nothing here ever waits."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, statement: str, parameters: Any = ()) -> Self:
        self._cursor.execute(statement, parameters)
        return self

    async def executemany(self, statement: str, parameters: Iterable[Any]) -> Self:
        self._cursor.executemany(statement, parameters)
        return self

    async def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()

    async def fetchone(self) -> Any:
        return self._cursor.fetchone()

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        return self._cursor.fetchmany(self._cursor.arraysize if size is None else size)

    async def close(self) -> None:
        self._cursor.close()

    @property
    def description(self) -> Any:
        return self._cursor.description

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    @property
    def lastrowid(self) -> int | None:
        return self._cursor.lastrowid

    @property
    def arraysize(self) -> int:
        return self._cursor.arraysize


class Connection:
    """What SQLAlchemy's dialect asks of an `aiosqlite` connection.

    It begins nothing by itself: that would be a reader, and a reader that turns writer can fail.
    """

    def __init__(self, path: str) -> None:
        # Closed by whichever thread collects what a cancelled task left behind.
        self._connection: sqlite3.Connection | None = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False
        )

    def cursor(self) -> Cursor:
        return Cursor(self._open().cursor())

    async def execute(self, statement: str) -> None:
        self._open().execute(statement)

    async def commit(self) -> None:
        self._open().commit()

    async def rollback(self) -> None:
        self._open().rollback()

    async def create_function(self, *facts: Any, **more: Any) -> None:
        self._open().create_function(*facts, **more)

    async def close(self) -> None:
        self.stop()

    def stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ValueError("no active connection")
        return self._connection
