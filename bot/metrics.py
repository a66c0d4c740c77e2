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
files = Counter("hotline_files", "Files of workers, by channel and what became of them", ["channel", "result"])
heard = Counter("hotline_voices_heard", "Voice messages given to speech recognition, by result", ["result"])
calls = Counter("hotline_staff_calls", "Calls to staff outside the console, by way and result", ["way", "result"])
backlog = Gauge("hotline_outbox_backlog", "Messages that wait to be sent, by status", ["status"])
token_age = Gauge("hotline_access_token_age_seconds", "How long ago the access token was fetched", ["channel"])
last_push = Gauge("hotline_last_push_seconds", "When the platform last called, seconds since the epoch", ["channel"])
rasa_answers = Counter("hotline_rasa_answers", "Messages whose topics the Rasa service ranked")
rasa_fallbacks = Counter(
    "hotline_rasa_fallbacks", "Messages that the local engine answered in place of Rasa, by reason", ["reason"]
)
rasa_ready = Gauge("hotline_rasa_ready", "1 while the Rasa service answers well")
rasa_differs = Gauge("hotline_rasa_data_differs", "1 while the model of the Rasa service learnt from other wordings")
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
