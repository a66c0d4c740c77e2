"""A crowd of workers on three channels, as their platforms bring them: repeats, rings, second tries."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import httpx

from bot.dialogue import wording
from tests.e2e.service import Server, wechat_at
from tests.e2e.weather import Weather
from tests.telegram_platform import TOKEN, TelegramPlatform
from tests.wechat_client import Answer, Fault, WeChatClient
from tests.wechat_platform import WeChatPlatform
from tests.wecom_client import WeComClient
from tests.wecom_platform import WeComPlatform

CORP_ID, SECRET, CORP_TOKEN = "wx5823bf96d3bd56c7", "s3cret-of-the-app", "QDG6eK"
CORP_KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
ANSWER = re.compile(r"单位要在30天内报：(\d+年\d+月\d+日)起")
# So far ahead of the answers people write; five replies may follow a message on WeChat and WeCom.
AHEAD = 3
PAUSE = 1.0


@dataclass
class Worker:
    """`keys` are the ids of the messages as the service stores them, in the order they were written."""

    channel: str
    name: str
    dates: list[str]
    keys: list[str] = field(default_factory=list)


@dataclass
class Crowd:
    """All workers, what they see, and the three platforms that carry it."""

    server: Server
    http: httpx.AsyncClient
    wechat: WeChatPlatform
    wecom: WeComPlatform
    telegram: TelegramPlatform
    forecast: dict[str, Weather]
    chance: random.Random
    up: asyncio.Event = field(default_factory=asyncio.Event)
    passive: dict[str, tuple[str, float]] = field(default_factory=dict)
    tried: Counter[str] = field(default_factory=Counter)
    repeats: list[asyncio.Task[None]] = field(default_factory=list)
    callbacks: WeChatClient = field(init=False)
    rings: WeComClient = field(init=False)

    def __post_init__(self) -> None:
        self.callbacks = wechat_at(self.server, self.http)
        self.rings = WeComClient(self.server.url, CORP_TOKEN, CORP_ID, CORP_KEY, self.http)

    def seen(self, worker: Worker) -> list[str]:
        """The days that the worker's screen speaks of, from top to bottom; a bubble that names none as it is."""
        match worker.channel:
            case "wechat":
                bubbles = list(self.wechat.shown[worker.name])
            case "wecom":
                bubbles = self.wecom.texts(worker.name)
            case _:
                bubbles = [sent.text for sent in self.telegram.shown[int(worker.name)]]
        return [day for text in bubbles for day in ANSWER.findall(text) or [text[:60]]]

    async def write(self, worker: Worker) -> None:
        """All messages of a worker, one after the other, never more than a few ahead of the answers."""
        bring = {"wechat": self._by_wechat, "wecom": self._by_wecom, "telegram": self._by_telegram}[worker.channel]
        for place, day in enumerate(worker.dates):
            while place - len(set(self.seen(worker))) >= AHEAD:  # noqa: ASYNC110 - the platforms have threads of their own
                await asyncio.sleep(0.1)
            await asyncio.sleep(self.chance.random() * PAUSE)
            await bring(worker, f"工伤最晚哪天报，{day}受伤", self.chance.randint(1, 3))

    async def _by_wechat(self, worker: Worker, words: str, times: int) -> None:
        """Some repeats come while the first delivery is in work, some later, among those of the next messages."""
        number = time.time_ns()
        key = f"{worker.name}:{number}"
        worker.keys.append(key)
        at_once = self.chance.randint(1, times)

        async def deliver(after: float = 0.0) -> None:
            await asyncio.sleep(after)
            answer = await self._until_taken(lambda: self.callbacks.text(worker.name, words, msg_id=number))
            self._read(worker, key, answer)

        for _ in range(times - at_once):
            self.repeats.append(asyncio.create_task(deliver(self.chance.random())))
        self.wechat.contact(worker.name)
        await asyncio.gather(*(deliver() for _ in range(at_once)))

    def _read(self, worker: Worker, key: str, answer: Answer) -> None:
        """The platform shows one reply to one message: what rides on a repeat of it must be the same, and counts once.

        It lands on the same screen as what is pushed.
        """
        if answer.text is None:
            return
        if answer.text == wording.TROUBLE:
            # On a machine that stands still: no answer, so that one has to come all the same.
            self.tried["apologies"] += 1
            return
        if key not in self.passive:
            self.passive[key] = answer.text, time.monotonic()
            self.wechat.shown[worker.name].append(answer.text)
        assert self.passive[key][0] == answer.text, "a repeated delivery was answered otherwise"

    async def _by_telegram(self, worker: Worker, words: str, times: int) -> None:
        """Until there is a 200, and again after it, as when our 200 got lost; the chat's next update waits for that."""
        update = self.telegram.text(int(worker.name), words)
        worker.keys.append(f"{TOKEN.partition(':')[0]}:{update['update_id']}")

        async def deliver() -> None:
            while (await self._until_taken(lambda: self.telegram.deliver(self.http, update))).status_code != 200:
                self.tried["telegram refused"] += 1
                await asyncio.sleep(0.2)

        if times == 2:
            await asyncio.gather(deliver(), deliver())
        else:
            for _ in range(times):
                await deliver()

    async def _by_wecom(self, worker: Worker, words: str, times: int) -> None:
        """A callback only rings; one that finds nobody at home is not repeated, for another will come."""
        worker.keys.append(self.wecom.says(worker.name, words))
        for _ in range(times):
            with contextlib.suppress(httpx.HTTPError):
                await self.rings.ring(self.wecom)
                self.tried["rings"] += 1

    async def _until_taken(self, deliver: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Again while nobody is there, and when the answer came so late that the platform had hung up."""
        while True:
            try:
                return await deliver()
            except httpx.HTTPError:
                self.tried["cut"] += 1
                await self.up.wait()
                await asyncio.sleep(0.1)
            except Fault as fault:
                if not str(fault).startswith("answered after"):
                    raise
                self.tried["too late"] += 1
