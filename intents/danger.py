"""Danger in a message, seen by written rules alone: which of the kinds in `danger.yaml`, and which words said so."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from intents.engine import Danger
from intents.text import LONGEST, Text

RULES = Path(__file__).with_name("danger.yaml")
BRIEF = 20
_WORD = re.compile(r"<([a-z]+)>")


@dataclass(frozen=True, slots=True)
class Rule:
    """One paragraph of `danger.yaml`; its head explains the fields."""

    kind: Danger
    why: str
    say: re.Pattern[str]
    excepted: re.Pattern[str] | None
    together: re.Pattern[str] | None
    without: re.Pattern[str] | None
    longest: int

    def hears(self, tight: str) -> str | None:
        """The words that ring, or None."""
        if len(tight) > self.longest:
            return None
        said = [found.span() for found in self.say.finditer(tight)]
        if not said:
            return None
        if self.without and self.without.search(tight):
            return None
        if self.together and not self.together.search(tight):
            return None
        covered = [found.span() for found in self.excepted.finditer(tight)] if self.excepted else []
        for start, end in said:
            if not any(left < end and start < right for left, right in covered):
                return tight[start:end]
        return None


def read_rules(path: Path = RULES) -> list[Rule]:
    """The rules in the order in which they are asked. Raises `ValueError` that names a pattern that cannot be read."""
    sheet = yaml.safe_load(path.read_text(encoding="utf-8"))
    words: dict[str, str] = sheet["words"]
    rules = []
    for part in sheet["kinds"]:
        for entry in part["rules"]:
            patterns = {key: _compile(entry.get(key, ()), words) for key in ("say", "except", "with", "without")}
            say = patterns["say"]
            if say is None:
                raise ValueError(f"{entry['why']}: 没有写 say")
            rules.append(
                Rule(
                    Danger(part["kind"]),
                    entry["why"],
                    say,
                    patterns["except"],
                    patterns["with"],
                    patterns["without"],
                    entry.get("longest", LONGEST),
                )
            )
    return rules


def _compile(patterns: Sequence[str], words: dict[str, Any]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    whole = []
    for pattern in patterns:
        spelled = pattern
        while "<" in (found := _WORD.sub(lambda match: words[match.group(1)], spelled)) and found != spelled:
            spelled = found
        try:
            re.compile(found)
        except re.error as error:
            raise ValueError(f"写法读不懂：{pattern}（{error}）") from error
        whole.append(found)
    return re.compile("|".join(f"(?:{one})" for one in whole))


@functools.cache
def _rules() -> list[Rule]:
    return read_rules()


def find_danger(text: Text) -> tuple[Danger, str, str] | None:
    """Kind, the reason written beside the rule, and the words that rang. The first rule that rings decides."""
    return _find(text.tight)


# A message is asked about twice: before the model and beside it.
@functools.lru_cache(maxsize=512)
def _find(tight: str) -> tuple[Danger, str, str] | None:
    for rule in _rules():
        heard = rule.hears(tight)
        if heard is not None:
            return rule.kind, rule.why, heard
    return None


def waved_off(text: Text, kind: Danger) -> bool:
    """Whether a short message holds a phrase that the rules of this kind know to be harmless ("气死我了", "跳楼价")."""
    if len(text.tight) > BRIEF:
        return False
    return any(
        rule.kind is kind and rule.excepted is not None and rule.excepted.search(text.tight) for rule in _rules()
    )
