"""`hotline staff`: who may log in to the console."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncSession

from bot import staff
from bot.db import Database
from bot.errors import HotlineError
from bot.hotline import utcnow
from bot.settings import settings

app = typer.Typer(no_args_is_help=True, help="管理控制台账号")
T = TypeVar("T")
Login = Annotated[str, typer.Argument(help="账号")]


@app.command("list")
def show() -> None:
    """列出全部账号。"""
    table = Table("账号", "姓名", "角色", "状态")
    for person in _done(staff.everyone):
        table.add_row(person.login, person.name, staff.ROLES[person.role], "在用" if person.active else "已停用")
    Console().print(table)


@app.command()
def add(
    login: Login,
    name: Annotated[str, typer.Argument(help="姓名，职工会看到")],
    role: Annotated[str, typer.Option(help="agent 值班 | policy 政策 | admin 管理")] = "agent",
) -> None:
    """新建账号；密码在提示后输入，或从标准输入读一行。"""
    fresh = _asked()
    _done(lambda session: staff.add(session, login=login, name=name, password=fresh, role=role, now=utcnow()))
    typer.echo(f"已新建 {login}（{name}，{staff.ROLES[role]}）")


@app.command()
def password(login: Login) -> None:
    """重设密码，并退出这个账号的所有登录；停用的账号重设后恢复。"""
    fresh = _asked()

    async def change(session: AsyncSession) -> None:
        await staff.set_password(session, await staff.find(session, login), fresh)

    _done(change)
    typer.echo(f"已重设 {login} 的密码")


@app.command()
def disable(login: Login) -> None:
    """停用账号，并立即退出它的所有登录。"""

    async def stop(session: AsyncSession) -> None:
        await staff.disable(session, await staff.find(session, login))

    _done(stop)
    typer.echo(f"已停用 {login}")


def _asked() -> str:
    """The new password: typed twice at a terminal, or one line of a pipe."""
    if sys.stdin.isatty():
        typed: str = typer.prompt(f"新密码（至少 {staff.SHORTEST} 个字符）", hide_input=True, confirmation_prompt=True)
        return typed
    return sys.stdin.readline().rstrip("\n")


def _done(work: Callable[[AsyncSession], Awaitable[T]]) -> T:
    async def run() -> T:
        db = Database(settings().database)
        try:
            async with db.transaction() as session:
                return await work(session)
        finally:
            await db.close()

    try:
        return asyncio.run(run())
    except HotlineError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
