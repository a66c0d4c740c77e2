"""`hotline wechat`: the account's menu, the QR codes of sites, and who has agreed to notices."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import httpx
import typer
from sqlalchemy import func, select

from bot import embedded
from bot.bell import Bell
from bot.db import Database
from bot.errors import HotlineError
from bot.models import Worker
from bot.settings import sections, settings
from connectors import wechat_menu
from connectors.base import SendError
from connectors.wechat import WeChat, WeChatSettings
from knowledge_base.topics import vocabulary

app = typer.Typer(no_args_is_help=True, help="公众号的菜单、站点二维码和通知")
T = TypeVar("T")
_PICTURE_BYTES = 1 << 20
_PNG = b"\x89PNG"
_FIELD = re.compile(r"\{\{\s*([A-Za-z_]+\d+)\.DATA\s*\}\}")


@app.command()
def menu(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只看公众号上的菜单和文件里的是否一样，不改")] = False,
) -> None:
    """把菜单文件里的菜单放到公众号上；一样就不动。"""
    section = _section()
    guide = wechat_menu.read(section.guide_path)
    for line in _drawn(guide):
        typer.echo(line)
    if unknown := [topic for topic in guide.topics() if topic not in vocabulary().topics]:
        raise HotlineError(f"{section.guide_path} 里没有这样的主题：{'、'.join(unknown)}")

    async def go(account: WeChat) -> str:
        if dry_run:
            different = await wechat_menu.differs(account.api, guide)
            return "公众号上的菜单和文件不一样，去掉 --dry-run 就会更新" if different else "公众号上的菜单和文件一样"
        changed = await wechat_menu.publish(account.api, guide)
        return "菜单已更新，手机上五分钟内看到" if changed else "公众号上的菜单和文件一样，没有改动"

    typer.echo(_asked(section, go))


@app.command()
def qr(
    scene: Annotated[str, typer.Argument(help="场景编号：字母、数字、-、_")],
    name: Annotated[str, typer.Argument(help="站点的名字，职工和同事都会看到")],
    folder: Annotated[Path | None, typer.Option(help="图片放在哪个文件夹；不填放在 DATA_DIR/qr")] = None,
) -> None:
    """做一个永久的站点二维码，并把站点写进菜单文件。"""
    section = _section()
    if not wechat_menu.SCENE.fullmatch(scene) or not name.strip():
        raise HotlineError("场景编号只能用字母、数字、-、_，最多 64 个；站点要有名字")
    guide = wechat_menu.read(section.guide_path)
    if guide.sites.get(scene, name) != name:
        raise HotlineError(f"{scene} 已经是“{guide.sites[scene]}”的编号，换一个，或先改 {section.guide_path}")

    async def go(account: WeChat) -> tuple[str, bytes, str]:
        ticket, holds = await wechat_menu.make_code(account.api, scene)
        address = f"{section.picture_url.rstrip('/')}/cgi-bin/showqrcode?{httpx.QueryParams({'ticket': ticket})}"
        try:
            picture, _ = await account.api.elsewhere(address, _PICTURE_BYTES)
        except SendError as error:
            typer.echo(f"图片没有取到（{error.reason}），可以用浏览器打开下面的地址", err=True)
            picture = b""
        return address, picture, holds

    address, picture, holds = _asked(section, go)
    typer.echo(f"图片地址  {address}\n码里的内容  {holds}")
    if picture:
        kind = "png" if picture.startswith(_PNG) else "jpg"
        kept = (folder or settings().data_dir / "qr") / f"{scene}.{kind}"
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(picture)
        typer.echo(f"图片存在  {kept}")
    typer.echo(_note_site(section.guide_path, scene, name) if scene not in guide.sites else f"{name} 已经在菜单文件里")


@app.command()
def consent() -> None:
    """列出公众号的通知模板和栏目，核对菜单文件，数一数有多少职工同意接收。"""
    section = _section()
    ours = set(wechat_menu.read(section.guide_path).notice)

    async def go(account: WeChat) -> list[dict[str, Any]]:
        found = (await account.api.get("/wxaapi/newtmpl/gettemplate")).get("data")
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    templates = _asked(section, go)
    for one in templates:
        chosen = one.get("priTmplId") == section.notice_template
        fields = _FIELD.findall(str(one.get("content", "")))
        typer.echo(f"{'→' if chosen else ' '} {one.get('priTmplId')}  {one.get('title')}  栏目：{'、'.join(fields)}")
        if chosen and set(fields) != ours:
            typer.echo(f"  菜单文件的 notice.fields 是 {'、'.join(sorted(ours))}，要改成和模板一样", err=True)
    if not templates:
        typer.echo("公众号还没有通知模板，先在公众平台“订阅通知”里选用一个")
    elif section.notice_template not in {one.get("priTmplId") for one in templates}:
        typer.echo("HOTLINE_WECHAT_NOTICE_TEMPLATE 没有填，或者不在上面", err=True)
    typer.echo(f"同意接收通知、还有次数的职工：{asyncio.run(_willing())} 人")


async def _willing() -> int:
    db = Database(settings().database)
    try:
        async with db.reading() as session:
            counted = select(func.count()).where(Worker.channel == WeChat.name, Worker.notices > 0)
            return await session.scalar(counted) or 0
    finally:
        await db.close()


def _section() -> WeChatSettings:
    section: WeChatSettings = sections()[WeChat.name]
    if not section.configured():
        raise HotlineError("没有接微信：先填 HOTLINE_WECHAT_TOKEN 等设置")
    if section.passive_only:
        raise HotlineError("HOTLINE_WECHAT_PASSIVE_ONLY=true 的公众号没有这些权限")
    return section


def _asked(section: WeChatSettings, ask: Callable[[WeChat], Awaitable[T]]) -> T:
    """Ask the platform with the token that the running service uses too. Raises `HotlineError` in one line."""

    async def go() -> T:
        async with _account(section) as account:
            return await ask(account)

    try:
        return asyncio.run(go())
    except SendError as error:
        raise HotlineError(error.reason) from None


@contextlib.asynccontextmanager
async def _account(section: WeChatSettings) -> AsyncIterator[WeChat]:
    given = settings()
    with contextlib.ExitStack() as stack:
        url = given.redis_url or stack.enter_context(embedded.valkey(given.data_dir / "valkey"))
        bell = Bell(url)
        try:
            async with httpx.AsyncClient() as http:
                yield WeChat(section, bell, http)
        finally:
            await bell.close()


def _drawn(guide: wechat_menu.Guide) -> list[str]:
    lines = []
    for top in guide.buttons:
        lines.append(top["name"])
        lines += [f"  {button['name']}" for button in top.get("sub_button", [])]
    return lines


def _note_site(path: Path, scene: str, name: str) -> str:
    try:
        text = wechat_menu.with_site(path.read_text(encoding="utf-8"), scene, name)
        path.write_text(text, encoding="utf-8")
    except ValueError as error:
        return str(error)
    except OSError:
        return f"{path} 写不了，请自己在 sites 下面加一行：{scene}: {name}"
    return f"已写进 {path}；重启服务后，扫这个码的工单上写着“{name}”"
