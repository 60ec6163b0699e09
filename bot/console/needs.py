"""The needs' pages: the list, and one need with its whole story and what may be done with it."""

from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web

from bot.console import board, story
from bot.console.serving import SIGNED_IN, Console, Route, Visit, go, number_in, status_of
from bot.outbox import Mail
from knowledge.database import Db
from knowledge.errors import BadInput, NotFound
from knowledge.ledger.workflow import ANSWERING_ROLES, INTAKE_ROLES

CONTACT_READERS = frozenset({"registrar", "handler", "reviewer", "admin"})
DONE = {
    "replied": "答复已写入台账，正在送达。送达情况见下方“消息送达”。",
    "kept": "答复已写入台账。这件需求没有可送达的提问端，请用其他方式联系提问人。",
    "registered": "已登记，进入台账。",
    "rejected": "已不予登记，理由会告知提问人。",
}


async def show_board(console: Console, visit: Visit) -> web.StreamResponse:
    """The list of needs."""
    wanted = board.Wanted.read(visit.request.query)
    found = await console.read(lambda db: board.read_board(db, wanted, visit.today))
    return console.pages.show("board", visit.session, board=found, wanted=wanted, tabs=board.TABS, here="board")


async def show_need(console: Console, visit: Visit) -> web.StreamResponse:
    """One need."""
    return await _need_page(console, visit, done=DONE.get(visit.done, ""))


async def reply(console: Console, visit: Visit) -> web.StreamResponse:
    """Answer a need, if it is still as the clerk saw it; otherwise show what is new and keep what was typed."""

    def answer(db: Db, mail: Mail) -> str:
        story.must_be_unchanged(db, _no(visit), _seen(visit))
        return "replied" if console.desk.reply(db, mail, _no(visit), visit.me, visit.form.get("text", ""), visit.at) else "kept"

    return await _act(console, visit, answer)


async def register(console: Console, visit: Visit) -> web.StreamResponse:
    """Take a need into the ledger."""

    def register(db: Db, mail: Mail) -> str:
        story.must_be_unchanged(db, _no(visit), _seen(visit))
        console.desk.register(db, _no(visit), visit.me, visit.at)
        return "registered"

    return await _act(console, visit, register)


async def reject(console: Console, visit: Visit) -> web.StreamResponse:
    """Turn a need away, with a reason its askers are told."""
    why = visit.form.get("why", "")

    def reject(db: Db, mail: Mail) -> str:
        if len(why) > story.LONGEST_REASON:
            raise BadInput(f"理由有 {len(why)} 字，请控制在 {story.LONGEST_REASON} 字以内。")
        story.must_be_unchanged(db, _no(visit), _seen(visit))
        console.desk.reject(db, mail, _no(visit), visit.me, why, visit.at)
        return "rejected"

    return await _act(console, visit, reject)


async def reveal(console: Console, visit: Visit) -> web.StreamResponse:
    """Open the contact details once; the reason goes into the history first."""

    def open_up(db: Db) -> story.Story:
        story.reveal(db, _no(visit), visit.me, visit.form.get("reason", ""), visit.at)
        return story.read_story(db, _no(visit), console.desk, visit.today, revealed=True)

    try:
        opened = await console.write(open_up)
    except NotFound:
        raise
    except BadInput as error:
        return await _need_page(console, visit, status_of(error), problem=str(error))
    return _show_story(console, visit, opened)


async def _act(console: Console, visit: Visit, doing: Callable[[Db, Mail], str]) -> web.StreamResponse:
    """Do one step with a need and show it again; when it cannot be done, say why and keep what was typed."""
    try:
        done = await console.act(visit.at, doing)
    except NotFound:
        raise
    except BadInput as error:
        return await _need_page(console, visit, status_of(error), problem=str(error))
    return go(f"/needs/{_no(visit)}?done={done}")


async def _need_page(console: Console, visit: Visit, status: int = 200, problem: str = "", done: str = "") -> web.StreamResponse:
    found = await console.read(lambda db: story.read_story(db, _no(visit), console.desk, visit.today))
    return _show_story(console, visit, found, status, problem, done)


def _show_story(
    console: Console, visit: Visit, found: story.Story, status: int = 200, problem: str = "", done: str = ""
) -> web.StreamResponse:
    me = visit.me
    may = {
        "reply": me.may(ANSWERING_ROLES) and found.offers("reply"),
        "register": me.may(INTAKE_ROLES) and found.offers("register"),
        "reject": me.may(INTAKE_ROLES) and found.offers("reject"),
        "reveal": me.may(CONTACT_READERS),
    }
    seen = _seen(visit) if status == HTTPStatus.CONFLICT else 0
    return console.pages.show(
        "need", visit.session, status, story=found, may=may, kept=visit.form, seen=seen, problem=problem, done=done, here="board"
    )


def _no(visit: Visit) -> str:
    return visit.part("no").upper()


def _seen(visit: Visit) -> int:
    """The version of the need the form was made from; none counts as never having seen it."""
    return number_in(visit.form.get("version", ""), 0)


ROUTES = (
    Route("GET", "", SIGNED_IN, show_board),
    Route("GET", "/", SIGNED_IN, show_board),
    Route("GET", "/needs/{no}", SIGNED_IN, show_need),
    Route("POST", "/needs/{no}/reply", ANSWERING_ROLES, reply),
    Route("POST", "/needs/{no}/register", INTAKE_ROLES, register),
    Route("POST", "/needs/{no}/reject", INTAKE_ROLES, reject),
    Route("POST", "/needs/{no}/reveal", CONTACT_READERS, reveal),
)
