"""A breaker before a service that may be away: after some failures in a row it is only tried now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

FAILURES = 3
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


class Breaker:
    """Opens after `FAILURES` in a row; then lets one request through after 1 s, 2 s, 4 s, at last every 30 s.

    Whoever was let through says how it went, or that it did not come to an end. `clock` counts seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._pause = 0.0
        self._until = 0.0
        self._trying = False

    @property
    def open(self) -> bool:
        """Whether requests are turned away; also while a try is under way."""
        return self._pause > 0

    def lets_through(self) -> bool:
        """Whether to ask now. While open, True for one at a time, when the pause is over."""
        if not self.open:
            return True
        if self._trying or self._clock() < self._until:
            return False
        self._trying = True
        return True

    def succeeded(self) -> None:
        """It answered: closed, and everything is forgotten."""
        self._failures, self._pause, self._trying = 0, 0.0, False

    def failed(self) -> None:
        """It did not answer. Those that were still under way when it opened do not make the pause longer."""
        self._failures += 1
        if self._trying:
            self._trying = False
            self._rest(min(self._pause * 2, LONGEST_PAUSE))
        elif self._failures >= FAILURES and not self.open:
            self._rest(FIRST_PAUSE)

    def gave_up(self) -> None:
        """The one who asked went away before the answer: nothing was learnt, the next may try."""
        self._trying = False

    def _rest(self, pause: float) -> None:
        self._pause = pause
        self._until = self._clock() + pause
