"""The client of the Rasa service: what it sends, what it believes, what stays ours, and when it stops asking."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intents import model
from intents.breaker import FAILURES, FIRST_PAUSE, LONGEST_PAUSE, Breaker
from intents.danger import find_danger
from intents.engine import Command, Danger, IntentEngine
from intents.local import LocalEngine
from intents.questions import OUT_OF_SCOPE, Questions
from intents.rasa import RasaEngine
from intents.rasa_answer import NoAnswer, Parsed, Trouble, read_answer, read_status
from intents.text import normalise
from tests.intents.rasa_stand_in import DATA, TOKEN, WELL, Asked, StandIn, http, parsed, running, said

TOPICS = frozenset(("legal.wage_arrears", "meta.greeting", "meta.self_harm_crisis"))
RECORDED = Path(__file__).with_name("rasa_recorded.json")
ASKED = "老板欠我三个月工资一直不给"


class Time:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def rasa() -> AsyncIterator[StandIn]:
    async with running() as found:
        yield found


@pytest.fixture
def passing() -> Time:
    return Time()


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
async def client(small: Path, rasa: StandIn, passing: Time, heard: list[str]) -> AsyncIterator[RasaEngine]:
    # A machine that does other things at the same time is slow: the limit itself is tried elsewhere.
    local = LocalEngine(model.load(small), None, None)
    found = RasaEngine(
        rasa.url,
        local,
        token=TOKEN,
        budget=5.0,
        data_hash=lambda: DATA + "ffff",
        tell=heard.append,
        clock=passing,
    )
    yield found
    await found.close()
    await local.close()


async def test_the_ranking_is_rasas_and_the_rest_is_ours(client: RasaEngine, rasa: StandIn, heard: list[str]) -> None:
    understood = await client.understand(ASKED)
    assert isinstance(client, IntentEngine)
    assert understood.engine == "rasa"
    assert [(one.topic, one.confidence) for one in understood.ranking] == [
        ("legal.wage_arrears", 0.91),
        ("meta.greeting", 0.05),
    ]
    assert (understood.in_scope, understood.danger, understood.text) == (0.98, None, ASKED)
    assert [entity.value for entity in understood.entities if entity.kind == "months"] == ["3"]
    (asked,) = rasa.asked
    assert (asked.method, asked.path, asked.token, asked.sheet) == ("POST", "/model/parse", TOKEN, {"text": ASKED})
    assert heard == ["rasa"]


async def test_it_is_asked_in_plain_words_and_never_for_an_intent_by_name(client: RasaEngine, rasa: StandIn) -> None:
    await client.understand("/ 老闆欠薪ＡＢ😀")
    assert rasa.texts == ["老板欠薪ab"]


async def test_what_a_rule_decides_is_not_asked(client: RasaEngine, rasa: StandIn) -> None:
    assert (await client.understand("转人工")).command is Command.PERSON
    assert (await client.understand("。。。")).in_scope == 0.0
    assert rasa.asked == []


async def test_a_person_beside_a_matter(client: RasaEngine) -> None:
    understood = await client.understand("公司拖欠工资，转人工")
    assert (understood.command, understood.pure, understood.engine) == (Command.PERSON, False, "rasa")


async def test_danger_in_words_leads_whatever_rasa_ranks(client: RasaEngine) -> None:
    understood = await client.understand("工资不给我就不想活了")
    assert understood.danger is Danger.SELF_HARM
    assert [one.topic for one in understood.ranking[:2]] == ["meta.self_harm_crisis", "legal.wage_arrears"]


async def test_danger_that_rasa_senses_rings(client: RasaEngine, rasa: StandIn) -> None:
    unsure = parsed(("legal.wage_arrears", 0.4), ("meta.greeting", 0.3))
    rasa.sheet = unsure | {"danger": "accident", "alarm": 1.1}
    assert (await client.understand("这边情况不太好")).danger is Danger.ACCIDENT
    # As for our own classifier: what is clearly about something else does not ring by resemblance.
    rasa.sheet = WELL | {"danger": "accident", "alarm": 1.1}
    assert (await client.understand("这边情况不太好")).danger is None
    rasa.sheet = unsure | {"danger": "accident", "alarm": 0.9}
    assert (await client.understand("这边情况不太好")).danger is None


async def test_ours_listens_for_danger_where_rasa_does_not(client: RasaEngine, rasa: StandIn) -> None:
    """A pipeline of Rasa's own parts says nothing of danger."""
    unsure = parsed(("legal.wage_arrears", 0.4), ("meta.greeting", 0.3))
    rasa.sheet = {key: value for key, value in unsure.items() if key not in {"danger", "alarm", "scope", "data_hash"}}
    understood = await client.understand("等你们上班，我人都凉了")
    assert find_danger(normalise(understood.text)) is None, "the message is for a classifier: no rule rings"
    assert (understood.engine, understood.danger) == ("rasa", Danger.SELF_HARM)


async def test_what_is_not_ours_is_led_by_the_refusal(client: RasaEngine, rasa: StandIn) -> None:
    rasa.sheet = parsed(("legal.wage_arrears", 0.3), scope=0.01)
    assert (await client.understand("帮我写个冒泡排序")).ranking[0].topic == OUT_OF_SCOPE
    # A pipeline without our scope score has a topic of its own for it.
    rasa.sheet = parsed((OUT_OF_SCOPE, 0.97), ("legal.wage_arrears", 0.03), scope=None)
    understood = await client.understand("帮我画个流程图")
    assert understood.in_scope == pytest.approx(0.03)
    assert [one.topic for one in understood.ranking] == [OUT_OF_SCOPE, "legal.wage_arrears"]


async def test_connections_are_kept(client: RasaEngine, rasa: StandIn) -> None:
    for _ in range(3):
        await client.understand(ASKED)
    assert rasa.connections == 1


async def test_a_kept_connection_that_was_dropped_is_tried_once_more(
    client: RasaEngine, rasa: StandIn, heard: list[str]
) -> None:
    await client.understand(ASKED)
    rasa.parse = _hang_up_on(1)
    assert (await client.understand(ASKED)).engine == "rasa"
    assert [one.connection for one in rasa.asked] == [1, 1, 2]
    assert heard == ["rasa", "rasa"]


async def test_only_once_more(client: RasaEngine, rasa: StandIn, heard: list[str]) -> None:
    await client.understand(ASKED)
    rasa.parse = _hang_up_on(1, 2)
    assert (await client.understand(ASKED)).engine == "local:chars"
    assert [one.connection for one in rasa.asked] == [1, 1, 2]
    assert heard == ["rasa", "dropped"]


async def test_a_new_connection_that_is_dropped_is_not_tried_again(
    client: RasaEngine, rasa: StandIn, heard: list[str]
) -> None:
    rasa.parse = _hang_up_on(1)
    assert (await client.understand(ASKED)).engine == "local:chars"
    assert (len(rasa.asked), heard) == (1, ["dropped"])


def _hang_up_on(*connections: int) -> Any:
    async def answer(asked: Asked) -> bytes | None:
        return None if asked.connection in connections else said(WELL)

    return answer


BAD: list[tuple[Trouble, bytes]] = [
    (Trouble.GARBLED, http(200, b"<html><body>502 Bad Gateway</body></html>", "text/html")),
    (Trouble.GARBLED, http(200, b"")),
    (Trouble.GARBLED, http(200, b"\xff\xfe")),
    (Trouble.GARBLED, http(200, b"[" * 100_000)),
    (Trouble.GARBLED, http(200, b" " * 600_000 + json.dumps(WELL).encode())),
    (Trouble.SHAPE, said([WELL])),
    (Trouble.SHAPE, said({})),
    (Trouble.SHAPE, said(WELL | {"intent": None})),
    (Trouble.SHAPE, said(WELL | {"intent_ranking": []})),
    (Trouble.SHAPE, said(WELL | {"intent_ranking": {}})),
    (Trouble.SHAPE, said(WELL | {"intent_ranking": ["legal.wage_arrears"]})),
    (Trouble.SHAPE, said(WELL | {"intent_ranking": [{"name": None, "confidence": 0.0}]})),
    (Trouble.SHAPE, said(parsed(("legal.wage_arrears", "0.9")))),  # type: ignore[arg-type]
    (Trouble.SHAPE, said(parsed(("legal.wage_arrears", True)))),
    (Trouble.SHAPE, said(parsed((OUT_OF_SCOPE, 1.0)))),
    (Trouble.SHAPE, said(WELL | {"scope": "high"})),
    (Trouble.SHAPE, said(WELL | {"alarm": []})),
    (Trouble.TOPIC, said(parsed(("legal.wages_of_sin", 0.9)))),
    (Trouble.TOPIC, said(parsed(("legal.wage_arrears", 0.9), ("nlu_fallback", 0.1)))),
    (Trouble.TOPIC, said(WELL | {"danger": "boredom"})),
    (Trouble.NUMBER, said(parsed(("legal.wage_arrears", math.nan)))),
    (Trouble.NUMBER, said(parsed(("legal.wage_arrears", math.inf)))),
    (Trouble.NUMBER, said(parsed(("legal.wage_arrears", 1.2)))),
    (Trouble.NUMBER, said(parsed(("legal.wage_arrears", -0.2)))),
    (Trouble.NUMBER, said(parsed(("legal.wage_arrears", 10**400)))),
    (Trouble.NUMBER, said(WELL | {"scope": math.nan})),
    (Trouble.NUMBER, said(WELL | {"alarm": math.nan})),
    (Trouble.STATUS, http(500, b"{}")),
    (Trouble.STATUS, said({"reason": "Conflict", "message": "No agent loaded."}, 409)),
    (Trouble.STATUS, b"HTTP/1.1 302 X\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"),
    (Trouble.TOKEN, said({"reason": "NotAuthenticated"}, 401)),
    (Trouble.DROPPED, b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    (Trouble.DROPPED, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    (Trouble.GARBLED, b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),
]


@pytest.mark.parametrize(("trouble", "answer"), BAD, ids=range(len(BAD)))
async def test_a_bad_answer_is_a_failure_with_a_reason(
    client: RasaEngine, rasa: StandIn, heard: list[str], trouble: Trouble, answer: bytes
) -> None:
    async def bad(_: Asked) -> bytes:
        return answer

    rasa.parse = bad
    understood = await client.understand(ASKED)
    assert understood.engine == "local:chars"
    assert understood.ranking[0].topic == "legal.wage_arrears"
    assert heard == [trouble]


def test_what_a_real_service_answered_is_read_as_it_was_meant(questions: Questions) -> None:
    """Recorded from Rasa 3.6.21 with the shipped pipeline."""
    recorded = {row["what"]: row for row in json.loads(RECORDED.read_text("utf-8"))}
    topics = frozenset(questions)

    def read(what: str) -> Parsed:
        return read_answer(json.dumps(recorded[what]["answer"]).encode(), topics)

    data_hash = read_status(json.dumps(recorded["status"]["answer"]).encode())
    asked = read("a question")
    assert (asked.opinion.ranking[0].topic, len(asked.opinion.ranking)) == ("legal.wage_arrears", 10)
    assert (asked.opinion.danger, asked.opinion.alarm) == (Danger.SELF_HARM, 0.00284)
    assert asked.data_hash
    assert data_hash
    assert asked.data_hash.startswith(data_hash)
    outside = read("not ours").opinion
    assert outside.in_scope == 0.006552
    assert OUT_OF_SCOPE not in {one.topic for one in outside.ranking}
    assert read("one word").opinion.ranking[0].topic == "legal.housing_fund"
    assert recorded["a wrong token"]["status"] == 401


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(sorted(TOPICS)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "confidence", "intent", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.binary(max_size=60) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_at_all_is_an_opinion_or_a_reason(body: bytes) -> None:
    for read in (lambda: read_answer(body, TOPICS), lambda: read_status(body)):
        try:
            read()
        except NoAnswer:
            continue


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(WELL)), _JSON, max_size=3))
def test_a_spoilt_answer_never_becomes_a_wrong_opinion(spoilt: dict[str, Any]) -> None:
    try:
        found = read_answer(json.dumps(WELL | spoilt).encode(), TOPICS)
    except NoAnswer:
        return
    confidences = [one.confidence for one in found.opinion.ranking]
    assert confidences == sorted(confidences, reverse=True)
    assert all(0 <= one <= 1 for one in (*confidences, found.opinion.in_scope))
    assert {one.topic for one in found.opinion.ranking} <= TOPICS


async def test_after_failures_in_a_row_it_is_left_alone_and_then_tried(
    client: RasaEngine, rasa: StandIn, passing: Time, heard: list[str]
) -> None:
    rasa.parse = _hang_up_on(*range(1, 5))
    for _ in range(FAILURES + 2):
        await client.understand(ASKED)
    assert (len(rasa.asked), heard[-2:]) == (FAILURES, ["resting", "resting"])
    assert client.status()["rasa"]["state"] == "resting"  # type: ignore[index]
    passing.now += FIRST_PAUSE
    await client.understand(ASKED)
    passing.now += FIRST_PAUSE
    await client.understand(ASKED)
    assert heard[-2:] == ["dropped", "resting"], "the pause has grown"
    passing.now += FIRST_PAUSE
    assert [(await client.understand(ASKED)).engine for _ in range(2)] == ["rasa", "rasa"]
    assert len(rasa.asked) == FAILURES + 3


async def test_one_good_answer_ends_the_row(client: RasaEngine, rasa: StandIn) -> None:
    for bad in (True, True, False, True, True):
        rasa.parse = _hang_up_on(*range(1, 99)) if bad else None
        await client.understand(ASKED)
    assert client.status()["rasa"]["state"] == "troubled"  # type: ignore[index]


async def test_looking_brings_it_back_without_a_worker(client: RasaEngine, rasa: StandIn, passing: Time) -> None:
    await rasa.kill()
    for _ in range(FAILURES):
        await client.understand(ASKED)
    await rasa.start()
    passing.now += FIRST_PAUSE
    await client.look()
    assert client.status()["rasa"]["state"] == "answering"  # type: ignore[index]


async def test_a_worker_who_leaves_during_the_try_does_not_block_the_next(
    client: RasaEngine, rasa: StandIn, passing: Time
) -> None:
    rasa.parse = _hang_up_on(1, 2, 3)
    for _ in range(FAILURES):
        await client.understand(ASKED)
    passing.now += FIRST_PAUSE
    asked = asyncio.Event()

    async def hang(_: Asked) -> bytes:
        asked.set()
        await asyncio.sleep(60)
        return b""

    rasa.parse = hang
    left = asyncio.create_task(client.understand(ASKED))
    await asked.wait()
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    rasa.parse = None
    assert (await client.understand(ASKED)).engine == "rasa"


async def test_the_models_data_is_compared(client: RasaEngine, rasa: StandIn) -> None:
    assert _facts(client) == ("unknown", "unknown", False)
    await client.look()
    assert _facts(client) == ("answering", "same", True)
    rasa.model_file = "hotline-ffffffffffff.tar.gz"
    await client.look()
    assert _facts(client) == ("answering", "different", False)
    assert "另一份问法" in str(client.status()["rasa"])
    rasa.model_file = "20261122-101010-brown-fox.tar.gz"
    await client.look()
    assert _facts(client) == ("answering", "unknown", True)


async def test_questions_that_cannot_be_read_are_compared_with_nothing(small: Path, rasa: StandIn) -> None:
    def unreadable() -> str:
        raise KeyError("groups")

    local = LocalEngine(model.load(small), None, None)
    client = RasaEngine(rasa.url, local, token=TOKEN, budget=5.0, data_hash=unreadable)
    await client.look()
    assert _facts(client) == ("answering", "unknown", True)
    await client.close()
    await local.close()


async def test_an_answer_tells_of_another_model_at_once(client: RasaEngine, rasa: StandIn) -> None:
    await client.look()
    rasa.sheet = WELL | {"data_hash": "f" * 64}
    await client.understand(ASKED)
    assert _facts(client) == ("answering", "different", False)


def _facts(client: RasaEngine) -> tuple[object, object, object]:
    status = client.status()
    assert (status["engine"], status["ready"]) == ("rasa", True)
    facts = status["rasa"]
    assert isinstance(facts, dict)
    return facts["state"], facts["data"], facts["ready"]


async def test_what_it_says_of_itself_is_json(client: RasaEngine) -> None:
    await client.understand(ASKED)
    assert json.loads(json.dumps(client.status()))["rasa"]["answered"] == 1


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["ask well", "ask ill", "leave", "wait 1", "wait 40"]), max_size=60))
def test_a_breaker_never_shuts_for_good_and_never_lets_a_crowd_through(steps: list[str]) -> None:
    time = Time()
    breaker = Breaker(time)
    failures, opened = 0, 0.0
    for step in steps:
        if step.startswith("wait"):
            time.now += float(step.split()[1])
            continue
        was_open, through = breaker.open, breaker.lets_through()
        assert through or was_open
        if was_open:
            assert through or time.now - opened < LONGEST_PAUSE
            assert not (through and breaker.lets_through()), "one at a time"
            assert not (through and time.now - opened < FIRST_PAUSE)
        if not through:
            continue
        if step == "ask well":
            breaker.succeeded()
            failures = 0
        elif step == "ask ill":
            breaker.failed()
            failures += 1
            opened = time.now
        else:
            breaker.gave_up()
        assert breaker.open == (failures >= FAILURES)
    time.now += LONGEST_PAUSE
    assert breaker.lets_through()
