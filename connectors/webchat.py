"""The web chat: the page reads its thread from the database, so nothing has to be carried to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connectors.base import Capabilities, Delivery, Handshake, Inbound, Kind, Outbound, Refused, Request, Response
from connectors.pages import clean

LONGEST = 4000
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def inbound(session_id: str, client_message_id: str, text: str, option: str | None, now: datetime) -> Inbound:
    """What a visitor sent from the page, as any other channel would bring it.

    `client_message_id` is made by the page and repeated when it sends again. Raises `ValueError`, in words for the
    visitor, when there is nothing to read or too much of it.
    """
    external_id = _named(session_id, client_message_id)
    said = clean(text)
    if len(said) > LONGEST:
        raise ValueError(f"一次最多写 {LONGEST} 个字，请分几条发。")
    chosen = clean(option)[:128] if option else None
    if not said and not chosen:
        raise ValueError("还没有写内容。")
    return Inbound(
        channel=WebChat.name,
        external_id=external_id,
        address=session_id,
        kind=Kind.TEXT,
        sent_at=now,
        text=said,
        option=chosen or None,
    )


def upload(session_id: str, client_message_id: str, kind: Kind, payload: Mapping[str, Any], now: datetime) -> Inbound:
    """A file that a visitor sent, which lies in our own storage already. Raises `ValueError` as `inbound` does."""
    return Inbound(
        channel=WebChat.name,
        external_id=_named(session_id, client_message_id),
        address=session_id,
        kind=kind,
        sent_at=now,
        payload=payload,
    )


def _named(session_id: str, client_message_id: str) -> str:
    if not _ID.fullmatch(client_message_id):
        raise ValueError("消息编号不对，请刷新页面再试。")
    return f"{session_id}:{client_message_id}"


class WebChat:
    """A channel whose outbox is the thread itself: a stored reply has arrived."""

    name = "web"
    capabilities = Capabilities(buttons=True, stored=True)

    def parse(self, request: Request) -> Handshake | Delivery:
        """Always refuses: the page speaks JSON to its own routes, which call `inbound`."""
        raise Refused(f"the web chat takes no {request.method} callbacks", status=404)

    def render(self, reply: Outbound) -> str:
        """The text alone: the page draws options and card itself."""
        return reply.text

    def reply(self, delivery: Delivery, inbound: Inbound, text: str) -> Response:
        return Response(text.encode())

    def acknowledge(self, delivery: Delivery) -> Response:
        return Response(b"")

    async def send(self, reply: Outbound, text: str) -> None:
        """Nothing to do: the page finds the row by itself."""

    async def close(self) -> None: ...
