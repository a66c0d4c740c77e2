"""The approved articles as they were imported: what every process answers from."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from bot.models.base import Table


class ArticleRow(Table):
    """`raw` and `questions` are the two files of the article, whole."""

    __tablename__ = "article"

    topic: Mapped[str] = mapped_column(primary_key=True)
    raw: Mapped[str]
    questions: Mapped[str]
    imported_at: Mapped[datetime]
