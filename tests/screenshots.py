"""The pictures in README: `python -m tests.screenshots` lives one day of a court in Chromium and writes `tests/screenshots/*.png`.

The bot is the real one, on a data folder of its own that is deleted afterwards, and everything is done as people do it: three
enterprises ask the same, a registrar takes in an old ledger and the new needs, checks who asked, merges and assigns; the
handler answers, a reviewer approves; a fourth enterprise waits with the others; the answer becomes an entry, and a fifth is
answered at once. The day is always the same working day, and its hours go as fast as the story. Whoever changes a page runs
this again.
"""

import asyncio
import re
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
from playwright.async_api import Browser, Page, async_playwright, expect

from bot import access
from bot.app import App
from bot.settings import Settings
from bot.startup import Opened
from knowledge.clock import BEIJING
from knowledge.database import Db

CHROMIUM = Path("/usr/bin/chromium")
PICTURES = Path(__file__).parent / "screenshots"
LARGEST = 250_000
DAY = datetime(2026, 11, 20, tzinfo=BEIJING)
"""A Friday on which the court works."""
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 1.5, "is_mobile": True, "has_touch": True}
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
TALL = 1060
"""How much of a long page of the console is shown."""

REGISTRAR, HANDLER, REVIEWER = "王芳", "张三", "李静"
STAFF = {REGISTRAR: ("registrar", "assigner"), HANDLER: ("handler",), REVIEWER: ("reviewer", "supervisor")}
ANSWERED = "客户一直拖着货款不给，怎么办"
THE_SAME = {
    "松岭机械有限公司": "厂房闲置半年了，房产税可以申请减免吗",
    "海之蓝商贸有限公司": "厂房空着没租出去，房产税能不能减免",
    "晨帆包装有限公司": "空置的厂房还要交房产税吗，能申请减免吗",
}
"""Whom the ledger does not know an answer for yet, and how each of them asks."""
FOURTH = "我们的厂房也一直空着，房产税可以申请减免吗"
OTHERS = {"": "村里把路挖断了，我们厂的货车出不去，该找谁", "云栈家具有限公司": "请法院来我们园区给二十家小企业讲一次合同风险"}
REPLY = (
    "您好。房产税能不能减免，由税务机关依法决定，法院不受理减免申请，请先向主管税务机关咨询、申请。\n"
    "对税务机关的决定不服的，要先按决定缴清税款和滞纳金，或者提供担保，再申请行政复议；对复议决定仍然不服，才到法院起诉"
    "（《中华人民共和国税收征收管理法》第八十八条）。"
)
ENTRY = "厂房闲置，房产税可以申请减免吗？"
MORE = "\n减免的条件和要交的材料，以税务机关公布的为准。"
OLD_HEADINGS = (
    "登记日期",
    "企业名称",
    "街道",
    "行业",
    "来源渠道",
    "需求类别",
    "需求内容",
    "承办部门",
    "答复内容",
    "答复日期",
    "办结日期",
    "企业满意度",
)
OLD_SOURCES = ("走访", "来电", "来访座谈", "12368")
OLD_NEEDS = (
    # Day, street, industry, topic, division, content, working time in days (None: not answered yet), satisfaction.
    ("2026-06-03", "中韩街道", "制造业", "B01", "commercial", "上游整车厂拖欠零部件货款，咨询怎么起诉", 5, "满意"),
    ("2026-06-17", "沙子口街道", "住宿餐饮业", "F03", "labour", "咨询辞退员工要付多少补偿", 3, "满意"),
    ("2026-07-02", "金家岭街道", "信息软件业", "G04", "intellectual_property", "技术员离职带走客户名单，咨询怎么取证", 6, "非常满意"),
    ("2026-07-15", "中韩街道", "制造业", "B04", "commercial", "商票到期被拒付，咨询向谁追索", 4, ""),
    ("2026-07-28", "北宅街道", "农林牧渔业", "I04", "administrative", "村集体要求提前收回承包地，咨询补偿", 9, "基本满意"),
    ("2026-08-05", "金家岭街道", "金融业", "D04", "finance", "咨询股东个人担保的保证期间", 2, "满意"),
    ("2026-08-19", "王哥庄街道", "批发零售业", "B01", "commercial", "超市拖欠供货款一年多，咨询怎么起诉", 5, "满意"),
    ("2026-09-01", "中韩街道", "建筑业", "C03", "construction", "结算审计拖了两年，咨询能不能先起诉", 7, "满意"),
    ("2026-09-09", "沙子口街道", "制造业", "F06", "labour", "没交工伤保险的员工受伤，咨询赔偿范围", 4, "满意"),
    ("2026-09-22", "金家岭街道", "租赁和商务服务业", "I01", "civil", "租户拖欠房租后失联，咨询怎么收回房子", 3, "不满意"),
    ("2026-10-12", "中韩街道", "制造业", "B02", "commercial", "总包说等甲方付款再付，咨询这个条款有没有效", 5, "非常满意"),
    ("2026-10-15", "北宅街道", "建筑业", "C05", "construction", "班组长讨要工人工资，咨询怎么付才稳妥", 2, "满意"),
    ("2026-10-21", "王哥庄街道", "住宿餐饮业", "H03", "civil", "办卡会员集中要求退费，咨询怎么处理", 6, ""),
    ("2026-11-03", "中韩街道", "制造业", "L02", "enforcement", "执行案件终本了，咨询怎么恢复执行", 4, "满意"),
    ("2026-11-06", "金家岭街道", "信息软件业", "H01", "civil", "收集用户手机号要做哪些合规准备", 3, ""),
    ("2026-11-09", "沙子口街道", "制造业", "B05", "", "欠条上没有写还款日期，咨询什么时候能起诉", None, ""),
    ("2026-11-11", "中韩街道", "批发零售业", "A05", "commercial", "收货三个月后对方说质量有问题，咨询能不能拒收", None, ""),
    ("2026-11-18", "北宅街道", "制造业", "F04", "labour", "旺季加班，咨询加班费怎么算", None, ""),
)  # fmt: skip


@dataclass
class Clock:
    """What time it is for the bot and in every browser opened from now on."""

    hour: float = 8.5
    since: float = field(default_factory=time.monotonic)

    def __call__(self) -> datetime:
        return DAY + timedelta(hours=self.hour, seconds=time.monotonic() - self.since)

    def strikes(self, hour: float) -> None:
        """Go on to a later hour of the day."""
        self.hour, self.since = hour, time.monotonic()


@dataclass(frozen=True)
class Court:
    """The running bot, as browsers reach it; `clerks` are the staff's, signed in."""

    browser: Browser
    url: str
    clock: Clock
    clerks: dict[str, Page]

    async def phone(self) -> Page:
        """A visitor's phone, a new one each time, with the greeting on its screen."""
        page = await _page(self.browser, PHONE)
        # Set, not stopped: the page's own timers go on.
        await page.clock.set_system_time(self.clock())
        await page.goto(self.url)
        await expect(page.locator(".bubble").first).to_contain_text("您好")
        return page

    async def console(self, name: str, path: str) -> Page:
        """A page of the console in the browser of a member of staff."""
        page = self.clerks[name]
        await page.goto(f"{self.url}/console{path}")
        return page


async def take() -> None:
    """Every picture, in the order of the story."""
    PICTURES.mkdir(exist_ok=True)
    async with _bot() as (url, clock, links), async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        court = Court(browser, url, clock, {name: await _sign_in(browser, link) for name, link in links.items()})
        await _answered(court)
        await _take_in_old_ledger(court)
        phones = {company: await court.phone() for company in THE_SAME}
        numbers = [await _record(phones[company], question, company) for company, question in THE_SAME.items()]
        for company, question in OTHERS.items():
            await _record(await court.phone(), question, company)
        clock.strikes(9.25)
        await _keep(await court.console(REGISTRAR, ""), "console-today")
        for no in numbers:
            await _register(court, no)
        for company in THE_SAME:
            await _check_contact(court, company)
        lead = await _merge(court, numbers)
        await _assign(court, lead)
        clock.strikes(10.5)
        await _wait_with_them(court)
        clock.strikes(14.2)
        await _answer(court, lead)
        await _say_solved(next(iter(phones.values())))
        clock.strikes(15.75)
        await _publish(court, lead)
        await _statistics(court)
        await browser.close()


@asynccontextmanager
async def _bot() -> AsyncIterator[tuple[str, Clock, dict[str, str]]]:
    """The running bot: the address of its chat, its clock, and a sign-in link for everybody on its staff."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(_env_file=None, data_dir=Path(folder) / "data", web_port=0, telegram_bot_token=None)
        opened = Opened(settings, clock)
        app = App(opened)
        try:
            url = f"http://127.0.0.1:{await app.start()}"

            def hire(db: Db, name: str, roles: tuple[str, ...]) -> str:
                access.add_staff(db, name, list(roles), clock())
                return f"{url}/console/enter?token={access.make_link(db, name, clock())}"

            def hire_all(db: Db) -> dict[str, str]:
                return {name: hire(db, name, roles) for name, roles in STAFF.items()}

            yield url, clock, opened.database.write(hire_all).result()
        finally:
            await app.stop()
            opened.close()


async def _page(browser: Browser, on: dict[str, Any], **more: Any) -> Page:
    context = await browser.new_context(**on, **more, locale="zh-CN", color_scheme="light")
    return await context.new_page()


async def _sign_in(browser: Browser, link: str) -> Page:
    """The browser of a member of staff, who uses a sign-in link."""
    page = await _page(browser, DESK)
    await page.goto(link)
    await page.get_by_role("button", name="登录").click()
    await expect(page.get_by_role("heading", name="今天")).to_be_visible()
    return page


async def _answered(court: Court) -> None:
    """A question that is answered at once, and the page of all answers."""
    page = await court.phone()
    await _ask(page, ANSWERED)
    # A long answer is shown from its beginning; a little up stands the question.
    await page.wait_for_timeout(500)
    await page.evaluate("document.querySelector('main').scrollTop -= 110")
    await _keep(page, "chat-answer")
    await page.goto(f"{court.url}/topics")
    await page.locator("summary").first.click()
    await _keep(page, "topics")


async def _ask(page: Page, text: str) -> None:
    """Ask, and if the bot offers choices, take the first; ends with the answer's deadline warning in sight."""
    await _say(page, text)
    answer = page.locator(".bubble", has_text="期限提示")
    choice = page.locator("article", has_text="您是想问下面哪一个").get_by_role("button").first
    await expect(answer.or_(choice).first).to_be_visible()
    if await choice.count():
        await choice.click()
    await expect(answer).to_be_visible()


async def _record(page: Page, question: str, company: str = "") -> str:
    """Ask, and whatever comes is not it; returns the number of the need. Before that, a company may give its name."""
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
    found = re.search(r"XQ-\d{4}-\d{4,}", await receipt.inner_text())
    assert found
    return found[0]


async def _say(page: Page, text: str, answered: str = "") -> None:
    """Send a message; ends when it is on the screen or, if that is named, when an answer with these words is."""
    await page.get_by_label("您的问题").fill(text)
    await page.get_by_role("button", name="发送").click()
    await expect(page.locator(".me .bubble").last).to_contain_text(text)
    if answered:
        await expect(page.locator(".bubble", has_text=answered).last).to_be_visible()


async def _take_in_old_ledger(court: Court) -> None:
    """What the court kept in a table before: looked at first, then taken in."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "旧台账.xlsx"
        _write_old_ledger(file)
        page = await court.console(REGISTRAR, "/import")
        await page.locator("#file").set_input_files(file)
        await page.get_by_role("button", name="上传并核对").click()
        await expect(page.locator("section.action form")).to_contain_text(f"新增 {len(OLD_NEEDS)} 件")
    await page.get_by_role("button", name="导入", exact=True).click()
    await expect(page.get_by_role("status")).to_contain_text(f"新增 {len(OLD_NEEDS)} 件")


def _write_old_ledger(file: Path) -> None:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.append(OLD_HEADINGS)
    for number, (day, street, industry, topic, division, content, took, satisfied) in enumerate(OLD_NEEDS):
        over = str(datetime.fromisoformat(day).date() + timedelta(days=took)) if took else ""
        source = OLD_SOURCES[number % len(OLD_SOURCES)]
        about = (day, f"示例企业{number + 1:02}有限公司", street, industry, source, topic, content, division)
        sheet.append([*about, "已当面解释有关规定。" if over else "", over, over, satisfied])
    book.save(file)


async def _register(court: Court, no: str) -> None:
    """Take a need into the ledger with what the enterprise gave."""
    page = await court.console(REGISTRAR, f"/needs/{no}")
    form = page.locator("form[action$='/register']")
    await form.locator("[name=topic]").select_option("J03")
    await form.locator("[name=street]").select_option("中韩街道")
    await form.locator("[name=litigation]").select_option("无")
    await form.locator("[name=unknown]").check()
    await form.get_by_role("button", name="登记进台账").click()
    await expect(page.get_by_role("status")).to_contain_text("已登记")


async def _check_contact(court: Court, company: str) -> None:
    """Make sure that whoever asked speaks for the enterprise."""
    page = await court.console(REGISTRAR, "/enterprises")
    await page.get_by_role("link", name=company).click()
    form = page.locator("form[action$='/verify']")
    await form.locator("[name=how]").select_option(index=1)
    await form.get_by_role("button", name="已核对身份").click()
    await expect(page.get_by_role("heading", name="已核对的联系人（1）")).to_be_visible()


async def _merge(court: Court, numbers: list[str]) -> str:
    """Put together what the machine says asks the same; returns the number of the need that leads."""
    page = await court.console(REGISTRAR, "/groups")
    proposal = page.locator("form.group", has_text=numbers[0])
    for no in numbers:
        await expect(proposal).to_contain_text(no)
    await _keep(page, "console-groups")
    lead = await proposal.locator("[name=lead]:checked").get_attribute("value")
    assert lead
    await proposal.get_by_role("button", name="确认归并").click()
    await expect(page.get_by_role("status")).to_contain_text("已归并")
    return lead


async def _assign(court: Court, lead: str) -> None:
    """Give the need to the division that the rules propose, and to a person."""
    page = await court.console(REGISTRAR, f"/needs/{lead}")
    form = page.locator("form[action$='/assign']")
    await form.locator("[name=handler]").select_option(label=f"{HANDLER}（在办 0 件）")
    await form.get_by_role("button", name="分派").click()
    await expect(page.get_by_role("status")).to_contain_text("已分派")


async def _wait_with_them(court: Court) -> None:
    """Somebody else asks the same, gets a receipt, and waits together with the others."""
    page = await court.phone()
    await _record(page, FOURTH)
    await expect(page.locator(".bubble", has_text="3 家企业问过同样的问题")).to_be_visible()
    await _keep(page, "chat-receipt")
    await page.get_by_role("button", name="一起等答复").click()
    await expect(page.locator(".bubble", has_text="已和同样的问题一起办理")).to_be_visible()


async def _answer(court: Court, lead: str) -> None:
    """The handler accepts and writes; a second person approves, and everybody who asked is told."""
    handler = await court.console(HANDLER, f"/needs/{lead}")
    await handler.locator("summary", has_text="签收").click()
    await handler.get_by_role("button", name="签收", exact=True).click()
    await expect(handler.get_by_role("status")).to_contain_text("已记入办理经过")
    await handler.locator("#text").fill(REPLY)
    await handler.get_by_role("button", name="提交审核").click()
    await expect(handler.get_by_role("status")).to_contain_text("已提交审核")
    reviewer = await court.console(REVIEWER, f"/needs/{lead}")
    await reviewer.get_by_role("button", name="审核通过，发出").click()
    await expect(reviewer.get_by_role("status")).to_contain_text("答复已写入台账")
    told = reviewer.locator(".card", has_text="答复告知了谁").get_by_text("已送达")
    for _ in range(20):
        if await told.count() == len(THE_SAME) + 1:
            break
        await reviewer.reload()
        await reviewer.wait_for_timeout(500)
    await expect(told).to_have_count(len(THE_SAME) + 1)
    await _keep(await court.console(HANDLER, f"/needs/{lead}"), "console-need", TALL)


async def _say_solved(page: Page) -> None:
    """One of those who asked says that it helped."""
    await page.get_by_role("button", name="解决了", exact=True).last.click()
    await page.get_by_role("button", name="满意", exact=True).last.click()
    await expect(page.locator(".bubble", has_text="收到您的评价")).to_be_visible()


async def _publish(court: Court, lead: str) -> None:
    """The handler makes an entry of the answer, the reviewer publishes it, and it answers the next one who asks."""
    handler = await court.console(HANDLER, f"/needs/{lead}")
    await handler.get_by_role("button", name="起草条目").click()
    await expect(handler.get_by_role("status")).to_contain_text("已按需求起草")
    await handler.get_by_role("link", name="修改", exact=True).click()
    await handler.locator("#question").fill(ENTRY)
    await handler.locator("#answer").fill(REPLY.removeprefix("您好。") + MORE)
    await handler.get_by_role("button", name="保存").click()
    await expect(handler.get_by_role("status")).to_contain_text("已保存")
    await handler.get_by_role("button", name="提交审核").click()
    await expect(handler.get_by_role("status")).to_contain_text("已提交审核")
    path = f"/entries/{lead.lower()}"
    reviewer = await court.console(REVIEWER, path)
    await reviewer.get_by_role("button", name="看看会改变什么").click()
    await expect(reviewer.get_by_role("status")).to_contain_text("已看过会改变什么")
    await reviewer.get_by_role("button", name="发布", exact=True).click()
    await expect(reviewer.get_by_role("status")).to_contain_text("已发布")
    await _until_it_answers(court)
    await _say(await court.phone(), ENTRY, answered="本院审核")
    await _keep(await court.console(REVIEWER, path), "console-entry", TALL)


async def _until_it_answers(court: Court) -> None:
    """Try the question in the console, where nothing is recorded, until the index has followed."""
    for _ in range(30):
        page = await court.console(REVIEWER, "/why")
        await page.locator("[name=question]").fill(ENTRY)
        await page.locator("main button").first.click()
        if await page.locator("main", has_text="结果：直接答复").count():
            return
        await page.wait_for_timeout(1000)
    raise SystemExit(f"“{ENTRY}” is still not answered.")


async def _statistics(court: Court) -> None:
    """The numbers of the year on a desk, and in the same person's phone."""
    page = await court.console(REVIEWER, "/statistics")
    await page.locator("section.counted").first.evaluate("card => card.scrollIntoView()")
    await _keep(page, "console-statistics", TALL)
    phone = await _page(court.browser, PHONE, storage_state=await page.context.storage_state())
    await phone.goto(page.url)
    await phone.locator("section.counted").nth(1).evaluate("card => card.scrollIntoView()")
    await _keep(phone, "console-phone")


async def _keep(page: Page, name: str, height: int = 0) -> None:
    """Write what is on the screen, which may be made higher first. Raises when the file is too heavy for a README."""
    size = page.viewport_size
    if height and size:
        await page.set_viewport_size({"width": size["width"], "height": height})
    await page.wait_for_timeout(500)
    path = PICTURES / f"{name}.png"
    await page.screenshot(path=path)
    if size:
        await page.set_viewport_size(size)
    if path.stat().st_size > LARGEST:
        raise SystemExit(f"{path.name} has {path.stat().st_size} bytes, at most {LARGEST} are wanted.")


if __name__ == "__main__":
    asyncio.run(take())
