"""The hotline's classifier as an intent classifier of Rasa: same modules, same data, same ranking as in the bot."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.classifiers.classifier import IntentClassifier
from rasa.shared.nlu.constants import INTENT, TEXT
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from components import lessons
from intents import bands, encoders, model, rasa_export, train
from intents.local import SHOWN, LocalEngine
from intents.model import Tier
from intents.questions import OUT_OF_SCOPE
from intents.text import normalise

VECTORS = "HOTLINE_RASA_VECTORS"
"""The folder where sentence vectors are kept between trainings; without it each training computes them again."""

log = logging.getLogger(__name__)


@DefaultV1Recipe.register([DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER], is_trainable=True)
class HotlineClassifier(GraphComponent, IntentClassifier):
    """Adds to Rasa's answer: `scope` (the chance that the message is for the hotline at all), `danger` and `alarm`

    (the likeliest kind and how near the line it comes, 1 is on it), `tier` and `data_hash`.
    """

    def __init__(self, storage: ModelStorage, resource: Resource) -> None:
        self._storage, self._resource = storage, resource
        self._engine: LocalEngine | None = None
        self._data_hash = ""

    @classmethod
    def create(
        cls, config: dict[str, Any], model_storage: ModelStorage, resource: Resource, execution_context: ExecutionContext
    ) -> HotlineClassifier:
        return cls(model_storage, resource)

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **kwargs: Any,
    ) -> HotlineClassifier:
        """The component with the model that the archive carries. Raises `NotTrained` when there is none in it."""
        component = cls(model_storage, resource)
        with model_storage.read_from(resource) as folder:
            component._engine = LocalEngine.load(Path(folder))
            component._data_hash = json.loads((Path(folder) / "data.json").read_text())["data_hash"]
        return component

    def train(self, training_data: TrainingData) -> Resource:
        """Teach the classifier and put it into the archive."""
        questions, negatives = lessons.read(training_data)
        at_hand = [encoder for encoder in (encoders.load_use(), encoders.load_e5()) if encoder is not None]
        with tempfile.TemporaryDirectory() as scratch:
            vectors = Path(os.environ.get(VECTORS) or scratch)
            trained = train.train(questions, negatives, at_hand=at_hand, vectors=vectors, tick=_tell())
        self._data_hash = rasa_export.data_hash(questions, negatives)
        with self._storage.write_to(self._resource) as folder:
            model.save(trained, Path(folder))
            (Path(folder) / "data.json").write_text(json.dumps({"data_hash": self._data_hash}))
        return self._resource

    def process(self, messages: list[Message]) -> list[Message]:
        """Set intent, ranking and the fields of ours on each message."""
        for message in messages:
            self._judge(message)
        return messages

    def _judge(self, message: Message) -> None:
        assert self._engine is not None
        text = message.get(TEXT) or ""
        if text.startswith("/"):
            # To Rasa this is an intent by name; from a worker it is a message like any other.
            message.set(TEXT, f"／{text[1:]}")
        scores = self._engine.score(normalise(text).plain, Tier.FULL)
        topics = self._engine.model.topics
        best = (-scores.chances).argsort()[:SHOWN]
        ranking = [{"name": topics[at], "confidence": round(float(scores.chances[at]), 4)} for at in best]
        if scores.in_scope < bands.chosen().scope:
            ranking.append({"name": OUT_OF_SCOPE, "confidence": round(1.0 - scores.in_scope, 4)})
            ranking.sort(key=lambda entry: -entry["confidence"])
        message.set(INTENT, dict(ranking[0]), add_to_output=True)
        message.set("intent_ranking", ranking, add_to_output=True)
        message.set("scope", round(scores.in_scope, 6), add_to_output=True)
        message.set("danger", str(scores.danger), add_to_output=True)
        message.set("alarm", round(scores.alarm, 6), add_to_output=True)
        message.set("tier", str(scores.tier), add_to_output=True)
        message.set("data_hash", self._data_hash, add_to_output=True)


def _tell() -> train.Tick:
    """Says what the trainer does, each tenth of the whole once."""
    told = -1

    def tick(what: str, done: float) -> None:
        nonlocal told
        if int(done * 10) > told:
            told = int(done * 10)
            log.info("%s %d%%", what, round(done * 100))

    return tick
