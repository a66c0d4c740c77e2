"""Whether we live, whether we can work, and what we count."""

from __future__ import annotations

import contextlib

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bot import metrics
from bot.errors import Unavailable
from bot.hotline import Hotline
from connectors.abilities import HoldsToken

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """503 while the database or Redis is away; the engine says what it runs on."""
    parts = await readiness(request.app.state.hotline)
    ready = all(part.get("ok") for part in parts.values())
    return JSONResponse({"ready": ready, **parts}, status_code=200 if ready else 503)


async def readiness(hotline: Hotline) -> dict[str, dict[str, object]]:
    """Keys: database, redis, engine, knowledge, and rasa where it is set; each has `ok` and says what it found.

    A Rasa service in trouble leaves us ready: the engine of this process answers.
    """
    parts: dict[str, dict[str, object]] = {}
    for name, ping in (("database", hotline.db.ping), ("redis", hotline.bell.ping)):
        try:
            await ping()
            parts[name] = {"ok": True}
        except Unavailable as error:
            parts[name] = {"ok": False, "why": str(error)}
    facts = hotline.engine.status()
    rasa = facts.pop("rasa", None)
    parts["engine"] = {"ok": True, **facts}
    if isinstance(rasa, dict):
        parts["rasa"] = {"ok": True, **rasa}
    catalog = hotline.knowledge.catalog
    parts["knowledge"] = {"ok": len(catalog) > 0, "articles": len(catalog), "version": catalog.version}
    return parts


@router.get("/metrics", include_in_schema=False)
async def show_metrics(request: Request) -> Response:
    rasa = request.app.state.hotline.engine.status().get("rasa")
    if isinstance(rasa, dict):
        metrics.rasa_ready.set(bool(rasa["ready"]))
        metrics.rasa_differs.set(rasa["data"] == "different")
    hotline: Hotline = request.app.state.hotline
    for name, connector in hotline.connectors.items():
        if isinstance(connector, HoldsToken):
            with contextlib.suppress(Unavailable):
                age = await connector.token_age()
                metrics.token_age.labels(channel=name).set(-1 if age is None else age.total_seconds())
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
