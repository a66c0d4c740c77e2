"""How the service is: what `/readyz` says, in words, and what waits to be sent."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from fastapi import APIRouter, Request, Response
from prometheus_client import Counter, Gauge
from sqlalchemy import func, select

from bot import metrics
from bot.api.health import readiness
from bot.console.access import Seated
from bot.console.pages import CHANNELS, ConsoleRoute, hotline_of, lasting, render
from bot.errors import Unavailable
from bot.hotline import Hotline
from bot.models import Message
from connectors.abilities import HoldsToken

router = APIRouter(route_class=ConsoleRoute)
_WAITING = {"pending": "等着发", "sending": "正在发", "held": "等对方来信再发", "failed": "没送达"}
_NAMES = {"database": "数据库", "redis": "Redis", "engine": "理解引擎", "rasa": "Rasa", "knowledge": "知识库"}
_FACTS = {
    "engine": "引擎",
    "tier": "档位",
    "model": "模型",
    "topics": "主题",
    "waiting": "排队",
    "articles": "条目",
    "version": "版本",
    "why": "原因",
    "state": "状态",
    "data": "问法",
    "data_hash": "它学的",
    "expected_hash": "本机的",
    "answered": "它答了",
    "fallbacks": "由进程内引擎答了",
}
_VALUES = {
    "answering": "正常",
    "troubled": "有问题",
    "resting": "暂停使用，到时再试",
    "unknown": "还不知道",
    "same": "与本机一致",
    "different": "与本机不同",
}
_SILENT = {"ok", "ready"}


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    good: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """Of one channel, since this process started. `held` are those that the platform's quota or window kept back."""

    name: str
    last_push: str
    token_age: str
    sent: int
    retried: int
    held: int
    failed: int
    refusals: Mapping[str, int]


@router.get("/status")
async def show(request: Request, seat: Seated) -> Response:
    """Each part as `/readyz` sees it, and the outbox."""
    hotline = hotline_of(request)
    found = await readiness(hotline)
    parts = [Part(_NAMES.get(name, name), _is_good(facts), _said(facts)) for name, facts in found.items()]
    channels = [await _channel(hotline, name) for name in hotline.connectors]
    return render(request, "status.html", seat=seat, parts=parts, channels=channels, backlog=await _backlog(hotline))


async def _channel(hotline: Hotline, name: str) -> Traffic:
    """What went over a channel since this process started, and how fresh its token is."""
    connector, age = hotline.connectors[name], None
    if isinstance(connector, HoldsToken):
        with contextlib.suppress(Unavailable):
            age = await connector.token_age()
    called = _counted(metrics.last_push, name).get("", 0)
    results = _counted(metrics.sent, name, "result")
    return Traffic(
        name=CHANNELS.get(name, name),
        last_push=lasting(timedelta(seconds=time.time() - called)) if called else "",
        token_age=lasting(age) if age is not None else "",
        sent=int(results.get("sent", 0)),
        retried=int(results.get("retry", 0)),
        held=int(results.get("held", 0)),
        failed=int(results.get("failed", 0)),
        refusals={code: int(count) for code, count in _counted(metrics.refusals, name, "code").items() if count},
    )


def _counted(metric: Counter | Gauge, channel: str, label: str = "") -> dict[str, float]:
    """The metric's values for one channel, by another label."""
    return {
        sample.labels.get(label, ""): sample.value
        for family in metric.collect()
        for sample in family.samples
        if sample.labels.get("channel") == channel and not sample.name.endswith("_created")
    }


def _is_good(facts: Mapping[str, object]) -> bool:
    return bool(facts.get("ok")) and facts.get("ready", True) is not False


def _said(facts: Mapping[str, object]) -> str:
    shown = {_FACTS.get(key, key): _VALUES.get(str(value), value) for key, value in facts.items() if key not in _SILENT}
    return "，".join(
        f"{key} {value}" for key, value in shown.items() if value != "" and not isinstance(value, (dict, list))
    )


async def _backlog(hotline: Hotline) -> dict[str, int]:
    async with hotline.db.reading() as session:
        rows = await session.execute(
            select(Message.status, func.count())
            .where(Message.direction == "out", Message.status.in_(_WAITING))
            .group_by(Message.status)
        )
        counts = dict(rows.all())
    return {label: counts.get(status, 0) for status, label in _WAITING.items()}
