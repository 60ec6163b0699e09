"""The needs' pages: the list with filters and bulk work, entering one that came on paper or by phone, and one need with its story."""

import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from bot import intake
from bot.access import CONTACT_READERS, Staff
from bot.audit import note_audit
from bot.console import board, drafts, groups, story
from bot.console.gate import Form
from bot.console.serving import SIGNED_IN, Console, Route, Visit, go, number_in, status_of
from bot.outbox import Mail
from knowledge import enterprise
from knowledge.court import ROLES
from knowledge.database import Db, row, rows
from knowledge.enterprise import FIELDS
from knowledge.errors import BadInput, Conflict, NotFound
from knowledge.ledger import assignment
from knowledge.ledger.directory import copies_for, label_of, outside_bodies
from knowledge.ledger.needs import find_need
from knowledge.ledger.record import CHOICES, FLAGS, NAMES, OTHER_CATEGORIES, OUTCOMES, REJECTIONS, RESTRICTED, SENSITIVE, TEXT_FIELDS
from knowledge.ledger.statistics import NUMBERS
from knowledge.ledger.workflow import ANSWERING_ROLES, DESK_ROLES, INTAKE_ROLES, MOVES, RESTRICTED_INTAKE
from knowledge.texts import LONGEST_REASON, must_be_reason

ENTERERS = INTAKE_ROLES | frozenset({"handler"})
BULK_ROLES = INTAKE_ROLES | frozenset({"assigner"})
EDITORS = DESK_ROLES | INTAKE_ROLES
MOST_AT_ONCE = 200
MOST_VIEWS = 20
DONE = {
    "replied": "答复已写入台账，正在送达。送达情况见下方“消息送达”。",
    "kept": "答复已写入台账。这件需求没有可送达的提问端，请用其他方式联系提问人。",
    "registered": "已登记，进入台账。",
    "rejected": "已不予登记，理由会告知提问人。",
    "assigned": "已分派，承办人会收到提醒。",
    "submitted": "已提交审核，审核人会收到提醒。",
    "edited": "已保存，改动记入办理经过。",
    "same": "没有改动。",
    "entered": "已录入，请核对后登记。",
    "restricted": "已录入。内容敏感，已转给专人办理，这里不再显示。",
    "stepped": "已记入办理经过。",
    "view": "已存为常用筛选。",
    "dropped": "已删除这个常用筛选。",
    "forgotten": "已删除提问人的资料和原话；编号、类别、日期和状态保留。",
}
STEP_FIELDS = {
    "extend": ("due_on",),
    "suspend": ("until",),
    "transfer": ("partners", "until"),
    "close": ("outcome", "satisfaction"),
    "revisit": ("satisfaction",),
    "restrict": ("sensitive",),
}
"""The fields a step of the generic form takes besides its text."""
OWN_FORM = frozenset({"register", "reject", "assign", "edit", "reply", "submit_reply", "approve", "merge", "split", "follow_reply", "join"})
"""Steps that have a form or a page of their own."""
RECORD_FORM = (
    "received_at", "urgency", "topic", "other_topics", "street", "industry", "ent_type", "ent_size", "litigation", "case_no", "people",
    "amount", "fast_track", "recused", "visited_on", "visitors", "summary", "flags", "remark",
)  # fmt: skip


async def show_board(console: Console, visit: Visit) -> web.StreamResponse:
    """The list of needs."""
    return await _board_page(console, visit, DONE.get(visit.done, ""))


async def act_in_bulk(console: Console, visit: Visit) -> web.StreamResponse:
    """Register, turn away or assign several needs; each that cannot be done is named with the reason, the others are done."""
    form, numbers = visit.form, list(dict.fromkeys(visit.form.many("no")))[:MOST_AT_ONCE]
    if not numbers:
        raise BadInput("没有勾选需求。请返回上一页，先在左边勾选。")
    action = form.get("action", "")
    if action not in ("register", "reject", "assign"):
        raise BadInput("没有选要做什么。请返回上一页重新选择。")

    def one(db: Db, mail: Mail, no: str) -> None:
        if action == "register":
            intake.register_need(db, console.desk, visit.me, no, {}, {}, visit.at, _unknown(visit))
        elif action == "reject":
            console.desk.reject(db, mail, no, visit.me, form.get("why", ""), visit.at, form.get("kind", "其他"))
        else:
            division, handler, copies = _assignment(db, console, no, form)
            console.desk.assign(db, mail, no, visit.me, visit.at, division, handler, copies)

    def all_of_them(db: Db, mail: Mail) -> tuple[int, list[str]]:
        refused = []
        for no in numbers:
            try:
                with db.atomic():
                    one(db, mail, no)
            except BadInput as error:
                refused.append(f"{no}：{error}")
        return len(numbers) - len(refused), refused

    done, refused = await console.act(visit.at, all_of_them)
    said = f"{MOVES[action].name}了 {done} 件。" + (f"没有做 {len(refused)} 件：{'；'.join(refused)}" if refused else "")
    return await _board_page(console, visit, said, bad=bool(refused))


async def save_view(console: Console, visit: Visit) -> web.StreamResponse:
    """Keep the filter of this list under a name of one's own."""
    name, query = visit.form.get("name", "").strip(), visit.form.get("query", "")
    if not 1 <= len(name) <= 20:
        raise BadInput("给常用筛选起个 1 到 20 字的名字。")
    wanted = board.Wanted.read(dict(parse_qsl(query)))

    def save(db: Db) -> None:
        known = row(db, "SELECT count(*) AS n FROM views WHERE staff_id = ? AND name <> ?", visit.me.id, name)
        if known and known["n"] >= MOST_VIEWS:
            raise BadInput(f"常用筛选最多 {MOST_VIEWS} 个，请先删掉不用的。")
        stored = urlencode(wanted.query)
        db.execute("INSERT OR REPLACE INTO views (staff_id, name, query) VALUES (?, ?, ?)", [visit.me.id, name, stored])

    await console.write(save)
    return go(wanted.link("/needs", done="view"))


async def drop_view(console: Console, visit: Visit) -> web.StreamResponse:
    """Forget a filter of one's own."""
    number = number_in(visit.form.get("view", ""), 0)
    await console.write(lambda db: db.execute("DELETE FROM views WHERE id = ? AND staff_id = ?", [number, visit.me.id]))
    return go("/needs?done=dropped")


async def show_entering(console: Console, visit: Visit) -> web.StreamResponse:
    """An empty record, for what came on paper, by phone or in person."""
    return await _record_page(console, visit, None, {"received_at": visit.today.isoformat(), "urgency": "一般"})


async def enter(console: Console, visit: Visit) -> web.StreamResponse:
    """Write down a need that somebody told us; it is registered at once if that is the person's task and nothing is missing."""
    fields = _record_fields(visit.form) | {"source": visit.form.get("source", "")}
    person = {name: visit.form.get(name, "") for name in FIELDS if name not in ("street", "industry")}
    registers = visit.me.may(INTAKE_ROLES) and "register" in visit.form

    def write_down(db: Db, mail: Mail) -> tuple[str, bool]:
        question = visit.form.get("question", "")
        no = intake.enter_need(db, console.desk, visit.me, question, person, fields, visit.at, registers, _unknown(visit))
        if find_need(db, no)["visibility"] == RESTRICTED:
            console.desk.urgent_new(db, mail, no, question, "工作人员录入")
        return no, console.desk.may_see(db, no, visit.me)

    try:
        no, seen = await console.act(visit.at, write_down)
    except BadInput as error:
        return await _record_page(console, visit, None, fields, status_of(error), str(error))
    if not seen:
        return go("/needs?done=restricted")
    return go(f"/needs/{no}?done={'registered' if registers else 'entered'}")


async def show_need(console: Console, visit: Visit) -> web.StreamResponse:
    """One need."""
    return await _need_page(console, visit, done=DONE.get(visit.done, ""))


async def show_editing(console: Console, visit: Visit) -> web.StreamResponse:
    """The record of a need, to be changed."""
    need, version = await console.read(lambda db: (_record_of(db, console, visit), story.last_change(db, _no(visit))))
    return await _record_page(console, visit, _no(visit), need, version=version)


async def edit(console: Console, visit: Visit) -> web.StreamResponse:
    """Change the record, if it is still as the clerk saw it."""
    fields = _record_fields(visit.form)

    def change(db: Db, mail: Mail) -> str:
        _must_be_visible(db, console, visit)
        story.must_be_unchanged(db, _no(visit), _seen(visit))
        return "edited" if console.desk.edit(db, _no(visit), visit.me, visit.at, fields) else "same"

    try:
        done = await console.act(visit.at, change)
    except NotFound:
        raise
    except Conflict as error:
        # What the clerk typed stays, beside what has happened meanwhile; saving again is then a decision.
        found = await console.read(lambda db: story.read_story(db, _no(visit), console.desk, visit.today))
        news = [step for step in found.steps if step.id > _seen(visit) and step.action != story.REVEAL]
        return await _record_page(console, visit, _no(visit), fields, status_of(error), str(error), found.version, news)
    except BadInput as error:
        return await _record_page(console, visit, _no(visit), fields, status_of(error), str(error), _seen(visit))
    return go(f"/needs/{_no(visit)}?done={done}")


async def reply(console: Console, visit: Visit) -> web.StreamResponse:
    """Answer a need, or hand the answer in for review."""
    text = visit.form.get("text", "")

    def answer(db: Db, mail: Mail) -> str:
        if visit.form.get("way") == "review":
            console.desk.submit_reply(db, mail, _no(visit), visit.me, text, visit.at)
            return "submitted"
        mode = visit.form.get("reply_mode") or None
        return "replied" if console.desk.reply(db, mail, _no(visit), visit.me, text, visit.at, mode) else "kept"

    return await _act(console, visit, answer)


async def approve(console: Console, visit: Visit) -> web.StreamResponse:
    """Send out the answer that waited for review, with the reviewer's corrections."""

    def send_out(db: Db, mail: Mail) -> str:
        return "replied" if console.desk.approve(db, mail, _no(visit), visit.me, visit.at, visit.form.get("text", "")) else "kept"

    return await _act(console, visit, send_out)


async def register(console: Console, visit: Visit) -> web.StreamResponse:
    """Take a need into the ledger with what the clerk filled in; what is missing has to be filled in or said to be unknown."""
    form = visit.form
    fields = {name: form[name] for name in ("topic", "street", "industry", "litigation", "urgency") if name in form}
    person = {name: form[name] for name in ("company", "uscc", "contact", "phone") if name in form}

    def take_in(db: Db, mail: Mail) -> str:
        intake.register_need(db, console.desk, visit.me, _no(visit), person, fields, visit.at, _unknown(visit))
        return "registered"

    return await _act(console, visit, take_in)


async def reject(console: Console, visit: Visit) -> web.StreamResponse:
    """Turn a need away, with a reason its askers are told."""
    why = visit.form.get("why", "")

    def turn_away(db: Db, mail: Mail) -> str:
        if len(why) > LONGEST_REASON:
            raise BadInput(f"理由有 {len(why)} 字，请控制在 {LONGEST_REASON} 字以内。")
        console.desk.reject(db, mail, _no(visit), visit.me, why, visit.at, visit.form.get("kind", "其他"))
        return "rejected"

    return await _act(console, visit, turn_away)


async def assign(console: Console, visit: Visit) -> web.StreamResponse:
    """Give a need to a division and a person."""

    def give(db: Db, mail: Mail) -> str:
        division, handler, copies = _assignment(db, console, _no(visit), visit.form)
        console.desk.assign(db, mail, _no(visit), visit.me, visit.at, division, handler, copies, visit.form.get("why", ""))
        return "assigned"

    return await _act(console, visit, give)


async def step(console: Console, visit: Visit) -> web.StreamResponse:
    """Any other step of the workflow, by its name in the form."""
    action = visit.form.get("action", "")
    if action not in MOVES or action in OWN_FORM:
        raise BadInput("没有这个步骤。请返回上一页，刷新后重新选择。")
    details: dict[str, object] = {name: visit.form.get(name, "") for name in STEP_FIELDS.get(action, ())}
    if "partners" in details:
        details["partners"] = visit.form.many("partners")
    if action == "restrict":
        details["visibility"] = "专班"
    if action == "unrestrict":
        details["visibility"] = "院内"

    def take(db: Db, mail: Mail) -> str:
        console.desk.step(db, mail, _no(visit), action, visit.me, visit.at, visit.form.get("why", ""), details)
        return "stepped"

    return await _act(console, visit, take)


async def reveal(console: Console, visit: Visit) -> web.StreamResponse:
    """Open the contact details once; the reason goes into the history first."""

    def open_up(db: Db) -> story.Story:
        _must_be_visible(db, console, visit)
        story.reveal(db, _no(visit), visit.me, visit.form.get("reason", ""), visit.at)
        return story.read_story(db, _no(visit), console.desk, visit.today, revealed=True)

    try:
        opened = await console.write(open_up)
    except NotFound:
        raise
    except BadInput as error:
        return await _need_page(console, visit, status_of(error), problem=str(error))
    return await _show_story(console, visit, opened)


async def forget(console: Console, visit: Visit) -> web.StreamResponse:
    """Erase what a person without a chat has told us, as they ask for it: who wrote to the bot does that there (/forget)."""

    def erase(db: Db, mail: Mail) -> str:
        reason = must_be_reason(visit.form.get("reason", ""), "删除提问人资料")
        without_chat = "need_no = ? AND asker_id IS NULL AND person_id IS NOT NULL"
        found = rows(db, f"SELECT DISTINCT person_id FROM askings WHERE {without_chat}", _no(visit))
        if not found:
            raise BadInput("这件需求的提问人有自己的对话，请他在对话里发送 /forget。")
        for person in found:
            enterprise.forget(db, person["person_id"], visit.at)
        note_audit(db, visit.at, visit.me.actor, "forget_person", _no(visit), reason)
        return "forgotten"

    return await _act(console, visit, erase)


async def _board_page(console: Console, visit: Visit, said: str = "", bad: bool = False) -> web.StreamResponse:
    query = dict(parse_qsl(visit.form.get("query", ""))) if visit.form else visit.request.query
    wanted, court = board.Wanted.read(query), console.opened.court
    visible, sees_phones = console.desk.visible(visit.me), visit.me.may(CONTACT_READERS)

    def read(db: Db) -> tuple[board.Board, list[dict[str, str]], list[assignment.Colleague]]:
        views = rows(db, "SELECT id, name, query FROM views WHERE staff_id = ? ORDER BY name", visit.me.id)
        return board.read_board(db, wanted, visit.today, court, visible, sees_phones), views, assignment.handlers(db)

    found, views, colleagues = await console.read(read)
    may = {"register": visit.me.may(INTAKE_ROLES), "assign": visit.me.may(frozenset({"assigner"})), "enter": visit.me.may(ENTERERS)}
    return console.pages.show(
        "board",
        visit.session,
        board=found,
        wanted=wanted,
        tabs=board.TABS,
        numbers=NUMBERS,
        views=views,
        choices=_choices(console),
        colleagues=colleagues,
        may=may,
        said=said,
        bad=bad,
        here="board",
    )


async def _act(console: Console, visit: Visit, doing: Callable[[Db, Mail], str]) -> web.StreamResponse:
    """Do one step with a need, if it is still as the clerk saw it, and show it again; else say why and keep what was typed."""

    def unchanged(db: Db, mail: Mail) -> tuple[str, bool]:
        _must_be_visible(db, console, visit)
        story.must_be_unchanged(db, _no(visit), _seen(visit))
        done = doing(db, mail)
        # A restricted need may be out of sight once this step is done.
        return done, console.desk.may_see(db, _no(visit), visit.me)

    try:
        done, still_seen = await console.act(visit.at, unchanged)
    except NotFound:
        raise
    except BadInput as error:
        return await _need_page(console, visit, status_of(error), problem=str(error))
    return go(f"/needs/{_no(visit)}?done={done}" if still_seen else f"/needs?done={done}")


async def _need_page(console: Console, visit: Visit, status: int = 200, problem: str = "", done: str = "") -> web.StreamResponse:
    def read(db: Db) -> story.Story:
        _must_be_visible(db, console, visit)
        return story.read_story(db, _no(visit), console.desk, visit.today)

    return await _show_story(console, visit, await console.read(read), status, problem, done)


async def _show_story(
    console: Console, visit: Visit, found: story.Story, status: int = 200, problem: str = "", done: str = ""
) -> web.StreamResponse:
    beside = await console.read(lambda db: _beside(db, console, visit, found.no))
    seen = _seen(visit) if status == HTTPStatus.CONFLICT else 0
    return console.pages.show(
        "need",
        visit.session,
        status,
        story=found,
        may=_may(visit.me, found),
        steps=_steps(visit.me, found),
        step_fields=STEP_FIELDS,
        call_hours=console.desk.rules.call_hours,
        choices=_choices(console),
        beside=beside,
        kept=visit.form,
        seen=seen,
        problem=problem,
        done=done,
        here="board",
    )


class Beside(NamedTuple):
    """What the page of a need shows beside its story: who should handle it, who gets a copy, whom to pass it to, its group."""

    proposal: assignment.Proposal
    copies: list[tuple[str, str]]
    bodies: list[tuple[str, str]]
    group: groups.ShownGroup | None


def _beside(db: Db, console: Console, visit: Visit, no: str) -> Beside:
    proposal = _proposal(db, console, no)
    copies = list(zip(proposal.copies, label_of(db, proposal.copies), strict=True))
    return Beside(proposal, copies, outside_bodies(db, visit.today), groups.read_group(db, no, console.desk, visit.me))


def _may(me: Staff, found: story.Story) -> dict[str, bool]:
    """Which forms of the need's page this person gets."""
    mine = found.handler_id in (None, me.id)
    takes_in = me.may(INTAKE_ROLES) or (found.restricted and me.may(RESTRICTED_INTAKE))
    return {
        "reply": me.may(ANSWERING_ROLES) and found.offers("reply") and mine and not found.must_be_reviewed,
        "submit": me.may(MOVES["submit_reply"].roles) and found.offers("submit_reply") and mine,
        "group": me.may(DESK_ROLES),
        "approve": me.may(MOVES["approve"].roles) and found.offers("approve"),
        "register": takes_in and found.offers("register"),
        "reject": takes_in and found.offers("reject"),
        "assign": me.may(MOVES["assign"].roles) and found.offers("assign"),
        "edit": me.may(EDITORS) and found.offers("edit"),
        "forget": me.may(INTAKE_ROLES) and found.without_chat,
        "reveal": me.may(CONTACT_READERS),
        "draft": me.may(drafts.EDITORS) and found.state in ("replied", "closed") and not found.sensitive,
    }


def _steps(me: Staff, found: story.Story) -> list[tuple[str, str, bool]]:
    """The steps of the generic form this person may take now: name in the form, name on screen, whether a text is asked for."""
    mine = found.handler_id in (None, me.id)
    return [
        (action, move.name, move.why or action in ("note", "close"))
        for action, move in MOVES.items()
        if action not in OWN_FORM and me.may(move.roles) and found.offers(action) and (mine or not move.own)
    ]


def _proposal(db: Db, console: Console, no: str) -> assignment.Proposal:
    need, today = find_need(db, no), console.clock().date()
    companies = rows(db, "SELECT DISTINCT p.company FROM askings a JOIN persons p ON p.id = a.person_id WHERE a.need_no = ?", no)
    names = [item["company"] for item in companies if item["company"]]
    copies = tuple(token for token, _ in copies_for(db, today, need["street"], names))
    return assignment.propose(db, need, console.opened.court, copies)


def _assignment(db: Db, console: Console, no: str, form: Form) -> tuple[str, int | None, tuple[str, ...]]:
    """Division, handler and copies: as chosen in the form, else as the rules propose."""
    proposal = _proposal(db, console, no)
    division = form.get("division") or proposal.division or ""
    if form.get("handler") == "auto":
        return division, proposal.handler.id if proposal.handler and division == proposal.division else None, proposal.copies
    handler = number_in(form.get("handler", ""), 0) or None
    return division, handler, tuple(form.many("copies")) if "with_copies" in form else proposal.copies


def _record_fields(form: Form) -> dict[str, object]:
    """The fields of the record as the form has them; lists by their ticks."""
    fields: dict[str, object] = {name: form[name] for name in RECORD_FORM if name in form}
    return fields | {name: form.many(name) for name in ("other_topics", "flags", "recused") if name in form}


def _record_of(db: Db, console: Console, visit: Visit) -> dict[str, object]:
    _must_be_visible(db, console, visit)
    need = find_need(db, _no(visit))
    texts = {name: row(db, "SELECT body FROM texts WHERE id = ?", need[f"{name}_id"]) for name in TEXT_FIELDS if need[f"{name}_id"]}
    recused = [str(number) for number in json.loads(need["recused"] or "[]")]
    return (
        need
        | {"received_at": need["received_at"][:10], "recused": recused}
        | {name: (found or {}).get("body") or "" for name, found in texts.items()}
    )


async def _record_page(
    console: Console,
    visit: Visit,
    no: str | None,
    fields: dict[str, object],
    status: int = 200,
    problem: str = "",
    version: int = 0,
    news: Sequence[story.Step] = (),
) -> web.StreamResponse:
    colleagues = [(str(who.id), who.name) for who in await console.read(assignment.handlers)]
    return console.pages.show(
        "record",
        visit.session,
        status,
        no=no,
        fields=fields,
        names=NAMES,
        person_names=FIELDS,
        form=RECORD_FORM,
        colleagues=colleagues,
        choices=_choices(console),
        kept=visit.form,
        may_register=visit.me.may(INTAKE_ROLES),
        problem=problem,
        version=version,
        news=news,
        here="board",
    )


def _choices(console: Console) -> dict[str, list[tuple[str, str]]]:
    """What the drop-downs offer, as (value, label)."""
    court, topics = console.opened.court, console.opened.topics
    plain = {name: [(value, value) for value in values] for name, values in CHOICES.items()}
    return plain | {
        "street": [(name, name) for name in court.streets],
        "industry": [(name, name) for name in court.industries],
        "division": list(court.divisions.items()),
        "topic": [(code, f"{code} {topic.name}") for code, topic in topics.items()] + list(OTHER_CATEGORIES.items()),
        "flags": [(name, name) for name in FLAGS],
        "rejection": [(name, name) for name in REJECTIONS],
        "outcome": [(name, name) for name in OUTCOMES],
        "sensitive": [(name, name) for name in SENSITIVE],
        "role": list(ROLES.items()),
    }


def _must_be_visible(db: Db, console: Console, visit: Visit) -> None:
    """A need only named people may see is not here for others. Raises NotFound in the same words as for a number that does not exist."""
    find_need(db, _no(visit))
    if not console.desk.may_see(db, _no(visit), visit.me):
        raise NotFound(f"没有编号为 {_no(visit)} 的需求，请核对编号（样子像 XQ-2026-0001）。")


def _no(visit: Visit) -> str:
    return visit.part("no").upper()


def _unknown(visit: Visit) -> bool:
    return "unknown" in visit.form


def _seen(visit: Visit) -> int:
    """The version of the need the form was made from; none counts as never having seen it."""
    return number_in(visit.form.get("version", ""), 0)


ROUTES = (
    Route("GET", "/needs", SIGNED_IN, show_board),
    Route("POST", "/bulk", BULK_ROLES, act_in_bulk),
    Route("GET", "/needs/new", ENTERERS, show_entering),
    Route("POST", "/needs/new", ENTERERS, enter),
    Route("POST", "/views", SIGNED_IN, save_view),
    Route("POST", "/views/drop", SIGNED_IN, drop_view),
    Route("GET", "/needs/{no}", SIGNED_IN, show_need),
    Route("GET", "/needs/{no}/edit", EDITORS, show_editing),
    Route("POST", "/needs/{no}/edit", EDITORS, edit),
    Route("POST", "/needs/{no}/reply", ANSWERING_ROLES, reply),
    Route("POST", "/needs/{no}/approve", MOVES["approve"].roles, approve),
    Route("POST", "/needs/{no}/register", MOVES["register"].roles, register),
    Route("POST", "/needs/{no}/reject", MOVES["reject"].roles, reject),
    Route("POST", "/needs/{no}/assign", MOVES["assign"].roles, assign),
    Route("POST", "/needs/{no}/step", EDITORS | frozenset({"supervisor"}), step),
    Route("POST", "/needs/{no}/reveal", CONTACT_READERS, reveal),
    Route("POST", "/needs/{no}/forget", INTAKE_ROLES, forget),
)
