"""`hotline doctor`: look at everything a night on duty rests on, send nobody anything, and say what to do."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from bot import embedded, knowledge, schema
from bot.bell import Bell
from bot.db import Database
from bot.duty import BEIJING
from bot.errors import Unavailable
from bot.hotline import channels, utcnow
from bot.models import Message, Staff
from bot.settings import Settings
from connectors.abilities import Checks, Finding
from intents import encoders, model
from intents.model import NotTrained
from knowledge_base import catalog

_ROOM = 500 * 1024 * 1024
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Part:
    """What was looked at together, and what was found there."""

    name: str
    findings: Sequence[Finding]


async def examine(settings: Settings) -> AsyncIterator[Part]:
    """One part after the other, in the order in which to mend them. Never raises: what fails is a finding."""
    machine = _machine(settings)
    yield Part("本机", machine)
    if not machine[0].good:
        return
    database = Database(settings.database)
    try:
        tables = await _asked(lambda: _database(database))
        yield Part("数据库", tables)
        if all(finding.good for finding in tables):
            yield Part("条目和账号", await _asked(lambda: _contents(database)))
    finally:
        await database.close()
    yield Part("理解", await asyncio.to_thread(_understanding, settings))
    yield Part("旁边的服务", await _asked(lambda: _services(settings)))
    async with contextlib.AsyncExitStack() as stack:
        try:
            url = settings.redis_url or await asyncio.to_thread(
                stack.enter_context, embedded.valkey(settings.data_dir / "valkey")
            )
            bell = Bell(url)
            stack.push_async_callback(bell.close)
            await bell.ping()
        except Unavailable as error:
            yield Part("Redis", [Finding(False, str(error), "核对 HOTLINE_REDIS_URL；不填就用内嵌的")])
            return
        yield Part("Redis", [Finding(True, "Redis 有回应" if settings.redis_url else "内嵌的 Valkey 能用")])
        http = await stack.enter_async_context(httpx.AsyncClient())
        built = channels(settings, bell, http)
        for connector in built.values():
            stack.push_async_callback(connector.close)
        for name, connector in built.items():
            if isinstance(connector, Checks):
                yield Part(name, await _asked(functools.partial(connector.check, settings.public_url)))
        yield Part("渠道", [Finding(True, f"开着的：{'、'.join(built)}"), *_address(settings, built)])


async def _asked(look: Callable[[], Awaitable[Sequence[Finding]]]) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await look()
    except TimeoutError:
        return [Finding(False, f"查了 {_PATIENCE:.0f} 秒没有结果", "稍后再试；一直这样就查网络")]
    except Exception as error:
        return [Finding(False, f"没查成：{type(error).__name__}", "看上面几项，先把它们修好")]


def _machine(settings: Settings) -> list[Finding]:
    folder = settings.data_dir.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return [Finding(False, f"{folder} 写不进去（{error.strerror}）", "换一个 HOTLINE_DATA_DIR，或改文件夹的权限")]
    room = shutil.disk_usage(folder).free
    found = [
        Finding(True, f"{folder} 能写"),
        Finding(room > _ROOM, f"磁盘还有 {room / 2**30:.1f} GB", "清出 500 MB 以上，否则收不下文件和数据"),
    ]
    for name in ("secret.key", "pii.key"):
        key = folder / name
        if key.exists():
            closed = key.stat().st_mode & 0o077 == 0
            found.append(Finding(closed, f"{name} {'只有本账号能读' if closed else '别人也能读'}", f"chmod 600 {key}"))
    zone = Path("/etc/timezone")
    named = os.environ.get("TZ") or (zone.read_text().strip() if zone.exists() else "")
    found.append(Finding(True, f"本机时区 {named or '没有说明'}；热线自己一律按北京时间"))
    return found


async def _database(database: Database) -> list[Finding]:
    answered = await _pinged(database)
    if not answered.good:
        return [answered]
    newest = schema.newest()
    async with database.engine.connect() as connection:
        at = await connection.run_sync(_revision)
    current = at == newest
    return [answered, Finding(current, f"表结构是 {at or '空的'}，最新的是 {newest}", "执行 hotline migrate")]


async def _pinged(database: Database) -> Finding:
    try:
        await database.ping()
    except Unavailable as error:
        return Finding(False, str(error), "核对 HOTLINE_DATABASE_URL，看数据库是否起着")
    return Finding(True, f"数据库有回应（{database.engine.dialect.name}）")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def _contents(database: Database) -> list[Finding]:
    try:
        async with database.reading() as session:
            changes = await knowledge.difference(session, knowledge.ARTICLES)
            people = await session.scalar(select(func.count()).select_from(Staff).where(Staff.active))
            failed = await session.scalar(
                select(func.count()).select_from(Message).where(Message.direction == "out", Message.status == "failed")
            )
    except SQLAlchemyError as error:
        return [Finding(False, f"表读不出来（{type(error).__name__}）", "执行 hotline migrate")]
    today = utcnow().astimezone(BEIJING).date()
    old = [article.id for article in catalog.load(knowledge.ARTICLES) if not article.is_valid_on(today)]
    return [
        Finding(
            not changes,
            f"库里的条目与文件{'一致' if not changes else f'有 {len(changes)} 处不同'}",
            "执行 hotline kb import",
        ),
        Finding(
            not old,
            f"过期的条目 {len(old)} 个 {' '.join(old[:5])}".strip(),
            "请政策组核对后改日期，再 hotline kb import",
        ),
        Finding(bool(people), f"能登录的值班账号 {people} 个", "执行 hotline staff add"),
        Finding(not failed, f"没送达的消息 {failed} 条", "在控制台的工单里看原因，改用电话联系"),
    ]


def _understanding(settings: Settings) -> list[Finding]:
    try:
        trained = model.load(settings.data_dir / "model")
    except NotTrained as error:
        return [Finding(False, str(error), "执行 hotline kb train")]
    wanted, at_hand = trained.facts.get("encoders"), [encoders.load_use(), encoders.load_e5()]
    known = {encoder.name: encoder.version for encoder in at_hand if encoder}
    fits = isinstance(wanted, dict) and all(known.get(name) == version for name, version in wanted.items())
    return [
        Finding(True, f"模型 {trained.seal[:12]}，{len(trained.topics)} 个主题"),
        Finding(
            fits, f"句子编码器：{'、'.join(known) or '一个也没有'}", "执行 make setup；缺编码器也能用，只是听得没那么准"
        ),
    ]


async def _services(settings: Settings) -> list[Finding]:
    """What is set and stands outside: Rasa, speech recognition, file storage."""
    found = []
    asked = (
        ("Rasa", settings.rasa_url, "hotline rasa status；它不在时由进程内的引擎回答"),
        ("语音转文字", settings.asr_url, "核对 HOTLINE_ASR_URL；它不在时请职工打字"),
        ("文件存储", settings.s3_url, "核对 HOTLINE_S3_URL；它不在时文件留在平台，三天内会再取"),
    )
    async with httpx.AsyncClient(timeout=5) as http:
        for name, url, todo in asked:
            if not url:
                continue
            try:
                # Any answer will do: these addresses want a key, a path or a method that we do not spend here.
                answer = await http.get(url)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                found.append(Finding(False, f"{name} 连不上（{type(error).__name__}）", todo))
            else:
                found.append(Finding(answer.status_code < 500, f"{name} 有回应（HTTP {answer.status_code}）", todo))
    return found or [Finding(True, "没有设 Rasa、语音转文字和 S3，用不着查")]


def _address(settings: Settings, built: object) -> list[Finding]:
    url = settings.public_url
    if not url:
        return [Finding(True, "没有设 HOTLINE_PUBLIC_URL：通知里不带链接，Telegram 由本机去取消息")]
    secure = url.startswith("https://")
    return [
        Finding(secure, f"对外地址 {url}", "前面放一个有证书的 https 反向代理"),
        Finding(settings.cookie_secure or not secure, "控制台的 cookie 只走 https", "设 HOTLINE_COOKIE_SECURE=true"),
    ]
