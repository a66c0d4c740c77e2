"""What one process of the service holds while it runs: database, bell, engine, knowledge, channels."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from bot import embedded, engines
from bot.bell import Bell
from bot.db import Database
from bot.duty import Hours
from bot.knowledge import Knowledge
from bot.settings import Settings, sections
from bot.vault import Vault, vault_of
from connectors import registry
from connectors.abilities import Pager
from connectors.base import Connector, Tools
from intents.bands import Bands
from intents.engine import IntentEngine


def utcnow() -> datetime:
    return datetime.now(UTC)


@dataclass
class Hotline:
    """`clock` is the only source of time, so that tests and replays can set it."""

    settings: Settings
    db: Database
    bell: Bell
    engine: IntentEngine
    bands: Bands
    knowledge: Knowledge
    connectors: dict[str, Connector]
    hours: Hours
    pagers: Sequence[Pager] = ()
    clock: Callable[[], datetime] = field(default=utcnow)

    @property
    def vault(self) -> Vault:
        return vault_of(self.settings)


def channels(settings: Settings, bell: Bell, http: httpx.AsyncClient) -> dict[str, Connector]:
    """The channels that are switched on, by name. Raises `SettingsError` when a section is half set."""
    return registry.build(sections(), Tools(bell, http, settings.public_url))


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Hotline]:
    """Open everything in order and close it in reverse, whatever happens.

    Raises `SettingsError` or `Unavailable` with words that say what to do.
    """
    async with contextlib.AsyncExitStack() as stack:
        url = settings.redis_url
        if not url:
            # Starting and stopping the server waits on a process: not on the event loop.
            server = embedded.valkey(settings.data_dir / "valkey")
            url = await asyncio.to_thread(server.__enter__)
            stack.push_async_callback(asyncio.to_thread, server.__exit__, None, None, None)
        bell = Bell(url)
        stack.push_async_callback(bell.close)
        db = Database(settings.database)
        stack.push_async_callback(db.close)
        http = await stack.enter_async_context(httpx.AsyncClient())
        connectors = channels(settings, bell, http)
        for connector in connectors.values():
            stack.push_async_callback(connector.close)
        engine = await stack.enter_async_context(engines.engine(settings))
        await db.ping()
        knowledge = Knowledge()
        async with db.reading() as session:
            await knowledge.reload(session)
        yield Hotline(
            settings=settings,
            db=db,
            bell=bell,
            engine=engine,
            bands=engines.bands_of(settings, engine),
            knowledge=knowledge,
            connectors=connectors,
            hours=Hours(settings.duty_hours),
            pagers=registry.pagers(sections(), Tools(bell, http, settings.public_url)),
        )
