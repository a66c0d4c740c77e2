"""Who may show the chat in a frame, how a page in a frame is known, and scripts that old browsers can read."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import ValidationError

from bot.console.pages import STATIC
from bot.hotline import Hotline
from bot.settings import Settings, settings
from tests.bot.console_seat import browser

UNION = "https://www.union.example"
SCRIPTS = sorted(path.name for path in STATIC.glob("*.js") if path.name != "console.js")


@pytest.fixture
def configured() -> Settings:
    return settings().model_copy(update={"widget_origins": f"{UNION},http://10.0.0.5:8080"})


@pytest.fixture
async def client(hotline: Hotline) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(hotline) as found:
        yield found


def ancestors(answer: httpx.Response) -> list[str]:
    found = re.search(r"frame-ancestors ([^;]+)", answer.headers["content-security-policy"])
    assert found
    return found[1].split()


async def test_only_sites_on_the_list_may_frame_the_chat(client: httpx.AsyncClient) -> None:
    framed = await client.get("/chat", params={"embed": "1", "site": UNION})
    assert ancestors(framed) == ["'self'", UNION, "http://10.0.0.5:8080"]
    assert f'data-site="{UNION}"' in framed.text
    assert "set-cookie" not in framed.headers
    assert ancestors(await client.get("/chat")) == ["'self'"]
    assert ancestors(await client.get("/console/login")) == ["'none'"]


@pytest.mark.parametrize("site", ["https://evil.example", "", '"><script>alert(1)</script>', f"{UNION}.evil.example"])
async def test_the_page_speaks_to_no_other_site(client: httpx.AsyncClient, site: str) -> None:
    framed = await client.get("/chat", params={"embed": "1", "site": site})
    assert 'data-site=""' in framed.text
    assert "evil" not in framed.text


async def test_no_other_site_reads_our_json(client: httpx.AsyncClient) -> None:
    for method, path in (("OPTIONS", "/api/chat/messages"), ("POST", "/api/chat/session")):
        answer = await client.request(method, path, headers={"origin": UNION, "access-control-request-method": "POST"})
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_page_in_a_frame_shows_its_session_in_a_header(client: httpx.AsyncClient) -> None:
    begun = await client.post("/api/chat/session", headers={"x-hotline-session": "new"})
    assert "set-cookie" not in begun.headers
    shown = {"x-hotline-session": begun.json()["token"]}
    said = await client.post("/api/chat/messages", json={"id": "a", "text": "你好"}, headers=shown)
    assert said.status_code == 200
    assert len((await client.get("/api/chat/messages", headers=shown)).json()["messages"]) == 2
    assert (await client.get("/api/chat/messages")).status_code == 401


async def test_the_header_goes_before_the_cookie_and_must_be_ours(client: httpx.AsyncClient) -> None:
    await client.get("/chat")
    assert (await client.get("/api/chat/messages")).status_code == 200
    for forged in ("new", "kept", "x", "0" * 32 + "." + "0" * 32, ""):
        answer = await client.get("/api/chat/messages", headers={"x-hotline-session": forged})
        assert answer.status_code == 401, forged


async def test_where_the_frame_may_keep_nothing_a_cookie_of_this_frame_alone_does(hotline: Hotline) -> None:
    async with browser(hotline) as frame:
        begun = await frame.post("/api/chat/session", headers={"x-hotline-session": "kept"})
        cookie = begun.headers["set-cookie"]
        for part in ("hotline_chat_frame=", "HttpOnly", "Secure", "SameSite=None", "Partitioned", "Path=/"):
            assert part in cookie
        assert "token" not in begun.json()
        value = cookie.partition("=")[2].partition(";")[0]
        sent = {"cookie": f"hotline_chat_frame={value}"}
        kept = await frame.get("/api/chat/messages", headers={**sent, "x-hotline-session": "kept"})
        assert kept.status_code == 200
        bare = await frame.post("/api/chat/messages", content=b'{"id": "a", "text": "x"}', headers=sent)
        assert bare.status_code == 401, "the cookie alone, as another site could send it, is nobody"


async def test_the_script_may_be_loaded_by_any_site_and_is_fresh_within_minutes(client: httpx.AsyncClient) -> None:
    answer = await client.get("/widget.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "max-age=300" in answer.headers["cache-control"]
    again = await client.get("/widget.js", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("", ""),
        ("https://WWW.Union.example/", "https://www.union.example"),
        (" https://a.example , http://localhost:8080", "https://a.example,http://localhost:8080"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
def test_the_list_of_sites_is_read_as_people_write_it(written: str, kept: str) -> None:
    assert Settings.model_validate({"widget_origins": written}).widget_origins == kept


@pytest.mark.parametrize(
    "written",
    [
        "www.union.example",
        "https://a.example/path",
        "https://*.example",
        "*",
        "https://a.example; script-src *",
        "ftp://a",
        "null",
    ],
)
def test_what_is_no_address_of_a_site_is_refused(written: str) -> None:
    with pytest.raises(ValidationError, match="widget_origins"):
        Settings.model_validate({"widget_origins": written})


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_uses_nothing_newer_than_wechats_browser(name: str) -> None:
    """Chromium 86 is what WeChat's own engine on old phones can do; nor is anything asked of another host."""
    text = re.sub(r"//.*", "", (STATIC / name).read_text())
    newer = (
        r"\.at\(|\.replaceAll\(|\.findLast|\.hasOwn\(|structuredClone|randomUUID|\.toSorted|\.withResolvers"
        r"|AbortSignal\.(timeout|any)|\?\?=|\|\|=|&&=|\bawait import|import\s|export\s|static\s*\{|#\w+\s*[=(;]"
        r"|navigator\.locks|crypto\.subtle|\binset\b|dvh|adoptedStyleSheets|EventSource"
    )
    assert not re.search(newer, text), re.search(newer, text)
    assert not re.search(r"https?://(?!…)", text)


def test_the_style_uses_nothing_newer_than_wechats_browser() -> None:
    text = re.sub(r"@supports \([^)]*\) \{[^}]*\}[^}]*\}", "", (STATIC / "chat.css").read_text())
    assert not re.search(r"\binset:|aspect-ratio|:has\(|:is\(|:where\(|dvh|@layer|@container|color-mix|url\(", text)
