"""A spoken message that a machine wrote down: read back before anything is made of it."""

from __future__ import annotations

import dataclasses
import json

from bot.dialogue import wording
from bot.dialogue.state import Decision, State
from connectors.base import Option, Reply
from intents.engine import Candidate, Command, Entity, FollowUp, Understanding

_OPTIONS = (Option("yes", wording.RIGHT), Option("no", wording.NOT_RIGHT))
_SHOWN = 300


def read_back(state: State, heard: str, understood: Understanding) -> Decision:
    """Ask whether this is what was said. The question that was open waits, and so does what the words mean."""
    words = heard.rstrip("，,。.；; ") if len(heard) <= _SHOWN else f"{heard[:_SHOWN]}……"
    asked = set_aside(state)
    asked = dataclasses.replace(
        asked,
        awaiting="heard",
        options=tuple((option.id, option.label) for option in _OPTIONS),
        heard=_written(understood),
        paused=asked.awaiting,
        paused_options=asked.options,
    )
    said = Reply(wording.READ_BACK.format(words=words), options=_OPTIONS)
    return Decision("read_back", asked, said, spoken=wording.READ_BACK_SPOKEN)


def set_aside(state: State) -> State:
    """As it was before the words were read back: with the question that was open then."""
    if state.awaiting != "heard":
        return state
    return dataclasses.replace(
        state, awaiting=state.paused, options=state.paused_options, heard="", paused=None, paused_options=()
    )


def meant(state: State) -> Understanding:
    """What the words mean that the worker has just confirmed."""
    kept = json.loads(state.heard)
    return Understanding(
        text=kept["text"],
        ranking=[Candidate(topic, confidence) for topic, confidence in kept["ranking"]],
        in_scope=kept["in_scope"],
        command=Command(kept["command"]) if kept["command"] else None,
        follow_up=FollowUp(kept["follow_up"]) if kept["follow_up"] else None,
        second=kept["second"],
        entities=[Entity(*entity) for entity in kept["entities"]],
        engine=kept["engine"],
    )


def _written(understood: Understanding) -> str:
    """All of it but danger, which is answered at once, and what a bare command carries, which is obeyed at once."""
    return json.dumps(
        {
            "text": understood.text,
            "ranking": [[candidate.topic, candidate.confidence] for candidate in understood.ranking[:10]],
            "in_scope": understood.in_scope,
            "command": understood.command,
            "follow_up": understood.follow_up,
            "second": understood.second,
            "entities": [[entity.kind, entity.value, entity.text] for entity in understood.entities],
            "engine": understood.engine,
        },
        ensure_ascii=False,
    )
