"""The Rasa service over HTTP, with a time limit, a breaker, and the engine of this process for whatever goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import structlog

from intents.bands import Bands
from intents.breaker import Breaker
from intents.engine import Understanding
from intents.local import LocalEngine, by_rules
from intents.rasa_answer import NoAnswer, Parsed, Trouble, read_answer, read_status
from intents.text import normalise

log = structlog.get_logger(__name__)

AT_ONCE = 4
"""Messages under way at the service: it takes them one after another, and more would outlast the time limit."""

LOOK_EVERY = 5.0
"""Seconds between two looks at the service by `watch`."""

_LARGEST = 512 * 1024
_KEEP = 4.0
"""Seconds an idle connection is kept: Rasa's own server lets go of it after five."""

_TRIAL = "工资一直不发怎么办"
_WORDS = {
    Trouble.ABSENT: "连不上",
    Trouble.DROPPED: "连接断了",
    Trouble.SLOW: "超过了时限",
    Trouble.TOKEN: "口令不对（HOTLINE_RASA_TOKEN）",
    Trouble.STATUS: "返回了错误",
    Trouble.GARBLED: "返回的不是 JSON",
    Trouble.SHAPE: "返回的内容不全",
    Trouble.TOPIC: "返回了不认识的主题",
    Trouble.NUMBER: "返回的把握不是 0 到 1 的数",
}


class _Stale(Exception):
    """A connection that was kept open had been closed by the other side."""


class RasaEngine:
    """Understands with a Rasa service; a message that it does not answer well and in time is `local`'s.

    `budget` is in seconds and holds for everything that is done with the service for one message. `tell` hears for each
    message what came of it: "rasa", or the reason why it was the local engine's. `data_hash` finds out what data the
    service's model should have learnt from; it may take its time, and None means that there is nothing to compare.
    """

    name = "rasa"

    def __init__(
        self,
        url: str,
        local: LocalEngine,
        *,
        token: str = "",
        budget: float = 0.3,
        data_hash: Callable[[], str | None] = lambda: None,
        tell: Callable[[str], None] = lambda _result: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.local = local
        self.counts: Counter[str] = Counter()
        self._budget = budget
        self._find_hash = data_hash
        self._compared = False
        self._ours: str | None = None
        self._theirs: str | None = None
        self._tell = tell
        self._breaker = Breaker(clock)
        self._under_way = 0
        self._trouble: Trouble | None = None
        self._asked = False
        self._topics = frozenset(local.model.topics)
        self._http = httpx.AsyncClient(
            base_url=url,
            params={"token": token} if token else {},
            headers={"accept-encoding": "identity"},
            timeout=budget,
            # No proxy stands between two parts of one service.
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=AT_ONCE, keepalive_expiry=_KEEP),
        )

    @property
    def bands(self) -> Bands:
        """The local engine's: the service is asked for the same topics with the same confidences."""
        return self.local.bands

    async def understand(self, text: str, crowd: int = 0) -> Understanding:
        """As the local engine does it, with Rasa's ranking of the topics where it comes in time. Never raises."""
        read = normalise(text)
        ruled = by_rules(read)
        if ruled is not None:
            return ruled
        try:
            parsed = await self._parse(read.plain)
        except NoAnswer as missing:
            self._count(missing.trouble)
            return await self.local.understand(text, crowd)
        self._count(self.name)
        return await self.local.conclude(read, parsed.opinion, crowd)

    async def watch(self) -> None:
        """Keep an eye on the service until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """Learn which model the service has; when it is in trouble try it, so that no worker has to find out."""
        try:
            self._theirs = read_status(await self._exchange("GET", "/status"))
        except NoAnswer as missing:
            self._trouble, self._asked = missing.trouble, True
        if self._trouble is not None or not self._asked:
            with contextlib.suppress(NoAnswer):
                await self._parse(_TRIAL)
        if not self._compared:
            self._compared = True
            try:
                self._ours = await asyncio.to_thread(self._find_hash)
            except Exception as error:
                log.warning("rasa_data_unread", error=type(error).__name__)

    def status(self) -> dict[str, object]:
        """For `/readyz`: what the local engine says of itself, and under `rasa` how the service is."""
        differs = self._ours is not None and self._theirs is not None and not _same(self._ours, self._theirs)
        state = "unknown" if not self._asked else "answering" if self._trouble is None else "troubled"
        if self._breaker.open:
            state = "resting"
        why = []
        if self._trouble is not None:
            why.append(f"{_WORDS[self._trouble]}，现由进程内的引擎回答")
        if differs:
            why.append("Rasa 的模型是用另一份问法训练的，请重新训练")
        answered = self.counts[self.name]
        facts: dict[str, object] = {
            "ready": state == "answering" and not differs,
            "state": state,
            "data": "unknown" if not (self._ours and self._theirs) else "different" if differs else "same",
            "data_hash": (self._theirs or "")[:12],
            "expected_hash": (self._ours or "")[:12],
            "answered": answered,
            "fallbacks": self.counts.total() - answered,
        }
        if why:
            facts["why"] = "；".join(why)
        return {**self.local.status(), "engine": self.name, "rasa": facts}

    async def close(self) -> None:
        """`local` is closed by whoever opened it."""
        await self._http.aclose()

    def _count(self, result: str) -> None:
        self.counts[str(result)] += 1
        self._tell(str(result))

    async def _parse(self, plain: str) -> Parsed:
        """Raises `NoAnswer`."""
        if self._under_way >= AT_ONCE:
            raise NoAnswer(Trouble.BUSY)
        if not self._breaker.lets_through():
            raise NoAnswer(Trouble.RESTING)
        self._under_way += 1
        try:
            # Rasa takes a text with a slash in front for the name of an intent.
            body = await self._exchange("POST", "/model/parse", {"text": plain.lstrip("/ ")})
            parsed = read_answer(body, self._topics)
        except NoAnswer as missing:
            self._heard(missing.trouble)
            raise
        except BaseException:
            self._breaker.gave_up()
            raise
        finally:
            self._under_way -= 1
        self._heard(None)
        self._theirs = parsed.data_hash or self._theirs
        return parsed

    def _heard(self, trouble: Trouble | None) -> None:
        """Tell the breaker how it went, and the log when that changes what is done with the next message."""
        self._trouble, self._asked = trouble, True
        was_open = self._breaker.open
        if trouble is None:
            self._breaker.succeeded()
        else:
            self._breaker.failed()
        if self._breaker.open and not was_open:
            log.warning("rasa_away", reason=str(trouble))
        elif was_open and not self._breaker.open:
            log.warning("rasa_back")

    async def _exchange(self, method: str, path: str, sheet: dict[str, Any] | None = None) -> bytes:
        """The body of a good answer, within the budget. Raises `NoAnswer`."""
        try:
            async with asyncio.timeout(self._budget):
                try:
                    return await self._once(method, path, sheet)
                except _Stale:
                    return await self._once(method, path, sheet)
        except (TimeoutError, httpx.TimeoutException):
            raise NoAnswer(Trouble.SLOW) from None
        except httpx.ConnectError:
            raise NoAnswer(Trouble.ABSENT) from None
        except (_Stale, httpx.HTTPError, OSError):
            raise NoAnswer(Trouble.DROPPED) from None

    async def _once(self, method: str, path: str, sheet: dict[str, Any] | None) -> bytes:
        """Raises `_Stale` when a connection that was there before broke."""
        fresh = False

        async def see(event: str, _info: object) -> None:
            nonlocal fresh
            fresh = fresh or event.startswith("connection.connect")

        try:
            async with self._http.stream(method, path, json=sheet, extensions={"trace": see}) as answer:
                if answer.status_code != 200:
                    raise NoAnswer(Trouble.TOKEN if answer.status_code in {401, 403} else Trouble.STATUS)
                body = bytearray()
                async for part in answer.aiter_raw():
                    body += part
                    if len(body) > _LARGEST:
                        raise NoAnswer(Trouble.GARBLED)
                return bytes(body)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            if fresh:
                raise
            raise _Stale from None


def kept_token(data_dir: Path) -> str:
    """The token that `hotline rasa serve` made for this installation; empty when it never ran here."""
    try:
        return (data_dir / "rasa" / "token").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _same(ours: str, theirs: str) -> bool:
    """A model's name carries the first characters alone."""
    length = min(len(ours), len(theirs))
    return ours[:length] == theirs[:length]
