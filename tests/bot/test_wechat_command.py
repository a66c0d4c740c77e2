"""`hotline wechat`, as typed, against the platform's stand-in."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.wechat_platform import PICTURE, WeChatPlatform, serving

HOTLINE = Path(sys.executable).parent / "hotline"
APP_ID, APP_SECRET = "wx2c2769f8efd9abc2", "7d1f0c9b5e"
MENU = """# 我们的菜单
menu:
  - {name: 找人工, say: 人工}
  - {name: 欠薪, topic: legal.wage_arrears}
notice:
  fields: {thing2: 您的工单有新回复}
"""

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
async def served() -> AsyncIterator[WeChatPlatform]:
    found = WeChatPlatform(APP_ID, APP_SECRET)
    async with serving(found):
        yield found


@pytest.fixture
def platform(served: WeChatPlatform) -> WeChatPlatform:
    served.reset()
    return served


@pytest.fixture
def typed(platform: WeChatPlatform, tmp_path: Path, redis_url: str, sqlite_template: Path) -> Typed:
    """Runs `hotline wechat …` in an empty folder; returns the exit code and what it printed on both streams."""
    (tmp_path / "menu.yaml").write_text(MENU)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "hotline.db").write_bytes(sqlite_template.read_bytes())
    given = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HOTLINE_")},
        "HOTLINE_DATA_DIR": str(tmp_path / "data"),
        "HOTLINE_REDIS_URL": redis_url,
        "HOTLINE_WECHAT_TOKEN": "callback",
        "HOTLINE_WECHAT_APP_ID": APP_ID,
        "HOTLINE_WECHAT_APP_SECRET": APP_SECRET,
        "HOTLINE_WECHAT_MODE": "plain",
        "HOTLINE_WECHAT_API_URL": platform.url,
        "HOTLINE_WECHAT_PICTURE_URL": platform.url,
        "HOTLINE_WECHAT_MENU": str(tmp_path / "menu.yaml"),
        "HOTLINE_WECHAT_NOTICE_TEMPLATE": "TICKET-NEWS",
    }

    def run(*words: str, **more: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [HOTLINE, "wechat", *words],
            cwd=tmp_path,
            env=given | more,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


async def test_the_menu_is_compared_and_then_made(typed: Typed, platform: WeChatPlatform) -> None:
    code, out, _ = await asyncio.to_thread(typed, "menu", "--dry-run")
    assert (code, platform.menu) == (0, [])
    assert "找人工" in out
    assert "不一样" in out
    code, out, _ = await asyncio.to_thread(typed, "menu")
    assert code == 0
    assert [button["name"] for button in platform.menu] == ["找人工", "欠薪"]
    assert "没有改动" in (await asyncio.to_thread(typed, "menu"))[1]


async def test_a_wrong_menu_is_one_line_and_no_trace(typed: Typed, platform: WeChatPlatform, tmp_path: Path) -> None:
    for text, names in {
        "menu: [{name: 名字真的太长了, say: a}]": "HOTLINE_WECHAT_MENU",
        "menu: [{name: 欠薪, topic: legal.no_such}]": "legal.no_such",
    }.items():
        (tmp_path / "menu.yaml").write_text(f"{text}\nnotice: {{fields: {{a: b}}}}")
        code, _, error = await asyncio.to_thread(typed, "menu")
        assert code == 1
        assert names in error
        assert len(error.strip().splitlines()) == 1
    (tmp_path / "menu.yaml").write_text(MENU)
    platform.fail("menu/create", 40055)
    code, _, error = await asyncio.to_thread(typed, "menu")
    assert (code, "按钮的网址不对（40055）" in error) == (1, True)
    assert platform.menu == []


async def test_a_code_for_a_site_is_made_saved_and_noted(
    typed: Typed, platform: WeChatPlatform, tmp_path: Path
) -> None:
    code, out, error = await asyncio.to_thread(typed, "qr", "xihongmen-01", "西红门工会服务站")
    assert (code, error) == (0, "")
    assert platform.codes == ["xihongmen-01"]
    assert "ticket=T%2Fxihongmen-01%2B%3D" in out
    assert (tmp_path / "data" / "qr" / "xihongmen-01.png").read_bytes() == PICTURE
    assert (tmp_path / "menu.yaml").read_text() == f'{MENU.rstrip()}\n\nsites:\n  "xihongmen-01": "西红门工会服务站"\n'

    code, out, _ = await asyncio.to_thread(typed, "qr", "xihongmen-01", "西红门工会服务站")
    assert (code, "已经在菜单文件里" in out) == (0, True)
    code, _, error = await asyncio.to_thread(typed, "qr", "xihongmen-01", "别的站")
    assert (code, "换一个" in error) == (1, True)
    assert (await asyncio.to_thread(typed, "qr", "not a scene", "站"))[0] == 1


async def test_consent_compares_the_template_with_the_file(typed: Typed, platform: WeChatPlatform) -> None:
    platform.templates = [
        {"priTmplId": "TICKET-NEWS", "title": "工单通知", "content": "编号:{{character_string1.DATA}}\n{{thing2.DATA}}"}
    ]
    code, out, error = await asyncio.to_thread(typed, "consent")
    assert code == 0
    assert "character_string1、thing2" in out
    assert "要改成和模板一样" in error
    assert "：0 人" in out


async def test_an_account_that_may_not_is_told_so(typed: Typed, platform: WeChatPlatform) -> None:
    code, _, error = await asyncio.to_thread(typed, "menu", HOTLINE_WECHAT_PASSIVE_ONLY="true")
    assert (code, "PASSIVE_ONLY" in error) == (1, True)
    code, _, error = await asyncio.to_thread(typed, "menu", HOTLINE_WECHAT_APP_SECRET="wrong")
    assert (code, "40125" in error or "40001" in error) == (1, True)
