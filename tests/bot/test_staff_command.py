"""`hotline staff` at the terminal, on a database of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HOTLINE = Path(sys.executable).parent / "hotline"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    found = {**os.environ, "HOTLINE_DATA_DIR": str(tmp_path / "data"), "COLUMNS": "100"}
    migrated = subprocess.run(
        [HOTLINE, "migrate"], cwd=tmp_path, env=found, capture_output=True, text=True, check=False
    )
    assert migrated.returncode == 0, migrated.stderr
    return found


def staff(env: dict[str, str], *words: str, password: str = "") -> subprocess.CompletedProcess[str]:
    command = [str(HOTLINE), "staff", *words]
    return subprocess.run(command, env=env, input=password, capture_output=True, text=True, timeout=60, check=False)


def test_an_account_from_add_to_disable(env: dict[str, str]) -> None:
    assert staff(env, "add", "fang", "王芳", password="correct-horse\n").returncode == 0
    again = staff(env, "add", "fang", "王芳", password="correct-horse\n")
    assert (again.returncode, again.stderr) == (1, "账号 fang 已经有了\n")
    assert staff(env, "disable", "fang").returncode == 0
    assert "已停用" in staff(env, "list").stdout
    assert staff(env, "password", "fang", password="battery-staple\n").returncode == 0
    shown = staff(env, "list").stdout
    assert "王芳" in shown
    assert "在用" in shown
    assert "battery" not in shown
