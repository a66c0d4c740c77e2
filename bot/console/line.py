"""The talk as colleagues read it: who said it, what it was, and whether it arrived."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot import tickets
from bot.console import files
from bot.console.pages import PRIORITIES
from bot.dialogue import wording
from bot.models import Attachment, Message

DELIVERY = {
    "pending": "待发",
    "sending": "待发",
    "sent": "已发",
    "held": "等待对方来信",
    "failed": "未送达",
}
_WORKER_DID = {"subscribe": "关注了公众号", "unsubscribe": "取消了关注", "menu": "点了菜单", "scan": "扫了码"}
_AT_PLATFORM = {
    "taken": "同事在平台自己的客服里接待，自动回复先不说话",
    "returned": "平台自己的客服接待结束，自动回复恢复",
}
_DETAILS = ("file_name", "title", "url", "label", "address", "media_id")


@dataclass(frozen=True, slots=True)
class Line:
    """`who` is worker, bot, staff, note or event. `card` and `options` are what the worker saw beside the text.

    `heard` is what a machine wrote down of a recording.
    """

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
    kind: str = ""
    file: files.Shown | None = None
    heard: str = ""


def lines(
    messages: Sequence[Message], people: Mapping[uuid.UUID, str], kept: Mapping[uuid.UUID, Attachment]
) -> list[Line]:
    """`people` names the colleagues that the messages mention, `kept` has the file of each message that brought one.

    Who looked at a file, and what was said in it, stands with the file.
    """
    offered: dict[str, str] = {}
    heard = {row.payload["of"]: row.text for row in messages if row.payload.get("heard")}
    there = {str(row.id) for row in messages}
    seen: dict[str, dict[str, None]] = {}
    for look in (row for row in messages if row.kind == "looked"):
        seen.setdefault(look.payload["file"], {})[_name(look, people)] = None
    shown = []
    for message in messages:
        if message.kind == "looked" or message.payload.get("of") in there:
            continue
        offered |= {option["id"]: option["label"] for option in message.payload.get("options", [])}
        line, words = _line(message, _name(message, people), offered), heard.get(str(message.id), "")
        if file := kept.get(message.id):
            opened = files.shown(file, list(seen.get(str(file.id), ())), written=bool(words))
            # With the file at hand, where the platform had it says nothing.
            line = dataclasses.replace(line, file=opened, heard=words, detail=wording.WHAT_CAME.get(message.kind, ""))
        shown.append(line)
    return shown


def _name(message: Message, people: Mapping[uuid.UUID, str]) -> str:
    return people.get(message.staff_id, "同事") if message.staff_id else ""


def _line(message: Message, name: str, offered: Mapping[str, str]) -> Line:
    key, at = str(message.id), message.created_at
    match message.direction:
        case "in" if message.kind == "event":
            return Line(key, "event", "", at, _did(message.payload))
        case "in":
            option = message.payload.get("option")
            text = message.text or (offered.get(option, option) if option else "")
            return Line(key, "worker", "职工", at, text, detail=_detail(message), kind=message.kind)
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
    if message.kind not in wording.WHAT_CAME:
        return ""
    facts = [str(message.payload[key]) for key in _DETAILS if message.payload.get(key)]
    return "，".join([wording.WHAT_CAME[message.kind], *facts])


def _did(facts: Mapping[str, Any]) -> str:
    """An event from the platform: what the connector noted of it, else what the worker did."""
    event = facts.get("event", "")
    return str(facts.get("note") or _AT_PLATFORM.get(event) or f"对方{_WORKER_DID.get(event, '有动作')}")


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
        case "linked":
            return f"本人把这里和{wording.CHANNELS.get(facts.get('channel', ''), '别处')}的聊天连上了"
        case "unlinked":
            return "本人把这里和别处的聊天解开了"
        case "carried":
            return "本人用码在另一台设备上打开了这个对话"
        case _:
            return message.kind
