"""Bring the tables up to date, and see whether the models have run ahead of the migrations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from bot.db import Database

_SCRIPTS = Path(__file__).parent / "migrations"


async def migrate(db: Database) -> None:
    """Run what is missing; nothing when the tables are up to date. Raises `Unavailable` when no database answers."""
    await db.ping()
    await _run(db, lambda config: command.upgrade(config, "head"))


async def check_drift(db: Database) -> None:
    """Raises `alembic.util.CommandError` when a model has no migration."""
    await _run(db, command.check)


async def write_revision(db: Database, message: str, number: str) -> None:
    """Write a migration for what the models have and the tables do not; for developers."""
    await _run(db, lambda config: command.revision(config, message, autogenerate=True, rev_id=number))


def newest() -> str:
    """The number of the newest migration."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


async def _run(db: Database, step: Callable[[Config], object]) -> None:
    config = _config()

    def on(connection: Connection) -> None:
        config.attributes["connection"] = connection
        step(config)

    async with db.engine.begin() as connection:
        await connection.run_sync(on)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    return config
