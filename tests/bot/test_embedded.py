"""The Valkey that comes along: shared within a folder, gone at the end, an orphan is ended first."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from bot import embedded


def _pid(folder: Path) -> int:
    return int((folder / "valkey.pid").read_text())


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]


def test_it_serves_and_ends(tmp_path: Path) -> None:
    with embedded.valkey(tmp_path) as url:
        with Redis.from_url(url) as redis:
            assert redis.ping()
        pid = _pid(tmp_path)
        assert _alive(pid)
    assert not _alive(pid)


def test_a_second_one_in_the_folder_shares_it(tmp_path: Path) -> None:
    with embedded.valkey(tmp_path) as first:
        pid = _pid(tmp_path)
        with embedded.valkey(tmp_path) as second:
            assert second == first
            assert _pid(tmp_path) == pid
        assert _alive(pid)


DYING = """
import os, signal, sys
from pathlib import Path
from bot import embedded
server = embedded.valkey(Path(sys.argv[1]))
server.__enter__()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("depth", [0, 30])
def test_what_a_killed_process_left_behind_is_ended(tmp_path: Path, depth: int) -> None:
    folder = tmp_path / ("deeper" * depth)
    died = subprocess.run([sys.executable, "-c", DYING, str(folder)], check=False)
    assert died.returncode == -signal.SIGKILL
    orphan = _pid(folder)
    assert _alive(orphan)
    with embedded.valkey(folder) as url, Redis.from_url(url) as redis:
        assert redis.ping()
        assert not _alive(orphan)


def test_a_folder_far_down_still_gets_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("很深" * 20) / ("d" * 90)
    with embedded.valkey(deep) as url, Redis.from_url(url) as redis:
        assert redis.ping()


@pytest.mark.parametrize("rubbish", ["", "nonsense", "1"])
def test_a_pid_file_with_rubbish_harms_nobody(tmp_path: Path, rubbish: str) -> None:
    (tmp_path / "valkey.pid").write_text(rubbish)
    with embedded.valkey(tmp_path) as url, Redis.from_url(url) as redis:
        assert redis.ping()
