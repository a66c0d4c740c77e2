"""The figures of docs/understanding.md as Markdown, all in one run: `python -m tests.benchmarks.understanding`.

Uses the model that `hotline kb train` put into the data folder, the development questions of `tests/intents` and no
network. Sentence vectors are kept beside those of the training; with them it takes a few minutes.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import bot  # noqa: F401 - one thread for the arithmetic, as in the service; before numpy

import numpy as np  # isort: skip
import yaml

from intents import encoders, train
from intents.bands import Bands, chosen
from intents.cli import KNOWLEDGE, data_dir
from intents.encoders import Encoder, encode_cached
from intents.engine import Candidate, Danger, Understanding
from intents.evaluate import Judged, Row, act, choose, judge, read_rows, refused_at, summarise, wilson
from intents.local import LocalEngine
from intents.model import Message, Model, Scores, Tier, load
from intents.questions import read_negatives, read_questions
from intents.text import normalise, simplify
from intents.train import Material

HERE = Path(__file__).parents[1] / "intents"
SHARES = (0.10, 0.25, 0.50)
SEED = 20261122
WEIGHED = ("full", "without E5", "characters only")


class Nearest(LocalEngine):
    """The plainest engine: the topic of the wording that is nearest by E5; the same rules before it, no classifier."""

    def score(self, plain: str, tier: Tier) -> Scores:
        e5, owner = self._e5, self.model.e5
        assert e5 is not None
        assert owner is not None
        centred = owner.centred(e5.encode([plain])[0])
        near = owner.rows @ centred
        chances = np.clip(near[owner.places].max(axis=1), 0.0, 1.0).astype(np.float32)
        apart = float(near.max() - (owner.outside @ centred).max())
        return Scores(chances, 0.5 + apart / 4, Danger.SELF_HARM, 0.0, tier)

    def _second(self, plain: str, ranking: Sequence[Candidate], tier: Tier) -> str | None:
        return None


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for cells in (heads, ["---"] * len(heads), *rows):
        say("| " + " | ".join(cells) + " |")
    say()


def per_cent(part: float | int | None) -> str:
    return "-" if part is None else f"{100 * part:.1f} %"


def three(value: float | int | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def of(part: int, whole: int) -> str:
    low, high = wilson(part, whole)
    return f"{part} of {whole} = {per_cent(part / whole)} ({100 * low:.0f}-{100 * high:.0f} %)"


async def asked(engine: LocalEngine, rows: Sequence[Row]) -> list[Judged]:
    await engine.understand("厂里欠了两个月工钱，这事归谁管")
    return await judge(engine, rows, engine.bands)


def engines(trained: Model, use: Encoder, e5: Encoder) -> Iterator[tuple[str, LocalEngine]]:
    yield "full", LocalEngine(trained, use, e5)
    yield "without E5", LocalEngine(trained, use, None)
    yield "characters only", LocalEngine(trained, None, None)
    yield "nearest neighbour", Nearest(trained, use, e5)


async def compare(trained: Model, use: Encoder, e5: Encoder, files: dict[str, list[Row]]) -> list[Judged]:
    """Print the table; the answers of the full engine."""
    rows = [row for part in files.values() for row in part]
    lines, kept = [], list[Judged]()
    for name, engine in engines(trained, use, e5):
        told = await asked(engine, rows)
        if isinstance(engine, Nearest):
            # It has no calibration and no bands of its own: give it the best ones by the same rule, then ask again.
            engine.bands, _ = choose(told)
            told = await asked(engine, rows)
        if name == "full":
            kept = told
        line, start = [name], 0
        for title, part in files.items():
            figures = summarise(told[start : start + len(part)]).figures
            start += len(part)
            if title != "oos":
                line.append(f"{three(figures['top1'])} / {three(figures['top3'])}")
                line.append(f"{per_cent(figures['answered'])} / {per_cent(figures['answered_wrong'])}")
            else:
                line.append(f"{per_cent(refused_at(told, 0.95))}")
                line.append(f"{per_cent(figures['oos_answered'])}")
        whole = summarise(told).figures
        lines.append([*line, f"{whole['p50_ms']} / {whole['p95_ms']}"])
        await engine.close()
    table(
        [
            "",
            "real: top-1 / top-3",
            "real: answered / wrong of these",
            "colloquial: top-1 / top-3",
            "colloquial: answered / wrong of these",
            "oos refused at 95 % kept",
            "oos answered",
            "p50 / p95 ms",
        ],
        lines,
    )
    return kept


def doubt(told: Sequence[Judged]) -> None:
    """How kind the bands are: chosen on one half of the questions, counted on the other, twenty times."""
    draw = random.Random(SEED)
    found: dict[str, list[float]] = {"answered": [], "answered_wrong": [], "oos_answered": []}
    for _ in range(20):
        mixed = draw.sample(list(told), len(told))
        bands, _ = choose(mixed[: len(mixed) // 2])
        figures = summarise([again(one, bands) for one in mixed[len(mixed) // 2 :]]).figures
        for name, values in found.items():
            values.append(float(figures[name] or 0.0))
    own = summarise(told).figures
    say("Bands chosen on a random half of all questions, counted on the other half (mean of 20), and as shipped:")
    say()
    table(
        ["", "other half", "shipped"],
        [[name, per_cent(float(np.mean(values))), per_cent(own[name])] for name, values in found.items()],
    )


def again(one: Judged, bands: Bands) -> Judged:
    ranking = tuple(Candidate(*pair) for pair in one.ranking if pair[0] != "meta.out_of_scope")
    danger = Danger(one.danger) if one.danger else None
    return replace(one, action=act(Understanding("", ranking, one.in_scope, danger), bands))


def curve(trained: Model, material: Material, files: dict[str, list[Row]], vectors: dict[str, list[Message]]) -> None:
    """Top-1 and top-3 of the full tier's classifier alone (no rules), taught with a share of each topic's wordings."""
    draw = random.Random(SEED)
    by_topic: dict[int, list[int]] = {}
    for place, lesson in enumerate(material.lessons):
        by_topic.setdefault(lesson.label, []).append(place)
    for places in by_topic.values():
        draw.shuffle(places)
    lines = []
    for share in (*SHARES, 1.0):
        model, seen = trained, np.ones(len(material.lessons), dtype=bool)
        if share < 1.0:
            for label, places in by_topic.items():
                if label >= 0:
                    seen[places[max(1, round(share * len(places))) :]] = False
            model = train._fit(material, seen, Tier.FULL)
        labels = [lesson.label for lesson, kept in zip(material.lessons, seen, strict=True) if kept]
        count = sum(label >= 0 for label in labels)
        line = [per_cent(share).replace(".0", ""), f"{count / len(material.topics):.0f}", str(count)]
        for title in ("real", "colloquial"):
            hits = [hit(model, message, row) for message, row in zip(vectors[title], files[title], strict=True)]
            hits = [pair for pair, row in zip(hits, files[title], strict=True) if not row.outside]
            line.append(" / ".join(three(float(np.mean([pair[place] for pair in hits]))) for place in (0, 1)))
        lines.append(line)
    table(["share", "wordings a topic", "in all", "real: top-1 / top-3", "colloquial: top-1 / top-3"], lines)


def hit(model: Model, message: Message, row: Row) -> tuple[bool, bool]:
    best = [model.topics[place] for place in np.argsort(-model.raw(message, Tier.FULL).logs)[:3]]
    return best[0] in row.right, any(topic in row.right for topic in best)


def blame(told: Sequence[Judged]) -> None:
    """Print where the full engine's mistakes come from: danger heard, or the classifier."""
    inside = [one for one in told if not one.row.outside]
    wrong = [one for one in inside if not one.hit(1)]
    rang = sum(one.danger is not None for one in wrong)
    calm = [one for one in inside if one.action == "answer"]
    say(f"- first topic wrong: {len(wrong)} of {len(inside)}, of them with danger heard: {rang}")
    say(f"- wrong among direct answers without danger: {of(sum(not one.hit(1) for one in calm), len(calm))}")
    say()


async def danger(trained: Model, use: Encoder, e5: Encoder) -> None:
    lines = []
    for name in ("danger_fresh", "danger_unseen", "danger_ring", "danger_quiet"):
        sheet = yaml.safe_load((HERE / f"{name}.yaml").read_text(encoding="utf-8"))
        fresh = name in {"danger_fresh", "danger_unseen"}
        ring = [str(text) for texts in sheet["ring"].values() for text in texts] if fresh else []
        quiet = [str(text) for text in sheet["quiet"]] if fresh else []
        if not fresh:
            texts = [str(text) for texts in sheet.values() for text in texts]
            ring, quiet = (texts, quiet) if name == "danger_ring" else (ring, texts)
        for title, engine in list(engines(trained, use, e5))[:3]:
            rang, alarms = [
                sum([(await engine.understand(text)).danger is not None for text in texts]) for texts in (ring, quiet)
            ]
            if fresh or title == "full":
                shown = [of(rang, len(ring)) if ring else "-", of(alarms, len(quiet)) if quiet else "-"]
                lines.append([f"{name}.yaml", title, *shown])
            await engine.close()
    table(["file", "engine", "heard", "false alarms"], lines)


def weigh(which: str) -> None:
    """In a process of its own: seconds to load the engine, and what it holds afterwards."""
    before = resident()
    started = time.perf_counter()
    trained = load(data_dir() / "model")
    use = encoders.load_use() if which != "characters only" else None
    e5 = encoders.load_e5() if which == "full" else None
    engine = LocalEngine(trained, use, e5)
    took = time.perf_counter() - started

    async def talk() -> None:
        for row in read_rows(HERE / "questions_real.jsonl")[::9]:
            await engine.understand(row.text)
        await engine.close()

    asyncio.run(talk())
    say(json.dumps({"seconds": took, "before": before, "after": resident()}))


def resident() -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def weights() -> None:
    lines = []
    for which in WEIGHED:
        command = [sys.executable, "-m", "tests.benchmarks.understanding", "--weigh", which]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        lines.append([which, f"{told['seconds']:.1f} s", f"{told['after']:.0f} MB", f"{told['before']:.0f} MB"])
    table(["", "load", "resident after 40 messages", "of these before loading (Python, numpy, scipy)"], lines)


def copies(material: Material, files: dict[str, list[Row]]) -> None:
    """Development questions that also stand, letter for letter, among the wordings or the negatives."""
    known = {normalise(lesson.plain).tight for lesson in material.lessons}
    for title, rows in files.items():
        same = [row.text for row in rows if normalise(row.text).tight in known]
        say(f"- {title}: {len(rows)} questions, of them letter for letter among the training wordings: {len(same)}")
    say()


def main() -> None:
    use, e5 = encoders.load_use(), encoders.load_e5()
    questions = read_questions(KNOWLEDGE / "articles")
    negatives = read_negatives(KNOWLEDGE / "negatives.yaml")
    trained = load(data_dir() / "model")
    if use is None or e5 is None or trained.seal != train.seal_of(questions, negatives, [use, e5]):
        sys.exit("The model is not that of the present wordings and both encoders: run `hotline kb train` first.")
    files = {name: read_rows(HERE / f"questions_{name}.jsonl") for name in ("real", "colloquial", "oos")}
    folder = data_dir() / "vectors"
    material = train._gather(questions, negatives, [use, e5], folder, lambda _what, _done: None)
    vectors: dict[str, list[Message]] = {}
    for title, rows in files.items():
        plain = [simplify(row.text) for row in rows]
        found = [encode_cached(encoder, plain, folder / "development") for encoder in (use, e5)]
        vectors[title] = [Message(text, *pair) for text, *pair in zip(plain, *found, strict=True)]
    busy = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    say(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores, load {busy};")
    say(f"model {trained.seal[:12]}, {trained.facts['wordings']} wordings, {trained.facts['negatives']} negatives;")
    say(f"bands {chosen()}")
    say()
    copies(material, files)
    say("### Engines\n")
    told = asyncio.run(compare(trained, use, e5, files))
    say("### Bands\n")
    doubt(told)
    blame(told)
    say("### Learning curve\n")
    curve(trained, material, files, vectors)
    say("### Danger\n")
    asyncio.run(danger(trained, use, e5))
    say("### Load and memory\n")
    weights()
    say(f"Load at the end: {', '.join(f'{value:.1f}' for value in os.getloadavg())}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--weigh"]:
        weigh(sys.argv[2])
    else:
        main()
