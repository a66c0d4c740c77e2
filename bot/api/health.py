"""Whether we live, whether we can work, and what we count."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bot.errors import Unavailable
from bot.hotline import Hotline

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
    """Keys: database, redis, engine, knowledge; each has `ok` and says what it found."""
    parts: dict[str, dict[str, object]] = {}
    for name, ping in (("database", hotline.db.ping), ("redis", hotline.bell.ping)):
        try:
            await ping()
            parts[name] = {"ok": True}
        except Unavailable as error:
            parts[name] = {"ok": False, "why": str(error)}
    parts["engine"] = {"ok": True, **hotline.engine.status()}
    catalog = hotline.knowledge.catalog
    parts["knowledge"] = {"ok": len(catalog) > 0, "articles": len(catalog), "version": catalog.version}
    return parts


@router.get("/metrics", include_in_schema=False)
async def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
