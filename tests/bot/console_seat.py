"""A colleague at the console, as a browser would be: a log-in, the cookies, the token of the page in every form."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from bot import staff
from bot.app import create_app
from bot.hotline import Hotline

PASSWORD = "correct-horse"


@dataclass
class Colleague:
    client: httpx.AsyncClient
    csrf: str = ""

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    async def post(self, path: str, **form: str) -> httpx.Response:
        return await self.client.post(path, data={"csrf": self.csrf, **form})

    async def log_in(self, login: str, password: str = PASSWORD) -> httpx.Response:
        door = token_in(await self.get("/console/login"))
        entered = await self.client.post("/console/login", data={"login": login, "password": password, "csrf": door})
        if entered.status_code == 303:
            self.csrf = token_in(await self.get("/console"))
        return entered


def token_in(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def browser(hotline: Hotline, address: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(hotline), raise_app_exceptions=False, client=(address, 50000))
    return httpx.AsyncClient(transport=transport, base_url="http://hotline.test")


@asynccontextmanager
async def at_desk(hotline: Hotline, login: str, name: str) -> AsyncIterator[Colleague]:
    """A new account, logged in."""
    async with hotline.db.transaction() as session:
        await staff.add(session, login=login, name=name, password=PASSWORD, role="agent", now=hotline.clock())
    async with browser(hotline) as client:
        colleague = Colleague(client)
        assert (await colleague.log_in(login)).status_code == 303
        yield colleague
