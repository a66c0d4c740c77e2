"""What the dialogue remembers between two messages, and what one message leads to."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.base import Event, Kind, Option, Reply


@dataclass(frozen=True, slots=True)
class State:
    """`awaiting` names the open question: choose, helpful, handoff, second, solved, sum, danger, heard; None: none is.

    `options` are what was offered last, as (id, label). `rest` are further topics that "换一个" brings up. `answered`
    are the topics answered so far. `more` are the pages of a long reply that are still to come. `asked` are the words
    that the open options came from. `sum` is the calculator under way, `given` its inputs so far as (name, written).
    `heard` is what the transcript that was read back means, as JSON; `paused` is the question that was open before.
    """

    topic: str | None = None
    awaiting: str | None = None
    options: tuple[tuple[str, str], ...] = ()
    rest: tuple[str, ...] = ()
    second: str | None = None
    answered: tuple[str, ...] = ()
    failures: int = 0
    insults: int = 0
    more: tuple[str, ...] = ()
    ticket: str | None = None
    known: tuple[tuple[str, str], ...] = ()
    asked: str = ""
    sum: str | None = None
    given: tuple[tuple[str, str], ...] = ()
    heard: str = ""
    paused: str | None = None
    paused_options: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Only what differs from a fresh state."""
        fresh = State()
        return {
            item.name: getattr(self, item.name)
            for item in dataclasses.fields(self)
            if getattr(self, item.name) != getattr(fresh, item.name)
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> State:
        """Reads what any version wrote: unknown keys are dropped."""
        names = {item.name for item in dataclasses.fields(cls)}
        return cls(**{name: _frozen(value) for name, value in stored.items() if name in names})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class Heard:
    """What came in, without the channel. `site` is where the QR code hangs that was scanned."""

    kind: Kind
    text: str = ""
    event: Event | None = None
    option: str | None = None
    site: str = ""


@dataclass(frozen=True, slots=True)
class Situation:
    """What the dialogue may know of the world: the worker's open ticket and what to say of it.

    `listening`: the voice message at hand is being written down, and what it says comes after it.
    """

    ticket: str | None = None
    ticket_line: str | None = None
    listening: bool = False


@dataclass(frozen=True, slots=True)
class Handoff:
    """Why a person is needed. `reason`: asked, stuck, unhelpful, danger, article, offered, late."""

    reason: str
    urgency: str
    topic: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """`say` None means silence. `spoken` stands in for the options where a channel has no buttons.

    `action` is one of answer, follow_up, ask_back, ask_more, refuse, handoff, danger, read_back, talk, silent, fetch
    (only what the worker has not read yet goes out).
    """

    action: str
    state: State
    say: Reply | None = None
    spoken: str = ""
    handoff: Handoff | None = None
    topic: str | None = None
    options: Sequence[Option] = field(default_factory=tuple)
