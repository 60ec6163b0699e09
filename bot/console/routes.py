"""The console's routes: who may reach which page is one table, ROUTES, and what is not in it does not exist.

A request passes the network, the session, the role and, when it changes something, the form's size and CSRF token; then
one function reads, or does one transaction's work with the same `desk` functions as the chat and sends people on.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

from aiohttp import web

from bot import access, desk
from bot.access import Session, Staff
from bot.channels.web_security import COOKIE as CHAT_COOKIE
from bot.channels.web_security import is_https, is_own_origin, load_signer, peer_address
from bot.console import board, drafts, story
from bot.console.gate import Form, TooLong, is_genuine, is_let_in, read_form, secure
from bot.console.pages import Pages
from bot.outbox import Mail, Outbox
from bot.startup import Opened
from knowledge.court import ROLES
from knowledge.database import Db
from knowledge.errors import BadInput, Conflict, NotAllowed, NotFound, StorageFailed, YuanqitongError
from knowledge.ledger.workflow import ANSWERING_ROLES, INTAKE_ROLES

log = logging.getLogger(__name__)
T = TypeVar("T")

ROOT = "/console"
COOKIE = "yq_staff"
ATTEMPTS_PER_MINUTE = 10
ANYONE = frozenset({"anyone"})
"""No session needed: the door itself."""
SIGNED_IN = frozenset(ROLES)
CONTACT_READERS = frozenset({"registrar", "handler", "reviewer", "admin"})
REVIEWERS = frozenset({"reviewer"})

SIGN_IN = "您还没有登录，或者登录已经过期。请打开管理员发给您的登录链接；链接用过了，请管理员重新生成：staff link 姓名"
NOT_YOURS = "您的角色不能做这件事。需要的话，请联系管理员调整角色。"
STALE = "这个页面放得太久，或不是从工作台打开的，所以没有提交。请返回上一页，刷新后再试。"
FOREIGN = "登录请求不是从本页面发出的，没有登录。请直接打开管理员发给您的登录链接。"
TOO_OFTEN = "这个网络里登录尝试太多次了。请等一分钟再试。"
NO_PAGE = "没有这个页面。请从工作台首页重新进入。"
NO_METHOD = "这个网址不能直接打开。请从工作台首页重新进入。"
OUR_FAULT = "这一步没有成功，什么都没有改动。请返回上一页再试一次；还不行，请联系管理员查看日志。"
DONE = {
    "replied": "答复已写入台账，正在送达。送达情况见下方“消息送达”。",
    "kept": "答复已写入台账。这件需求没有可送达的提问端，请用其他方式联系提问人。",
    "registered": "已登记，进入台账。",
    "rejected": "已不予登记，理由会告知提问人。",
    "published": "已发布，几秒后开始用于答复。",
    "withdrawn": "已设为不用。",
}


@dataclass(frozen=True)
class Visit:
    """One request that was let through: who makes it and what they filled in."""

    request: web.Request
    session: Session | None
    form: Form = field(default_factory=dict)

    @property
    def me(self) -> Staff:
        """Who is signed in. Raises NotAllowed when nobody is."""
        if self.session is None:
            raise NotAllowed(SIGN_IN)
        return self.session.staff

    @property
    def no(self) -> str:
        """The need in the address."""
        return self.request.match_info["no"].upper()


class Console:
    """The staff's pages under /console."""

    def __init__(self, opened: Opened, outbox: Outbox, why: Callable[[str], Awaitable[list[str]]]) -> None:
        """`why` tells what the bot would do with a question, and its reasons."""
        self._opened, self._outbox, self._why = opened, outbox, why
        self._settings, self._clock = opened.settings, opened.clock
        self._signer = load_signer(opened.settings.data_dir)
        self._pages = Pages(opened.court)
        self._desk = story.Desk(opened.court, opened.calendar, opened.topics)
        self._attempts = access.Throttle(ATTEMPTS_PER_MINUTE)

    def attach(self, application: web.Application) -> None:
        """Add every route of the table, behind the network check."""
        console = web.Application(middlewares=[self._guard])
        for route in ROUTES:
            add = console.router.add_get if route.method == "GET" else console.router.add_post
            add(route.path, partial(self._let_through, route))
        application.add_subapp(ROOT, console)

    async def show_board(self, visit: Visit) -> web.Response:
        """The list of needs."""
        wanted = board.Wanted.read(visit.request.query)
        today = self._clock().date()
        found = await self._read(lambda db: board.read_board(db, wanted, today, self._opened.court, self._opened.calendar))
        return self._pages.show("board", visit.session, board=found, wanted=wanted, tabs=board.TABS, here="board")

    async def show_need(self, visit: Visit) -> web.Response:
        """One need."""
        return await self._need_page(visit, done=DONE.get(visit.request.query.get("done", ""), ""))

    async def reply(self, visit: Visit) -> web.Response:
        """Answer a need, if it is still as the clerk saw it; otherwise show what is new and keep what was typed."""
        text, at = visit.form.get("text", ""), self._clock()

        def answer(db: Db, mail: Mail) -> str:
            story.must_be_unchanged(db, visit.no, _seen(visit.form))
            return "replied" if desk.reply_to_need(db, mail, visit.no, visit.me, text, at) else "kept"

        return await self._act(visit, at, answer)

    async def register(self, visit: Visit) -> web.Response:
        """Take a need into the ledger."""
        at = self._clock()

        def register(db: Db, mail: Mail) -> str:
            story.must_be_unchanged(db, visit.no, _seen(visit.form))
            desk.register_need(db, visit.no, visit.me, at)
            return "registered"

        return await self._act(visit, at, register)

    async def reject(self, visit: Visit) -> web.Response:
        """Turn a need away, with a reason its askers are told."""
        why, at = visit.form.get("why", ""), self._clock()

        def reject(db: Db, mail: Mail) -> str:
            if len(why) > story.LONGEST_REASON:
                raise BadInput(f"理由有 {len(why)} 字，请控制在 {story.LONGEST_REASON} 字以内。")
            story.must_be_unchanged(db, visit.no, _seen(visit.form))
            desk.reject_need(db, mail, visit.no, visit.me, why, at)
            return "rejected"

        return await self._act(visit, at, reject)

    async def reveal(self, visit: Visit) -> web.Response:
        """Open the contact details once; the reason goes into the history first."""
        at = self._clock()

        def open_up(db: Db) -> story.Story:
            story.reveal(db, visit.no, visit.me, visit.form.get("reason", ""), at)
            return story.read_story(db, visit.no, self._desk, at.date(), revealed=True)

        try:
            opened = await self._write(open_up)
        except NotFound:
            raise
        except BadInput as error:
            return await self._need_page(visit, _status(error), problem=str(error))
        return self._show_story(visit, opened)

    async def show_drafts(self, visit: Visit) -> web.Response:
        """What waits for review, and how much there is of everything."""
        page = visit.request.query.get("page", "1")
        found = await self._read(lambda db: drafts.read_drafts(db, int(page) if _is_number(page) else 1))
        done = DONE.get(visit.request.query.get("done", ""), "")
        return self._pages.show("drafts", visit.session, drafts=found, done=done, may_review=visit.me.may(REVIEWERS), here="drafts")

    async def review(self, visit: Visit) -> web.Response:
        """Publish a draft or set it aside, if it still says what the reviewer read."""
        at, form = self._clock(), visit.form
        state = {"publish": "published", "withdraw": "withdrawn"}.get(form.get("decision", ""))
        if state is None:
            raise BadInput("没有选“发布”或“不用”，什么都没有改动。请返回上一页重新选择。")
        await self._write(lambda db: drafts.decide(db, form.get("entry", ""), form.get("hash", ""), state, visit.me, at))
        return _go(f"/entries?done={state}")

    async def show_why(self, visit: Visit) -> web.Response:
        """A question to try, and below it what the bot would do with it and why; nothing is recorded."""
        question = visit.form.get("question", "").strip()
        lines = await self._why(question) if question else []
        return self._pages.show("why", visit.session, question=question, lines=lines, here="why")

    async def show_enter(self, visit: Visit) -> web.Response:
        """One button; the link itself is spent by pressing it, so that a preview of the link does not."""
        return self._pages.show("enter", None, token=visit.request.query.get("token", ""), problem="")

    async def enter(self, visit: Visit) -> web.Response:
        """Spend the one-time link, sign this browser in, and make its chat that person's."""
        request, at = visit.request, self._clock()
        if "Origin" in request.headers and not is_own_origin(request, self._settings.public_url):
            return self._pages.problem(403, FOREIGN)
        if not self._attempts.allows(self._signer.address(peer_address(request, self._settings.proxies))):
            return self._pages.problem(429, TOO_OFTEN)
        token, chat_id = visit.form.get("token", ""), self._signer.chat(request.cookies.get(CHAT_COOKIE))

        def sign_in(db: Db) -> str:
            staff = access.use_link(db, token, at)
            access.close_session(db, request.cookies.get(COOKIE, ""))
            if chat_id is not None:
                access.bind_chat(db, staff.id, "web", chat_id)
            return access.open_session(db, staff, at)

        try:
            session = await self._write(sign_in)
        except BadInput as error:
            return self._pages.show("enter", None, 400, token="", problem=str(error))
        response = _go("")
        https = is_https(request, self._settings.proxies)
        seconds = access.SESSION_HOURS * 3600
        response.set_cookie(COOKIE, session, max_age=seconds, path=ROOT, httponly=True, samesite="Strict", secure=https)
        return response

    async def leave(self, visit: Visit) -> web.Response:
        """Sign this browser out; its chat is an ordinary one again."""
        chat_id = self._signer.chat(visit.request.cookies.get(CHAT_COOKIE))
        mine = visit.me

        def sign_out(db: Db) -> None:
            access.close_session(db, visit.request.cookies.get(COOKIE, ""))
            if chat_id is not None and access.staff_in_chat(db, "web", chat_id) == mine:
                access.unbind_chat(db, "web", chat_id)

        await self._write(sign_out)
        response = self._pages.show("left", None)
        response.del_cookie(COOKIE, path=ROOT)
        return response

    async def show_static(self, visit: Visit) -> web.Response:
        """What the pages look like."""
        return self._pages.static(visit.request.match_info["name"]) or self._pages.problem(404, NO_PAGE)

    async def _act(self, visit: Visit, at: datetime, doing: Callable[[Db, Mail], str]) -> web.Response:
        """Do one step with a need, send what follows from it, and show the need again; when it cannot be done, say why."""

        def commit(db: Db) -> tuple[str, set[tuple[str, int]]]:
            mail = Mail(db, at)
            return doing(db, mail), mail.touched

        try:
            done, touched = await self._write(commit)
        except NotFound:
            raise
        except BadInput as error:
            return await self._need_page(visit, _status(error), problem=str(error))
        for channel, chat_id in touched:
            self._outbox.attend(channel, chat_id)
        return _go(f"/needs/{visit.no}?done={done}")

    async def _need_page(self, visit: Visit, status: int = 200, problem: str = "", done: str = "") -> web.Response:
        today = self._clock().date()
        found = await self._read(lambda db: story.read_story(db, visit.no, self._desk, today))
        return self._show_story(visit, found, status, problem, done)

    def _show_story(self, visit: Visit, found: story.Story, status: int = 200, problem: str = "", done: str = "") -> web.Response:
        me, form = visit.me, visit.form
        may = {
            "reply": me.may(ANSWERING_ROLES) and found.offers("reply"),
            "register": me.may(INTAKE_ROLES) and found.offers("register"),
            "reject": me.may(INTAKE_ROLES) and found.offers("reject"),
            "reveal": me.may(CONTACT_READERS),
        }
        seen = _seen(form) if status == HTTPStatus.CONFLICT else 0
        return self._pages.show(
            "need", visit.session, status, story=found, may=may, kept=form, seen=seen, problem=problem, done=done, here="board"
        )

    async def _let_through(self, route: "Route", request: web.Request) -> web.StreamResponse:
        """Session, role, size of the form, CSRF; then the page."""
        session = await self._session(request)
        if session is None and route.roles is not ANYONE:
            return await self._turn_away(request)
        if session and route.roles is not ANYONE and not session.staff.may(route.roles):
            return self._pages.problem(403, NOT_YOURS, session)
        try:
            form = await read_form(request) if route.method == "POST" else {}
            if session and route.method == "POST" and route.roles is not ANYONE and not is_genuine(form, session.csrf):
                return self._pages.problem(403, STALE, session)
            return await route.page(self, Visit(request, session, form))
        except YuanqitongError as error:
            return self._pages.problem(_status(error), str(error), session)

    async def _turn_away(self, request: web.Request) -> web.Response:
        """Nobody is signed in; what was typed into a page of ours is given back to be kept."""
        form = await read_form(request) if request.method == "POST" and is_own_origin(request, self._settings.public_url) else {}
        return self._pages.problem(403, SIGN_IN, kept=form.get("text") or form.get("why") or "")

    @web.middleware
    async def _guard(self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        """Outside the court's network nothing is here; inside, every answer is one of our pages with our headers."""
        if not is_let_in(request, self._settings):
            raise web.HTTPNotFound
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = self._pages.problem(error.status, NO_METHOD if error.status == 405 else NO_PAGE)
        except YuanqitongError as error:
            response = self._pages.problem(_status(error), str(error))
        except Exception:
            log.exception("a console page failed: %s", request.match_info.route.resource)
            response = self._pages.problem(500, OUR_FAULT)
        secure(response)
        return response

    async def _session(self, request: web.Request) -> Session | None:
        token, at = request.cookies.get(COOKIE), self._clock()
        return await self._read(lambda db: access.find_session(db, token, at)) if token else None

    async def _read(self, operation: Callable[[Db], T]) -> T:
        return await _result(self._opened.database.read(operation))

    async def _write(self, operation: Callable[[Db], T]) -> T:
        return await _result(self._opened.database.write(operation))


class Route(NamedTuple):
    """A page and the roles that reach it."""

    method: str
    path: str
    roles: frozenset[str]
    page: Callable[[Console, Visit], Awaitable[web.Response]]


ROUTES = (
    Route("GET", "/enter", ANYONE, Console.show_enter),
    Route("POST", "/enter", ANYONE, Console.enter),
    Route("GET", "/static/{name}", ANYONE, Console.show_static),
    Route("POST", "/leave", SIGNED_IN, Console.leave),
    Route("GET", "", SIGNED_IN, Console.show_board),
    Route("GET", "/", SIGNED_IN, Console.show_board),
    Route("GET", "/needs/{no}", SIGNED_IN, Console.show_need),
    Route("POST", "/needs/{no}/reply", ANSWERING_ROLES, Console.reply),
    Route("POST", "/needs/{no}/register", INTAKE_ROLES, Console.register),
    Route("POST", "/needs/{no}/reject", INTAKE_ROLES, Console.reject),
    Route("POST", "/needs/{no}/reveal", CONTACT_READERS, Console.reveal),
    Route("GET", "/why", SIGNED_IN, Console.show_why),
    Route("POST", "/why", SIGNED_IN, Console.show_why),
    Route("GET", "/entries", drafts.READERS, Console.show_drafts),
    Route("POST", "/entries", REVIEWERS, Console.review),
)
"""Every route of the console; deny by default, because nothing else is served."""


async def _result(future: "Future[T]") -> T:
    # Shielded: a visitor who goes away must not cancel what the database has begun.
    return await asyncio.shield(asyncio.wrap_future(future))


def _go(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": ROOT + path})


def _status(error: YuanqitongError) -> int:
    kinds: dict[type[Any], int] = {TooLong: 413, NotFound: 404, NotAllowed: 409, Conflict: 409, BadInput: 400, StorageFailed: 503}
    return next((status for kind, status in kinds.items() if isinstance(error, kind)), 500)


def _seen(form: Form) -> int:
    """The version of the need the form was made from; none counts as never having seen it."""
    return int(form["version"]) if _is_number(form.get("version", "")) else 0


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16
