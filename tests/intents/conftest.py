"""One engine for all tests here: the one that stands ready in the data folder, else a small one of characters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from intents import encoders, model, train
from intents.cli import KNOWLEDGE
from intents.local import LocalEngine
from intents.questions import Questions, read_negatives, read_questions

READY = Path(__file__).parents[2] / "var" / "model"
"""Where `make setup` puts the model; the tests themselves run on a data folder of their own."""


@pytest.fixture(scope="session")
def questions() -> Questions:
    return read_questions(KNOWLEDGE / "articles")


@pytest.fixture(scope="session")
def negatives() -> dict[str, list[str]]:
    return read_negatives(KNOWLEDGE / "negatives.yaml")


@pytest.fixture(scope="session")
def small(questions: Questions, negatives: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of characters alone, of ten topics: trained in a second."""
    folder = tmp_path_factory.mktemp("small")
    ten = {topic: questions[topic] for topic in sorted(questions)[:10] if topic != "meta.out_of_scope"}
    ten |= {topic: questions[topic] for topic in ("legal.wage_arrears", "meta.self_harm_crisis", "meta.greeting")}
    model.save(train.train(ten, negatives, at_hand=[], vectors=folder), folder / "model")
    return folder / "model"


@pytest.fixture(scope="session")
def engine(questions: Questions, negatives: dict[str, list[str]], small: Path) -> Iterator[LocalEngine]:
    at_hand = [encoder for encoder in (encoders.load_use(), encoders.load_e5()) if encoder is not None]
    fresh = model.sealed(READY) == train.seal_of(questions, negatives, at_hand)
    loaded = LocalEngine.load(READY if fresh else small)
    yield loaded
    loaded._thread.shutdown()
