"""Runs migrations on a connection that `bot.schema` hands over."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import TypeDecorator

from bot.models import Table


def _render(kind: str, item: Any, autogen: Any) -> str | Literal[False]:
    """Our own column types are written as the plain type behind them, so that a migration never imports the models."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_item=_render,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
