"""How well a trained archive ranks labelled questions: `python -m components.score ARCHIVE FILE.jsonl...` prints JSON.

The pipeline alone is judged, without the rules of the bot: whatever is in the archive is asked, one question at a time.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import components  # noqa: F401 - before the modules of `intents`

import numpy as np
from rasa.core.agent import Agent
from rasa.utils.log_utils import configure_structlog

from intents.evaluate import Judged, Row, read_rows, refused_at
from intents.questions import OUT_OF_SCOPE


async def judge(agent: Agent, rows: list[Row]) -> list[Judged]:
    """What the archive makes of each row: topics alone, and how far it takes it for the hotline's business."""
    judged = []
    for row in rows:
        started = time.perf_counter()
        answer: dict[str, Any] = await agent.parse_message(row.text)
        took = (time.perf_counter() - started) * 1000
        told = {entry["name"]: float(entry["confidence"]) for entry in answer["intent_ranking"]}
        refused = told.pop(OUT_OF_SCOPE, 0.0)
        ranking = tuple(sorted(told.items(), key=lambda pair: -pair[1]))
        judged.append(Judged(row, ranking, float(answer.get("scope", 1.0 - refused)), "", None, took))
    return judged


def summarise(judged: list[Judged]) -> dict[str, float | int | None]:
    """Shares over the rows that are in scope; `oos_refused_at_95` is None where the rows hold none of the others."""
    inside = [one for one in judged if not one.row.outside]
    times = [one.milliseconds for one in judged]
    return {
        "n": len(judged),
        "top1": round(float(np.mean([one.hit(1) for one in inside])), 4) if inside else None,
        "top3": round(float(np.mean([one.hit(3) for one in inside])), 4) if inside else None,
        "oos_refused_at_95": refused_at(judged, 0.95),
        "p50_ms": round(float(np.percentile(times, 50)), 1),
        "p95_ms": round(float(np.percentile(times, 95)), 1),
    }


async def main(archive: Path, files: list[Path]) -> None:
    """Print `{"files": {name: figures}, "all": figures, "load_s": …, "memory_mb": …, "cpu_ms": …}`.

    `cpu_ms` is the mean time of the processor for one question: it says more than a clock where others use the machine.
    """
    configure_structlog(logging.WARNING)
    started = time.perf_counter()
    agent = Agent.load(archive)
    loaded = time.perf_counter() - started
    await agent.parse_message("你好")
    spent = time.process_time()
    parts = {file.stem: await judge(agent, read_rows(file)) for file in files}
    spent = time.process_time() - spent
    everything = [one for part in parts.values() for one in part]
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 2**20
    figures = {name: summarise(part) for name, part in parts.items()}
    costs = {
        "load_s": round(loaded, 1),
        "memory_mb": memory,
        "cpu_ms": round(1000 * spent / max(1, len(everything)), 1),
    }
    sheet = {"files": figures, "all": summarise(everything), **costs}
    sys.stdout.write(json.dumps(sheet) + "\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]))
