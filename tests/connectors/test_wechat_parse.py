from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.base import Delivery, Event, Grant, Handshake, Kind, Refused, Request
from connectors.wechat import MAX_BODY
from tests.connectors.account import AT, KEY, OPENID, OTHER_KEY, PAYLOADS, client, connector, parsed, pushed, request
from tests.wechat_client import ACCOUNT, xml

MESSAGE = Grant("message", 5, timedelta(hours=48))
OPTION = Grant("option", 3, timedelta(minutes=1))
MENU = Grant("menu", 3, timedelta(minutes=1))
SUBSCRIBE = Grant("subscribe", 3, timedelta(minutes=1))
SCAN = Grant("scan", 3, timedelta(minutes=1))
MODES = ("safe", "compat", "plain")


def payload(name: str) -> bytes:
    return (PAYLOADS / f"{name}.xml").read_bytes()


def said(kind: Kind, text: str = "", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "text": text, "grant": MESSAGE, "event": None, "option": None, "payload": {}} | more


def done(event: Event, grant: Grant | None, **more: Any) -> dict[str, Any]:
    return said(Kind.EVENT) | {"event": event, "grant": grant} | more


READ: dict[str, dict[str, Any]] = {
    "text": said(Kind.TEXT, "公司三个月没发工资，怎么办？"),
    "text_empty": said(Kind.TEXT),
    "text_emoji": said(Kind.TEXT, "救命😭👨‍👩‍👧 <b>&amp; ]]>"),
    "text_control": said(Kind.TEXT, "讨薪问题"),
    "text_option": said(Kind.TEXT, "欠薪怎么要", option="wages.unpaid", grant=OPTION),
    "text_extra_nodes": said(Kind.TEXT, "你好"),
    "text_no_id": said(Kind.TEXT, "没有编号"),
    "text_zero_id": said(Kind.TEXT, "编号是零"),
    "image": said(Kind.IMAGE, payload={"media_id": "img-1", "url": "http://mmbiz.example/p.jpg"}),
    "voice": said(Kind.VOICE, payload={"media_id": "voice-1", "format": "amr", "media_id_16k": "voice-16k"}),
    "voice_recognised": said(
        Kind.VOICE, "我要投诉老板。", payload={"media_id": "voice-2", "format": "amr", "unreliable": True}
    ),
    "voice_recognition_empty": said(Kind.VOICE, payload={"media_id": "voice-3", "format": "amr"}),
    "video": said(Kind.VIDEO, payload={"media_id": "video-1", "thumb_media_id": "thumb-1"}),
    "shortvideo": said(Kind.VIDEO, payload={"media_id": "video-2", "thumb_media_id": "thumb-2"}),
    "location": said(
        Kind.LOCATION,
        payload={"label": "北京市大兴区黄村镇", "lat": 39.726929, "lon": 116.341395, "scale": "15"},
    ),
    "location_nonsense": said(Kind.LOCATION, payload={"lat": None, "lon": None}),
    "link": said(Kind.LINK, payload={"title": "劳动合同法", "description": "全文", "url": "https://law.example/1"}),
    "file": said(Kind.FILE, payload={"file_name": "合同.pdf", "md5": "0cc175b9", "size": "1024", "media_id": "file-1"}),
    "subscribe": done(Event.SUBSCRIBE, SUBSCRIBE),
    "subscribe_scene": done(
        Event.SUBSCRIBE,
        SUBSCRIBE,
        payload={
            "scene": "poster7",
            "ticket": "TICKET",
            "site": "西红门站",
            "note": "对方扫了“西红门站”的二维码，关注了公众号",
        },
    ),
    "unsubscribe": done(Event.UNSUBSCRIBE, None),
    "scan": done(
        Event.SCAN,
        SCAN,
        payload={"scene": "poster7", "ticket": "TICKET", "site": "西红门站", "note": "对方扫了“西红门站”的二维码"},
    ),
    "click": done(Event.MENU, MENU, text="我要找律师", option="我要找律师"),
    # The platform lets nothing be pushed after these: only the two that scan count as a click.
    "view": done(
        Event.OTHER,
        None,
        payload={"url": "https://union.example/", "note": "对方从菜单打开了网页 https://union.example/"},
    ),
    "view_miniprogram": done(
        Event.OTHER,
        None,
        payload={"url": "pages/index", "menu_id": "415", "note": "对方从菜单打开了小程序 pages/index"},
    ),
    "pic_album": done(Event.OTHER, None, payload={"key": "photo", "count": "2", "note": "对方从菜单选照片发来"}),
    "location_select": done(
        Event.OTHER,
        None,
        payload={
            "key": "here",
            "label": "大兴区兴华大街",
            "place": "工地",
            "lat": "39.73",
            "lon": "116.34",
            "note": "对方从菜单发来位置 大兴区兴华大街",
        },
    ),
    "scancode": done(
        Event.OTHER,
        MENU,
        payload={"key": "k", "scan_type": "qrcode", "scan_result": "1", "note": "对方用菜单扫了码：1"},
    ),
    "scancode_wait": done(
        Event.SCAN,
        MENU,
        payload={
            "key": "scan",
            "scan_type": "qrcode",
            "scan_result": "poster7",
            "site": "西红门站",
            "note": "对方扫了“西红门站”的二维码",
        },
    ),
    "scancode_bent": done(Event.OTHER, MENU, payload={"key": "k", "note": "对方用菜单扫了码："}),
    "kf_create": done(Event.TAKEN, None, payload={"desk": "kf1@union"}),
    "kf_switch": done(Event.TAKEN, None, payload={"desk": "kf2@union"}),
    "kf_close": done(Event.RETURNED, None, payload={"desk": "a@b"}),
    "consent_accept": done(Event.OTHER, None, payload={"notices": 1, "note": "对方同意接收 1 次通知"}),
    "consent_other": done(Event.OTHER, None),
    "consent_bent": done(Event.OTHER, None),
    "consent_reject": done(Event.OTHER, None, payload={"notices": 0, "note": "对方不再接收通知"}),
    "consent_sent": done(Event.OTHER, None, payload={"note": "通知送到了对方手机"}),
    "consent_failed": done(Event.OTHER, None, payload={"note": "通知没有送到对方手机（43101）"}),
}
ACKNOWLEDGED = ("template_done", "position", "unknown_event", "unknown_kind")
GUIDE = """
menu: [{name: 找人工, say: 人工}, {name: 欠薪, topic: legal.wage_arrears}]
sites: {poster7: 西红门站}
notice: {fields: {thing1: 有新回复}}
"""


@pytest.fixture(scope="module")
def guided(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings with a menu file of the test's own."""
    path = tmp_path_factory.mktemp("menu") / "menu.yaml"
    path.write_text(GUIDE)
    return {"menu": str(path), "notice_template": "TICKET-NEWS"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", READ)
def test_every_kind_is_read_in_every_mode(name: str, mode: str, guided: dict[str, Any]) -> None:
    (inbound,) = parsed(payload(name), mode, **guided).messages
    assert {field: getattr(inbound, field) for field in READ[name]} == READ[name]
    assert (inbound.channel, inbound.address) == ("wechat", OPENID)
    assert inbound.sent_at == datetime(2025, 11, 22, 8, 26, 40, tzinfo=UTC)
    assert 0 < len(inbound.external_id) <= 128


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ACKNOWLEDGED)
def test_other_kinds_are_acknowledged_only(name: str, mode: str) -> None:
    assert list(parsed(payload(name), mode).messages) == []


def test_a_click_says_what_the_button_means(guided: dict[str, Any]) -> None:
    for key, text in {"人工": "人工", "topic:legal.wage_arrears": "欠薪", "unheard.of": "unheard.of"}.items():
        (inbound,) = parsed(payload("click").replace("我要找律师".encode(), key.encode()), **guided).messages
        assert (inbound.text, inbound.option) == (text, key)


def test_without_a_template_no_consent_counts() -> None:
    (inbound,) = parsed(payload("consent_accept")).messages
    assert not inbound.payload


def test_every_payload_has_a_case() -> None:
    assert {path.stem for path in PAYLOADS.glob("*.xml")} == {*READ, *ACKNOWLEDGED, "text_long_sender"}


def external_id(body: bytes) -> str:
    (inbound,) = parsed(body).messages
    return inbound.external_id


@pytest.mark.parametrize("name", [*READ, "text_long_sender"])
def test_the_external_id_is_the_same_on_every_delivery(name: str) -> None:
    assert external_id(payload(name)) == external_id(payload(name))


def test_external_ids_by_sender_and_number_or_moment() -> None:
    assert external_id(payload("text")) == f"{OPENID}:24839201734651023"
    assert external_id(payload("click")) == f"{OPENID}:1763800000:CLICK:我要找律师"
    assert len(external_id(payload("text_long_sender"))) == 64


@pytest.mark.parametrize("name", ["text_no_id", "text_zero_id"])
def test_without_a_number_the_content_tells_messages_apart(name: str) -> None:
    body = payload(name)
    other = body.replace("编号".encode(), "序号".encode())
    later = body.replace(b"1763800000", b"1763800001")
    assert len({external_id(body), external_id(other), external_id(later)}) == 3


@pytest.mark.parametrize(
    "created", ["", "soon", "-1e9", "99999999999999999999", "1763800000000", "4102444800", "9" * 5000]
)
def test_a_senseless_creation_time_becomes_the_time_of_arrival(created: str) -> None:
    (inbound,) = parsed(payload("text").replace(b"1763800000", created.encode())).messages
    assert inbound.sent_at == AT


# Handshake


def handshake(**changes: str) -> Request:
    query = client().signed(timestamp=int(AT.timestamp())) | {"echostr": "432<&>密 5"} | changes
    return request(b"", query, "GET")


def test_the_handshake_echoes_byte_for_byte() -> None:
    assert connector().parse(handshake()) == Handshake("432<&>密 5")


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": ""},
        {"signature": "0" * 40},
        {"signature": "签名"},
        {"nonce": "x"},
        {"timestamp": "1"},
        {"echostr": ""},
    ],
)
def test_a_handshake_that_is_not_the_platforms_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(Refused):
        connector().parse(handshake(**changes))


def test_a_handshake_without_any_query_is_refused() -> None:
    with pytest.raises(Refused):
        connector().parse(request(b"", {}, "GET"))


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "PATCH", "post"])
def test_other_methods_are_refused(method: str) -> None:
    with pytest.raises(Refused) as refused:
        connector().parse(replace(pushed(payload("text")), method=method))
    assert refused.value.status == 405


# Who sent it


def refused(case: Request, **settings: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        connector(**settings).parse(case)
    assert 400 <= caught.value.status < 500
    return caught.value


@pytest.mark.parametrize("mode", ["plain", "compat"])
def test_safe_mode_takes_no_plain_message(mode: str) -> None:
    """Not even with a valid signature, nor with the encrypted part or its signature taken away."""
    plain = pushed(payload("text"), "plain")
    refused(plain)
    refused(replace(plain, query={**plain.query, "encrypt_type": "aes"}))
    signature = plain.query["signature"]
    refused(replace(plain, query={**plain.query, "encrypt_type": "aes", "msg_signature": signature}))
    dressed = pushed(payload("text"), mode)
    bare = {name: value for name, value in dressed.query.items() if name not in ("encrypt_type", "msg_signature")}
    refused(replace(dressed, query=bare))


def test_an_encrypted_body_with_the_plain_signature_only_is_refused() -> None:
    sealed = pushed(payload("text"))
    refused(replace(sealed, query={**sealed.query, "msg_signature": sealed.query["signature"]}))


def test_the_plain_fields_beside_an_encrypted_part_are_not_believed() -> None:
    forged = pushed(payload("text"), "compat")
    forged = replace(forged, body=forged.body.replace("公司三个月".encode(), "我要自首，".encode()))
    delivery = connector(mode="compat").parse(forged)
    assert isinstance(delivery, Delivery)
    assert delivery.messages[0].text.startswith("公司三个月")


def test_compat_mode_also_takes_what_a_plain_account_sends() -> None:
    delivery = connector(mode="compat").parse(pushed(payload("text"), "plain"))
    assert isinstance(delivery, Delivery)
    assert delivery.messages[0].text.startswith("公司三个月")


def test_plain_mode_reads_a_compat_body_and_refuses_a_sealed_one() -> None:
    delivery = connector(mode="plain").parse(pushed(payload("text"), "compat"))
    assert isinstance(delivery, Delivery)
    assert "plain mode" in refused(pushed(payload("text"), "safe"), mode="plain").reason


@pytest.mark.parametrize("mode", MODES)
def test_a_forged_signature_is_refused(mode: str) -> None:
    for name in ("signature", "msg_signature"):
        case = pushed(payload("text"), mode)
        if name in case.query and (name == "msg_signature") == (mode != "plain"):
            refused(replace(case, query={**case.query, name: "0" * 40}), mode=mode)
            refused(replace(case, query={**case.query, name: "é" * 40}), mode=mode)
    refused(pushed(payload("text"), mode, token="another-token"), mode=mode)


def test_a_message_for_another_account_is_refused() -> None:
    refused(pushed(payload("text"), app_id="wx0000000000000000"))


@pytest.mark.parametrize("mode", MODES)
def test_old_and_future_signatures_are_refused_both_ways(mode: str) -> None:
    case = pushed(payload("text"), mode)
    for minutes in (-11, 11):
        assert "clock" in refused(replace(case, at=AT + timedelta(minutes=minutes)), mode=mode).reason
    for minutes in (-9, 9):
        assert connector(mode=mode).parse(replace(case, at=AT + timedelta(minutes=minutes)))
    assert connector(mode=mode, freshness=0).parse(replace(case, at=AT + timedelta(days=900)))


def test_both_keys_open_and_the_reply_uses_the_one_that_did() -> None:
    wechat = connector(aes_key=OTHER_KEY, aes_key_previous=KEY)
    for key in (KEY, OTHER_KEY):
        case = pushed(payload("text"), key=key)
        delivery = wechat.parse(case)
        assert isinstance(delivery, Delivery)
        body = wechat.reply(delivery, delivery.messages[0], "在").body
        assert client(key=key).read(body, OPENID) == "在"


# What it says

BOMB = b'<!DOCTYPE xml [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
SENDER = f"<FromUserName>{OPENID}</FromUserName>".encode()
KIND = b"<MsgType>text</MsgType>"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"<xml>",
        b"<xml/>",
        b"<xml></xml>",
        b"<html><body>hi</body></html>",
        b"plain words",
        b'{"MsgType": "text", "FromUserName": "o1", "Content": "hi"}',
        b"<xml>" + SENDER + b"</xml>",
        b"<xml>" + KIND + b"</xml>",
        b"<xml>" + KIND + b"<FromUserName></FromUserName></xml>",
        b"<xml>" + KIND + b"<FromUserName>" + b"o" * 129 + b"</FromUserName></xml>",
        b"<xml>" + KIND + SENDER + b"<Content>a</Content><Content>b</Content></xml>",
        b"<xml>" + KIND + SENDER + b"<Content><b>a</b></Content></xml>",
        b"<xml>" + KIND + SENDER + b'<Content lang="zh">a</Content></xml>',
        b"<xml>" + KIND + SENDER + SENDER + b"<Content>a</Content></xml>",
        b"<xml>" + KIND + KIND + SENDER + b"</xml>",
        b"<xml>" + KIND + SENDER + b"<MsgId><x/></MsgId></xml>",
        b"<xml>" + KIND + SENDER + b"<Content>&undefined;</Content></xml>",
        b"<xml>" + KIND + SENDER + b"<Content>&#8;</Content></xml>",
        b"<xml>" + KIND + SENDER + b"<Content>&#xD800;</Content></xml>",
        b"<xml>" + KIND + SENDER + b"<Content>a & b</Content></xml>",
        BOMB + b"<xml>" + KIND + SENDER + b"<Content>&b;</Content></xml>",
        b"<!DOCTYPE xml>" + b"<xml>" + KIND + SENDER + b"</xml>",
        b'<!DOCTYPE xml SYSTEM "file:///etc/passwd">' + b"<xml>" + KIND + SENDER + b"</xml>",
        b"<xml>" + KIND + SENDER + b"</xml><xml/>",
        b"<a>" * 4000 + b"</a>" * 4000,
        b"\xff\xfe<\x00x\x00",
    ],
)
def test_what_is_not_a_message_is_refused_as_a_bad_request(body: bytes, mode: str) -> None:
    case = pushed(body, mode) if mode != "compat" else pushed(body, "safe")
    assert refused(case, mode=mode).status == 400


@pytest.mark.parametrize("mode", MODES)
def test_the_body_has_a_cap(mode: str) -> None:
    over = replace(pushed(payload("text"), mode), body=b"x" * (MAX_BODY + 1))
    assert refused(over, mode=mode).status == 413


def test_many_nested_nodes_that_we_do_not_read_do_no_harm() -> None:
    deep = b"<xml>" + KIND + SENDER + b"<Content>a</Content>" + b"<d>" * 8000 + b"</d>" * 8000 + b"</xml>"
    assert parsed(deep, "plain").messages[0].text == "a"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("\x00\x01\x08\x0b\x0c\x1f\x7f\ufffe正文\uffff", "正文"),
        ("一\r\n二\r三\n四\t五", "一\n二\n三\n四\t五"),
        ("半个\ud800表情", "半个\ufffd\ufffd\ufffd表情"),
        ("<!DOCTYPE html><a>&lt;", "<!DOCTYPE html><a>&lt;"),
        ("  \u3000 ", ""),
        ("长" * 20000, "长" * 20000),
    ],
)
def test_text_arrives_clean(sent: str, read: str, mode: str) -> None:
    fields: dict[str, str | int] = {"ToUserName": ACCOUNT, "FromUserName": OPENID, "MsgType": "text", "MsgId": 7}
    body = xml({**fields, "CreateTime": 1763800000, "Content": sent})
    if mode != "plain" and len(sent) > 9999:
        body, read = xml({**fields, "CreateTime": 1763800000, "Content": sent[:9000]}), read[:9000]
        mode = "safe"
    (inbound,) = parsed(body, mode).messages
    assert inbound.text == read


def test_kinds_are_read_whatever_their_case() -> None:
    body = payload("text").replace(b"[text]", b"[TEXT]")
    assert parsed(body).messages[0].kind is Kind.TEXT


# Whatever comes

QUERIES = st.dictionaries(
    st.one_of(
        st.sampled_from(["signature", "msg_signature", "timestamp", "nonce", "echostr", "encrypt_type", "openid"]),
        st.text(max_size=8),
    ),
    st.text(st.characters(), max_size=50),
    max_size=8,
)


def allowed(case: Request, mode: str) -> None:
    """The connector takes it or refuses it as the caller's fault; any other exception fails the test."""
    result: Handshake | Delivery | Refused
    try:
        result = connector(mode=mode).parse(case)
    except Refused as refusal:
        result = refusal
    if isinstance(result, Refused):
        assert 400 <= result.status < 500
    if isinstance(result, Delivery):
        for inbound in result.messages:
            inbound.text.encode()
            assert inbound.external_id
            assert inbound.sent_at.tzinfo is not None


@given(st.sampled_from(["GET", "POST"]), QUERIES, st.binary(max_size=300), st.sampled_from(MODES))
@example("GET", {"signature": "\ud800"}, b"", "safe")
@example("POST", {"encrypt_type": "aes", "timestamp": "9" * 5000}, b"<xml><Encrypt>a</Encrypt></xml>", "safe")
def test_any_request_is_taken_or_refused(method: str, query: dict[str, str], body: bytes, mode: str) -> None:
    allowed(request(body, query, method), mode)


NAMES = st.sampled_from(
    [
        *("MsgType", "FromUserName", "ToUserName", "CreateTime", "MsgId", "Content", "Recognition"),
        *("Event", "EventKey", "Location_X", "MediaId", "bizmsgmenuid", "ScanCodeInfo", "xml"),
        *("SendPicsInfo", "SendLocationInfo", "SubscribeMsgPopupEvent", "KfAccount", "Ticket", "MenuId"),
    ]
)
VALUES = st.one_of(
    st.sampled_from(
        [
            *("text", "event", "location", "voice", "subscribe", "CLICK", OPENID, "0", "-1", "NaN", "1763800000"),
            *("scancode_waitmsg", "pic_weixin", "location_select", "subscribe_msg_popup_event", "kf_create_session"),
        ]
    ),
    st.text(st.characters(), max_size=40),
    st.integers(),
)


@given(st.dictionaries(NAMES, VALUES), st.sampled_from(MODES), st.binary(max_size=3), st.integers(0, 400))
def test_any_signed_message_is_taken_or_refused(
    fields: dict[str, str | int], mode: str, garbage: bytes, place: int
) -> None:
    body = xml({"MsgType": "text", "FromUserName": OPENID} | fields)
    allowed(pushed(body[:place] + garbage + body[place:], mode), mode)


@given(st.binary(max_size=400))
def test_any_bytes_in_a_signed_envelope_are_taken_or_refused(body: bytes) -> None:
    allowed(pushed(body), "safe")
