"""A question followed to its end: asked by three enterprises, owned, answered, made an entry, and everyone told, once.

The same story twice. Once with people: web pages and the console in a real Chromium, Telegram through the stand-in Bot API.
Once with the process killed at every step and started again. Whatever way it was told, `Record` reads the same facts from the
data folder afterwards. At the end stands what staff may type wrong: a clear sentence, and nothing has changed.
"""

import asyncio
import hashlib
import html
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import Random
from typing import Any, Self

import openpyxl
import pytest
from aiohttp import ClientError, ClientSession, CookieJar, FormData
from playwright.async_api import Browser, Locator, async_playwright, expect
from playwright.async_api import Page as Screen

from bot import access
from bot.app import App
from bot.console.board import mask_company
from bot.desk import SELF_REVIEWED
from bot.publishing import ALONE
from tests.bot_api import TOKEN, BotApi
from tests.conftest import Running
from tests.office import Clerk, Office, Opening
from tests.office import Page as Answer
from tests.test_nothing_lost import Commands, Page, ended, free_port, kill, look, unfinished, until
from tests.visitors import TelegramVisitor

CHROMIUM = Path("/usr/bin/chromium")
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "locale": "zh-CN"}
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "locale": "zh-CN"}

ASKED = ("今年能不能申请减免城镇土地使用税", "城镇土地使用税今年可以申请减免吗", "我们厂想申请减免今年的城镇土地使用税，行不行")
"""One question the shipped library has no answer to, as three enterprises put it."""
COMPANIES = ("海之蓝精密机械有限公司", "崂山云杉食品有限公司", "青岛望海物流有限公司")
PHONES = ("13812345601", "13812345602", "13812345603")
REPLY = (
    "城镇土地使用税的减免由税务机关受理，请向主管税务所提出申请。对税务机关的决定不服的，可以申请行政复议。"
    "依据《中华人民共和国行政复议法》第二十条第一款。"
)
DEADLINE = "申请行政复议，一般要在知道决定之日起六十日内提出。"
STAFF = {"王登记": "registrar", "李分派": "assigner", "张承办": "handler", "周审核": "reviewer"}
PASSWORD = "大海边上的小法院2026"
NUMBERS = ["XQ-2026-0001", "XQ-2026-0002", "XQ-2026-0003"]
TOPIC = "J03"
"""行政复议: an answer about the government is always read by a second person."""


# What is on record


@dataclass(frozen=True)
class Record:
    """What the data folder says of the story, whoever told it."""

    data_dir: Path

    @property
    def lead(self) -> str:
        """The need the others went with."""
        return str(next(item["no"] for item in self._look("SELECT no FROM needs WHERE lead_no IS NULL")))

    def check(self, unsolved: str) -> None:
        """Everybody was told once, every history is whole, every message has one outcome; the asker of `unsolved` said no."""
        needs = self._look("SELECT no, lead_no, state FROM needs ORDER BY seq")
        assert [item["no"] for item in needs] == NUMBERS
        assert {item["no"]: item["state"] for item in needs} == dict.fromkeys(NUMBERS, "replied") | {unsolved: "reopened"}
        assert {item["lead_no"] for item in needs if item["no"] != self.lead} == {self.lead}
        for no in NUMBERS:
            assert self.steps(no) == self._expected(no) + (["reopen"] if no == unsolved else []), no

        told = self._look("SELECT g.*, o.state FROM tellings g LEFT JOIN outbox o ON o.id = g.outbox_id ORDER BY g.need_no")
        assert [item["need_no"] for item in told] == NUMBERS, "every enterprise is told once, and of the same answer not again as an entry"
        assert len({item["answer"] for item in told}) == 1 and told[0]["answer"].startswith("reply:")
        assert len({item["recipient"] for item in told}) == 3 and all(item["recipient"].startswith("enterprise:") for item in told)
        assert [item["state"] for item in told] == ["delivered"] * 3
        written = self._look("SELECT need_no FROM outbox WHERE text LIKE '%的答复</b>%' ORDER BY need_no")
        assert [item["need_no"] for item in written] == NUMBERS

        # Written twice before it is handed in: as proposed, and as edited.
        events = self._look("SELECT action FROM entry_events ORDER BY id")
        assert [item["action"] for item in events] == ["drafted", "edited", "submitted", "published"]
        sources = self._look("SELECT need_no FROM entry_sources WHERE entry_id = ? ORDER BY need_no", self.entry)
        assert [item["need_no"] for item in sources] == NUMBERS
        assert [item["reviewed_by"] for item in self._look("SELECT reviewed_by FROM entries WHERE id = ?", self.entry)] == ["周审核"]

        checked = self._look("SELECT note FROM audit WHERE action = 'verify_contact'")
        assert [item["note"] for item in checked] == ["电话核对"] * 3
        inbox = self._look("SELECT outcome, done_at FROM inbox")
        assert all(item["outcome"] and item["done_at"] for item in inbox)
        answered = self._look("SELECT entry_id FROM askings WHERE band = 'answer'")
        assert [item["entry_id"] for item in answered] == [self.entry], "the next one is answered by the entry"

    async def checks(self) -> None:
        """What the command line has to say."""
        commands = Commands(self.data_dir)
        for arguments in (["ledger", "verify"], ["reconcile"]):
            assert await commands.finish(*arguments) == 0, commands.log.read_text()[-2000:]

    @property
    def entry(self) -> str:
        """The entry that came of it."""
        return self.lead.lower()

    def steps(self, no: str) -> list[str]:
        """What happened to a need, in order."""
        return [item["action"] for item in self._look("SELECT action FROM need_history WHERE need_no = ? ORDER BY id", no)]

    def _expected(self, no: str) -> list[str]:
        if no == self.lead:
            return ["submit", "register", "assign", "accept", "submit_reply", "approve"]
        return ["submit", "register", "merge", "follow_reply"]

    def _look(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        return look(self.data_dir, sql, *args)


def times_told(texts: list[str], no: str) -> int:
    """How often the court's answer to this need stands in a chat."""
    return sum(f"关于 {no} 的答复" in re.sub("<[^>]+>", "", text) for text in texts)


def hire(app: App) -> dict[str, str]:
    """The court's people, each with a link to sign in."""

    def add(name: str, role: str) -> str:
        app.database.write(lambda db: access.add_staff(db, name, [role], app.clock())).result()
        return app.database.write(lambda db: access.make_link(db, name, app.clock())).result()

    return {name: add(name, role) for name, role in STAFF.items()}


# With people and browsers


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    """A browser; every person has a window of their own."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield launched
        await launched.close()


@dataclass
class Windows:
    """The browsers of everybody in the story, and what went wrong in them."""

    chromium: Browser
    url: str
    pictures: Path
    errors: list[str] = field(default_factory=list)

    async def visitor(self) -> Screen:
        """Somebody's phone with the chat's greeting on it."""
        screen = await self._opened(PHONE)
        await screen.goto(self.url)
        await expect(screen.locator(".bubble").first).to_contain_text("您好")
        return screen

    async def by_link(self, token: str) -> Screen:
        """A member of staff at a desk, signed in by link."""
        screen = await self._opened(DESK)
        await screen.goto(f"{self.url}/console/enter?token={token}")
        await screen.get_by_role("button", name="登录").click()
        await expect(screen.get_by_role("button", name="退出")).to_be_visible()
        return screen

    async def by_password(self, token: str, name: str) -> Screen:
        """The same by password: set at the first desk, used at another."""
        first = await self.by_link(token)
        await first.get_by_role("link", name=name).click()
        await first.get_by_label("新密码").fill(PASSWORD)
        await first.get_by_label("再填一次").fill(PASSWORD)
        await first.get_by_role("button", name="保存密码").click()
        await said(first, "密码已保存")
        await first.context.close()
        screen = await self._opened(DESK)
        await screen.goto(f"{self.url}/console/enter")
        await screen.get_by_label("姓名").fill(name)
        await screen.get_by_label("密码").fill(PASSWORD)
        await screen.get_by_role("button", name="登录").click()
        await expect(screen.get_by_role("button", name="退出")).to_be_visible()
        return screen

    async def picture(self, screen: Screen, name: str) -> None:
        """Keep what is on a screen, to be looked at."""
        self.pictures.mkdir(exist_ok=True)
        await screen.screenshot(path=self.pictures / f"{name}.png", full_page=True)

    async def _opened(self, kind: dict[str, Any]) -> Screen:
        screen = await (await self.chromium.new_context(**kind)).new_page()
        screen.on("pageerror", lambda error: self.errors.append(str(error)))
        screen.on("console", lambda message: self._message(message.type, message.text))
        screen.on("request", lambda request: self._request(request.url))
        return screen

    def _message(self, kind: str, text: str) -> None:
        # A form that is not complete comes back with status 400, as it should.
        if kind in ("error", "warning") and "status of 400" not in text:
            self.errors.append(text)

    def _request(self, url: str) -> None:
        if not url.startswith((self.url, self.url.replace("http", "ws", 1), "data:")):
            self.errors.append(f"a request to {url}")


async def asks(screen: Screen, text: str) -> None:
    """Type a question and send it."""
    await screen.get_by_label("您的问题").fill(text)
    await screen.get_by_role("button", name="发送").click()
    await expect(screen.locator(".me .bubble").last).to_contain_text(text)


async def said(screen: Screen, words: str) -> None:
    """The console says what was done."""
    await expect(screen.get_by_role("status")).to_contain_text(words)


def card(screen: Screen, heading: str) -> Locator:
    """The part of a console page under this heading."""
    return screen.locator("section.card", has=screen.get_by_role("heading", name=heading, exact=True))


async def register(screen: Screen, url: str, no: str, **person: str) -> None:
    """Take a need into the ledger; first as it is, and when that is not enough, with everything the form asks for."""
    await screen.goto(f"{url}/console/needs/{no}")
    form = card(screen, "登记")
    await form.get_by_role("button", name="登记进台账").click()
    await expect(screen.get_by_role("alert")).to_contain_text("登记前还要填：")
    for label, value in (("需求类别", TOPIC), ("街道/园区", "中韩街道"), ("涉诉状态", "无")):
        await form.get_by_label(label).select_option(value)
    for label, value in person.items():
        await form.get_by_label(label).fill(value)
    await form.get_by_role("button", name="登记进台账").click()
    await said(screen, "已登记，进入台账")


async def verify_contact(screen: Screen, url: str, company: str) -> None:
    """Say on the enterprise's page that the person who asked has been checked."""
    await screen.goto(f"{url}/console/enterprises")
    await screen.get_by_role("link", name=company).click()
    await screen.get_by_label("怎么核对的").select_option("电话核对")
    await screen.get_by_role("button", name="已核对身份").click()
    await said(screen, "已核对身份")


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}")
async def test_a_miss_becomes_an_entry_and_everyone_is_told(running: Running, data_dir: Path, chromium: Browser, tmp_path: Path) -> None:
    url, record = f"http://127.0.0.1:{running.port}", Record(data_dir)
    windows = Windows(chromium, url, tmp_path / "pictures")
    links = hire(running.app)

    # Three enterprises ask the same, two on the web and one by Telegram. Nobody has an answer yet.
    first, second = await windows.visitor(), await windows.visitor()
    await asks(first, ASKED[0])
    await expect(first.locator(".bubble", has_text=f"编号 {NUMBERS[0]}")).to_be_visible()
    await windows.picture(first, "01-miss")
    await asks(second, ASKED[1])
    await expect(second.locator(".bubble", has_text=f"编号 {NUMBERS[1]}")).to_be_visible()
    third = TelegramVisitor(running.app, running.api, 70001)
    await third.says(ASKED[2])
    assert NUMBERS[2] in third.sees()
    # This page is closed until the answer has long been written.
    await second.goto("about:blank")

    # The registrar sees what came in, fills in what is missing, and checks who the people are.
    registrar = await windows.by_link(links["王登记"])
    await windows.picture(registrar, "02-today")
    for no, company, phone in zip(NUMBERS, COMPANIES, PHONES, strict=True):
        await register(registrar, url, no, 企业名称=company, 联系人="赵六", 联系电话=phone)
    await windows.picture(registrar, "03-registered")
    for company in COMPANIES:
        await verify_contact(registrar, url, company)
    await windows.picture(registrar, "04-enterprise")

    # The assigner is shown that the three are one, and gives the case to somebody.
    assigner = await windows.by_link(links["李分派"])
    await assigner.goto(f"{url}/console/groups")
    await expect(assigner.get_by_role("heading", name="3 家核实的企业，3 件需求像在问同一件事")).to_be_visible()
    await windows.picture(assigner, "05-proposed")
    await assigner.get_by_role("button", name="确认归并").click()
    await said(assigner, "已归并")
    await expect(assigner.get_by_role("heading", name="3 家核实的企业，3 件需求在问同一件事")).to_be_visible()
    await windows.picture(assigner, "06-merged")
    lead = record.lead
    await assigner.goto(f"{url}/console/needs/{lead}")
    form = card(assigner, "分派")
    await expect(form.get_by_label("承办部门")).to_have_value("administrative")
    await form.get_by_label("承办人").select_option(label="张承办（在办 0 件）")
    await windows.picture(assigner, "07-assign")
    await form.get_by_role("button", name="分派").click()
    await said(assigner, "已分派")

    # The handler signs for it and writes the answer. It is about the government, so it cannot go out alone.
    handler = await windows.by_password(links["张承办"], "张承办")
    await handler.get_by_role("link", name=lead).first.click()
    await handler.locator("summary", has_text="签收").click()
    await handler.get_by_role("button", name="签收").click()
    await said(handler, "已记入办理经过")
    await expect(handler.get_by_role("button", name="发出答复")).to_have_count(0)
    await handler.get_by_label("答复", exact=True).fill(REPLY)
    await windows.picture(handler, "08-answer")
    await handler.get_by_role("button", name="提交审核").click()
    await said(handler, "已提交审核")

    # Somebody else reads it and sends it out: to all three, each in their own chat.
    reviewer = await windows.by_link(links["周审核"])
    await windows.picture(reviewer, "09-review-today")
    await reviewer.get_by_role("link", name=lead).first.click()
    await expect(reviewer.get_by_label("审核答复")).to_have_value(REPLY)
    await windows.picture(reviewer, "10-review")
    await reviewer.get_by_role("button", name="审核通过，发出").click()
    await said(reviewer, "答复已写入台账")
    answer = first.locator(".bubble", has_text="的答复")
    await expect(answer).to_contain_text("主管税务所")
    await expect(answer).to_contain_text("答复人：张承办　审核人：周审核")
    await windows.picture(first, "11-told")
    await third.waits(f"关于 {NUMBERS[2]} 的答复")
    await second.goto(url)
    await expect(second.locator(".bubble", has_text=f"关于 {NUMBERS[1]} 的答复")).to_be_visible()

    # The answer becomes a draft; edited, looked ahead, handed in, and published by the other person.
    await handler.goto(f"{url}/console/needs/{lead}")
    await windows.picture(handler, "12-replied")
    await handler.get_by_role("button", name="起草条目").click()
    await said(handler, "已按需求起草")
    await windows.picture(handler, "13-draft")
    await handler.get_by_role("link", name="修改", exact=True).click()
    await handler.get_by_label("期限提示").fill(DEADLINE)
    await windows.picture(handler, "14-edit")
    await handler.get_by_role("button", name="保存").click()
    await said(handler, "已保存")
    await handler.get_by_role("button", name="看看会改变什么").click()
    await said(handler, "已看过会改变什么")
    await expect(card(handler, "发布以后会改变什么")).to_contain_text("会直接答上 3 个，答复会变 0 个，有冲突 0 处")
    await windows.picture(handler, "15-look")
    await handler.get_by_role("button", name="提交审核").click()
    await said(handler, "已提交审核")
    entry_at = handler.url.partition("?")[0]
    await reviewer.goto(f"{url}/console")
    await windows.picture(reviewer, "16-handed-in")
    await reviewer.get_by_role("link", name="1 待审条目").click()
    await reviewer.locator(f"a[href='{entry_at.removeprefix(url)}']").first.click()
    await windows.picture(reviewer, "17-publish")
    await reviewer.get_by_role("button", name="发布", exact=True).click()
    await said(reviewer, "已发布，几秒后开始用于答复")

    # The next enterprise that asks the same is answered at once.
    await _until_it_answers(handler, url, ASKED[1], record.entry)
    fourth = await windows.visitor()
    await asks(fourth, ASKED[1])
    direct = fourth.locator(".bubble", has_text="主管税务所")
    await expect(direct).to_contain_text("本院审核：周审核")
    await expect(direct).to_contain_text(DEADLINE)
    await expect(fourth.locator(".bubble", has_text="XQ-")).to_have_count(0)
    await windows.picture(fourth, "18-next")

    # One of the three says no: the need is open again, with all it has been through.
    await first.get_by_role("button", name="没解决").click()
    await expect(first.locator(".bubble", has_text=f"{NUMBERS[0]} 已重新打开")).to_be_visible()
    await windows.picture(first, "19-unsolved")
    await registrar.goto(f"{url}/console/needs/{NUMBERS[0]}")
    await expect(registrar.locator("h1 ~ .state")).to_have_text("重启")
    for words in (ASKED[0], "登记", "主管税务所", "反映未解决"):
        await expect(registrar.get_by_role("main")).to_contain_text(words)
    await windows.picture(registrar, "20-reopened")
    await handler.goto(f"{url}/console")
    await handler.get_by_role("link", name=NUMBERS[0]).first.click()
    await expect(handler.get_by_role("button", name="提交审核")).to_be_visible()

    await _statistics_show_it(windows, registrar)
    await _the_table_shows_it(registrar, url, tmp_path)

    # Where the entry comes from and what became of it.
    await reviewer.goto(entry_at)
    await expect(card(reviewer, "来自哪些需求")).to_contain_text("3 件需求，3 家核实的企业问过")
    for no, company in zip(NUMBERS, COMPANIES, strict=True):
        await expect(card(reviewer, "来自哪些需求")).to_contain_text(no)
        await expect(card(reviewer, "来自哪些需求")).to_contain_text(mask_company(company))
    for words in ("张承办 起草", "张承办 修改", "张承办 提交审核", "周审核 发布"):
        await expect(card(reviewer, "经过")).to_contain_text(words)
    await expect(card(reviewer, "答复了多少次").locator("tbody td").first).to_have_text("1")
    await windows.picture(reviewer, "21-lineage")

    # Nobody was told twice, on no screen.
    for screen, no in ((first, NUMBERS[0]), (second, NUMBERS[1])):
        await screen.reload()
        await expect(screen.locator(".bubble", has_text="您好").first).to_be_visible()
        assert times_told(await screen.locator(".bubble").all_inner_texts(), no) == 1
    assert times_told(running.api.texts(third.chat_id), NUMBERS[2]) == 1
    assert windows.errors == []
    await until(lambda: not unfinished(data_dir))
    record.check(unsolved=NUMBERS[0])
    await record.checks()


async def _until_it_answers(screen: Screen, url: str, question: str, entry_id: str) -> None:
    """Wait, as staff can, until the bot would answer with the entry; nothing is recorded by looking."""
    async with asyncio.timeout(30):
        while True:
            await screen.goto(f"{url}/console/why")
            await screen.get_by_role("textbox").fill(question)
            await screen.get_by_role("main").get_by_role("button").click()
            seen = await screen.get_by_role("main").inner_text()
            if "结果：直接答复" in seen and entry_id in seen:
                return


async def _statistics_show_it(windows: Windows, screen: Screen) -> None:
    await screen.goto(f"{windows.url}/console/statistics")
    tiles = {name: screen.locator(".sums div", has=screen.get_by_role("link", name=name, exact=True)).locator("dd") for name in
             ("登记", "答复", "在办", "反映未解决")}  # fmt: skip
    expected = {"登记": "3", "答复": "2", "在办": "1", "反映未解决": "1"}
    for name, number in expected.items():
        await expect(tiles[name].first).to_have_text(number)
    await windows.picture(screen, "22-statistics")


async def _the_table_shows_it(screen: Screen, url: str, folder: Path) -> None:
    await screen.goto(f"{url}/console/needs?tab=ledger")
    await screen.get_by_role("link", name="导出这 3 件").click()
    async with screen.expect_download() as coming:
        await screen.get_by_role("button", name="下载").click()
    download = await coming.value
    await download.save_as(folder / "台账.xlsx")
    sheet = openpyxl.load_workbook(folder / "台账.xlsx")["台账"]
    heading, *lines = sheet.iter_rows(values_only=True)
    shown = {line["编号"]: line for line in (dict(zip(heading, line, strict=True)) for line in lines)}
    assert set(shown) == set(NUMBERS)
    for place, no in enumerate(NUMBERS):
        assert (shown[no]["需求内容"], shown[no]["答复内容"]) == (ASKED[place], REPLY)
        assert shown[no]["电话"] == PHONES[place][:3] + "****" + PHONES[place][-4:]
    assert [shown[no]["状态"] for no in NUMBERS] == ["重启", "已答复", "已答复"]


# With the process killed at every step


@dataclass
class House:
    """The bot as a process of its own, on one port, killed and started again as often as the story has steps."""

    commands: Commands
    api: BotApi
    port: int = field(default_factory=free_port)
    random: Random = field(default_factory=lambda: Random(20261122))
    kills: int = 0
    late: int = 0
    """Kills after which the step was found done, and so was not done again."""
    _process: ForkServerProcess | None = None
    _sessions: list[ClientSession] = field(default_factory=list)

    @property
    def data_dir(self) -> Path:
        """Where everything is."""
        return self.commands.data_dir

    async def __aenter__(self) -> Self:
        self.commands.environment = {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_API_BASE": self.api.url}
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in self._sessions:
            await session.close()
        self.commands.end()

    async def start(self) -> None:
        """`python -m bot run`, until the console answers."""
        self._process = self.commands.start("run", "--port", str(self.port))
        async with ClientSession() as session:
            while True:
                with suppress(ClientError, ConnectionError):
                    async with session.get(f"http://127.0.0.1:{self.port}/console/enter") as response:
                        if response.status == 200:
                            return
                assert self._process.exitcode is None, self.commands.log.read_text()[-2000:]
                await asyncio.sleep(0.02)

    async def killed(self) -> None:
        """kill -9, and the next start."""
        assert self._process
        await kill(self._process)
        self.kills += 1
        await self.start()

    async def stop(self) -> None:
        """As people stop it."""
        assert self._process
        self._process.terminate()
        assert await ended(self._process) == 0

    async def clerk(self, name: str, role: str) -> Clerk:
        """Somebody with a browser, signed in by the link the command line gave them."""
        assert await self.commands.finish("staff", "add", name, "--role", role) == 0
        token = self.commands.log.read_text().rpartition("token=")[2].split()[0]
        session = ClientSession(cookie_jar=CookieJar(unsafe=True))
        self._sessions.append(session)
        clerk = Clerk(f"http://127.0.0.1:{self.port}", session)
        assert (await clerk.sends("/console/enter", token=token)).status == 303
        return clerk

    async def step(self, clerk: Clerk, at: str, to: str, done: str, **typed: str) -> None:
        """Send the form `to` that stands on the page `at`; `done` is a query that finds something once it has been done.

        The process is killed while the form is under way. What that left undone is done again by hand, and the process killed
        the moment it is on record, before anybody has been told.
        """

        async def send() -> None:
            with suppress(ClientError, ConnectionError):
                page = await clerk.opens(at)
                assert page.status == 200, page.text
                answer = await clerk.sends(to, page, **typed)
                assert answer.status == 303, answer.text

        assert not look(self.data_dir, done), "not done yet"
        sending = asyncio.create_task(send())
        # Opening the page takes some milliseconds, too.
        await asyncio.sleep(self.random.random() * 0.06)
        await self.killed()
        await sending
        if look(self.data_dir, done):
            self.late += 1
            return
        sending = asyncio.create_task(send())
        await until(lambda: sending.done() or bool(look(self.data_dir, done)))
        await self.killed()
        await sending
        assert look(self.data_dir, done), f"{to} was not done"


async def test_killed_at_every_step_the_story_ends_the_same(data_dir: Path) -> None:
    record, chat = Record(data_dir), 70001
    async with BotApi() as api, House(Commands(data_dir), api) as house:
        async with Page(house.port) as first, Page(house.port, Random(2)) as second, Page(house.port, Random(3)) as fourth:
            registrar, assigner, handler, reviewer = [await house.clerk(name, role) for name, role in STAFF.items()]

            # Asked one after the other, so that the numbers are known; each time the process dies with the question in its hands.
            for number, question in enumerate(ASKED, 1):
                await (api.say(chat, question) if number == 3 else (first, second)[number - 1].asks(question))
                await asyncio.sleep(house.random.random() * 0.05)
                await house.killed()
                await until(lambda number=number: len(look(data_dir, "SELECT 1 FROM needs")) == number)  # type: ignore[misc]

            known = {"topic": TOPIC, "street": "中韩街道", "litigation": "无", "contact": "赵六"}
            for no, company, phone in zip(NUMBERS, COMPANIES, PHONES, strict=True):
                done = f"SELECT 1 FROM needs WHERE no = '{no}' AND state = 'registered'"
                page = f"/console/needs/{no}"
                await house.step(registrar, page, f"{page}/register", done, **known, company=company, phone=phone)
            for enterprise, company in enumerate(COMPANIES, 1):
                (person,) = look(data_dir, "SELECT id FROM persons WHERE company = ?", company)
                page = f"/console/enterprises/{enterprise}"
                done = f"SELECT 1 FROM persons WHERE id = {person['id']} AND verified_at IS NOT NULL"
                await house.step(registrar, page, f"{page}/verify", done, person=str(person["id"]), how="电话核对")

            merged = "SELECT 1 FROM needs WHERE lead_no IS NOT NULL"
            lead, *members = NUMBERS
            await house.step(assigner, "/console/groups", "/console/groups/merge", merged, lead=lead, member=" ".join(members))
            page, (to,) = f"/console/needs/{lead}", look(data_dir, "SELECT id FROM staff WHERE name = '张承办'")
            chosen = {"division": "administrative", "handler": str(to["id"])}
            for clerk, form, state, typed in (
                (assigner, "assign", "assigned", chosen),
                (handler, "step", "in_progress", {"action": "accept"}),
                (handler, "reply", "in_review", {"text": REPLY, "way": "review"}),
                (reviewer, "approve", "replied", {"text": REPLY}),
            ):
                await house.step(clerk, page, f"{page}/{form}", f"SELECT 1 FROM needs WHERE no = '{lead}' AND state = '{state}'", **typed)
            for visitor, no in ((first, NUMBERS[0]), (second, NUMBERS[1])):
                await visitor.sees(f"关于 {no} 的答复")
            await until(lambda: times_told(api.texts(chat), NUMBERS[2]) > 0)

            entry = f"/console/entries/{lead.lower()}"
            step = "SELECT 1 FROM entry_events WHERE action = '{}'"
            await house.step(handler, page, f"{page}/draft", step.format("drafted"))
            typed = _as_typed(await handler.opens(f"{entry}/edit")) | {"deadline": DEADLINE}
            await house.step(handler, f"{entry}/edit", f"{entry}/edit", step.format("edited"), **typed)
            await house.step(handler, entry, f"{entry}/submit", step.format("submitted"))
            await house.step(reviewer, entry, f"{entry}/publish", step.format("published"))

            # The next one is answered, as soon as the index has followed.
            async with asyncio.timeout(30):
                while "结果：直接答复" not in (await _why(reviewer, ASKED[1])):
                    await asyncio.sleep(0.2)
            await fourth.asks(ASKED[1])
            await house.killed()
            assert DEADLINE in await fourth.sees("本院审核：周审核")

            # No, says the one with Telegram, and the process dies before it can say that it has heard.
            await api.press(chat, _button(api, chat, "没解决"))
            await until(lambda: bool(look(data_dir, "SELECT 1 FROM needs WHERE state = 'reopened'")))
            await house.killed()
            await until(lambda: any("已重新打开" in text for text in api.texts(chat)))
            shown = (await registrar.opens(f"/console/needs/{NUMBERS[2]}")).text
            for words in (ASKED[2], "主管税务所", "反映未解决", "重启"):
                assert words in shown
            lineage = html.unescape((await reviewer.opens(entry)).text)
            assert "3 件需求，3 家核实的企业问过" in lineage
            assert all(no in lineage and mask_company(company) in lineage for no, company in zip(NUMBERS, COMPANIES, strict=True))

            await until(lambda: not unfinished(data_dir))
            await house.stop()
            for visitor, no in ((first, NUMBERS[0]), (second, NUMBERS[1])):
                assert times_told(list(visitor.shown.values()), no) == 1
            # A kill between sending to Telegram and noting it sends the same message again, right after itself.
            told = [text for text in api.texts(chat) if times_told([text], NUMBERS[2])]
            assert len(set(told)) == 1 and len(told) <= 2
        sent = Counter((item["channel"], item["update_key"]) for item in look(data_dir, "SELECT channel, update_key FROM inbox"))
        assert len(sent) == 5 and set(sent.values()) == {1}, "four questions and one press, each on record once"
    record.check(unsolved=NUMBERS[2])
    await record.checks()
    assert house.kills > 15


async def _why(clerk: Clerk, question: str) -> str:
    """What the bot would do with a question."""
    return (await clerk.sends("/console/why", await clerk.opens("/console/why"), question=question)).text


def _button(api: BotApi, chat: int, label: str) -> str:
    """The data of the newest button with this label."""
    lines = [
        line
        for sent in api.called("sendMessage")
        if sent["chat_id"] == chat
        for line in (sent.get("reply_markup") or {}).get("inline_keyboard", [])
    ]
    return next(str(button["callback_data"]) for line in reversed(lines) for button in line if button["text"] == label)


def _as_typed(page: Answer) -> dict[str, str]:
    """What stands in the text boxes of an entry's form."""
    boxes = re.findall(r'<textarea id="(\w+)"[^>]*>(.*?)</textarea>', page.text, re.S)
    return {name: html.unescape(text) for name, text in boxes} | {"topic": TOPIC}


# What staff may type wrong


def digest(here: Office) -> str:
    """A fingerprint of everything that is stored."""
    return str(here.does(lambda db: hashlib.sha256("\n".join(db.iterdump()).encode()).hexdigest()))


class Everybody:
    """One browser for each of the court's people, and a need to go wrong with."""

    def __init__(self, here: Office) -> None:
        self.here, self.no = here, ""

    async def come(self) -> Self:
        """Sign everybody in, and register a need."""
        self.registrar, self.assigner, self.handler, self.reviewer = [await self.here.clerk(name, role) for name, role in STAFF.items()]
        self.no = self.here.need(ASKED[0], company=COMPANIES[0], contact="赵六", phone=PHONES[0], street="中韩街道")
        await self.does(self.registrar, "register", topic=TOPIC, litigation="无")
        return self

    @property
    def at(self) -> str:
        """The need's page."""
        return f"/console/needs/{self.no}"

    async def does(self, clerk: Clerk, form: str, **typed: str) -> None:
        """A step that is right."""
        answer = await clerk.sends(f"{self.at}/{form}", await clerk.opens(self.at), **typed)
        assert answer.status == 303, answer.text

    async def is_refused(self, clerk: Clerk, path: str, status: int, words: str, **typed: str) -> Answer:
        """A step that is wrong: one clear sentence, and nothing has changed."""
        page = await clerk.opens(self.at)
        before = digest(self.here)
        answer = await clerk.sends(path, page, **typed)
        assert answer.status == status and words in html.unescape(answer.text), answer.text
        assert digest(self.here) == before
        return answer


@pytest.fixture
async def everybody(office: Office) -> Everybody:
    """The people, with a court as it is delivered."""
    return await Everybody(office).come()


async def test_a_step_the_state_does_not_allow_is_refused(everybody: Everybody) -> None:
    wrong = (
        (everybody.reviewer, "approve", {"text": REPLY}, "没有等待审核的答复"),
        (everybody.handler, "step", {"action": "accept"}, "现在是“已登记”，不能再“签收”"),
        (everybody.reviewer, "step", {"action": "send_back", "why": "请重写"}, "现在是“已登记”，不能再“审核退回”"),
        (everybody.handler, "step", {"action": "close", "why": "办完了"}, "现在是“已登记”，不能再“办结”"),
        (everybody.registrar, "register", {"topic": TOPIC, "litigation": "无"}, "现在是“已登记”，不能再“登记”"),
        (everybody.assigner, "step", {"action": "suspend", "until": "2026-12-30"}, "“挂起”要写明理由"),
        (everybody.registrar, "reply", {"text": REPLY}, "答复要经审核才能发出"),
    )
    for clerk, form, typed, words in wrong:
        await everybody.is_refused(clerk, f"{everybody.at}/{form}", 409 if "理由" not in words else 400, words, **typed)
    await everybody.is_refused(everybody.registrar, f"{everybody.at}/step", 400, "没有这个步骤", action="delete")
    # Who has not the role does not get as far as the rules.
    await everybody.is_refused(everybody.registrar, f"{everybody.at}/assign", 403, "您的角色不能做这件事", division="administrative")


async def test_a_date_before_receipt_is_refused(everybody: Everybody) -> None:
    early = (everybody.here.at - timedelta(days=1)).date().isoformat()
    await everybody.is_refused(
        everybody.registrar,
        f"{everybody.at}/edit",
        400,
        f"走访日期 {early} 早于收到日期 2026-11-16",
        visited_on=early,
        version=await _version(everybody),
    )
    await everybody.is_refused(
        everybody.assigner, f"{everybody.at}/step", 400, "早于收到日期", action="suspend", why="等另案结果", until=early
    )
    await everybody.is_refused(
        everybody.reviewer, f"{everybody.at}/step", 400, "早于收到日期", action="extend", why="要等外部材料", due_on=early
    )


async def test_an_unknown_division_is_refused(everybody: Everybody) -> None:
    await everybody.is_refused(everybody.assigner, f"{everybody.at}/assign", 400, "承办部门没有“第九审判庭”", division="第九审判庭")


async def test_a_reviewer_does_not_approve_their_own_answer(everybody: Everybody) -> None:
    both = await everybody.here.clerk("钱两样", "handler", "reviewer")
    await everybody.does(everybody.assigner, "assign", division="administrative", handler=_id_of(everybody, "钱两样"))
    await everybody.does(both, "reply", text=REPLY, way="review")
    await everybody.is_refused(both, f"{everybody.at}/approve", 409, "不能审核自己写的答复", text=REPLY + "改一改。")
    await everybody.does(everybody.reviewer, "approve", text=REPLY)


async def test_where_the_court_allows_one_person_it_is_printed(tmp_path: Path, open_office: Opening) -> None:
    (tmp_path / "court.yaml").write_text("allow_self_review: true\n", encoding="utf-8")
    alone = await Everybody(await open_office()).come()
    both = await alone.here.clerk("钱两样", "handler", "reviewer")
    await alone.does(alone.assigner, "assign", division="administrative", handler=_id_of(alone, "钱两样"))
    await alone.does(both, "reply", text=REPLY, way="review")
    await alone.does(both, "approve", text=REPLY)
    assert any(f"答复人、审核人：钱两样（{SELF_REVIEWED}）" in (item["text"] or "") for item in alone.here.outbox())
    # And so with an entry: its reader sees that nobody else has read it, and the page that offers it says so first.
    await alone.does(both, "draft")
    entry = f"/console/entries/{alone.no.lower()}"
    await both.sends(f"{entry}/submit", await both.opens(entry))
    page = await both.opens(entry)
    assert "本院允许一人办理：发布后署名会写明“一人办理”" in page.text
    assert (await both.sends(f"{entry}/publish", page)).status == 303
    assert f"审核：钱两样{ALONE}" in (await both.opens(entry)).text


async def test_a_file_with_the_wrong_columns_is_refused(everybody: Everybody) -> None:
    clerk = everybody.registrar
    page = await clerk.opens("/console/import")
    for content, words in (
        ("日期,名称,电话\n2026-11-02,某公司,1\n", "缺少：企业名称、需求内容"),
        ("企业名称,单位名称,登记日期,需求内容\n甲,乙,2026-11-02,货款\n", "有几列都是“企业名称”"),
    ):
        form = FormData(page.fields)
        form.add_field("file", content.encode(), filename="旧台账.csv", content_type="text/csv")
        before = digest(everybody.here)
        answer = await clerk.opens("/console/import", "POST", data=form)
        assert answer.status == 400 and "没有读入" in answer.text and words in answer.text
        assert digest(everybody.here) == before
        assert not list((everybody.here.opened.settings.data_dir / "imports").glob("*"))


async def test_a_note_of_100000_characters_is_refused(everybody: Everybody) -> None:
    long = "长" * 100_000
    await everybody.is_refused(everybody.handler, f"{everybody.at}/step", 413, "提交的内容太长，没有保存", action="note", why=long)
    await everybody.is_refused(everybody.handler, f"{everybody.at}/step", 413, "提交的内容太长，没有保存", action="note", why="a" * 100_000)


async def test_two_clerks_at_once_keep_both_texts(everybody: Everybody) -> None:
    mine, theirs = "请先向税务所申请。" + REPLY, "请带上土地证。" + REPLY
    second = await everybody.here.clerk("吴承办", "handler")
    pages = [await clerk.opens(everybody.at) for clerk in (everybody.handler, second)]
    sent = await asyncio.gather(
        everybody.handler.sends(f"{everybody.at}/reply", pages[0], text=mine, way="review"),
        second.sends(f"{everybody.at}/reply", pages[1], text=theirs, way="review"),
    )
    assert sorted(answer.status for answer in sent) == [303, 409]
    refused, kept, lost = (sent[0], theirs, mine) if sent[0].status == 409 else (sent[1], mine, theirs)
    assert "有了新的进展" in refused.text
    for text in (kept, lost):
        assert text in refused.text, "whoever was second sees what the first wrote, and still has their own"
    assert [text for action, text in everybody.here.story(everybody.no) if action == "submit_reply"] == [kept]
    # Sent again from the page that is out of date by now, it is still refused, and still nothing changes.
    clerk, page = (everybody.handler, pages[0]) if sent[0].status == 409 else (second, pages[1])
    before = digest(everybody.here)
    assert (await clerk.sends(f"{everybody.at}/reply", page, text=lost, way="review")).status == 409
    assert digest(everybody.here) == before


async def _version(everybody: Everybody) -> str:
    """The version of the need that its form of fields carries."""
    return (await everybody.registrar.opens(f"{everybody.at}/edit")).fields["version"]


def _id_of(everybody: Everybody, name: str) -> str:
    """The number of one of the staff, as forms have it."""
    return str(everybody.here.does(lambda db: db.execute("SELECT id FROM staff WHERE name = ?", [name]).fetchone()[0]))
