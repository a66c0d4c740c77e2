"""The wordings that the classifier learns from: `*.questions.yaml` beside the articles, and the negatives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

Questions = dict[str, list[tuple[str, str]]]
"""Topic → `(text, style)`; the style is `standard` or the colloquial group's name."""

OUT_OF_SCOPE = "meta.out_of_scope"


def read_questions(articles: Path) -> Questions:
    """Every wording of every topic. Raises `ValueError` that names the file that cannot be read."""
    found: Questions = {}
    for path in sorted(articles.glob("*/*.questions.yaml")):
        try:
            sheet = yaml.safe_load(path.read_text(encoding="utf-8"))
            wordings = list(_wordings(sheet))
            topic = str(sheet["topic"])
        except (yaml.YAMLError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path.name} 读不懂：{error}") from error
        found.setdefault(topic, []).extend(wordings)
    return found


def _wordings(sheet: dict[str, object]) -> Iterator[tuple[str, str]]:
    for text in sheet.get("standard") or ():  # type: ignore[attr-defined]
        yield str(text), "standard"
    colloquial = sheet.get("colloquial") or {}
    for style, texts in colloquial.items():  # type: ignore[attr-defined]
        for text in texts or ():
            yield str(text), str(style)


def read_negatives(path: Path) -> dict[str, list[str]]:
    """Group → sentences that are none of the hotline's business."""
    sheet = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {str(group): [str(text) for text in texts] for group, texts in sheet["groups"].items()}
