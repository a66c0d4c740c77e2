"""A server under measurement: started with settings of its own, watched from outside, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from bot.bench_client import Account
from bot.errors import HotlineError

SERVICE = (sys.executable, "-m", "bot", "run", "--port")
PATIENCE = 90.0
"""Seconds that a server has until it must be ready."""


def find_port() -> int:
    """One that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def lay_model(folder: Path, data_dir: Path) -> None:
    """The trained model of this installation, where a service in `folder` looks for its own."""
    model = folder / "data" / "model"
    model.parent.mkdir()
    model.symlink_to((data_dir / "model").resolve())


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
        for name, labels, value in self._samples("hotline_stage_seconds"):
            if name.endswith(("_sum", "_count")):
                found.setdefault(labels["stage"], {})[name.rpartition("_")[2]] = value
        return {stage: (parts["sum"], parts["count"]) for stage, parts in found.items()}

    def by_rasa(self) -> dict[str, int]:
        """Messages so far whose topics Rasa ranked, as `rasa`, and those it did not, by reason."""
        found = {"rasa": 0}
        for name, labels, value in (*self._samples("hotline_rasa_answers"), *self._samples("hotline_rasa_fallbacks")):
            if name.endswith("_total"):
                found[labels.get("reason", "rasa")] = round(value)
        return found

    def turns(self, channel: str) -> int | None:
        """Messages of a channel that were handled so far; None for the echo, which counts nothing."""
        if self.fetch("/metrics") is None:
            return None
        found = (
            value
            for name, labels, value in self._samples("hotline_turns")
            if name.endswith("_total") and labels["channel"] == channel
        )
        return round(sum(found))

    def _samples(self, family_name: str) -> Iterator[tuple[str, dict[str, str], float]]:
        for family in text_string_to_metric_families((self.fetch("/metrics") or b"").decode()):
            for sample in family.samples if family.name == family_name else ():
                yield sample.name, sample.labels, sample.value

    def resident(self) -> dict[str, float]:
        """Megabytes of memory that are really held, of the server and of the Valkey that it started."""
        found = {"service": resident_mb(self.process.pid)}
        for child in children(self.process.pid):
            found["valkey"] = found.get("valkey", 0.0) + resident_mb(child)
        return found


@contextlib.contextmanager
def running(
    folder: Path, account: Account, command: Sequence[str], more: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Start it with no settings but ours and `more`; a port is put behind the command.

    Raises `HotlineError` with the end of its log when it does not become ready.
    """
    port = find_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOTLINE_")} | {
        "HOTLINE_DATA_DIR": str(folder / "data"),
        "HOTLINE_WECHAT_TOKEN": account.token,
        "HOTLINE_WECHAT_APP_ID": account.app_id,
        "HOTLINE_WECHAT_APP_SECRET": "unused",
        "HOTLINE_WECHAT_AES_KEY": account.key,
        # Nothing listens there: what the response could not carry stays in the outbox.
        "HOTLINE_WECHAT_API_URL": "http://127.0.0.1:9",
        **(more or {}),
    }
    with started([*command, str(port)], folder, environment, folder / "log.txt", port, "/readyz") as found:
        yield found


@contextlib.contextmanager
def started(
    command: Sequence[str], cwd: Path, environment: Mapping[str, str], log: Path, port: int, path: str
) -> Iterator[Running]:
    """Any server: it is ready when it answers `path` well. Raises `HotlineError` as `running` does."""
    with log.open("wb") as written:
        begun = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own commands
            command, cwd=cwd, env=dict(environment), stdout=written, stderr=written, start_new_session=True
        )
        running = Running(process, port, log)
        try:
            while running.fetch(path) is None:
                if process.poll() is not None or time.perf_counter() - begun > PATIENCE:
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


def resident_mb(pid: int) -> float:
    """Memory that a process really holds."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def processor_seconds(pid: int) -> float:
    """Processor time that a process has used: it says the same on a busy machine as on a quiet one."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """The processes that it started and that live."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]
