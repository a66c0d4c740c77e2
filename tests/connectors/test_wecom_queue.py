"""Emptying the queues, fetching files, and what the doctor sees."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from bot.bell import Bell
from connectors.abilities import Checks, Fetches, HandsOver, Pulls
from connectors.base import Handshake, Refused, Request, SendError
from connectors.wecom import WeCom
from tests.connectors.wecom_desk import CORP_ID, CUSTOMER, SECRET, connector, office
from tests.wecom_platform import ACCOUNT, WeComPlatform, serving


@pytest.fixture(scope="module")
async def served() -> AsyncIterator[WeComPlatform]:
    platform = WeComPlatform(CORP_ID, SECRET)
    async with serving(platform):
        yield platform


@pytest.fixture
def platform(served: WeComPlatform) -> WeComPlatform:
    served.reset()
    return served


@pytest.fixture
async def wecom(platform: WeComPlatform, store: Bell) -> AsyncIterator[WeCom]:
    async with office(platform, store) as found:
        yield found


def test_the_channel_has_the_abilities_that_the_service_asks_for() -> None:
    wecom = connector()
    for ability in (Pulls, Fetches, HandsOver, Checks):
        assert isinstance(wecom, ability)
    assert not wecom.capabilities.passive_reply
    assert wecom.capabilities.stale_after


async def test_pages_follow_one_another_until_none_is_left(wecom: WeCom, platform: WeComPlatform) -> None:
    platform.page_size = 2
    for number in range(5):
        platform.says(CUSTOMER, str(number))
    heard, cursor, more, pages = [], "", True, 0
    while more:
        page = await wecom.pull(ACCOUNT, cursor, platform.ticket())
        heard += [inbound.text for inbound in page.messages]
        cursor, more, pages = page.cursor, page.more, pages + 1
    assert (heard, pages) == (list("01234"), 3)
    page = await wecom.pull(ACCOUNT, cursor, platform.ticket())
    assert (list(page.messages), page.cursor, page.more) == ([], cursor, False)


async def test_more_may_follow_an_empty_page_but_not_for_ever(wecom: WeCom, platform: WeComPlatform) -> None:
    platform.fail("kf/sync_msg", b'{"errcode":0,"msg_list":[],"next_cursor":"c9","has_more":1}')
    page = await wecom.pull(ACCOUNT, "c3", "")
    assert (page.cursor, page.more) == ("c9", True)
    platform.fail("kf/sync_msg", b'{"errcode":0,"has_more":1}')
    page = await wecom.pull(ACCOUNT, "c3", "")
    assert (list(page.messages), page.cursor, page.more) == ([], "c3", False)


async def test_the_token_of_a_callback_is_used_and_kept_for_looks_without_one(
    wecom: WeCom, platform: WeComPlatform
) -> None:
    ticket = platform.ticket()
    await wecom.pull(ACCOUNT, "", ticket)
    await wecom.pull(ACCOUNT, "", "")
    asked = [body for path, body in platform.asked if path == "kf/sync_msg"]
    assert [body["token"] for body in asked] == [ticket, ticket]
    assert all("cursor" not in body for body in asked)
    assert {body["limit"] for body in asked} == {1000}


async def test_a_token_that_ran_out_does_not_keep_the_messages_from_us(wecom: WeCom, platform: WeComPlatform) -> None:
    platform.says(CUSTOMER, "在吗")
    page = await wecom.pull(ACCOUNT, "", "forgotten")
    assert [inbound.text for inbound in page.messages] == ["在吗"]


@pytest.mark.parametrize(("fault", "retryable"), [(-1, True), (45009, True), (95004, False), (48002, False)])
async def test_a_refusal_is_told(wecom: WeCom, platform: WeComPlatform, fault: int, retryable: bool) -> None:
    platform.fail("kf/sync_msg", fault)
    with pytest.raises(SendError) as caught:
        await wecom.pull(ACCOUNT, "", "")
    assert caught.value.retryable is retryable


async def test_only_the_accounts_that_the_app_may_manage_are_emptied(wecom: WeCom, platform: WeComPlatform) -> None:
    platform.accounts = [{"open_kfid": f"wk{number}"} for number in range(130)]
    platform.accounts[3]["manage_privilege"] = False
    found = await wecom.queues()
    assert len(found) == 129
    assert "wk3" not in found


async def test_a_file_is_fetched_with_its_name_and_kind(wecom: WeCom, platform: WeComPlatform) -> None:
    platform.files["m1"] = (b"\x89PNG....", "image/png", "contract.png")
    media = await wecom.fetch({"media_id": "m1"}, 100)
    assert (media.data, media.content_type, media.name) == (b"\x89PNG....", "image/png", "contract.png")


async def test_a_text_file_is_not_taken_for_a_refusal(wecom: WeCom, platform: WeComPlatform) -> None:
    platform.files["m2"] = (b'{"errcode": 40007}', "application/json", "notes.json")
    assert (await wecom.fetch({"media_id": "m2"}, 100)).data == b'{"errcode": 40007}'


async def test_a_file_that_is_gone_or_too_large_is_not_asked_for_again(wecom: WeCom, platform: WeComPlatform) -> None:
    platform.files["big"] = (b"x" * 101, "video/mp4", "v.mp4")
    for media_id in ("gone", "big"):
        with pytest.raises(SendError) as caught:
            await wecom.fetch({"media_id": media_id}, 100)
        assert not caught.value.retryable


async def test_a_file_is_fetched_with_a_fresh_token_when_the_old_one_died(
    wecom: WeCom, platform: WeComPlatform
) -> None:
    platform.files["m3"] = (b"ID3", "audio/amr", "v.amr")
    await wecom.queues()
    platform.expire()
    assert (await wecom.fetch({"media_id": "m3"}, 100)).data == b"ID3"


@pytest.mark.parametrize("fault", [b"HTTP 502", -1])
async def test_a_platform_with_a_bad_minute_is_asked_for_the_file_again(
    wecom: WeCom, platform: WeComPlatform, fault: int | bytes
) -> None:
    platform.files["m4"] = (b"x", "image/png", "a.png")
    platform.fail("media/get", fault)
    with pytest.raises(SendError) as caught:
        await wecom.fetch({"media_id": "m4"}, 100)
    assert caught.value.retryable


class Hotline:
    """Our own webhook, as the doctor reaches it from outside."""

    def __init__(self, wecom: WeCom) -> None:
        self.wecom = wecom

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        query = dict(httpx.QueryParams(scope["query_string"].decode()))
        try:
            parsed = self.wecom.parse(Request(scope["method"], query, {}, b"", datetime.now(UTC)))
            status, body = 200, parsed.body.encode() if isinstance(parsed, Handshake) else b""
        except Refused as refused:
            status, body = refused.status, b"refused"
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})


async def test_the_doctor_finds_a_healthy_channel_healthy(platform: WeComPlatform, store: Bell) -> None:
    async with office(platform, store) as wecom, serving(Hotline(wecom)) as outside:
        findings = await wecom.check(outside)
    assert [finding.good for finding in findings] == [True] * 3, findings
    assert not platform.calls["kf/send_msg"]


async def test_the_doctor_says_what_to_do(platform: WeComPlatform, store: Bell) -> None:
    async with office(platform, store, secret="wrong") as wecom:
        findings = await wecom.check("http://127.0.0.1:1")
        assert [finding.good for finding in findings] == [True, False, False]
        assert "HOTLINE_WECOM_SECRET" in findings[1].todo
        assert all(finding.todo for finding in findings if not finding.good)
        assert "HOTLINE_PUBLIC_URL" in (await wecom.check(""))[2].todo
    platform.accounts = []
    async with office(platform, store) as wecom, serving(Hotline(connector(token="other"))) as outside:
        findings = await wecom.check(outside)
    assert [finding.good for finding in findings] == [True, False, False]
    assert "403" in findings[2].what
