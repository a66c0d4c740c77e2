"""The JSON routes keep to their own description, whatever is sent to them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bot import knowledge, schema
from bot.app import create_app
from bot.bell import Bell
from bot.db import Database
from bot.duty import Hours
from bot.hotline import Hotline, utcnow
from bot.knowledge import Knowledge
from bot.settings import Settings
from bot.settings import settings as settings_of_tests
from connectors.base import Connector
from connectors.webchat import WebChat
from intents.local import LocalEngine

T = TypeVar("T")
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


class Service:
    """The application on an event loop in a thread of its own: the examples are drawn outside of any loop."""

    def __init__(self, folder: Path, redis_url: str, engine: LocalEngine, configured: Settings) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._db = Database(f"sqlite+aiosqlite:///{folder}/schema.db")
        self._bell = Bell(redis_url, prefix=f"{folder.name}:")
        self.app = create_app(self.run(self._opened(engine, configured)))
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://hotline.test")
        assert self.run(self._http.post("/api/chat/session")).status_code == 200

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _opened(self, engine: LocalEngine, configured: Settings) -> Hotline:
        await schema.migrate(self._db)
        known = Knowledge()
        async with self._db.transaction() as session:
            await knowledge.bring_in(session, knowledge.ARTICLES, utcnow())
            await known.reload(session)
        hours = Hours(configured.duty_hours)
        channels: dict[str, Connector] = {"web": WebChat()}
        return Hotline(configured, self._db, self._bell, engine, engine.bands, known, channels, hours)

    def send(self, case: schemathesis.Case[Any]) -> httpx.Response:
        """With the cookie of an open chat, unless the case brings cookies of its own."""
        asked = case.as_transport_kwargs(base_url="http://hotline.test")
        given = {name: asked[name] for name in ("params", "headers", "cookies") if asked.get(name) is not None}
        body = {"content": asked["data"]} if asked.get("data") is not None else {"json": asked.get("json")}
        if asked.get("files"):
            body = {"files": [(name, _as_file(value)) for name, value in _pairs(asked["files"])]}
        elif asked.get("data") is None and asked.get("json") is None:
            body = {}
        return self.run(self._sent(asked["method"], asked["url"], given, body))

    async def _sent(self, method: str, url: str, given: dict[str, Any], body: dict[str, Any]) -> httpx.Response:
        request = self._http.build_request(method, url, **given, **body)
        await request.aread()
        return await self._http.send(request)

    def close(self) -> None:
        self.run(self._http.aclose())
        self.run(self._bell.close())
        self.run(self._db.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def _pairs(files: Any) -> list[tuple[str, Any]]:
    return list(files.items()) if isinstance(files, dict) else list(files)


def _as_file(value: Any) -> Any:
    """What a form can carry: a generated number or object goes as its text."""
    if isinstance(value, tuple):
        name, content, *rest = value
        return (name, content if isinstance(content, (str, bytes)) else str(content), *rest)
    return value if isinstance(value, (str, bytes)) else str(value)


@pytest.fixture(scope="module")
def service(redis_url: str, engine: LocalEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    found = Service(tmp_path_factory.mktemp("schema"), redis_url, engine, settings_of_tests())
    yield found
    found.close()


def test_the_description_covers_the_json_routes(service: Service) -> None:
    paths = service.app.openapi()["paths"]
    assert {"/healthz", "/readyz", "/api/chat/messages", "/api/chat/session", "/api/chat/uploads"} <= set(paths)
    assert not any(path.startswith(("/webhooks", "/console", "/metrics")) for path in paths)


def test_every_answer_is_as_described(service: Service, subtests: pytest.Subtests) -> None:
    for found in schemathesis.openapi.from_dict(service.app.openapi()).get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            with subtests.test(f"{operation.label} {mode.value}"):
                _hold(service, operation.as_strategy(generation_mode=mode))


def _hold(service: Service, cases: SearchStrategy[schemathesis.Case[Any]]) -> None:
    """Every case gets an answer that the description knows."""

    @settings(
        max_examples=25, deadline=None, phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck)
    )
    @given(case=cases)
    def ask(case: schemathesis.Case[Any]) -> None:
        case.validate_response(service.send(case), checks=CHECKS)

    with contextlib.suppress(Unsatisfiable):  # A route without parameters cannot be asked wrongly.
        ask()
