"""The callbacks of WeCom: verified, decrypted, and only a ring."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import Delivery, Handshake, Refused, Request, Ring
from tests.connectors.wecom_desk import AT, CORP_ID, KEY, TOKEN, client, connector, posted
from tests.wechat_client import encrypt, sign

STAMP = int(AT.timestamp())
WECOM = connector()


def refused(request: Request) -> Refused:
    with pytest.raises(Refused) as caught:
        WECOM.parse(request)
    return caught.value


def test_the_handshake_gives_back_what_was_sealed() -> None:
    cipher, query = client().sealed(b"8091273645", STAMP)
    assert WECOM.parse(posted(b"", query | {"echostr": cipher}, "GET")) == Handshake("8091273645")


def test_the_published_handshake_opens() -> None:
    query = {
        "msg_signature": "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3",
        "timestamp": "1409659589",
        "nonce": "263014780",
        "echostr": "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ==",
    }
    at = datetime.fromtimestamp(1409659600, UTC)
    assert WECOM.parse(Request("GET", query, {}, b"", at)) == Handshake("1616140317555161061")


def test_a_callback_only_rings() -> None:
    delivery = WECOM.parse(posted(*client().callback("wkDesk", "ENCApHxnGDNAVNY", STAMP)))
    assert isinstance(delivery, Delivery)
    assert delivery.messages == ()
    assert delivery.ring == Ring("wkDesk", "ENCApHxnGDNAVNY")
    assert WECOM.acknowledge(delivery).body == b"success"


@pytest.mark.parametrize(
    "inner",
    [
        b"<xml><MsgType>text</MsgType><Content>hi</Content></xml>",
        b"<xml><MsgType>event</MsgType><Event>change_contact</Event></xml>",
        b"<xml><Event>kf_msg_or_event</Event><Token>t</Token></xml>",
        b"<xml><Event>kf_msg_or_event</Event><OpenKfId>../../etc</OpenKfId></xml>",
    ],
)
def test_what_concerns_no_queue_is_acknowledged(inner: bytes) -> None:
    cipher, query = client().sealed(inner, STAMP)
    delivery = WECOM.parse(posted(f"<xml><Encrypt>{cipher}</Encrypt></xml>".encode(), query))
    assert isinstance(delivery, Delivery)
    assert delivery.ring is None


@pytest.mark.parametrize("stranger", [{"token": "other"}, {"corp_id": "wx0000000000000000"}, {"aes_key": "Q" * 43}])
def test_another_token_corp_or_key_is_refused(stranger: dict[str, str]) -> None:
    assert refused(posted(*client(**stranger).callback("wkDesk", "t", STAMP))).status == 403
    cipher, query = client(**stranger).sealed(b"1", STAMP)
    assert refused(posted(b"", query | {"echostr": cipher}, "GET")).status == 403


@pytest.mark.parametrize("away", [timedelta(minutes=11), timedelta(minutes=-11)])
def test_a_signature_from_another_time_is_refused(away: timedelta) -> None:
    body, query = client().callback("wkDesk", "t", int((AT + away).timestamp()))
    assert "from our clock" in refused(posted(body, query)).reason


def test_a_timestamp_that_is_no_number_is_refused() -> None:
    cipher = encrypt(b"<xml><a>1</a></xml>", KEY, CORP_ID)
    query = {"msg_signature": sign(TOKEN, "now", "n", cipher), "timestamp": "now", "nonce": "n"}
    assert refused(posted(f"<xml><Encrypt>{cipher}</Encrypt></xml>".encode(), query)).status == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{}", 400), (b"<xml></xml>", 400), (b"<xml><a>1</a></xml>", 400), (b"x" * (64 * 1024 + 1), 413)],
)
def test_what_is_no_callback_is_refused(body: bytes, status: int) -> None:
    assert refused(posted(body, client().sealed(b"", STAMP)[1])).status == status


def test_a_handshake_without_a_word_is_refused() -> None:
    assert refused(posted(b"", client().sealed(b"", STAMP)[1], "GET")).status == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD"])
def test_other_methods_are_refused(method: str) -> None:
    assert refused(posted(b"", {}, method)).status == 405


@given(
    st.binary(max_size=400),
    st.dictionaries(
        st.sampled_from(["msg_signature", "timestamp", "nonce", "echostr"]), st.text(max_size=60), max_size=4
    ),
    st.sampled_from(["GET", "POST"]),
)
def test_nothing_but_refusals_comes_of_garbage(body: bytes, query: dict[str, str], method: str) -> None:
    with pytest.raises(Refused):
        WECOM.parse(posted(body, query, method))


@given(st.binary(max_size=200))
def test_garbage_that_is_sealed_and_signed_raises_nothing_else(inner: bytes) -> None:
    cipher, query = client().sealed(inner, STAMP)
    try:
        delivery = WECOM.parse(posted(f"<xml><Encrypt>{cipher}</Encrypt></xml>".encode(), query))
    except Refused:
        return
    assert isinstance(delivery, Delivery)
