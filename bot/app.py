"""The web application: routers, one error handler, and what runs beside the requests. No rules."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Coroutine, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from bot import alerts, console, conversation, media, outbox, puller
from bot.api import carry, chat, health, uploads, webhooks, widget
from bot.errors import HotlineError
from bot.hotline import Hotline
from bot.outbox import Receipts
from connectors.abilities import Prepares, Pulls
from connectors.base import SendError

log = structlog.get_logger(__name__)
_STATIC = Path(__file__).parent / "console" / "static"


def create_app(hotline: Hotline) -> FastAPI:
    """The service on a `Hotline` that somebody else opens and closes."""
    app = FastAPI(title="大兴区总工会职工热线", docs_url=None, redoc_url=None, lifespan=_lifespan)
    app.state.hotline = hotline
    app.state.receipts = Receipts(hotline)
    app.include_router(webhooks.router)
    app.include_router(chat.router)
    app.include_router(uploads.router)
    app.include_router(carry.router)
    app.include_router(widget.router)
    app.include_router(console.router)
    app.include_router(health.router)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    app.add_exception_handler(HotlineError, _known)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(Exception, _unknown)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Deliver, record and keep the articles fresh while requests are served; record what is left at the end."""
    hotline, receipts = app.state.hotline, app.state.receipts
    await _catch_up(hotline)
    tasks = [
        asyncio.create_task(outbox.run(hotline)),
        asyncio.create_task(media.run(hotline)),
        asyncio.create_task(alerts.run(hotline)),
        asyncio.create_task(receipts.run()),
        asyncio.create_task(watch_knowledge(hotline)),
        *(asyncio.create_task(work) for work in beside(hotline)),
    ]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with contextlib.suppress(Exception):
        await receipts.flush()


async def _catch_up(hotline: Hotline) -> None:
    """Answer what a process that died had taken, before anything newer comes in; what is in the way now is swept up."""
    try:
        for _ in range(20):
            if not await conversation.answer_left_over(hotline, older=timedelta()):
                return
    except Exception as error:
        log.warning("left_to_the_sweep", error=type(error).__name__)


def beside(hotline: Hotline) -> Iterator[Coroutine[Any, Any, None]]:
    """What each channel needs done beside the requests: its queues emptied, its platform told of us."""
    for connector in hotline.connectors.values():
        if isinstance(connector, Pulls):
            yield puller.run(hotline, connector)
        if isinstance(connector, Prepares):
            yield _prepare(hotline, connector.name, connector)


async def _prepare(hotline: Hotline, name: str, connector: Prepares) -> None:
    """Until it has worked once; a platform that refuses for good is told again at the next start."""
    for wait in itertools.chain((1, 5, 30, 120), itertools.repeat(600)):
        try:
            await connector.prepare(hotline.settings.public_url)
        except SendError as error:
            log.warning("channel_not_prepared", channel=name, reason=error.reason)
            if not error.retryable:
                return
        else:
            return
        await asyncio.sleep(wait)


async def watch_knowledge(hotline: Hotline) -> None:
    """Read the articles again whenever an import rings."""
    async for rung in hotline.bell.listen("knowledge", every=60):
        if rung is None:
            continue
        try:
            async with hotline.db.reading() as session:
                await hotline.knowledge.reload(session)
        except Exception as error:
            log.warning("knowledge_not_read", error=type(error).__name__)


async def _known(request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, HotlineError) else 500
    return _say(request, status, str(error))


async def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    said = {404: "没有这个页面", 405: "不支持这种请求", 413: "内容太大了"}.get(status, "请求有误")
    return _say(request, status, said)


async def _malformed(request: Request, error: Exception) -> Response:
    return _say(request, 422, "请求的内容不对，请检查后再试")


async def _unknown(request: Request, error: Exception) -> Response:
    log.error("unexpected", path=request.url.path, exc_info=error)
    return _say(request, 500, "系统出了点问题，请稍后再试。急事请打12351")


def _say(request: Request, status: int, message: str) -> Response:
    path = request.url.path
    if path.startswith("/webhooks"):
        return Response("refused", status_code=status, media_type="text/plain; charset=utf-8")
    if path.startswith("/console") or path == "/chat":
        return console.error_page(request, status, message)
    return JSONResponse({"error": message}, status_code=status)
