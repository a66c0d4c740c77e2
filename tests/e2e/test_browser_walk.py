"""One walk in a real browser: a worker asks, gets a card, asks for a person; a colleague takes over and answers.

Screenshots of what both see are left in `var/test-artefacts` (or the folder that HOTLINE_ARTEFACTS names).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.service import ROOT, Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
ARTEFACTS = Path(os.environ.get("HOTLINE_ARTEFACTS") or ROOT / "var" / "test-artefacts")
QUIET = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    "--disable-gpu",
]
ASKED = "老板拖着工资不发怎么办"
HOSTILE = "<img src=x onerror=alert(1)>电话13812345678"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("walk"), "http://127.0.0.1:9")
    try:
        found.start()
        yield found
    finally:
        found.end()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("没有 chromium：apt-get install -y chromium fonts-noto-cjk")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()


def window(browser: Browser, base: str, width: int, height: int) -> Page:
    """A window of its own, with its own cookies. A script error or a refused script fails the walk."""
    context = browser.new_context(
        base_url=base, viewport={"width": width, "height": height}, locale="zh-CN", timezone_id="Asia/Shanghai"
    )
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"script error: {error}"))
    page.on("dialog", lambda dialog: pytest.fail(f"a worker's words were run: {dialog.message}"))
    return page


def picture(page: Page, name: str) -> None:
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}-{page.viewport_size['width'] if page.viewport_size else 0}.png")


def fits(page: Page) -> None:
    """Nothing sticks out sideways."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def say(page: Page, text: str) -> None:
    page.get_by_label("你的事").fill(text)
    page.get_by_label("你的事").press("Enter")


def log_in(page: Page, login: str, password: str) -> None:
    page.goto("/console")
    page.get_by_label("账号").fill(login)
    page.get_by_label("密码").fill(password)
    page.get_by_role("button", name="登录").click()


def test_from_a_question_to_a_persons_answer(service: Server, chromium: Browser) -> None:
    login, password = re.findall(r"账号 (\S+)\s+密码 (\S+?)（", service.printed)[-1]
    walk(chromium, service.url, login, password)


def walk(chromium: Browser, base: str, login: str, password: str) -> None:
    worker, desk = window(chromium, base, 360, 740), window(chromium, base, 1280, 800)

    worker.goto("/chat")
    expect(worker.get_by_role("heading", level=1)).to_have_text("大兴区总工会职工热线")
    fits(worker)
    picture(worker, "chat-welcome")
    log_in(desk, login, password)
    expect(desk.get_by_role("heading", level=1)).to_contain_text("没有等人接手的工单")

    say(worker, ASKED)
    card = worker.locator(".card").first
    expect(card.locator(".conclusion")).to_be_visible()
    expect(card.locator("ol li").first).to_be_visible()
    expect(card.locator(".checked")).to_contain_text("核对于")
    fits(worker)
    picture(worker, "chat-card")
    card.get_by_text("依据", exact=True).click()
    expect(card.locator("details[open] p")).to_contain_text("法")
    say(worker, HOSTILE)
    expect(worker.get_by_text(HOSTILE)).to_be_visible()
    worker.get_by_role("button", name="人工").first.click()
    expect(worker.get_by_text("工单号").first).to_be_visible()

    # The ticket appears at the desk by itself.
    expect(desk.get_by_role("heading", level=1)).to_contain_text("1 张等人接手")
    expect(desk).to_have_title(re.compile(r"^\(1\) "))
    expect(desk.get_by_text("138****5678")).to_be_visible()
    picture(desk, "queue")

    phone = window(chromium, base, 390, 800)
    log_in(phone, login, password)
    expect(phone.get_by_text("待接手")).to_be_visible()
    fits(phone)
    picture(phone, "queue")

    desk.locator(".q-title").first.click()
    expect(desk.get_by_role("heading", level=1)).to_be_visible()
    picture(desk, "ticket-open")
    desk.get_by_role("button", name="我来接手").click()
    expect(worker.locator("#mode")).to_contain_text("已接手")
    desk.get_by_label("回复内容").fill("请写下欠的是哪几个月、一共多少钱。")
    desk.get_by_role("button", name="发给对方").click()
    expect(worker.get_by_text("请写下欠的是哪几个月")).to_be_visible()
    picture(worker, "chat-colleague")

    # The worker's answer appears at the desk by itself, and what the colleague was writing stays.
    desk.get_by_label("回复内容").fill("正在写的半句话")
    say(worker, "一月到三月，一共一万八")
    expect(desk.get_by_text("一共一万八")).to_be_visible()
    expect(desk.get_by_label("回复内容")).to_have_value("正在写的半句话")
    expect(desk.get_by_text("已发").first).to_be_visible()
    desk.get_by_label("只有同事看得见").fill("已核实单位")
    desk.get_by_role("button", name="记下").click()
    expect(desk.locator(".line-note")).to_contain_text("已核实单位")
    picture(desk, "ticket")
    phone.goto(desk.url.partition("#")[0])
    fits(phone)
    picture(phone, "ticket")

    # A reload and a lost connection neither lose nor double a message.
    worker.reload()
    expect(worker.locator(".message.worker")).to_have_count(4)
    worker.context.set_offline(True)
    say(worker, "还有两个工友也一样")
    expect(worker.get_by_role("button", name="未发出，点此重试")).to_be_visible()
    picture(worker, "chat-offline")
    worker.context.set_offline(False)
    expect(desk.get_by_text("还有两个工友也一样")).to_have_count(1)
    expect(worker.get_by_role("button", name="未发出，点此重试")).to_have_count(0)
    worker.reload()
    expect(worker.get_by_text("还有两个工友也一样")).to_have_count(1)
    expect(worker.get_by_text("已核实单位")).to_have_count(0)

    desk.get_by_text("办结这张工单").click()
    desk.get_by_label("已解答").check()
    desk.get_by_role("button", name="办结", exact=True).click()
    expect(worker.get_by_text("办完了")).to_be_visible()
    expect(worker.locator("#mode")).to_contain_text("自动服务")
    picture(worker, "chat-closed")
    desk.get_by_role("link", name="状态").click()
    expect(desk.get_by_text("发件箱")).to_be_visible()
    picture(desk, "status")
