"""Rasa's training data read back as what the hotline's trainer takes: wordings with their style, negatives by group."""

from __future__ import annotations

from rasa.shared.nlu.constants import INTENT, INTENT_RESPONSE_KEY, TEXT
from rasa.shared.nlu.training_data.training_data import TrainingData

from intents.questions import Questions


def read(training_data: TrainingData) -> tuple[Questions, dict[str, list[str]]]:
    """The questions and the negatives, in the order of the files.

    A retrieval intent (`meta.out_of_scope/GROUP`) is a group of negatives; any other example is a wording of its topic,
    in the style that its block's metadata names.
    """
    questions: Questions = {}
    negatives: dict[str, list[str]] = {}
    for message in training_data.intent_examples:
        key = message.get(INTENT_RESPONSE_KEY)
        if key:
            negatives.setdefault(key.partition("/")[2], []).append(message.get(TEXT))
        else:
            style = (message.get("metadata") or {}).get(INTENT, {}).get("style", "standard")
            questions.setdefault(message.get(INTENT), []).append((message.get(TEXT), style))
    return questions, negatives
