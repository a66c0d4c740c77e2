"""`hotline bench channels`: what it sends is what the platforms send, and a short run prints all its figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from bot import bench_channels, bench_client
from bot.bell import Bell
from bot.bench_channels import Bench
from bot.bench_sink import ACCOUNT, create_sink
from bot.hotline import Hotline
from connectors.base import Delivery, Request
from connectors.telegram import Telegram, TelegramSettings
from connectors.wecom import WeCom, WeComSettings

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The bench with its settings in the environment, where the channels look for them."""
    found = Bench(bench_client.endless([f"问题{number}" for number in range(30)]), 9)
    for name, value in found.settings().items():
        monkeypatch.setenv(name, value)
    return found


def request(raw: bytes) -> Request:
    """As the service reads it from the wire."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, address, _ = first.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert int(headers["content-length"]) == len(body)
    return Request(method, dict(parse_qsl(urlsplit(address).query)), headers, body, datetime.now(UTC))


async def test_the_rings_of_wecom_say_how_many_messages_are_there(bench: Bench, hotline: Hotline) -> None:
    async with httpx.AsyncClient() as http:
        wecom = WeCom(WeComSettings(), hotline.bell, http)
        parsed = [wecom.parse(request(raw)) for raw in (*bench.on_wecom(3, 8000), *bench.on_wecom(3, 8000, 2))]
    rings = [each.ring for each in parsed if isinstance(each, Delivery)]
    assert [(ring.queue, ring.ticket) for ring in rings if ring] == [(ACCOUNT, f"t{n}") for n in (1, 2, 3, 6, 6, 6)]


async def test_the_queue_hands_out_what_was_rung_for_and_nothing_twice() -> None:
    transport = httpx.ASGITransport(create_sink(["加班费", "产假"]))
    async with httpx.AsyncClient(transport=transport, base_url="http://sink") as http:

        async def pull(**asked: str) -> tuple[list[str], str]:
            page = (await http.post("/cgi-bin/kf/sync_msg", json={"limit": 1000} | asked)).json()
            return [item["msgid"] for item in page["msg_list"]], page["next_cursor"]

        assert await pull() == ([], "c0")
        assert await pull(token="t2") == (["bench0", "bench1"], "c2")
        assert await pull(token="t5", cursor="c2") == (["bench2", "bench3", "bench4"], "c5")
        assert await pull(token="t3", cursor="c5") == ([], "c5")


def test_updates_of_telegram_are_new_messages_of_private_chats(bench: Bench) -> None:
    telegram = Telegram(TelegramSettings(), Bell("redis://127.0.0.1:1"))
    found = [telegram.parse(request(raw)) for raw in bench.on_telegram(20, 8000)]
    messages = [message for each in found if isinstance(each, Delivery) for message in each.messages]
    assert len({message.external_id for message in messages}) == len(messages) == 20
    assert len({message.address for message in messages}) == 7
    assert messages[19].text == "人工"


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_a_short_run_prints_every_channel_and_level(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("HOTLINE_")}
    done = subprocess.run(
        [Path(sys.executable).parent / "hotline", "bench", "channels", "--json", "--messages", "3"],
        cwd=tmp_path,
        env=env | {"HOTLINE_DATA_DIR": str(ROOT / "var")},
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {"channels", "aim_p99_ms", "questions", "cores", "load_average"}
    assert set(found["channels"]) == {"wechat", "wecom", "telegram", "web"}
    for name, each in found["channels"].items():
        assert set(each) == {"service", "echo", "throughput_ratio"}
        for rows in (each["service"], each["echo"]):
            assert [row["at_once"] for row in rows] == [at_once for at_once, _ in bench_channels.LEVELS]
            for row in rows:
                assert row["messages"] == 3
                assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
                assert row["per_second"] > 0
                assert row["handled_per_second"] > 0
                assert "fault" not in row["kinds"], (name, row)
