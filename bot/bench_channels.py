"""`hotline bench channels`: how soon each channel acknowledges a message, and how many it handles, beside an echo."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bot import bench_client, bench_server
from bot.bench_client import Account, Level
from bot.bench_server import Running
from bot.bench_sink import ACCOUNT
from bot.dialogue.wording import CHANNELS
from bot.errors import HotlineError
from bot.settings import settings

LEVELS = ((1, 60), (20, 200), (200, 400))
"""At once, and how many messages."""

AIM_P99_MS = 1000
_WARM_UP = 20
_TALK = 3
_PATIENCE = 240.0
_HEAD = ("", "", "同时", "条数", "应答/秒", "p50 毫秒", "p95", "p99", "处理/秒", "结果")
_SINK = (sys.executable, "-m", "bot.bench_sink")
_ECHO = (sys.executable, "-m", "bot.bench_echo")


@dataclass
class Bench:
    """The accounts under measurement, and where their API hosts are. `rung` counts the messages in WeCom's queue."""

    questions: Iterator[str]
    sink: int
    wechat: Account = field(default_factory=lambda: _account("wxbench0000000000"))
    wecom: Account = field(default_factory=lambda: _account("wwbench0000000000"))
    secret: str = field(default_factory=lambda: secrets.token_hex(16))
    rung: int = 0

    def settings(self) -> dict[str, str]:
        """All channels switched on, their API hosts on loopback, and no limit that a crowd on one machine would hit."""
        sink = f"http://127.0.0.1:{self.sink}"
        return {
            "HOTLINE_WECHAT_API_URL": sink,
            "HOTLINE_WECOM_CORP_ID": self.wecom.app_id,
            "HOTLINE_WECOM_SECRET": "unused",
            "HOTLINE_WECOM_TOKEN": self.wecom.token,
            "HOTLINE_WECOM_AES_KEY": self.wecom.key,
            "HOTLINE_WECOM_API_URL": sink,
            "HOTLINE_TELEGRAM_TOKEN": "123456789:AAE-of-the-bench_000000000000000000",
            "HOTLINE_TELEGRAM_SECRET": self.secret,
            "HOTLINE_TELEGRAM_API_URL": sink,
            "HOTLINE_PUBLIC_URL": "http://127.0.0.1:9",
            "HOTLINE_CHAT_NETWORK_RATE": "1000000",
            "HOTLINE_CHAT_OVERALL_RATE": "1000000",
            "HOTLINE_CHAT_MESSAGE_RATE": "1000000",
        }

    def on_wechat(self, count: int, port: int) -> list[bytes]:
        return bench_client.seal(self.wechat, self.questions, count, port)

    def on_wecom(self, count: int, port: int, at_once: int = 1) -> list[bytes]:
        """A ring for each message; its ticket says how many there are: one more, or those of a whole crowd at once."""
        crypt, found = self.wecom.crypt(), []
        first, self.rung = self.rung, self.rung + count
        for place in range(first, self.rung):
            there = place + 1 if at_once == 1 else self.rung
            message = (
                "<xml><MsgType>event</MsgType><Event>kf_msg_or_event</Event>"
                f"<Token>t{there}</Token><OpenKfId>{ACCOUNT}</OpenKfId></xml>"
            )
            found.append(bench_client.sealed(crypt, "/webhooks/wecom", message, int(time.time()), port))
        return found

    def on_telegram(self, count: int, port: int) -> list[bytes]:
        group, talkers = secrets.randbelow(10**6) * 10**4, -(-count // _TALK)
        head = {"X-Telegram-Bot-Api-Secret-Token": self.secret}
        return [
            bench_client.post("/webhooks/telegram", _update(group + place % talkers, text, group + place), port, head)
            for place, text in enumerate(self._said(count))
        ]

    def on_web(self, count: int, port: int, sessions: Sequence[str]) -> list[bytes]:
        """As the page sends it; `sessions` are signed already."""
        heads = [{"X-Hotline-Session": session} for session in sessions]
        return [
            bench_client.post(
                "/api/chat/messages", {"id": secrets.token_hex(8), "text": text}, port, heads[place % len(heads)]
            )
            for place, text in enumerate(self._said(count))
        ]

    def _said(self, count: int) -> list[str]:
        return [bench_client.said(self.questions, place) for place in range(count)]


def _account(identity: str) -> Account:
    return Account(secrets.token_hex(8), identity, secrets.token_hex(22)[:43])


def _update(chat: int, text: str, number: int) -> dict[str, Any]:
    said = {
        "message_id": number % 10**9 + 1,
        "date": int(time.time()),
        "chat": {"id": chat + 1, "type": "private", "first_name": "张"},
        "from": {"id": chat + 1, "is_bot": False, "first_name": "张"},
        "text": text,
    }
    return {"update_id": number + 1, "message": said}


async def measure(folder: Path, asked: Sequence[str], progress: Progress, most: int | None = None) -> dict[str, Any]:
    """The service and then the echo, each channel after the other; `most` messages on a level where that is fewer."""
    steps = progress.add_task("测量", total=2 * 4 * len(LEVELS))
    wordings, log = folder / "questions.txt", folder / "sink.txt"
    wordings.write_text("\n".join(text.replace("\n", " ") for text in asked), encoding="utf-8")
    bench_server.lay_model(folder, settings().data_dir)
    port = bench_server.find_port()
    command = [*_SINK, str(wordings), str(port)]
    with bench_server.started(command, Path.cwd(), dict(os.environ), log, port, "/readyz"):
        bench = Bench(bench_client.endless(asked), port)
        drive = _Drive(bench, most, lambda: progress.advance(steps))
        more = bench.settings()
        with bench_server.running(folder, bench.wechat, bench_server.SERVICE, more) as service:
            # Telegram comes last: its answers go out at the pace that Telegram allows, long after the messages.
            served = {name: await drive(name, service) for name in ("wechat", "wecom", "web", "telegram")}
        with bench_server.running(folder, bench.wechat, _ECHO, more) as echo:
            echoed = {name: await drive(name, echo) for name in served}
    return {
        "channels": {
            name: {
                "service": rows,
                "echo": echoed[name],
                "throughput_ratio": {
                    row["at_once"]: round(row["handled_per_second"] / bare["per_second"], 3)
                    for row, bare in zip(rows, echoed[name], strict=True)
                },
            }
            for name, rows in served.items()
        },
        "aim_p99_ms": AIM_P99_MS,
        "questions": len(asked),
        "cores": os.cpu_count(),
        "load_average": [round(load, 1) for load in os.getloadavg()],
    }


@dataclass
class _Drive:
    bench: Bench
    most: int | None
    done: Callable[[], None]

    async def __call__(self, name: str, process: Running) -> list[dict[str, Any]]:
        """A row a level. `handled_per_second` counts until the service has stored, understood and answered them all:
        on WeCom a ring is acknowledged long before."""
        await self._level(name, process, 4, min(_WARM_UP, self.most or _WARM_UP))
        rows = []
        for at_once, usual in LEVELS:
            level, handled = await self._level(name, process, at_once, min(usual, self.most or usual))
            rows.append(asdict(level) | {"handled_per_second": handled})
            self.done()
        return rows

    async def _level(self, name: str, process: Running, at_once: int, count: int) -> tuple[Level, float]:
        requests = await self._requests(name, process, count, at_once)
        crypt = self.bench.wechat.crypt()
        read = _read_page if name == "web" else partial(bench_client.kind, crypt)
        before, begun = process.turns(name), time.perf_counter()
        level = await bench_client.send(process.port, requests, at_once, read)
        waited = False
        while before is not None and (process.turns(name) or 0) - before < count:
            if time.perf_counter() - begun > _PATIENCE:
                raise HotlineError(f"{name}：{_PATIENCE:.0f} 秒里没有处理完 {count} 条")
            waited = True
            await asyncio.sleep(0.05)
        return level, round(count / (time.perf_counter() - begun), 1) if waited else level.per_second

    async def _requests(self, name: str, process: Running, count: int, at_once: int) -> list[bytes]:
        bench, port = self.bench, process.port
        match name:
            case "wechat":
                return bench.on_wechat(count, port)
            case "wecom":
                return bench.on_wecom(count, port, at_once)
            case "telegram":
                return bench.on_telegram(count, port)
            case _:
                return bench.on_web(count, port, await _sessions(-(-count // _TALK), port))


async def _sessions(count: int, port: int) -> list[str]:
    """Through the front door; the echo has none and asks for none."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as http:
        found = []
        for _ in range(count):
            answer = await http.post("/api/chat/session", headers={"X-Hotline-Session": ""})
            found.append(answer.json()["token"] if answer.is_success else "")
    return found


def _read_page(status: int, body: bytes) -> str:
    if status != 200:
        return "fault"
    return "reply" if len(json.loads(body)["messages"]) > 1 else "silent"


def show(found: dict[str, Any]) -> None:
    """The figures as a table for people."""
    out = Console()
    table = Table(*_HEAD, title="每个渠道应答一条消息要多久")
    for name, each in found["channels"].items():
        for who, key in (("服务", "service"), ("空转", "echo")):
            for row in each[key]:
                kinds = "  ".join(f"{kind} {count}" for kind, count in row["kinds"].items())
                figures = ("at_once", "messages", "per_second", "p50_ms", "p95_ms", "p99_ms", "handled_per_second")
                table.add_row(CHANNELS[name], who, *(str(row[figure]) for figure in figures), kinds)
    out.print(table)
    slowest = {name: each["service"][-1]["p99_ms"] for name, each in found["channels"].items()}
    parts = "  ".join(
        f"{CHANNELS[name]} {p99} 毫秒{'' if p99 <= AIM_P99_MS else '（没达到）'}" for name, p99 in slowest.items()
    )
    out.print(f"同时 {LEVELS[-1][0]} 条时的 p99，目标 {AIM_P99_MS} 毫秒  {parts}")
    out.print(f"测量后机器的负载 {'、'.join(map(str, found['load_average']))}，{found['cores']} 个核")
