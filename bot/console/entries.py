"""The entries' pages: what waits for review, and what the bot would answer now."""

from aiohttp import web

from bot.console import drafts
from bot.console.serving import SIGNED_IN, Console, Route, Visit, go, number_in
from knowledge.errors import BadInput

REVIEWERS = frozenset({"reviewer"})
DONE = {"published": "已发布，几秒后开始用于答复。", "withdrawn": "已设为不用。"}


async def show_drafts(console: Console, visit: Visit) -> web.StreamResponse:
    """What waits for review, and how much there is of everything."""
    page = number_in(visit.request.query.get("page", ""), 1)
    found = await console.read(lambda db: drafts.read_drafts(db, page))
    may_review = visit.me.may(REVIEWERS)
    return console.pages.show("drafts", visit.session, drafts=found, done=DONE.get(visit.done, ""), may_review=may_review, here="drafts")


async def review(console: Console, visit: Visit) -> web.StreamResponse:
    """Publish a draft or set it aside, if it still says what the reviewer read."""
    form = visit.form
    state = {"publish": "published", "withdraw": "withdrawn"}.get(form.get("decision", ""))
    if state is None:
        raise BadInput("没有选“发布”或“不用”，什么都没有改动。请返回上一页重新选择。")
    await console.write(lambda db: drafts.decide(db, form.get("entry", ""), form.get("hash", ""), state, visit.me, visit.at))
    return go(f"/entries?done={state}")


async def show_why(console: Console, visit: Visit) -> web.StreamResponse:
    """A question to try, and below it what the bot would do with it and why; nothing is recorded."""
    question = visit.form.get("question", "").strip()
    lines = await console.why(question) if question else []
    return console.pages.show("why", visit.session, question=question, lines=lines, here="why")


ROUTES = (
    Route("GET", "/entries", drafts.READERS, show_drafts),
    Route("POST", "/entries", REVIEWERS, review),
    Route("GET", "/why", SIGNED_IN, show_why),
    Route("POST", "/why", SIGNED_IN, show_why),
)
