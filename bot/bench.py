"""`hotline bench`: how fast the running service is, beside the least that a webhook can be, and where the time goes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bot import bench_channels, bench_client, bench_rasa, bench_server, knowledge
from bot.bench_client import Account, Level
from bot.bench_server import Running, running
from bot.settings import settings
from intents.cli import Which
from intents.questions import read_questions as read_wordings

bench = typer.Typer(help="测量速度和内存", no_args_is_help=True)
# At once, and how many messages: enough for a steady p99, little enough to be done in a minute or two.
LEVELS = ((1, 200), (20, 600), (200, 1200))
_WARM_UP = 60
_BLIND = Path(__file__).resolve().parent.parent / "tests" / "intents"


AsJson = Annotated[bool, typer.Option("--json", help="输出 JSON")]
Asked = Annotated[Path | None, typer.Option("--questions", help="用这个文件里的问题，一行一个或 JSONL")]


@bench.callback(invoke_without_command=True)
def _bench(
    context: typer.Context,
    engine: Annotated[Which | None, typer.Option(help="rasa：量 Rasa 服务，同 bench rasa")] = None,
    as_json: AsJson = False,
) -> None:
    """Figures of the whole service, or of its parts."""
    if context.invoked_subcommand is None:
        if engine is not Which.RASA:
            sys.stdout.write(context.get_help() + "\n")
            return
        rasa(as_json)


@bench.command()
def webhook(
    as_json: AsJson = False,
    questions: Asked = None,
    engine: Annotated[Which, typer.Option(help="rasa：先起一个 Rasa 服务给它用")] = Which.LOCAL,
) -> None:
    """The whole WeChat webhook against a bare echo, both driven by the same client in one run."""
    account = Account(secrets.token_hex(8), "wxbench0000000000", secrets.token_hex(22)[:43])
    asked = _questions(questions)
    with (
        tempfile.TemporaryDirectory(prefix="hotline-bench-") as folder,
        _progress(as_json) as progress,
        # A quick loop, so that the client is not what is measured.
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        bench_rasa.beside(Path(folder), engine) as more,
    ):
        found = runner.run(_measure(Path(folder), account, asked, progress, more))
    if as_json:
        sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    else:
        _show(found)


@bench.command()
def rasa(as_json: AsJson = False, questions: Asked = None) -> None:
    """The Rasa service alone, and its own REST channel beside our webhook with Rasa behind it."""
    account = Account(secrets.token_hex(8), "wxbench0000000000", secrets.token_hex(22)[:43])
    asked = _questions(questions)
    with (
        tempfile.TemporaryDirectory(prefix="hotline-bench-") as folder,
        _progress(as_json) as progress,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        found = runner.run(bench_rasa.measure(Path(folder), account, asked, progress))
    if as_json:
        sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    else:
        bench_rasa.show(found)


@bench.command()
def channels(
    as_json: AsJson = False,
    questions: Asked = None,
    messages: Annotated[int | None, typer.Option(min=1, help="每一档最多发几条；不填按常用的条数")] = None,
) -> None:
    """How soon each channel acknowledges, at 1, 20 and 200 at once, beside a bare echo in the same run."""
    asked = _questions(questions)
    with (
        tempfile.TemporaryDirectory(prefix="hotline-bench-") as folder,
        _progress(as_json) as progress,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        found = runner.run(bench_channels.measure(Path(folder), asked, progress, messages))
    if as_json:
        sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    else:
        bench_channels.show(found)


def _questions(given: Path | None) -> list[str]:
    """Those that were written blind, where the project's tests are at hand: the engine was not trained on them."""
    blind = sorted(_BLIND.glob("questions_*.jsonl"))
    if given or blind:
        return bench_client.read_questions([given] if given else blind)
    return [text for wordings in read_wordings(knowledge.ARTICLES).values() for text, _ in wordings]


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    with Progress(console=Console(stderr=True), disable=quiet or not sys.stderr.isatty(), transient=True) as progress:
        yield progress


async def _measure(
    folder: Path, account: Account, asked: Sequence[str], progress: Progress, more: Mapping[str, str]
) -> dict[str, Any]:
    steps = progress.add_task("测量", total=len(LEVELS) * 2 + 2)
    bench_server.lay_model(folder, settings().data_dir)
    with running(folder, account, bench_server.SERVICE, more) as first:
        first_start = first.started
    progress.advance(steps)
    with running(folder, account, bench_server.SERVICE, more) as service:
        idle = service.resident()
        rows, stages = await _drive(service, account, asked, lambda: progress.advance(steps))
        loaded, by_rasa = service.resident(), service.by_rasa()
    with running(folder, account, [sys.executable, "-m", "bot.bench_echo"]) as echo:
        echoed, _ = await _drive(echo, account, asked, lambda: progress.advance(steps))
    return {
        "service": [asdict(row) for row in rows],
        "echo": [asdict(row) for row in echoed],
        "throughput_ratio": {
            row.at_once: round(row.per_second / bare.per_second, 3) for row, bare in zip(rows, echoed, strict=True)
        },
        "memory_mb": {"idle": idle, "after": loaded},
        "start_seconds": {"first": first_start, "again": service.started},
        "stages_ms": stages,
        "questions": len(asked),
        **({"understood_by": by_rasa} if more else {}),
        "cores": os.cpu_count(),
    }


async def _drive(
    process: Running, account: Account, asked: Sequence[str], done: Any
) -> tuple[list[Level], dict[int, dict[str, float]]]:
    questions = bench_client.endless(asked)
    await bench_client.drive(account, process.port, bench_client.seal(account, questions, _WARM_UP, process.port), 4)
    rows, stages = [], {}
    for at_once, count in LEVELS:
        sealed = bench_client.seal(account, questions, count, process.port)
        before = process.stages()
        rows.append(await bench_client.drive(account, process.port, sealed, at_once))
        stages[at_once] = _between(before, process.stages())
        done()
    return rows, stages


def _between(before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]]) -> dict[str, float]:
    """The mean of each stage in milliseconds, of what came in between."""
    found = {}
    for stage, (seconds, count) in after.items():
        earlier = before.get(stage, (0.0, 0.0))
        if count > earlier[1]:
            found[stage] = round((seconds - earlier[0]) / (count - earlier[1]) * 1000, 2)
    return found


def _show(found: dict[str, Any]) -> None:
    out = Console()
    table = Table("", "同时", "条数", "每秒", "p50 毫秒", "p95", "p99", "结果", title="微信消息，从请求到加密的回复")
    for name, rows in (("服务", found["service"]), ("空转", found["echo"])):
        for row in rows:
            kinds = "  ".join(f"{kind} {count}" for kind, count in row["kinds"].items())
            figures = [row[key] for key in ("at_once", "messages", "per_second", "p50_ms", "p95_ms", "p99_ms")]
            table.add_row(name, *map(str, figures), kinds)
    out.print(table)
    ratios = "  ".join(f"同时 {level}：{ratio:.2f}" for level, ratio in found["throughput_ratio"].items())
    out.print(f"每秒条数是空转的几成  {ratios}")
    for level, stages in found["stages_ms"].items():
        parts = "  ".join(f"{stage} {mean:.1f}" for stage, mean in stages.items())
        out.print(f"时间花在哪（同时 {level}，每条平均毫秒，含排队）  {parts}")
    for moment, name in (("idle", "启动后"), ("after", "压测后")):
        parts = "  ".join(f"{part} {size} MB" for part, size in found["memory_mb"][moment].items())
        out.print(f"常驻内存 {name}  {parts}")
    if "understood_by" in found:
        bench_rasa.show_share(out, found["understood_by"])
    out.print(f"启动  第一次 {found['start_seconds']['first']} 秒  再次 {found['start_seconds']['again']} 秒")
