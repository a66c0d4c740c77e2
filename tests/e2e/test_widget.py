"""The chat in a frame on another site, in a real browser: two sites, one worker, no cookie of ours, no third party.

Screenshots are left beside those of the walk.
"""

from __future__ import annotations

import functools
import http.server
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, FilePayload, FrameLocator, Page, Route, expect

from tests.e2e.service import Server, find_port
from tests.e2e.test_browser_walk import QUIET, chromium, fits, log_in, picture, window

__all__ = ["chromium"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
# A frame on another site is a process of its own: on a busy machine it takes its time.
expect.set_options(timeout=20_000)
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000100000001008020000009091683600000019494441547801636460f8cf400a6022"
    "45f5a8865143188c2a00002b2e01ff5a3e4b9b0000000049454e44ae426082"
)
SITE = """<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>总工会</title><style>button{{background:lime!important;font-size:40px}}</style></head>
<body><h1>大兴区总工会</h1><p>站点自己的内容。</p><a href="/two.html">第二页</a>
<script src="{base}/widget.js" data-label="职工热线" defer></script></body></html>"""


@dataclass
class Site:
    """A site of its own on loopback that includes the widget, under a policy as strict as sites have them."""

    folder: Path
    port: int = field(default_factory=find_port)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def serve(self, base: str) -> http.server.ThreadingHTTPServer:
        for name in ("index.html", "two.html"):
            (self.folder / name).write_text(SITE.format(base=base), encoding="utf-8")

        class Pages(http.server.SimpleHTTPRequestHandler):
            def end_headers(self) -> None:
                self.send_header(
                    "Content-Security-Policy",
                    f"default-src 'self'; script-src {base}; frame-src {base}; style-src 'self' 'unsafe-inline'",
                )
                super().end_headers()

            def log_message(self, format: str, *args: object) -> None:
                return

        handler = functools.partial(Pages, directory=str(self.folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[Site]:
    """One that is on the list, and one that is not."""
    return [Site(tmp_path_factory.mktemp("union")), Site(tmp_path_factory.mktemp("stranger"))]


@pytest.fixture(scope="module")
def service(sites: list[Site], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(
        tmp_path_factory.mktemp("widget"), "http://127.0.0.1:9", {"HOTLINE_WIDGET_ORIGINS": f"{sites[0].url}/"}
    )
    servers = [site.serve(found.url) for site in sites]
    try:
        found.start()
        yield found
    finally:
        found.end()
        for server in servers:
            server.shutdown()
            server.server_close()


def visit(browser: Browser, site: Site, width: int, height: int, seen: list[str] | None = None) -> Page:
    page = window(browser, site.url, width, height)
    if seen is not None:
        page.on("request", lambda request: seen.append(request.url))
    page.goto("/index.html")
    return page


def chat_of(page: Page) -> FrameLocator:
    return page.frame_locator("#hotline-widget iframe")


def say(chat: FrameLocator, text: str) -> None:
    chat.get_by_label("你的事").fill(text)
    chat.get_by_label("你的事").press("Enter")


def credentials(service: Server) -> tuple[str, str]:
    login, password = re.findall(r"账号 (\S+)\s+密码 (\S+?)（", service.printed)[-1]
    return login, password


def test_a_talk_on_the_unions_site(service: Server, sites: list[Site], chromium: Browser) -> None:
    seen: list[str] = []
    page = visit(chromium, sites[0], 1280, 800, seen)
    button = page.get_by_role("button", name="职工热线")
    expect(button).to_be_visible()
    assert button.evaluate("it => getComputedStyle(it).backgroundColor") == "rgb(168, 32, 26)", (
        "the site's styles stay out"
    )
    assert not [url for url in seen if "/chat" in url], "nothing is loaded before the first click"
    picture(page, "widget-closed")

    button.click()
    chat = chat_of(page)
    expect(chat.get_by_role("heading", level=1)).to_have_text("大兴区总工会职工热线")
    say(chat, "老板拖着工资不发怎么办")
    expect(chat.locator(".card .conclusion").first).to_be_visible()
    picture(page, "widget-open")
    kept = page.context.cookies()
    assert [(cookie["name"], cookie["secure"], cookie["sameSite"]) for cookie in kept] == [
        ("hotline_chat_frame", True, "None")
    ], "this browser closes its store to frames, and keeps a cookie for this frame on this site alone"
    allowed = (service.url, sites[0].url)
    assert all(url.startswith((*allowed, "blob:", "data:")) for url in seen), "no third party is asked"

    # The next page of the site finds the chat open and whole.
    page.get_by_role("link", name="第二页").click()
    expect(chat.locator(".message.worker")).to_have_count(1)
    chat.get_by_role("button", name="人工").first.click()
    expect(chat.get_by_text("工单号").first).to_be_visible()
    chat.get_by_role("button", name="收起").click()
    expect(chat.locator("#messages")).to_be_hidden()

    # A colleague's answer shows on the button, and is read when the chat is opened.
    desk = window(chromium, service.url, 1280, 800)
    log_in(desk, *credentials(service))
    desk.locator(".q-title").first.click()
    desk.get_by_role("button", name="我来接手").click()
    desk.get_by_label("回复内容").fill("请写下欠的是哪几个月。")
    desk.get_by_role("button", name="发给对方").click()
    marked = page.get_by_role("button", name="职工热线，2条新消息")
    expect(marked).to_be_visible()
    picture(page, "widget-unread")
    page.reload()
    expect(marked).to_be_visible()
    marked.click()
    expect(chat.get_by_text("请写下欠的是哪几个月")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="职工热线", exact=True)).to_be_visible()


def test_a_browser_that_lets_frames_keep_things_gets_no_cookie(
    service: Server, sites: list[Site], chromium: Browser, tmp_path: Path
) -> None:
    (tmp_path / "Default").mkdir()
    (tmp_path / "Default" / "Preferences").write_text('{"profile": {"cookie_controls_mode": 0}}')
    context = chromium.browser_type.launch_persistent_context(
        tmp_path, executable_path=shutil.which("chromium"), args=QUIET, base_url=sites[0].url, locale="zh-CN"
    )
    try:
        page = context.new_page()
        page.goto("/index.html")
        page.get_by_role("button", name="职工热线").click()
        say(chat_of(page), "你好")
        expect(chat_of(page).locator(".message.bot")).to_have_count(1)
        page.get_by_role("link", name="第二页").click()
        expect(chat_of(page).locator(".message.worker")).to_have_count(1)
        assert not context.cookies()
    finally:
        context.close()


def without_cookie(route: Route) -> None:
    """The server's own answer, but the browser never sees its cookie."""
    asked = route.request
    shown = {"x-hotline-session": asked.headers["x-hotline-session"]}
    answer = httpx.post(asked.url, content=asked.post_data or "", headers=shown, trust_env=False)
    route.fulfill(status=answer.status_code, body=answer.text, content_type="application/json")


def test_a_browser_that_keeps_nothing_has_its_talk_as_long_as_the_page(
    service: Server, sites: list[Site], chromium: Browser
) -> None:
    page = visit(chromium, sites[0], 1280, 800)
    page.route("**/api/chat/session", without_cookie)
    page.get_by_role("button", name="职工热线").click()
    for number, text in enumerate(("你好", "老板拖着工资不发怎么办"), 1):
        say(chat_of(page), text)
        expect(chat_of(page).locator(".message.bot")).to_have_count(number)
    assert not page.context.cookies()


def test_on_a_phone_the_chat_covers_the_page(service: Server, sites: list[Site], chromium: Browser) -> None:
    page = visit(chromium, sites[0], 360, 640)
    page.get_by_role("button", name="职工热线").click()
    chat = chat_of(page)
    say(chat, "你好")
    expect(chat.locator(".message.bot").first).to_be_visible()
    expect(page.get_by_role("button", name="职工热线")).to_be_hidden()
    covered = page.locator("#hotline-widget iframe").bounding_box()
    assert covered
    assert (covered["width"], covered["height"]) == (360, 640)
    picture(page, "widget-open")
    chat.get_by_role("button", name="收起").click()
    expect(page.get_by_role("button", name="职工热线")).to_be_visible()
    fits(page)
    picture(page, "widget-closed")
    page.get_by_role("button", name="职工热线").click()
    page.goto("/two.html")
    expect(page.get_by_role("button", name="职工热线")).to_be_visible()
    expect(page.get_by_role("heading", name="大兴区总工会", exact=True)).to_be_visible()


def test_a_site_that_is_not_on_the_list_gets_no_frame(service: Server, sites: list[Site], chromium: Browser) -> None:
    page = visit(chromium, sites[1], 1280, 800)
    page.get_by_role("button", name="职工热线").click()
    link = page.get_by_role("link", name="点这里打开聊天")
    expect(link).to_be_visible()
    assert link.get_attribute("href") == f"{service.url}/chat"
    picture(page, "widget-refused")
    phone = visit(chromium, sites[1], 360, 640)
    phone.get_by_role("button", name="职工热线").click()
    expect(phone.get_by_role("link", name="点这里打开聊天")).to_be_visible()
    fits(phone)
    picture(phone, "widget-refused")
    phone.get_by_role("button", name="收起职工热线").click()
    expect(phone.get_by_role("link", name="点这里打开聊天")).to_be_hidden()


def test_what_a_strange_page_says_to_the_frame_is_not_heard(
    service: Server, sites: list[Site], chromium: Browser
) -> None:
    page = visit(chromium, sites[0], 1280, 800)
    page.get_by_role("button", name="职工热线").click()
    expect(chat_of(page).get_by_role("heading", level=1)).to_be_visible()
    page.evaluate("window.postMessage({from: 'hotline-chat', kind: 'unread', count: 7}, '*')")
    page.get_by_role("button", name="收起职工热线").click()
    expect(page.get_by_role("button", name="职工热线", exact=True)).to_be_visible()


def test_a_worker_goes_on_upon_another_device(service: Server, chromium: Browser) -> None:
    old, new = window(chromium, service.url, 360, 740), window(chromium, service.url, 360, 740)
    old.goto("/chat")
    old.get_by_label("你的事").fill("家里有人得大病能帮吗")
    old.get_by_label("你的事").press("Enter")
    expect(old.locator(".card .conclusion").first).to_be_visible()
    old.get_by_role("button", name="发图片、换手机").click()
    fits(old)
    picture(old, "chat-menu")
    old.get_by_role("button", name="换手机继续").click()
    code = old.locator("#given")
    expect(code).to_have_text(re.compile(r"^\w{4} \w{4}$"))
    picture(old, "chat-carry")

    new.goto("/chat")
    new.get_by_role("button", name="发图片、换手机").click()
    new.get_by_role("button", name="接着另一台设备说").click()
    new.get_by_label("码", exact=True).fill("AAAA AAAA")
    new.get_by_role("button", name="打开对话").click()
    expect(new.get_by_text("这个码对不上")).to_be_visible()
    fits(new)
    picture(new, "chat-carried-wrong")
    new.get_by_label("码", exact=True).fill((code.text_content() or "").lower())
    new.get_by_role("button", name="打开对话").click()
    expect(new.get_by_text("家里有人得大病能帮吗").last).to_be_visible()
    expect(new.locator(".message.worker")).to_have_count(1)

    # Nothing behind the sheet is reached by the keyboard.
    old.get_by_role("button", name="关上").focus()
    old.keyboard.press("Tab")
    expect(old.get_by_role("button", name="关上")).to_be_focused()

    # Both are the same talk from now on, and the old one is told.
    old.get_by_role("button", name="关上").click()
    expect(old.get_by_text("在另一台设备上打开了")).to_be_visible()
    new.get_by_label("你的事").fill("要带什么材料")
    new.get_by_label("你的事").press("Enter")
    expect(old.get_by_text("要带什么材料")).to_be_visible()


def test_unread_messages_stand_in_the_title(service: Server, chromium: Browser) -> None:
    context = chromium.new_context(base_url=service.url, viewport={"width": 1280, "height": 800}, locale="zh-CN")
    first, second = context.new_page(), context.new_page()
    first.goto("/chat")
    first.get_by_label("你的事").fill("你好")
    first.get_by_label("你的事").press("Enter")
    expect(first.locator(".message.bot")).to_have_count(1)
    expect(first).to_have_title("大兴区总工会职工热线")
    picture(first, "chat-desktop")
    first.evaluate(
        "() => { Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')); }"
    )
    arrive(context, second)
    expect(first).to_have_title("(1) 大兴区总工会职工热线")
    first.evaluate(
        "() => { Object.defineProperty(document, 'hidden', {value: false, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')); }"
    )
    expect(first).to_have_title("大兴区总工会职工热线")


def arrive(context: BrowserContext, page: Page) -> None:
    """An answer comes in on another page of the same browser, which is not looked at either."""
    page.add_init_script("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.goto("/chat")
    page.get_by_label("你的事").fill("谢谢")
    page.get_by_label("你的事").press("Enter")
    expect(page.locator(".message.bot")).to_have_count(2)


def test_a_picture_is_sent_from_the_page(service: Server, chromium: Browser, tmp_path: Path) -> None:
    page = window(chromium, service.url, 360, 740)
    page.goto("/chat")
    page.get_by_role("button", name="发图片、换手机").click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="图片、文件").click()
    chooser.value.set_files(FilePayload(name="工资条.png", mimeType="image/png", buffer=PNG))
    expect(page.locator(".message.worker img.preview")).to_be_visible()
    expect(page.get_by_text("图片收到了")).to_be_visible()
    expect(page.locator(".message.worker .bar")).to_have_count(0)
    fits(page)
    picture(page, "chat-upload")
    page.reload()
    expect(page.locator(".message.worker .file")).to_contain_text("工资条")

    page.get_by_role("button", name="发图片、换手机").click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="图片、文件").click()
    chooser.value.set_files(FilePayload(name="x.exe", mimeType="application/octet-stream", buffer=b"MZ" + bytes(200)))
    expect(page.get_by_text("这种文件收不了")).to_be_visible()


def test_in_a_rush_the_page_shows_a_little_work_and_goes_on(chromium: Browser, tmp_path: Path) -> None:
    found = Server(tmp_path, "http://127.0.0.1:9", {"HOTLINE_CHAT_NETWORK_RATE": "1"})
    try:
        found.start()
        for number in range(2):
            page = window(chromium, found.url, 360, 740)
            with page.expect_response(lambda answer: "/api/chat/messages" in answer.url and answer.ok):
                page.goto("/chat")
            solved = [cookie for cookie in page.context.cookies() if cookie["name"] == "hotline_chat"]
            assert solved, number
            page.get_by_label("你的事").fill("你好")
            page.get_by_label("你的事").press("Enter")
            expect(page.locator(".message.bot")).to_have_count(1)
            expect(page.locator("#lost")).to_be_hidden()
        page = window(chromium, found.url, 360, 740)
        with page.expect_response(lambda answer: answer.url.endswith("/api/chat/session") and answer.status == 428):
            page.goto("/chat")
    finally:
        found.end()
