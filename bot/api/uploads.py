"""Pictures, recordings and files from the web chat: looked at while they come in, sealed, answered like a message."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from bot import conversation, privacy
from bot.api import crowd, thread, visitor
from bot.api.crowd import TooMany
from bot.api.forms import refusals
from bot.api.incoming import Form
from bot.console.pages import hotline_of
from bot.errors import Forbidden, HotlineError, Invalid, Unavailable
from bot.filetypes import ACCEPTED, Look, kind_of, named
from connectors import webchat
from connectors.base import Kind

router = APIRouter(tags=["chat"])
_WINDOW = timedelta(minutes=10)
# Somebody may photograph a year of payslips, and a whole building site may come from one address.
_OF_A_SESSION, _OF_AN_ADDRESS = 60, 300
_FORM = {
    "type": "object",
    "required": ["id", "file"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
        "file": {"type": "string", "format": "binary"},
    },
}


class Unsupported(HotlineError):
    status = 415


@router.post(
    "/api/chat/uploads",
    responses=refusals(401, 403, 413, 415, 422, 429, 503),
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
)
async def upload(request: Request) -> Response:
    """Take one file (`id`, made by the page and the same on every try, and `file`) and answer it as a message is."""
    who = visitor.required(request)
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise Forbidden("请在聊天页面里发文件")
    await crowd.weigh_message(request, who)
    await _weigh(request, who)
    hotline, look, key = hotline_of(request), Look(), uuid.uuid4().hex
    form = Form(request, hotline.settings.file_bytes)
    size = await hotline.vault.put(key, _inspected(form, look))
    content_type = look.content_type() or ""
    payload: dict[str, Any] = {
        "file_name": named(form.file_name, content_type),
        "upload": {"key": key, "size": size, "content_type": content_type},
    }
    try:
        inbound = webchat.upload(who, form.fields.get("id", ""), Kind(kind_of(content_type)), payload, hotline.clock())
    except ValueError as error:
        await hotline.vault.drop(key)
        raise Invalid(str(error)) from None
    turned = await conversation.turn(hotline, inbound)
    if turned.repeated:
        # What was kept at the first try is the one that the thread knows.
        await hotline.vault.drop(key)
    async with hotline.db.reading() as session:
        return JSONResponse(await thread.exchange(session, inbound.external_id))


async def _inspected(form: Form, look: Look) -> AsyncIterator[bytes]:
    """The file as it comes in; ends in `Unsupported` before it is kept when we do not take such files."""
    async for piece in form.pieces():
        look.add(piece)
        if look.hopeless():
            raise Unsupported(f"这种文件收不了。能收的有{ACCEPTED}")
        yield piece
    if look.content_type() is None:
        raise Unsupported(f"这种文件收不了。能收的有{ACCEPTED}")


async def _weigh(request: Request, who: str) -> None:
    """Files cost more than words. Without Redis nobody is counted, as with words."""
    hotline = hotline_of(request)
    address = request.client.host if request.client else ""
    slot = int(hotline.clock().timestamp() // _WINDOW.total_seconds())
    with contextlib.suppress(Unavailable):
        for what, most in ((who, _OF_A_SESSION), (address, _OF_AN_ADDRESS)):
            name = f"uploads:{privacy.fingerprint('uploads', what)}:{slot}"
            if await hotline.bell.count(name, ttl=2 * _WINDOW) > most:
                raise TooMany("发的文件太多了，请过几分钟再发。急事请打 12351，有危险打 110 或 120")
