"""What a Telegram update means: one function per family of kinds, read into `Inbound`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from telegram import Update

from connectors.base import Event, Inbound, Kind, Refused
from connectors.pages import clean

CHANNEL = "telegram"
# What we ask Telegram to bring; whatever else there is stays with Telegram.
ALLOWED = ("message", "edited_message", "callback_query", "my_chat_member")
# Tapped data that are no option's id: the number of a button, or the wish for the next page.
NUMBERED, MORE = "#", "#more"
_LARGEST_ID = 2**63
_CORE = ("message_id", "date", "chat", "from", "text", "caption", "edit_date")
_COMMAND = re.compile(r"/([A-Za-z0-9_]{1,32})(?:@\w{1,64})?(?:\s+(.*))?", re.DOTALL)
_PLACE = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Words that the dialogue understands anyway.
_WORDS = {"help": "help", "human": "人工", "status": "进度"}

# An animation also comes as a document: the first that is there counts.
_FILES: tuple[tuple[str, Kind, str], ...] = (
    ("animation", Kind.VIDEO, "video/mp4"),
    ("video", Kind.VIDEO, "video/mp4"),
    ("video_note", Kind.VIDEO, "video/mp4"),
    ("voice", Kind.VOICE, "audio/ogg"),
    ("audio", Kind.FILE, "audio/mpeg"),
    ("document", Kind.FILE, "application/octet-stream"),
)


@dataclass(frozen=True, slots=True)
class Read:
    """What an update brought. `query` is the id of a tap that has to be answered, also when it brought nothing."""

    messages: Sequence[Inbound] = ()
    query: str = ""


def open_update(body: bytes) -> Update:
    """Raises `Refused` with status 400 for whatever is not one update."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("not JSON", status=400) from None
    if not isinstance(found, dict):
        raise Refused("no object", status=400)
    return open_object(found)[1]


def open_object(found: Mapping[str, Any]) -> tuple[Mapping[str, Any], Update]:
    """As much of an update as the library can read, as it was and as read: what Telegram adds next year must not hold
    up the rest.

    Raises `Refused` with status 400 when that is not even who wrote and when.
    """
    number = found.get("update_id")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < _LARGEST_ID:
        raise Refused("no update id", status=400)
    reason = ""
    for shape in (found, _core(found)):
        try:
            return shape, Update.de_json(dict(shape), None)
        except Exception as error:
            # The library stumbles over odd input in many ways.
            reason = reason or type(error).__name__
    raise Refused(f"no update: {reason}", status=400)


def _core(found: Mapping[str, Any]) -> dict[str, Any]:
    """Of what was said only the words, and of what we did not ask for nothing."""
    core: dict[str, Any] = {"update_id": found["update_id"]}
    for kind in ALLOWED:
        if isinstance(part := found.get(kind), dict):
            core[kind] = {name: part[name] for name in _CORE if name in part} if kind.endswith("message") else part
        elif kind in found:
            core[kind] = found[kind]
    return core


def read_update(update: Update, bot: str, at: datetime) -> Read:
    """Messages of private chats; groups, other bots and kinds that we did not ask for bring nothing.

    `bot` is the number in front of the token: update ids are counted for each bot. `at` is the time of a tap, which
    carries none. Raises `Refused` with status 400, and nothing else, when a field is not what it should be.
    """
    try:
        return _read(update, f"{bot}:{update.update_id}", at)
    except Refused:
        raise
    except Exception as error:
        # The library checks few types: a field may hold anything that JSON can say.
        raise Refused(f"an odd update: {type(error).__name__}", status=400) from None


def _read(update: Update, key: str, at: datetime) -> Read:
    if update.callback_query is not None:
        return _read_tap(update.callback_query, key, at)
    if update.my_chat_member is not None:
        return _read_membership(update.my_chat_member, key)
    message: Any = update.message or update.edited_message
    if message is None or not _is_private(message.chat) or getattr(message.from_user, "is_bot", False) is True:
        return Read()
    if update.message is None:
        return _read_edited(message, key)
    return _read_message(message, key)


def _is_private(chat: Any) -> bool:
    if not isinstance(getattr(chat, "id", None), int):
        raise Refused("no chat", status=400)
    return bool(chat.type == "private")


def _read_message(message: Any, key: str) -> Read:
    if _text(message.text):
        return _said(message, key, **_spoken(_text(message.text)))
    if files := [(kind, usual, found) for name, kind, usual in _FILES if (found := getattr(message, name, None))]:
        kind, usual, found = files[0]
        return _said(message, key, kind=kind, text=_text(message.caption), payload=_file(message, found, usual))
    if isinstance(message.photo, tuple) and message.photo:
        # The sizes of one picture, the largest last.
        payload = _file(message, message.photo[-1], "image/jpeg")
        return _said(message, key, kind=Kind.IMAGE, text=_text(message.caption), payload=payload)
    if place := getattr(message.venue, "location", None) or message.location:
        label = " ".join(filter(None, (_text(getattr(message.venue, part, "")) for part in ("title", "address"))))
        where = {"lat": _degrees(place.latitude), "lon": _degrees(place.longitude), "label": label}
        return _said(message, key, kind=Kind.LOCATION, payload=where)
    if person := message.contact:
        parts = (person.last_name, person.first_name, " ", person.phone_number)
        return _said(message, key, text="".join(part if part == " " else _text(part) for part in parts).strip())
    if message.sticker:
        return _said(message, key, text=_text(message.sticker.emoji))
    if message.effective_attachment:
        # A poll, a game, a story: said something, though not to be read.
        return _said(message, key)
    return Read()


def _said(
    message: Any,
    key: str,
    *,
    kind: Kind = Kind.TEXT,
    text: str = "",
    event: Event | None = None,
    payload: Mapping[str, Any] | None = None,
) -> Read:
    known = {name: value for name, value in (payload or {}).items() if value not in (None, "")}
    return Read(
        (
            Inbound(
                channel=CHANNEL,
                external_id=key,
                address=str(message.chat.id),
                kind=kind,
                sent_at=_time(message.date),
                text=text,
                event=event,
                payload=known,
            ),
        )
    )


def _spoken(text: str) -> dict[str, Any]:
    """What a text says; a command is put into words that the dialogue understands, an unknown one stays as it is."""
    found = _COMMAND.fullmatch(text)
    if not found:
        return {"text": text}
    name, rest = found[1].lower(), (found[2] or "").strip()
    if name == "start":
        # A link t.me/<bot>?start=<place> says which poster the worker has seen.
        place = {"site": rest} if _PLACE.fullmatch(rest) else {}
        return {"kind": Kind.EVENT, "event": Event.SUBSCRIBE, "payload": place}
    if name not in _WORDS:
        return {"text": text}
    return {"text": f"{_WORDS[name]} {rest}".strip(), "payload": {"command": f"/{name}"}}


def _read_edited(message: Any, key: str) -> Read:
    """A corrected text is a new message. A position that moves is not: it comes every few seconds."""
    text = _text(message.text) or _text(message.caption)
    if not text:
        return Read()
    spoken = _spoken(text)
    return _said(message, key, **{**spoken, "payload": {**spoken.get("payload", {}), "edited": True}})


def _read_tap(query: Any, key: str, at: datetime) -> Read:
    tapped, data = _text(query.id), _text(query.data)
    if query.message is None or not data or not _is_private(query.message.chat):
        return Read(query=tapped)
    label, option = _label(query.message, data), None
    if data == MORE:
        label = "更多"
    elif data.startswith(NUMBERED):
        label = label or data.removeprefix(NUMBERED)
    else:
        option = data
    inbound = Inbound(
        channel=CHANNEL,
        external_id=key,
        address=str(query.message.chat.id),
        kind=Kind.TEXT,
        sent_at=at,
        text=label,
        option=option,
    )
    return Read((inbound,), tapped)


def _label(message: Any, data: str) -> str:
    """What stood on the button; nothing when the message is too old for Telegram to show."""
    rows = getattr(getattr(message, "reply_markup", None), "inline_keyboard", ())
    return next((_text(button.text) for row in rows for button in row if button.callback_data == data), "")


def _read_membership(change: Any, key: str) -> Read:
    """The worker has blocked the bot, or let it in again."""
    if not _is_private(change.chat):
        return Read()
    gone = change.new_chat_member.status in ("kicked", "left")
    return _said(change, key, kind=Kind.EVENT, event=Event.UNSUBSCRIBE if gone else Event.OTHER)


def _file(message: Any, found: Any, usual: str) -> dict[str, Any]:
    size = getattr(found, "file_size", None)
    return {
        "media_id": _text(found.file_id),
        "file_name": _text(getattr(found, "file_name", "")),
        "content_type": _text(getattr(found, "mime_type", "")) or usual,
        "size": size if isinstance(size, int) else None,
        "album": _text(message.media_group_id),
    }


def _text(value: object) -> str:
    return clean(value) if isinstance(value, str) else ""


def _time(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise Refused("no date", status=400)
    return value


def _degrees(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
