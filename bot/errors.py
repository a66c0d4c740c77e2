"""Errors of the house: each carries the status that an outsider sees, and words that say what to do."""

from __future__ import annotations


class HotlineError(Exception):
    """`str(error)` is shown to people: plain words, no trace."""

    status = 500


class NotFound(HotlineError):
    status = 404


class Conflict(HotlineError):
    status = 409


class Invalid(HotlineError):
    status = 422


class Forbidden(HotlineError):
    status = 403


class Unavailable(HotlineError):
    status = 503
