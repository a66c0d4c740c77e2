"""`hotline bench`: how fast the running service is, beside the least that a webhook can be, and where the time goes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
import uvloop
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bot import bench_client, knowledge
from bot.bench_client import Account, Level
from bot.errors import HotlineError
from bot.settings import settings
from intents.questions import read_questions as read_wordings

bench = typer.Typer(help="测量速度和内存", no_args_is_help=True)
# At once, and how many messages: enough for a steady p99, little enough to be done in a minute or two.
LEVELS = ((1, 200), (20, 600), (200, 1200))
_WARM_UP = 60
_PATIENCE = 90.0
_BLIND = Path(__file__).resolve().parent.parent / "tests" / "intents"


@bench.callback()
def _bench() -> None:
    """Keeps `bench webhook` a command of its own while it is the only one."""


@bench.command()
def webhook(
    as_json: Annotated[bool, typer.Option("--json", help="输出 JSON")] = False,
    questions: Annotated[Path | None, typer.Option(help="用这个文件里的问题，一行一个或 JSONL")] = None,
) -> None:
    """The whole WeChat webhook against a bare echo, both driven by the same client in one run."""
    account = Account(secrets.token_hex(8), "wxbench0000000000", secrets.token_hex(22)[:43])
    asked = _questions(questions)
    with (
        tempfile.TemporaryDirectory(prefix="hotline-bench-") as folder,
        _progress(as_json) as progress,
        # A quick loop, so that the client is not what is measured.
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        found = runner.run(_measure(Path(folder), account, asked, progress))
    if as_json:
        sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    else:
        _show(found)


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


async def _measure(folder: Path, account: Account, asked: Sequence[str], progress: Progress) -> dict[str, Any]:
    steps = progress.add_task("测量", total=len(LEVELS) * 2 + 2)
    model = folder / "data" / "model"
    model.parent.mkdir()
    model.symlink_to((settings().data_dir / "model").resolve())
    with _running(folder, account, [sys.executable, "-m", "bot", "run", "--port"]) as first:
        first_start = first.started
    progress.advance(steps)
    with _running(folder, account, [sys.executable, "-m", "bot", "run", "--port"]) as service:
        idle = service.resident()
        rows, stages = await _drive(service, account, asked, lambda: progress.advance(steps))
        loaded = service.resident()
    with _running(folder, account, [sys.executable, "-m", "bot.bench_echo"]) as echo:
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


@dataclass
class Running:
    """A server under measurement; `started` is seconds from its first instruction until it is ready."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    started: float = 0.0

    def fetch(self, path: str) -> bytes | None:
        """None while nobody answers, and for a path that this server does not have."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=5, trust_env=False)
        except httpx.HTTPError:
            return None
        return answer.content if answer.is_success else None

    def stages(self) -> dict[str, tuple[float, float]]:
        """Stage → seconds and messages so far; nothing for the echo, which counts nothing."""
        found: dict[str, dict[str, float]] = {}
        for family in text_string_to_metric_families((self.fetch("/metrics") or b"").decode()):
            for sample in family.samples if family.name == "hotline_stage_seconds" else ():
                if sample.name.endswith(("_sum", "_count")):
                    found.setdefault(sample.labels["stage"], {})[sample.name.rpartition("_")[2]] = sample.value
        return {stage: (parts["sum"], parts["count"]) for stage, parts in found.items()}

    def resident(self) -> dict[str, float]:
        """Megabytes of memory that are really held, of the server and of the Valkey that it started."""
        found = {"service": _resident(self.process.pid)}
        for child in _children(self.process.pid):
            found["valkey"] = found.get("valkey", 0.0) + _resident(child)
        return found


@contextlib.contextmanager
def _running(folder: Path, account: Account, command: Sequence[str]) -> Iterator[Running]:
    """Raises `HotlineError` with the end of its log when it does not become ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOTLINE_")} | {
        "HOTLINE_DATA_DIR": str(folder / "data"),
        "HOTLINE_WECHAT_TOKEN": account.token,
        "HOTLINE_WECHAT_APP_ID": account.app_id,
        "HOTLINE_WECHAT_APP_SECRET": "unused",
        "HOTLINE_WECHAT_AES_KEY": account.key,
        # Nothing listens there: what the response could not carry stays in the outbox.
        "HOTLINE_WECHAT_API_URL": "http://127.0.0.1:9",
    }
    with (folder / "log.txt").open("wb") as log:
        begun = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own commands
            [*command, str(port)], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        running = Running(process, port, folder / "log.txt")
        try:
            while running.fetch("/readyz") is None:
                if process.poll() is not None or time.perf_counter() - begun > _PATIENCE:
                    raise HotlineError(f"没有启动成功：{running.log.read_text()[-600:]}")
                time.sleep(0.05)
            running.started = round(time.perf_counter() - begun, 2)
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


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
    out.print(f"启动  第一次 {found['start_seconds']['first']} 秒  再次 {found['start_seconds']['again']} 秒")
