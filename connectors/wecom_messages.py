"""What the items of a 微信客服 queue mean: what customers say and what the platform reports, read into `Inbound`."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import structlog

from connectors.base import Event, Grant, Inbound, Kind
from connectors.pages import clean

log = structlog.get_logger(__name__)

Item = Mapping[str, Any]

STALE = timedelta(minutes=10)
# Rule of the platform: so many messages may follow a customer's message, for so long.
SENDS, WINDOW = 5, timedelta(hours=48)
# A code that comes with an event carries one message, within 20 s. The grant lasts longer because a reply that misses
# its code may still go as a plain message when the worker has written in the meantime.
CODE_LASTS = timedelta(seconds=20)

_CUSTOMER, _SYSTEM = 3, 4
_ID = re.compile(r"[A-Za-z0-9_@.-]{1,128}")
_KEY = re.compile(r"[A-Za-z0-9_-]{32}")
_REPLY_LONG = 22
_LONGEST = 400

# The kind of each message, and what of it the payload keeps under our own names. What a phone can forward but nobody
# can open here (cards, mini programs, channels, chat records) is answered like a link.
_KINDS: dict[str, tuple[Kind, dict[str, str]]] = {
    "text": (Kind.TEXT, {}),
    "image": (Kind.IMAGE, {"media_id": "media_id"}),
    "voice": (Kind.VOICE, {"media_id": "media_id"}),
    "video": (Kind.VIDEO, {"media_id": "media_id"}),
    "file": (Kind.FILE, {"media_id": "media_id", "file_name": "filename"}),
    "location": (Kind.LOCATION, {"label": "name", "address": "address", "lat": "latitude", "lon": "longitude"}),
    "link": (Kind.LINK, {"title": "title", "description": "desc", "url": "url"}),
    "miniprogram": (Kind.LINK, {"title": "title"}),
    "channels": (Kind.LINK, {"title": "title", "description": "nickname"}),
    "channels_shop_product": (Kind.LINK, {"title": "title"}),
    "channels_shop_order": (Kind.LINK, {"title": "product_titles"}),
    "merged_msg": (Kind.LINK, {"title": "title"}),
    "business_card": (Kind.LINK, {"title": "userid"}),
    "note": (Kind.LINK, {}),
}
_WHY_FAILED = {
    1: "客服账号已删除",
    2: "应用已关闭",
    4: "会话已过期，超过 48 小时",
    5: "会话已关闭",
    6: "超过 5 条限制",
    8: "企业没有认证",
    10: "对方拒收",
    11: "企业没有成员登录企业微信",
    12: "这种消息不许发",
    13: "被安全限制拦下",
}
_REFUSED_BY_WORKER = 10


def address_of(account: str, customer: str) -> str:
    """A customer of one account, in one string."""
    return f"{account}:{customer}"


def parts_of(address: str) -> tuple[str, str]:
    """The account (open_kfid) and the customer (external_userid)."""
    account, _, customer = address.partition(":")
    return account, customer


def key_of(reply: str, text: str) -> str:
    """The platform's idempotency key: the same for every try of one reply, another when it goes with other words
    (replies may be joined for want of sends, and then not the same ones on every try)."""
    words = hashlib.sha256(text.encode("utf-8", "replace")).digest()
    try:
        identity = uuid.UUID(reply).bytes
    except ValueError:
        identity = hashlib.sha256(reply.encode("utf-8", "replace")).digest()[:16]
    return base64.urlsafe_b64encode(identity).decode()[:_REPLY_LONG] + base64.urlsafe_b64encode(words).decode()[:10]


def _reply_of(key: object) -> str:
    """The reply that a key of ours stands for; empty for anything else."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        return ""
    return str(uuid.UUID(bytes=base64.urlsafe_b64decode(key[:_REPLY_LONG] + "==")))


def read_items(items: Iterable[object], now: datetime) -> Sequence[Inbound]:
    """What has to be kept, in the order it came. What cannot be read is noted in the log and left out: one odd item
    must not stop a queue."""
    found = []
    for item in items:
        try:
            inbound = _read(item, now)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            log.warning("wecom_item_unread", error=type(error).__name__)
            continue
        if inbound is not None:
            found.append(inbound)
    return found


def _read(item: object, now: datetime) -> Inbound | None:
    if not isinstance(item, dict):
        raise TypeError("an item is an object")
    # 5 is a colleague at the platform's own desk, and what we sent ourselves does not come back.
    match item.get("origin"):
        case 3:
            return _said(item, now)
        case 4 if item.get("msgtype") == "event":
            return _happened(item, now)
        case _:
            return None


def _said(item: Item, now: datetime) -> Inbound | None:
    name = str(item["msgtype"])
    if name not in _KINDS:
        log.info("wecom_unknown_kind", kind=name[:40])
    kind, keeps = _KINDS.get(name, (Kind.LINK, {}))
    content = item.get(name)
    content = content if isinstance(content, dict) else {}
    # Never empty: a reply to it is told by it from a colleague's own words.
    payload: dict[str, Any] = {"msgtype": name[:40]}
    payload |= {ours: value for ours, theirs in keeps.items() if (value := _text(content.get(theirs)))}
    text, option = "", None
    if kind is Kind.TEXT:
        text, option = _text(content.get("content"), 20_000), _text(content.get("menu_id"), 128) or None
    elif kind is Kind.LOCATION:
        payload |= {axis: _degrees(content.get(theirs)) for axis, theirs in (("lat", "latitude"), ("lon", "longitude"))}
    sent_at = _sent_at(item, now)
    return Inbound(
        channel="wecom",
        external_id=_external_id(item),
        address=address_of(_identity(item["open_kfid"]), _identity(item["external_userid"])),
        kind=kind,
        sent_at=sent_at,
        text=text,
        option=option,
        payload=payload,
        grant=Grant("message", SENDS, max(WINDOW - (now - sent_at), timedelta())),
    )


def _happened(item: Item, now: datetime) -> Inbound | None:
    """An event of one customer; those about servicers and accounts concern nobody here."""
    facts = item["event"]
    name = str(facts["event_type"])
    customer = facts.get("external_userid") or item.get("external_userid")
    if not customer:
        return None
    sent_at = _sent_at(item, now)
    payload: dict[str, Any] = {"name": name[:40]}
    event, code = Event.OTHER, ""
    match name:
        case "enter_session":
            payload |= {key: value for key in ("scene", "scene_param") if (value := _text(facts.get(key)))}
            payload["note"] = "对方进入了微信客服"
            # A link on a poster may say where it hangs: scene_param=site%3D…
            if site := dict(parse_qsl(payload.get("scene_param", ""))).get("site"):
                payload["site"] = site
            # Without a code the worker was greeted or has written within two days: once is enough.
            code = _text(facts.get("welcome_code"))
            if code and now - sent_at < STALE:
                event = Event.SUBSCRIBE
        case "session_status_change":
            event, code = _changed_hands(facts, payload)
        case "msg_send_fail":
            event = _undelivered(facts, payload)
        case "user_recall_msg":
            payload |= {"note": "对方撤回了一条消息", "recalled": _text(facts.get("recall_msgid"))}
        case "reject_customer_msg_switch_change":
            refuses = facts.get("reject_switch") == 1
            event = Event.UNSUBSCRIBE if refuses else Event.OTHER
            payload["note"] = "对方不再接收消息" if refuses else "对方重新接收消息"
        case _:
            log.info("wecom_event", kind=name[:40])
            return None
    if code:
        payload |= {"code": code, "code_until": (sent_at + CODE_LASTS).timestamp()}
    answerable = event in {Event.SUBSCRIBE, Event.RETURNED} and bool(code)
    return Inbound(
        channel="wecom",
        external_id=_external_id(item),
        address=address_of(_identity(facts.get("open_kfid") or item.get("open_kfid")), _identity(customer)),
        kind=Kind.EVENT,
        sent_at=sent_at,
        event=event,
        payload=payload,
        grant=Grant("event", 1, STALE) if answerable and now - sent_at < STALE else None,
    )


def _changed_hands(facts: Item, payload: dict[str, Any]) -> tuple[Event, str]:
    match facts.get("change_type"):
        case 1 | 2 | 4:  # Taken from the pool, passed on, taken up again.
            payload["servicer"] = _text(facts.get("new_servicer_userid"))
            return Event.TAKEN, ""
        case 3:
            payload["servicer"] = _text(facts.get("old_servicer_userid"))
            return Event.RETURNED, _text(facts.get("msg_code"))
        case _:
            return Event.OTHER, ""


def _undelivered(facts: Item, payload: dict[str, Any]) -> Event:
    why = facts.get("fail_type")
    payload |= {
        "note": f"消息没有送到：{_WHY_FAILED.get(why if isinstance(why, int) else 0, '平台没有说原因')}",
        "undelivered": _reply_of(facts.get("fail_msgid")),
    }
    return Event.UNSUBSCRIBE if why == _REFUSED_BY_WORKER else Event.OTHER


def _external_id(item: Item) -> str:
    """The platform's id of the message; an item without one is known by what is in it."""
    given = item.get("msgid")
    if isinstance(given, str) and 0 < len(given) <= 128:
        return given
    return hashlib.sha256(json.dumps(item, sort_keys=True, default=str).encode("utf-8", "replace")).hexdigest()


def _identity(value: object) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError("no such id")
    return value


def _text(value: object, longest: int = _LONGEST) -> str:
    return clean(value)[:longest] if isinstance(value, str) else ""


def _sent_at(item: Item, now: datetime) -> datetime:
    seconds = item.get("send_time")
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        return now
    try:
        return min(datetime.fromtimestamp(seconds, UTC), now)
    except (ValueError, OverflowError, OSError):
        return now


def _degrees(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
