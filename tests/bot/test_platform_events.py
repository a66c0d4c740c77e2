"""What colleagues read in the thread of things that happened at the platform."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.console.line import lines
from bot.models import Message, new_id


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"event": "taken", "servicer": "wang"}, "客服里接待"),
        ({"event": "returned"}, "自动回复恢复"),
        ({"event": "other", "note": "消息没有送到：超过 5 条限制"}, "消息没有送到：超过 5 条限制"),
        ({"event": "subscribe", "note": "对方进入了微信客服"}, "对方进入了微信客服"),
        ({"event": "subscribe"}, "对方关注了公众号"),
        ({"event": "other"}, "对方有动作"),
    ],
)
def test_an_event_is_told_in_words(payload: dict[str, Any], words: str) -> None:
    message = Message(
        id=new_id(),
        created_at=datetime(2026, 11, 23, tzinfo=UTC),
        channel="wecom",
        direction="in",
        kind="event",
        text="",
        payload=payload,
        status="handled",
    )
    [line] = lines([message], {}, {})
    assert words in line.text
    assert line.who == "event"
