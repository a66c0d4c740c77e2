"""The policy desk's page: an article whose time has run out is seen there, and the worker is offered a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bot.conversation import turn
from bot.hotline import Hotline
from knowledge_base.article import Article
from tests.bot.console_seat import Colleague, at_desk
from tests.conftest import Clock
from tests.fakes import says


@pytest.fixture
async def fang(hotline: Hotline) -> AsyncIterator[Colleague]:
    async with at_desk(hotline, "fang", "王芳") as colleague:
        yield colleague


def _wages(hotline: Hotline) -> Article:
    article = hotline.knowledge.catalog.article("legal.wage_arrears")
    assert article
    return article


async def test_all_articles_are_listed_and_valid_today(hotline: Hotline, fang: Colleague) -> None:
    page = await fang.get("/console/articles")
    assert page.status_code == 200
    assert all(article.title in page.text for article in hotline.knowledge.catalog)
    assert "已过期 0 个" in page.text
    assert "已经过期" not in (await fang.get("/console")).text


async def test_an_expired_article_is_not_served_and_the_desk_sees_it(
    hotline: Hotline, fang: Colleague, clock: Clock
) -> None:
    article = _wages(hotline)
    clock.now += timedelta(days=(article.review_by - clock.now.date()).days + 2)
    await fang.log_in("fang")
    told = await turn(hotline, says("老板拖欠工资不给怎么办"))
    assert told.text
    assert "正在更新" in told.text
    page = (await fang.get("/console/articles")).text
    row = page[: page.index(f"/console/articles/{article.id}")].rindex("<tr>")
    assert "state-expired" in page[row : page.index(f"/console/articles/{article.id}")]
    assert "个条目已经过期" in (await fang.get("/console")).text


async def test_one_article_as_the_worker_reads_it(hotline: Hotline, fang: Colleague) -> None:
    page = await fang.get("/console/articles/legal.wage_arrears")
    article = _wages(hotline)
    assert article.title in page.text
    assert article.owner in page.text
    assert (await fang.get("/console/articles/legal.nothing")).status_code == 404
