"""Whatever is thrown at a webhook or a JSON route is refused in plain words: never a 5xx, never HTML, never a trace."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from bot.bell import Bell
from bot.dialogue import wording
from bot.hotline import Hotline
from bot.models import Message
from connectors.base import Connector
from connectors.webchat import WebChat
from connectors.wechat import WeChat, WeChatSettings
from tests.conftest import Clock
from tests.wechat_client import WeChatClient, encrypt, sign, xml

TOKEN, APP_ID, APP_SECRET = "hotline-callback", "wx2c2769f8efd9abc2", "7d1f0c9b5e"
KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
OPENID = "oBadInput"
BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><xml><Content>&c;</Content></xml>'
)
OUTSIDE = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><xml><Content>&e;</Content></xml>'
BODIES: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \r\n\t ",
    "ten megabytes": b"<xml>" + b"A" * 10_000_000 + b"</xml>",
    "a little too large": b"A" * (64 * 1024 + 1),
    "cut off": b"<xml><ToUserName><![CDATA[gh",
    "no xml": b"hello",
    "JSON": b'{"xml": {"Encrypt": "x"}}',
    "JSON list": b"[[[[]]]]",
    "another root": b"<html><body>hi</body></html>",
    "two roots": b"<xml></xml><xml></xml>",
    "nothing within": b"<xml/>",
    "text within": b"<xml>hello</xml>",
    "entity bomb": BOMB,
    "entity from outside": OUTSIDE,
    "deeply nested": b"<xml>" + b"<a>" * 9000 + b"</a>" * 9000 + b"</xml>",
    "many nodes": b"<xml>" + b"<a/>" * 12000 + b"</xml>",
    "many attributes": b"<xml " + b" ".join(b'a%d="1"' % n for n in range(5000)) + b"/>",
    "not UTF-8": b"<xml><Content>\xff\xfe\xfd</Content></xml>",
    "UTF-16": "<xml><Content>工资</Content></xml>".encode("utf-16"),
    "NULs": b"<xml><Content>\0\0\0</Content></xml>",
    "binary": bytes(range(256)) * 20,
    "no base64": b"<xml><Encrypt>%%%%</Encrypt></xml>",
    "short cipher": b"<xml><Encrypt>AAAA</Encrypt></xml>",
    "empty cipher": b"<xml><Encrypt></Encrypt></xml>",
    "nested cipher": b"<xml><Encrypt><a>AAAA</a></Encrypt></xml>",
    "two ciphers": b"<xml><Encrypt>AAAA</Encrypt><Encrypt>BBBB</Encrypt></xml>",
}


def message(**changes: str | int) -> dict[str, str | int]:
    """A text message, each with an id of its own."""
    plain: dict[str, str | int] = {
        "ToUserName": "gh_1",
        "FromUserName": OPENID,
        "CreateTime": 1_795_400_000,
        "MsgType": "text",
        "Content": "工资不发怎么办",
        "MsgId": secrets.randbits(60),
    }
    return plain | changes


NESTED = xml(message()).replace(b"<![CDATA[gh_1]]>", b"<a><b>1</b></a>")
DOUBLED = xml(message()).replace(b"</xml>", b"<Content>b</Content><FromUserName>c</FromUserName></xml>")
# What is wrong with a message that is signed and encrypted as it should be.
MESSAGES: dict[str, bytes] = {
    "nested nodes": NESTED,
    "nested content": xml(message()).replace(b"<Content>", b"<Content><a>1</a>"),
    "doubled nodes": DOUBLED,
    "nested sender": b"<xml><FromUserName><a/></FromUserName><MsgType>text</MsgType></xml>",
    "no sender": xml(message(FromUserName="")),
    "no kind": xml(message(MsgType="")),
    "no content": xml(message(Content="")),
    "blank content": xml(message(Content=" \n ")),
    "an endless sender": xml(message(FromUserName="o" * 20_000)),
    "a sender of another shape": xml(message(FromUserName="'; DROP TABLE message; --")),
    "no id": xml({name: value for name, value in message().items() if name != "MsgId"}),
    "an id of letters": xml(message(MsgId="abc")),
    "an endless id": xml(message(MsgId="9" * 5000)),
    "a time of letters": xml(message(CreateTime="noon")),
    "a negative time": xml(message(CreateTime=-1)),
    "a time far away": xml(message(CreateTime=10**18)),
    "control characters": xml(message(Content="工资\x00\x01\x08\x1f\x7f不发")),
    "only control characters": xml(message(Content="\x00\x01")),
    "lone surrogates": xml(message(Content="工资\ud800\udfff不发")),
    "emoji": xml(message(Content="👷🏽‍♂️💰😭" * 50)),
    "an end of CDATA": xml(message(Content="]]>工资<![CDATA[")),
    "markup": xml(message(Content="<a href='javascript:alert(1)'>工资</a>&lt;script&gt;")),
    "twenty thousand letters": xml(message(Content="a" * 20_000)),
    "fifteen thousand characters": xml(message(Content="工" * 15_000)),
    "one word for ever": xml(message(Content="要" * 600)),
    "an unheard-of kind": xml(message(MsgType="hologram")),
    "an endless kind": xml(message(MsgType="k" * 5000)),
    "an unheard-of event": xml(message(MsgType="event", Event="teleport")),
    "an event without a name": xml(message(MsgType="event")),
    "a place that is none": xml(message(MsgType="location", Location_X="north", Location_Y="nan")),
    "an option that was never offered": xml(message(bizmsgmenuid="topic:../../etc/passwd")),
    "a bomb": BOMB,
    "not XML": b"hello",
    "empty": b"",
    "many extra nodes": xml(message() | {f"Extra{n}": "x" for n in range(500)}),
    "direction marks": xml(message(Content="\u202e工资\u200b\ufeff")),
}
QUERIES: dict[str, dict[str, str]] = {
    "none": {},
    "empty": {"signature": "", "timestamp": "", "nonce": ""},
    "wrong": {"signature": "0" * 40, "timestamp": "1", "nonce": "1"},
    "letters": {"signature": "签名", "timestamp": "现在", "nonce": "\x00"},
    "endless": {"signature": "a" * 5000, "timestamp": "9" * 5000, "nonce": "n" * 5000},
    "encrypted without a signature": {"encrypt_type": "aes", "timestamp": "1", "nonce": "1"},
    "wrongly encrypted": {"encrypt_type": "aes", "msg_signature": "ü" * 40, "timestamp": "1", "nonce": "1"},
    "an unheard-of encryption": {"encrypt_type": "rot13", "msg_signature": "x"},
}


@pytest.fixture(params=["safe", "plain"])
def mode(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
async def connectors(redis_url: str, mode: str) -> AsyncIterator[dict[str, Connector]]:
    # The clock of these tests stands still elsewhere, so freshness is not looked at.
    section = WeChatSettings.model_validate(
        {"token": TOKEN, "app_id": APP_ID, "app_secret": APP_SECRET, "aes_key": KEY, "mode": mode, "freshness": 0}
    )
    bell = Bell(redis_url)
    async with httpx.AsyncClient(trust_env=False) as http:
        yield {"web": WebChat(), "wechat": WeChat(section, bell, http)}
    await bell.close()


@pytest.fixture
def wechat(client: httpx.AsyncClient, mode: str) -> WeChatClient:
    return WeChatClient("http://hotline.test", TOKEN, APP_ID, KEY, mode, http=client)


@pytest.fixture
async def visitor(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A browser that has opened the web chat."""
    assert (await client.post("/api/chat/session")).status_code == 200
    return client


def check(response: httpx.Response, *kinds: str) -> None:
    """A refusal or an answer that an outsider may see, of one of these media types."""
    shown = response.content.decode("utf-8", "replace")
    assert response.status_code < 500, f"{response.status_code} {shown[:300]}"
    kind = response.headers.get("content-type", "").partition(";")[0]
    assert kind in kinds, f"{kind}: {shown[:300]}"
    for trace in ("Traceback", 'File "', "<html", "<!doctype", "sqlalchemy", "bot/", "site-packages"):
        assert trace.lower() not in shown.lower()


def check_webhook(response: httpx.Response) -> None:
    check(response, "text/plain", "application/xml")


def check_json(response: httpx.Response) -> None:
    check(response, "application/json")
    told = response.json()
    if response.status_code >= 400:
        assert told["error"]
        assert len(told["error"]) < 120


async def test_a_webhook_refuses_a_body_that_is_no_message(wechat: WeChatClient, subtests: pytest.Subtests) -> None:
    signed = wechat.signed()
    sealed = signed | {"encrypt_type": "aes", "msg_signature": sign(TOKEN, signed["timestamp"], signed["nonce"], "")}
    for name, body in BODIES.items():
        with subtests.test(name):
            for query in (signed, sealed, {}):
                response = await wechat.raw(body, query)
                check_webhook(response)
                assert 400 <= response.status_code < 500
                assert response.text == "refused"
            if len(body) > 64 * 1024:
                assert (await wechat.raw(body)).status_code == 413


async def test_a_webhook_takes_or_refuses_a_message_that_is_odd_within(
    wechat: WeChatClient, subtests: pytest.Subtests, clock: Clock
) -> None:
    for name, body in MESSAGES.items():
        clock.forward(minutes=2)
        with subtests.test(name):
            first = await wechat.raw(*wechat.sealed(body, OPENID))
            check_webhook(first)
            if first.status_code == 200:
                # Whatever the worker is told, the platform can read it; and a repeat is told the same.
                text = wechat.read(first.content, _sender(body))
                again = await wechat.raw(*wechat.sealed(body, OPENID))
                assert wechat.read(again.content, _sender(body)) == text


def _sender(body: bytes) -> str:
    return body.decode("utf-8", "replace").split("<FromUserName><![CDATA[")[1].split("]]>")[0]


async def test_a_webhook_refuses_a_query_that_proves_nothing(wechat: WeChatClient, subtests: pytest.Subtests) -> None:
    body, _ = wechat.sealed(xml(message()), OPENID)
    for name, query in QUERIES.items():
        for method in ("GET", "POST"):
            with subtests.test(f"{method} {name}"):
                response = await wechat.raw(body if method == "POST" else b"", query | {"echostr": "hello"}, method)
                check_webhook(response)
                assert 400 <= response.status_code < 500
                assert "hello" not in response.text


async def test_a_webhook_refuses_what_another_key_has_sealed(client: httpx.AsyncClient, hotline: Hotline) -> None:
    for token, key, app_id in (
        ("another-token", KEY, APP_ID),
        (TOKEN, KEY[::-1], APP_ID),
        (TOKEN, KEY, "wx0000000000000000"),
    ):
        stranger = WeChatClient("http://hotline.test", token, app_id, key, http=client)
        response = await stranger.raw(*stranger.sealed(xml(message()), OPENID))
        check_webhook(response)
        assert response.status_code in (400, 403)
    assert await _stored(hotline) == 0


async def test_a_cipher_that_was_tampered_with_is_refused(client: httpx.AsyncClient, hotline: Hotline) -> None:
    whole = encrypt(xml(message()), KEY, APP_ID)
    for cipher in (whole[:-8], whole[40:], whole[:40] + whole[44:], whole[::-1], "A" * 44, "A" * 64, "A" * 43):
        stamp, nonce = str(int(time.time())), "1"
        query = {
            "timestamp": stamp,
            "nonce": nonce,
            "encrypt_type": "aes",
            "msg_signature": sign(TOKEN, stamp, nonce, cipher),
        }
        body = f"<xml><Encrypt><![CDATA[{cipher}]]></Encrypt></xml>".encode()
        response = await client.post("/webhooks/wechat", params=query, content=body)
        check_webhook(response)
        assert response.status_code in (400, 403)
    assert await _stored(hotline) == 0


async def test_a_webhook_that_is_none_refuses_without_a_page(
    client: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for method, path in (
        ("PUT", "/webhooks/wechat"),
        ("DELETE", "/webhooks/wechat"),
        ("PATCH", "/webhooks/wechat"),
        ("POST", "/webhooks/nobody"),
        ("GET", "/webhooks/web"),
        ("GET", "/webhooks/%00"),
        ("GET", "/webhooks/../etc/passwd"),
        ("POST", "/webhooks"),
        ("POST", "/webhooks/wechat/more"),
    ):
        with subtests.test(f"{method} {path}"):
            response = await client.request(method, path)
            assert 400 <= response.status_code < 500
            assert "<" not in response.text


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    body=st.one_of(
        st.binary(max_size=400),
        st.text(max_size=200).map(lambda text: f"<xml>{text}</xml>".encode("utf-8", "surrogatepass")),
        st.dictionaries(
            st.sampled_from(["FromUserName", "MsgType", "Content", "CreateTime", "MsgId", "Event", "EventKey"]),
            st.one_of(st.text(max_size=60), st.sampled_from(["text", "event", "image", "subscribe", "CLICK", OPENID])),
        ).map(xml),
    )
)
@example(body=b"<xml></xml>")
async def test_nothing_that_can_be_sealed_breaks_the_webhook(wechat: WeChatClient, body: bytes) -> None:
    check_webhook(await wechat.raw(*wechat.sealed(body, OPENID)))


@pytest.mark.parametrize("mode", ["safe"], indirect=True)
async def test_five_hundred_messages_in_a_minute_are_stored_and_told_once(
    wechat: WeChatClient, hotline: Hotline
) -> None:
    said: list[str | None] = []
    for start in range(0, 500, 25):
        answers = await asyncio.gather(
            *(wechat.text(OPENID, "工资不发怎么办", msg_id=10**15 + n) for n in range(start, start + 25))
        )
        said += [answer.text for answer in answers]
    told = Counter(said)
    assert told[wording.LIMITED] == 1
    answered = sum(count for text, count in told.items() if text not in (None, wording.LIMITED))
    assert answered == hotline.settings.worker_rate
    assert await _stored(hotline) == 500
    # Another worker is answered all the same.
    assert (await wechat.text("oPatient", "工资不发怎么办")).text not in (None, wording.LIMITED)


async def test_one_message_delivered_two_hundred_times_is_one_message(wechat: WeChatClient, hotline: Hotline) -> None:
    answers = await asyncio.gather(*(wechat.text(OPENID, "人工", msg_id=5) for _ in range(200)))
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].text
    assert await _stored(hotline) == 1


async def _stored(hotline: Hotline) -> int:
    async with hotline.db.reading() as session:
        count = select(func.count()).select_from(Message).where(Message.direction == "in")
        return (await session.scalars(count)).one()


def said(**changes: Any) -> bytes:
    return json.dumps({"id": secrets.token_hex(8), "text": "工资不发怎么办"} | changes).encode()


CHAT: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"hello",
    "null": b"null",
    "a list": b"[]",
    "a number": b"1e999",
    "NaN": b'{"id": NaN, "text": "x"}',
    "cut off": b'{"id": "abcdefgh", "text": "',
    "deeply nested": b"[" * 20_000,
    "not UTF-8": b'{"id": "abcdefgh", "text": "\xff\xfe"}',
    "UTF-16": '{"id": "abcdefgh", "text": "x"}'.encode("utf-16"),
    "nothing": b"{}",
    "wrong keys": said(sender="admin"),
    "a text that is a number": said(text=1),
    "a text that is a list": said(text=["a"]),
    "no id": b'{"text": "x"}',
    "an empty id": said(id=""),
    "an endless id": said(id="x" * 10_000),
    "an id with a NUL": said(id="abc\0defgh"),
    "an id that climbs": said(id="../../../etc"),
    "an empty text": said(text=""),
    "a blank text": said(text=" \n"),
    "twenty thousand characters": said(text="工" * 20_000),
    "ten megabytes": said(text="a" * 10_000_000),
    "emoji": said(text="👷🏽‍♂️💰😭" * 100),
    "NULs": said(text="工资\0\0不发"),
    "half a surrogate pair": b'{"id": "abcdefghijkl", "text": "\\ud800"}',
    "markup": said(text="<script>alert(1)</script>"),
    "an option that was never offered": said(option="topic:../../etc/passwd"),
    "an endless option": said(option="o" * 20_000),
    "an option with a NUL": said(option="a\0b"),
    "an option of another kind": said(option=7),
    "doubled keys": b'{"id": "abcdefghijkm", "text": "a", "text": "b"}',
}


@pytest.mark.parametrize("mode", ["safe"], indirect=True)
async def test_the_web_chat_takes_or_refuses_in_json(
    visitor: httpx.AsyncClient, subtests: pytest.Subtests, clock: Clock
) -> None:
    for name, body in CHAT.items():
        for kind in ("application/json", "text/plain", ""):
            clock.forward(minutes=2)
            with subtests.test(f"{name} as {kind}"):
                headers = {"content-type": kind} if kind else {}
                check_json(await visitor.post("/api/chat/messages", content=body, headers=headers))
                history = await visitor.get("/api/chat/messages")
                check_json(history)
                assert history.status_code == 200


@pytest.mark.parametrize("mode", ["safe"], indirect=True)
async def test_a_json_route_refuses_in_json(visitor: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    assert (await visitor.post("/api/chat/messages", content=said())).status_code == 200
    for method, path in (
        ("GET", "/api/chat/messages?after=hello"),
        ("GET", "/api/chat/messages?after=%00"),
        ("GET", "/api/chat/messages?after=" + "9" * 500),
        ("DELETE", "/api/chat/messages"),
        ("GET", "/api/chat/nothing"),
        ("GET", "/api"),
        ("POST", "/healthz"),
        ("POST", "/readyz"),
        ("GET", "/openapi.json/x"),
    ):
        with subtests.test(f"{method} {path}"):
            response = await visitor.request(method, path)
            check_json(response)
            assert response.status_code >= 400


@pytest.mark.parametrize("mode", ["safe"], indirect=True)
async def test_a_session_that_we_did_not_make_reads_nothing(
    client: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for cookie in ("", ".", "a.b", "0" * 32 + "." + "0" * 32, "x" * 4000, "签名", "'; DROP TABLE worker; --"):
        with subtests.test(cookie[:40]):
            headers = {b"cookie": f"hotline_chat={cookie}".encode()}
            for response in (
                await client.get("/api/chat/messages", headers=headers),
                await client.post("/api/chat/messages", content=said(), headers=headers),
            ):
                check_json(response)
                assert response.status_code == 401
