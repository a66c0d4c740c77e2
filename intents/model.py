"""The trained classifier: numbers in a folder, and what turns one message into chances, in numpy alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from intents import features
from intents.encoders import Floats
from intents.engine import Danger

USE_SCALE, E5_SCALE, LEXICON_SCALE = 1.0, 1.5, 0.6
"""How loud each block speaks beside the 1.0 of the characters: chosen on wordings of a style held out."""

NEIGHBOUR_VOICE, NEIGHBOUR_HEAT = 0.3, 0.1
NEAREST = 3
FORMAT = 3
KINDS = tuple(Danger)


class Tier(StrEnum):
    """How much of the machinery is used for a message: characters, with USE, with USE and E5."""

    CHARS = "chars"
    FAST = "fast"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Message:
    """A message taken apart; the vectors are there when their encoder is."""

    plain: str
    use: Floats | None = None
    e5: Floats | None = None

    def tier(self) -> Tier:
        if self.use is None:
            return Tier.CHARS
        return Tier.FAST if self.e5 is None else Tier.FULL


@dataclass(frozen=True, slots=True)
class Scores:
    """`chances` are calibrated, one a topic, and sum to 1; `in_scope` is the chance that it is for us at all.

    `danger` is the likeliest kind and `alarm` how near it comes to the line where it rings (1 is on the line).
    """

    chances: Floats
    in_scope: float
    danger: Danger
    alarm: float
    tier: Tier

    def best(self) -> tuple[int, float]:
        place = int(self.chances.argmax())
        return place, float(self.chances[place])


@dataclass(frozen=True, slots=True)
class Layer:
    """The weights of one tier. Columns: the topics, one for in scope or not, then no danger and its kinds.

    `calibration` turns `evidence()` into the chance that the first topic is right, `scope` the scope logit into one.
    `line` is the chance of danger from which it rings.
    """

    sparse: npt.NDArray[np.float16]
    dense: Floats
    bias: Floats
    calibration: Floats
    scope: Floats
    line: Floats


@dataclass(frozen=True, slots=True)
class Raw:
    """Before calibration: log chances of the topics, the scope logit, chances of danger.

    `agree` says which neighbours name the same first topic, `nearer` how much nearer ours are than the others.
    """

    logs: Floats
    scope: float
    agree: tuple[float, float]
    nearer: tuple[float, float]
    kinds: Floats


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The training vectors of one encoder, centred, with the rows of each topic (padded with the first one's)."""

    centre: Floats
    rows: Floats
    places: npt.NDArray[np.int32]
    outside: Floats

    def centred(self, vector: Floats) -> Floats:
        moved = vector - self.centre
        return moved / np.float32(max(float(np.linalg.norm(moved)), 1e-6))

    def closeness(self, centred: Floats) -> tuple[Floats, float]:
        """For each topic the mean cosine of its two nearest wordings; and how much nearer ours are than the others."""
        near = self.rows @ centred
        by_topic = np.partition(near[self.places], -2, axis=1)[:, -2:].mean(axis=1)
        ours, others = (
            np.partition(near, -NEAREST)[-NEAREST:],
            np.partition(self.outside @ centred, -NEAREST)[-NEAREST:],
        )
        return np.asarray(by_topic, dtype=np.float32), float(ours.mean() - others.mean())


def log_softmax(logits: Floats) -> Floats:
    moved = logits - logits.max()
    return np.asarray(moved - np.log(np.exp(moved).sum()), dtype=np.float32)


def sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, value))))


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that inference needs. `seal` is the hash of data, code and encoders it was trained from."""

    topics: Sequence[str]
    vocabulary: Mapping[str, int]
    idf: Floats
    layers: Mapping[Tier, Layer]
    use: Neighbours | None
    e5: Neighbours | None
    seal: str
    facts: Mapping[str, object]

    def score(self, message: Message) -> Scores:
        """Chances over the topics, from the best tier that both the model and the message have."""
        tier = message.tier()
        while tier not in self.layers:
            tier = Tier.FAST if tier is Tier.FULL and Tier.FAST in self.layers else Tier.CHARS
        raw = self.raw(message, tier)
        layer = self.layers[tier]
        sure = sigmoid(float(evidence(raw, len(message.plain)) @ layer.calibration))
        chances = np.exp(raw.logs)
        first = int(chances.argmax())
        rest = float(chances.sum() - chances[first])
        chances = chances * np.float32((1.0 - sure) / rest if rest > 1e-9 else 0.0)
        chances[first] = sure
        if chances.max() > sure:
            # Few are as likely as the first: keep the order, the first is not less sure than the second.
            chances[first] = np.float32(chances.max() + 1e-6)
        in_scope = sigmoid(float(belonging(raw) @ layer.scope))
        alarm = (1.0 - float(raw.kinds[0])) / float(layer.line[0])
        return Scores(chances, in_scope, KINDS[int(raw.kinds[1:].argmax())], alarm, tier)

    def raw(self, message: Message, tier: Tier) -> Raw:
        """What the weights of this tier say of the message; it must have the tier's vectors."""
        layer = self.layers[tier]
        dense = [features.indicate(message.plain) * np.float32(LEXICON_SCALE)]
        votes: list[Floats] = []
        nearer = []
        for owner, vector, scale in ((self.use, message.use, USE_SCALE), (self.e5, message.e5, E5_SCALE)):
            if owner is None or vector is None or (owner is self.use and tier is Tier.CHARS):
                continue
            if owner is self.e5 and tier is not Tier.FULL:
                continue
            centred = owner.centred(vector)
            dense.append(centred * np.float32(scale))
            near, margin = owner.closeness(centred)
            votes.append(near)
            nearer.append(margin)
        row = features.weigh(features.pieces(message.plain), self.vocabulary, self.idf)
        logits = np.concatenate(dense) @ layer.dense + layer.bias
        if row:
            columns = [column for column, _ in row]
            weights = np.array([weight for _, weight in row], dtype=np.float32)
            logits = logits + weights @ layer.sparse[columns].astype(np.float32)
        topics = len(self.topics)
        logs = log_softmax(logits[:topics])
        for near in votes:
            logs = logs + np.float32(NEIGHBOUR_VOICE) * log_softmax(near / np.float32(NEIGHBOUR_HEAT))
        logs = log_softmax(logs)
        first = int(logs.argmax())
        agree = [1.0 if int(near.argmax()) == first else 0.0 for near in votes] + [0.0, 0.0]
        kinds = np.exp(log_softmax(logits[topics + 1 :]))
        nearer += [0.0, 0.0]
        return Raw(logs, float(logits[topics]), (agree[0], agree[1]), (nearer[0], nearer[1]), kinds)


def evidence(raw: Raw, length: int) -> Floats:
    """What speaks for the first topic: its log chance, its lead, scope, neighbours, length of the message."""
    second, first = np.partition(raw.logs, -2)[-2:]
    lead = min(8.0, float(first - second))
    scope = max(-8.0, min(8.0, raw.scope))
    return np.array([1.0, max(-6.0, float(first)), lead, scope, *raw.agree, math.log1p(length)], dtype=np.float32)


def belonging(raw: Raw) -> Floats:
    """What speaks for a message being ours: the scope fit, the neighbours, and how well the first topic does."""
    scope = max(-12.0, min(12.0, raw.scope))
    return np.array([1.0, scope, *(10.0 * margin for margin in raw.nearer), float(raw.logs.max())], dtype=np.float32)


EVIDENCE, BELONGING = 7, 5


def save(model: Model, folder: Path) -> None:
    """Write `model.npz` and `model.json`; the JSON comes last, so a half-written folder is not taken for a model."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, npt.NDArray[np.generic]] = {"idf": model.idf}
    for tier, layer in model.layers.items():
        for name in Layer.__slots__:
            arrays[f"{tier}.{name}"] = getattr(layer, name)
    for name, owner in (("use", model.use), ("e5", model.e5)):
        if owner is not None:
            arrays[f"{name}.centre"] = owner.centre
            arrays[f"{name}.rows"] = owner.rows.astype(np.float16)
            arrays[f"{name}.places"] = owner.places
            arrays[f"{name}.outside"] = owner.outside.astype(np.float16)
    head = {
        "format": FORMAT,
        "seal": model.seal,
        "topics": list(model.topics),
        "tiers": [str(tier) for tier in model.layers],
        "facts": dict(model.facts),
        "vocabulary": list(model.vocabulary),
    }
    fresh = folder / "model.json.new"
    (folder / "model.json").unlink(missing_ok=True)
    with (folder / "model.npz").open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    fresh.write_text(json.dumps(head, ensure_ascii=False), encoding="utf-8")
    fresh.replace(folder / "model.json")


class NotTrained(Exception):
    """There is no model in the folder that this version can read; the message says what to run."""


def load(folder: Path) -> Model:
    """Read a folder that `save` wrote. Raises `NotTrained`."""
    try:
        head = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        if head["format"] != FORMAT:
            raise NotTrained("模型是旧版本训练的，请运行 hotline kb train")
        with np.load(folder / "model.npz", allow_pickle=False) as arrays:
            layers = {
                Tier(tier): Layer(**{name: arrays[f"{tier}.{name}"] for name in Layer.__slots__})
                for tier in head["tiers"]
            }
            owners = {
                name: Neighbours(
                    arrays[f"{name}.centre"],
                    arrays[f"{name}.rows"].astype(np.float32),
                    arrays[f"{name}.places"],
                    arrays[f"{name}.outside"].astype(np.float32),
                )
                if f"{name}.rows" in arrays
                else None
                for name in ("use", "e5")
            }
            idf = arrays["idf"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotTrained(f"{folder} 里还没有能用的模型，请运行 hotline kb train") from error
    vocabulary = {piece: column for column, piece in enumerate(head["vocabulary"])}
    return Model(head["topics"], vocabulary, idf, layers, owners["use"], owners["e5"], head["seal"], head["facts"])


def sealed(folder: Path) -> str | None:
    """The seal of the model in the folder, or None."""
    try:
        return str(json.loads((folder / "model.json").read_text(encoding="utf-8"))["seal"])
    except (OSError, ValueError, KeyError):
        return None
