"""Stand-ins at the wire: a channel that collects what is sent."""

from __future__ import annotations

import itertools
from collections import deque
from datetime import UTC, datetime, timedelta

from connectors.base import (
    Capabilities,
    Delivery,
    Event,
    Grant,
    Handshake,
    Inbound,
    Kind,
    Outbound,
    Request,
    Response,
    SendError,
)

_numbers = itertools.count(1)


class FakeConnector:
    """Like WeChat in what it can do: passive replies, pushes that are counted. `fail` errors come first, in order."""

    name = "fake"

    def __init__(self, *, push: bool = True, passive: bool = True) -> None:
        self.capabilities = Capabilities(
            text_bytes=2048, passive_reply=passive, push=push, window=timedelta(hours=48), quota=5
        )
        self.sent: list[tuple[str, str]] = []
        self.fail: deque[SendError] = deque()

    def parse(self, request: Request) -> Handshake | Delivery:
        return Delivery(())

    def render(self, reply: Outbound) -> str:
        options = [f"{number}. {option.label}" for number, option in enumerate(reply.options, 1)]
        return "\n".join([reply.text, *options])

    def reply(self, delivery: Delivery, inbound: Inbound, text: str) -> Response:
        return Response(text.encode())

    def acknowledge(self, delivery: Delivery) -> Response:
        return Response(b"success")

    async def send(self, reply: Outbound, text: str) -> None:
        if self.fail:
            raise self.fail.popleft()
        self.sent.append((reply.address, text))

    async def close(self) -> None:
        return None


def says(text: str, address: str = "zhang", *, key: str | None = None, option: str | None = None) -> Inbound:
    """A worker's message on the fake channel, new each time unless `key` repeats."""
    return Inbound(
        channel="fake",
        external_id=key or f"m{next(_numbers)}",
        address=address,
        kind=Kind.TEXT,
        sent_at=datetime(2026, 11, 23, tzinfo=UTC),
        text=text,
        option=option,
        grant=Grant("message", 5, timedelta(hours=48)),
    )


def happens(event: Event, address: str = "zhang") -> Inbound:
    return Inbound(
        channel="fake",
        external_id=f"e{next(_numbers)}",
        address=address,
        kind=Kind.EVENT,
        sent_at=datetime(2026, 11, 23, tzinfo=UTC),
        event=event,
    )
