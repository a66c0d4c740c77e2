"""What a worker did rather than said: followed, scanned, clicked, agreed to notices, was taken over by a colleague."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from connectors.base import Event, Grant
from connectors.tencent import text_of
from connectors.wechat_menu import Guide

log = structlog.get_logger(__name__)

Nodes = dict[str, Any]
Facts = dict[str, Any]
Reader = Callable[[Nodes, Guide], Facts]

# Of the buttons only these three let us push afterwards: click, and the two that scan.
AFTER_MENU = Grant("menu", 3, timedelta(minutes=1))
AFTER_SUBSCRIBE = Grant("subscribe", 3, timedelta(minutes=1))
AFTER_SCAN = Grant("scan", 3, timedelta(minutes=1))

_QR_SCENE = "qrscene_"
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Happened:
    """`text` and `option` are set when the worker thereby said something."""

    event: Event
    grant: Grant | None
    payload: Facts
    text: str = ""
    option: str | None = None


def read_event(nodes: Nodes, guide: Guide, template: str) -> Happened | None:
    """None for what we only acknowledge. `template` is the notice template whose consents count.

    Raises `Refused` with status 400 when the event's name or key is not plain text.
    """
    name = text_of(nodes, "Event").lower()
    key = text_of(nodes, "EventKey")
    if name == "click":
        return Happened(Event.MENU, AFTER_MENU, {}, guide.words.get(key, key), key or None)
    if name in _CONSENTS:
        return Happened(Event.OTHER, None, _consent(nodes, *_CONSENTS[name], template))
    if name not in _EVENTS:
        log.info("wechat_acknowledged", kind=f"event {name[:40]}")
        return None
    event, grant, read = _EVENTS[name]
    facts = {ours: value for ours, value in read(nodes, guide).items() if value not in ("", None)}
    return Happened(event, grant, facts | _note(event, name, facts))


def _note(event: Event, name: str, facts: Facts) -> Facts:
    """How colleagues read it in the thread, where it says more than the kind of event."""
    if site := facts.get("site"):
        return {"note": f"对方扫了“{site}”的二维码{'，关注了公众号' if event is Event.SUBSCRIBE else ''}"}
    if said := _NOTES.get(name):
        facts = {"url": "", "scan_result": "", "label": ""} | facts
        return {"note": said.format(**{fact: str(value)[:80] for fact, value in facts.items()})}
    return {}


def _nothing(nodes: Nodes, guide: Guide) -> Facts:
    return {}


def _scene(nodes: Nodes, guide: Guide) -> Facts:
    scene = text_of(nodes, "EventKey").removeprefix(_QR_SCENE)
    if not scene:
        return {}
    return {"scene": scene, "ticket": text_of(nodes, "Ticket"), "site": guide.sites.get(scene)}


def _page(nodes: Nodes, guide: Guide) -> Facts:
    return {"url": text_of(nodes, "EventKey"), "menu_id": text_of(nodes, "MenuId")}


def _scanned(nodes: Nodes, guide: Guide) -> Facts:
    within = _inner(nodes, "ScanCodeInfo")
    result = _words(within, "ScanResult")
    facts = {"key": text_of(nodes, "EventKey"), "scan_type": _words(within, "ScanType"), "scan_result": result}
    return facts | {"site": guide.sites.get(result)}


def _pictures(nodes: Nodes, guide: Guide) -> Facts:
    return {"key": text_of(nodes, "EventKey"), "count": _words(_inner(nodes, "SendPicsInfo"), "Count")}


def _place(nodes: Nodes, guide: Guide) -> Facts:
    within = _inner(nodes, "SendLocationInfo")
    names = {"label": "Label", "place": "Poiname", "lat": "Location_X", "lon": "Location_Y"}
    return {"key": text_of(nodes, "EventKey")} | {ours: _words(within, theirs) for ours, theirs in names.items()}


def _colleague(nodes: Nodes, guide: Guide) -> Facts:
    names = ("KfAccount", "ToKfAccount", "FromKfAccount")
    return {"desk": next((found for name in names if (found := _words(nodes, name))), "")}


_EVENTS: Mapping[str, tuple[Event, Grant | None, Reader]] = {
    "subscribe": (Event.SUBSCRIBE, AFTER_SUBSCRIBE, _scene),
    "unsubscribe": (Event.UNSUBSCRIBE, None, _nothing),
    "scan": (Event.SCAN, AFTER_SCAN, _scene),
    # The worker looks at "消息接收中" until we say something.
    "scancode_waitmsg": (Event.SCAN, AFTER_MENU, _scanned),
    "scancode_push": (Event.OTHER, AFTER_MENU, _scanned),
    "view": (Event.OTHER, None, _page),
    "view_miniprogram": (Event.OTHER, None, _page),
    # The pictures and the place themselves follow as messages.
    "pic_sysphoto": (Event.OTHER, None, _pictures),
    "pic_photo_or_album": (Event.OTHER, None, _pictures),
    "pic_weixin": (Event.OTHER, None, _pictures),
    "location_select": (Event.OTHER, None, _place),
    "kf_create_session": (Event.TAKEN, None, _colleague),
    "kf_switch_session": (Event.TAKEN, None, _colleague),
    "kf_close_session": (Event.RETURNED, None, _colleague),
}

_NOTES = {
    "view": "对方从菜单打开了网页 {url}",
    "view_miniprogram": "对方从菜单打开了小程序 {url}",
    "scancode_push": "对方用菜单扫了码：{scan_result}",
    "scancode_waitmsg": "对方用菜单扫了码：{scan_result}",
    "pic_sysphoto": "对方从菜单拍照发来",
    "pic_photo_or_album": "对方从菜单选照片发来",
    "pic_weixin": "对方从菜单选照片发来",
    "location_select": "对方从菜单发来位置 {label}",
}

# The node that lists the templates, and the node of each that says what became of it.
_CONSENTS = {
    "subscribe_msg_popup_event": ("SubscribeMsgPopupEvent", "SubscribeStatusString"),
    "subscribe_msg_change_event": ("SubscribeMsgChangeEvent", "SubscribeStatusString"),
    "subscribe_msg_sent_event": ("SubscribeMsgSentEvent", "ErrorCode"),
}


def _consent(nodes: Nodes, outer: str, inner: str, template: str) -> Facts:
    """`notices`: so many more may be sent; 0: none any more. Not there when this changes nothing."""
    listed = _inner(nodes, outer).get("List")
    items = listed if isinstance(listed, list) else [listed]
    ours = [item for item in items if isinstance(item, dict) and template and _words(item, "TemplateId") == template]
    said = [_words(item, inner) for item in ours]
    if not said:
        return {}
    if outer == "SubscribeMsgSentEvent":
        if failed := [code for code in said if code != "0"]:
            log.warning("wechat_notice_not_shown", code=failed[0][:20])
            return {"note": f"通知没有送到对方手机（{failed[0][:20]}）"}
        return {"note": "通知送到了对方手机"}
    if "reject" in said:
        return {"notices": 0, "note": "对方不再接收通知"}
    if accepted := said.count("accept"):
        return {"notices": accepted, "note": f"对方同意接收 {accepted} 次通知"}
    return {"note": "对方看了通知的设置"}


def _inner(nodes: Nodes, name: str) -> Nodes:
    found = nodes.get(name)
    return found if isinstance(found, dict) else {}


def _words(nodes: Nodes, name: str) -> str:
    """The text of a node that we can do without: nothing when it is of another shape."""
    return text_of(nodes, name)[:_LONGEST] if isinstance(nodes.get(name), str) else ""
