"""The articles as the policy desk keeps them: which have run out, which will soon, and how a worker reads each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from fastapi import APIRouter, Request, Response

from bot.console.access import Seated
from bot.console.pages import ConsoleRoute, hotline_of, render
from bot.duty import BEIJING
from bot.errors import NotFound
from bot.hotline import Hotline
from knowledge_base.article import Article
from knowledge_base.card import card
from knowledge_base.check import REVIEW_SOON

router = APIRouter(prefix="/articles", route_class=ConsoleRoute)


@dataclass(frozen=True, slots=True)
class Line:
    """`state` is expired (not served any more), soon (to be checked again within a month) or good."""

    topic: str
    title: str
    owner: str
    state: str
    checked: date
    until: date
    stale_when: str


@router.get("")
async def show(request: Request, seat: Seated) -> Response:
    """All articles; those that are not served stand first."""
    lines = lines_of(hotline_of(request))
    counts = {state: sum(line.state == state for line in lines) for state in ("expired", "soon", "good")}
    return render(request, "articles.html", seat=seat, lines=lines, counts=counts)


@router.get("/{topic}")
async def show_one(request: Request, topic: str, seat: Seated) -> Response:
    """One article as a worker reads it, with what the policy desk has to know of it."""
    hotline = hotline_of(request)
    article = hotline.knowledge.catalog.article(topic)
    if article is None:
        raise NotFound("没有这个条目")
    return render(
        request, "article.html", seat=seat, article=article, line=_line(article, _today(hotline)), card=card(article)
    )


def lines_of(hotline: Hotline) -> list[Line]:
    today = _today(hotline)
    order = {"expired": 0, "soon": 1, "good": 2}
    found = [_line(article, today) for article in hotline.knowledge.catalog]
    return sorted(found, key=lambda line: (order[line.state], line.until, line.topic))


def expired(hotline: Hotline) -> int:
    """How many articles are not served because their time has run out."""
    today = _today(hotline)
    return sum(not article.is_valid_on(today) for article in hotline.knowledge.catalog)


def _line(article: Article, today: date) -> Line:
    until = min(article.valid_to or article.review_by, article.review_by)
    state = "good" if until > today + REVIEW_SOON else "soon"
    if not article.is_valid_on(today):
        state = "expired"
    return Line(article.id, article.title, article.owner, state, article.checked, until, article.stale_when)


def _today(hotline: Hotline) -> date:
    return hotline.clock().astimezone(BEIJING).date()
