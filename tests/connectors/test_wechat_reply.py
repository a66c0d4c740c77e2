from __future__ import annotations

import xml.etree.ElementTree as ET
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import Connector, Delivery, Option, Outbound
from connectors.pages import clean
from connectors.wechat import TEXT_BYTES
from tests.connectors.account import AT, OPENID, PAYLOADS, client, connector, parsed, pushed
from tests.wechat_client import ACCOUNT

BODY = (PAYLOADS / "text.xml").read_bytes()


def outbound(text: str, *options: Option) -> Outbound:
    return Outbound("r1", OPENID, text, options)


def answered(text: str, mode: str = "safe") -> str | None:
    """What the worker reads when `text` is the passive reply, as the platform takes it."""
    wechat = connector(mode=mode)
    case = pushed(BODY, mode)
    delivery = wechat.parse(case)
    assert isinstance(delivery, Delivery)
    response = wechat.reply(delivery, delivery.messages[0], text)
    return client(mode).read(response.body, OPENID)


@pytest.mark.parametrize("mode", ["safe", "compat", "plain"])
@pytest.mark.parametrize(
    "text",
    [
        "您好，先别急。\n1. 打 12333",
        "]]>",
        "a]]]]>b]]><![CDATA[c",
        "<b>&amp;</b> 5 > 3",
        "😭" * 512,
        "工" * 682 + "ab",
        '<a href="https://union.example/?a=1&b=2">查看</a>',
    ],
)
def test_the_worker_reads_the_reply_as_written(text: str, mode: str) -> None:
    assert answered(text, mode) == text


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=500))
def test_any_reply_is_valid_xml_for_the_platform(text: str) -> None:
    expected = clean(text)
    assert answered(text, "plain") == (expected or None)


def test_to_and_from_are_swapped_and_the_time_is_whole_seconds() -> None:
    wechat = connector(mode="plain")
    delivery = parsed(BODY, "plain")
    root = ET.fromstring(wechat.reply(delivery, delivery.messages[0], "在").body)  # noqa: S314
    assert root.findtext("ToUserName") == OPENID
    assert root.findtext("FromUserName") == ACCOUNT
    assert root.findtext("CreateTime") == str(int(AT.timestamp()))
    assert root.findtext("MsgType") == "text"


def test_each_sealed_reply_has_a_nonce_of_its_own() -> None:
    wechat = connector()
    delivery = parsed(BODY)
    replies = {wechat.reply(delivery, delivery.messages[0], "在").body for _ in range(3)}
    assert len({body.split(b"<Nonce>")[1] for body in replies}) == 3


def test_a_reply_over_the_limit_is_never_sent() -> None:
    with pytest.raises(ValueError):
        answered("工" * 683)


def test_an_empty_reply_is_an_acknowledgement() -> None:
    assert answered(" \x08\n") is None


@pytest.mark.parametrize("mode", ["safe", "compat", "plain"])
def test_acknowledgements_are_plain_in_every_mode(mode: str) -> None:
    response = connector(mode=mode).acknowledge(parsed(BODY, mode))
    assert response.body == b"success"
    assert response.media_type.startswith("text/plain")


def test_options_become_numbered_links_with_a_hint() -> None:
    shown = connector().render(
        outbound("您是想问：", Option("wages.unpaid", "欠薪怎么要"), Option("b&c=d", "5 > 3 & <b>"))
    )
    lines = shown.split("\n")
    assert lines[0] == "您是想问："
    assert lines[2].endswith(">1. 欠薪怎么要</a>")
    assert lines[3].endswith(">2. 5 ＞ 3 & ＜b＞</a>")
    assert "回复数字也行" in lines[-1]
    for line, content, number in zip(
        lines[2:4], ("欠薪怎么要", "5 ＞ 3 & ＜b＞"), ("wages.unpaid", "b&c=d"), strict=True
    ):
        target = urlsplit(line.split('"')[1])
        assert (target.scheme, target.netloc) == ("weixin", "bizmsgmenu")
        assert parse_qs(target.query) == {"msgmenucontent": [content], "msgmenuid": [number]}


def test_three_usual_options_leave_room_for_text() -> None:
    options = [Option(f"group.topic_{n}", "公司拖欠工资不给怎么办") for n in range(3)]
    assert len(connector().render(outbound("", *options)).encode()) < TEXT_BYTES / 2


@given(st.text(max_size=40), st.text(st.characters(), max_size=60), st.text(max_size=40))
def test_no_label_breaks_out_of_its_link(text: str, label: str, number: str) -> None:
    shown = connector().render(outbound(text.replace("<", ""), Option(number, label)))
    shown.encode()
    assert shown.count("<a href=") == shown.count("</a>") == shown.count("<") / 2 == 1
    assert shown.count('"') - text.count('"') - label.count('"') == 2


def test_a_reply_without_options_is_the_text() -> None:
    assert connector().render(outbound("您好\x07")) == "您好"


def test_it_is_a_connector_and_says_what_it_can() -> None:
    wechat = connector()
    assert isinstance(wechat, Connector)
    assert wechat.capabilities.text_bytes == TEXT_BYTES == 2048
    assert wechat.capabilities.passive_reply
    assert wechat.capabilities.push
    assert not connector(passive_only=True, app_secret="").capabilities.push
