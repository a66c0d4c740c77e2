"""What `/metrics` counts. Labels are few and never name a person."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from prometheus_client import Counter, Gauge, Histogram

turns = Counter("hotline_turns", "Messages answered, by channel and what was done", ["channel", "action"])
repeats = Counter("hotline_repeats", "Deliveries of a message that was already answered", ["channel"])
refused = Counter("hotline_refused", "Requests refused, by channel and status", ["channel", "status"])
late = Counter("hotline_late", "Messages acknowledged before their answer was ready", ["channel"])
sent = Counter("hotline_sent", "Messages pushed, by channel and result", ["channel", "result"])
refusals = Counter("hotline_send_refusals", "Refusals of a platform, by channel and its code", ["channel", "code"])
pulls = Counter("hotline_pulls", "Pages fetched from a platform's queue, by channel and result", ["channel", "result"])
backlog = Gauge("hotline_outbox_backlog", "Messages that wait to be sent, by status", ["status"])
last_push = Gauge("hotline_last_push_seconds", "When the platform last called, seconds since the epoch", ["channel"])
seconds = Histogram(
    "hotline_stage_seconds",
    "Where the time of a message goes",
    ["stage"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """Time a part of the work on one message."""
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds.labels(stage=name).observe(time.perf_counter() - began)
