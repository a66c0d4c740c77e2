"""The service with Rasa before its engine: what workers, alarms and colleagues see of it; and that nothing is lost."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from bot.app import create_app
from bot.conversation import Turned, turn
from bot.engines import bands_of, data_hash, engine
from bot.errors import HotlineError
from bot.hotline import Hotline, opened
from bot.models import Message
from bot.settings import Settings, SettingsError, settings
from intents.cli import Which
from intents.local import LocalEngine
from intents.rasa import RasaEngine
from tests.bot.console_seat import at_desk, browser
from tests.conftest import MODEL
from tests.fakes import says
from tests.intents.rasa_stand_in import DATA, TOKEN, WELL, Asked, StandIn, running, said

ASKED = "公司拖欠工资三个月不发怎么办"
HOTLINE = Path(sys.executable).parent / "hotline"


@pytest.fixture
async def rasa() -> AsyncIterator[StandIn]:
    async with running() as found:
        yield found


def given(folder: Path, **values: Any) -> Settings:
    """Settings of a process whose data folder has the model that was trained at set-up."""
    (folder / "model").symlink_to(MODEL)
    return Settings(data_dir=folder, **values)


@pytest.fixture
async def joined(hotline: Hotline, rasa: StandIn) -> AsyncIterator[Hotline]:
    """The hotline with the Rasa service before the engine that it has."""
    local = hotline.engine
    assert isinstance(local, LocalEngine)
    client = RasaEngine(rasa.url, local, token=TOKEN, data_hash=lambda: DATA)
    yield replace(hotline, engine=client)
    await client.close()


async def _counted(client: httpx.AsyncClient) -> dict[str, float]:
    text = (await client.get("/metrics")).text
    return {
        sample.name + "".join(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("hotline_rasa") and not sample.name.endswith("_created")
    }


async def test_opened_with_an_address_it_asks_rasa_and_lives_without(
    rasa: StandIn, redis_url: str, sqlite_template: Path, tmp_path: Path
) -> None:
    shutil.copyfile(sqlite_template, tmp_path / "hotline.db")
    asked_for = given(tmp_path, redis_url=redis_url, rasa_url=rasa.url + "/", rasa_token=TOKEN)
    async with opened(asked_for) as hotline:
        transport = httpx.ASGITransport(create_app(hotline))
        async with httpx.AsyncClient(transport=transport, base_url="http://hotline.test") as client:
            before = await _counted(client)
            assert (await hotline.engine.understand(ASKED)).engine == "rasa"
            await rasa.kill()
            began = time.perf_counter()
            assert (await hotline.engine.understand(ASKED + "呢")).engine.startswith("local")
            assert time.perf_counter() - began < 1
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()["ready"]) == (200, True)
            assert ready.json()["rasa"]["ready"] is False
            assert "rasa" not in ready.json()["engine"]
            after = await _counted(client)
    assert after["hotline_rasa_answers_total"] == before["hotline_rasa_answers_total"] + 1
    assert sum(value for name, value in after.items() if name.startswith("hotline_rasa_fallbacks_total")) >= 1
    assert after["hotline_rasa_ready"] == 0


async def test_it_opens_while_rasa_is_away(rasa: StandIn, tmp_path: Path) -> None:
    await rasa.kill()
    async with engine(given(tmp_path, rasa_url=rasa.url)) as found:
        assert isinstance(found, RasaEngine)
        assert (await found.understand(ASKED)).ranking[0].topic == "legal.wage_arrears"


async def test_one_engine_can_be_named(rasa: StandIn, tmp_path: Path) -> None:
    both = given(tmp_path, rasa_url=rasa.url, answer_at=0.5)
    async with engine(both, Which.LOCAL) as found:
        assert isinstance(found, LocalEngine)
        assert bands_of(both, found).answer == 0.5
    with pytest.raises(HotlineError, match="HOTLINE_RASA_URL"):
        await engine(settings(), Which.RASA).__aenter__()


@pytest.mark.parametrize(
    "address", ["localhost:5005", "ftp://rasa", "http://", "http://rasa:99999", "http://rasa:5005/?token=secret"]
)
def test_a_malformed_address_is_refused_by_name(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTLINE_RASA_URL", address)
    settings.cache_clear()
    with pytest.raises(SettingsError, match="HOTLINE_RASA_URL") as refused:
        settings()
    settings.cache_clear()
    assert "secret" not in str(refused.value)


async def test_another_model_is_shown_to_alarms_and_to_colleagues(joined: Hotline, rasa: StandIn) -> None:
    assert isinstance(joined.engine, RasaEngine)
    await joined.engine.look()
    async with at_desk(joined, "fang", "王芳") as fang:
        assert "与本机一致" in (await fang.get("/console/status")).text
        rasa.model_file = "hotline-ffffffffffff.tar.gz"
        await joined.engine.look()
        page = (await fang.get("/console/status")).text
        assert "与本机不同" in page
        assert "ffffffffffff" in page
        assert "不正常" in page
    async with browser(joined) as client:
        assert (await client.get("/readyz")).json()["rasa"]["data"] == "different"
        assert (await _counted(client))["hotline_rasa_data_differs"] == 1


async def test_forty_workers_while_rasa_hangs(joined: Hotline, rasa: StandIn) -> None:
    """Every message is stored once and answered once, by the engine that is there."""

    async def hang(_: Asked) -> bytes:
        await asyncio.sleep(3600)
        return said(WELL)

    rasa.parse = hang
    turned = await asyncio.gather(*(turn(joined, says(ASKED, f"worker-{number}")) for number in range(40)))
    assert all(isinstance(one, Turned) and one.text for one in turned)
    async with joined.db.reading() as session:
        directions = (await session.scalars(select(Message.direction))).all()
    assert Counter(directions) == {"in": 40, "out": 40}


def test_the_hash_is_that_of_the_wordings_here() -> None:
    found = data_hash()
    assert found == data_hash()
    assert len(found) == 64


async def test_the_commands_ask_the_service_that_env_names(rasa: StandIn, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "model").symlink_to(MODEL)
    (tmp_path / ".env").write_text(f"HOTLINE_RASA_URL={rasa.url}\nHOTLINE_RASA_TOKEN={TOKEN}\n")
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": ASKED, "topic": "legal.wage_arrears"}) + "\n")
    measured = await _hotline(tmp_path, "eval", "rows.jsonl", "--engine", "rasa", "--json")
    assert json.loads(measured.stdout)["top1"] == 1.0
    answered = await _hotline(tmp_path, "ask", ASKED, "--engine", "local", "--json")
    assert json.loads(answered.stdout)["engine"].startswith("local")
    await rasa.kill()
    refused = await _hotline(tmp_path, "eval", "rows.jsonl", "--engine", "rasa")
    assert (refused.returncode, "absent" in refused.stderr) == (1, True)


async def _hotline(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("HOTLINE_")}
    return await asyncio.to_thread(
        lambda: subprocess.run(
            [HOTLINE, *words], cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False
        )
    )
