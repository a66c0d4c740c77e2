"""Telegram's updates: who may bring them, what each kind means, and nothing but a refusal for what is broken."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.bell import Bell
from connectors.base import Delivery, Event, Handshake, Kind, Refused
from connectors.telegram import Telegram
from tests.connectors.telegram_bot import AT, SECRET, ZHANG, connector, only, platform, pushed, read, request
from tests.telegram_platform import TOKEN, Sent

BOT = TOKEN.partition(":")[0]


@pytest.fixture(scope="module")
async def telegram() -> AsyncIterator[Telegram]:
    """For parsing: nothing listens where it would send to, and it keeps nothing."""
    found = connector(Bell("redis://127.0.0.1:1"))
    yield found
    await found.close()


def refused(telegram: Telegram, body: bytes, secret: str | None = SECRET, method: str = "POST") -> int:
    with pytest.raises(Refused) as caught:
        telegram.parse(request(body, secret, method))
    return caught.value.status


# Who may bring updates.


@pytest.mark.parametrize("secret", [None, "", "x", SECRET[:-1], SECRET + "x", SECRET.upper(), "密码", "\udcff"])
def test_without_our_secret_nothing_is_read(telegram: Telegram, secret: str | None) -> None:
    assert refused(telegram, json.dumps(platform.text(ZHANG, "你好")).encode(), secret) == 403


async def test_without_a_secret_of_our_own_nobody_may_bring_anything() -> None:
    open_door = connector(Bell("redis://127.0.0.1:1"), secret="")
    for secret in (None, "", "x"):
        assert refused(open_door, json.dumps(platform.text(ZHANG, "你好")).encode(), secret) == 403
    await open_door.close()


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
def test_only_post_brings_updates(telegram: Telegram, method: str) -> None:
    assert refused(telegram, b"{}", method=method) == 405


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b"\xff\xfe",
        b'{"update_id": null}',
        b'{"update_id": true}',
        b'{"update_id": "7"}',
        b'{"update_id": -1}',
        b'{"update_id": 1e3}',
        b'{"update_id": 99999999999999999999999}',
        b'{"update_id": 7, "message": {}}',
        b'{"update_id": 7, "message": []}',
        b'{"update_id": 7, "message": "hello"}',
        b'{"update_id": 7, "message": {"message_id": 1, "date": 1}}',
        b'{"update_id": 7, "message": {"message_id": 1, "date": 1, "chat": {"id": "x", "type": "private"}}}',
        b'{"update_id": 7, "message": {"message_id": 1, "date": 1e30, "chat": {"id": 1, "type": "private"}}}',
        b'{"update_id": 7, "callback_query": {"id": "1"}}',
        b'{"update_id": 7, "my_chat_member": {"chat": {"id": 1, "type": "private"}}}',
        b"[" * 50_000,
        b'{"update_id": 7, "message": ' + b'{"reply_to_message": ' * 2_000 + b"{}" + b"}" * 2_001,
    ],
)
def test_a_broken_body_is_refused_with_400(telegram: Telegram, body: bytes) -> None:
    assert refused(telegram, body) == 400


def test_a_body_beyond_all_measure_is_refused(telegram: Telegram) -> None:
    assert refused(telegram, b" " * (256 * 1024 + 1)) == 413


def test_a_kind_that_we_did_not_ask_for_is_acknowledged(telegram: Telegram) -> None:
    assert read(telegram, {"update_id": 7}) == []
    assert read(telegram, {"update_id": 7, "something_new": {"a": 1}}) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
_PARTS = ("text", "caption", "photo", "voice", "video", "document", "animation", "location", "venue", "contact",
          "sticker", "poll", "chat", "from", "date", "entities", "media_group_id", "edit_date")  # fmt: skip
odd_messages = st.dictionaries(st.sampled_from(_PARTS), json_values, max_size=6)


@given(st.binary(max_size=400))
def test_no_bytes_do_more_than_be_refused(telegram: Telegram, body: bytes) -> None:
    with pytest.raises(Refused):
        telegram.parse(request(body))


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["message", "edited_message", "callback_query", "my_chat_member", "poll"]),
    odd_messages,
    st.booleans(),
)
def test_odd_fields_in_a_message_end_in_a_message_or_a_refusal(
    telegram: Telegram, kind: str, odd: dict[str, Any], whole: bool
) -> None:
    message = platform.message(ZHANG)["message"] if whole else {}
    update = {"update_id": 1, kind: message | odd}
    try:
        delivery = telegram.parse(request(json.dumps(update).encode("utf-8", "replace")))
    except Refused:
        return
    assert isinstance(delivery, Delivery)
    for inbound in delivery.messages:
        inbound.text.encode()
        json.dumps(dict(inbound.payload))


@given(st.text(max_size=300))
def test_any_text_comes_in_clean(telegram: Telegram, text: str) -> None:
    update = json.dumps(platform.text(ZHANG, text)).encode("utf-8", "replace")
    delivery = telegram.parse(request(update))
    assert isinstance(delivery, Delivery)
    for inbound in delivery.messages:
        inbound.text.encode()
        assert not any(ord(char) < 32 and char not in "\n\t" for char in inbound.text)


# What each kind means.


def test_a_text_with_all_that_belongs_to_it(telegram: Telegram) -> None:
    update = platform.text(ZHANG, " 公司拖欠工资\u0000怎么办 ")
    inbound = only(telegram, update)
    assert inbound.channel == "telegram"
    assert inbound.external_id == f"{BOT}:{update['update_id']}"
    assert inbound.address == str(ZHANG)
    assert inbound.kind is Kind.TEXT
    assert inbound.text == "公司拖欠工资怎么办"
    assert inbound.sent_at == datetime.fromtimestamp(update["message"]["date"], UTC)
    assert inbound.grant is None
    assert not isinstance(telegram.parse(pushed(update)), Handshake)


def test_a_repeated_delivery_has_the_same_id_and_another_update_another(telegram: Telegram) -> None:
    first, second = platform.text(ZHANG, "你好"), platform.text(ZHANG, "你好")
    assert only(telegram, first) == only(telegram, first)
    assert only(telegram, first).external_id != only(telegram, second).external_id


@pytest.mark.parametrize("kind", ["group", "supergroup", "channel", "sender"])
def test_groups_are_acknowledged_and_ignored(telegram: Telegram, kind: str) -> None:
    assert read(telegram, platform.text(-100123, "@bot 你好", kind=kind)) == []
    tap = platform.tap(Sent(-100123, "问题", (("是", "yes"),), 0, {}), "是")
    tap["callback_query"]["message"]["chat"]["type"] = kind
    assert read(telegram, tap) == []


def test_other_bots_are_ignored(telegram: Telegram) -> None:
    update = platform.text(ZHANG, "你好")
    update["message"]["from"] = {"id": 5, "is_bot": True, "first_name": "x"}
    assert read(telegram, update) == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("/human", "人工"),
        ("/HUMAN", "人工"),
        ("/human@daxing_hotline_bot", "人工"),
        ("/human 老板不发工资", "人工 老板不发工资"),
        ("/status", "进度"),
        ("/help", "help"),
        ("/unknown 工资", "/unknown 工资"),
        ("/", "/"),
        ("a/human", "a/human"),
    ],
)
def test_commands_are_put_into_words_of_the_dialogue(telegram: Telegram, typed: str, meant: str) -> None:
    inbound = only(telegram, platform.text(ZHANG, typed))
    assert (inbound.kind, inbound.text) == (Kind.TEXT, meant)


def test_start_greets_and_tells_which_poster_it_was(telegram: Telegram) -> None:
    plain = only(telegram, platform.text(ZHANG, "/start"))
    assert (plain.kind, plain.event, plain.text) == (Kind.EVENT, Event.SUBSCRIBE, "")
    assert plain.payload == {}
    assert only(telegram, platform.text(ZHANG, "/start site-12_a")).payload == {"site": "site-12_a"}
    assert only(telegram, platform.text(ZHANG, "/start <script>")).payload == {}


FILE = {"file_id": "FILE", "file_unique_id": "u", "file_size": 1234}
LASTS = {"duration": 3}
SQUARE = {"width": 90, "height": 90}


@pytest.mark.parametrize(
    ("fields", "kind", "expected"),
    [
        ({"voice": FILE | LASTS | {"mime_type": "audio/ogg"}}, Kind.VOICE, {"content_type": "audio/ogg"}),
        ({"voice": FILE | LASTS}, Kind.VOICE, {"content_type": "audio/ogg"}),
        (
            {"audio": FILE | LASTS | {"mime_type": "audio/mp4", "file_name": "录音.m4a"}},
            Kind.FILE,
            {"content_type": "audio/mp4", "file_name": "录音.m4a"},
        ),
        ({"video": FILE | LASTS | SQUARE}, Kind.VIDEO, {"content_type": "video/mp4"}),
        ({"video_note": FILE | LASTS | {"length": 240}}, Kind.VIDEO, {"content_type": "video/mp4"}),
        (
            {"document": FILE | {"file_name": "合同.pdf", "mime_type": "application/pdf"}},
            Kind.FILE,
            {"content_type": "application/pdf", "file_name": "合同.pdf"},
        ),
        (
            {"animation": FILE | LASTS | SQUARE, "document": FILE | {"file_id": "OTHER"}},
            Kind.VIDEO,
            {"content_type": "video/mp4"},
        ),
        (
            {"photo": [FILE | SQUARE | {"file_id": "SMALL"}, FILE | SQUARE], "media_group_id": "9"},
            Kind.IMAGE,
            {"content_type": "image/jpeg", "album": "9"},
        ),
    ],
)
def test_files_come_with_what_is_needed_to_fetch_them(
    telegram: Telegram, fields: dict[str, Any], kind: Kind, expected: dict[str, Any]
) -> None:
    inbound = only(telegram, platform.message(ZHANG, **fields))
    assert inbound.kind is kind
    assert inbound.text == ""
    assert inbound.payload == {"media_id": "FILE", "size": 1234} | expected
    source = telegram.media(inbound)
    assert source is not None
    assert source["media_id"] == "FILE"


def test_words_below_a_picture_are_words(telegram: Telegram) -> None:
    inbound = only(telegram, platform.message(ZHANG, photo=[FILE | SQUARE], caption="工伤照片"))
    assert (inbound.kind, inbound.text) == (Kind.IMAGE, "工伤照片")
    assert telegram.media(inbound)


def test_a_text_has_no_file(telegram: Telegram) -> None:
    assert telegram.media(only(telegram, platform.text(ZHANG, "你好"))) is None


def test_a_place_a_venue_and_a_contact(telegram: Telegram) -> None:
    where = {"latitude": 39.73, "longitude": 116.33}
    place = only(telegram, platform.message(ZHANG, location=where))
    assert (place.kind, place.payload) == (Kind.LOCATION, {"lat": 39.73, "lon": 116.33})
    venue = {"location": where, "title": "工地", "address": "黄村"}
    assert only(telegram, platform.message(ZHANG, venue=venue, location=where)).payload["label"] == "工地 黄村"
    person = {"first_name": "三", "last_name": "张", "phone_number": "13800138000"}
    contact = only(telegram, platform.message(ZHANG, contact=person))
    assert (contact.kind, contact.text) == (Kind.TEXT, "张三 13800138000")


def test_what_nobody_can_read_is_still_something_said(telegram: Telegram) -> None:
    dice: dict[str, Any] = {"dice": {"value": 3, "emoji": "🎲"}}
    inbound = only(telegram, platform.message(ZHANG, **dice))
    assert (inbound.kind, inbound.text) == (Kind.TEXT, "")
    sticker = FILE | SQUARE | {"is_animated": False, "is_video": False, "type": "regular", "emoji": "👍"}
    assert only(telegram, platform.message(ZHANG, sticker=sticker)).text == "👍"


def test_a_field_that_the_library_cannot_read_does_not_swallow_the_words(telegram: Telegram) -> None:
    for odd in ({"reply_to_message": {"new": "shape"}}, {"poll": {"id": 5}}, {"entities": 7}):
        assert only(telegram, platform.text(ZHANG, "工资", **odd)).text == "工资"
    update = platform.text(ZHANG, "工资") | {"business_message": {"new": "shape"}}
    assert only(telegram, update).text == "工资"


def test_news_about_the_chat_itself_is_nothing_said(telegram: Telegram) -> None:
    timer = {"message_auto_delete_time": 5}
    assert read(telegram, platform.message(ZHANG, delete_chat_photo=True)) == []
    assert read(telegram, platform.message(ZHANG, message_auto_delete_timer_changed=timer)) == []


def test_a_corrected_text_is_a_new_message_and_a_moving_place_is_not(telegram: Telegram) -> None:
    corrected = platform.text(ZHANG, "公司不发工资", update="edited_message", edit_date=int(AT.timestamp()))
    edited = only(telegram, corrected)
    assert (edited.kind, edited.text, edited.payload) == (Kind.TEXT, "公司不发工资", {"edited": True})
    where = {"latitude": 39.73, "longitude": 116.33, "live_period": 900}
    assert read(telegram, platform.message(ZHANG, update="edited_message", location=where)) == []


# Taps.


def test_a_tap_brings_the_option_and_the_words_on_the_button(telegram: Telegram) -> None:
    sent = Sent(ZHANG, "你是想问：", (("拖欠工资", "topic:rights.wage"), ("都不是", "none")), 0, {})
    update = platform.tap(sent, "拖欠工资")
    inbound = only(telegram, update)
    assert (inbound.kind, inbound.option, inbound.text) == (Kind.TEXT, "topic:rights.wage", "拖欠工资")
    assert inbound.address == str(ZHANG)
    assert inbound.external_id == f"{BOT}:{update['update_id']}"
    assert inbound.sent_at == AT


def test_a_tap_below_a_message_too_old_to_be_shown_still_counts(telegram: Telegram) -> None:
    update = platform.tap(Sent(ZHANG, "…", (("是", "yes"),), 0, {}), "是")
    chat = {"id": ZHANG, "type": "private"}
    update["callback_query"]["message"] = {"message_id": 1, "date": 0, "chat": chat}
    inbound = only(telegram, update)
    assert (inbound.option, inbound.text) == ("yes", "")


def test_a_tap_without_a_message_is_answered_and_brings_nothing(telegram: Telegram) -> None:
    update = platform.tap(Sent(ZHANG, "…", (("是", "yes"),), 0, {}), "是")
    del update["callback_query"]["message"]
    delivery = telegram.parse(pushed(update))
    assert isinstance(delivery, Delivery)
    assert delivery.messages == ()
    assert delivery.shape.query == update["callback_query"]["id"]


def test_blocked_and_let_in_again(telegram: Telegram) -> None:
    assert only(telegram, platform.membership(ZHANG, "kicked")).event is Event.UNSUBSCRIBE
    back = only(telegram, platform.membership(ZHANG, "member"))
    assert (back.kind, back.event) == (Kind.EVENT, Event.OTHER)
    assert telegram.media(back) is None
