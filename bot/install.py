"""Set the project up in `.venv` from the lock files: run by `make`, with nothing but Python's own library.

`python3 bot/install.py run` is what the service needs, `... test` adds what the tests need. A second call finds its
stamps and does nothing. Every failure ends in one line that says what is missing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCKS = {"run": "requirements.lock", "test": "requirements-dev.lock"}


class Missing(Exception):
    """Something this machine lacks; the message says what to do."""


def main(kind: str) -> None:
    """Do what is not done yet, saying what is being done."""
    os.chdir(ROOT)
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever has an older one is to be told
        raise Missing(f"需要 Python 3.11 以上，这里是 {sys.version.split()[0]}；装好后用 make PYTHON=python3.11 再来")
    _make_venv()
    _install(kind)
    _step("页面用的前端文件", [str(PYTHON), "-m", "bot.console.vendor"], "取不到前端文件：检查网络或 npm 源，再来一次")
    _train()
    if kind == "test":
        _install_chromium()


def _make_venv() -> None:
    if PYTHON.exists():
        return
    say("建立 .venv")
    if _venv():
        return
    # Debian keeps this part of Python in a package of its own.
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if not _apt(package) or not _venv():
        raise Missing(f"Python 缺 venv 模块；Debian 上用管理员身份执行：apt-get install -y {package}")


def _venv() -> bool:
    if _run([sys.executable, "-m", "venv", str(VENV)], capture_output=True).returncode == 0:
        return True
    shutil.rmtree(VENV, ignore_errors=True)
    return False


def _apt(*packages: str) -> bool:
    """Install Debian packages, where we may; False when they are not there afterwards."""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return False
    say(f"安装 {' '.join(packages)}")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    update, install = ["apt-get", "-q", "update"], ["apt-get", "-q", "install", "-y", *packages]
    return all(_run(command).returncode == 0 for command in (update, install))


def _install(kind: str) -> None:
    lock = ROOT / LOCKS[kind]
    wanted = hashlib.sha256(
        lock.read_bytes() + (ROOT / "pyproject.toml").read_bytes() + sys.version.encode()
    ).hexdigest()
    stamp = VENV / f".installed-{kind}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    _step(
        f"按 {lock.name} 安装依赖",
        [*pip, "--require-hashes", "-r", str(lock)],
        "依赖没装上：检查网络或 pip 源，再来一次",
    )
    _step("安装本项目", [*pip, "-q", "--no-deps", "--no-build-isolation", "-e", "."], "本项目没装上，看上面的原因")
    stamp.write_text(wanted)


def _train() -> None:
    """Train the model unless it was made from just these files; asking the trainer itself costs seconds each time."""
    model = Path(os.environ.get("HOTLINE_DATA_DIR") or "var") / "model"
    files = [*ROOT.glob("knowledge_base/**/*.yaml"), *ROOT.glob("intents/*.*"), ROOT / LOCKS["run"]]
    wanted = hashlib.sha256()
    for file in sorted(files):
        wanted.update(file.name.encode() + file.read_bytes())
    stamp = model / "made-from"
    if (model / "model.npz").exists() and stamp.exists() and stamp.read_text() == wanted.hexdigest():
        return
    _step("理解问题的模型", [str(VENV / "bin" / "hotline"), "kb", "train"], "模型没有训练成，看上面的原因")
    stamp.write_text(wanted.hexdigest())


def _install_chromium() -> None:
    if not shutil.which("chromium") and not _apt("chromium", "fonts-noto-cjk"):
        raise Missing("浏览器测试需要 chromium：用管理员身份执行 apt-get install -y chromium fonts-noto-cjk")


def _step(what: str, command: list[str], failed: str) -> None:
    say(what)
    if _run(command).returncode:
        raise Missing(failed)


def _run(command: list[str], *, capture_output: bool = False) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, check=False, capture_output=capture_output)  # noqa: S603 - all commands are ours


def say(text: str) -> None:
    print(f"▸ {text}", flush=True)  # noqa: T201


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "run")
    except Missing as missing:
        sys.exit(f"✗ {missing}")
    except KeyboardInterrupt:
        sys.exit("✗ 中断了，再来一次会接着做")
