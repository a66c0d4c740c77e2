"""`hotline rasa`: set up, export, train, test, serve and look at the Rasa service."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from intents import rasa_export, rasa_score, rasa_service, rasa_training
from intents.cli import KNOWLEDGE, data_dir
from intents.questions import Questions, read_negatives, read_questions
from intents.rasa_service import HOST, PORT, PROJECT, ROOT, Places, RasaTrouble
from intents.rasa_training import Tell

app = typer.Typer(no_args_is_help=True)
out = Console()

Articles = Annotated[Path, typer.Option(help="条目和问法所在的文件夹")]
Negatives = Annotated[Path, typer.Option(help="不归热线管的话")]
Port = Annotated[int, typer.Option(help="服务的端口", min=1, max=65535)]
ARTICLES, NEGATIVES = KNOWLEDGE / "articles", KNOWLEDGE / "negatives.yaml"
QUESTIONS = sorted((ROOT / "tests" / "intents").glob("questions_*.jsonl"))


@app.command()
def setup() -> None:
    """Make the service's own Python 3.10 environment; does nothing when it is there."""
    with _plainly():
        here = places()
        if rasa_service.installed(here):
            out.print("Rasa 的环境已经装好")
            return
        out.print("安装 Rasa（两三个 GB，第一次要几分钟）")
        rasa_service.install(here)
        out.print(f"装好了：{here.python.parent.parent}")


@app.command()
def export(articles: Articles = ARTICLES, negatives: Negatives = NEGATIVES) -> None:
    """Write Rasa's training data from the knowledge base: the same bytes each time."""
    with _plainly():
        here = places()
        questions, outside = _knowledge(articles, negatives)
        changed = rasa_export.write(rasa_export.render(questions, outside), here.data)
        domain = rasa_export.domain(list(questions))
        if (PROJECT / "domain.yml").read_text(encoding="utf-8") != domain:
            (PROJECT / "domain.yml").write_text(domain, encoding="utf-8")
            changed.append("domain.yml")
        shown = rasa_export.data_hash(questions, outside)[: rasa_export.HASH_SHOWN]
        out.print(f"数据 {shown}：{'、'.join(changed) + ' 有变化' if changed else '没有变化'}；在 {here.data}")


@app.command()
def train(
    articles: Articles = ARTICLES,
    negatives: Negatives = NEGATIVES,
    config: Annotated[str, typer.Option(help="用哪个流水线：config.yml 或 config.diet.yml")] = "config.yml",
    port: Port = PORT,
    force: Annotated[bool, typer.Option("--force", help="什么都没变也重新训练")] = False,
) -> None:
    """Train, try on the development questions, and put the model into use unless it is worse than the one in use."""
    with _plainly():
        here = places()
        _ready(here)
        questions, outside = _knowledge(articles, negatives)
        if stale := rasa_export.differing(rasa_export.render(questions, outside), here.data):
            raise RasaTrouble(f"训练数据和条目不一致（{'、'.join(stale)}），先运行 hotline rasa export")
        made_from = rasa_service.made_from(questions, outside, PROJECT / config)
        shown = rasa_export.data_hash(questions, outside)[: rasa_export.HASH_SHOWN]
        used = here.current()
        if used is None or force or rasa_score.sheet(used).get("made_from") != made_from:
            with _shown("Rasa") as tell:
                fresh = rasa_training.train(here, config, f"hotline-{shown}", tell)
            _say(f"在 {len(QUESTIONS)} 份开发问题上试，约一分钟")
            used = rasa_training.take_in(here, fresh, QUESTIONS, made_from, _say)
        else:
            out.print("模型是新的，不用重新训练")
        _swap(here, used, port)


@app.command("test")
def cross_validate(
    folds: Annotated[int, typer.Option(help="分成几份轮流考", min=2, max=10)] = 3,
    config: Annotated[str, typer.Option(help="用哪个流水线")] = "config.yml",
) -> None:
    """Rasa's own cross-validation: report, errors, confusion matrix and histogram as files."""
    with _plainly():
        here = places()
        _ready(here)
        if not here.data.exists():
            raise RasaTrouble("还没有训练数据，先运行 hotline rasa export")
        out.print(f"交叉验证 {folds} 份，要十几分钟；过程写在 {here.log('test')}")
        with _shown("Rasa") as tell:
            rasa_training.cross_validate(here, config, folds, tell)
        report = json.loads((here.results / "intent_report.json").read_text(encoding="utf-8"))
        out.print(f"准确率 {report['accuracy']:.3f}；报告、混淆矩阵和错例在 {here.results}")


@app.command()
def serve(
    port: Port = PORT,
    host: Annotated[str, typer.Option(help="监听地址")] = HOST,
) -> None:
    """Serve the model in use, on this machine only and only to those who have the token."""
    with _plainly():
        here = places()
        _ready(here)
        archive = here.current()
        if archive is None:
            raise RasaTrouble("还没有训练好的模型，先运行 hotline rasa train")
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                raise RasaTrouble(f"端口 {port} 已被占用；换一个：hotline rasa serve --port {port + 1}")
        key = rasa_service.token(here)
        _say(f"Rasa 服务 http://{host}:{port}，模型 {archive.name}")
        if "HOTLINE_RASA_TOKEN" not in os.environ:
            _say(f"口令在 {here.folder / 'token'}，热线那边设 HOTLINE_RASA_TOKEN")
        options = ["--model", str(archive), "--interface", host, "--port", str(port)]
        os.chdir(PROJECT)
        known = rasa_service.environment(here) | {"HOTLINE_RASA_TOKEN": key, "LOG_LEVEL": "WARNING"}
        os.execve(here.python, [str(here.python), "-m", "components.service", *options], known)  # noqa: S606


@app.command()
def status(
    articles: Articles = ARTICLES,
    negatives: Negatives = NEGATIVES,
    port: Port = PORT,
    as_json: Annotated[bool, typer.Option("--json", help="输出 JSON")] = False,
) -> None:
    """What is installed, exported, trained and served, and whether it all is of today's knowledge base."""
    with _plainly():
        here = places()
        questions, outside = _knowledge(articles, negatives)
        used = here.current()
        loaded = rasa_service.loaded_model(f"http://{HOST}:{port}", rasa_service.token(here))
        shown = rasa_export.data_hash(questions, outside)[: rasa_export.HASH_SHOWN]
        found: dict[str, Any] = {
            "installed": rasa_service.installed(here),
            "data": shown,
            "export_stale": rasa_export.differing(rasa_export.render(questions, outside), here.data),
            "model": used.name if used else None,
            "scores": rasa_score.sheet(used).get("all") if used else None,
            "loaded": Path(loaded).name if loaded else None,
            "up_to_date": loaded is not None and Path(loaded).name == f"hotline-{shown}.tar.gz",
        }
        if as_json:
            typer.echo(json.dumps(found, ensure_ascii=False))
            return
        scores = rasa_score.told(found["scores"]) if found["scores"] else ""
        out.print(f"环境    {'装好了' if found['installed'] else '没有装，运行 hotline rasa setup'}")
        out.print(f"条目    数据 {shown}")
        exported = "和条目一致" if not found["export_stale"] else "旧了，运行 hotline rasa export"
        out.print(f"训练数据  {exported}")
        _say(f"模型    {found['model'] or '没有，运行 hotline rasa train'}  {scores}")
        served = found["loaded"] or "没有在运行，运行 hotline rasa serve"
        differs = "" if found["up_to_date"] or loaded is None else "（和条目不是同一份数据）"
        _say(f"服务    {served}{differs}")


def places() -> Places:
    """The folders of the service, below the data folder."""
    return Places(data_dir().absolute() / "rasa")


@contextlib.contextmanager
def _plainly() -> Iterator[None]:
    """An error of ours is one line, not a trace."""
    try:
        yield
    except (RasaTrouble, OSError, ValueError) as error:
        Console(stderr=True).print(f"[red]✗[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None


def _knowledge(articles: Path, negatives: Path) -> tuple[Questions, dict[str, list[str]]]:
    questions = read_questions(articles)
    if len(questions) < 2:
        raise RasaTrouble(f"{articles} 里没有问法文件（*.questions.yaml）")
    return questions, read_negatives(negatives)


def _ready(here: Places) -> None:
    if not rasa_service.installed(here):
        raise RasaTrouble("Rasa 的环境还没装好，或锁文件变了：先运行 hotline rasa setup")


def _say(text: str) -> None:
    out.print(text, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _shown(title: str) -> Iterator[Tell]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out) as progress:
        task = progress.add_task(title, total=None)

        def tell(what: str, done: float | None) -> None:
            progress.update(task, description=what, completed=done or 0.0, total=None if done is None else 1.0)

        yield tell
        progress.update(task, description="Rasa", completed=1.0, total=1.0)


def _swap(here: Places, archive: Path, port: int) -> None:
    """Have a running service take the archive in use, while it answers."""
    url, key = f"http://{HOST}:{port}", rasa_service.token(here)
    if rasa_service.loaded_model(url, key) is None:
        _say(f"模型 {archive.name}；服务没有在运行，hotline rasa serve 启动")
        return
    rasa_service.put(url, key, archive)
    _say(f"运行中的服务已换上 {archive.name}")
