"""The least that a channel can be on this framework: verify, decrypt, answer. What the bench compares with."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime

import httpx
import uvicorn
from fastapi import FastAPI, Response
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse

from bot import settings
from bot.api.forms import Said, read
from bot.bell import Bell
from connectors import registry
from connectors.base import Connector, Delivery, Request, Tools


def create_echo(connectors: Mapping[str, Connector]) -> FastAPI:
    """Answers each message with its own text where a response carries one; stores and understands nothing."""
    app = FastAPI(docs_url=None, redoc_url=None)

    @app.get("/readyz")
    async def readyz() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/webhooks/{channel}")
    async def echo(channel: str, http: HttpRequest) -> Response:
        connector, body = connectors[channel], await http.body()
        parsed = connector.parse(
            Request(http.method, dict(http.query_params), dict(http.headers), body, datetime.now(UTC))
        )
        if not isinstance(parsed, Delivery):
            return Response("refused", status_code=400)
        answer = connector.acknowledge(parsed)
        for inbound in parsed.messages:
            answer = connector.reply(parsed, inbound, inbound.text)
        return Response(answer.body, media_type=answer.media_type)

    @app.post("/api/chat/messages")
    async def say(http: HttpRequest) -> Response:
        said = await read(http, Said)
        return JSONResponse({"messages": [{"id": said.id, "text": said.text}] * 2})

    return app


def serve(port: int) -> None:
    """The accounts come from the environment, as for the service; uvicorn runs as it does there."""
    # Neither store nor client is ever used: an echo sends nothing.
    tools = Tools(Bell("redis://127.0.0.1:1"), httpx.AsyncClient(), settings.settings().public_url)
    built = registry.build(settings.sections(), tools)
    uvicorn.run(create_echo(built), host="127.0.0.1", port=port, log_config=None, access_log=False)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
