"""The menu, sites and notices of the YAML file, and what the platform has of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bot.bell import Bell
from connectors import wechat_menu
from connectors.base import SendError
from connectors.wechat_menu import Guide, parse
from knowledge_base.topics import vocabulary
from tests.connectors.account import section
from tests.connectors.office import office
from tests.wechat_platform import WeChatPlatform

PACKAGED = wechat_menu.read(wechat_menu.PACKAGED)


def test_the_menu_that_comes_along_leads_to_topics_that_there_are() -> None:
    assert 1 <= len(PACKAGED.buttons) <= 3
    assert set(PACKAGED.topics()) <= set(vocabulary().topics)
    assert PACKAGED.topics()
    assert "人工" in PACKAGED.words
    assert PACKAGED.notice


def test_every_kind_of_button() -> None:
    guide = parse("""
menu:
  - {name: 找人工, say: 人工}
  - name: 更多
    buttons:
      - {name: 欠薪, topic: legal.wage_arrears}
      - {name: 网站, url: "https://union.example/"}
      - {name: 扫一扫, type: scancode_waitmsg, key: scan}
      - {name: 拍照, type: pic_sysphoto}
      - {name: 小程序, appid: wx1, page: pages/index, url: "https://union.example/old"}
""")
    assert list(guide.buttons) == [
        {"type": "click", "name": "找人工", "key": "人工"},
        {
            "name": "更多",
            "sub_button": [
                {"type": "click", "name": "欠薪", "key": "topic:legal.wage_arrears"},
                {"type": "view", "name": "网站", "url": "https://union.example/"},
                {"type": "scancode_waitmsg", "name": "扫一扫", "key": "scan"},
                {"type": "pic_sysphoto", "name": "拍照", "key": "pic_sysphoto"},
                {
                    "type": "miniprogram",
                    "name": "小程序",
                    "appid": "wx1",
                    "pagepath": "pages/index",
                    "url": "https://union.example/old",
                },
            ],
        },
    ]
    assert guide.words == {"人工": "人工", "topic:legal.wage_arrears": "欠薪"}


FAULTS = {
    "menu: [": "YAML",
    "[a]": "只有",
    "other: 1": "只有",
    "menu: {name: a}": "列表",
    "menu: [{say: 人工}]": "没有名字",
    "menu: [人工]": "没有名字",
    "menu: [{name: 这个名字太长了, say: a}]": "太长",
    "menu: [{name: a, buttons: []}]": "1 到 5",
    f"menu: [{{name: a, buttons: [{', '.join('{name: b, say: c}' for _ in range(6))}]}}]": "1 到 5",
    f"menu: [{', '.join('{name: b, say: c}' for _ in range(4))}]": "最多 3",
    "menu: [{name: a}]": "要写",
    "menu: [{name: a, type: telepathy}]": "要写",
    "menu: [{name: a, say: b, url: 'https://x'}]": "不能同时写",
    "menu: [{name: a, topic: b, key: c}]": "不能同时写",
    "menu: [{name: a, buttons: [{name: b, say: c}], say: d}]": "不能同时写",
    "menu: [{name: a, say: [b]}]": "一行字",
    "menu: [{name: a, url: ftp://x}]": "http",
    f"menu: [{{name: a, url: 'https://x/{'y' * 1024}'}}]": "1024",
    f"menu: [{{name: a, say: {'长' * 43}}}]": "128",
    "menu: [{name: a, appid: wx1}]": "小程序",
    "menu: [{name: a, buttons: [{name: b, buttons: [{name: c, say: d}]}]}]": "一行字",
    "sites: {'a b': c}": "场景编号",
    "sites: [a]": "编号: 文字",
    "sites: {a: 1}": "编号: 文字",
    "notice: {template: a}": "fields",
    "notice: {fields: [a]}": "编号: 文字",
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_wrong_file_is_told_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=FAULTS[text]) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["menu", "sites", "notice", "name", "buttons", "topic", "say", "url", "type", "fields", "x"]
                ),
                inner,
            )
        ),
    )
)
def test_any_file_is_read_or_refused_in_one_way(whole: Any) -> None:
    told = ""
    try:
        assert isinstance(parse(yaml.safe_dump(whole)), Guide)
    except ValueError as error:
        told = str(error)
    assert "\n" not in told


def test_the_settings_name_a_wrong_or_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="HOTLINE_WECHAT_MENU 读不了"):
        section(menu=str(tmp_path / "nowhere.yaml"))
    (tmp_path / "menu.yaml").write_text("menu: [{name: a}]")
    with pytest.raises(ValueError, match="HOTLINE_WECHAT_MENU 按钮“a”"):
        section(menu=str(tmp_path / "menu.yaml"))
    (tmp_path / "menu.yaml").write_text("menu: [{name: a, say: b}]")
    assert section(menu=str(tmp_path / "menu.yaml"))
    with pytest.raises(ValueError, match=r"NOTICE_TEMPLATE 填了，菜单文件里却没有"):
        section(menu=str(tmp_path / "menu.yaml"), notice_template="t")


SITES = st.dictionaries(
    st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True), st.text(min_size=1, max_size=20), max_size=4
)


@pytest.mark.parametrize("before", ["", "menu: [{name: a, say: b}]\n", "sites: {}\n# tail\n", "sites:\n  x0: 旧站\n"])
@given(SITES)
def test_a_site_is_written_and_read_back(before: str, sites: dict[str, str]) -> None:
    text, known = before, dict(parse(before).sites)
    for scene, name in sites.items():
        if scene in known or name != name.strip() or not name:
            continue
        text = wechat_menu.with_site(text, scene, name)
        known[scene] = name
    assert parse(text).sites == known
    assert "# tail" in text or "# tail" not in before


def test_the_file_keeps_its_comments_when_a_site_is_added() -> None:
    before = wechat_menu.PACKAGED.read_text()
    after = wechat_menu.with_site(before, "xihongmen-01", "西红门工会服务站")
    assert parse(after).sites == {"xihongmen-01": "西红门工会服务站"}
    assert set(before.splitlines()) - set(after.splitlines()) == {"sites: {}"}


async def test_the_start_makes_the_menu_and_the_next_leaves_it(platform: WeChatPlatform, store: Bell) -> None:
    async with office(platform, store) as wechat:
        await wechat.prepare("")
        assert platform.menu == list(PACKAGED.buttons)
        await wechat.prepare("")
        assert platform.calls["menu/create"] == 1
        platform.menu[0]["name"] = "别的"
        await wechat.prepare("")
        assert platform.calls["menu/create"] == 2
        assert platform.menu == list(PACKAGED.buttons)


async def test_a_file_without_a_menu_takes_the_menu_away(platform: WeChatPlatform, store: Bell, tmp_path: Path) -> None:
    (tmp_path / "menu.yaml").write_text("sites: {}")
    async with office(platform, store, menu=str(tmp_path / "menu.yaml")) as wechat:
        await wechat.prepare("")
        assert platform.calls["menu/delete"] == 0
        platform.menu = [{"type": "click", "name": "旧", "key": "old"}]
        await wechat.prepare("")
    assert platform.menu == []


async def test_a_menu_that_the_platform_refuses_is_told_in_one_line(platform: WeChatPlatform, store: Bell) -> None:
    platform.fail("menu/create", 40018)
    async with office(platform, store) as wechat:
        with pytest.raises(SendError, match="一级菜单的名字太长（40018）") as caught:
            await wechat.prepare("")
    assert not caught.value.retryable


async def test_a_platform_with_a_bad_minute_is_asked_again(platform: WeChatPlatform, store: Bell) -> None:
    platform.fail("menu/get", -1)
    async with office(platform, store) as wechat:
        with pytest.raises(SendError) as caught:
            await wechat.prepare("")
    assert caught.value.retryable


async def test_an_account_that_may_only_answer_is_left_alone(platform: WeChatPlatform, store: Bell) -> None:
    async with office(platform, store, passive_only=True) as wechat:
        await wechat.prepare("")
    assert not platform.calls


async def test_a_code_never_expires(platform: WeChatPlatform, store: Bell) -> None:
    async with office(platform, store) as wechat:
        ticket, url = await wechat_menu.make_code(wechat.api, "xihongmen-01")
    assert b'"QR_LIMIT_STR_SCENE"' in platform.bodies[-1]
    assert (ticket, url) == ("T/xihongmen-01+=", "http://weixin.example/q/xihongmen-01")


async def test_a_code_without_a_ticket_is_none(platform: WeChatPlatform, store: Bell) -> None:
    platform.fail("qrcode/create", b'{"errcode": 0, "url": "x"}')
    async with office(platform, store) as wechat:
        with pytest.raises(SendError):
            await wechat_menu.make_code(wechat.api, "a")
