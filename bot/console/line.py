"""The talk as colleagues read it: who said it, what it was, and whether it arrived."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot import tickets
from bot.console.pages import PRIORITIES
from bot.dialogue import wording
from bot.models import Message

KINDS = {
    "image": "图片",
    "voice": "语音",
    "video": "视频",
    "file": "文件",
    "location": "位置",
    "link": "链接",
}
DELIVERY = {
    "pending": "待发",
    "sending": "待发",
    "sent": "已发",
    "held": "等待对方来信",
    "failed": "未送达",
}
_WORKER_DID = {"subscribe": "关注了公众号", "unsubscribe": "取消了关注", "menu": "点了菜单", "scan": "扫了码"}
_DETAILS = ("file_name", "title", "url", "label", "address", "media_id")


@dataclass(frozen=True, slots=True)
class Line:
    """`who` is worker, bot, staff, note or event. `card` and `options` are what the worker saw beside the text."""

    id: str
    who: str
    name: str
    at: datetime
    text: str
    detail: str = ""
    card: Sequence[Mapping[str, Any]] = ()
    options: Sequence[str] = ()
    delivery: str = ""
    trouble: str = ""


def lines(messages: Sequence[Message], people: Mapping[uuid.UUID, str]) -> list[Line]:
    """`people` names the colleagues that the messages mention."""
    offered: dict[str, str] = {}
    shown = []
    for message in messages:
        offered |= {option["id"]: option["label"] for option in message.payload.get("options", [])}
        name = people.get(message.staff_id, "同事") if message.staff_id else ""
        shown.append(_line(message, name, offered))
    return shown


def _line(message: Message, name: str, offered: Mapping[str, str]) -> Line:
    key, at = str(message.id), message.created_at
    match message.direction:
        case "in" if message.kind == "event":
            return Line(key, "event", "", at, f"对方{_WORKER_DID.get(message.payload.get('event', ''), '有动作')}")
        case "in":
            option = message.payload.get("option")
            text = message.text or (offered.get(option, option) if option else "")
            return Line(key, "worker", "职工", at, text, detail=_detail(message))
        case "note":
            return Line(key, "note", name, at, message.text)
        case "event":
            return Line(key, "event", name, at, _happened(message, name))
        case _:
            return Line(
                key,
                "staff" if message.staff_id else "bot",
                name or "自动回复",
                at,
                tail(message.text, message.payload.get("card", [])),
                card=message.payload.get("card", []),
                options=[option["label"] for option in message.payload.get("options", [])],
                delivery=DELIVERY[message.status],
                trouble=message.error or "" if message.status in {"held", "failed"} else "",
            )


def tail(text: str, card: Sequence[Mapping[str, Any]]) -> str:
    """What a reply says besides its card: the question or the ticket number that follows the last section."""
    if not card:
        return text
    _, found, after = text.rpartition(card[-1]["text"])
    return after.strip() if found else text


def _detail(message: Message) -> str:
    """What came with a picture, a voice message, a place: its kind and the facts that help to find it."""
    if message.kind not in KINDS:
        return ""
    facts = [str(message.payload[key]) for key in _DETAILS if message.payload.get(key)]
    return "，".join([KINDS[message.kind], *facts])


def _happened(message: Message, name: str) -> str:
    facts = message.payload
    priority = PRIORITIES.get(facts.get("priority", ""), "")
    match message.kind:
        case "opened":
            return f"开了工单：{wording.REASONS.get(facts.get('reason', ''), '')}，{priority}"
        case "raised":
            return f"提为{priority}：{wording.REASONS.get(facts.get('reason', ''), '')}"
        case "claimed":
            return f"{name}接手"
        case "closed":
            return f"{name}办结：{tickets.OUTCOMES.get(facts.get('outcome', ''), '')}"
        case _:
            return message.kind
