"""The entries' pages: what waits for review, one entry from the need it comes from to how often it answers, and who was not reached.

Looking ahead takes seconds; it runs in a thread of its own, and nothing is published that nobody has looked ahead for.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from bot import publishing
from bot.access import CONTACT_READERS
from bot.audit import note_audit
from bot.consequences import Consequences, Outlook, consequences_of
from bot.console import drafts
from bot.console.serving import SIGNED_IN, Console, Route, Visit, go, number_in, status_of
from bot.outbox import Mail
from knowledge import drafting
from knowledge.database import Db
from knowledge.errors import BadInput, Conflict, NotAllowed, NotFound
from knowledge.ledger.needs import find_need
from knowledge.lineage import FIELD_NAMES
from knowledge.texts import must_be_reason

REVIEWERS = frozenset({"reviewer"})
DONE = {
    "published": "已发布，几秒后开始用于答复。",
    "told": "已发布，几秒后开始用于答复；问过的企业正在收到通知，送达情况见下方“告知”。",
    "withdrawn": "已设为不用。",
    "stopped": "已停用，几秒后不再用于答复。",
    "drafted": "已按需求起草。请核对每一项，改好后提交审核。",
    "known": "这件需求已经有条目，就是这一个。",
    "saved": "已保存。",
    "same": "没有改动。",
    "submitted": "已提交审核，请另一位审核人来看。",
    "returned": "已退回，理由记入经过。",
    "looked": "已看过会改变什么，结果在下方。",
    "merged": "问法已并入这个条目，成为它的新版本；提交审核、发布以后生效，现在的版本照常使用。",
    "linked": "这些问法这个条目里都有了，没有新的版本；需求已记到这个条目名下。",
}


async def show_drafts(console: Console, visit: Visit) -> web.StreamResponse:
    """What waits for review, how much there is of everything, and the entries somebody searched for."""
    page = number_in(visit.request.query.get("page", ""), 1)
    search = visit.request.query.get("q", "").replace("\0", "").strip()[: drafts.LONGEST_SEARCH]
    found = await console.read(lambda db: drafts.read_drafts(db, page, visit.today))
    shown: dict[str, Any] = {"search": search, "may_review": visit.me.may(REVIEWERS), "done": DONE.get(visit.done, "")}
    shown["found"] = await console.read(lambda db: drafts.find_entries(db, search)) if search else []
    return console.pages.show("drafts", visit.session, drafts=found, here="drafts", **shown)


async def review(console: Console, visit: Visit) -> web.StreamResponse:
    """Publish what waits in the list, or set it aside, if it still says what the reviewer read.

    A draft is looked ahead for first; where that needs a reason, nothing is published and its own page says what to do.
    """
    form = visit.form
    entry_id, seen_hash, decision = form.get("entry", ""), form.get("hash", ""), form.get("decision", "")
    state = {"publish": "published", "withdraw": "withdrawn"}.get(decision)
    if state is None:
        raise BadInput("没有选“发布”或“不用”，什么都没有改动。请返回上一页重新选择。")
    if decision == "publish" and await console.read(lambda db: drafts.is_draft(db, entry_id)):
        try:
            return await _publish(console, visit, entry_id, seen_hash, "/entries?done=published")
        except (NotFound, Conflict, NotAllowed):
            raise
        except BadInput as error:
            return await _entry_page(console, visit, entry_id, 400, problem=str(error))
    await console.write(lambda db: drafts.decide(db, entry_id, seen_hash, decision, visit.me, visit.at, form.get("why", "")))
    return go(f"/entries?done={state}")


async def show_entry(console: Console, visit: Visit) -> web.StreamResponse:
    """One entry: its version on its way, where it comes from, what became of it."""
    return await _entry_page(console, visit, visit.part("id"), done=DONE.get(visit.done, ""))


async def draft_from_need(console: Console, visit: Visit) -> web.StreamResponse:
    """Propose an entry from an answered need; where there is one already, show that."""
    no, looking = visit.part("no").upper(), _consequences(console)

    def read(db: Db) -> tuple[str | None, list[str]]:
        _must_see(console, visit, db, no)
        return drafting.entry_of_need(db, no), drafting.asked_texts(db, no)

    known, texts = await console.read(read)
    if known:
        return go(f"{drafts.link(known)}?done=known")
    question = await asyncio.to_thread(looking.central, texts)

    def start(db: Db) -> tuple[str, str]:
        _must_see(console, visit, db, no)
        entry = drafting.draft_from_need(db, no, question, visit.today)
        try:
            drafting.start(db, entry, drafting.sources_of(db, no), visit.me.actor, visit.at)
        except Conflict:
            return entry.id, "known"
        return entry.id, "drafted"

    entry_id, done = await console.write(start)
    return go(f"{drafts.link(entry_id)}?done={done}")


async def show_edit(console: Console, visit: Visit) -> web.StreamResponse:
    """The form of an entry."""
    entry_id = visit.part("id")
    seen_hash, entry = await console.read(lambda db: drafting.newest(db, entry_id))
    return _edit_form(console, visit, entry_id, drafts.as_typed(entry), seen_hash)


async def save(console: Console, visit: Visit) -> web.StreamResponse:
    """Keep what was typed as a new version; when somebody else was quicker, say so and keep both texts."""
    entry_id, form = visit.part("id"), visit.form

    def keep(db: Db) -> bool:
        seen_hash, before = drafting.newest(db, entry_id)
        if seen_hash != form.get("hash", ""):
            raise Conflict("您打开页面之后，别人改了这个条目，所以没有保存。您写的内容还在下面；对照最新内容后，可以再次保存。")
        return drafting.save(
            db,
            drafts.typed_entry(form, before, console.desk.topics, visit.today),
            seen_hash,
            visit.me.actor,
            visit.at,
            note=form.get("note", "")[:500],
        )

    try:
        saved = await console.write(keep)
    except NotFound:
        raise
    except BadInput as error:
        now_hash, entry = await console.read(lambda db: drafting.newest(db, entry_id))
        other = drafts.as_typed(entry) if isinstance(error, Conflict) else {}
        return _edit_form(console, visit, entry_id, form, now_hash, str(error), status_of(error), other)
    return go(f"{drafts.link(entry_id)}?done={'saved' if saved else 'same'}")


async def submit(console: Console, visit: Visit) -> web.StreamResponse:
    """Hand the version in for review."""
    return await _step(
        console, visit, "submitted", lambda db: drafting.submit(db, visit.part("id"), _seen(visit), visit.me.actor, visit.at)
    )


async def send_back(console: Console, visit: Visit) -> web.StreamResponse:
    """Return the version to its author, with a reason."""
    why = visit.form.get("why", "")
    return await _step(
        console, visit, "returned", lambda db: drafting.give_back(db, visit.part("id"), _seen(visit), visit.me.actor, visit.at, why)
    )


async def stop(console: Console, visit: Visit) -> web.StreamResponse:
    """Withdraw what serves, with a reason; or set aside a draft."""
    form, entry_id = visit.form, visit.part("id")
    if form.get("what") == "draft":
        return await _step(
            console,
            visit,
            "withdrawn",
            lambda db: publishing.set_aside(db, entry_id, _seen(visit), visit.me, visit.at, form.get("why", "")),
        )
    return await _step(
        console, visit, "stopped", lambda db: publishing.withdraw(db, entry_id, _seen(visit), visit.me, visit.at, form.get("why", ""))
    )


async def merge(console: Console, visit: Visit) -> web.StreamResponse:
    """Make the draft's wordings those of an existing entry instead."""
    into, entry_id = visit.form.get("into", ""), visit.part("id")
    try:
        added = await console.write(lambda db: drafting.add_wordings(db, into, entry_id, _seen(visit), visit.me.actor, visit.at))
    except NotFound:
        raise
    except BadInput as error:
        return await _entry_page(console, visit, entry_id, status_of(error), problem=str(error))
    return go(f"{drafts.link(into)}?done={'merged' if added else 'linked'}")


async def look(console: Console, visit: Visit) -> web.StreamResponse:
    """What publishing would change, over all past questions."""
    entry_id = visit.part("id")
    version = await console.read(lambda db: drafting.must_be(db, entry_id, _seen(visit)))
    await _consequences(console).look_ahead(version.entry, version.hash)
    return go(f"{drafts.link(entry_id)}?done=looked")


async def publish(console: Console, visit: Visit) -> web.StreamResponse:
    """Publish the version that was read; who asked is told. Where a reason or a confirmation is missing, say what is."""
    entry_id = visit.part("id")

    async def go_on() -> web.StreamResponse:
        return await _publish(console, visit, entry_id, _seen(visit), "")

    return await _or_say_why_not(console, visit, go_on)


async def show_why(console: Console, visit: Visit) -> web.StreamResponse:
    """A question to try, and below it what the bot would do with it and why; nothing is recorded."""
    question = visit.form.get("question", "").strip()
    lines = await console.why(question) if question else []
    return console.pages.show("why", visit.session, question=question, lines=lines, here="why")


async def show_undelivered(console: Console, visit: Visit) -> web.StreamResponse:
    """Who was told something and has not got it, masked."""
    no = visit.request.query.get("no", "").strip().upper()
    found = await console.read(lambda db: drafts.read_undelivered(db, console.desk, visit.me, no))
    return _undelivered_page(console, visit, found, no)


async def reveal_undelivered(console: Console, visit: Visit) -> web.StreamResponse:
    """The same list with names and phones, once, for a reason that goes into the audit first."""
    no, why = visit.form.get("no", "").strip().upper(), visit.form.get("why", "")

    def open_up(db: Db) -> list[drafts.Told]:
        reason = must_be_reason(why, "查看联系方式")
        if no:
            _must_see(console, visit, db, no)
        found = drafts.read_undelivered(db, console.desk, visit.me, no, revealed=True)
        shown = "、".join(dict.fromkeys(item.no for item in found))
        note_audit(db, visit.at, visit.me.actor, "undelivered_revealed", no or "全部", f"{reason}；{len(found)} 人：{shown}")
        return found

    try:
        found = await console.write(open_up)
    except NotFound:
        raise
    except BadInput as error:
        masked = await console.read(lambda db: drafts.read_undelivered(db, console.desk, visit.me, no))
        return _undelivered_page(console, visit, masked, no, problem=str(error), status=status_of(error))
    return _undelivered_page(console, visit, found, no, revealed=True)


async def _publish(console: Console, visit: Visit, entry_id: str, seen_hash: str, then: str) -> web.StreamResponse:
    form = visit.form
    version = await console.read(lambda db: drafting.must_be(db, entry_id, seen_hash))
    outlook = await _consequences(console).look_ahead(version.entry, version.hash)

    def put(db: Db, mail: Mail) -> int:
        why, sure = form.get("why", ""), bool(form.get("sure"))
        return publishing.publish(db, mail, console.desk, entry_id, seen_hash, visit.me, visit.at, outlook, why, sure)

    told = await console.act(visit.at, put)
    return go(then or f"{drafts.link(entry_id)}?done={'told' if told else 'published'}")


async def _step(console: Console, visit: Visit, done: str, doing: Callable[[Db], None]) -> web.StreamResponse:
    """Do one step with the entry and show it again; when it cannot be done, say why."""

    async def go_on() -> web.StreamResponse:
        await console.write(doing)
        return go(f"{drafts.link(visit.part('id'))}?done={done}")

    return await _or_say_why_not(console, visit, go_on)


async def _or_say_why_not(console: Console, visit: Visit, doing: Callable[[], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    try:
        return await doing()
    except NotFound:
        raise
    except BadInput as error:
        return await _entry_page(console, visit, visit.part("id"), status_of(error), problem=str(error))


async def _entry_page(
    console: Console, visit: Visit, entry_id: str, status: int = 200, problem: str = "", done: str = ""
) -> web.StreamResponse:
    found = await console.read(lambda db: drafts.read_entry(db, entry_id, console.desk, visit.me, visit.today))
    near, outlook = await asyncio.to_thread(_compared, _consequences(console), found)
    me = visit.me
    shown: dict[str, Any] = {
        "page": found,
        "near": near,
        "outlook": outlook,
        "reasons": publishing.needs_a_reason(found.shown, outlook, visit.today) if found.version else [],
        "kept": visit.form,
        "may_edit": me.may(drafts.EDITORS),
        "may_review": me.may(REVIEWERS) and (console.desk.court.allow_self_review or not found.mine),
        "reviewer": me.may(REVIEWERS),
        "alone": found.mine and console.desk.court.allow_self_review,
        "may_call": me.may(CONTACT_READERS),
    }
    return console.pages.show("entry", visit.session, status, problem=problem, done=done, here="drafts", link=drafts.link, **shown)


def _compared(looking: Consequences, found: drafts.EntryPage) -> tuple[list[Any], Outlook | None]:
    if found.version is None:
        return [], None
    # A version of what serves already is compared with itself alone.
    new = found.held is not None and found.held.entry.state in ("draft", "review")
    return (looking.nearest(found.version.entry) if new else []), looking.seen(found.version.hash)


def _edit_form(
    console: Console,
    visit: Visit,
    entry_id: str,
    typed: Any,
    seen_hash: str,
    problem: str = "",
    status: int = 200,
    other: dict[str, str] | None = None,
) -> web.StreamResponse:
    return console.pages.show(
        "entry_edit",
        visit.session,
        status,
        id=entry_id,
        link=drafts.link(entry_id),
        typed=typed,
        hash=seen_hash,
        topics=console.desk.topics,
        problem=problem,
        other=other or {},
        names=FIELD_NAMES,
        here="drafts",
    )


def _undelivered_page(
    console: Console, visit: Visit, found: list[drafts.Told], no: str, problem: str = "", status: int = 200, revealed: bool = False
) -> web.StreamResponse:
    return console.pages.show(
        "undelivered", visit.session, status, told=found, no=no, problem=problem, revealed=revealed, kept=visit.form, here="undelivered"
    )


def _must_see(console: Console, visit: Visit, db: Db, no: str) -> None:
    find_need(db, no)
    if not console.desk.may_see(db, no, visit.me):
        raise NotFound(f"没有编号为 {no} 的需求，请核对编号（样子像 XQ-2026-0001）。")


def _consequences(console: Console) -> Consequences:
    return consequences_of(console.opened)


def _seen(visit: Visit) -> str:
    return visit.form.get("hash", "")


ROUTES = (
    Route("GET", "/entries", drafts.READERS, show_drafts),
    Route("POST", "/entries", REVIEWERS, review),
    Route("GET", "/entries/{id}", drafts.READERS, show_entry),
    Route("GET", "/entries/{id}/edit", drafts.EDITORS, show_edit),
    Route("POST", "/entries/{id}/edit", drafts.EDITORS, save),
    Route("POST", "/entries/{id}/submit", drafts.EDITORS, submit),
    Route("POST", "/entries/{id}/merge", drafts.EDITORS, merge),
    Route("POST", "/entries/{id}/look", drafts.EDITORS, look),
    Route("POST", "/entries/{id}/publish", REVIEWERS, publish),
    Route("POST", "/entries/{id}/return", REVIEWERS, send_back),
    Route("POST", "/entries/{id}/stop", REVIEWERS, stop),
    Route("POST", "/needs/{no}/draft", drafts.EDITORS, draft_from_need),
    Route("GET", "/undelivered", CONTACT_READERS, show_undelivered),
    Route("POST", "/undelivered", CONTACT_READERS, reveal_undelivered),
    Route("GET", "/why", SIGNED_IN, show_why),
    Route("POST", "/why", SIGNED_IN, show_why),
)
