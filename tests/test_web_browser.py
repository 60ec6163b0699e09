"""The page in a real Chromium on the screen of a phone: what a visitor does, sees, and never loses."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from bot.outbox import Button, Saying
from tests.web_server import WebServer

CHROMIUM = Path("/usr/bin/chromium")
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "locale": "zh-CN"}
CHIP = "对方拖着货款不给怎么办"
LOG = "document.querySelector('main')"

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}")]


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[WebServer]:
    started = await WebServer(tmp_path / "data").start()
    yield started
    await started.stop()


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield launched
        await launched.close()


@pytest_asyncio.fixture
async def phone(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(**PHONE)
    yield context
    await context.close()


async def opened(server: WebServer, phone: BrowserContext) -> Page:
    """The page with its first greeting."""
    page = await phone.new_page()
    await page.goto(server.url)
    await expect(page.get_by_role("button", name=CHIP)).to_be_visible()
    return page


async def ask(page: Page, text: str) -> None:
    """Type and press Enter."""
    await page.get_by_label("您的问题").fill(text)
    await page.keyboard.press("Enter")


def bubbles(page: Page, words: str) -> Any:
    """The messages that say this."""
    return page.locator(".bubble", has_text=words)


async def test_a_question_is_typed_answered_and_still_there_after_a_reload(
    server: WebServer, phone: BrowserContext, tmp_path: Path
) -> None:
    errors: list[str] = []
    hosts: set[str] = set()
    weight = 0

    async def weigh(response: Any) -> None:
        nonlocal weight
        weight += len(await response.body()) if response.url.startswith(server.url) else 0

    page = await phone.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("request", lambda request: hosts.add(request.url.split("/")[2] if "//" in request.url else "data"))
    page.on("response", weigh)
    await page.goto(server.url)
    await expect(page.get_by_role("button", name=CHIP)).to_be_visible()
    await expect(page.locator(".me")).to_have_count(0)
    await page.screenshot(path=tmp_path / "1-welcome.png")
    await ask(page, "客户拖欠货款八个月了，怎么办？")
    await expect(bubbles(page, "诉讼时效一般是三年")).to_be_visible()
    await expect(page.locator(".me .state")).to_contain_text("已收到")
    await expect(page.locator(".warn")).to_contain_text("诉讼时效")
    await page.screenshot(path=tmp_path / "2-answer.png")
    await page.get_by_role("button", name="没解决").click()
    await expect(bubbles(page, "XQ-2026-0001")).to_be_visible()
    await expect(page.get_by_role("button", name="没解决")).to_have_count(0)
    await page.screenshot(path=tmp_path / "3-need.png")
    before = await page.locator(".bubble").all_inner_texts()
    await page.reload()
    await expect(bubbles(page, "XQ-2026-0001")).to_be_visible()
    assert await page.locator(".bubble").all_inner_texts() == before
    assert await page.evaluate(f"{LOG}.scrollHeight - {LOG}.scrollTop - {LOG}.clientHeight < 2")
    assert hosts == {f"127.0.0.1:{server.port}", "data"} or hosts == {f"127.0.0.1:{server.port}"}
    assert 0 < weight / 2 < 100_000
    assert errors == []
    assert len([one for one in server.handled if one.get("message", {}).get("text", "").startswith("/start")]) == 1


async def test_a_message_written_while_the_server_is_away_arrives_once(server: WebServer, phone: BrowserContext) -> None:
    page = await opened(server, phone)
    await server.stop()
    await expect(page.get_by_role("status")).to_have_text("连接断开，正在重连…")
    await ask(page, "断线时写的")
    await expect(page.locator(".me .state")).to_contain_text("发送中")
    await server.start()
    await expect(bubbles(page, "您问的是：断线时写的")).to_be_visible(timeout=20_000)
    await expect(page.get_by_role("status")).to_be_hidden()
    await expect(page.locator(".me")).to_have_count(1)
    await expect(bubbles(page, "您问的是")).to_have_count(1)
    assert len([one for one in server.handled if "断线时写的" in str(one)]) == 1


async def test_going_offline_is_seen_at_once_and_coming_back_repeats(server: WebServer, phone: BrowserContext) -> None:
    page = await opened(server, phone)
    await phone.set_offline(True)
    await expect(page.get_by_role("status")).to_have_text("连接断开，正在重连…", timeout=2_000)
    await ask(page, "电梯里写的")
    await phone.set_offline(False)
    await expect(bubbles(page, "您问的是：电梯里写的")).to_have_count(1)
    await expect(page.locator(".me")).to_have_count(1)


async def test_an_unsent_message_survives_closing_the_page(server: WebServer, phone: BrowserContext) -> None:
    page = await opened(server, phone)
    # The socket is silent, not closed: as in a tunnel.
    await page.evaluate("WebSocket.prototype.send = () => {}")
    await ask(page, "隧道里写的")
    await expect(page.locator(".me .state")).to_contain_text("发送中")
    await page.reload()
    await expect(bubbles(page, "您问的是：隧道里写的")).to_have_count(1)
    await expect(page.locator(".me")).to_have_count(1)
    assert await page.evaluate("localStorage.length") == 0


async def test_buttons_wait_for_the_edit_and_come_back_without_one(server: WebServer, phone: BrowserContext) -> None:
    page = await opened(server, phone)
    server.silent = True
    chip = page.get_by_role("button", name=CHIP)
    await chip.click()
    await expect(chip).to_be_disabled()
    await expect(page.get_by_role("button", name="怎么网上立案")).to_be_disabled()
    await expect(page.locator("#typing")).to_be_visible()
    chat_id = server.handled[-1]["callback_query"]["from"]["id"]
    await server.say(chat_id, Saying("答复"))
    await expect(page.locator("#typing")).to_be_hidden()
    await expect(chip).to_be_enabled()
    await server.say(chat_id, Saying("改好了", ((Button("新按钮", "new"),),), edits=1))
    await expect(bubbles(page, "改好了")).to_be_visible()
    await expect(page.get_by_role("button", name="新按钮")).to_be_enabled()
    await expect(chip).to_have_count(0)


async def test_foreign_markup_never_comes_alive(server: WebServer, phone: BrowserContext) -> None:
    page = await opened(server, phone)
    await ask(page, "<img src=x onerror=alert(1)><b>我</b>")
    await expect(page.locator(".me .bubble")).to_contain_text("<img src=x onerror=alert(1)><b>我</b>")
    chat_id = server.handled[-1]["message"]["from"]["id"]
    evil = (
        '<b onclick="x()">粗</b><script>alert(1)</script><img src=x onerror=alert(1)><a href="javascript:alert(1)">坏</a>'
        '<a href="//evil.example">坏2</a><a href="/topics">好</a><a href="tel:12368">电话</a><a href="https://x.example/">外</a>'
        "<iframe src=//evil.example></iframe>\n<pre>x</pre>\n<blockquote>引\n文</blockquote>\n完"
    )
    await server.say(chat_id, Saying(evil))
    bubble = bubbles(page, "坏2")
    await expect(bubble).to_be_visible()
    assert await bubble.locator("script, img, iframe, [onclick]").count() == 0
    hrefs = await bubble.locator("a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert hrefs == ["/topics", "tel:12368", "https://x.example/"]
    assert await bubble.locator("pre, blockquote").count() == 2


async def test_a_reader_is_not_dragged_away(server: WebServer, phone: BrowserContext) -> None:
    page = await opened(server, phone)
    for number in range(4):
        await ask(page, f"货款问题{number}")
        await expect(bubbles(page, "诉讼时效一般是三年")).to_have_count(number + 1)
    await page.evaluate(f"{LOG}.scrollTop = 0")
    await page.wait_for_timeout(100)
    chat_id = server.handled[-1]["message"]["from"]["id"]
    await server.say(chat_id, Saying("后来的通知"))
    newer = page.get_by_role("button", name="有新消息")
    await expect(newer).to_be_visible()
    assert await page.evaluate(f"{LOG}.scrollTop") == 0
    await newer.click()
    await expect(bubbles(page, "后来的通知")).to_be_in_viewport()
    await expect(newer).to_be_hidden()


async def test_a_long_answer_is_shown_from_its_beginning(server: WebServer, phone: BrowserContext) -> None:
    page = await opened(server, phone)
    await ask(page, "问")
    await expect(bubbles(page, "您问的是")).to_be_visible()
    chat_id = server.handled[-1]["message"]["from"]["id"]
    await server.say(chat_id, Saying("⏰ <b>期限</b>\n" + "很长的答复。\n" * 80))
    await expect(page.locator(".warn")).to_be_in_viewport()


async def test_two_pages_of_one_visitor_stay_alike(server: WebServer, phone: BrowserContext) -> None:
    one = await opened(server, phone)
    other = await opened(server, phone)
    await ask(one, "同一个人")
    for page in (one, other):
        await expect(bubbles(page, "您问的是：同一个人")).to_have_count(1)
        await expect(page.locator(".me")).to_have_count(1)


async def test_keyboard_and_input_method(server: WebServer, phone: BrowserContext) -> None:
    page = await opened(server, phone)
    text = page.get_by_label("您的问题")
    await text.focus()
    await page.keyboard.type("第一行")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("第二行")
    await text.evaluate(
        "box => box.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true, cancelable: true}))"
    )
    await expect(page.locator(".me")).to_have_count(0)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="发送")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator(".me .bubble")).to_contain_text("第二行")
    await expect(text).to_have_value("")
    await text.fill("长" * 4001)
    await page.get_by_role("button", name="发送").click()
    await expect(page.get_by_role("alert")).to_contain_text("最多 4000 字")
    assert len(await text.input_value()) == 4001


async def test_the_file_button_is_for_those_who_may(server: WebServer, phone: BrowserContext, tmp_path: Path) -> None:
    page = await opened(server, phone)
    await expect(page.get_by_role("button", name="上传文件")).to_be_hidden()
    server.uploaders.add(server.handled[-1]["message"]["from"]["id"])
    await page.reload()
    await expect(page.get_by_role("button", name="上传文件")).to_be_visible()
    file = tmp_path / "管理办法.md"
    file.write_text("# 第一条\n内容", encoding="utf-8")
    await page.locator("#file").set_input_files(file)
    await expect(bubbles(page, "📎 管理办法.md")).to_be_visible()
    await expect(bubbles(page, f"收到文件 {file.stat().st_size} 字节")).to_be_visible()


async def test_a_question_in_the_address_waits_in_the_box(server: WebServer, phone: BrowserContext) -> None:
    page = await phone.new_page()
    await page.goto(server.url + "/?q=怎么网上立案")
    await expect(page.get_by_label("您的问题")).to_have_value("怎么网上立案")


@pytest.mark.parametrize(("width", "height", "scheme"), [(360, 640, "light"), (390, 844, "dark"), (320, 480, "light"), (844, 390, "light")])
async def test_everything_fits_every_screen(
    server: WebServer, browser: Browser, tmp_path: Path, width: int, height: int, scheme: Any
) -> None:
    context = await browser.new_context(**PHONE | {"viewport": {"width": width, "height": height}}, color_scheme=scheme)
    page = await opened(server, context)
    await ask(page, "货款" + "没有空格的很长的话" * 20)
    await expect(bubbles(page, "诉讼时效一般是三年")).to_be_visible()
    await page.wait_for_timeout(300)
    await page.screenshot(path=tmp_path / f"{width}-{scheme}.png")
    assert await page.evaluate(f"document.documentElement.scrollWidth <= innerWidth && {LOG}.scrollWidth <= {LOG}.clientWidth")
    await expect(page.get_by_role("button", name="发送")).to_be_in_viewport(ratio=1)
    heights = await page.locator(".buttons button, #send").evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    assert min(heights) >= 48
    await context.close()
