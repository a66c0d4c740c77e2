"""What a Rasa archive scored on the development questions, kept beside it, and whether another one may replace it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from intents import rasa_service
from intents.rasa_service import PROJECT, Places, RasaTrouble

MARGINS = {"top1": 0.01, "top3": 0.01, "oos_refused_at_95": 0.03}
"""How much a new model may lose of each: less than chance gives and takes on so many questions."""

_NAMES = {"top1": "第一个就对", "top3": "前三个里有", "oos_refused_at_95": "范围外拒掉"}


def sheet_path(archive: Path) -> Path:
    return archive.with_name(archive.name.removesuffix(".tar.gz") + ".json")


def sheet(archive: Path) -> dict[str, Any]:
    """What is written beside the archive: `files`, `all`, `questions`, `made_from`; empty when nothing is."""
    try:
        found: dict[str, Any] = json.loads(sheet_path(archive).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def score(here: Places, archive: Path, questions: Sequence[Path], made_from: str) -> dict[str, Any]:
    """Ask the archive every question, which takes about a minute, and keep what came of it. Raises `RasaTrouble`."""
    if not questions:
        raise RasaTrouble("没有开发问题（tests/intents/questions_*.jsonl），没法比新旧模型")
    asked = subprocess.run(  # noqa: S603 - our own words
        [str(here.python), "-m", "components.score", str(archive), *(str(file) for file in questions)],
        cwd=PROJECT,
        env=rasa_service.environment(here),
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode:
        here.log("score").write_text(asked.stdout + asked.stderr, encoding="utf-8")
        raise RasaTrouble(f"新模型没法用，原因在 {here.log('score')}")
    found: dict[str, Any] = json.loads(asked.stdout.splitlines()[-1])
    found |= {"questions": _hash(questions), "made_from": made_from}
    sheet_path(archive).write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return found


def of_today(here: Places, archive: Path, questions: Sequence[Path]) -> dict[str, Any]:
    """What the archive scores on the questions as they are now: from its sheet, or by asking again."""
    kept = sheet(archive)
    if kept.get("questions") == _hash(questions):
        return kept
    return score(here, archive, questions, kept.get("made_from", ""))


def losses(found: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """Each figure that fell by more than its margin, in words; empty when the new model may be put in."""
    return [
        f"{_NAMES[name]} {found[name] or 0.0:.3f}，低于在用的 {before[name]:.3f}（最多许差 {margin}）"
        for name, margin in MARGINS.items()
        if before[name] is not None and (found[name] or 0.0) < before[name] - margin
    ]


def told(figures: Mapping[str, Any]) -> str:
    """The figures that count, on one line."""
    return "，".join(f"{name} {figures[key]:.3f}" for key, name in _NAMES.items() if figures[key] is not None)


def _hash(questions: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(questions):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()
