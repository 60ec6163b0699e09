"""The console's door: signing in by link or by password, one's own password and open browsers, signing out.

A wrong password and a name that does not exist look and cost the same. Hashing runs in a thread of its own; what it found
is checked again in the transaction that opens the session.
"""

import asyncio

from aiohttp import web

from bot import access, passwords
from bot.access import Session, Staff
from bot.channels.web_security import COOKIE as CHAT_COOKIE
from bot.channels.web_security import is_https, is_own_origin, peer_address
from bot.console.serving import ANYONE, COOKIE, NO_PAGE, ROOT, SIGN_IN, SIGNED_IN, Console, Route, Visit, go, status_of
from knowledge.database import Db
from knowledge.errors import BadInput, NotAllowed

FOREIGN = "登录请求不是从本页面发出的，没有登录。请直接打开管理员发给您的登录链接。"
TOO_OFTEN = "这个网络里登录尝试太多次了。请等一分钟再试。"
NO_MATCH = "姓名或密码不对。忘了密码，或还没有设置密码，请管理员在“工作人员”页面给您一个登录链接。"
MINUTES = int(passwords.WAIT.total_seconds()) // 60
GUESSED = f"这个姓名连续试了 {passwords.GUESSES} 次密码，请等 {MINUTES} 分钟再试。一次性登录链接现在就能用，可以请管理员给您一个。"
OLD_GUESSED = f"原密码连续错了 {passwords.GUESSES} 次，密码没有改。请等 {MINUTES} 分钟再试，或请管理员清除密码。"
DONE = {
    "password": "密码已保存，其他浏览器已全部退出。下次可以用姓名和密码登录。",
    "signed-out": "已退出。那里的对话也不再有工作人员身份。",
}
BROWSERS = {
    "MicroMessenger/": "微信",
    "Edg": "Edge",
    "OPR/": "Opera",
    "Firefox/": "Firefox",
    "Chrome/": "Chrome",
    "Safari/": "Safari",
}
"""What stands in a User-Agent, the most telling first: Edge also calls itself Chrome, and Chrome calls itself Safari."""
SYSTEMS = {
    "HarmonyOS": "HarmonyOS",
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Mac OS": "Mac",
    "Linux": "Linux",
}


async def show_enter(console: Console, visit: Visit) -> web.StreamResponse:
    """Name and password; or one button, because a link is spent by pressing it, so that a preview of the link does not."""
    return _enter_page(console, 200, token=visit.request.query.get("token", ""))


async def enter(console: Console, visit: Visit) -> web.StreamResponse:
    """Sign this browser in by link or by password, and make its chat that person's."""
    request, settings, form = visit.request, console.settings, visit.form
    if "Origin" in request.headers and not is_own_origin(request, settings.public_url):
        return console.pages.problem(403, FOREIGN)
    if not console.attempts.allows(console.signer.address(peer_address(request, settings.proxies))):
        return console.pages.problem(429, TOO_OFTEN)
    by_password = "name" in form and not form.get("token")
    if by_password and not console.guesses.allows(form["name"], visit.at):
        return _enter_page(console, 429, GUESSED, form["name"])
    try:
        session = await (_by_password(console, visit) if by_password else _by_link(console, visit))
    except BadInput as error:
        return _enter_page(console, 400, str(error), form.get("name", ""))
    response = go("")
    https = is_https(request, settings.proxies)
    seconds = access.SESSION_HOURS * 3600
    response.set_cookie(COOKIE, session, max_age=seconds, path=ROOT, httponly=True, samesite="Strict", secure=https)
    return response


async def leave(console: Console, visit: Visit) -> web.StreamResponse:
    """Sign this browser out; its chat is an ordinary one again."""
    session, chat_id = _session(visit), _chat(console, visit)
    await console.write(lambda db: access.close_session(db, session, chat_id, visit.at))
    response = console.pages.show("left", None)
    response.del_cookie(COOKIE, path=ROOT)
    return response


async def show_account(console: Console, visit: Visit) -> web.StreamResponse:
    """One's own password and open browsers."""
    return await _account_page(console, visit, done=DONE.get(visit.done, ""))


async def set_password(console: Console, visit: Visit) -> web.StreamResponse:
    """Set or change one's password; whoever has one must know it. The other browsers are signed out."""
    form, me, session, chat_id = visit.form, visit.me, _session(visit), _chat(console, visit)
    renewed = form.get("password", "")
    try:
        passwords.check_password(renewed, me.name)
        if renewed != form.get("again", ""):
            raise BadInput("两次填的新密码不一样，密码没有改。请重新填写。")
        kept = await _own_password(console, visit)
        made = await asyncio.to_thread(passwords.hash_password, renewed)

        def change(db: Db) -> None:
            access.set_password(db, me, kept, made, visit.at)
            access.close_others(db, session, chat_id, visit.at)

        await console.write(change)
    except BadInput as error:
        return await _account_page(console, visit, status_of(error), str(error))
    return go("/account?done=password")


async def sign_out_others(console: Console, visit: Visit) -> web.StreamResponse:
    """Sign out one of one's other browsers, or all of them."""
    only, session, chat_id = visit.form.get("session", ""), _session(visit), _chat(console, visit)
    if not only:
        raise BadInput("没有选择要退出哪个浏览器，什么都没有改动。请返回上一页重新选择。")
    await console.write(lambda db: access.close_others(db, session, chat_id, visit.at, "" if only == "others" else only))
    return go("/account?done=signed-out")


async def show_static(console: Console, visit: Visit) -> web.StreamResponse:
    """What the pages look like."""
    return console.pages.static(visit.part("name")) or console.pages.problem(404, NO_PAGE)


def browser_name(agent: str) -> str:
    """A browser as a person knows it, from its User-Agent: `Chrome · Windows`."""
    found = [next((name for mark, name in marks.items() if mark in agent), "") for marks in (BROWSERS, SYSTEMS)]
    return " · ".join(filter(None, found)) or "其他浏览器"


async def _by_link(console: Console, visit: Visit) -> str:
    """Open a session with a one-time link. Raises BadInput when it is worth nothing."""
    token, where = visit.form.get("token", ""), " ".join(_place(console, visit))
    return await console.write(lambda db: _open(console, visit, db, access.use_link(db, token, visit.at, where)))


async def _by_password(console: Console, visit: Visit) -> str:
    """Open a session with name and password. Raises BadInput with one sentence for everything that does not match."""
    name, password = visit.form["name"], visit.form.get("password", "")
    where = " ".join(_place(console, visit))
    found = await console.read(lambda db: access.find_password(db, name))
    staff, kept = found or (None, None)
    right = await asyncio.to_thread(passwords.is_password, kept, password)
    if staff is None or kept is None or not right:
        # Written down for unknown names too (without the name, which may be a password), so that it takes as long.
        await console.write(lambda db: access.note_wrong_password(db, staff, visit.at, where))
        raise BadInput(NO_MATCH)
    renewed = await asyncio.to_thread(passwords.hash_password, password) if passwords.is_outdated(kept) else None

    def sign_in(db: Db) -> str:
        if not access.use_password(db, staff, kept, renewed, visit.at, where):
            raise BadInput(NO_MATCH)
        return _open(console, visit, db, staff)

    session = await console.write(sign_in)
    console.guesses.forget(name)
    return session


def _open(console: Console, visit: Visit, db: Db, staff: Staff) -> str:
    """Open the session in place of the one this browser had, and make the browser's chat that person's."""
    chat_id = _chat(console, visit)
    if visit.session:
        access.close_session(db, visit.session, chat_id, visit.at)
    token = access.open_session(db, staff, visit.at, *_place(console, visit))
    if chat_id is not None:
        access.bind_chat(db, staff.id, "web", chat_id)
    return token


async def _own_password(console: Console, visit: Visit) -> str | None:
    """The hash of one's password, having shown that one knows it; None when there is none yet. Raises BadInput."""
    me, old = visit.me, visit.form.get("old", "")
    found = await console.read(lambda db: access.find_password(db, me.name))
    kept = found[1] if found else None
    if kept is None:
        return None
    if not console.guesses.allows(me.name, visit.at):
        raise NotAllowed(OLD_GUESSED)
    if not await asyncio.to_thread(passwords.is_password, kept, old):
        raise BadInput("原密码不对，密码没有改。忘了原密码，请管理员清除后再设置。")
    console.guesses.forget(me.name)
    return kept


async def _account_page(console: Console, visit: Visit, status: int = 200, problem: str = "", done: str = "") -> web.StreamResponse:
    me = visit.me

    def look(db: Db) -> tuple[bool, list[dict[str, str]]]:
        found = access.find_password(db, me.name)
        return bool(found and found[1]), access.sessions_of(db, me.id, visit.at)

    has_password, sessions = await console.read(look)
    return console.pages.show(
        "account",
        visit.session,
        status,
        has_password=has_password,
        sessions=sessions,
        own=_session(visit).id,
        shortest=passwords.SHORTEST,
        longest=passwords.LONGEST,
        problem=problem,
        done=done,
        here="account",
    )


def _enter_page(console: Console, status: int, problem: str = "", name: str = "", token: str = "") -> web.StreamResponse:
    return console.pages.show("enter", None, status, token=token, problem=problem, name=name)


def _session(visit: Visit) -> Session:
    """The session of a visit that is signed in. Raises NotAllowed when it is not."""
    if visit.session is None:
        raise NotAllowed(SIGN_IN)
    return visit.session


def _chat(console: Console, visit: Visit) -> int | None:
    """The web chat of this browser, if it has one."""
    return console.signer.chat(visit.request.cookies.get(CHAT_COOKIE))


def _place(console: Console, visit: Visit) -> tuple[str, str]:
    """The browser and the address a visit comes from."""
    return browser_name(visit.request.headers.get("User-Agent", "")), peer_address(visit.request, console.settings.proxies)


ROUTES = (
    Route("GET", "/enter", ANYONE, show_enter),
    Route("POST", "/enter", ANYONE, enter),
    Route("GET", "/static/{name}", ANYONE, show_static),
    Route("POST", "/leave", SIGNED_IN, leave),
    Route("GET", "/account", SIGNED_IN, show_account),
    Route("POST", "/account/password", SIGNED_IN, set_password),
    Route("POST", "/account/sign-out", SIGNED_IN, sign_out_others),
)
