"""A console of one's own for a test: the office it stands in, and clerks with browsers in front of it."""

import html
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import ClientSession, CookieJar, web

from bot import access
from bot.console import Console
from bot.console.routes import ROUTES
from bot.outbox import Outbox
from bot.settings import Settings
from bot.startup import Opened
from bot.why import why_lines
from knowledge.clock import BEIJING
from knowledge.database import Db, rows
from knowledge.enterprise import asker_in, set_profile
from knowledge.ledger.needs import Asking, open_need, record_asking

MONDAY = datetime(2026, 11, 16, 9, 0, tzinfo=BEIJING)
QUESTION = "客户欠我 30 万货款一直拖着，我的电话是 13812345678，怎么要回来？"


@dataclass
class Page:
    """What a browser got."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def fields(self) -> dict[str, str]:
        """The hidden fields of the page's forms; the last form's win."""
        return {name: html.unescape(value) for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', self.text)}


@dataclass
class Clerk:
    """A browser, signed in or not."""

    root: str
    session: ClientSession
    headers: dict[str, str] = field(default_factory=dict)

    async def opens(self, path: str, method: str = "GET", **sent: Any) -> Page:
        """Open a page."""
        headers = self.headers | sent.pop("headers", {})
        async with self.session.request(method, self.root + path, allow_redirects=False, headers=headers, **sent) as response:
            return Page(response.status, await response.text(errors="replace"), dict(response.headers))

    async def sends(self, path: str, seen: Page | None = None, /, **typed: str) -> Page:
        """Send a form; `seen` is the page it stands on."""
        return await self.opens(path, "POST", data=(seen.fields if seen else {}) | typed)


class Office:
    """A console on loopback over a real database, and the browsers in front of it."""

    def __init__(self, opened: Opened, root: str) -> None:
        self.opened, self.root, self.at = opened, root, MONDAY
        self.sessions: list[ClientSession] = []

    def does(self, operation: Callable[[Db], Any]) -> Any:
        """Change something behind the console's back."""
        return self.opened.database.write(operation).result()

    def browser(self) -> Clerk:
        """A browser nobody has signed in."""
        session = ClientSession(cookie_jar=CookieJar(unsafe=True))
        self.sessions.append(session)
        return Clerk(self.root, session)

    def link(self, name: str, *roles: str) -> str:
        """A sign-in token for somebody new."""
        self.does(lambda db: access.add_staff(db, name, list(roles), self.at))
        return str(self.does(lambda db: access.make_link(db, name, self.at)))

    async def clerk(self, name: str, *roles: str) -> Clerk:
        """Somebody new, signed in."""
        clerk = self.browser()
        page = await clerk.sends("/console/enter", token=self.link(name, *roles))
        assert (page.status, page.headers["Location"]) == (303, "/console")
        return clerk

    def need(self, question: str = QUESTION, chat_id: int = 7, **profile: str) -> str:
        """A need somebody has asked in the web chat."""

        def ask(db: Db) -> str:
            asker = asker_in(db, "web", chat_id, self.at)
            for name, value in profile.items():
                set_profile(db, asker.person_id, name, value, self.at)
            asking = record_asking(db, Asking(question, "need"), self.at, None, asker.id, asker.person_id)
            return open_need(db, asking, "机器人", self.at, self.opened.rules)

        return str(self.does(ask))

    def story(self, no: str) -> list[tuple[str, str | None]]:
        """The history of a need: action and text."""
        found = self.does(
            lambda db: rows(
                db, "SELECT h.action, t.body FROM need_history h LEFT JOIN texts t ON t.id = h.text_id WHERE need_no = ? ORDER BY h.id", no
            )
        )
        return [(item["action"], item["body"]) for item in found]

    def outbox(self) -> list[dict[str, Any]]:
        """What waits to be delivered."""
        return list(self.does(lambda db: rows(db, "SELECT * FROM outbox ORDER BY id")))


Opening = Callable[..., Awaitable[Office]]
Kind = TypeVar("Kind", bound=Office)


@asynccontextmanager
async def serving(kind: type[Kind], settings: Settings) -> AsyncIterator[Kind]:
    """A console on loopback over the data folder of `settings`; closed at the end."""
    here = kind(Opened(settings, clock=lambda: here.at), "")
    application = web.Application()

    async def why(question: str) -> list[str]:
        return why_lines(here.opened.answering.reply_to(question))

    Console(here.opened, Outbox(here.opened.database, {}, here.opened.clock), why).attach(application, ROUTES)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    here.root = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield here
    finally:
        for session in here.sessions:
            await session.close()
        await runner.cleanup()
        here.opened.close()


@pytest.fixture
async def open_office(tmp_path: Path) -> AsyncIterator[Opening]:
    """Opens consoles with these settings, and closes them after the test."""
    async with AsyncExitStack() as stack:

        async def open_one(**settings: Any) -> Office:
            return await stack.enter_async_context(serving(Office, Settings(data_dir=tmp_path, **settings)))

        yield open_one


@pytest.fixture
async def office(open_office: Opening) -> Office:
    """A console as it is delivered."""
    return await open_office()
