"""The Rasa service from the hotline's side: its folders, its Python, its token, and what is asked of a running one."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from intents import train
from intents.questions import Questions

PROJECT = Path(__file__).with_name("rasa")
ROOT = PROJECT.parents[1]
LOCK = PROJECT / "requirements.lock"
HOST, PORT = "127.0.0.1", 5005

_WHICH = "import sys, venv, ensurepip; print(sys.version_info[:2] == (3, 10))"


class RasaTrouble(Exception):
    """Something about the Rasa service that the reader has to do; the message is one line that says what."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything of the service lies: below the data folder, never in the project."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "venv" / "bin" / "python"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def log(self, what: str) -> Path:
        return self.folder / f"{what}.log"

    def current(self) -> Path | None:
        """The archive that is served, or would be."""
        link = self.models / "current"
        return link.resolve() if link.exists() else None


def environment(places: Places) -> dict[str, str]:
    """For processes of the service: its modules and ours on the path, no telemetry, no cache that could be stale."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join((str(PROJECT), str(ROOT))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
        "PYTHONWARNINGS": "ignore",
        "HOTLINE_RASA_VECTORS": str((places.folder.parent / "vectors").absolute()),
        "RASA_TELEMETRY_ENABLED": "false",
        # Its cache does not see a change in the modules that our components import.
        "RASA_MAX_CACHE_SIZE": "0",
        "RASA_CACHE_DIRECTORY": str((places.folder / "cache").absolute()),
        "OMP_NUM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "SQLALCHEMY_SILENCE_UBER_WARNING": "1",
    }


def find_python() -> Path:
    """A Python 3.10 that can make virtual environments: on the PATH, of pyenv, or of uv, which may fetch one.

    Raises `RasaTrouble`.
    """
    for found in _pythons():
        asked = subprocess.run([found, "-c", _WHICH], capture_output=True, text=True, check=False)  # noqa: S603
        if asked.stdout.strip() == "True":
            return Path(found)
    raise RasaTrouble(
        "没有 Python 3.10：用 pyenv install 3.10 或 uv python install 3.10 装一个，或把 python3.10 放进 PATH，再来一次"
    )


def _pythons() -> Iterator[str]:
    if on_path := shutil.which("python3.10"):
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from (str(path) for path in sorted(pyenv.glob("versions/3.10*/bin/python"), reverse=True))
    if uv := shutil.which("uv"):
        for command in (["python", "find", "3.10"], ["python", "install", "3.10"], ["python", "find", "3.10"]):
            said = subprocess.run([uv, *command], capture_output=True, text=True, check=False)  # noqa: S603
            if said.returncode == 0 and command[1] == "find":
                yield said.stdout.strip()


def installed(places: Places) -> bool:
    """Whether the environment is there and made from just this lock file."""
    stamp = places.folder / "venv" / ".installed"
    return places.python.exists() and stamp.exists() and stamp.read_text() == _lock_hash()


def install(places: Places) -> None:
    """Make the environment of the service from its lock file. Raises `RasaTrouble`."""
    venv = places.folder / "venv"
    if not places.python.exists():
        python = find_python()
        shutil.rmtree(venv, ignore_errors=True)
        places.folder.mkdir(parents=True, exist_ok=True)
        run([str(python), "-m", "venv", str(venv)], "建不成 Rasa 的 Python 环境")
    pip = [
        str(places.python),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--progress-bar=off",
    ]
    # The lock file is complete; Rasa itself asks for the TensorFlow with GPU, which is never installed.
    run([*pip, "--no-deps", "--require-hashes", "-r", str(LOCK)], "Rasa 没装上：检查网络或 pip 源，再来一次")
    (venv / ".installed").write_text(_lock_hash())


def _lock_hash() -> str:
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()


def run(command: Sequence[str], failed: str) -> None:
    """Run a command of the set-up with its output shown. Raises `RasaTrouble` with `failed`."""
    if subprocess.run(command, check=False).returncode:  # noqa: S603 - all commands are ours
        raise RasaTrouble(failed)


def token(places: Places) -> str:
    """HOTLINE_RASA_TOKEN, else one that is made once and kept in a file that only we can read."""
    if given := os.environ.get("HOTLINE_RASA_TOKEN"):
        return given
    kept = places.folder / "token"
    if not kept.exists():
        places.folder.mkdir(parents=True, exist_ok=True)
        kept.touch(mode=0o600)
        kept.write_text(secrets.token_urlsafe(24))
    return kept.read_text().strip()


def made_from(questions: Questions, negatives: dict[str, list[str]], config: Path) -> str:
    """The hash of everything a trained archive depends on: data, trainer, pipeline, components, and the lock file."""
    digest = hashlib.sha256(train.seal_of(questions, negatives, ()).encode())
    for file in (config, LOCK, *sorted(PROJECT.glob("components/*.py"))):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def loaded_model(url: str, key: str, seconds: float = 5.0) -> str | None:
    """Path or name of the archive that the running service has loaded; None when no service answers.

    Raises `RasaTrouble` when one answers, but not to this token, or has no model.
    """
    try:
        said = httpx.get(f"{url}/status", params={"token": key}, timeout=seconds)
    except httpx.TransportError:
        return None
    if said.status_code == httpx.codes.UNAUTHORIZED:
        raise RasaTrouble("Rasa 服务在，但口令不对：两边的 HOTLINE_RASA_TOKEN 要一样")
    if said.status_code != httpx.codes.OK:
        raise RasaTrouble(f"Rasa 服务在，但没有模型（{said.status_code}）")
    answer: dict[str, Any] = said.json()
    return str(answer["model_file"])


def put(url: str, key: str, archive: Path) -> None:
    """Have the running service load another archive; it answers with the old one until then. Raises `RasaTrouble`."""
    try:
        said = httpx.put(f"{url}/model", params={"token": key}, json={"model_file": str(archive)}, timeout=120)
    except httpx.TransportError as error:
        raise RasaTrouble(f"换模型时 Rasa 服务断了：{type(error).__name__}") from None
    if said.status_code != httpx.codes.NO_CONTENT:
        raise RasaTrouble(f"Rasa 服务没有换上模型（{said.status_code}），还在用原来的")
