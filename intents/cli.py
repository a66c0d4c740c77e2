"""`hotline kb train` and `hotline eval`: teach the local engine, and measure any engine on labelled questions."""

from __future__ import annotations

import asyncio
import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from intents import bands as bands_of_model
from intents import encoders, model
from intents.bands import Bands
from intents.evaluate import Report, choose, judge, read_rows, summarise
from intents.local import LocalEngine
from intents.model import NotTrained
from intents.questions import read_negatives, read_questions
from intents.rasa import RasaEngine, kept_token

KNOWLEDGE = Path(__file__).parents[1] / "knowledge_base"
PATIENCE = 5.0
"""Seconds that Rasa has for a message when its accuracy is measured: how late it is shows in p95."""

out = Console()


class Which(StrEnum):
    LOCAL = "local"
    RASA = "rasa"


def data_dir() -> Path:
    """Where the service keeps its files; the same variable that the service's own settings read."""
    return Path(os.environ.get("HOTLINE_DATA_DIR") or "var")


def train(
    articles: Annotated[Path, typer.Option(help="条目和问法所在的文件夹")] = KNOWLEDGE / "articles",
    negatives: Annotated[Path, typer.Option(help="不归热线管的话")] = KNOWLEDGE / "negatives.yaml",
    folder: Annotated[Path | None, typer.Option(help="模型放在哪里；不填放在 DATA_DIR/model")] = None,
    force: Annotated[bool, typer.Option("--force", help="数据没变也重新训练")] = False,
    calibrate: Annotated[bool, typer.Option("--calibrate", help="先重新校准把握，要几分钟；问法大改以后用")] = False,
) -> None:
    """Train the local engine from the wordings beside the articles; does nothing when nothing has changed."""
    from intents import train as trainer

    target = folder or data_dir() / "model"
    try:
        questions, outside = read_questions(articles), read_negatives(negatives)
        if len(questions) < 2:
            raise ValueError(f"{articles} 里没有问法文件（*.questions.yaml）")
    except (OSError, ValueError) as error:
        Console(stderr=True).print(f"[red]✗[/red] {error}")
        raise typer.Exit(1) from None
    at_hand = [encoder for encoder in (encoders.load_use(), encoders.load_e5()) if encoder is not None]
    if not force and not calibrate and model.sealed(target) == trainer.seal_of(questions, outside, at_hand):
        out.print("模型是新的，不用重新训练")
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        console=out,
    ) as shown:
        task = shown.add_task("准备", total=1.0)

        def tick(what: str, done: float) -> None:
            shown.update(task, description=what, completed=done)

        vectors = target.parent / "vectors"
        if calibrate:
            found = trainer.calibrate(questions, outside, at_hand=at_hand, vectors=vectors, tick=tick)
            trainer.CALIBRATION.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        trained = trainer.train(questions, outside, at_hand=at_hand, vectors=vectors, tick=tick)
        model.save(trained, target)
        shown.update(task, description="训练完成", completed=1.0)
    facts = trained.facts
    out.print(
        f"{len(trained.topics)} 个主题，{facts['wordings']} 句问法，{facts['negatives']} 句范围外；模型在 {target}"
    )
    if len(at_hand) < 2:
        out.print("[yellow]缺少句向量模型，只用字词特征，准确率会低一些[/yellow]")


def _engine(which: Which, local: LocalEngine) -> LocalEngine | RasaEngine:
    """Raises `ValueError` when there is no address of a Rasa service."""
    if which is Which.LOCAL:
        return local
    url = os.environ.get("HOTLINE_RASA_URL")
    if not url:
        raise ValueError("没有 Rasa 服务：先用 hotline rasa serve 起好它，再设 HOTLINE_RASA_URL")
    token = os.environ.get("HOTLINE_RASA_TOKEN") or kept_token(data_dir())
    return RasaEngine(url, local, token=token, budget=PATIENCE)


def _all_by(engine: LocalEngine | RasaEngine) -> None:
    """Raises `ValueError` when Rasa left messages to the local engine: the figures would be of neither."""
    if isinstance(engine, RasaEngine):
        missed = {reason: count for reason, count in engine.counts.items() if reason != engine.name}
        if missed:
            reasons = "，".join(f"{reason} {count}" for reason, count in missed.items())
            raise ValueError(f"有 {sum(missed.values())} 条 Rasa 没有答好（{reasons}），成绩不作数")


def evaluate_file(
    files: Annotated[list[Path], typer.Argument(help="每行一条 JSON：text、topic、also", exists=True, dir_okay=False)],
    engine: Annotated[Which, typer.Option(help="评哪个引擎")] = Which.LOCAL,
    as_json: Annotated[bool, typer.Option("--json", help="输出 JSON")] = False,
    rows: Annotated[Path | None, typer.Option(help="逐条结果写到这个文件")] = None,
    choose_bands: Annotated[bool, typer.Option("--choose", help="按目标准确率选阈值并记下来")] = False,
    folder: Annotated[Path | None, typer.Option(help="模型在哪里；不填用 DATA_DIR/model")] = None,
) -> None:
    """Measure an engine on labelled questions, and with --choose set the bands by them."""
    try:
        asked = [row for file in files for row in read_rows(file)]
        local = LocalEngine.load(folder or data_dir() / "model")
        loaded, bands = _engine(engine, local), local.bands
    except (NotTrained, ValueError) as error:
        Console(stderr=True).print(f"[red]✗[/red] {error}")
        raise typer.Exit(1) from None

    async def go() -> Report:
        try:
            if asked:
                # The first message pays for what is loaded lazily; it is not what a worker waits for.
                await loaded.understand(asked[0].text)
                _all_by(loaded)
            judged = await judge(loaded, asked, bands)
            _all_by(loaded)
        finally:
            await loaded.close()
            await local.close()
        return summarise(judged)

    try:
        report = asyncio.run(go())
    except ValueError as error:
        Console(stderr=True).print(f"[red]✗[/red] {error}")
        raise typer.Exit(1) from None
    if rows is not None:
        lines = [json.dumps(one.as_json(), ensure_ascii=False) for one in report.judged]
        rows.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(report.as_json() | {"bands": _shown(bands)}, ensure_ascii=False))
    else:
        _print(report, bands)
    if choose_bands:
        try:
            found, why = choose(report.judged)
        except ValueError as error:
            Console(stderr=True).print(f"[red]✗[/red] {error}")
            raise typer.Exit(1) from None
        bands_of_model.keep(found, {"files": [file.name for file in files], **why})
        Console(stderr=True).print(f"阈值：{_shown(found)}，写进 {bands_of_model.CHOSEN.name}")


def _shown(bands: Bands) -> dict[str, float]:
    return {"answer": bands.answer, "ask": bands.ask, "scope": bands.scope}


_NAMES = {
    "top1": "第一个就对",
    "top3": "前三个里有",
    "answered": "直接回答",
    "answered_wrong": "直接回答里答错",
    "asked_back": "反问",
    "asked_back_has_it": "反问的三个里有",
    "handed_over": "转人工",
    "in_scope_refused": "范围内被拒",
    "oos_refused": "范围外拒掉",
    "oos_answered": "范围外却回答",
    "oos_refused_at_95": "范围外拒掉（保住 95% 范围内）",
    "danger_recall": "危险识别",
    "danger_elsewhere": "不危险却报警",
    "p50_ms": "毫秒 p50",
    "p95_ms": "毫秒 p95",
}


def _print(report: Report, bands: Bands) -> None:
    table = Table(title=f"{report.n} 条，阈值 {_shown(bands)}")
    for head in ("", "值", "95% 区间", "共"):
        table.add_column(head)
    for name, value in report.figures.items():
        pair = report.intervals.get(name)
        spread = f"{pair[0]:.3f}–{pair[1]:.3f}" if pair else ""
        table.add_row(_NAMES[name], "-" if value is None else f"{value}", spread, str(report.of.get(name, "")))
    out.print(table)
    for title, parts in (("按主题组", report.by_group), ("按长度", report.by_length)):
        _print_parts(title, parts)
    out.print("最常混的：", *(f"{said} → {heard} ×{n}" for said, heard, n in report.confusions), sep="\n  ")
    out.print("最有把握却错的：")
    for one in report.surest_and_wrong:
        topic, confidence = one.ranking[0]
        out.print(f"  {confidence:.2f} {topic}（应是 {one.row.topic}）{one.row.text[:60]}", markup=False)


def _print_parts(title: str, parts: dict[str, dict[str, Any]]) -> None:
    table = Table(title=title)
    for head in ("", "n", "top1", "top3", "answered"):
        table.add_column(head)
    for name, part in parts.items():
        table.add_row(name, *(str(part[key]) for key in ("n", "top1", "top3", "answered")))
    out.print(table)
