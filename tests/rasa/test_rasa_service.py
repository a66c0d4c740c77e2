"""The real thing, by `make test-rasa` alone: export, train, serve, ask, refuse and swap, as a person would."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from intents import encoders, model, train
from intents.cli import KNOWLEDGE
from intents.engine import Understanding
from intents.evaluate import read_rows
from intents.local import LocalEngine
from intents.questions import OUT_OF_SCOPE, read_negatives, read_questions
from intents.rasa_service import PROJECT, Places, environment

ROOT = Path(__file__).parents[2]
READY = ROOT / "var"
HOTLINE = ROOT / ".venv" / "bin" / "hotline"
TOKEN = "a-token-of-the-tests"

pytestmark = pytest.mark.timeout(900)


@dataclass
class Service:
    """The commands on a data folder of their own, and the server that they started."""

    folder: Path
    port: int
    articles: Path
    process: subprocess.Popen[bytes] | None = None
    words: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def env(self) -> dict[str, str]:
        return os.environ | {"HOTLINE_DATA_DIR": str(self.folder), "HOTLINE_RASA_TOKEN": TOKEN}

    def hotline(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(HOTLINE), "rasa", *words]
        if words[0] in {"export", "train", "status"}:
            command += ["--articles", str(self.articles)]
        if words[0] in {"train", "serve", "status"}:
            command += ["--port", str(self.port)]
        return subprocess.run(command, env=self.env(), cwd=self.folder, capture_output=True, text=True, check=False)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.hotline("status", "--json").stdout)
        return found

    def start(self) -> None:
        command = [str(HOTLINE), "rasa", "serve", "--port", str(self.port)]
        with (self.folder / "serve.log").open("wb") as log:
            self.process = subprocess.Popen(command, env=self.env(), cwd=self.folder, stdout=log, stderr=log)
        for _ in range(600):
            try:
                if httpx.get(f"{self.url}/status", params={"token": TOKEN}).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert self.process.poll() is None, (self.folder / "serve.log").read_text()
            time.sleep(0.2)
        pytest.fail("the service was not ready within two minutes")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(30) is not None

    def parse(self, text: str, token: str = TOKEN) -> httpx.Response:
        return httpx.post(f"{self.url}/model/parse", params={"token": token}, json={"text": text}, timeout=30)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Exported, trained from the whole knowledge base, and served."""
    import socket

    folder = tmp_path_factory.mktemp("rasa-data")
    articles = folder / "articles"
    shutil.copytree(KNOWLEDGE / "articles", articles)
    (folder / "rasa").mkdir()
    (folder / "rasa" / "venv").symlink_to(READY / "rasa" / "venv")
    if (READY / "vectors").exists():
        shutil.copytree(READY / "vectors", folder / "vectors", ignore=shutil.ignore_patterns("development"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = Service(folder, port, articles)
    for words in (("export",), ("train",)):
        done = made.hotline(*words)
        assert done.returncode == 0, done.stderr
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def local() -> Iterator[LocalEngine]:
    """The engine in the process, from the same data."""
    questions, negatives = read_questions(KNOWLEDGE / "articles"), read_negatives(KNOWLEDGE / "negatives.yaml")
    at_hand = [encoder for encoder in (encoders.load_use(), encoders.load_e5()) if encoder is not None]
    if model.sealed(READY / "model") == train.seal_of(questions, negatives, at_hand):
        engine = LocalEngine.load(READY / "model")
    else:
        trained = train.train(questions, negatives, at_hand=at_hand, vectors=READY / "vectors")
        engine = LocalEngine(trained, encoders.load_use(), encoders.load_e5())
    yield engine
    asyncio.run(engine.close())


def asked(every: int) -> list[str]:
    rows = [row for file in sorted((ROOT / "tests" / "intents").glob("questions_*.jsonl")) for row in read_rows(file)]
    return [row.text for row in rows][::every]


def test_both_engines_rank_alike(service: Service, local: LocalEngine) -> None:
    alike = 0
    texts = asked(9)
    for text in texts:
        here: Understanding = asyncio.run(local.understand(text))
        there = service.parse(text).json()
        if here.command is not None or here.danger is not None or not here.ranking:
            # A rule of the bot's has had its say here; only the ranking of the classifier is compared.
            continue
        alike += 1
        told = {entry["name"]: entry["confidence"] for entry in there["intent_ranking"]}
        topics = [candidate for candidate in here.ranking if candidate.topic != OUT_OF_SCOPE]
        assert next(name for name in told if name != OUT_OF_SCOPE) == topics[0].topic, text
        for candidate in topics[:5]:
            assert told[candidate.topic] == pytest.approx(candidate.confidence, abs=0.005), text
        assert there["scope"] == pytest.approx(here.in_scope, abs=0.005), text
    assert alike > len(texts) * 0.8


def test_both_engines_find_the_same_entities(service: Service, local: LocalEngine) -> None:
    for text in ("在黄村的制衣厂欠我三个月工资，一共一万二千块，还有5个工友", "打13800138000找我，去年三月进的厂"):
        here = asyncio.run(local.understand(text)).entities
        there = service.parse(text).json()["entities"]
        assert [(one.kind, one.value, one.text) for one in here] == [
            (one["entity"], one["value"], one["text"]) for one in there
        ]
        assert here


def test_the_answer_carries_scope_danger_and_the_hash_of_the_data(service: Service) -> None:
    answer = service.parse("工资拖了俩月了").json()
    assert answer["data_hash"].startswith(service.status()["data"])
    assert 0.9 < answer["scope"] <= 1
    assert answer["alarm"] < 1
    assert service.parse("我不想活了，就想从楼上跳下去").json()["alarm"] >= 1
    assert service.parse("离婚孩子判给谁").json()["scope"] < 0.5


@pytest.mark.parametrize("text", ["/help", "/legal.wage_arrears", "", "😀" * 5000, "工" * 20_000, "\x00"])
def test_any_text_is_answered_with_topics_of_ours(service: Service, text: str) -> None:
    answered = service.parse(text)
    assert answered.status_code == 200
    known = set(yaml.safe_load((PROJECT / "domain.yml").read_text())["intents"])
    assert {entry["name"] for entry in answered.json()["intent_ranking"]} <= known


def test_nobody_gets_in_without_the_token_or_through_a_channel(service: Service) -> None:
    assert service.parse("工资", token="wrong").status_code == 401
    assert httpx.get(f"{service.url}/status").status_code == 401
    assert httpx.put(f"{service.url}/model", json={"model_file": "x"}).status_code == 401
    assert httpx.post(f"{service.url}/webhooks/rest/webhook", json={"message": "工资"}).status_code == 404
    assert httpx.get(f"{service.url}/").text.startswith("Hello from Rasa")
    assert service.process is not None
    command = Path(f"/proc/{service.process.pid}/cmdline").read_text()
    assert "components.service" in command
    assert TOKEN not in command


def test_no_text_of_a_worker_is_in_the_log(service: Service) -> None:
    for text in ("张三欠我八千块", "/张三欠我八千块"):
        service.parse(text)
    log = (service.folder / "serve.log").read_text()
    assert "张三" not in log
    assert "Warning" not in log


def test_the_same_again_needs_no_training(service: Service) -> None:
    done = service.hotline("train")
    assert done.returncode == 0
    assert "不用重新训练" in done.stdout


def test_a_port_that_is_taken_is_one_line(service: Service) -> None:
    done = service.hotline("serve")
    assert done.returncode == 1
    assert f"端口 {service.port} 已被占用" in done.stderr


def test_stale_data_is_refused_before_training(service: Service) -> None:
    data = service.folder / "rasa" / "data" / "nlu.yml"
    whole = data.read_text()
    data.write_text(whole.replace("    - ", "    - 改了 ", 1))
    done = service.hotline("train")
    data.write_text(whole)
    assert done.returncode == 1
    assert "hotline rasa export" in done.stderr


def test_a_worse_model_is_refused_with_the_reason_and_the_old_one_goes_on(service: Service) -> None:
    before = service.status()
    whole = service.articles
    service.articles = service.folder / "poor"
    shutil.copytree(whole, service.articles)
    for path in service.articles.glob("legal/*.questions.yaml"):
        sheet = yaml.safe_load(path.read_text())
        sheet |= {"standard": sheet["standard"][:2], "colloquial": {}}
        path.write_text(yaml.safe_dump(sheet, allow_unicode=True))
    try:
        assert service.hotline("export").returncode == 0
        done = service.hotline("train")
        assert done.returncode == 1
        assert "新模型不换上：第一个就对" in done.stderr
        assert "Traceback" not in done.stderr
        there = httpx.get(f"{service.url}/status", params={"token": TOKEN}).json()["model_file"]
        assert there == before["loaded"]
        assert service.status()["model"] == before["model"]
    finally:
        service.articles = whole
        assert service.hotline("export").returncode == 0


def test_a_new_model_is_put_in_while_questions_are_answered(service: Service) -> None:
    before = service.status()
    path = service.articles / "legal" / "wage_arrears.questions.yaml"
    sheet = yaml.safe_load(path.read_text())
    sheet["colloquial"]["terse"].append("工钱到现在没个影儿")
    path.write_text(yaml.safe_dump(sheet, allow_unicode=True, sort_keys=False))
    assert service.hotline("export").returncode == 0
    assert service.status()["up_to_date"] is False

    stop, codes, hashes = threading.Event(), set(), set()

    def keep_asking() -> None:
        with httpx.Client(timeout=60) as client:
            while not stop.is_set():
                said = client.post(f"{service.url}/model/parse", params={"token": TOKEN}, json={"text": "工资没发"})
                codes.add(said.status_code)
                hashes.add(said.json()["data_hash"])

    asker = threading.Thread(target=keep_asking)
    asker.start()
    done = service.hotline("train")
    stop.set()
    asker.join()
    assert done.returncode == 0, done.stderr
    assert "已换上" in done.stdout
    assert codes == {200}
    after = service.status()
    assert after["up_to_date"] is True
    assert after["loaded"] != before["loaded"]
    assert service.parse("工资没发").json()["data_hash"].startswith(after["data"])
    assert len(hashes) in {1, 2}


def test_an_archive_that_does_not_load_leaves_the_old_model(service: Service) -> None:
    before = service.status()["loaded"]
    broken = service.folder / "hotline-000000000000.tar.gz"
    broken.write_bytes(b"no archive")
    said = httpx.put(f"{service.url}/model", params={"token": TOKEN}, json={"model_file": str(broken)}, timeout=60)
    assert said.status_code >= 400
    assert service.status()["loaded"] == before
    assert service.parse("工资没发").json()["intent"]["name"] == "legal.wage_arrears"


def test_without_a_token_the_service_does_not_start(service: Service) -> None:
    here = Places(service.folder / "rasa")
    known = {name: value for name, value in environment(here).items() if name != "HOTLINE_RASA_TOKEN"}
    command = [str(here.python), "-m", "components.service", "--port", "1"]
    done = subprocess.run(command, env=known, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "HOTLINE_RASA_TOKEN" in done.stderr


def test_the_components_hold_with_the_real_rasa(service: Service) -> None:
    here = Places(service.folder / "rasa")
    command = [str(here.python), "-m", "pytest"]
    done = subprocess.run(command, env=environment(here), cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
