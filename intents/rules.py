"""Words that steer the talk and never depend on a model: a person please, yes, back, the second one, what to bring."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from intents.engine import Command, FollowUp
from intents.text import Text

RULES = Path(__file__).with_name("commands.yaml")
LAST = -1
"""The choice that says "the last one", however many there were."""

_DIGITS = {char: place for place, char in enumerate("一二三四五六七八九", start=1)} | {"两": 2}
_WORDY = re.compile(r"[\u3400-\u9fffa-z]")


@dataclass(frozen=True, slots=True)
class Said:
    """What the rules heard; `pure`: nothing else was said; `noise`: there is no word in it at all ("。。。", "666")."""

    command: Command | None = None
    follow_up: FollowUp | None = None
    choice: int | None = None
    pure: bool = False
    noise: bool = False


@dataclass(frozen=True, slots=True)
class _Phrases:
    whole: re.Pattern[str]
    inside: re.Pattern[str] | None
    never: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class _Sheet:
    front: re.Pattern[str]
    back: re.Pattern[str]
    commands: dict[Command, _Phrases]
    follow_ups: dict[FollowUp, _Phrases]
    number: re.Pattern[str]
    last: re.Pattern[str]
    first: re.Pattern[str]


def _any(patterns: Iterable[str]) -> re.Pattern[str] | None:
    joined = "|".join(f"(?:{pattern})" for pattern in patterns)
    return re.compile(joined) if joined else None


def _phrases(entry: dict[str, list[str]]) -> _Phrases:
    whole = re.compile("|".join(f"(?:{pattern})" for pattern in entry["whole"]))
    return _Phrases(whole, _any(entry.get("inside", ())), _any(entry.get("never", ())))


@functools.cache
def _sheet() -> _Sheet:
    sheet = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return _Sheet(
        front=re.compile(f"^(?:{sheet['polite']['front']})+"),
        back=re.compile(f"(?:{sheet['polite']['back']})+$"),
        commands={Command(name): _phrases(entry) for name, entry in sheet["commands"].items()},
        follow_ups={FollowUp(name): _phrases(entry) for name, entry in sheet["follow_ups"].items()},
        number=re.compile(sheet["choice"]["number"]),
        last=re.compile(sheet["choice"]["last"]),
        first=re.compile(sheet["choice"]["first"]),
    )


def _bare(tight: str) -> list[str]:
    """The message as it stands, without polite ends, and without polite beginnings: each may be the whole command."""
    sheet = _sheet()
    ended = sheet.back.sub("", tight)
    forms = [tight, ended, sheet.front.sub("", ended), sheet.front.sub("", tight)]
    return [form for form in dict.fromkeys(forms) if form]


def _whole(forms: list[str], phrases: _Phrases) -> bool:
    return any(phrases.whole.fullmatch(form) for form in forms)


def _choice(forms: list[str]) -> int | None:
    sheet = _sheet()
    for form in forms:
        if found := sheet.number.fullmatch(form):
            digit = found.group(1)
            return _DIGITS.get(digit) or int(digit)
        if sheet.last.fullmatch(form):
            return LAST
        if sheet.first.fullmatch(form):
            return 1
    return None


def read(text: Text) -> Said:
    """Commands, choices and follow-up questions in one message. Whole-message readings win over words inside it."""
    if not text.tight or not any(char.isalnum() for char in text.tight):
        return Said(noise=True)
    forms = _bare(text.tight)
    if len(text.tight) <= 40:
        for form in forms:
            if (said := _whole_message(form)) is not None:
                return said
    if not _WORDY.search(text.tight):
        return Said(noise=True)
    return Said(command=_inside(text), follow_up=_asked_inside(text.tight))


def _whole_message(form: str) -> Said | None:
    sheet = _sheet()
    if (picked := _choice([form])) is not None:
        return Said(choice=picked, pure=True)
    for command, phrases in sheet.commands.items():
        if phrases.whole.fullmatch(form) and not (phrases.never and phrases.never.search(form)):
            return Said(command=command, pure=True)
    for follow_up, phrases in sheet.follow_ups.items():
        if phrases.whole.fullmatch(form):
            return Said(follow_up=follow_up, pure=True)
    return None


def _inside(text: Text) -> Command | None:
    """A command that stands beside something else: a clause of its own, or a phrase that can mean nothing else."""
    for command in (Command.PERSON, Command.PROGRESS):
        phrases = _sheet().commands[command]
        if phrases.never and phrases.never.search(text.tight):
            continue
        clauses = [clause for clause in re.split(r"[,\s]", text.plain + "," + text.tight) if clause]
        if any(len(clause) > 1 and _whole(_bare(clause), phrases) for clause in clauses if len(clause) <= 20):
            return command
        if phrases.inside and phrases.inside.search(text.tight):
            return command
    return None


def _asked_inside(tight: str) -> FollowUp | None:
    for follow_up, phrases in _sheet().follow_ups.items():
        if phrases.inside and phrases.inside.search(tight):
            return follow_up
    return None
