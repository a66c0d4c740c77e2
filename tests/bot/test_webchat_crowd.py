"""Quiet times ask nothing of a visitor; a rush asks for a little work; a flood is turned away."""

from __future__ import annotations

import hashlib
import itertools
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.api.crowd import Proof, network_of, solves
from bot.bell import Bell
from bot.hotline import Hotline
from bot.settings import Settings, settings
from tests.bot.console_seat import browser
from tests.conftest import Clock

USUAL = 10


@pytest.fixture
def configured() -> Settings:
    return settings().model_copy(
        update={"chat_network_rate": USUAL, "chat_overall_rate": 4 * USUAL, "chat_message_rate": 100}
    )


@pytest.fixture
async def client(hotline: Hotline) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(hotline, "192.0.2.7") as found:
        yield found


async def begin(client: httpx.AsyncClient, proof: dict[str, str] | None = None) -> httpx.Response:
    client.cookies.clear()
    return await client.post("/api/chat/session", json={"proof": proof} if proof else {})


async def crowd(client: httpx.AsyncClient, count: int = USUAL) -> None:
    """So many who open the page and do no work."""
    for _ in range(count):
        await begin(client)


async def puzzle(client: httpx.AsyncClient) -> dict[str, Any]:
    asked = await begin(client)
    assert asked.status_code == 428, asked.text
    assert asked.json()["error"]
    found: dict[str, Any] = asked.json()["puzzle"]
    return found


def solve(asked: dict[str, Any]) -> dict[str, str]:
    for nonce in itertools.count():
        digest = hashlib.sha256(f"{asked['seed']}:{nonce}".encode()).digest()
        if int.from_bytes(digest[:8]) >> (64 - asked["bits"]) == 0:
            return {"seed": asked["seed"], "nonce": str(nonce)}
    raise AssertionError


async def enter(client: httpx.AsyncClient) -> httpx.Response:
    """With the work done where it is asked for."""
    asked = await begin(client)
    return await begin(client, solve(asked.json()["puzzle"])) if asked.status_code == 428 else asked


async def test_quiet_times_ask_nothing(client: httpx.AsyncClient) -> None:
    assert [(await begin(client)).status_code for _ in range(USUAL)] == [200] * USUAL


async def test_a_rush_asks_for_work_and_work_lets_in(client: httpx.AsyncClient) -> None:
    await crowd(client)
    let_in = await begin(client, solve(await puzzle(client)))
    assert let_in.status_code == 200
    assert (await client.get("/api/chat/messages")).status_code == 200


async def test_who_has_a_session_is_never_asked(client: httpx.AsyncClient) -> None:
    await begin(client)
    kept = dict(client.cookies)
    await crowd(client, 2 * USUAL)
    client.cookies.update(kept)
    assert (await client.post("/api/chat/session")).status_code == 200
    assert (await client.get("/chat")).status_code == 200


async def test_in_a_rush_the_page_comes_without_a_session(client: httpx.AsyncClient) -> None:
    await crowd(client)
    client.cookies.clear()
    page = await client.get("/chat")
    assert page.status_code == 200
    assert "set-cookie" not in page.headers


async def test_the_calm_after_the_rush_asks_nothing_again(client: httpx.AsyncClient, clock: Clock) -> None:
    await crowd(client)
    await puzzle(client)
    clock.forward(minutes=1)
    await puzzle(client)
    clock.forward(minutes=2)
    assert (await begin(client)).status_code == 200


async def test_another_network_is_not_asked_until_all_together_are_too_many(
    hotline: Hotline, client: httpx.AsyncClient
) -> None:
    await crowd(client, USUAL + 1)
    async with browser(hotline, "192.0.2.200") as neighbour, browser(hotline, "198.51.100.1") as other:
        await puzzle(neighbour)
        assert (await begin(other)).status_code == 200
    for number in range(2, 7):
        async with browser(hotline, f"198.51.{number}.1") as more:
            await crowd(more, USUAL - 1)
    async with browser(hotline, "203.0.113.1") as far:
        await puzzle(far)


async def test_a_larger_crowd_has_harder_work_up_to_what_a_phone_bears(client: httpx.AsyncClient) -> None:
    await crowd(client)
    easy = (await puzzle(client))["bits"]
    await crowd(client, 3 * USUAL)
    harder = (await puzzle(client))["bits"]
    await crowd(client, 30 * USUAL)
    assert easy < harder < (await puzzle(client))["bits"] <= 18


async def test_one_solution_lets_in_one(client: httpx.AsyncClient) -> None:
    await crowd(client)
    proof = solve(await puzzle(client))
    assert [(await begin(client, proof)).status_code for _ in range(2)] == [200, 428]


async def test_old_work_and_work_of_ones_own_making_count_for_nothing(client: httpx.AsyncClient, clock: Clock) -> None:
    await crowd(client)
    asked = await puzzle(client)
    proof = solve(asked)
    made, _, rest = asked["seed"].split(".", 2)
    easier = solve({"seed": f"{made}.1.{rest}", "bits": 1})
    for wrong in (
        easier,
        {**proof, "nonce": "0" + proof["nonce"]},
        {"seed": "x", "nonce": "1"},
        {"seed": "", "nonce": "1"},
    ):
        assert (await begin(client, wrong)).status_code == 428
    for _ in range(6):
        clock.forward(minutes=1)
        await crowd(client)
    assert (await begin(client, proof)).status_code == 428


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{",
        b'{"proof": 1}',
        b'{"proof": {"seed": "x"}}',
        b'{"proof": {"seed": "x", "nonce": "-1"}}',
        b'{"x": 1}',
    ],
)
async def test_malformed_work_is_refused_in_words(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/api/chat/session", content=body)
    assert answer.status_code == 422
    assert answer.json()["error"]


async def test_a_flood_is_turned_away_whatever_work_it_shows_and_others_are_not(
    hotline: Hotline, client: httpx.AsyncClient, clock: Clock
) -> None:
    clock.forward(seconds=-(clock.now.timestamp() % 600))
    for _ in range(9):
        await crowd(client, USUAL - 1)
        clock.forward(minutes=1)
    codes = [(await enter(client)).status_code for _ in range(20)]
    assert codes == [200] * 19 + [429]
    async with browser(hotline, "198.51.100.1") as other:
        assert (await enter(other)).status_code == 200


async def test_a_session_that_writes_faster_than_people_is_slowed_down(client: httpx.AsyncClient) -> None:
    await begin(client)
    codes = [
        (await client.post("/api/chat/messages", json={"id": uuid.uuid4().hex, "text": "在吗"})).status_code
        for _ in range(62)
    ]
    assert codes == [200] * 60 + [429] * 2


async def test_an_address_that_writes_faster_than_a_site_is_slowed_down(
    hotline: Hotline, client: httpx.AsyncClient
) -> None:
    codes = []
    for _ in range(3):
        await begin(client)
        codes += [
            (await client.post("/api/chat/messages", json={"id": uuid.uuid4().hex, "text": "在吗"})).status_code
            for _ in range(40)
        ]
    assert codes == [200] * 100 + [429] * 20
    async with browser(hotline, "198.51.100.1") as other:
        await begin(other)
        answer = await other.post("/api/chat/messages", json={"id": "a", "text": "在吗"})
        assert answer.status_code == 200


async def test_without_redis_nobody_is_asked_and_nobody_turned_away(hotline: Hotline) -> None:
    good, hotline.bell = hotline.bell, Bell("redis://127.0.0.1:1")
    try:
        async with browser(hotline) as client:
            assert [(await begin(client)).status_code for _ in range(USUAL + 2)] == [200] * (USUAL + 2)
    finally:
        await hotline.bell.close()
        hotline.bell = good


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2::5", "2001:db8:1::/48"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_the_neighbourhood_of_an_address(address: str, network: str) -> None:
    assert network_of(address) == network


@given(st.text(max_size=40))
def test_any_address_has_a_neighbourhood(address: str) -> None:
    assert isinstance(network_of(address), str)


@given(st.text(max_size=60), st.integers(0, 10**11), st.integers(1, 18))
def test_work_is_checked_as_it_is_described(seed: str, nonce: int, bits: int) -> None:
    digest = hashlib.sha256(f"{seed}:{nonce}".encode("utf-8", "replace")).digest()
    zeros = 256 - int.from_bytes(digest).bit_length()
    assert solves(Proof(seed=seed, nonce=str(nonce)), bits) == (zeros >= bits)
