"""Links that staff get on their phones: signed, good for a day, and after the log-in straight to the ticket.

The signature replaces no log-in. It lets the log-in page send somebody on to a place of ours and to no other.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from bot import privacy, staff

_LASTS = timedelta(hours=24)
_MARK = re.compile(r"(\d{1,11})\.([0-9a-f]{32})", re.ASCII)
_NUMBER = re.compile(r"\d{8}-\d{4,6}", re.ASCII)


def to_ticket(number: str, now: datetime) -> str:
    """The path of the ticket's page with the mark that proves we made it."""
    until = int((now + _LASTS).timestamp())
    return f"/console/tickets/{number}?k={until}.{_sign(number, until)}"


def carried(path: str, mark: str) -> str:
    """The query that takes a followed link through the log-in page; empty for any other page."""
    number = path.removeprefix("/console/tickets/")
    shaped = number != path and _NUMBER.fullmatch(number) and _MARK.fullmatch(mark)
    return f"?ticket={number}&k={mark}" if shaped else ""


def is_good(number: str, mark: str, now: datetime) -> bool:
    """Whether `mark` was made by us for this ticket within the last day."""
    found = _MARK.fullmatch(mark)
    if not found or not _NUMBER.fullmatch(number):
        return False
    until = int(found[1])
    return staff.same(found[2], _sign(number, until)) and until > now.timestamp()


def _sign(number: str, until: int) -> str:
    return privacy.fingerprint("ticket link", number, str(until))
