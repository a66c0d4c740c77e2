"""What WeCom hands over, read into messages; whatever else comes is no exception."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import Event, Inbound, Kind
from connectors.wecom_messages import key_of, parts_of, read_items
from tests.connectors.wecom_desk import ADDRESS, CUSTOMER, connector
from tests.wecom_platform import ACCOUNT

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def said(kind: str, ago: float = 5, **content: Any) -> dict[str, Any]:
    return {
        "msgid": "m1",
        "open_kfid": ACCOUNT,
        "external_userid": CUSTOMER,
        "send_time": int(NOW.timestamp() - ago),
        "origin": 3,
        "msgtype": kind,
        kind: content,
    }


def event(name: str, ago: float = 5, **facts: Any) -> dict[str, Any]:
    inner = {"event_type": name, "open_kfid": ACCOUNT, "external_userid": CUSTOMER} | facts
    return {
        "msgid": "e1",
        "send_time": int(NOW.timestamp() - ago),
        "origin": 4,
        "msgtype": "event",
        "event": inner,
    }


def read(item: Any) -> Inbound:
    [inbound] = read_items([item], NOW)
    return inbound


def test_a_text_is_read_whole() -> None:
    inbound = read(said("text", content=" 工资三个月没发了\x08 "))
    assert (inbound.channel, inbound.external_id, inbound.address) == ("wecom", "m1", ADDRESS)
    assert (inbound.kind, inbound.text, inbound.option) == (Kind.TEXT, "工资三个月没发了", None)
    assert inbound.sent_at == NOW - timedelta(seconds=5)
    assert parts_of(inbound.address) == (ACCOUNT, CUSTOMER)


def test_a_tapped_menu_item_is_an_option() -> None:
    inbound = read(said("text", content="欠薪", menu_id="topic:legal.wage_arrears"))
    assert (inbound.text, inbound.option) == ("欠薪", "topic:legal.wage_arrears")


def test_five_messages_may_follow_within_48_hours_of_the_message_itself() -> None:
    fresh, old = read(said("text", content="1")), read(said("text", ago=40 * 3600, content="1"))
    assert fresh.grant
    assert old.grant
    assert (fresh.grant.sends, fresh.grant.lasts) == (5, timedelta(hours=48, seconds=-5))
    assert old.grant.lasts == timedelta(hours=8)
    ancient = read(said("text", ago=60 * 3600, content="1"))
    assert ancient.grant
    assert ancient.grant.lasts == timedelta()


@pytest.mark.parametrize(
    ("name", "content", "kind", "kept"),
    [
        ("image", {"media_id": "i"}, Kind.IMAGE, {"media_id": "i"}),
        ("voice", {"media_id": "v"}, Kind.VOICE, {"media_id": "v"}),
        ("video", {"media_id": "d"}, Kind.VIDEO, {"media_id": "d"}),
        ("file", {"media_id": "f"}, Kind.FILE, {"media_id": "f"}),
        (
            "location",
            {"latitude": 39.72, "longitude": 116.34, "name": "某工地", "address": "大兴区黄村镇"},
            Kind.LOCATION,
            {"lat": 39.72, "lon": 116.34, "label": "某工地", "address": "大兴区黄村镇"},
        ),
        ("link", {"title": "通知", "desc": "说明", "url": "https://e.org/"}, Kind.LINK, {"url": "https://e.org/"}),
        ("miniprogram", {"title": "小程序", "appid": "a"}, Kind.LINK, {"title": "小程序"}),
        ("merged_msg", {"title": "群聊的聊天记录", "item": []}, Kind.LINK, {"title": "群聊的聊天记录"}),
        ("business_card", {"userid": "wang"}, Kind.LINK, {"title": "wang"}),
        ("sticker_of_tomorrow", {"x": 1}, Kind.LINK, {}),
    ],
)
def test_every_kind_becomes_a_message_that_gets_an_answer(
    name: str, content: dict[str, Any], kind: Kind, kept: dict[str, Any]
) -> None:
    inbound = read(said(name, **content))
    assert inbound.kind is kind
    assert dict(inbound.payload).items() >= kept.items()
    assert inbound.payload["msgtype"] == name
    media = connector().media(inbound)
    assert (media == {"media_id": content.get("media_id")}) if "media_id" in content else media is None


@pytest.mark.parametrize("origin", [1, 2, 5, 6, None, "3", 3.5])
def test_only_customers_are_answered(origin: object) -> None:
    assert read_items([said("text", content="在吗") | {"origin": origin}], NOW) == []


def test_whoever_enters_is_greeted_with_the_code() -> None:
    inbound = read(event("enter_session", scene="poster", scene_param="site=黄村工地&n=7", welcome_code="CODE"))
    assert (inbound.kind, inbound.event) == (Kind.EVENT, Event.SUBSCRIBE)
    assert inbound.payload["code"] == "CODE"
    assert inbound.payload["code_until"] == (NOW + timedelta(seconds=15)).timestamp()
    assert (inbound.payload["scene"], inbound.payload["site"]) == ("poster", "黄村工地")
    assert inbound.grant
    assert inbound.grant.sends == 1


@pytest.mark.parametrize("item", [event("enter_session"), event("enter_session", ago=3600, welcome_code="CODE")])
def test_whoever_was_greeted_already_or_long_ago_is_not(item: dict[str, Any]) -> None:
    inbound = read(item)
    assert (inbound.event, inbound.grant) == (Event.OTHER, None)


@pytest.mark.parametrize("change", [1, 2, 4])
def test_a_session_that_a_colleague_takes_silences_us(change: int) -> None:
    inbound = read(event("session_status_change", change_type=change, new_servicer_userid="wang", msg_code="C"))
    assert (inbound.event, inbound.grant) == (Event.TAKEN, None)
    assert inbound.payload["servicer"] == "wang"


def test_a_session_that_ends_comes_back_with_the_code_of_the_end_message() -> None:
    inbound = read(event("session_status_change", change_type=3, old_servicer_userid="wang", msg_code="END"))
    assert inbound.event is Event.RETURNED
    assert (inbound.payload["code"], inbound.payload["servicer"]) == ("END", "wang")
    assert inbound.grant
    assert read(event("session_status_change", change_type=3)).grant is None
    assert read(event("session_status_change", change_type=9)).event is Event.OTHER


@pytest.mark.parametrize(
    ("why", "words", "meant"),
    [
        (6, "5 条", Event.OTHER),
        (4, "48 小时", Event.OTHER),
        (10, "拒收", Event.UNSUBSCRIBE),
        (99, "没有说", Event.OTHER),
    ],
)
def test_a_reply_that_was_not_delivered_is_recorded(why: int, words: str, meant: Event) -> None:
    reply = "019345ab-1234-7abc-8def-0123456789ab"
    inbound = read(event("msg_send_fail", fail_msgid=key_of(reply, "您好"), fail_type=why))
    assert inbound.event is meant
    assert words in inbound.payload["note"]
    assert inbound.payload["undelivered"] == reply


@pytest.mark.parametrize("key", ["", "platforms-own-key", None, 7, "密" * 32])
def test_a_key_that_is_not_ours_names_no_reply(key: object) -> None:
    assert read(event("msg_send_fail", fail_msgid=key, fail_type=6)).payload["undelivered"] == ""


def test_a_message_taken_back_is_recorded() -> None:
    inbound = read(event("user_recall_msg", recall_msgid="m7"))
    assert (inbound.event, inbound.payload["recalled"]) == (Event.OTHER, "m7")


@pytest.mark.parametrize(("switch", "meant"), [(1, Event.UNSUBSCRIBE), (0, Event.OTHER)])
def test_a_customer_who_refuses_messages_is_out_of_reach(switch: int, meant: Event) -> None:
    assert read(event("reject_customer_msg_switch_change", reject_switch=switch)).event is meant


@pytest.mark.parametrize(
    "item",
    [
        event("servicer_status_change", external_userid="", servicer_userid="wang", status=1),
        event("servicer_recall_msg"),
        event("event_of_tomorrow"),
        said("text", content="x") | {"origin": 4},
    ],
)
def test_events_that_concern_nobody_are_left_out(item: dict[str, Any]) -> None:
    assert read_items([item], NOW) == []


@pytest.mark.parametrize("broken", [None, 7, "x", [], {}, {"origin": 3}, {"origin": 4, "msgtype": "event"}])
def test_one_odd_item_does_not_stop_the_queue(broken: object) -> None:
    found = read_items([broken, said("text", content="后面的")], NOW)
    assert [inbound.text for inbound in found] == ["后面的"]


def test_an_item_without_an_id_is_known_by_its_content() -> None:
    item = said("text", content="一样")
    del item["msgid"]
    assert read(item).external_id == read(dict(item)).external_id
    assert read(item).external_id != read(item | {"send_time": 1}).external_id


@pytest.mark.parametrize("time", [None, "soon", -(10**20), 10**20, True, 2**62])
def test_a_time_that_makes_no_sense_is_now(time: object) -> None:
    assert read(said("text", content="x") | {"send_time": time}).sent_at == NOW


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
_names = st.sampled_from(["text", "image", "event", "location", "link", "merged_msg", "x"])
_events = st.sampled_from(["enter_session", "session_status_change", "msg_send_fail", "user_recall_msg", "x"])


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "msgid": _json,
            "open_kfid": st.just(ACCOUNT) | _json,
            "external_userid": st.just(CUSTOMER) | _json,
            "send_time": _json,
            "origin": st.sampled_from([3, 4]) | _json,
            "msgtype": _names | _json,
            "text": st.fixed_dictionaries({}, optional={"content": _json, "menu_id": _json}) | _json,
            "location": st.dictionaries(st.sampled_from(["latitude", "longitude", "name"]), _json) | _json,
            "event": st.fixed_dictionaries(
                {"event_type": _events},
                optional={
                    "open_kfid": st.just(ACCOUNT) | _json,
                    "external_userid": st.just(CUSTOMER) | _json,
                    "welcome_code": _json,
                    "change_type": st.integers(0, 5) | _json,
                    "fail_type": _json,
                    "msg_code": _json,
                },
            )
            | _json,
        },
    )
)
def test_no_item_raises(item: dict[str, Any]) -> None:
    for inbound in read_items([item], NOW):
        assert inbound.external_id
        assert inbound.address.count(":") == 1
        assert inbound.sent_at <= NOW
