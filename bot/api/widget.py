"""The chat on other sites: one script that draws a button and opens our page in a frame, and who may do so."""

from __future__ import annotations

import hashlib

from fastapi import APIRouter, Request, Response

from bot.console.pages import STATIC
from bot.settings import Settings

router = APIRouter(include_in_schema=False)
# Sites link to this address for years: short enough that a mended script is everywhere within minutes.
_CACHE = "public, max-age=300"


def origins(settings: Settings) -> list[str]:
    """The sites that may show the chat in a frame."""
    return [origin for origin in settings.widget_origins.split(",") if origin]


def own_origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


@router.get("/widget.js")
async def script(request: Request) -> Response:
    """The script that a site includes; any site may load it, only those on the list get a frame that opens."""
    body = (STATIC / "widget.js").read_bytes()
    mark = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = {
        "Cache-Control": _CACHE,
        "ETag": mark,
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
    }
    if request.headers.get("if-none-match") == mark:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="text/javascript; charset=utf-8", headers=headers)
