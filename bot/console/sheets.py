"""The ledger out to Excel and CSV, exactly as filtered, and old ledgers and review sheets back in."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlencode

from aiohttp import web

from bot.access import CONTACT_READERS, staff_name
from bot.audit import note_audit
from bot.console import board, held_files
from bot.console.serving import SIGNED_IN, Console, Route, Visit, status_of
from bot.sheets.ledger_in import KINDS, Kind, Verdict, bring_in, mark_repeats, place, repeated
from bot.sheets.ledger_out import Export, write_ledger
from bot.sheets.lines import Privacy
from bot.sheets.tables import MOST_ROWS, Table, read_table
from knowledge.database import Db, open_reader, rows
from knowledge.errors import BadInput, NotAllowed, StorageFailed
from knowledge.files import LARGEST_FILE
from knowledge.ledger.record import NAMES
from knowledge.ledger.workflow import INTAKE_ROLES, STATE_NAMES
from knowledge.privacy import mask
from knowledge.texts import LONGEST_REASON, must_be_reason

TYPES = {"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "csv": "text/csv"}
APART = frozenset({"intake", "rejected"})
"""Tabs of needs that are not in the ledger; whoever exports one of these wants just them."""
CHUNK = 50
"""Rows of an import in one transaction, so that the chats are answered in between."""
SHOWN = 200
"""Rows of each kind listed in a report."""
FORM_BYTES = 64 * 1024


@dataclass(frozen=True)
class Chosen:
    """What an export would hold: the needs in order, how many more are not in the ledger, and the filter in words."""

    numbers: list[str]
    apart: int
    words: str


async def show_export(console: Console, visit: Visit) -> web.StreamResponse:
    """What would be exported, and in which way."""
    return await _export_page(console, visit)


async def send_ledger(console: Console, visit: Visit) -> web.StreamResponse:
    """The file. What leaves the console is in the audit before it leaves."""
    try:
        export = _asked_for(visit)
        content, count, words = await asyncio.to_thread(_make, console, visit, export)
    except BadInput as error:
        return await _export_page(console, visit, status_of(error), str(error))
    note = "；".join(filter(None, (words, visit.form.get("why", "").strip() if export.privacy is Privacy.FULL else "")))
    subject = f"{count} 行 {export.kind} {export.privacy.value}"
    await console.write(lambda db: note_audit(db, visit.at, visit.me.actor, "export_ledger", subject, note))
    return _file(content, export.kind, f"司法需求台账-{visit.today}")


async def show_import(console: Console, visit: Visit) -> web.StreamResponse:
    """Where a file is uploaded."""
    return _import_page(console, visit)


async def look_at_file(console: Console, visit: Visit) -> web.StreamResponse:
    """Step one: what every row of the file would do. Nothing is changed."""
    folder, token = _folder(console), ""
    try:
        token = await asyncio.to_thread(held_files.hold, folder, visit.form.upload)
        table = await asyncio.to_thread(lambda: read_table(held_files.find(folder, token)))
    except BadInput as error:
        held_files.release(folder, token)
        return _import_page(console, visit, status_of(error), f"没有读入：{error}")
    verdicts = await _go_through(console, visit, table, console.read)
    if not any(verdict.kind in ("new", "update") for verdict in verdicts):
        held_files.release(folder, token)
        token = ""
    return _report_page(console, visit, verdicts, table, token)


async def commit_file(console: Console, visit: Visit) -> web.StreamResponse:
    """Step two: the very file that was looked at is taken in, as far as its rows still can be."""
    folder, token = _folder(console), visit.form.get("token", "")
    try:
        table = await asyncio.to_thread(lambda: read_table(held_files.find(folder, token)))
    except BadInput as error:
        return _import_page(console, visit, status_of(error), str(error))
    file_hash = token.partition("-")[2].partition(".")[0]
    note = partial(note_audit, at=visit.at, actor=visit.me.actor, action="import_ledger", subject=f"文件 SHA-256 {file_hash}")
    await console.write(lambda db: note(db, note=f"开始导入 {len(table.rows)} 行"))
    verdicts: list[Verdict] = []
    try:
        verdicts = await _go_through(console, visit, table, console.write, verdicts)
    except StorageFailed as error:
        problem = f"前 {len(verdicts)} 行已经导入，后面的没有成功：{error}可以直接再点一次“导入”，已导入的行不会重复。"
        return _report_page(console, visit, verdicts, table, token, status_of(error), problem)
    counts = "，".join(f"{name} {sum(verdict.kind == kind for verdict in verdicts)}" for kind, name in KINDS.items())
    await console.write(lambda db: note(db, note=f"导入完成：{counts}"))
    held_files.release(folder, token)
    return _report_page(console, visit, verdicts, table, committed=True)


async def send_empty_sheet(console: Console, visit: Visit) -> web.StreamResponse:
    """A ledger without rows, to fill in."""
    export = Export("xlsx", Privacy.MASKED, visit.me.name, visit.at, "空白表")
    content, *_ = await asyncio.to_thread(_make, console, visit, export, empty=True)
    return _file(content, "xlsx", "司法需求台账-空白表")


def _asked_for(visit: Visit) -> Export:
    """The kind of file and how much it may show. Raises BadInput, NotAllowed for contacts without the role or a reason."""
    form = visit.form
    kind, ways = form.get("kind", ""), {privacy.value: privacy for privacy in Privacy}
    privacy = ways.get(form.get("privacy", ""))
    if kind not in ("xlsx", "csv") or privacy is None:
        raise BadInput("请选文件格式和个人信息的处理方式。")
    if privacy is Privacy.FULL:
        if not visit.me.may(CONTACT_READERS):
            raise NotAllowed("您的角色不能导出完整的联系方式，请选遮盖的版本。")
        must_be_reason(form.get("why", ""), "导出完整的联系方式")
    return Export("csv" if kind == "csv" else "xlsx", privacy, visit.me.name, visit.at, "")


def _make(console: Console, visit: Visit, export: Export, empty: bool = False) -> tuple[bytes, int, str]:
    """The file, its rows and the filter in words: one snapshot, read beside the database's own thread, so that nobody waits."""
    db = open_reader(console.opened.database.path)
    try:
        db.execute("BEGIN")
        chosen = Chosen([], 0, export.chosen) if empty else _choose(db, console, visit)
        if not chosen.numbers and not empty:
            raise BadInput("这个筛选下没有台账里的需求，没有可以导出的。请换一个筛选。")
        out = io.BytesIO()
        wanted = Export(export.kind, export.privacy, export.by, export.at, chosen.words)
        count = write_ledger(db, chosen.numbers, out, console.desk, console.desk.visible(visit.me), wanted)
        return out.getvalue(), count, chosen.words
    finally:
        db.close()


def _choose(db: Db, console: Console, visit: Visit) -> Chosen:
    """The needs of the list the clerk came from. What is not registered is not in the ledger, unless just that was asked for."""
    wanted = board.Wanted.read(visit.request.query)
    found = board.find_needs(db, wanted, visit.today, console.desk.visible(visit.me), visit.me.may(CONTACT_READERS))
    numbers = [need["no"] for need in found]
    if wanted.tab in APART:
        return Chosen(numbers, 0, _in_words(db, wanted, console))
    outside = {need["no"] for need in rows(db, "SELECT no FROM needs WHERE registered_on IS NULL")}
    kept = [no for no in numbers if no not in outside]
    return Chosen(kept, len(numbers) - len(kept), _in_words(db, wanted, console))


def _in_words(db: Db, wanted: board.Wanted, console: Console) -> str:
    """The filter as a person says it; a phone number searched for is masked."""
    words = [board.TABS[wanted.tab][0]]
    for name, value in wanted.filters.items():
        shown = value
        if name == "handler":
            shown = staff_name(db, f"staff:{value}") if value.isascii() and value.isdigit() else value
        elif name in ("state", "division"):
            shown = (STATE_NAMES if name == "state" else console.opened.court.divisions).get(value, value)
        words.append(f"{NAMES.get(name, '状态')}：{shown}")
    if wanted.first or wanted.last:
        day = {"registered": "登记", "received": "收到", "replied": "答复", "closed": "办结"}[wanted.by]
        words.append(f"{day}日期 {wanted.first or '最早'} 至 {wanted.last or '最晚'}")
    if wanted.due:
        words.append({"late": "已超期", "today": "今天到期", "soon": "还没有超期"}[wanted.due])
    if wanted.search:
        words.append(f"含“{mask(wanted.search)}”")
    return "；".join(words)


async def _go_through(
    console: Console,
    visit: Visit,
    table: Table,
    run: Callable[[Callable[[Db], list[Verdict]]], Awaitable[list[Verdict]]],
    verdicts: list[Verdict] | None = None,
) -> list[Verdict]:
    """What becomes of every row, in order, a chunk at a time; `verdicts` grows as chunks are done."""
    verdicts = [] if verdicts is None else verdicts
    repeats = mark_repeats(table.rows)
    for start in range(0, len(table.rows), CHUNK):
        places = range(start, min(start + CHUNK, len(table.rows)))
        part = [table.rows[number] for number in places if number not in repeats]
        doing = partial(bring_in, part=part, chain_head=table.chain_head, desk=console.desk, staff=visit.me, at=visit.at)
        done = iter(await run(doing))
        verdicts += [repeated(table.rows[number], repeats[number]) if number in repeats else next(done) for number in places]
    return verdicts


async def _export_page(console: Console, visit: Visit, status: int = 200, problem: str = "") -> web.StreamResponse:
    chosen = await console.read(lambda db: _choose(db, console, visit))
    query = urlencode(list(visit.request.query.items()))
    return console.pages.show(
        "export",
        visit.session,
        status,
        chosen=chosen,
        query=query,
        may_see_contacts=visit.me.may(CONTACT_READERS),
        kept=visit.form,
        longest=LONGEST_REASON,
        problem=problem,
        here="board",
    )


def _import_page(console: Console, visit: Visit, status: int = 200, problem: str = "") -> web.StreamResponse:
    return console.pages.show("import", visit.session, status, report=None, problem=problem, most_rows=MOST_ROWS, here="board")


def _report_page(
    console: Console,
    visit: Visit,
    verdicts: list[Verdict],
    table: Table,
    token: str = "",
    status: int = 200,
    problem: str = "",
    committed: bool = False,
) -> web.StreamResponse:
    by_kind: dict[Kind, list[Verdict]] = {kind: [verdict for verdict in verdicts if verdict.kind == kind] for kind in KINDS}
    return console.pages.show(
        "import",
        visit.session,
        status,
        report=by_kind,
        kinds=KINDS,
        ignored=table.ignored,
        token=token,
        committed=committed,
        problem=problem,
        shown=SHOWN,
        place=place,
        masked=mask,
        here="board",
    )


def _file(content: bytes, kind: str, name: str) -> web.Response:
    disposition = f"attachment; filename=ledger.{kind}; filename*=UTF-8''{quote(name)}.{kind}"
    return web.Response(body=content, content_type=TYPES[kind], headers={"Content-Disposition": disposition})


def _folder(console: Console) -> Path:
    return console.opened.folders.imports


ROUTES = (
    Route("GET", "/export", SIGNED_IN, show_export),
    Route("POST", "/export", SIGNED_IN, send_ledger),
    Route("GET", "/import", INTAKE_ROLES, show_import),
    Route("POST", "/import", INTAKE_ROLES, look_at_file, LARGEST_FILE + FORM_BYTES),
    Route("POST", "/import/commit", INTAKE_ROLES, commit_file),
    Route("GET", "/import/empty", INTAKE_ROLES, send_empty_sheet),
)
