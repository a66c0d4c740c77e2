"""Files that workers sent on WeChat: fetched, gone, too large, or an error in disguise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.bell import Bell
from connectors.abilities import Fetches
from connectors.base import Delivery, Inbound, SendError
from connectors.wechat import WeChat
from tests.connectors.account import connector, pushed
from tests.connectors.office import office
from tests.connectors.test_wechat_parse import payload
from tests.wechat_platform import PICTURE, WeChatPlatform

LIMIT = 10_000


def inbound(name: str, **changes: Any) -> Inbound:
    delivery = connector().parse(pushed(payload(name)))
    assert isinstance(delivery, Delivery)
    (found,) = delivery.messages
    return replace(found, payload={**found.payload, **changes})


async def fetched(wechat: WeChat, name: str, **changes: Any) -> Any:
    assert isinstance(wechat, Fetches)
    source = wechat.media(inbound(name, **changes))
    assert source is not None
    return await wechat.fetch(source, LIMIT)


async def refusal(wechat: WeChat, name: str, **changes: Any) -> SendError:
    with pytest.raises(SendError) as caught:
        await fetched(wechat, name, **changes)
    return caught.value


@pytest.mark.parametrize("name", ["text", "location", "link", "subscribe"])
async def test_what_brings_no_file_has_no_source(name: str) -> None:
    assert connector().media(inbound(name)) is None


async def test_an_account_without_the_right_fetches_nothing() -> None:
    assert connector(passive_only=True).media(inbound("image")) is None


@pytest.mark.parametrize(
    ("name", "media_id", "kind"),
    [
        ("image", "img-1", "image/jpeg"),
        ("voice", "voice-16k", "audio/amr"),
        ("voice_recognition_empty", "voice-3", "voice/speex"),
        ("file", "file-1", "application/pdf"),
    ],
)
async def test_a_file_arrives_whole_with_its_type(
    platform: WeChatPlatform, store: Bell, name: str, media_id: str, kind: str
) -> None:
    platform.files[media_id] = (PICTURE, kind)
    async with office(platform, store) as wechat:
        media = await fetched(wechat, name)
    assert (media.data, media.content_type) == (PICTURE, kind)
    assert media.name == ("合同.pdf" if name == "file" else "")


async def test_a_voice_without_its_clear_recording_is_fetched_all_the_same(
    platform: WeChatPlatform, store: Bell
) -> None:
    platform.files["voice-1"] = (PICTURE, "audio/amr")
    async with office(platform, store) as wechat:
        assert (await fetched(wechat, "voice")).data == PICTURE
    assert platform.calls["media/get"] == 2


async def test_a_video_is_fetched_from_the_address_that_the_platform_names(
    platform: WeChatPlatform, store: Bell
) -> None:
    platform.files["video-1"] = "/video/1.mp4?key=a%3Db"
    async with office(platform, store) as wechat:
        media = await fetched(wechat, "video")
    assert (media.data, media.content_type) == (PICTURE, "video/mp4")


async def test_what_the_platform_has_no_more_is_gone_for_good(platform: WeChatPlatform, store: Bell) -> None:
    async with office(platform, store) as wechat:
        error = await refusal(wechat, "image")
    assert (error.code, error.retryable) == (40007, False)


@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT * 30])
async def test_what_is_too_large_is_not_read_to_its_end(platform: WeChatPlatform, store: Bell, size: int) -> None:
    platform.files["img-1"] = (b"x" * size, "image/jpeg")
    async with office(platform, store) as wechat:
        error = await refusal(wechat, "image")
    assert "太大" in error.reason
    assert not error.retryable


@pytest.mark.parametrize(
    ("fault", "retryable"),
    [(-1, True), (48001, False), (b"HTTP 502", True), (b"<html>502</html>", True), (b"", True), (b'{"a": 1}', True)],
)
async def test_a_refusal_in_place_of_the_file_is_no_file(
    platform: WeChatPlatform, store: Bell, fault: int | bytes, retryable: bool
) -> None:
    platform.fail("media/get", fault)
    async with office(platform, store) as wechat:
        assert (await refusal(wechat, "image")).retryable is retryable


async def test_a_dead_token_is_renewed_once_for_a_file_too(platform: WeChatPlatform, store: Bell) -> None:
    platform.files["img-1"] = (PICTURE, "image/jpeg")
    async with office(platform, store) as wechat:
        await fetched(wechat, "image")
        platform.expire()
        assert (await fetched(wechat, "image")).data == PICTURE
    assert platform.calls["stable_token"] == 2


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/p", "https://qpic.cn.evil.example/p", "file:///etc/passwd", "https://[", "", "//x"]
)
async def test_no_address_of_a_strangers_choice_is_called(platform: WeChatPlatform, store: Bell, url: str) -> None:
    async with office(platform, store) as wechat:
        source = wechat.media(inbound("image", url=url))
        assert source is not None
        assert source["url"] == ""
        assert wechat.media(inbound("image", url=url, media_id="")) is None


def test_the_pictures_own_address_helps_where_its_id_does_not() -> None:
    source = connector().media(inbound("image", url="http://mmbiz.qpic.cn/p/0"))
    assert source is not None
    assert source["url"] == "http://mmbiz.qpic.cn/p/0"


@pytest.mark.parametrize("address", ["ftp://x/y", "no address", "javascript:1"])
async def test_a_video_at_no_address_is_refused(platform: WeChatPlatform, store: Bell, address: str) -> None:
    platform.files["video-1"] = (f'{{"video_url": "{address}"}}'.encode(), "text/plain")
    async with office(platform, store) as wechat:
        assert not (await refusal(wechat, "video")).retryable
