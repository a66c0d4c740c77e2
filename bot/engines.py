"""Which engine understands: the one in this process, or a Rasa service with that one behind it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from bot import knowledge, metrics
from bot.errors import HotlineError
from bot.settings import Settings
from intents import rasa_export
from intents.bands import Bands
from intents.cli import KNOWLEDGE, Which
from intents.local import LocalEngine
from intents.questions import read_negatives, read_questions
from intents.rasa import RasaEngine, kept_token


@contextlib.asynccontextmanager
async def engine(settings: Settings, which: Which | None = None) -> AsyncIterator[LocalEngine | RasaEngine]:
    """The engine that the settings ask for, or the one that is named; closed at the end, with what watches it.

    A Rasa service that is away does not keep it from opening. Raises `NotTrained`, and `HotlineError` when Rasa is
    named and no address is set.
    """
    if which is None:
        which = Which.RASA if settings.rasa_url else Which.LOCAL
    if which is Which.RASA and not settings.rasa_url:
        raise HotlineError("没有设 HOTLINE_RASA_URL：先用 hotline rasa serve 起好 Rasa 服务，再写上它的地址")
    async with contextlib.AsyncExitStack() as stack:
        local = await asyncio.to_thread(LocalEngine.load, settings.data_dir / "model")
        stack.push_async_callback(local.close)
        if which is Which.LOCAL:
            yield local
            return
        rasa = RasaEngine(
            settings.rasa_url,
            local,
            token=settings.rasa_token.get_secret_value() or kept_token(settings.data_dir),
            budget=settings.rasa_budget_ms / 1000,
            data_hash=data_hash,
            tell=_count,
        )
        stack.push_async_callback(rasa.close)
        watching = asyncio.create_task(rasa.watch())
        stack.push_async_callback(_end, watching)
        yield rasa


def bands_of(settings: Settings, understanding: LocalEngine | RasaEngine) -> Bands:
    """The bands that were chosen with the model, unless a setting says otherwise."""
    chosen = understanding.bands
    return Bands(
        answer=chosen.answer if settings.answer_at is None else settings.answer_at,
        ask=chosen.ask if settings.ask_at is None else settings.ask_at,
        scope=chosen.scope if settings.scope_at is None else settings.scope_at,
    )


def data_hash() -> str:
    """The hash of the wordings on this machine: what a Rasa model should have learnt from. Reads 200 files."""
    return rasa_export.data_hash(read_questions(knowledge.ARTICLES), read_negatives(KNOWLEDGE / "negatives.yaml"))


def _count(result: str) -> None:
    if result == RasaEngine.name:
        metrics.rasa_answers.inc()
    else:
        metrics.rasa_fallbacks.labels(reason=result).inc()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
