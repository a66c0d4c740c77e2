"""Where confidence turns into action: answer, ask back, or say that it is not for us."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bands:
    """Answer at `answer` or above, ask back at `ask` or above; below `scope` (of `in_scope`) the message is not for us."""

    answer: float
    ask: float
    scope: float
