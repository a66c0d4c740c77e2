"""The approved articles in the database, and the copy of them that a process answers from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.duty import BEIJING
from bot.errors import Invalid
from bot.models import ArticleRow
from knowledge_base import catalog
from knowledge_base.catalog import Catalog
from knowledge_base.check import check
from knowledge_base.document import ArticleError

ARTICLES = catalog.FOLDER


@dataclass(frozen=True, slots=True)
class Change:
    """What an import does to one topic: added, changed or removed."""

    topic: str
    kind: str


class Knowledge:
    """Holds the catalog of this process; `reload` swaps it whole."""

    def __init__(self) -> None:
        self.catalog: Catalog = catalog.from_rows([])

    async def reload(self, session: AsyncSession) -> None:
        rows = await session.scalars(select(ArticleRow).order_by(ArticleRow.topic))
        self.catalog = catalog.from_rows([(row.raw, row.questions) for row in rows])


async def difference(session: AsyncSession, folder: Path) -> list[Change]:
    """What `bring_in` would change, without changing it."""
    there = {row.topic: (row.raw, row.questions) for row in await session.scalars(select(ArticleRow))}
    files = _files(folder)
    changes = [Change(topic, "added") for topic in files if topic not in there]
    changes += [Change(topic, "changed") for topic in files if topic in there and there[topic] != files[topic]]
    changes += [Change(topic, "removed") for topic in there if topic not in files]
    return sorted(changes, key=lambda change: change.topic)


async def bring_in(session: AsyncSession, folder: Path, now: datetime) -> list[Change]:
    """Make the database say what the folder says; doing it again changes nothing.

    Raises `Invalid` with the first faults when `kb check` finds an error: a faulty folder is not imported at all.
    """
    try:
        changes = await difference(session, folder)
    except ArticleError as error:
        raise Invalid(f"条目有错误，没有导入：{error}") from None
    if not changes:
        return []
    faults = [finding for finding in check(folder, now.astimezone(BEIJING).date()) if finding.level == "error"]
    if faults:
        shown = "\n".join(f"{fault.path}：{fault.message}" for fault in faults[:5])
        raise Invalid(f"条目有 {len(faults)} 处错误，没有导入：\n{shown}")
    files = _files(folder)
    touched = [change.topic for change in changes]
    if touched:
        await session.execute(delete(ArticleRow).where(ArticleRow.topic.in_(touched)))
    for topic in touched:
        if topic in files:
            raw, questions = files[topic]
            session.add(ArticleRow(topic=topic, raw=raw, questions=questions, imported_at=now))
    return changes


def _files(folder: Path) -> dict[str, tuple[str, str]]:
    found = catalog.load(folder)
    return {topic: (found.articles[topic].raw, found.questions[topic].raw) for topic in found.articles}
