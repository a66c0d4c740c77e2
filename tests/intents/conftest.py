"""One engine for all tests here: the one that stands ready in the data folder, else a small one of characters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from intents import encoders, model, train
from intents.cli import KNOWLEDGE, data_dir
from intents.local import LocalEngine
from intents.questions import Questions, read_negatives, read_questions


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
    ready = data_dir() / "model"
    fresh = model.sealed(ready) == train.seal_of(questions, negatives, at_hand)
    loaded = LocalEngine.load(ready if fresh else small)
    yield loaded
    loaded._thread.shutdown()
