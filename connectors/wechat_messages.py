"""What the nodes of a WeChat message mean: one function per family of kinds, read into `Inbound`."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from connectors.base import Event, Grant, Inbound, Kind, Refused
from connectors.tencent import text_of

log = structlog.get_logger(__name__)

Nodes = dict[str, Any]

# Rule of the platform since 2023-06-12: what a worker does decides how many messages may follow, and for how long.
AFTER_MESSAGE = Grant("message", 5, timedelta(hours=48))
AFTER_MENU = Grant("menu", 3, timedelta(minutes=1))
AFTER_SUBSCRIBE = Grant("subscribe", 3, timedelta(minutes=1))
AFTER_SCAN = Grant("scan", 3, timedelta(minutes=1))
# A tapped option comes back as text, but counts as a click on a menu.
AFTER_OPTION = Grant("option", 3, timedelta(minutes=1))

_LONGEST_ID = 128
_QR_SCENE = "qrscene_"

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

_EVENTS: dict[str, tuple[Event, Grant | None]] = {
    "subscribe": (Event.SUBSCRIBE, AFTER_SUBSCRIBE),
    "unsubscribe": (Event.UNSUBSCRIBE, None),
    "scan": (Event.SCAN, AFTER_SCAN),
    "click": (Event.MENU, AFTER_MENU),
}


def read_message(nodes: Nodes, at: datetime) -> Sequence[Inbound]:
    """The message or event, or nothing when it is of a kind that we only acknowledge.

    `at` stands in for a creation time that makes no sense. Raises `Refused` with status 400 when it has no sender, or
    a node that we read is not plain text.
    """
    kind = text_of(nodes, "MsgType").lower()
    sender = text_of(nodes, "FromUserName")
    if not kind or not sender or len(sender) > _LONGEST_ID:
        raise Refused("no kind or no sender", status=400)
    if kind == "event":
        return _read_event(nodes, sender, at)
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


def _read_event(nodes: Nodes, sender: str, at: datetime) -> Sequence[Inbound]:
    name = text_of(nodes, "Event")
    if name.lower() not in _EVENTS:
        log.info("wechat_acknowledged", kind=f"event {name[:40]}")
        return ()
    event, grant = _EVENTS[name.lower()]
    key = text_of(nodes, "EventKey")
    created = text_of(nodes, "CreateTime")
    payload: dict[str, Any] = {}
    if event in (Event.SCAN, Event.SUBSCRIBE) and key:
        payload = {"scene": key.removeprefix(_QR_SCENE), "ticket": text_of(nodes, "Ticket")}
    clicked = key if event is Event.MENU else ""
    inbound = Inbound(
        channel="wechat",
        external_id=_external_id(sender, created, name, key) if created else _fingerprint(nodes),
        address=sender,
        kind=Kind.EVENT,
        sent_at=_sent_at(nodes, at),
        text=clicked,
        event=event,
        option=clicked or None,
        payload=payload,
        grant=grant,
    )
    return (inbound,)


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
