"""The bench of the Rasa service: what it sends and how it counts; a machine without Rasa gets one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot import bench_client, bench_rasa
from bot.bench_server import Running
from tests.intents.rasa_stand_in import TOKEN, WELL, Asked, http, running, said


async def test_questions_are_sent_to_be_parsed_and_counted() -> None:
    async with running() as rasa:

        async def every_second_fails(asked: Asked) -> bytes:
            return http(500, b"{}") if asked.sheet["text"] == "产假" else said(WELL)

        rasa.parse = every_second_fails
        asked = iter(["加班费", "产假"] * 5)
        requests = bench_rasa.parses(asked, 10, rasa.port, TOKEN)
        level = await bench_client.send(rasa.port, requests, 2, bench_rasa.kind)
    assert sorted(rasa.texts) == ["产假"] * 5 + ["加班费"] * 5
    assert level.kinds == {"parsed": 5, "fault": 5}
    assert (level.messages, level.at_once, rasa.connections) == (10, 2, 2)


def test_talks_over_the_rest_channel_are_those_of_the_webhook() -> None:
    asked = bench_client.endless([f"问题{number}" for number in range(40)])
    requests = [request.decode() for request in bench_rasa.chats(asked, 21, 5005)]
    assert all(request.startswith("POST /webhooks/rest/webhook HTTP/1.1\r\n") for request in requests)
    assert len({request.partition('"sender": "')[2].partition('"')[0] for request in requests}) == 7
    assert sum("人工" in request for request in requests) == 1
    assert sum("要带什么材料" in request for request in requests) == 1


def test_who_understood_is_read_from_the_metrics() -> None:
    told = (
        "# TYPE hotline_rasa_answers_total counter\nhotline_rasa_answers_total 30.0\n"
        "# TYPE hotline_rasa_fallbacks_total counter\n"
        'hotline_rasa_fallbacks_total{reason="slow"} 2.0\nhotline_rasa_fallbacks_total{reason="busy"} 5.0\n'
    )

    class Still(Running):
        def fetch(self, path: str) -> bytes | None:
            return told.encode()

    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        assert Still(process, 1, Path("log")).by_rasa() == {"rasa": 30, "slow": 2, "busy": 5}


@pytest.mark.parametrize("words", [["bench", "rasa"], ["bench", "--engine", "rasa"]])
def test_without_rasa_it_says_what_to_run(words: list[str], tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("HOTLINE_")}
    done = subprocess.run(
        [Path(sys.executable).parent / "hotline", *words],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    assert "hotline rasa setup" in done.stderr
    assert len(done.stderr.splitlines()) == 1
