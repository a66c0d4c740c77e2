"""The pipelines table of docs/understanding.md: `python -m tests.benchmarks.rasa_pipelines [config.yml ...]`.

Needs `hotline rasa setup` and `export`. Trains each pipeline of the Rasa project in turn and asks its archive all
development questions, without the rules of the bot; the first row is the classifier in the process, asked the same way.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bot  # noqa: F401 - one thread for the arithmetic, as in the service; before numpy

import numpy as np  # isort: skip

from intents import rasa_score, rasa_training
from intents.cli import data_dir
from intents.evaluate import Judged, Row, read_rows, refused_at
from intents.local import LocalEngine
from intents.model import Tier
from intents.rasa_cli import QUESTIONS, places
from intents.rasa_service import PROJECT
from intents.text import simplify

HEADS = (
    "pipeline",
    "real: top-1 / top-3",
    "colloquial: top-1 / top-3",
    "oos refused at 95 % kept",
    "p50 / p95 ms",
    "CPU ms",
)
COSTS = ("MB resident", "train s (CPU)", "load s")


def say(*cells: str) -> None:
    sys.stdout.write("| " + " | ".join(cells) + " |\n")
    sys.stdout.flush()


def shares(figures: Mapping[str, Any]) -> str:
    return f"{figures['top1']:.3f} / {figures['top3']:.3f}"


def local() -> list[str]:
    """The row of the classifier in this process."""
    engine = LocalEngine.load(data_dir() / "model")
    engine.score("你好", Tier.FULL)
    spent = time.process_time()
    parts = {file.stem: [judged(engine, row) for row in read_rows(file)] for file in QUESTIONS}
    spent = time.process_time() - spent
    everything = [one for part in parts.values() for one in part]
    told = {}
    for name, part in parts.items():
        inside = [one for one in part if not one.row.outside]
        told[name] = {f"top{among}": sum(one.hit(among) for one in inside) / max(1, len(inside)) for among in (1, 3)}
    p50, p95 = np.percentile([one.milliseconds for one in everything], [50, 95])
    refused = refused_at(everything, 0.95) or 0.0
    asked = [shares(told["questions_real"]), shares(told["questions_colloquial"]), f"{100 * refused:.1f} %"]
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 2**20
    return [
        "in the process",
        *asked,
        f"{p50:.1f} / {p95:.1f}",
        f"{1000 * spent / len(everything):.1f}",
        str(memory),
        "-",
        "-",
    ]


def judged(engine: LocalEngine, row: Row) -> Judged:
    started = time.perf_counter()
    scores = engine.score(simplify(row.text), Tier.FULL)
    took = (time.perf_counter() - started) * 1000
    best = np.argsort(-scores.chances)[:10]
    ranking = tuple((engine.model.topics[at], float(scores.chances[at])) for at in best)
    return Judged(row, ranking, scores.in_scope, "", None, took)


def archive(config: str) -> list[str]:
    """The row of one pipeline."""
    here = places()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    fresh = rasa_training.train(here, config, config.removesuffix(".yml").replace(".", "-"), lambda _what, _done: None)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = rasa_score.score(here, fresh, QUESTIONS, "")
    files, both = found["files"], found["all"]
    asked = [shares(files["questions_real"]), shares(files["questions_colloquial"])]
    asked += [f"{100 * both['oos_refused_at_95']:.1f} %", f"{both['p50_ms']} / {both['p95_ms']}"]
    return [config, *asked, str(found["cpu_ms"]), str(found["memory_mb"]), f"{spent:.0f}", str(found["load_s"])]


def main() -> None:
    say(*HEADS, *COSTS)
    say(*["---"] * len((*HEADS, *COSTS)))
    say(*local())
    for config in sys.argv[1:] or sorted(path.name for path in PROJECT.glob("config*.yml")):
        say(*archive(config))


if __name__ == "__main__":
    main()
