"""The components with the real Rasa, run in its own Python: data read back, features, entities, one small training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import components  # noqa: F401 - before the modules of `intents`

import numpy as np
import pytest
from rasa.engine.graph import ExecutionContext, GraphSchema
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.resource import Resource
from rasa.shared.importers.utils import training_data_from_paths
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from components import lessons
from components.classifier import HotlineClassifier
from components.entities import HotlineEntities
from components.vectors import HotlineVectors
from intents import entities, rasa_export
from intents.questions import Questions, read_negatives, read_questions

KNOWLEDGE = Path(__file__).parents[3] / "knowledge_base"
TOPICS = ("legal.wage_arrears", "legal.overtime_pay", "membership.join", "meta.greeting", "meta.out_of_scope")


@pytest.fixture(scope="module")
def questions() -> Questions:
    return read_questions(KNOWLEDGE / "articles")


@pytest.fixture(scope="module")
def negatives() -> dict[str, list[str]]:
    return read_negatives(KNOWLEDGE / "negatives.yaml")


def read_back(questions: Questions, negatives: dict[str, list[str]], folder: Path) -> TrainingData:
    rasa_export.write(rasa_export.render(questions, negatives), folder)
    return training_data_from_paths([str(path) for path in sorted(folder.glob("*.yml"))], "zh")


@pytest.fixture(scope="module")
def data(questions: Questions, negatives: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return read_back(questions, negatives, tmp_path_factory.mktemp("data"))


def test_rasa_reads_every_wording_back_with_its_style_and_order(
    data: TrainingData, questions: Questions, negatives: dict[str, list[str]]
) -> None:
    assert lessons.read(data) == (questions, negatives)


def test_the_hash_of_what_rasa_read_is_that_of_the_knowledge_base(
    data: TrainingData, questions: Questions, negatives: dict[str, list[str]]
) -> None:
    assert rasa_export.data_hash(*lessons.read(data)) == rasa_export.data_hash(questions, negatives)


def test_rasa_knows_the_tables_regexes_synonyms_and_retrieval_intents(
    data: TrainingData, negatives: dict[str, list[str]]
) -> None:
    assert data.entity_synonyms["gongzi"] == "工资"
    assert {table["name"] for table in data.lookup_tables} >= {"wage", "boss_gone"}
    assert {regex["name"]: regex["pattern"] for regex in data.regex_features} == entities.patterns()
    assert data.retrieval_intents == {"meta.out_of_scope"}
    assert set(data.responses) == {f"utter_meta.out_of_scope/{group}" for group in negatives}


@pytest.mark.parametrize("text", ["[八千](money)没给", "a\\nb 工资", "${HOME} 的工资", "- 工资", "工资: 没发 # 真的", '"工资"'])
def test_a_wording_that_looks_like_markup_comes_back_as_it_was_exported(
    text: str, negatives: dict[str, list[str]], tmp_path: Path
) -> None:
    questions: Questions = {"legal.wage_arrears": [("工资没发", "standard"), (text, "terse")]}
    (read, _), line = lessons.read(read_back(questions, negatives, tmp_path)), rasa_export.one_line(text)
    assert read["legal.wage_arrears"][1] == (line, "terse")


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> LocalModelStorage:
    return LocalModelStorage(tmp_path_factory.mktemp("storage"))


CONTEXT = ExecutionContext(GraphSchema({}), node_name="hotline")


@pytest.fixture(scope="module")
def classifier(
    questions: Questions, negatives: dict[str, list[str]], storage: LocalModelStorage, tmp_path_factory: pytest.TempPathFactory
) -> HotlineClassifier:
    few = {topic: questions[topic][:30] for topic in TOPICS if topic in questions}
    some = {group: texts[:3] for group, texts in negatives.items()}
    small = read_back(few, some, tmp_path_factory.mktemp("few"))
    resource = HotlineClassifier.create({}, storage, Resource("hotline"), CONTEXT).train(small)
    return HotlineClassifier.load({}, storage, resource, CONTEXT)


def parsed(classifier: HotlineClassifier, text: str) -> dict[str, Any]:
    (message,) = classifier.process([Message({"text": text})])
    answer: dict[str, Any] = message.as_dict(only_output_properties=True)
    return answer


def test_what_was_trained_is_loaded_from_the_archive_and_ranks(classifier: HotlineClassifier) -> None:
    answer = parsed(classifier, "老板三个月没给我发工资了")
    assert answer["intent"] == answer["intent_ranking"][0]
    assert answer["intent"]["name"] == "legal.wage_arrears"
    confidences = [entry["confidence"] for entry in answer["intent_ranking"]]
    assert confidences == sorted(confidences, reverse=True)
    assert len(answer["data_hash"]) == 64
    assert 0.5 < answer["scope"] <= 1
    assert answer["alarm"] < 1


def test_what_is_none_of_our_business_is_less_in_scope(classifier: HotlineClassifier) -> None:
    assert parsed(classifier, "明天北京天气怎么样，适合爬山吗")["scope"] < parsed(classifier, "工资没发怎么办")["scope"] - 0.2


def test_a_message_that_begins_with_a_slash_is_a_message(classifier: HotlineClassifier) -> None:
    (message,) = classifier.process([Message({"text": "/工资没发"})])
    assert message.get("text") == "／工资没发"


@pytest.mark.parametrize("text", ["", "。。。", "\ud83d", "工" * 20_000, "\x00"])
def test_no_text_makes_it_fail(classifier: HotlineClassifier, text: str) -> None:
    assert parsed(classifier, text)["intent_ranking"]


def test_entities_are_those_of_the_hotline_at_their_places() -> None:
    text = "在黄村欠我3000元，一共5个人"
    (message,) = HotlineEntities.create({}, None, None, CONTEXT).process([Message({"text": text})])
    told = message.get("entities")
    assert [(one["entity"], one["value"], one["text"]) for one in told] == [
        (one.kind, one.value, one.text) for one in entities.find(text)
    ]
    assert all(text[one["start"] : one["end"]] == one["text"] for one in told)


def test_vectors_are_one_dense_row_the_same_for_training_and_for_a_message(tmp_path: Path) -> None:
    component = HotlineVectors.create(HotlineVectors.get_default_config(), None, None, ExecutionContext(GraphSchema({}), node_name="vectors"))
    taught, asked = Message({"text": "工资没发"}), Message({"text": "工资没发"})
    component.process_training_data(TrainingData([taught]))
    component.process([asked])
    rows = [message.get_dense_features("text")[1].features for message in (taught, asked)]
    assert rows[0].shape[0] == 1
    # Kept vectors are of half precision.
    assert np.allclose(rows[0], rows[1], atol=2e-3)
