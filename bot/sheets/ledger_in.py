"""Rows that somebody filled in become needs, or changes of needs.

The same function looks and does: run inside `Database.read` its work is undone again and the verdicts say what would
happen; run inside `Database.write` it has happened. Each row is taken whole or not at all.

A row without a number of ours is a need of an old ledger: it is entered, registered, and answered and closed as far as the
row says so. The history says that this was done now, by whoever imports; the true dates are fields of the record. Nobody
is told anything. The same row is taken once, however often it comes.

A row with a number of ours is a line of a review sheet. Its editable columns are written back, unless the need has gone on
since the sheet was made: then the row is a conflict and nothing of it is taken. An empty or a masked cell says nothing.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from bot.access import Staff
from bot.desk import Desk
from bot.sheets.cells import is_masked
from bot.sheets.columns import BY_KEY, EDITABLE
from bot.sheets.lines import OLD_LEDGER, Line, Privacy, read_lines
from bot.sheets.tables import Problem, Row
from knowledge.clock import stamp
from knowledge.database import Db, row, rows
from knowledge.enterprise import find_or_make_enterprise, tidy, uscc_warning
from knowledge.errors import BadInput
from knowledge.ledger import sensitive
from knowledge.ledger.needs import LONGEST_TEXT, Asking, find_need, move, open_need, record_asking, set_text
from knowledge.ledger.record import OTHER_CATEGORIES, tidy_details

Kind = Literal["new", "update", "same", "conflict", "bad"]
KINDS: dict[Kind, str] = {"new": "新增", "update": "修改", "same": "没有变化", "conflict": "有冲突", "bad": "有问题"}
IMPORTER = frozenset({"registrar", "assigner"})
"""What taking in an old ledger does: registering, answering, closing, and saying who is in charge."""
UNRECORDED_REPLY = f"{OLD_LEDGER}没有记录答复内容"
FIXED = tuple(key for key in BY_KEY if key not in (*EDITABLE, "seq", "due_on", "no", "received_on", "replied_on"))
"""Columns of a review sheet that tell whether need and row are still the same; the term follows from the rules."""
UNRATED = frozenset({"未评价", "未评", "未回访"})
LONGEST_NAME = 100


@dataclass
class Verdict:
    """What becomes of a row: of which need, what is wrong, what is said besides, and what changes (column, before, after)."""

    row: Row
    kind: Kind
    no: str = ""
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    changes: list[tuple[str, str, str]] = field(default_factory=list)


class _Refused(BadInput):
    """A row that cannot be taken in, with everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("这一行有问题。")
        self.problems = list(problems)


@dataclass(frozen=True)
class _Entered:
    """What an old ledger's row says, checked: everything `_enter` writes down."""

    person: Mapping[str, str]
    content: str
    topic: str | None
    source: str
    opening: Mapping[str, Any]
    registering: Mapping[str, Any]
    texts: Mapping[str, str]
    progress: str
    reply: str
    replying: Mapping[str, Any]
    closed_on: date | None
    ending: Mapping[str, Any]
    notes: Sequence[str]


def bring_in(db: Db, part: Sequence[Row], chain_head: str | None, desk: Desk, staff: Staff, at: datetime) -> list[Verdict]:
    """Take in these rows; each verdict says what was done with its row, or would be.

    `chain_head` is the head of the chain when the sheet was exported, where it says so. A row with anything wrong changes
    nothing, and its verdict names every column, what is wrong and what to do.
    """
    lines = {line.no: line for line in read_lines(db, [item.no for item in part if item.no], desk, desk.visible(staff))}
    since = _number_of(db, chain_head)
    verdicts = []
    for item in part:
        try:
            with db.atomic():
                verdicts.append(_review(db, item, lines, since, desk, staff, at) if item.no else _old(db, item, desk, staff, at))
        except _Refused as error:
            verdicts.append(Verdict(item, "bad", item.no, error.problems))
        except BadInput as error:
            verdicts.append(Verdict(item, "bad", item.no, [Problem("", str(error))]))
    return verdicts


def mark_repeats(table: Iterable[Row]) -> dict[int, Row]:
    """By the position of a row the earlier row of the same file that says the same, or speaks of the same need."""
    first: dict[str, Row] = {}
    repeats = {}
    for position, item in enumerate(table):
        key = item.no or fingerprint(item)
        if key in first:
            repeats[position] = first[key]
        first.setdefault(key, item)
    return repeats


def repeated(item: Row, earlier: Row) -> Verdict:
    """The verdict on a row that repeats an earlier one of its file."""
    if item.no:
        return Verdict(item, "bad", item.no, [Problem(BY_KEY["no"].heading, f"与{place(earlier)}的编号相同。请只留一行。")])
    return Verdict(item, "same", notes=[f"与{place(earlier)}是同一件，只导入一次。"])


def place(item: Row) -> str:
    """Where a row stands, as the person sees it in the file."""
    return f"“{item.sheet}”第 {item.number} 行" if item.sheet else f"第 {item.number} 行"


def fingerprint(item: Row) -> str:
    """The same for the same matter, whatever was filled in since: day, enterprise and content, blanks and widths aside."""
    parts = ["".join(unicodedata.normalize("NFKC", item.text(key)).split()) for key in ("registered_on", "company", "content")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _old(db: Db, item: Row, desk: Desk, staff: Staff, at: datetime) -> Verdict:
    known = row(db, "SELECT need_no FROM imported_rows WHERE fingerprint = ?", fingerprint(item))
    if known:
        return Verdict(item, "same", known["need_no"], notes=["以前已经导入。要改，请在系统里改，或导出台账改好再导入。"])
    entered = _checked(db, item, desk, at.date())
    no = _enter(db, entered, desk, staff, at)
    db.execute("INSERT INTO imported_rows (fingerprint, need_no, imported_at) VALUES (?, ?, ?)", [fingerprint(item), no, stamp(at)])
    return Verdict(item, "new", no, notes=list(entered.notes))


def _enter(db: Db, entered: _Entered, desk: Desk, staff: Staff, at: datetime) -> str:
    person = _person(db, entered.person, at)
    asking = record_asking(db, Asking(entered.content, "need", reasons=("旧台账导入",)), at, person_id=person)
    no = open_need(db, asking, entered.source, at, desk.rules, entered.topic, staff.actor, entered.opening)

    def step(action: str, text: str | None = None, details: Mapping[str, Any] | None = None) -> None:
        move(db, no, action, staff.actor, IMPORTER, at, desk.rules, text, details)

    step("register", None, entered.registering)
    for name, text in entered.texts.items():
        set_text(db, no, name, text, staff.actor, IMPORTER, at, desk.rules)
    if entered.progress:
        step("note", entered.progress)
    if entered.reply:
        step("reply", entered.reply, entered.replying)
    if entered.closed_on:
        step("close", None, {"closed_on": entered.closed_on.isoformat()})
    if entered.ending:
        # Whoever is in charge comes last: from then on only they may answer and close.
        step("edit" if entered.reply or "handler" not in entered.ending else "assign", None, entered.ending)
    return no


def _person(db: Db, about: Mapping[str, str], at: datetime) -> int:
    """The enterprise's person of this row. What a paper says of them is no consent of theirs, so none is noted."""
    enterprise = find_or_make_enterprise(db, {**about, "name": about["company"]}, at)
    names = list(about)
    cursor = db.execute(
        f"INSERT INTO persons ({', '.join(names)}, enterprise_id, created_at, updated_at) VALUES ({','.join('?' * (len(names) + 3))})",
        [*(about[name] or None for name in names), enterprise, stamp(at), stamp(at)],
    )
    return int(cursor.lastrowid or 0)


def _checked(db: Db, item: Row, desk: Desk, today: date) -> _Entered:
    """What the row says, or `_Refused` with everything that is wrong with it."""
    problems = [*item.problems, *_missing(item), *_too_long(item), *_impossible_days(item, today)]
    fields = _fields(item, desk, problems)
    if problems:
        raise _Refused(problems)
    notes: list[str] = []
    registered_on = item.day("registered_on") or today
    received = item.day("received_on") or min(filter(None, (registered_on, item.day("visited_on"))))
    handler = _handler(db, item.text("handler"), notes)
    content, reply, closed_on = item.text("content"), item.text("reply"), item.day("closed_on")
    replied_on = item.day("replied_on") or closed_on
    ending = {name: fields[name] for name in ("satisfaction",) if name in fields} | ({"handler": handler} if handler else {})
    return _Entered(
        person=_about(item, notes),
        content=content,
        topic=fields.get("topic"),
        source=fields.get("source", "其他"),
        opening=sensitive.details_of(content, desk.court)
        | {"received_at": received.isoformat()}
        | {name: fields[name] for name in ("urgency",) if name in fields},
        registering={"registered_on": registered_on.isoformat()}
        | {name: fields[name] for name in ("street", "industry", "division", "visited_on") if name in fields},
        texts={name: item.text(name) for name in ("visitors", "remark") if item.text(name)},
        progress=_progress(item, handler),
        reply=reply or (UNRECORDED_REPLY if closed_on else ""),
        replying={"replied_on": replied_on.isoformat()} if replied_on else {},
        closed_on=closed_on,
        ending=ending,
        notes=notes,
    )


def _missing(item: Row) -> list[Problem]:
    found = [key for key in ("registered_on", "company", "content") if key not in item.cells]
    unreadable = {problem.column for problem in item.problems}
    problems = [Problem(BY_KEY[key].heading, "没有填，请补上。") for key in found if BY_KEY[key].heading not in unreadable]
    if is_masked(item.text("company")):
        problems.append(Problem(BY_KEY["company"].heading, "是遮盖过的，请填企业全称。"))
    return problems


def _too_long(item: Row) -> list[Problem]:
    limits = dict.fromkeys(("content", "progress", "reply", "remark", "visitors"), LONGEST_TEXT - len(OLD_LEDGER) - LONGEST_NAME)
    limits |= dict.fromkeys(("company", "uscc", "contact", "phone"), LONGEST_NAME)
    return [
        Problem(BY_KEY[key].heading, f"有 {len(item.text(key))} 字，请控制在 {most} 字以内。")
        for key, most in limits.items()
        if len(item.text(key)) > most
    ]


def _impossible_days(item: Row, today: date) -> list[Problem]:
    """Days that have not come yet, and steps before the one they follow."""
    problems = []
    for key in ("received_on", "registered_on", "visited_on", "replied_on", "closed_on"):
        if (day := item.day(key)) and day > today:
            problems.append(Problem(BY_KEY[key].heading, f"{day} 还没有到，请核对。"))
    came = "received_on" if item.day("received_on") else "registered_on"
    pairs = (
        ("registered_on", "received_on"),
        ("visited_on", "received_on"),
        ("replied_on", came),
        ("closed_on", came),
        ("closed_on", "replied_on"),
    )
    for later, earlier in pairs:
        first, second = item.day(earlier), item.day(later)
        if first and second and second < first:
            problems.append(Problem(BY_KEY[later].heading, f"{second} 早于{BY_KEY[earlier].heading} {first}，请核对。"))
    return problems


def _fields(item: Row, desk: Desk, problems: list[Problem]) -> dict[str, Any]:
    """The fields of the record in this row in their stored form; what is wrong with one is added to `problems`."""
    fields: dict[str, Any] = {}
    for key, value in _said(item, desk).items():
        try:
            fields |= tidy_details({key: value}, desk.court, list(desk.topics))
        except BadInput as error:
            problems.append(Problem(BY_KEY[key].heading, str(error)))
    return fields


def _said(item: Row, desk: Desk) -> dict[str, str]:
    """The fields of the record that this row names, read as generously as can be done without guessing."""
    keys = ("street", "industry", "source", "topic", "urgency", "division", "visited_on", "satisfaction")
    said = {key: item.text(key) for key in keys if item.text(key) and not is_masked(item.text(key))}
    if said.get("satisfaction") in UNRATED:
        del said["satisfaction"]
    names = {"topic": _topics(desk), "division": {_flat(name): code for code, name in desk.court.divisions.items()}}
    for key, codes in names.items():
        if key in said:
            said[key] = codes.get(_flat(said[key]), said[key])
    if "topic" in said:
        first = said["topic"].split()[0].upper()
        said["topic"] = first if first in desk.topics or first in OTHER_CATEGORIES else said["topic"]
    return said


def _topics(desk: Desk) -> dict[str, str]:
    named = {code: topic.name for code, topic in desk.topics.items()} | OTHER_CATEGORIES
    return {_flat(name): code for code, name in named.items()} | {_flat(f"{code}{name}"): code for code, name in named.items()}


def _flat(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())


def _about(item: Row, notes: list[str]) -> dict[str, str]:
    """What the row says of the enterprise; a masked contact is left out, and that is said."""
    about = {}
    for key in ("company", "uscc", "street", "industry", "contact", "phone"):
        text = item.text(key)
        if is_masked(text):
            notes.append(f"{BY_KEY[key].heading}是遮盖过的，没有导入。")
            text = ""
        about[key] = tidy(key, text)
    if about["uscc"] and (warning := uscc_warning(about["uscc"])):
        notes.append(warning)
    return about


def _handler(db: Db, name: str, notes: list[str]) -> int | None:
    """The member of staff in charge; somebody who is not among them any more stays in the progress."""
    if not name:
        return None
    found = row(db, "SELECT id FROM staff WHERE name = ? AND active = 1 AND roles LIKE '%\"handler\"%'", name)
    if found is None:
        notes.append(f"承办人“{name}”不在承办人名单里，写进办理进展。")
    return int(found["id"]) if found else None


def _progress(item: Row, handler: int | None) -> str:
    """The old ledger's progress, and what it says that no field of ours can hold."""
    besides = [f"承办人：{item.text('handler')}"] if item.text("handler") and handler is None else []
    besides += [f"原编号：{item.text('no')}"] if item.text("no") else []
    said = "\n".join(filter(None, (item.text("progress"), *besides)))
    return f"{OLD_LEDGER}{said}" if said else ""


def _review(db: Db, item: Row, lines: Mapping[str, Line], since: int | None, desk: Desk, staff: Staff, at: datetime) -> Verdict:
    line = lines.get(item.no)
    if line is None:
        # In the same words for a need this person may not see: who tries numbers must not learn which there are.
        raise _Refused([Problem(BY_KEY["no"].heading, "系统里没有这个编号。旧台账请清空“编号”这一列再导入。")])
    if item.problems:
        raise _Refused(item.problems)
    ways = [line.shown(privacy) for privacy in Privacy]
    unlike = [key for key in item.cells if _differs(item.text(key), key, ways)]
    differing = [key for key in unlike if not is_masked(item.text(key))]
    notes = [f"{BY_KEY[key].heading}含遮盖或截断的内容，没有写回。" for key in unlike if key in EDITABLE and key not in differing]
    if not differing:
        return Verdict(item, "same", item.no, notes=notes)
    if fixed := "、".join(BY_KEY[key].heading for key in differing if key in FIXED):
        return Verdict(item, "conflict", item.no, [Problem(fixed, "与系统里的不同，这一行没有改。请重新导出再填；这些列要在系统里改。")])
    problems: list[Problem] = []
    stored = find_need(db, item.no)
    wanted = {key: value for key, value in _fields(item, desk, problems).items() if key in differing and value != stored[key]}
    wanted |= {key: item.text(key) for key in ("remark", "visitors") if key in differing}
    if problems:
        raise _Refused(problems)
    if not wanted:
        return Verdict(item, "same", item.no, notes=notes)
    if since is not None and _last_step(db, item.no) > since:
        return Verdict(item, "conflict", item.no, [Problem("", "导出以后系统里有新的进展，这一行没有改。请重新导出，看过再填。")])
    desk.edit(db, item.no, staff, at, wanted)
    current = line.shown(Privacy.MASKED)
    changes = [(BY_KEY[key].heading, str(current[key] or ""), item.text(key)) for key in wanted]
    return Verdict(item, "update", item.no, notes=notes, changes=changes)


def _differs(cell: str, key: str, ways: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a cell says something else than the system in each of the ways it may have been written out."""
    if key not in FIXED and key not in EDITABLE:
        return False
    return all(_flat(cell) != _flat(str(way[key] or "")) for way in ways)


def _number_of(db: Db, chain_head: str | None) -> int | None:
    """The row of the history that was last when a sheet was exported; None when it does not say, or is not ours."""
    found = row(db, "SELECT id FROM need_history WHERE link = ? ORDER BY id DESC LIMIT 1", chain_head) if chain_head else None
    return int(found["id"]) if found else None


def _last_step(db: Db, no: str) -> int:
    """The last step of a need that was more than a look."""
    found = rows(db, "SELECT max(id) AS id FROM need_history WHERE need_no = ? AND action <> 'reveal'", no)
    return int(found[0]["id"] or 0)
