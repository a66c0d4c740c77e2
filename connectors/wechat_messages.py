"""What the nodes of a WeChat message mean: one function per family of kinds, read into `Inbound`."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from connectors.base import Grant, Inbound, Kind, Refused
from connectors.tencent import text_of
from connectors.wechat_events import Happened, Nodes, read_event
from connectors.wechat_menu import Guide

log = structlog.get_logger(__name__)

# Rule of the platform since 2023-06-12: what a worker does decides how many messages may follow, and for how long.
AFTER_MESSAGE = Grant("message", 5, timedelta(hours=48))
# A tapped option comes back as text, but counts as a click on a menu.
AFTER_OPTION = Grant("option", 3, timedelta(minutes=1))

_LONGEST_ID = 128

# The kind of each message, and the nodes that its payload keeps under our own names.
_KINDS: dict[str, tuple[Kind, dict[str, str]]] = {
    "text": (Kind.TEXT, {}),
    "image": (Kind.IMAGE, {"media_id": "MediaId", "url": "PicUrl"}),
    "voice": (Kind.VOICE, {"media_id": "MediaId", "media_id_16k": "MediaId16K", "format": "Format"}),
    "video": (Kind.VIDEO, {"media_id": "MediaId", "thumb_media_id": "ThumbMediaId"}),
    "shortvideo": (Kind.VIDEO, {"media_id": "MediaId", "thumb_media_id": "ThumbMediaId"}),
    "location": (Kind.LOCATION, {"label": "Label", "lat": "Location_X", "lon": "Location_Y", "scale": "Scale"}),
    "link": (Kind.LINK, {"title": "Title", "description": "Description", "url": "Url"}),
    "file": (
        Kind.FILE,
        {
            "media_id": "MediaId",
            "file_name": "Title",
            "description": "Description",
            "size": "FileTotalLen",
            "md5": "FileMd5",
        },
    ),
}


def read_message(nodes: Nodes, at: datetime, guide: Guide, template: str = "") -> Sequence[Inbound]:
    """The message or event, or nothing when it is of a kind that we only acknowledge.

    `at` stands in for a creation time that makes no sense; `template` is the notice template whose consents count.
    Raises `Refused` with status 400 when it has no sender, or a node that we read is not plain text.
    """
    kind = text_of(nodes, "MsgType").lower()
    sender = text_of(nodes, "FromUserName")
    if not kind or not sender or len(sender) > _LONGEST_ID:
        raise Refused("no kind or no sender", status=400)
    if kind == "event":
        happened = read_event(nodes, guide, template)
        return (_done(nodes, happened, sender, at),) if happened else ()
    if kind not in _KINDS:
        log.info("wechat_acknowledged", kind=kind[:40])
        return ()
    return (_read_said(nodes, kind, sender, at),)


def _read_said(nodes: Nodes, name: str, sender: str, at: datetime) -> Inbound:
    kind, keeps = _KINDS[name]
    payload: dict[str, Any] = {ours: value for ours, theirs in keeps.items() if (value := text_of(nodes, theirs))}
    text, option = "", None
    if kind is Kind.TEXT:
        text = text_of(nodes, "Content")
        option = text_of(nodes, "bizmsgmenuid") or None
    elif kind is Kind.VOICE:
        text = text_of(nodes, "Recognition")
        if text:
            # The platform is withdrawing its speech recognition; what still comes is a guess.
            payload["unreliable"] = True
    elif kind is Kind.LOCATION:
        payload |= {axis: _degrees(payload.get(axis)) for axis in ("lat", "lon")}
    number = text_of(nodes, "MsgId")
    return Inbound(
        channel="wechat",
        external_id=_external_id(sender, number) if number.strip("0") else _fingerprint(nodes),
        address=sender,
        kind=kind,
        sent_at=_sent_at(nodes, at),
        text=text,
        option=option,
        payload=payload,
        grant=AFTER_OPTION if option else AFTER_MESSAGE,
    )


def _done(nodes: Nodes, happened: Happened, sender: str, at: datetime) -> Inbound:
    name, key, created = (text_of(nodes, node) for node in ("Event", "EventKey", "CreateTime"))
    return Inbound(
        channel="wechat",
        external_id=_external_id(sender, created, name, key) if created else _fingerprint(nodes),
        address=sender,
        kind=Kind.EVENT,
        sent_at=_sent_at(nodes, at),
        text=happened.text,
        event=happened.event,
        option=happened.option,
        payload=happened.payload,
        grant=happened.grant,
    )


def _external_id(*parts: str) -> str:
    """The same on every delivery of the same thing: three are made when we are slow."""
    joined = ":".join(parts)
    return joined if len(joined) <= _LONGEST_ID else hashlib.sha256(joined.encode()).hexdigest()


def _fingerprint(nodes: Nodes) -> str:
    plain = json.dumps({name: value for name, value in nodes.items() if isinstance(value, str)}, sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()


def _sent_at(nodes: Nodes, at: datetime) -> datetime:
    try:
        sent = datetime.fromtimestamp(int(text_of(nodes, "CreateTime")), UTC)
    except (ValueError, OverflowError, OSError):
        return at
    return sent if sent <= at + timedelta(days=1) else at


def _degrees(value: str | None) -> float | None:
    try:
        degrees = float(value or "")
    except ValueError:
        return None
    return degrees if math.isfinite(degrees) else None
