"""The hotline's sentence vectors as dense features, for pipelines that learn with Rasa's own classifiers."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.constants import DENSE_FEATURIZABLE_ATTRIBUTES
from rasa.nlu.featurizers.dense_featurizer.dense_featurizer import DenseFeaturizer
from rasa.shared.nlu.constants import FEATURE_TYPE_SENTENCE, TEXT
from rasa.shared.nlu.training_data.features import Features
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from components.classifier import VECTORS
from intents import encoders, features
from intents.text import simplify


@DefaultV1Recipe.register([DefaultV1Recipe.ComponentType.MESSAGE_FEATURIZER], is_trainable=False)
class HotlineVectors(DenseFeaturizer, GraphComponent):
    """One row a message: groups of workers' words, the USE vector and the E5 vector, as the hotline weighs them."""

    def __init__(self, config: dict[str, Any], name: str) -> None:
        super().__init__(name, config)
        self._encoders = [encoder for encoder in (encoders.load_use(), encoders.load_e5()) if encoder is not None]

    @classmethod
    def create(
        cls, config: dict[str, Any], model_storage: ModelStorage, resource: Resource, execution_context: ExecutionContext
    ) -> HotlineVectors:
        return cls(config, execution_context.node_name)

    @classmethod
    def validate_config(cls, config: dict[str, Any]) -> None:
        """Nothing can be set."""

    def process_training_data(self, training_data: TrainingData) -> TrainingData:
        """Features for all examples, from the kept vectors where they are kept."""
        messages = [message for message in training_data.training_examples if message.get(TEXT)]
        texts = [simplify(message.get(TEXT)) for message in messages]
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(os.environ.get(VECTORS) or scratch)
            rows = [encoders.encode_cached(encoder, texts, folder) for encoder in self._encoders]
        self._add(messages, texts, rows)
        return training_data

    def process(self, messages: list[Message]) -> list[Message]:
        """Features for messages of workers."""
        texts = [simplify(message.get(TEXT) or "") for message in messages]
        self._add(messages, texts, [encoder.encode(texts) for encoder in self._encoders])
        return messages

    def _add(self, messages: list[Message], texts: list[str], vectors: list[encoders.Floats]) -> None:
        words = np.stack([features.indicate(text) for text in texts])
        for message, row in zip(messages, np.hstack([words, *vectors])):
            message.add_features(
                Features(row[np.newaxis, :], FEATURE_TYPE_SENTENCE, DENSE_FEATURIZABLE_ATTRIBUTES[0], self._identifier)
            )
