"""Teach the classifier: topics and scope for each tier, and calibration on wordings of a style it has not seen."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from intents import encoders, features, model
from intents.danger import find_danger
from intents.encoders import Encoder, Floats
from intents.engine import Danger
from intents.model import EVIDENCE, KINDS, Layer, Message, Model, Neighbours, Raw, Tier, belonging, evidence
from intents.questions import OUT_OF_SCOPE, Questions
from intents.regression import fit, to_sparse
from intents.text import normalise, simplify

CALIBRATION = Path(__file__).with_name("calibration.json")
EXAMPLES = Path(__file__).with_name("danger_examples.yaml")
STRENGTH, ITERATIONS = 5.0, 30
DANGER_STRENGTH, DANGER_WEIGHT = 5.0, 3.0
RAREST = 3
"""A character piece must stand in so many wordings."""

FOLDS = (("story", "angry"), ("terse", "dialect", "speech"), ("frightened", "for_others"))
"""Styles that are held out together: the nearest we come to people who have not read our wordings."""

OUTSIDE, NO_TOPIC, UNTOLD = -1, -2, -1
RINGING = {"meta.self_harm_crisis": Danger.SELF_HARM, "safety.immediate_danger": Danger.ACCIDENT}
EITHER = {"legal.workplace_abuse", "legal.minor_worker", "legal.collective_incident", "meta.abuse"}
"""Topics whose wordings ring at times: the danger fit leaves them out."""

FALSE_ALARMS = 0.05
"""Share of held-out near misses, written to sound like danger, that may ring; of ordinary wordings a tenth of it do."""

Tick = Callable[[str, float], None]
"""Called with what is being done and how much of the whole is done, 0..1."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One wording; `fold` says when it is held out.

    `label` is the topic's place, OUTSIDE, or NO_TOPIC. `kind` is 0 for no danger, else the place of the kind plus 1,
    or UNTOLD where it may be either.
    """

    plain: str
    label: int
    fold: int
    kind: int = 0


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that is worked out once for all fits."""

    topics: list[str]
    lessons: list[Lesson]
    pieces: list[Counter[str]]
    lexicon: Floats
    vectors: dict[str, Floats]

    def tiers(self) -> list[Tier]:
        found = [Tier.CHARS]
        if "use" in self.vectors:
            found.append(Tier.FAST)
            if "e5" in self.vectors:
                found.append(Tier.FULL)
        return found

    def message(self, place: int, tier: Tier) -> Message:
        use = self.vectors["use"][place] if tier is not Tier.CHARS else None
        e5 = self.vectors["e5"][place] if tier is Tier.FULL else None
        return Message(self.lessons[place].plain, use, e5)


def seal_of(questions: Questions, negatives: Mapping[str, Sequence[str]], at_hand: Sequence[Encoder]) -> str:
    """The hash of everything a model depends on: same seal, same model."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for name in (
        "text.py",
        "features.py",
        "regression.py",
        "model.py",
        "train.py",
        "lexicon.yaml",
        "pinyin.yaml",
        "danger.yaml",
        EXAMPLES.name,
        CALIBRATION.name,
    ):
        digest.update((here / name).read_bytes() if (here / name).exists() else b"")
    for encoder in at_hand:
        digest.update(f"{encoder.name} {encoder.version}\n".encode())
    for topic in sorted(questions):
        digest.update(repr((topic, questions[topic])).encode())
    for group in sorted(negatives):
        digest.update(repr((group, list(negatives[group]))).encode())
    return digest.hexdigest()


def train(
    questions: Questions,
    negatives: Mapping[str, Sequence[str]],
    *,
    at_hand: Sequence[Encoder],
    vectors: Path,
    tick: Tick = lambda _what, _done: None,
) -> Model:
    """Fit every tier that the encoders at hand allow. `vectors` is the folder where sentence vectors are kept.

    How sure the fits are comes from `calibration.json`, which `calibrate` wrote: it holds while the data is of a kind.
    """
    material = _gather(questions, negatives, at_hand, vectors, tick)
    everything = np.ones(len(material.lessons), dtype=bool)
    known = json.loads(CALIBRATION.read_text(encoding="utf-8")) if CALIBRATION.exists() else {}
    layers: dict[Tier, Layer] = {}
    tiers = material.tiers()
    for number, tier in enumerate(tiers):
        tick("学习问法", 0.5 + 0.5 * number / len(tiers))
        fitted = _fit(material, everything, tier)
        layers[tier] = _with(fitted.layers[tier], known[tier]) if tier in known else fitted.layers[tier]
    return replace(
        fitted,
        layers=layers,
        seal=seal_of(questions, negatives, at_hand),
        facts={
            "wordings": sum(lesson.label >= 0 for lesson in material.lessons),
            "negatives": sum(lesson.label == OUTSIDE for lesson in material.lessons),
            "encoders": {encoder.name: encoder.version for encoder in at_hand},
        },
    )


def calibrate(
    questions: Questions,
    negatives: Mapping[str, Sequence[str]],
    *,
    at_hand: Sequence[Encoder],
    vectors: Path,
    tick: Tick = lambda _what, _done: None,
) -> dict[str, dict[str, object]]:
    """Learn how sure to be: each wording is judged by fits that have not seen its style. One entry a tier.

    Takes a quarter of an hour; the result is written to `calibration.json` by the command and kept with the code.
    """
    material = _gather(questions, negatives, at_hand, vectors, tick)
    found: dict[str, dict[str, object]] = {}
    folds = range(len(FOLDS))
    for number, tier in enumerate(material.tiers()):
        held: list[Tried] = []
        for fold in folds:
            tick(f"校准把握 {tier}", 0.5 + 0.5 * (number + fold / len(folds)) / len(material.tiers()))
            seen = np.array([lesson.fold != fold for lesson in material.lessons])
            held.extend(_tried(material, _fit(material, seen, tier), np.flatnonzero(~seen), tier))
        found[str(tier)] = _calibration(held)
    return found


def _gather(
    questions: Questions, negatives: Mapping[str, Sequence[str]], at_hand: Sequence[Encoder], folder: Path, tick: Tick
) -> Material:
    topics = sorted(topic for topic in questions if topic != OUT_OF_SCOPE)
    lessons = list(_lessons(questions, negatives, topics))
    if sum(lesson.label == OUTSIDE for lesson in lessons) < model.NEAREST:
        raise ValueError("不归热线管的话太少，没法学会拒绝")
    texts = [lesson.plain for lesson in lessons]
    vectors: dict[str, Floats] = {}
    for number, encoder in enumerate(at_hand):
        finished = 0

        def encoded(count: int, encoder: Encoder = encoder, number: int = number) -> None:
            nonlocal finished
            finished += count
            tick(f"{encoder.name} 句向量", 0.5 * (number + finished / len(texts)) / len(at_hand))

        vectors[encoder.name] = encoders.encode_cached(encoder, texts, folder, encoded)
    lexicon = np.stack([features.indicate(text) for text in texts]) * np.float32(model.LEXICON_SCALE)
    return Material(topics, lessons, [features.pieces(text) for text in texts], lexicon, vectors)


def _lessons(questions: Questions, negatives: Mapping[str, Sequence[str]], topics: list[str]) -> Iterator[Lesson]:
    styles = {style: fold for fold, group in enumerate(FOLDS) for style in group}
    for label, topic in enumerate(topics):
        for place, (text, style) in enumerate(questions[topic]):
            yield Lesson(simplify(text), label, styles.get(style, len(FOLDS) + place % 2), _kind(topic, text))
    outside = [*negatives.values(), [text for text, _ in questions.get(OUT_OF_SCOPE, ())]]
    for number, group in enumerate(outside):
        for text in group:
            yield Lesson(simplify(text), OUTSIDE, number % (len(FOLDS) + 2))
    examples = yaml.safe_load(EXAMPLES.read_text(encoding="utf-8"))
    for name, ring in examples["ring"].items():
        for place, text in enumerate(ring):
            yield Lesson(simplify(text), NO_TOPIC, place % (len(FOLDS) + 2), KINDS.index(Danger(name)) + 1)
    for place, text in enumerate(examples["quiet"]):
        yield Lesson(simplify(text), NO_TOPIC, place % (len(FOLDS) + 2))


def _kind(topic: str, text: str) -> int:
    if topic in EITHER:
        return UNTOLD
    if topic not in RINGING:
        return 0
    heard = find_danger(normalise(text))
    return KINDS.index(heard[0] if heard else RINGING[topic]) + 1


def _neighbours(material: Material, name: str, seen: npt.NDArray[np.bool_]) -> Neighbours | None:
    if name not in material.vectors:
        return None
    labels = np.array([lesson.label for lesson in material.lessons])
    kept = np.flatnonzero(seen & (labels >= 0))
    centre = material.vectors[name][kept].mean(axis=0)

    def centred(places: npt.NDArray[np.int64]) -> Floats:
        moved = material.vectors[name][places] - centre
        unit = moved / np.linalg.norm(moved, axis=1, keepdims=True)
        return np.asarray(unit.astype(np.float16).astype(np.float32))

    rows = centred(kept)
    outside = centred(np.flatnonzero(seen & (labels == OUTSIDE)))
    by_topic: list[list[int]] = [[] for _ in material.topics]
    for row, place in enumerate(kept):
        by_topic[material.lessons[place].label].append(row)
    longest = max(map(len, by_topic))
    # A topic with fewer wordings repeats its own: the two nearest stay its own two nearest, or one of them twice.
    places = np.array([(group * longest)[:longest] if group else [0] * longest for group in by_topic], dtype=np.int32)
    return Neighbours(centre.astype(np.float32), rows, places, outside)


def _fit(material: Material, seen: npt.NDArray[np.bool_], tier: Tier) -> Model:
    """A model of the lessons in `seen`, not calibrated."""
    rows = np.flatnonzero(seen)
    spread: Counter[str] = Counter()
    for place in rows:
        spread.update(material.pieces[place].keys())
    vocabulary = {piece: at for at, piece in enumerate(sorted(p for p, count in spread.items() if count >= RAREST))}
    idf = np.array([np.log((1 + len(rows)) / (1 + spread[piece])) + 1 for piece in vocabulary], dtype=np.float32)
    sparse = to_sparse([features.weigh(material.pieces[place], vocabulary, idf) for place in rows], len(vocabulary))
    owners = {name: _neighbours(material, name, seen) for name in ("use", "e5")}
    labels = np.array([material.lessons[place].label for place in rows])
    kinds = np.array([material.lessons[place].kind for place in rows])
    inside, told, known = labels >= 0, labels != NO_TOPIC, kinds != UNTOLD
    dense = _dense(material, rows, owners, tier)
    topics = fit(
        sparse[inside],
        dense[inside],
        labels[inside],
        len(material.topics),
        strength=STRENGTH,
        iterations=ITERATIONS,
    )
    ours = inside[told]
    balance = np.where(ours, 1.0, ours.sum() / max(1, (~ours).sum()) / 2).astype(np.float32)
    scope = fit(
        sparse[told],
        dense[told],
        ours.astype(np.int64),
        2,
        strength=STRENGTH,
        row_weights=balance,
        iterations=ITERATIONS,
    )
    weight = np.where(kinds[known] > 0, DANGER_WEIGHT, 1.0).astype(np.float32)
    danger = fit(
        sparse[known],
        dense[known],
        kinds[known],
        len(KINDS) + 1,
        strength=DANGER_STRENGTH,
        row_weights=weight,
        iterations=ITERATIONS,
    )
    layer = Layer(
        np.hstack([topics.sparse, scope.sparse[:, 1:] - scope.sparse[:, :1], danger.sparse]).astype(np.float16),
        np.hstack([topics.dense, scope.dense[:, 1:] - scope.dense[:, :1], danger.dense]),
        np.hstack([topics.bias, scope.bias[1:] - scope.bias[:1], danger.bias]),
        np.zeros(EVIDENCE, dtype=np.float32),
        np.array([0.0, 1.0, 0.0, 0.0, 0.0], dtype=np.float32),
        np.ones(1, dtype=np.float32),
    )
    return Model(material.topics, vocabulary, idf, {tier: layer}, owners["use"], owners["e5"], "", {})


def _dense(
    material: Material, rows: npt.NDArray[np.int64], owners: Mapping[str, Neighbours | None], tier: Tier
) -> Floats:
    blocks = [material.lexicon[rows]]
    wanted = {Tier.CHARS: (), Tier.FAST: ("use",), Tier.FULL: ("use", "e5")}[tier]
    for name in wanted:
        owner = owners[name]
        if owner is None:
            continue
        moved = material.vectors[name][rows] - owner.centre
        scale = model.USE_SCALE if name == "use" else model.E5_SCALE
        blocks.append(moved / np.linalg.norm(moved, axis=1, keepdims=True) * np.float32(scale))
    return np.hstack(blocks).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Tried:
    """What a model that had not seen this lesson made of it."""

    lesson: Lesson
    raw: Raw

    @property
    def right(self) -> bool:
        return int(self.raw.logs.argmax()) == self.lesson.label


def _tried(material: Material, partial: Model, places: npt.NDArray[np.int64], tier: Tier) -> Iterator[Tried]:
    for place in places:
        yield Tried(material.lessons[place], partial.raw(material.message(int(place), tier), tier))


def _calibration(held: Sequence[Tried]) -> dict[str, object]:
    """Logistic fits of "the first topic is right" and "it is for us", and the line of danger, on held-out wordings."""
    inside = [one for one in held if one.lesson.label >= 0]
    told = np.stack([evidence(one.raw, len(one.lesson.plain)) for one in inside])
    right = np.array([one.right for one in inside], dtype=np.int64)
    known = [one for one in held if one.lesson.label != NO_TOPIC]
    scopes = np.stack([belonging(one.raw) for one in known])
    ours = np.array([one.lesson.label >= 0 for one in known], dtype=np.int64)
    harmless = np.array([1.0 - one.raw.kinds[0] for one in held if one.lesson.kind == 0])
    near = np.array([1.0 - one.raw.kinds[0] for one in held if one.lesson.kind == 0 and one.lesson.label == NO_TOPIC])
    harmful = np.array([1.0 - one.raw.kinds[0] for one in held if one.lesson.kind > 0])
    line = max(0.2, float(np.quantile(near, 1 - FALSE_ALARMS)))
    return {
        "calibration": [round(float(weight), 5) for weight in _logistic(told, right)],
        "scope": [round(float(weight), 5) for weight in _logistic(scopes, ours)],
        "line": [round(line, 4)],
        "held_out": {
            "top1": round(float(right.mean()), 4),
            "danger": round(float((harmful >= line).mean()), 4),
            "false_alarms": round(float((harmless >= line).mean()), 4),
        },
    }


def _with(layer: Layer, known: Mapping[str, object]) -> Layer:
    """The layer with its calibration, as `calibrate` found it."""
    calibration, scope, line = (np.array(known[name], dtype=np.float32) for name in ("calibration", "scope", "line"))
    return replace(layer, calibration=calibration, scope=scope, line=line)


def _logistic(told: Floats, right: npt.NDArray[np.int64]) -> Floats:
    nothing = to_sparse([[] for _ in told], 0)
    found = fit(nothing, told, right, 2, strength=100.0, iterations=200)
    weights = found.dense[:, 1] - found.dense[:, 0]
    weights[0] += found.bias[1] - found.bias[0]
    return weights.astype(np.float32)
