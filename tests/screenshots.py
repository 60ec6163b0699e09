"""The pictures in README: `python -m tests.screenshots` talks to the bot in Chromium and writes `tests/screenshots/*.png`.

The bot is the real one, on a data folder of its own that is deleted afterwards. Whoever changes a page runs this again.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright, expect

from bot import access
from bot.app import App
from bot.settings import Settings
from bot.startup import Opened
from knowledge.database import Db

CHROMIUM = Path("/usr/bin/chromium")
PICTURES = Path(__file__).parent / "screenshots"
LARGEST = 250_000
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 1.5, "is_mobile": True, "has_touch": True}
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}

ANSWERED = "客户一直拖着货款不给，怎么办"
NOT_ANSWERED = "今年能不能申请减免城镇土地使用税"
OTHERS = (
    ("海之蓝商贸有限公司", "请法院来我们园区给二十家小企业讲一次合同风险"),
    ("", "村里把路挖断了，我们厂的货车出不去，该找谁"),
)
REPLY = "您好。城镇土地使用税的减免由税务机关受理，请向主管税务所提出申请；对处理决定不服的，可以先申请行政复议。"


async def take() -> None:
    """Every picture, in the order of the story: asked and answered, asked and recorded, found and answered by staff."""
    PICTURES.mkdir(exist_ok=True)
    async with _bot() as (url, link), async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        for company, question in OTHERS:
            await _record(await _opened(browser, url), question, company)
        phone = await _opened(browser, url)
        await _ask(phone, ANSWERED)
        # A long answer is shown from its beginning; a little up stands the question.
        await phone.wait_for_timeout(500)
        await phone.evaluate("document.querySelector('main').scrollTop -= 110")
        await _keep(phone, "chat-answer")
        await _topics(phone, url)
        phone = await _opened(browser, url)
        await _record(phone, NOT_ANSWERED)
        await _keep(phone, "chat-receipt")
        await _console(browser, link)
        await browser.close()


@asynccontextmanager
async def _bot() -> AsyncIterator[tuple[str, str]]:
    """The running bot: the address of its chat, and a sign-in link of a member of staff."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(_env_file=None, data_dir=Path(folder) / "data", web_port=0, telegram_bot_token=None)
        opened = Opened(settings)
        app = App(opened)
        try:
            url = f"http://127.0.0.1:{await app.start()}"

            def hire(db: Db) -> str:
                access.add_staff(db, "张三", ["registrar"], opened.clock())
                return access.make_link(db, "张三", opened.clock())

            yield url, f"{url}/console/enter?token={opened.database.write(hire).result()}"
        finally:
            await app.stop()
            opened.close()


async def _opened(browser: Browser, url: str) -> Page:
    """A visitor's phone, a new one each time, with the greeting on its screen."""
    context = await browser.new_context(**PHONE, locale="zh-CN", color_scheme="light")
    page = await context.new_page()
    await page.goto(url)
    await expect(page.locator(".bubble").first).to_contain_text("您好")
    return page


async def _ask(page: Page, text: str) -> None:
    """Ask, and if the bot offers choices, take the first; ends with the answer's deadline warning in sight."""
    await _say(page, text)
    answer = page.locator(".bubble", has_text="期限提示")
    choice = page.locator("article", has_text="您是想问下面哪一个").get_by_role("button").first
    await expect(answer.or_(choice).first).to_be_visible()
    if await choice.count():
        await choice.click()
    await expect(answer).to_be_visible()


async def _record(page: Page, question: str, company: str = "") -> None:
    """Ask, and whatever comes is not it; ends with the receipt in sight. Before that, a company may give its name."""
    if company:
        await page.get_by_role("button", name="企业资料").first.click()
        await page.get_by_role("button", name="改企业名称").click()
        await expect(page.locator(".bubble", has_text="请输入企业名称")).to_be_visible()
        await _say(page, company)
        await expect(page.locator(".bubble", has_text=f"企业名称：{company}").last).to_be_visible()
    await _say(page, question)
    receipt = page.locator(".bubble", has_text="编号 XQ-")
    not_it = page.get_by_role("button", name="都不是").or_(page.get_by_role("button", name="没解决"))
    await expect(receipt.or_(not_it).first).to_be_visible()
    if await not_it.count():
        await not_it.first.click()
    await expect(receipt).to_be_visible()


async def _say(page: Page, text: str) -> None:
    await page.get_by_label("您的问题").fill(text)
    await page.get_by_role("button", name="发送").click()
    await expect(page.locator(".me .bubble").last).to_contain_text(text)


async def _topics(page: Page, url: str) -> None:
    await page.goto(f"{url}/topics")
    await page.locator("summary").first.click()
    await _keep(page, "topics")


async def _console(browser: Browser, link: str) -> None:
    """The list with the needs just made, then the last of them, registered and answered."""
    context = await browser.new_context(**DESK, locale="zh-CN", color_scheme="light")
    page = await context.new_page()
    await page.goto(link)
    await page.get_by_role("button", name="登录").click()
    await _keep(page, "console-list")
    await page.locator("table.needs th a").last.click()
    await page.get_by_role("button", name="登记进台账").click()
    await page.locator("#text").fill(REPLY)
    await page.get_by_role("button", name="发出答复").click()
    await expect(page.get_by_role("status")).to_contain_text("答复已写入台账")
    await page.wait_for_timeout(500)
    await page.reload()
    await _keep(page, "console-need")


async def _keep(page: Page, name: str) -> None:
    """Write what is on the screen. Raises when the file is too heavy for a README."""
    await page.wait_for_timeout(500)
    path = PICTURES / f"{name}.png"
    await page.screenshot(path=path)
    if path.stat().st_size > LARGEST:
        raise SystemExit(f"{path.name} has {path.stat().st_size} bytes, at most {LARGEST} are wanted.")


if __name__ == "__main__":
    asyncio.run(take())
