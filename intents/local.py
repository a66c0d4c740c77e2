"""The engine inside the process: rules, then the classifier in one thread beside the event loop."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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
LEADS_CLEARLY, PART_OF_ALARM = 0.7, 0.4
_LISTENED_TO_TWICE = {
    *_TOPICS_OF_DANGER,
    "legal.minor_worker",
    "legal.workplace_abuse",
    "legal.collective_incident",
    "service.counseling",
}

_ENDS = re.compile(r"[.;?!\n]+|(?:^|(?<=[ ,.]))(?:\d|[一二三四五])[、.)](?!\d)")
_LINKS = re.compile(
    r"[,. ]*(?:另外|还有|顺便|再问一?下|再问一?个|还想问|还想咨询|第二个问题|其次)[,: ]*(?:问一?下|就是|个事|一个)?"
)
_ASKS = re.compile(
    r"怎么|咋|吗|么|嘛|能不能|可不可以|多少|哪|如何|可以|要不要|啥|什么|几|呢|是不是|算不算|该|想|要|帮|办|会不会|有没有|合法|行不"
)
LINKED_SURE, APART_SURE = 0.5, 0.7


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
        self._waiting += 1
        tier = self.tier_for(max(self._waiting, crowd))
        try:
            judged = await asyncio.get_running_loop().run_in_executor(self._thread, self._judge, read, tier)
        finally:
            self._waiting -= 1
        if tier is self.tier_for(0) and len(read.raw) <= REMEMBERED_LENGTH:
            self._known[read.raw] = judged
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return judged

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

    def _judge(self, read: Text, tier: Tier) -> Understanding:
        scores = self.score(read.plain, tier)
        ranking = self._ranking(scores)
        said = rules.read(read)
        heard = find_danger(read)
        danger = heard[0] if heard else self._sensed(read, scores, ranking[0])
        in_scope = scores.in_scope
        second = self._second(read.plain, ranking[0].topic, tier)
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
            engine=f"local:{scores.tier}",
        )

    def _sensed(self, read: Text, scores: Scores, first: Candidate) -> Danger | None:
        """Danger that no rule put into words: the alarm, or part of one when a topic of danger leads."""
        kind: Danger | None = scores.danger
        if scores.alarm < 1.0:
            leads = scores.alarm >= PART_OF_ALARM and first.confidence >= LEADS_CLEARLY
            kind = _TOPICS_OF_DANGER.get(first.topic) if leads else None
        return None if kind is None or waved_off(read, kind) else kind

    def _ranking(self, scores: Scores) -> list[Candidate]:
        best = np.argsort(-scores.chances)[:SHOWN]
        return [Candidate(self.model.topics[place], round(float(scores.chances[place]), 4)) for place in best]

    def _second(self, plain: str, first: str, tier: Tier) -> str | None:
        """Another topic that a part of the message of its own asks about, if there is a sure one."""
        linked = bool(_LINKS.search(plain))
        parts = [part.strip(" ,") for half in _LINKS.split(plain) for part in _ENDS.split(half)]
        parts = [part for part in parts if len(part) >= 5 and _ASKS.search(part)][:4]
        if len(parts) < 2:
            return None
        sure = LINKED_SURE if linked else APART_SURE
        found = []
        for part in parts:
            scores = self.score(part, Tier.FAST if tier is Tier.FULL else tier)
            place, chance = scores.best()
            topic = self.model.topics[place]
            if chance >= sure and scores.in_scope >= 0.5 and not topic.startswith("meta.") and topic not in found:
                found.append(topic)
        others = [topic for topic in found if topic != first]
        return others[0] if len(found) >= 2 else None


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
