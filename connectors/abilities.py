"""What only some channels can do; the service asks with `isinstance` and never by a channel's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, runtime_checkable

from connectors.base import Delivery, Inbound, Response


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


@runtime_checkable
class HoldsToken(Protocol):
    """Speaks to its platform with an access token that all processes share."""

    async def token_age(self) -> timedelta | None:
        """How long ago the token in use was fetched; None when there is none yet. Raises what the store raises."""
        ...


@runtime_checkable
class Types(Protocol):
    """Can show that somebody writes."""

    async def typing(self, address: str) -> None:
        """Never raises: it is a courtesy."""
        ...


@runtime_checkable
class Notifies(Protocol):
    """May tell a worker who allowed it, after the window has closed, that something waits for them."""

    def notice(self) -> str | None:
        """What a notice says, for our own thread; None when none is set up."""
        ...

    async def notify(self, address: str, number: str) -> None:
        """About the ticket of that number. Raises `SendError`, never anything else."""
        ...


@runtime_checkable
class Transfers(Protocol):
    """The platform has a desk of its own for colleagues, and can be told to bring a worker there."""

    async def transfer(self, delivery: Delivery, inbound: Inbound) -> Response | None:
        """The response that does it; None when it is not wanted or nobody sits there. Never raises."""
        ...


@runtime_checkable
class HandsOver(Protocol):
    """The platform has a desk of its own for colleagues, and a talk is given to one of them by a call of ours."""

    name: str

    async def hand_over(self, address: str) -> str | None:
        """Who has it now; None when nobody there can. Raises `SendError`, never anything else."""
        ...


@dataclass(frozen=True, slots=True)
class Notice:
    """What staff read on their phones: nothing that tells who a worker is. `url` opens the ticket, "" without one."""

    title: str
    lines: Sequence[str] = ()
    url: str = ""


class Pager(Protocol):
    """One way to call staff who are not looking at the console."""

    name: str

    async def page(self, notice: Notice) -> None:
        """Raises `SendError`, never anything else."""
        ...
