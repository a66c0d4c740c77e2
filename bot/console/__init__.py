"""Pages for the duty staff, under /console."""

from __future__ import annotations

from fastapi import APIRouter

from bot.console import articles, desk, door, files, status, ticket
from bot.console.pages import error_page

router = APIRouter(include_in_schema=False)
for part in (door, desk, ticket, files, articles, status):
    router.include_router(part.router, prefix="/console")

__all__ = ["error_page", "router"]
