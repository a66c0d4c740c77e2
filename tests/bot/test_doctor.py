"""The doctor: a fresh folder is told what to do step by step, a well one has nothing to hear."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bot import doctor
from bot.settings import Settings
from connectors.abilities import Finding
from tests.conftest import MODEL


async def _examined(settings: Settings) -> dict[str, list[Finding]]:
    return {part.name: list(part.findings) async for part in doctor.examine(settings)}


async def test_a_fresh_folder_is_told_what_to_do(tmp_path: Path) -> None:
    found = await _examined(Settings.model_validate({"data_dir": tmp_path}))
    todo = {finding.todo for findings in found.values() for finding in findings if not finding.good}
    assert todo == {"执行 hotline migrate", "执行 hotline kb train"}
    assert "条目和账号" not in found


async def test_what_is_well_is_called_well(tmp_path: Path, sqlite_template: Path) -> None:
    shutil.copy(sqlite_template, tmp_path / "hotline.db")
    shutil.copytree(MODEL, tmp_path / "model")
    found = await _examined(Settings.model_validate({"data_dir": tmp_path}))
    bad = [finding for findings in found.values() for finding in findings if not finding.good]
    assert [finding.todo for finding in bad] == ["执行 hotline staff add"]
    assert "web" in found["渠道"][0].what


@pytest.mark.parametrize(
    ("given", "part", "todo"),
    [
        ({"database_url": "postgresql://nobody@127.0.0.1:1/none"}, "数据库", "HOTLINE_DATABASE_URL"),
        ({"redis_url": "redis://127.0.0.1:1/0"}, "Redis", "HOTLINE_REDIS_URL"),
        ({"asr_url": "http://127.0.0.1:1/v1"}, "旁边的服务", "HOTLINE_ASR_URL"),
        ({"public_url": "http://hotline.test"}, "渠道", "https"),
        ({"public_url": "https://hotline.test"}, "渠道", "HOTLINE_COOKIE_SECURE"),
    ],
)
async def test_what_is_away_or_half_done_is_named(given: dict[str, str], part: str, todo: str, tmp_path: Path) -> None:
    found = await _examined(Settings.model_validate({"data_dir": tmp_path, **given}))
    assert any(todo in finding.todo for finding in found[part] if not finding.good)


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = await _examined(Settings.model_validate({"data_dir": tmp_path / "file"}))
    assert any("HOTLINE_DATA_DIR" in finding.todo for finding in found["本机"])
