"""The web chat's JSON: a message once, its answer again, one's own thread only, and plain words for bad input."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from bot import tickets
from bot.bell import Bell
from bot.conversation import turn
from bot.hotline import Hotline
from bot.models import Conversation, Message, Staff, Ticket, Worker
from tests.bot.console_seat import browser
from tests.fakes import says

ASKED = "公司拖欠工资三个月不发怎么办"


@pytest.fixture
async def worker(hotline: Hotline) -> AsyncIterator[httpx.AsyncClient]:
    """A phone that has opened the page."""
    async with browser(hotline) as client:
        assert (await client.get("/chat")).status_code == 200
        yield client


@pytest.fixture
async def other(hotline: Hotline) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(hotline) as client:
        await client.post("/api/chat/session")
        yield client


async def say(client: httpx.AsyncClient, text: str, key: str | None = None, **more: str) -> dict[str, Any]:
    answer = await client.post("/api/chat/messages", json={"id": key or uuid.uuid4().hex, "text": text, **more})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def history(client: httpx.AsyncClient, after: str = "") -> list[dict[str, Any]]:
    answer = await client.get("/api/chat/messages", params={"after": after} if after else {})
    assert answer.status_code == 200, answer.text
    messages: list[dict[str, Any]] = answer.json()["messages"]
    return messages


async def test_a_question_gets_a_card(worker: httpx.AsyncClient) -> None:
    mine, reply = (await say(worker, ASKED, "key-1"))["messages"]
    assert (mine["from"], mine["client_id"], mine["text"]) == ("worker", "key-1", ASKED)
    assert reply["from"] == "bot"
    kinds = [part["kind"] for part in reply["card"]]
    assert kinds[0] == "conclusion"
    assert kinds[-1] == "sources"
    assert "核对于" in reply["card"][-1]["text"]
    assert [option["id"] for option in reply["options"]] == ["helped", "not_helped", "person"]
    assert reply["prompt"]
    assert reply["tail"] == ""


async def test_the_same_id_gives_the_same_answer_and_no_second_message(
    hotline: Hotline, worker: httpx.AsyncClient
) -> None:
    first = await say(worker, ASKED, "key-1")
    assert await say(worker, ASKED, "key-1") == first
    together = await asyncio.gather(*(say(worker, "人工", "key-2") for _ in range(5)))
    assert all(told == together[0] for told in together)
    async with hotline.db.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Message).where(Message.direction == "in")) == 2
        assert await session.scalar(select(func.count()).select_from(Ticket)) == 1


async def test_the_same_id_of_two_visitors_is_two_messages(worker: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    mine = await say(worker, ASKED, "key-1")
    theirs = await say(other, ASKED, "key-1")
    assert mine["messages"][0]["id"] != theirs["messages"][0]["id"]


async def test_history_goes_on_after_an_id(worker: httpx.AsyncClient) -> None:
    first = await say(worker, ASKED)
    second = await say(worker, "要带什么材料")
    whole = await history(worker)
    assert whole == first["messages"] + second["messages"]
    assert await history(worker, whole[1]["id"]) == whole[2:]
    assert await history(worker, whole[-1]["id"]) == []


async def test_an_option_is_taken_by_its_id(worker: httpx.AsyncClient) -> None:
    await say(worker, ASKED)
    told = await say(worker, "没有帮助", option="not_helped")
    assert "工单号" in told["messages"][1]["text"]
    assert told["mode"]["ticket"]


async def test_a_visitor_reads_no_thread_but_their_own(worker: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    told = await say(worker, ASKED)
    assert await history(other) == []
    assert await history(other, told["messages"][0]["id"]) == []
    assert (await other.get("/api/chat/stream")).status_code == 204


async def test_a_wechat_workers_thread_cannot_be_reached_from_the_web(
    hotline: Hotline, worker: httpx.AsyncClient
) -> None:
    key = worker.cookies["hotline_chat"].partition(".")[0]
    await turn(hotline, says(ASKED, address=key))
    assert await history(worker) == []


@pytest.mark.parametrize("cookie", ["", "x", "00000000000000000000000000000000.", "é.é", "a" * 32 + "." + "b" * 32])
async def test_a_cookie_we_did_not_sign_is_nobody(hotline: Hotline, cookie: str) -> None:
    async with browser(hotline) as client:
        raw = cookie.encode("latin-1")
        for method, path in (
            ("GET", "/api/chat/messages"),
            ("POST", "/api/chat/messages"),
            ("GET", "/api/chat/stream"),
        ):
            answer = await client.request(method, path, headers={b"cookie": b"hotline_chat=" + raw})
            assert answer.status_code == 401
            assert answer.json()["error"]


async def test_a_cookie_with_another_visitors_id_is_nobody(
    hotline: Hotline, worker: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    await say(worker, ASKED)
    theirs, _, _ = worker.cookies["hotline_chat"].partition(".")
    _, _, signature = other.cookies["hotline_chat"].partition(".")
    async with browser(hotline) as thief:
        thief.cookies.set("hotline_chat", f"{theirs}.{signature}")
        assert (await thief.get("/api/chat/messages")).status_code == 401


async def test_the_session_cookie_lasts_and_scripts_cannot_read_it(hotline: Hotline) -> None:
    async with browser(hotline) as client:
        header = (await client.get("/chat")).headers["set-cookie"]
        assert "HttpOnly" in header
        assert "samesite=lax" in header.lower()
        assert "Max-Age=2592000" in header
        before = client.cookies["hotline_chat"]
        await client.get("/chat")
        await client.post("/api/chat/session")
        assert client.cookies["hotline_chat"] == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"text": "x"}',
        b'{"id": 5, "text": "x"}',
        b'{"id": "a", "text": null}',
        b'{"id": "a", "text": "x", "admin": true}',
        b'{"id": "a:b", "text": "x"}',
        b'{"id": "' + b"a" * 65 + b'", "text": "x"}',
        b'{"id": "a", "text": "   "}',
        b'{"id": "a", "text": "\\u0000\\u0007"}',
        b'{"id": "a", "text": "\\ud800"}',
        b'{"id": "a", "text": "' + "长".encode() * 4001 + b'"}',
        b'\xff\xfe{"id": "a"}',
        b"[" * 5000,
    ],
)
async def test_a_malformed_message_is_refused_in_words(
    hotline: Hotline, worker: httpx.AsyncClient, body: bytes
) -> None:
    answer = await worker.post("/api/chat/messages", content=body)
    assert answer.status_code == 422
    assert any("\u4e00" <= sign <= "\u9fff" for sign in answer.json()["error"])
    async with hotline.db.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Message)) == 0


async def test_a_body_beyond_the_cap_is_not_read_to_its_end(worker: httpx.AsyncClient) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while read < 10_000_000:
            read += 16_384
            yield b"x" * 16_384

    answer = await worker.post("/api/chat/messages", content=endless())
    assert answer.status_code == 413
    assert answer.json()["error"]
    assert read < 200_000


@pytest.mark.parametrize("after", ["x", "0", "..", "00000000-0000-0000-0000-00000000000g", "\x00"])
async def test_a_malformed_place_in_the_thread_is_refused(worker: httpx.AsyncClient, after: str) -> None:
    for path in ("/api/chat/messages", "/api/chat/stream"):
        await say(worker, "你好")
        answer = await worker.get(path, params={"after": after})
        assert answer.status_code == 422
        assert answer.json()["error"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda deep: st.lists(deep) | st.dictionaries(st.sampled_from(["id", "text", "option", "x"]), deep),
        max_leaves=6,
    )
)
def test_no_json_at_all_makes_the_server_stumble(body: Any) -> None:
    from bot.api.forms import Said, parse
    from bot.errors import Invalid

    try:
        said = parse(Said, json.dumps(body).encode())
    except Invalid:
        return
    assert isinstance(said.id, str)


async def test_long_emoji_and_markup_come_back_as_they_were(worker: httpx.AsyncClient) -> None:
    for text in ("👩🏽‍🏭" * 200, "<script>alert(1)</script>", "工" * 4000, "{{ 7*7 }}", "a\nb"):
        told = await say(worker, text)
        assert told["messages"][0]["text"] == text


async def test_without_redis_the_chat_goes_on(hotline: Hotline) -> None:
    good, hotline.bell = hotline.bell, Bell("redis://127.0.0.1:1")
    try:
        async with browser(hotline) as client:
            assert (await client.get("/chat")).status_code == 200
            assert len((await say(client, ASKED))["messages"]) == 2
    finally:
        await hotline.bell.close()
        hotline.bell = good


async def test_notes_and_events_never_reach_the_worker(
    hotline: Hotline, worker: httpx.AsyncClient, wang: Staff
) -> None:
    told = await say(worker, "人工")
    async with hotline.db.transaction() as session:
        ticket = await tickets.get(session, told["mode"]["ticket"])
        await tickets.claim(session, ticket, wang, hotline.clock())
        await tickets.note(session, ticket, wang, "只给同事看", hotline.clock())
        await tickets.reply(session, ticket, wang, "您好", hotline.clock())
    answer = (await worker.get("/api/chat/messages")).json()
    assert "只给同事看" not in json.dumps(answer, ensure_ascii=False)
    assert {message["from"] for message in answer["messages"]} == {"worker", "bot", "staff"}
    assert answer["messages"][-1]["name"] == "王芳"
    assert answer["mode"] == {"mode": "human", "ticket": ticket.number, "name": "王芳"}
    silent = await say(worker, ASKED)
    assert [message["from"] for message in silent["messages"]] == ["worker"]


async def test_the_address_is_sealed(hotline: Hotline, worker: httpx.AsyncClient) -> None:
    await say(worker, ASKED)
    async with hotline.db.reading() as session:
        row = (await session.scalars(select(Worker))).one()
        assert (await session.scalars(select(Conversation))).one().worker_id == row.id
    assert row.channel == "web"
    assert row.address == worker.cookies["hotline_chat"].partition(".")[0]
    assert row.address not in row.address_hash


async def test_the_page_is_whole_and_safe(worker: httpx.AsyncClient) -> None:
    page = await worker.get("/chat")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for found in (
        "大兴区总工会职工热线",
        "人工",
        "tel:110",
        "tel:120",
        "tel:12356",
        'aria-live="polite"',
        'for="text"',
    ):
        assert found in page.text
    for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text):
        assert (await worker.get(path)).status_code == 200
