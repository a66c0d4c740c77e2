"""What a Rasa service answers, read with suspicion: an opinion on our topics, or the reason why it is none."""

from __future__ import annotations

import json
import re
from collections.abc import Container
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from intents.engine import Candidate, Danger
from intents.local import SHOWN, Opinion
from intents.questions import OUT_OF_SCOPE

_ROUNDING = 1e-6
_LOUDEST = 1000.0
_MODEL_FILE = re.compile(r"hotline-([0-9a-f]{12,64})\.tar\.gz$")


class Trouble(StrEnum):
    """Why a message was not answered by Rasa; the values are labels in `/metrics`."""

    ABSENT = "absent"
    DROPPED = "dropped"
    SLOW = "slow"
    TOKEN = "token"  # noqa: S105 - the name of a reason
    STATUS = "status"
    GARBLED = "garbled"
    SHAPE = "shape"
    TOPIC = "topic"
    NUMBER = "number"
    BUSY = "busy"
    RESTING = "resting"


class NoAnswer(Exception):
    """Rasa gave nothing that can be used."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(str(trouble))
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class Parsed:
    """`data_hash` is that of the data the model learnt from, None when it does not say."""

    opinion: Opinion
    data_hash: str | None


def read_answer(body: bytes, topics: Container[str]) -> Parsed:
    """Read the answer to `POST /model/parse`. `topics` are those that we know.

    Raises `NoAnswer`, and nothing else, for whatever cannot be relied on.
    """
    sheet = _object(body)
    if not isinstance(sheet.get("intent"), dict):
        raise NoAnswer(Trouble.SHAPE)
    entries = sheet.get("intent_ranking")
    if not isinstance(entries, list) or not entries:
        raise NoAnswer(Trouble.SHAPE)
    told: dict[str, float] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise NoAnswer(Trouble.SHAPE)
        if entry["name"] not in topics and entry["name"] != OUT_OF_SCOPE:
            raise NoAnswer(Trouble.TOPIC)
        confidence = _share(entry.get("confidence"))
        told[entry["name"]] = max(confidence, told.get(entry["name"], 0.0))
    refused = told.pop(OUT_OF_SCOPE, 0.0)
    if not told:
        raise NoAnswer(Trouble.SHAPE)
    ranked = sorted(told.items(), key=lambda pair: -pair[1])[:SHOWN]
    # A pipeline without our scope score says it with a topic of its own.
    in_scope = 1.0 - refused if sheet.get("scope") is None else _share(sheet["scope"])
    danger, alarm = _danger(sheet)
    data_hash = sheet.get("data_hash")
    return Parsed(
        Opinion([Candidate(topic, round(chance, 4)) for topic, chance in ranked], in_scope, danger, alarm, "rasa"),
        data_hash if isinstance(data_hash, str) and data_hash else None,
    )


def read_status(body: bytes) -> str | None:
    """The data hash of the loaded model, from the answer to `GET /status`; None when its name does not carry one.

    Raises `NoAnswer`.
    """
    named = _MODEL_FILE.search(str(_object(body).get("model_file", "")))
    return named.group(1) if named else None


def _object(body: bytes) -> dict[str, Any]:
    try:
        sheet = json.loads(body)
    except (ValueError, RecursionError):
        raise NoAnswer(Trouble.GARBLED) from None
    if not isinstance(sheet, dict):
        raise NoAnswer(Trouble.SHAPE)
    return sheet


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise NoAnswer(Trouble.SHAPE)
    if not -_ROUNDING <= value <= 1 + _ROUNDING:
        raise NoAnswer(Trouble.NUMBER)
    return min(1.0, max(0.0, float(value)))


def _danger(sheet: dict[str, Any]) -> tuple[Danger | None, float]:
    """The kind it hears and how near the line; no kind when it does not listen for danger."""
    alarm = sheet.get("alarm")
    if sheet.get("danger") is None or alarm is None:
        return None, 0.0
    if isinstance(alarm, bool) or not isinstance(alarm, (int, float)):
        raise NoAnswer(Trouble.SHAPE)
    if not 0 <= alarm <= _LOUDEST:
        raise NoAnswer(Trouble.NUMBER)
    try:
        return Danger(sheet["danger"]), float(alarm)
    except ValueError:
        raise NoAnswer(Trouble.TOPIC) from None
