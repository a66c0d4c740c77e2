"""The engine inside the process: rules, then the classifier in one thread beside the event loop."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from intents import bands as bands_of_model
from intents import encoders, entities, model, rules
from intents.bands import Bands
from intents.danger import find_danger, waved_off
from intents.encoders import Encoder
from intents.engine import Candidate, Command, Danger, Understanding
from intents.model import Message, Model, Scores, Tier
from intents.questions import OUT_OF_SCOPE
from intents.text import Text, normalise

SHOWN = 10
SURE_ENOUGH, CLEARLY_OURS = 0.75, 0.9
"""The light tier alone decides when it is this sure; the strong encoder costs ten times its time."""

UNEASY = 0.25
"""From this share of the alarm line on, the strong encoder listens too."""

CROWDED, PACKED = 6, 40
"""Messages waiting from which on E5, then USE, is left out."""

REMEMBERED, REMEMBERED_LENGTH = 1000, 40
"""Many ask in the same few words: so many of the last short messages need no second look."""

BY_RULE = 0.99
_RULED = {
    Command.PERSON: "meta.handoff",
    Command.PROGRESS: "meta.ticket_progress",
    Command.GREETING: "meta.greeting",
    Command.THANKS: "meta.thanks_bye",
    Command.IDENTITY: "meta.bot_identity",
    Command.ABUSE: "meta.abuse",
}
_IN_DANGER = {
    Danger.SELF_HARM: "meta.self_harm_crisis",
    Danger.HARM_OTHERS: "meta.self_harm_crisis",
    Danger.ACCIDENT: "safety.immediate_danger",
    Danger.VIOLENCE: "safety.immediate_danger",
    Danger.CHILD_LABOUR: "legal.minor_worker",
    Danger.GROUP_PROTEST: "legal.collective_incident",
}

_TOPICS_OF_DANGER = {"meta.self_harm_crisis": Danger.SELF_HARM, "safety.immediate_danger": Danger.ACCIDENT}
LEADS_CLEARLY, PART_OF_ALARM = 0.7, 0.6
_LISTENED_TO_TWICE = {
    *_TOPICS_OF_DANGER,
    "legal.minor_worker",
    "legal.workplace_abuse",
    "legal.collective_incident",
    "service.counseling",
}

_NEAR_DANGER = {*_LISTENED_TO_TWICE, "meta.abuse", "safety.hazard_report", "legal.harassment_discrimination"}
SURELY_ELSE = 0.8
"""A message this clearly about something harmless does not ring by resemblance; by a rule it still does."""

_ENDS = re.compile(r"[.;?!\n]+|(?:^|(?<=[ ,.]))(?:\d|[一二三四五])[、.)](?!\d)")
_LINKS = re.compile(
    r"[,. ]*(?:另外|还有|顺便|再问一?下|再问一?个|还想问|还想咨询|第二个问题|其次)[,: ]*(?:问一?下|就是|个事|一个)?"
)
_ASKS = re.compile(
    r"怎么|咋|欠|没给|不给|没交|不交|没签|不签|吗|么|嘛|能不能|可不可以|多少|哪|如何|可以|要不要|啥|什么|几|呢|是不是|算不算|该|想|要|帮|办|会不会|有没有|合法|行不"
)
_COMMAS = re.compile(r"[ ,]+")
SHORTEST_PART = 4
LINKED_SURE, APART_SURE = 0.5, 0.7
BESIDE, LONG_BREATH = 0.25, 30
"""A runner-up this likely is a second request when the message is short: a long story has many words and one wish."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a classifier, ours or another, makes of a message before the rules have their say.

    `ranking` holds topics alone, best first. `alarm` is how near `danger` comes to the line where it rings (1 is on the
    line); `danger` is None when the classifier does not listen for danger.
    """

    ranking: Sequence[Candidate]
    in_scope: float
    danger: Danger | None
    alarm: float
    by: str


class LocalEngine:
    """Understands in this process. `bands` are those chosen with the engine."""

    name = "local"

    def __init__(self, trained: Model, use: Encoder | None, e5: Encoder | None, bands: Bands | None = None) -> None:
        self.model = trained
        self.bands = bands or bands_of_model.chosen()
        self._use = use if _fits(trained, use) else None
        self._e5 = e5 if self._use is not None and _fits(trained, e5) else None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="understand")
        self._waiting = 0
        self._known: OrderedDict[str, Understanding] = OrderedDict()

    @classmethod
    def load(cls, folder: Path, bands: Bands | None = None) -> LocalEngine:
        """The engine that `hotline kb train` put into `folder`. Raises `NotTrained`."""
        return cls(model.load(folder), encoders.load_use(), encoders.load_e5(), bands)

    async def understand(self, text: str, crowd: int = 0) -> Understanding:
        """Rules first, then the model. Never raises on any text; the arithmetic runs in the engine's own thread."""
        read = normalise(text)
        ruled = by_rules(read)
        if ruled is not None:
            return ruled
        if (known := self._known.get(read.raw)) is not None:
            self._known.move_to_end(read.raw)
            return known
        tier = self.tier_for(max(self._waiting + 1, crowd))
        judged = await self._aside(lambda: self._judge(read, self._opinion(read.plain, tier), tier))
        if tier is self.tier_for(0) and len(read.raw) <= REMEMBERED_LENGTH:
            self._known[read.raw] = judged
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return judged

    async def conclude(self, read: Text, opinion: Opinion, crowd: int = 0) -> Understanding:
        """What `understand` makes of a message whose topics another classifier has ranked: all but the ranking is ours.

        Where that classifier does not listen for danger, this one does.
        """
        tier = self.tier_for(max(self._waiting + 1, crowd))

        def finish() -> Understanding:
            heard = opinion
            if heard.danger is None:
                own = self._opinion(read.plain, tier)
                heard = replace(heard, danger=own.danger, alarm=own.alarm)
            return self._judge(read, heard, tier)

        return await self._aside(finish)

    async def _aside(self, work: Callable[[], Understanding]) -> Understanding:
        """Run the arithmetic in the engine's own thread, and be counted among those who wait for it."""
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1

    def tier_for(self, waiting: int) -> Tier:
        """The best tier that can be afforded while so many messages wait."""
        if self._use is None or waiting >= PACKED:
            return Tier.CHARS
        return Tier.FAST if self._e5 is None or waiting >= CROWDED else Tier.FULL

    def status(self) -> dict[str, object]:
        """For `/readyz`: what is loaded, what is missing, how many wait."""
        missing = [name for name, encoder in (("use", self._use), ("e5", self._e5)) if encoder is None]
        return {
            "engine": self.name,
            "ready": True,
            "tier": str(self.tier_for(0)),
            "missing": missing,
            "model": self.model.seal[:12],
            "topics": len(self.model.topics),
            "waiting": self._waiting,
        }

    async def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def score(self, plain: str, tier: Tier) -> Scores:
        """Chances for one text, with E5 only where the light tier is not sure enough."""
        if tier is Tier.CHARS or self._use is None:
            return self.model.score(Message(plain))
        use = self._use.encode([plain])[0]
        light = self.model.score(Message(plain, use))
        place, chance = light.best()
        sure = chance >= SURE_ENOUGH and light.in_scope >= CLEARLY_OURS and light.alarm < UNEASY
        sure = sure and self.model.topics[place] not in _LISTENED_TO_TWICE
        if tier is Tier.FAST or self._e5 is None or sure:
            return light
        return self.model.score(Message(plain, use, self._e5.encode([plain])[0]))

    def _opinion(self, plain: str, tier: Tier) -> Opinion:
        scores = self.score(plain, tier)
        return Opinion(self._ranking(scores), scores.in_scope, scores.danger, scores.alarm, f"local:{scores.tier}")

    def _judge(self, read: Text, opinion: Opinion, tier: Tier) -> Understanding:
        ranking = list(opinion.ranking)
        said = rules.read(read)
        heard = find_danger(read)
        danger = heard[0] if heard else self._sensed(read, opinion)
        in_scope = opinion.in_scope
        second = self._second(read.plain, ranking, tier)
        if danger is not None:
            ranking = _led_by(_IN_DANGER[danger], ranking)
            in_scope = 1.0
        elif said.command is not None:
            in_scope = max(in_scope, 0.5)
        elif in_scope < self.bands.scope:
            ranking.append(Candidate(OUT_OF_SCOPE, round(1.0 - in_scope, 4)))
            ranking.sort(key=lambda candidate: -candidate.confidence)
        return Understanding(
            text=read.raw,
            ranking=ranking[:SHOWN],
            in_scope=in_scope,
            danger=danger,
            command=said.command,
            follow_up=said.follow_up,
            pure=said.pure,
            second=second,
            entities=entities.find(read.plain),
            engine=opinion.by,
        )

    def _sensed(self, read: Text, opinion: Opinion) -> Danger | None:
        """Danger that no rule put into words: the alarm, or part of one when a topic of danger leads."""
        kind, first = opinion.danger, opinion.ranking[0]
        if opinion.alarm < 1.0:
            leads = opinion.alarm >= PART_OF_ALARM and first.confidence >= LEADS_CLEARLY
            kind = _TOPICS_OF_DANGER.get(first.topic) if leads else None
        elif first.confidence >= SURELY_ELSE and first.topic not in _NEAR_DANGER:
            return None
        return None if kind is None or waved_off(read, kind) else kind

    def _ranking(self, scores: Scores) -> list[Candidate]:
        best = np.argsort(-scores.chances)[:SHOWN]
        return [Candidate(self.model.topics[place], round(float(scores.chances[place]), 4)) for place in best]

    def _second(self, plain: str, ranking: Sequence[Candidate], tier: Tier) -> str | None:
        """Another topic that the message asks about: in a part of its own, or beside the first in one breath."""
        first = ranking[0].topic
        parts = [part.strip(" ,") for half in _LINKS.split(plain) for part in _ENDS.split(half)]
        if len(plain) <= LONG_BREATH:
            parts = [piece for part in parts for piece in _COMMAS.split(part)]
        parts = [part for part in parts if _is_request(part)][:4]
        line = LINKED_SURE if _LINKS.search(plain) else APART_SURE
        found = [topic for part in parts if (topic := self._asked_in(part, line, tier))] if len(parts) > 1 else []
        if others := [topic for topic in found if topic != first]:
            return others[0] if len(set(found)) > 1 or ranking[0].confidence >= line else None
        beside = ranking[1] if len(ranking) > 1 and len(plain) <= LONG_BREATH else None
        if beside and beside.confidence >= BESIDE and not beside.topic.startswith("meta."):
            return beside.topic
        return None

    def _asked_in(self, part: str, line: float, tier: Tier) -> str | None:
        scores = self.score(part, Tier.FAST if tier is Tier.FULL else tier)
        place, chance = scores.best()
        topic = self.model.topics[place]
        return topic if chance >= line and scores.in_scope >= 0.5 and not topic.startswith("meta.") else None


def _is_request(part: str) -> bool:
    return len(part) >= SHORTEST_PART and bool(_ASKS.search(part))


def by_rules(read: Text) -> Understanding | None:
    """The understanding of a message that a rule decides alone; None when the model has to be asked."""
    if find_danger(read) is not None:
        return None
    said = rules.read(read)
    if said.noise:
        return Understanding(text=read.raw, in_scope=0.0, pure=True)
    if not said.pure or said.follow_up is not None:
        return None
    topic = _RULED.get(said.command) if said.command is not None else None
    ranking = (Candidate(topic, BY_RULE),) if topic else ()
    return Understanding(text=read.raw, ranking=ranking, command=said.command, choice=said.choice, pure=True)


def _led_by(topic: str, ranking: Sequence[Candidate]) -> list[Candidate]:
    return [Candidate(topic, BY_RULE), *(candidate for candidate in ranking if candidate.topic != topic)]


def _fits(trained: Model, encoder: Encoder | None) -> bool:
    """Whether the model was trained with exactly this encoder."""
    known = trained.facts.get("encoders")
    return encoder is not None and isinstance(known, dict) and known.get(encoder.name) == encoder.version
