"""What every channel speaks: messages in, replies out, what the channel can do, and why a send failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import httpx


class Kind(StrEnum):
    """What came in. An `event` is something the worker did, not something they said."""

    TEXT = "text"
    IMAGE = "image"
    VOICE = "voice"
    VIDEO = "video"
    FILE = "file"
    LOCATION = "location"
    LINK = "link"
    EVENT = "event"


class Event(StrEnum):
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    MENU = "menu"
    SCAN = "scan"
    # Somebody speaks with the worker in the platform's own desk, and is done there.
    TAKEN = "taken"
    RETURNED = "returned"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Grant:
    """How many pushes the platform allows after this message, and for how long."""

    rule: str
    sends: int
    lasts: timedelta


@dataclass(frozen=True, slots=True)
class Inbound:
    """One thing a worker sent.

    `external_id` is unique within the channel and the same on every repeated delivery. `text` is clean: no control
    characters, no lone surrogates; empty when the kind carries none. `option` is the id of the option that was tapped,
    where the channel tells. `payload` keeps what the kind brings (media ids, coordinates, url, file name).
    """

    channel: str
    external_id: str
    address: str
    kind: Kind
    sent_at: datetime
    text: str = ""
    event: Event | None = None
    option: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    grant: Grant | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """A choice offered to the worker. Number, label and free text are all accepted as an answer to it."""

    id: str
    label: str


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a card. `kind` is one of: conclusion, step, note, deadline, bring, where, sources."""

    kind: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the hotline says, before any channel gives it a shape. `text` is complete without `card`."""

    text: str
    options: Sequence[Option] = ()
    card: Sequence[Section] = ()


@dataclass(frozen=True, slots=True)
class Outbound:
    """One stored reply on its way out. `id` is ours and stays the same on every retry.

    `answers` is the payload of the message that it answers: a platform may want back what came with it.
    """

    id: str
    address: str
    text: str
    options: Sequence[Option] = ()
    card: Sequence[Section] = ()
    answers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a channel can do. `text_bytes` None means no limit worth splitting for.

    `passive_reply`: the answer may ride in the response to the message. `push`: we may speak unasked. `window` and
    `quota` describe the usual grant, for the console to show. `stored`: a stored reply has arrived, nobody sends it.
    `stale_after`: a message that we see this long after it was sent is for a person to answer.
    """

    text_bytes: int | None = None
    buttons: bool = False
    passive_reply: bool = False
    push: bool = True
    window: timedelta | None = None
    quota: int | None = None
    typing: bool = False
    stored: bool = False
    stale_after: timedelta | None = None


class SendError(Exception):
    """A send that the platform refused or that never got there. Only the outbox knows what a retry means.

    `hold`: keep the message for the worker's next contact. `unreachable`: the worker cannot be reached on this channel
    any more. `alarm`: a person must mend the configuration. `after`: the platform says how long to wait before a retry.
    `spent`: the platform allows no more pushes to this worker until they write again, whatever we had counted.
    """

    def __init__(
        self,
        reason: str,
        *,
        retryable: bool,
        hold: bool = False,
        unreachable: bool = False,
        alarm: bool = False,
        spent: bool = False,
        after: timedelta | None = None,
        code: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retryable = retryable
        self.hold = hold
        self.unreachable = unreachable
        self.alarm = alarm
        self.spent = spent
        self.after = after
        self.code = code


class Refused(Exception):
    """A request that is not from the platform, or in no shape we read. `status` is a 4xx; `reason` is for our log."""

    def __init__(self, reason: str, status: int = 403) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """The parts of an HTTP request that a connector may look at. `at` is when it came in."""

    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Handshake:
    """The platform checks that we are there: answer exactly this, as text/plain."""

    body: str


@dataclass(frozen=True, slots=True)
class Ring:
    """Something waits in a queue of the platform; `ticket` has to be shown when it is fetched."""

    queue: str
    ticket: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A verified request. `messages` may be empty (an event to acknowledge only).

    `shape` is the connector's own memory of how the request came (plain or encrypted, which key), handed back to
    `reply()` and `acknowledge()`. `ring` is set where the request only says that something is to be fetched.
    """

    messages: Sequence[Inbound]
    shape: Any = None
    ring: Ring | None = None


@dataclass(frozen=True, slots=True)
class Response:
    body: bytes
    media_type: str = "text/plain; charset=utf-8"


class Store(Protocol):
    """The little shared memory that a connector may use (a Redis): access tokens and their locks."""

    async def get(self, key: str) -> str | None: ...

    async def set(self, key: str, value: str, *, ttl: timedelta) -> None: ...

    async def delete_if(self, key: str, value: str) -> bool:
        """Delete `key` only while it still holds `value`; True when it did."""
        ...

    async def acquire(self, key: str, token: str, *, ttl: timedelta) -> bool:
        """Take a lock that falls off by itself after `ttl`; False when somebody has it."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What a connector is given: the shared memory, the HTTP client (closed by its owner), and our own address, empty
    when none is set."""

    store: Store
    http: httpx.AsyncClient
    public_url: str = ""


@runtime_checkable
class Connector(Protocol):
    """One channel. `parse` raises `Refused`, never anything else; `send` raises `SendError`, never anything else."""

    name: str
    capabilities: Capabilities

    def parse(self, request: Request) -> Handshake | Delivery:
        """Verify, decrypt, clean. Pure: no network."""
        ...

    def render(self, reply: Outbound) -> str:
        """The text as this channel shows it, options and all: what `text_bytes` is counted on."""
        ...

    def reply(self, delivery: Delivery, inbound: Inbound, text: str) -> Response:
        """The answer that rides in the response of the same request; `text` comes from `render`."""
        ...

    def acknowledge(self, delivery: Delivery) -> Response:
        """Tell the platform that we have it and that nothing is to be shown now."""
        ...

    async def send(self, reply: Outbound, text: str) -> None:
        """Push one message to the worker; `text` comes from `render`."""
        ...

    async def close(self) -> None: ...
