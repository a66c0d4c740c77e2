"""What an engine answers, whichever engine it is: the topics a message may be about, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable


class Danger(StrEnum):
    """Kinds that are recognised by rules, before any model."""

    SELF_HARM = "self_harm"
    HARM_OTHERS = "harm_others"
    ACCIDENT = "accident"
    VIOLENCE = "violence"
    CHILD_LABOUR = "child_labour"
    GROUP_PROTEST = "group_protest"


class Command(StrEnum):
    """Words that steer the talk and never depend on a model."""

    PERSON = "person"
    PROGRESS = "progress"
    MORE = "more"
    YES = "yes"
    NO = "no"
    BACK = "back"
    OTHER = "other"
    STOP = "stop"
    GREETING = "greeting"
    THANKS = "thanks"
    IDENTITY = "identity"
    ABUSE = "abuse"


class FollowUp(StrEnum):
    """What a worker asks about the topic at hand; the values are the articles' own keys."""

    MATERIALS = "材料"
    DEADLINE = "期限"
    PLACE = "去哪办"
    COST = "费用"
    DURATION = "多久"
    PHONE = "电话"


@dataclass(frozen=True, slots=True)
class Candidate:
    """`confidence` is calibrated to 0..1: of all answers given at 0.9, nine in ten should be right."""

    topic: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Entity:
    """`kind` is one of money, date, employer, place, phone, headcount, months.

    `value` is normalised, `text` as written.
    """

    kind: str
    value: str
    text: str


@dataclass(frozen=True, slots=True)
class Understanding:
    """What one message means.

    `ranking` is best first, empty only when a rule decided alone or there is no word in the message; `in_scope` is the
    probability that the message is for this hotline at all. `choice` is the 1-based number the worker picked ("1",
    "第二个"), or -1 for "the last one", if the message is nothing else. `second` is another topic asked about in the
    same message. `pure` is True when the command or the follow-up is the whole message, False when it stands beside
    something else ("公司不发工资，转人工").
    """

    text: str
    ranking: Sequence[Candidate] = ()
    in_scope: float = 1.0
    danger: Danger | None = None
    command: Command | None = None
    follow_up: FollowUp | None = None
    choice: int | None = None
    pure: bool = False
    second: str | None = None
    entities: Sequence[Entity] = field(default_factory=tuple)
    engine: str = "rules"


@runtime_checkable
class IntentEngine(Protocol):
    """An engine that has been loaded. `status` is what `/readyz` says of it."""

    name: str

    async def understand(self, text: str, crowd: int = 0) -> Understanding:
        """Rules first, then the model. Never raises on any text; never blocks the event loop.

        `crowd` is how many messages the caller has in hand: an engine may spend less on each when there are many.
        """
        ...

    def status(self) -> dict[str, object]: ...

    async def close(self) -> None: ...
