"""What the classifier sees of a message: character pieces, words of workers' speech, length."""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

LEXICON = Path(__file__).with_name("lexicon.yaml")
LONGEST = 600
"""Characters of a message that are counted; the rest repeats itself."""

_DROP = re.compile(r"[^0-9a-z\u3400-\u9fff]+")
_DIGITS = re.compile(r"\d+")


def pieces(plain: str) -> Counter[str]:
    """Character 1- to 3-grams of the message, numbers folded into one sign, punctuation as a gap."""
    counted: Counter[str] = Counter()
    for run in _DROP.split(_DIGITS.sub(_number, plain[:LONGEST])):
        for size in (1, 2, 3):
            counted.update(run[start : start + size] for start in range(len(run) - size + 1))
    return counted


def _number(found: re.Match[str]) -> str:
    digits = found.group()
    return digits if len(digits) <= 2 or (len(digits) == 5 and digits.startswith("12")) else "8" * min(len(digits), 6)


def weigh(
    counted: Mapping[str, int], vocabulary: Mapping[str, int], idf: npt.NDArray[np.float32]
) -> list[tuple[int, float]]:
    """TF-IDF of the pieces that are known, length 1: `(column, weight)` pairs."""
    row = [
        (column, (1.0 + math.log(count)) * float(idf[column]))
        for piece, count in counted.items()
        if (column := vocabulary.get(piece)) is not None
    ]
    norm = math.sqrt(sum(weight * weight for _, weight in row))
    return [(column, weight / norm) for column, weight in row] if norm else []


@functools.cache
def lexicon() -> dict[str, re.Pattern[str]]:
    """Groups of colloquial words that mean one thing to the union, each as one pattern on the plain text."""
    sheet: dict[str, list[object]] = yaml.safe_load(LEXICON.read_text(encoding="utf-8"))
    return {name: re.compile("|".join(re.escape(str(word)) for word in words)) for name, words in sheet.items()}


def indicate(plain: str) -> npt.NDArray[np.float32]:
    """One number a lexicon group: 1 where a word of the group occurs, all divided by the root of how many do."""
    head = plain[:LONGEST]
    found = np.array([1.0 if pattern.search(head) else 0.0 for pattern in lexicon().values()], dtype=np.float32)
    return found / np.float32(math.sqrt(max(1.0, float(found.sum()))))
