"""A channel whose platform keeps files until they are fetched."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connectors.abilities import Media
from connectors.base import Inbound, Kind, SendError
from tests.fakes import FakeConnector, says


class FileChannel(FakeConnector):
    """`kept` is what lies at the platform, by media id; `trouble` comes first, in order; `fetched` is every try."""

    def __init__(self, *, push: bool = True, passive: bool = True) -> None:
        super().__init__(push=push, passive=passive)
        self.kept: dict[str, Media] = {}
        self.trouble: deque[SendError] = deque()
        self.fetched: list[str] = []

    def media(self, inbound: Inbound) -> Mapping[str, Any] | None:
        key = inbound.payload.get("media_id")
        return {"media_id": key} if key else None

    async def fetch(self, source: Mapping[str, Any], limit: int) -> Media:
        self.fetched.append(source["media_id"])
        if self.trouble:
            raise self.trouble.popleft()
        if source["media_id"] not in self.kept:
            raise SendError("平台上已经没有了", retryable=False)
        return self.kept[source["media_id"]]


def brings(kind: Kind, media_id: str, address: str = "zhang", *, key: str | None = None, text: str = "") -> Inbound:
    """A worker's picture, recording or file on the fake channel."""
    return replace(says(text, address, key=key), kind=kind, payload={"media_id": media_id})
