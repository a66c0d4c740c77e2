"""Rasa's own commands, run in its environment: train an archive, cross-validate; and put a good archive into use."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from intents import rasa_score, rasa_service
from intents.rasa_service import PROJECT, Places, RasaTrouble

KEPT = 3
"""Archives that are kept: the one in use, and those before it."""

Tell = Callable[[str, float | None], None]
"""Called with what Rasa is doing and how much of that is done, 0..1, or None when it does not say."""

_TOLD = re.compile(r"components\.classifier +- (.+) (\d+)%$")
_STARTED = re.compile(r"Starting to train component '(\w+)'")


def train(here: Places, config: str, name: str, tell: Tell) -> Path:
    """The new archive, in a folder of its own: the one in use stays what it is. Raises `RasaTrouble`.

    `name` has no dot: Rasa would take what follows for a suffix and drop it.
    """
    fresh = here.folder / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    where = ["--nlu", str(here.data), "--domain", "domain.yml", "--out", str(fresh), "--fixed-model-name", name]
    _run(here, ["train", "nlu", "--config", config, *where], "train", tell)
    archive = fresh / f"{name}.tar.gz"
    if not archive.exists():
        raise RasaTrouble(f"Rasa 没有写出 {archive.name}，原因在 {here.log('train')} 的末尾")
    return archive


def cross_validate(here: Places, config: str, folds: int, tell: Tell) -> None:
    """Reports, errors and pictures into the folder of results. Raises `RasaTrouble`."""
    shutil.rmtree(here.results, ignore_errors=True)
    how = ["--cross-validation", "--folds", str(folds), "--config", config, "--out", str(here.results)]
    _run(here, ["test", "nlu", *how, "--nlu", str(here.data), "--domain", "domain.yml"], "test", tell)
    for file in here.results.glob("response_selection_*"):
        # Nothing selects responses here; Rasa reports noughts all the same.
        file.unlink()


def _run(here: Places, command: Sequence[str], what: str, tell: Tell) -> None:
    """Rasa's many words go into a log; `tell` hears what can be understood."""
    log = here.log(what)
    with (
        log.open("w", buffering=1, encoding="utf-8") as kept,
        subprocess.Popen(  # noqa: S603 - our own words
            [str(here.python), "-m", "rasa", *command],
            cwd=PROJECT,
            env=rasa_service.environment(here) | {"LOG_LEVEL": "INFO"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        for line in process.stdout or ():
            kept.write(line)
            if said := _TOLD.search(line.rstrip()):
                tell(said.group(1), int(said.group(2)) / 100)
            elif begun := _STARTED.search(line):
                tell(begun.group(1), None)
    if process.returncode:
        raise RasaTrouble(f"Rasa 没有做成，原因在 {log} 的末尾")


def take_in(here: Places, fresh: Path, questions: Sequence[Path], made_from: str, say: Callable[[str], None]) -> Path:
    """Try the archive on the questions, and make it the one in use unless it lost too much: then `RasaTrouble`."""
    used = here.current()
    found = rasa_score.score(here, fresh, questions, made_from)
    say(f"新模型  {rasa_score.told(found['all'])}")
    if used is not None:
        before = rasa_score.of_today(here, used, questions)
        say(f"在用的  {rasa_score.told(before['all'])}")
        if lost := rasa_score.losses(found["all"], before["all"]):
            raise RasaTrouble(f"新模型不换上：{'；'.join(lost)}。它留在 {fresh}")
    here.models.mkdir(exist_ok=True)
    for file in (rasa_score.sheet_path(fresh), fresh):
        file.replace(here.models / file.name)
    link = here.models / "current.new"
    link.unlink(missing_ok=True)
    link.symlink_to(fresh.name)
    link.replace(here.models / "current")
    for old in sorted(here.models.glob("*.tar.gz"), key=lambda path: -path.stat().st_mtime)[KEPT:]:
        rasa_score.sheet_path(old).unlink(missing_ok=True)
        old.unlink()
    return here.models / fresh.name
