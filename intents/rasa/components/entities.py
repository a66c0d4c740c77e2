"""Money, dates, places and what else the desk needs, found by the hotline's own patterns: equal in both engines."""

from __future__ import annotations

from typing import Any

from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.extractors.extractor import EntityExtractorMixin
from rasa.shared.nlu.constants import ENTITIES, TEXT
from rasa.shared.nlu.training_data.message import Message

from intents import entities
from intents.text import simplify


@DefaultV1Recipe.register([DefaultV1Recipe.ComponentType.ENTITY_EXTRACTOR], is_trainable=False)
class HotlineEntities(GraphComponent, EntityExtractorMixin):
    """`start` and `end` are places in the message as written where the words stand in it, else in its plain form."""

    @classmethod
    def create(
        cls, config: dict[str, Any], model_storage: ModelStorage, resource: Resource, execution_context: ExecutionContext
    ) -> HotlineEntities:
        return cls()

    def process(self, messages: list[Message]) -> list[Message]:
        """Add what is found to each message."""
        for message in messages:
            raw = message.get(TEXT) or ""
            plain = simplify(raw)
            found = [self._told(entity, raw, plain) for entity in entities.find(plain)]
            message.set(ENTITIES, [*message.get(ENTITIES, []), *found], add_to_output=True)
        return messages

    def _told(self, entity: entities.Entity, raw: str, plain: str) -> dict[str, Any]:
        start = raw.find(entity.text) if entity.text in raw else plain.find(entity.text)
        return {
            "entity": entity.kind,
            "value": entity.value,
            "text": entity.text,
            "start": start,
            "end": start + len(entity.text),
            "extractor": self.name,
        }
