"""The platforms' APIs for the bench: takes whatever is sent, and hands out what customers of 微信客服 have written."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

from bot import bench_client

ACCOUNT = "wkBench0000000000"
_WRITTEN = 20_000
_PEOPLE = 1000
# Not "0": a queue is read from the start when it has no cursor.
_START = "c0"


def create_sink(questions: Sequence[str]) -> FastAPI:
    """Message `n` of the queue is always the same, so nothing is kept here: a ring's ticket `t7` says that 0 to 6 are
    there."""
    app = FastAPI(docs_url=None, redoc_url=None)
    wordings = bench_client.endless(questions)
    written = [bench_client.said(wordings, place) for place in range(_WRITTEN)]

    @app.get("/readyz")
    async def readyz() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/cgi-bin/kf/sync_msg")
    async def sync(request: Request) -> dict[str, Any]:
        asked = json.loads(await request.body())
        start, there = int(asked.get("cursor", _START)[1:]), int(asked.get("token", "t0")[1:])
        stop = min(max(start, there), start + asked["limit"])
        items = [_item(place, written[place % _WRITTEN]) for place in range(start, stop)]
        return _well(msg_list=items, next_cursor=f"c{stop}", has_more=int(stop < there))

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    async def anything(path: str) -> dict[str, Any]:
        if path.endswith("account/list"):
            return _well(account_list=[{"open_kfid": ACCOUNT, "manage_privilege": True}])
        if path.endswith("token"):
            return _well(access_token="bench", expires_in=7200)  # noqa: S106 - opens nothing
        if path.endswith("service_state/get"):
            return _well(service_state=1)
        if path.endswith("sendMessage"):
            return {"ok": True, "result": {"message_id": 1, "date": 1, "chat": {"id": 1, "type": "private"}}}
        return _well(ok=True, result=True)

    return app


def _well(**more: Any) -> dict[str, Any]:
    return {"errcode": 0, "errmsg": "ok", **more}


def _item(place: int, text: str) -> dict[str, Any]:
    return {
        "msgid": f"bench{place}",
        "open_kfid": ACCOUNT,
        "external_userid": f"wmBench{place % _PEOPLE}",
        "origin": 3,
        "send_time": int(time.time()),
        "msgtype": "text",
        "text": {"content": text},
    }


if __name__ == "__main__":
    asked = bench_client.read_questions([Path(sys.argv[1])])
    uvicorn.run(create_sink(asked), host="127.0.0.1", port=int(sys.argv[2]), log_config=None, access_log=False)
