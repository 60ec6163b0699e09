"""How the console serves: network, session, role, form and CSRF are passed before any page's own function runs.

A page is a function of the console and the visit. What it changes is one transaction, done with the same functions as in
the chat; the messages that follow from it are in the outbox when that transaction is committed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

from aiohttp import web

from bot import access, passwords
from bot.access import Session, Staff
from bot.channels.web_security import is_own_origin, load_signer
from bot.console.gate import Form, TooLong, is_genuine, is_let_in, read_form, secure
from bot.console.pages import Pages
from bot.desk import Desk
from bot.outbox import Mail, Outbox
from bot.startup import Opened
from knowledge.court import ROLES
from knowledge.database import Db
from knowledge.errors import BadInput, Conflict, NotAllowed, NotFound, StorageFailed, YuanqitongError

log = logging.getLogger(__name__)
T = TypeVar("T")

ROOT = "/console"
COOKIE = "yq_staff"
ANYONE = frozenset({"anyone"})
"""No session needed: the door itself."""
SIGNED_IN = frozenset(ROLES)

SIGN_IN = "您还没有登录，或者登录已经过期。请用姓名和密码登录，或打开管理员发给您的登录链接；链接用过了，请管理员重新生成：staff link 姓名"
NOT_YOURS = "您的角色不能做这件事。需要的话，请联系管理员调整角色。"
STALE = "这个页面放得太久，或不是从工作台打开的，所以没有提交。请返回上一页，刷新后再试。"
NO_PAGE = "没有这个页面。请从工作台首页重新进入。"
NO_METHOD = "这个网址不能直接打开。请从工作台首页重新进入。"
OUR_FAULT = "这一步没有成功，什么都没有改动。请返回上一页再试一次；还不行，请联系管理员查看日志。"


@dataclass(frozen=True)
class Visit:
    """One request that was let through: who makes it, when, and what they filled in."""

    request: web.Request
    session: Session | None
    at: datetime
    form: Form = field(default_factory=Form)

    @property
    def me(self) -> Staff:
        """Who is signed in. Raises NotAllowed when nobody is."""
        if self.session is None:
            raise NotAllowed(SIGN_IN)
        return self.session.staff

    @property
    def today(self) -> date:
        """The court's date."""
        return self.at.date()

    @property
    def done(self) -> str:
        """What the step before this page did, by its short name in the address."""
        return self.request.query.get("done", "")

    def part(self, name: str) -> str:
        """A part of the address, such as the need's number."""
        return self.request.match_info[name]


class Console:
    """The staff's pages under /console, each behind the same checks."""

    def __init__(self, opened: Opened, outbox: Outbox, why: Callable[[str], Awaitable[list[str]]]) -> None:
        """`why` tells what the bot would do with a question, and its reasons."""
        self.opened, self._outbox, self.why = opened, outbox, why
        self.settings, self.clock = opened.settings, opened.clock
        self.signer = load_signer(opened.settings.data_dir)
        self.pages = Pages(opened.court)
        self.desk = Desk(opened.court, opened.rules, opened.topics)
        self.attempts = access.Throttle(access.SIGN_INS_PER_MINUTE)
        self.guesses = passwords.Guesses()

    def attach(self, application: web.Application, routes: Iterable["Route"]) -> None:
        """Add every route, behind the network check."""
        console = web.Application(middlewares=[self._guard])
        for route in routes:
            add = console.router.add_get if route.method == "GET" else console.router.add_post
            add(route.path, partial(self._let_through, route))
        application.add_subapp(ROOT, console)

    async def read(self, operation: Callable[[Db], T]) -> T:
        """Look something up, on one consistent snapshot."""
        return await _result(self.opened.database.read(operation))

    async def write(self, operation: Callable[[Db], T]) -> T:
        """Change something, in one transaction."""
        return await _result(self.opened.database.write(operation))

    async def act(self, at: datetime, doing: Callable[[Db, Mail], T]) -> T:
        """Change something in one transaction that may also send messages; they are on their way when it is committed."""

        def commit(db: Db) -> tuple[T, set[tuple[str, int]]]:
            mail = Mail(db, at)
            return doing(db, mail), mail.touched

        done, touched = await self.write(commit)
        for channel, chat_id in touched:
            self._outbox.attend(channel, chat_id)
        return done

    async def _let_through(self, route: "Route", request: web.Request) -> web.StreamResponse:
        """Session, role, size of the form, CSRF; then the page."""
        session = await self._session(request)
        if session is None and route.roles is not ANYONE:
            return await self._turn_away(request)
        if session and route.roles is not ANYONE and not session.staff.may(route.roles):
            return self.pages.problem(403, NOT_YOURS, session)
        try:
            form = await read_form(request, route.form_bytes) if route.method == "POST" else Form()
            if session and route.method == "POST" and route.roles is not ANYONE and not is_genuine(form, session.csrf):
                return self.pages.problem(403, STALE, session)
            return await route.page(self, Visit(request, session, self.clock(), form))
        except YuanqitongError as error:
            return self.pages.problem(status_of(error), str(error), session)

    async def _turn_away(self, request: web.Request) -> web.Response:
        """Nobody is signed in; what was typed into a page of ours is given back to be kept."""
        form = await read_form(request) if request.method == "POST" and is_own_origin(request, self.settings.public_url) else Form()
        return self.pages.problem(403, SIGN_IN, kept=form.get("text") or form.get("why") or "")

    @web.middleware
    async def _guard(self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        """Outside the court's network nothing is here; inside, every answer is one of our pages with our headers."""
        if not is_let_in(request, self.settings):
            raise web.HTTPNotFound
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = self.pages.problem(error.status, NO_METHOD if error.status == 405 else NO_PAGE)
        except YuanqitongError as error:
            response = self.pages.problem(status_of(error), str(error))
        except Exception:
            log.exception("a console page failed: %s", request.match_info.route.resource)
            response = self.pages.problem(500, OUR_FAULT)
        secure(response)
        return response

    async def _session(self, request: web.Request) -> Session | None:
        token, at = request.cookies.get(COOKIE), self.clock()
        return await self.read(lambda db: access.find_session(db, token, at)) if token else None


Page = Callable[[Console, Visit], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """A page and the roles that reach it; `form_bytes` is what its form may weigh (None: as much as any text form)."""

    method: str
    path: str
    roles: frozenset[str]
    page: Page
    form_bytes: int | None = None


def go(path: str) -> web.Response:
    """Send the browser on, so that reloading repeats nothing."""
    return web.Response(status=303, headers={"Location": ROOT + path})


def status_of(error: YuanqitongError) -> int:
    """The HTTP status of an error."""
    kinds: dict[type[Any], int] = {TooLong: 413, NotFound: 404, NotAllowed: 409, Conflict: 409, BadInput: 400, StorageFailed: 503}
    return next((status for kind, status in kinds.items() if isinstance(error, kind)), 500)


def number_in(text: str, otherwise: int) -> int:
    """A whole number typed or linked by a person; anything else counts as not given."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else otherwise


async def _result(future: "Future[T]") -> T:
    # Shielded: a visitor who goes away must not cancel what the database has begun.
    return await asyncio.shield(asyncio.wrap_future(future))
