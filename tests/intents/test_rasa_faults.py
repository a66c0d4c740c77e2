"""The Rasa service fails in every way we could think of, on real sockets; each worker is answered all the same."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from intents import model
from intents.engine import Understanding
from intents.local import LocalEngine
from intents.rasa import AT_ONCE, RasaEngine
from tests.intents.rasa_stand_in import DATA, TOKEN, WELL, Asked, StandIn, http, running, said

BUDGET, SOON = 0.3, 1.0
ASKED = "老板欠我三个月工资一直不给"


@pytest.fixture(scope="module")
async def local(small: Path) -> AsyncIterator[LocalEngine]:
    found = LocalEngine(model.load(small), None, None)
    await found.understand(ASKED)  # The first message pays for the rules.
    yield found
    await found.close()


@pytest.fixture
async def rasa() -> AsyncIterator[StandIn]:
    async with running() as found:
        yield found


@pytest.fixture
async def client(rasa: StandIn, local: LocalEngine) -> AsyncIterator[RasaEngine]:
    found = RasaEngine(rasa.url, local, token=TOKEN, budget=BUDGET, data_hash=lambda: DATA)
    yield found
    await found.close()


async def ask(client: RasaEngine, number: int = 0) -> Understanding:
    """A message that the engine has not heard before, answered in time by whoever can."""
    began = time.perf_counter()
    understood = await client.understand(f"{ASKED}，{number}号的事")
    assert time.perf_counter() - began < SOON
    assert understood.ranking[0].topic == "legal.wage_arrears"
    return understood


async def by_local(client: RasaEngine, *reasons: str) -> None:
    """Each message is the local engine's, for these reasons one after the other."""
    for number, reason in enumerate(reasons):
        before = client.counts[reason]
        assert (await ask(client, number)).engine == "local:chars"
        assert client.counts[reason] == before + 1, client.counts
    assert client.counts.total() == len(reasons)


def facts(client: RasaEngine) -> dict[str, object]:
    found = client.status()["rasa"]
    assert isinstance(found, dict)
    return found


async def test_absent_at_the_start(rasa: StandIn, client: RasaEngine) -> None:
    await rasa.kill()
    await client.look()
    assert (facts(client)["ready"], facts(client)["state"]) == (False, "troubled")
    # The look was the first to find out.
    await by_local(client, "absent", "absent", "resting", "resting")
    assert "连不上" in str(facts(client)["why"])


async def test_killed_in_mid_request(rasa: StandIn, client: RasaEngine) -> None:
    assert (await ask(client)).engine == "rasa"

    async def die(_: Asked) -> bytes | None:
        await rasa.kill()
        return None

    rasa.parse = die
    assert (await ask(client, 1)).engine == "local:chars"
    assert client.counts["absent"] == 1, "the connection was kept, so it was tried once more: nobody is there"


async def test_killed_in_mid_answer(rasa: StandIn, client: RasaEngine) -> None:
    async def half(_: Asked) -> bytes:
        asyncio.get_running_loop().call_later(0.02, rasa.hang_up)
        return said(WELL)[:200]

    rasa.parse = half
    await by_local(client, "dropped", "dropped", "dropped", "resting")


@pytest.mark.parametrize("hold", [10.0, 3600.0], ids=["slow by ten seconds", "hung"])
async def test_slow_and_hung(rasa: StandIn, client: RasaEngine, hold: float) -> None:
    async def wait(_: Asked) -> bytes:
        await asyncio.sleep(hold)
        return said(WELL)

    rasa.parse = wait
    await by_local(client, "slow", "slow", "slow", "resting")
    assert len(rasa.texts) == 3


async def test_a_trickle_does_not_stretch_the_time(rasa: StandIn, client: RasaEngine) -> None:
    """Each byte comes in time, the whole does not."""

    async def trickle(asked: Asked) -> bytes | None:
        await rasa.trickle(asked, said(WELL), every=0.05)
        return None

    rasa.parse = trickle
    await by_local(client, "slow")


async def test_a_second_try_has_no_time_of_its_own(rasa: StandIn, client: RasaEngine) -> None:
    assert (await ask(client)).engine == "rasa"

    async def late(_: Asked) -> bytes | None:
        await asyncio.sleep(0.2)
        return None

    rasa.parse = late
    assert (await ask(client, 1)).engine == "local:chars"
    assert client.counts["slow"] == 1, "with time of its own the second try would have been dropped as the first"


async def test_a_door_that_nobody_opens(local: LocalEngine) -> None:
    """A server that accepts no more connections: the operating system holds ours and says nothing."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        client = RasaEngine(f"http://127.0.0.1:{deaf.getsockname()[1]}", local, budget=BUDGET)
        await by_local(client, "slow", "slow", "slow", "resting")
        await client.close()


async def test_a_wrong_token(rasa: StandIn, local: LocalEngine) -> None:
    client = RasaEngine(rasa.url, local, token="another", budget=BUDGET)
    await by_local(client, "token", "token", "token", "resting")
    assert "HOTLINE_RASA_TOKEN" in str(facts(client)["why"])
    await client.close()


async def test_a_page_instead_of_an_answer(rasa: StandIn, client: RasaEngine) -> None:
    async def page(_: Asked) -> bytes:
        return http(200, "<!doctype html><title>维护中</title>".encode(), "text/html")

    rasa.parse = page
    await by_local(client, "garbled", "garbled", "garbled", "resting")


async def test_started_again_with_another_model(rasa: StandIn, client: RasaEngine) -> None:
    await client.look()
    assert (await ask(client)).engine == "rasa"
    assert facts(client)["data"] == "same"
    await rasa.kill()
    assert (await ask(client, 1)).engine == "local:chars"
    rasa.model_file, rasa.sheet = "hotline-ba9876543210.tar.gz", WELL | {"data_hash": "ba9876543210" + "0" * 52}
    await rasa.start()
    assert (await ask(client, 2)).engine == "rasa"
    assert (facts(client)["data"], facts(client)["ready"]) == ("different", False)
    await client.look()
    assert facts(client)["data_hash"] == "ba9876543210"


@pytest.mark.parametrize(("hold", "budget"), [(0.01, 5.0), (3600.0, BUDGET)], ids=["well", "hung"])
async def test_two_hundred_at_once(rasa: StandIn, local: LocalEngine, hold: float, budget: float) -> None:
    async def wait(_: Asked) -> bytes:
        await asyncio.sleep(hold)
        return said(WELL)

    rasa.parse = wait
    client = RasaEngine(rasa.url, local, token=TOKEN, budget=budget)
    understood = await asyncio.gather(*(ask(client, number) for number in range(200)))
    assert [int("".join(filter(str.isdigit, one.text))) for one in understood] == list(range(200))
    assert rasa.most_under_way <= AT_ONCE
    assert sum(one.engine == "rasa" for one in understood) == (AT_ONCE if hold < 1 else 0)
    assert client.counts["busy"] == 200 - AT_ONCE
    assert client.counts.total() == 200
    await client.close()


async def test_it_comes_back_by_itself(rasa: StandIn, client: RasaEngine) -> None:
    """The whole of it on the real clock: gone, left alone, back."""
    await rasa.kill()
    await by_local(client, "absent", "absent", "absent", "resting")
    await rasa.start()
    watching = asyncio.create_task(client.watch())
    for _ in range(100):
        if (await ask(client, 9)).engine == "rasa":
            break
        await asyncio.sleep(0.1)
    assert facts(client)["state"] == "answering"
    watching.cancel()
