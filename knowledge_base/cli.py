"""The `kb` commands that need no database: check, list, export, stats, impact."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, NoReturn
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from knowledge_base import card, catalog, statutes
from knowledge_base.article import Article
from knowledge_base.catalog import Catalog
from knowledge_base.check import FEWEST
from knowledge_base.check import check as check_folder
from knowledge_base.document import ArticleError
from knowledge_base.questions import STYLES
from knowledge_base.topics import vocabulary

kb = typer.Typer(help="知识库：检查、列出、导出、统计、看一条法牵动哪些条目。", no_args_is_help=True)

Articles = Annotated[
    Path, typer.Option("--from", exists=True, help="条目所在的文件夹，或 kb export 写出的文件。")
]  # fmt: skip
Today = Annotated[datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="按这一天来看，默认今天。")]


@kb.command()
def check(
    folder: Annotated[
        Path, typer.Option("--from", exists=True, file_okay=False, help="条目所在的文件夹。")
    ] = catalog.FOLDER,
    on: Today = None,
) -> None:
    """检查所有条目；有错时以 1 退出。"""
    findings = check_folder(folder, _day(on))
    errors = sum(finding.level == "error" for finding in findings)
    for finding in findings:
        typer.echo(f"{finding.path}: {'错误' if finding.level == 'error' else '提醒'}：{finding.message}")
    typer.echo(f"{errors} 处错误，{len(findings) - errors} 处提醒。")
    raise typer.Exit(1 if errors else 0)


@kb.command(name="list")
def list_articles(path: Articles = catalog.FOLDER, on: Today = None) -> None:
    """列出所有条目。"""
    known, today = _load(path), _day(on)
    table = Table("主题", "标题", "紧急", "核对", "最迟再核", "字节", "问法")
    for article in known:
        review = str(article.review_by) + ("" if article.is_valid_on(today) else "（已失效）")
        size = str(len(card.text(article).encode()))
        count = str(sum(1 for _ in known.questions[article.id].each()))
        table.add_row(article.id, article.title, article.urgency, str(article.checked), review, size, count)
    _show(table)
    typer.echo(f"{len(known)} 篇，共 {len(vocabulary().topics)} 个主题。版本 {known.version}。")


@kb.command()
def export(
    to: Annotated[Path, typer.Option("--to", dir_okay=False, help="写到这个文件（JSON），kb import 可以读回。")],
    path: Articles = catalog.FOLDER,
) -> None:
    """把所有条目和问法写进一个文件。"""
    known = _load(path)
    to.write_text(catalog.export(known), encoding="utf-8")
    typer.echo(f"{len(known)} 篇写到 {to}，版本 {known.version}。")


@kb.command()
def stats(path: Articles = catalog.FOLDER, on: Today = None) -> None:
    """每个主题的问法数、核对至今的天数、篇幅、平均句长；有主题问法不足时以 1 退出。"""
    known, today = _load(path), _day(on)
    table = Table("主题", "规矩", *STYLES, "生活合计", "核对(天)", "正文字", "句长")
    short: list[str] = []
    for article in known:
        asked = known.questions[article.id]
        if min(len(asked.standard), asked.colloquial_count) < FEWEST:
            short.append(article.id)
        styles = [str(len(asked.colloquial.get(style, ()))) for style in STYLES]
        age, (length, grade) = (today - article.checked).days, _reading(article)
        row = [str(len(asked.standard)), *styles, str(asked.colloquial_count), str(age), str(length), f"{grade:.1f}"]
        table.add_row(article.id, *row)
    _show(table)
    total = sum(1 for _ in known.wordings())
    grades = [_reading(article)[1] for article in known]
    typer.echo(
        f"{len(known)} 篇，{total} 句问法，平均每句 {sum(grades) / max(1, len(grades)):.1f} 字（20 字以内好读）。"
    )
    if short:
        typer.echo(f"规矩或生活问法不足 {FEWEST} 句：{'、'.join(short)}")
        raise typer.Exit(1)


@kb.command()
def impact(
    statute: Annotated[str, typer.Argument(help="法律短名、全名或别名，如 劳动合同法。")],
    article: Annotated[int | None, typer.Argument(help="条号；不写就列出用到这部法的所有条目。")] = None,
    path: Articles = catalog.FOLDER,
) -> None:
    """列出依据某部法（某一条）的条目，法改了就从这里开始重核。"""
    known = _load(path)
    names = {name for found in statutes.find(statute) for name in found.names}
    if not names:
        near = [name for name in statutes.statutes() if statute in name or name in statute]
        _refuse(f"没有“{statute}”这部法。" + (f"是不是：{'、'.join(near)}？" if near else "短名见 statutes.yaml。"))
    if article is not None and not any(found.has(article) for found in statutes.find(statute)):
        _refuse(f"{statute}没有第{article}条。")
    count = 0
    for one in known:
        cited = sorted({number for source in one.sources if source.statute in names for number in source.articles})
        if article in cited or (article is None and any(source.statute in names for source in one.sources)):
            typer.echo(
                f"{one.id}  {one.title}  {one.owner}  第{'、'.join(map(str, cited))}条"
                if cited
                else f"{one.id}  {one.title}  {one.owner}"
            )
            count += 1
    typer.echo(f"{count} 篇。")


def _day(given: datetime | None) -> date:
    return given.date() if given else datetime.now(ZoneInfo("Asia/Shanghai")).date()


def _load(path: Path) -> Catalog:
    try:
        return catalog.load(path)
    except ArticleError as error:
        _refuse(f"{error}\n先运行 hotline kb check 看全部问题。")


def _refuse(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(2)


def _show(table: Table) -> None:
    console = Console()
    # Piped into a file or a pager there is no width to keep to, and a cut topic is no use.
    (console if console.is_terminal else Console(width=200)).print(table)


def _reading(article: Article) -> tuple[int, float]:
    """(characters, mean characters a sentence) of the body."""
    sentences = [
        sentence
        for section in article.sections
        for sentence in re.split(r"[。！？；\n]+", section.text)
        if re.search(r"\w", sentence)
    ]
    total = sum(len(re.sub(r"\s", "", sentence)) for sentence in sentences)
    return total, total / max(1, len(sentences))
