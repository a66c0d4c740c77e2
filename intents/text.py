"""A message as rules and classifier read it: one script, one case, one kind of width, nothing invisible."""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import opencc
import yaml

LONGEST = 20_000
"""Characters that are looked at; a longer message is cut here."""

PINYIN = Path(__file__).with_name("pinyin.yaml")

_SPACE = re.compile(r"\s+")
_STICKER = re.compile(r"\[[\u4e00-\u9fffA-Za-z]{1,8}\]")
_KEPT = frozenset("LNPZSM")
_MARKS = str.maketrans({"，": ",", "。": ".", "！": "!", "？": "?", "；": ";", "：": ":", "（": "(", "）": ")"})
_PAUSE = re.compile(r"[,.!?;:…\n。、~]+")
_LOOSE = re.compile(r"[^0-9a-z\u3400-\u9fff,]+")
_SPLIT_UP = re.compile(r"(?:[\u4e00-\u9fff][^0-9a-z\u4e00-\u9fff]+){3,}[\u4e00-\u9fff]")
_LATIN = re.compile(r"(?<![a-z0-9./@])[a-z]+(?: [a-z]+)*(?![a-z0-9./@])")
_GAP = re.compile(r"[^0-9a-z\u4e00-\u9fff]+")


@dataclass(frozen=True, slots=True)
class Text:
    """`raw` is what the worker wrote; `plain` is simplified, lower-case, half-width, without emoji or stickers;
    `tight` is `plain` without spaces, with every pause as one comma: what patterns are written against.
    """

    raw: str
    plain: str
    tight: str


@functools.cache
def _simplifier() -> opencc.OpenCC:
    return opencc.OpenCC("t2s")


@functools.cache
def _pinyin() -> tuple[re.Pattern[str], dict[str, str]]:
    words: dict[str, str] = yaml.safe_load(PINYIN.read_text(encoding="utf-8"))
    return re.compile("|".join(sorted(words, key=len, reverse=True))), words


def _spell_out(plain: str) -> str:
    """Words in pinyin become characters; a run of letters without one stays as it is."""
    pattern, words = _pinyin()

    def read(found: re.Match[str]) -> str:
        joined = found.group().replace(" ", "")
        return pattern.sub(lambda word: words[word.group()], joined) if pattern.search(joined) else found.group()

    return _LATIN.sub(read, plain)


def _keep(char: str) -> str:
    kind = unicodedata.category(char)
    if kind in {"So", "Sk", "Cf", "Cs", "Co", "Cn", "Mn", "Me"}:
        return ""
    return char if kind[0] in _KEPT else " "


def simplify(raw: str) -> str:
    """NFKC, simplified characters, lower case, single spaces, common pinyin spelled out; no emoji."""
    text = unicodedata.normalize("NFKC", raw[:LONGEST].encode("utf-8", "ignore").decode("utf-8"))
    text = _STICKER.sub(" ", text)
    text = "".join(char if char.isascii() and char.isprintable() else _keep(char) for char in text)
    return _spell_out(_SPACE.sub(" ", _simplifier().convert(text).translate(_MARKS)).strip().lower())[:LONGEST]


def tighten(plain: str) -> str:
    """Close the gaps put between characters to get past filters ("不 想 活", "跳。楼"), keep real pauses."""
    joined = _SPLIT_UP.sub(lambda found: _GAP.sub("", found.group()), plain)
    return _PAUSE.sub(",", _LOOSE.sub("", _PAUSE.sub(",", joined))).strip(",")


def normalise(raw: str) -> Text:
    """Read one message. Takes any `str`: lone surrogates, control characters and 20,000 emoji included."""
    plain = simplify(raw)
    return Text(raw=raw, plain=plain, tight=tighten(plain))
