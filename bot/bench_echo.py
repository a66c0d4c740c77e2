"""The least that a WeChat webhook can be on this framework: verify, decrypt, encrypt. What the bench compares with."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import httpx
import uvicorn
from fastapi import FastAPI, Response
from fastapi import Request as HttpRequest

from bot.bell import Bell
from connectors.base import Delivery, Request
from connectors.wechat import WeChat, WeChatSettings


def create_echo(wechat: WeChat) -> FastAPI:
    """Answers each message with its own text; stores and understands nothing."""
    app = FastAPI(docs_url=None, redoc_url=None)

    @app.get("/readyz")
    async def readyz() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/webhooks/wechat")
    async def echo(http: HttpRequest) -> Response:
        body = await http.body()
        parsed = wechat.parse(
            Request(http.method, dict(http.query_params), dict(http.headers), body, datetime.now(UTC))
        )
        if not isinstance(parsed, Delivery) or not parsed.messages:
            return Response("refused", status_code=400)
        answer = wechat.reply(parsed, parsed.messages[0], parsed.messages[0].text)
        return Response(answer.body, media_type=answer.media_type)

    return app


def serve(port: int) -> None:
    """The account comes from the environment, as for the service; uvicorn runs as it does there."""
    # Neither store nor client is ever used: an echo sends nothing.
    wechat = WeChat(WeChatSettings(), Bell("redis://127.0.0.1:1"), httpx.AsyncClient())
    uvicorn.run(create_echo(wechat), host="127.0.0.1", port=port, log_config=None, access_log=False)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
