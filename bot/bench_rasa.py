"""`hotline bench rasa`: the Rasa service by itself, and its own REST channel beside our webhook with Rasa behind it."""

from __future__ import annotations

import contextlib
import json
import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bot import bench_client, bench_server
from bot.bench_client import Account
from bot.bench_server import Running
from bot.errors import HotlineError
from bot.settings import settings
from intents import rasa_service
from intents.cli import Which
from intents.rasa_service import HOST, PROJECT, Places

LEVELS = ((1, 150), (20, 300))
"""At once, and how many messages."""

_WARM_UP = 30
_TALK = 3


@contextlib.contextmanager
def beside(folder: Path, which: Which) -> Iterator[dict[str, str]]:
    """The settings with which a service of ours asks this engine; for Rasa, a service of it that runs meanwhile."""
    if which is Which.LOCAL:
        yield {}
        return
    token = secrets.token_hex(12)
    with _serving(folder, token) as rasa:
        yield _settings(rasa, token)


def _settings(rasa: Running, token: str) -> dict[str, str]:
    return {"HOTLINE_RASA_URL": f"http://{HOST}:{rasa.port}", "HOTLINE_RASA_TOKEN": token}


@contextlib.contextmanager
def _serving(folder: Path, token: str) -> Iterator[Running]:
    """The shipped service, but with Rasa's REST channel open. Raises `HotlineError` when it is not set up."""
    here = Places(settings().data_dir.absolute() / "rasa")
    archive = here.current()
    if not rasa_service.installed(here) or archive is None:
        raise HotlineError("Rasa 还没装好或没有训练好的模型：先运行 hotline rasa setup、export、train")
    channels = folder / "credentials.yml"
    channels.write_text("rest:\n")
    port = bench_server.find_port()
    options = ["--model", str(archive), "--interface", HOST, "--port", str(port), "--credentials", str(channels)]
    environment = rasa_service.environment(here) | {"HOTLINE_RASA_TOKEN": token, "LOG_LEVEL": "ERROR"}
    command = [str(here.python), "-m", "components.service", *options]
    ready = f"/status?token={token}"
    with bench_server.started(command, PROJECT, environment, folder / "rasa.txt", port, ready) as found:
        yield found


async def measure(folder: Path, account: Account, asked: Sequence[str], progress: Progress) -> dict[str, Any]:
    """Parse alone, the REST channel, and our webhook, one after the other with the same questions in one order."""
    steps = progress.add_task("测量 Rasa", total=len(LEVELS) * 3 + 1)
    questions, token = bench_client.endless(asked), secrets.token_hex(12)
    with _serving(folder, token) as rasa:
        progress.advance(steps)
        idle = bench_server.resident_mb(rasa.process.pid)
        parse = await _each(rasa, lambda count: parses(questions, count, rasa.port, token), progress, steps)
        rest = await _each(rasa, lambda count: chats(questions, count, rasa.port), progress, steps)
        loaded = bench_server.resident_mb(rasa.process.pid)
        bench_server.lay_model(folder, settings().data_dir)
        with bench_server.running(folder, account, bench_server.SERVICE, _settings(rasa, token)) as service:
            sealed = bench_client.seal(account, questions, _WARM_UP, service.port)
            await bench_client.drive(account, service.port, sealed, 1)
            ours = []
            for at_once, count in LEVELS:
                sealed = bench_client.seal(account, questions, count, service.port)
                ours.append(await bench_client.drive(account, service.port, sealed, at_once))
                progress.advance(steps)
            by_rasa = service.by_rasa()
    return {
        "ready_seconds": rasa.started,
        "memory_mb": {"idle": idle, "after": loaded},
        "parse": parse,
        "rest_channel": rest,
        "webhook": [asdict(row) for row in ours],
        "throughput_ratio": {
            row.at_once: round(row.per_second / other["per_second"], 2) for row, other in zip(ours, rest, strict=True)
        },
        "understood_by": by_rasa,
    }


async def _each(rasa: Running, requests: Any, progress: Progress, steps: Any) -> list[dict[str, Any]]:
    """A row a level, with the processor time of the service for each message in milliseconds."""
    await bench_client.send(rasa.port, requests(_WARM_UP), 1, kind)
    rows = []
    for at_once, count in LEVELS:
        before = bench_server.processor_seconds(rasa.process.pid)
        level = await bench_client.send(rasa.port, requests(count), at_once, kind)
        used = bench_server.processor_seconds(rasa.process.pid) - before
        rows.append(asdict(level) | {"cpu_ms": round(used / count * 1000, 1)})
        progress.advance(steps)
    return rows


def parses(questions: Iterator[str], count: int, port: int, token: str) -> list[bytes]:
    """Whole requests that ask the service as the bot does."""
    path = f"/model/parse?token={token}"
    return [bench_client.post(path, {"text": next(questions)}, port) for _ in range(count)]


def chats(questions: Iterator[str], count: int, port: int) -> list[bytes]:
    """The same talks as on the webhook: three messages of each worker, far apart."""
    group, talkers = secrets.token_hex(4), max(1, math.ceil(count / _TALK))
    return [
        bench_client.post(
            "/webhooks/rest/webhook",
            {"sender": f"{group}{place % talkers}", "message": bench_client.said(questions, place)},
            port,
        )
        for place in range(count)
    ]


def kind(status: int, body: bytes) -> str:
    """`parsed`; `taken` for the REST channel, which says nothing back without a dialogue of Rasa's own; or `fault`."""
    if status != 200:
        return "fault"
    sheet = json.loads(body)
    return "parsed" if isinstance(sheet, dict) and sheet.get("intent_ranking") else "taken"


def show(found: Mapping[str, Any]) -> None:
    """The figures as a table for people."""
    out = Console()
    table = Table("", "同时", "条数", "每秒", "p50 毫秒", "p95", "p99", "处理器", "结果", title="Rasa 服务")
    for name, key in (("只解析", "parse"), ("Rasa 的 REST 通道", "rest_channel"), ("热线的微信回调", "webhook")):
        for row in found[key]:
            kinds = "  ".join(f"{what} {count}" for what, count in row["kinds"].items())
            figures = [row[figure] for figure in ("at_once", "messages", "per_second", "p50_ms", "p95_ms", "p99_ms")]
            table.add_row(name, *map(str, figures), str(row.get("cpu_ms", "")), kinds)
    out.print(table)
    ratios = "  ".join(f"同时 {level}：{ratio:.2f}" for level, ratio in found["throughput_ratio"].items())
    out.print(f"热线每秒条数是 Rasa 的 REST 通道的几倍  {ratios}")
    show_share(out, found["understood_by"])
    memory = found["memory_mb"]
    out.print(f"Rasa 进程常驻内存  启动后 {memory['idle']} MB  压测后 {memory['after']} MB")
    out.print(f"从启动到能用  {found['ready_seconds']} 秒")


def show_share(out: Console, by_rasa: Mapping[str, int]) -> None:
    """How many messages Rasa ranked, and why the others were not its."""
    others = "  ".join(f"{reason} {count}" for reason, count in by_rasa.items() if reason != "rasa")
    out.print(f"由 Rasa 理解 {by_rasa['rasa']} 条；由进程内引擎顶上  {others or '0 条'}")
