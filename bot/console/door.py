"""The console's door: one-time links, signing in and out, and what the pages look like."""

from aiohttp import web

from bot import access
from bot.channels.web_security import COOKIE as CHAT_COOKIE
from bot.channels.web_security import is_https, is_own_origin, peer_address
from bot.console.serving import ANYONE, COOKIE, NO_PAGE, ROOT, SIGNED_IN, Console, Route, Visit, go
from knowledge.database import Db
from knowledge.errors import BadInput

FOREIGN = "登录请求不是从本页面发出的，没有登录。请直接打开管理员发给您的登录链接。"
TOO_OFTEN = "这个网络里登录尝试太多次了。请等一分钟再试。"


async def show_enter(console: Console, visit: Visit) -> web.StreamResponse:
    """One button; the link itself is spent by pressing it, so that a preview of the link does not."""
    return console.pages.show("enter", None, token=visit.request.query.get("token", ""), problem="")


async def enter(console: Console, visit: Visit) -> web.StreamResponse:
    """Spend the one-time link, sign this browser in, and make its chat that person's."""
    request, settings = visit.request, console.settings
    if "Origin" in request.headers and not is_own_origin(request, settings.public_url):
        return console.pages.problem(403, FOREIGN)
    if not console.attempts.allows(console.signer.address(peer_address(request, settings.proxies))):
        return console.pages.problem(429, TOO_OFTEN)
    token, chat_id = visit.form.get("token", ""), console.signer.chat(request.cookies.get(CHAT_COOKIE))

    def sign_in(db: Db) -> str:
        staff = access.use_link(db, token, visit.at)
        access.close_session(db, request.cookies.get(COOKIE, ""))
        if chat_id is not None:
            access.bind_chat(db, staff.id, "web", chat_id)
        return access.open_session(db, staff, visit.at)

    try:
        session = await console.write(sign_in)
    except BadInput as error:
        return console.pages.show("enter", None, 400, token="", problem=str(error))
    response = go("")
    https = is_https(request, settings.proxies)
    seconds = access.SESSION_HOURS * 3600
    response.set_cookie(COOKIE, session, max_age=seconds, path=ROOT, httponly=True, samesite="Strict", secure=https)
    return response


async def leave(console: Console, visit: Visit) -> web.StreamResponse:
    """Sign this browser out; its chat is an ordinary one again."""
    chat_id = console.signer.chat(visit.request.cookies.get(CHAT_COOKIE))

    def sign_out(db: Db) -> None:
        access.close_session(db, visit.request.cookies.get(COOKIE, ""))
        if chat_id is not None and access.staff_in_chat(db, "web", chat_id) == visit.me:
            access.unbind_chat(db, "web", chat_id)

    await console.write(sign_out)
    response = console.pages.show("left", None)
    response.del_cookie(COOKIE, path=ROOT)
    return response


async def show_static(console: Console, visit: Visit) -> web.StreamResponse:
    """What the pages look like."""
    return console.pages.static(visit.part("name")) or console.pages.problem(404, NO_PAGE)


ROUTES = (
    Route("GET", "/enter", ANYONE, show_enter),
    Route("POST", "/enter", ANYONE, enter),
    Route("GET", "/static/{name}", ANYONE, show_static),
    Route("POST", "/leave", SIGNED_IN, leave),
)
