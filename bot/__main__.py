"""The `hotline` command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Coroutine, Iterator
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, TypeVar

import typer
import uvloop
from alembic.util.exc import CommandError
from dotenv import dotenv_values
from rich.console import Console
from rich.markup import escape

from bot import embedded, knowledge, logs, schema
from bot.bench import bench
from bot.db import Database
from bot.errors import HotlineError
from bot.hotline import Hotline, opened, utcnow
from bot.settings import SettingsError, sections, settings
from bot.staff_cli import app as staff_app
from bot.wechat_cli import app as wechat_app
from intents import cli as intents_cli
from intents import rasa_cli
from intents.cli import Which
from intents.model import NotTrained
from knowledge_base.cli import kb

app = typer.Typer(help="大兴区总工会 24 小时职工热线", no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(kb, name="kb", help="条目：检查、导入、导出、训练")
app.add_typer(staff_app, name="staff", help="值班人员的账号")
app.add_typer(wechat_app, name="wechat", help="公众号的菜单、站点二维码和通知")
app.add_typer(bench, name="bench", help="测量速度和内存")
app.add_typer(rasa_cli.app, name="rasa", help="Rasa 服务：安装、导出数据、训练、测试、启动")
app.command("eval")(intents_cli.evaluate_file)
kb.command("train")(intents_cli.train)

out = Console()
T = TypeVar("T")
Json = Annotated[bool, typer.Option("--json", help="输出 JSON")]
Port = Annotated[int, typer.Option(help="监听端口", min=1, max=65535)]
Folder = Annotated[Path, typer.Option(help="条目所在的文件夹")]


def main() -> None:
    """Run the command; an error of ours is one line, not a trace."""
    # The commands that know nothing of the service read the environment alone; what `.env` says holds for them too.
    # No more than they need: keys stay out of the environment of processes that we start.
    written = dotenv_values(".env")
    for name in ("HOTLINE_DATA_DIR", "HOTLINE_RASA_URL", "HOTLINE_RASA_TOKEN"):
        if value := written.get(name):
            os.environ.setdefault(name, value)
    try:
        app()
    except (SettingsError, HotlineError, NotTrained) as error:
        # One line as it stands: no wrapping, and brackets in an error are not a colour.
        Console(stderr=True).print(f"[red]✗[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)


@app.command()
def run(port: Port = 8000) -> None:
    """Migrate, import the articles, show the addresses and the first log-in, and serve."""
    logs.set_up(settings().log_level)
    sections()  # A half-set section is refused before the first log-in is shown.
    _free(port)
    asyncio.run(_prepare(port))
    _serve(port)


@app.command()
def serve(port: Port = 8000, host: str = "127.0.0.1") -> None:
    """Serve the webhooks, the web chat and the console, and deliver replies."""
    logs.set_up(settings().log_level)
    _free(port)
    _serve(port, host)


@app.command()
def worker() -> None:
    """Deliver replies and fetch files: an extra process beside the servers."""
    from bot import media, outbox

    async def deliver(hotline: Hotline) -> None:
        await asyncio.gather(outbox.run(hotline), media.run(hotline))

    logs.set_up(settings().log_level)
    _with(deliver)


@app.command()
def migrate(check: Annotated[bool, typer.Option("--check", help="只检查模型和迁移是否一致")] = False) -> None:
    """Bring the tables up to date."""
    if check:
        with tempfile.TemporaryDirectory() as folder:
            try:
                asyncio.run(_on(Database(f"sqlite+aiosqlite:///{folder}/check.db"), drift=True))
            except CommandError as error:
                raise HotlineError(f"模型改了，缺一份迁移：{error}") from None
        return
    asyncio.run(_on(Database(settings().database), drift=False))
    out.print("数据库已是最新")


@kb.command("import")
def bring_in(folder: Folder = knowledge.ARTICLES) -> None:
    """Make the service answer from the articles in the folder; may be repeated."""

    async def go() -> None:
        db = Database(settings().database)
        try:
            async with db.transaction() as session:
                changes = await knowledge.bring_in(session, folder, utcnow())
        finally:
            await db.close()
        out.print(f"导入完成，{len(changes)} 个主题有变化")
        await _ring_knowledge()

    asyncio.run(go())


@kb.command("diff")
def diff(folder: Folder = knowledge.ARTICLES) -> None:
    """Show what an import would change, before it does."""

    async def go() -> None:
        db = Database(settings().database)
        try:
            async with db.reading() as session:
                changes = await knowledge.difference(session, folder)
        finally:
            await db.close()
        names = {"added": "新增", "changed": "改动", "removed": "删除"}
        for change in changes:
            out.print(f"{names[change.kind]}  {change.topic}")
        out.print(f"{len(changes)} 个主题会变")

    asyncio.run(go())


@app.command()
def doctor(as_json: Json = False) -> None:
    """Look at settings, database, articles, model and channels, send nobody anything, and say what to do."""
    from bot import doctor as examination

    async def go() -> bool:
        well, parts = True, []
        async for part in examination.examine(settings()):
            well = well and all(finding.good for finding in part.findings)
            parts.append(asdict(part))
            if as_json:
                continue
            out.print(f"[bold]{escape(part.name)}[/bold]", highlight=False)
            for finding in part.findings:
                mark = "[green]✓[/green]" if finding.good else "[red]✗[/red]"
                out.print(f"  {mark} {escape(finding.what)}", highlight=False, soft_wrap=True)
                if not finding.good and finding.todo:
                    out.print(f"    → {escape(finding.todo)}", highlight=False, soft_wrap=True)
        if as_json:
            sys.stdout.write(json.dumps({"well": well, "parts": parts}, ensure_ascii=False, indent=2) + "\n")
        return well

    logs.set_up("ERROR")
    if not asyncio.run(go()):
        raise typer.Exit(1)


@app.command()
def ask(
    text: Annotated[str, typer.Argument(help="问题；写 - 则从标准输入一行读一个")],
    as_json: Json = False,
    engine: Annotated[Which | None, typer.Option(help="用哪个引擎；不填按设置")] = None,
) -> None:
    """Ask as a worker would, each question in a conversation of its own that leaves no trace."""
    from bot import asking

    questions = [line.rstrip("\n") for line in sys.stdin] if text == "-" else [text]
    for row in asking.answers([question for question in questions if question.strip()], engine):
        if as_json:
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
        else:
            out.print(row["reply"], markup=False, highlight=False)
            guesses = "  ".join(f"{item['topic']} {item['confidence']:.2f}" for item in row["ranking"][:3])
            out.print(f"[dim]{row['action']}  {guesses}  {row['engine']}[/dim]", highlight=False)
        sys.stdout.flush()


def _with(work: Any) -> None:
    async def go() -> None:
        async with opened(settings()) as hotline:
            await work(hotline)

    _quietly(go())


def _quietly(work: Coroutine[Any, Any, T]) -> None:
    """Run until it ends or is told to stop, by Ctrl-C or SIGTERM: both put everything away that was opened."""

    async def go() -> None:
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await work

    with (
        contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError),
        # The loop that uvicorn takes when it may choose.
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(go())
    out.print("已停止")


async def _on(db: Database, *, drift: bool) -> None:
    try:
        await schema.migrate(db)
        if drift:
            await schema.check_drift(db)
    finally:
        await db.close()


async def _prepare(port: int) -> None:
    """Tables, articles, and the first log-in when there is nobody yet."""
    from bot import staff

    db = Database(settings().database)
    try:
        await schema.migrate(db)
        async with db.transaction() as session:
            await knowledge.bring_in(session, knowledge.ARTICLES, utcnow())
            first = await staff.first_login(session, utcnow())
    finally:
        await db.close()
    base = f"http://127.0.0.1:{port}"
    out.print(f"职工聊天  {base}/chat", highlight=False)
    out.print(f"值班控制台  {base}/console", highlight=False)
    if first:
        out.print(
            f"第一次登录  账号 [bold]{first[0]}[/bold]  密码 [bold]{first[1]}[/bold]（只显示这一次）", highlight=False
        )


def _serve(port: int, host: str = "127.0.0.1") -> None:
    import uvicorn

    from bot.app import create_app

    async def go() -> None:
        async with opened(settings()) as hotline:

            class Server(uvicorn.Server):
                """Ends the streams first, and raises no signal again: that would cut short how the rest is put away."""

                def handle_exit(self, sig: int, frame: FrameType | None) -> None:
                    hotline.bell.fall_silent()
                    super().handle_exit(sig, frame)

                @contextlib.contextmanager
                def capture_signals(self) -> Iterator[None]:
                    for number in (signal.SIGINT, signal.SIGTERM):
                        asyncio.get_running_loop().add_signal_handler(number, self.handle_exit, number, None)
                    yield

            config = uvicorn.Config(
                create_app(hotline),
                host=host,
                port=port,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=3,
            )
            await Server(config).serve()

    _quietly(go())


def _free(port: int) -> None:
    """Raises `HotlineError` when somebody else is on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise HotlineError(f"端口 {port} 已被占用；换一个：make run PORT={port + 1}") from None


async def _ring_knowledge() -> None:
    """Tell running servers; without a shared Redis they read the articles at their next start."""
    from bot.bell import Bell

    given = settings()
    ours = embedded.socket_path(given.data_dir / "valkey")
    url = given.redis_url or (f"unix://{ours}" if ours.exists() else "")
    if url:
        bell = Bell(url)
        await bell.ring("knowledge")
        await bell.close()


if __name__ == "__main__":
    main()
