"""What only some channels can do; the service asks with `isinstance` and never by a channel's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, runtime_checkable

from connectors.base import Inbound


@dataclass(frozen=True, slots=True)
class Pulled:
    """A page of a platform's queue. `cursor` is where the next page begins; `more`: ask for it at once."""

    messages: Sequence[Inbound]
    cursor: str
    more: bool = False


@runtime_checkable
class Pulls(Protocol):
    """Messages wait in queues at the platform until we fetch them. One process at a time empties a queue."""

    name: str
    every: timedelta
    """How often to look when nothing rang."""

    async def queues(self) -> Sequence[str]:
        """The queues that are looked into at the start; one that rings later joins them. Raises `SendError`."""
        ...

    async def pull(self, queue: str, cursor: str, ticket: str) -> Pulled:
        """The page after `cursor` (empty: from the start). `ticket` is what the ring brought along, or empty.

        Raises `SendError`, never anything else. The caller stores the messages and the cursor together.
        """
        ...


@runtime_checkable
class Prepares(Protocol):
    """The platform has to be told something at the start: our address, the menu, the commands."""

    async def prepare(self, public_url: str) -> None:
        """May be repeated. `public_url` is empty when none is set. Raises `SendError`, never anything else."""
        ...


@dataclass(frozen=True, slots=True)
class Media:
    """What a worker sent, whole. `content_type` is what the platform says of it; nobody has looked inside yet."""

    data: bytes
    content_type: str
    name: str = ""


@runtime_checkable
class Fetches(Protocol):
    """Pictures, voices and files stay at the platform for some days until we fetch them."""

    def media(self, inbound: Inbound) -> Mapping[str, Any] | None:
        """What `fetch` needs to find the file of this message later; None when it brought none."""
        ...

    async def fetch(self, source: Mapping[str, Any], limit: int) -> Media:
        """Raises `SendError`, never anything else; not retryable when it is gone or larger than `limit` bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `hotline doctor` looked at. `todo` says what to do when it is not good."""

    good: bool
    what: str
    todo: str = ""


@runtime_checkable
class Checks(Protocol):
    """Can be examined without sending anybody anything."""

    async def check(self, public_url: str) -> Sequence[Finding]:
        """Never raises: what fails is a finding."""
        ...
