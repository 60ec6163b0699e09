"""The directory's pages: who is whom on any day, and taking in a new table in two steps, first looked at, then committed."""

import asyncio
from datetime import date
from pathlib import Path
from urllib.parse import urlencode

from aiohttp import web

from bot.audit import note_audit
from bot.console import held_files
from bot.console.serving import SIGNED_IN, Console, Route, Visit, go, number_in, status_of
from knowledge.database import Db
from knowledge.errors import BadInput
from knowledge.ledger import directory
from knowledge.ledger.directory_sheet import COLUMNS, KINDS, Sheet, empty_sheet, read_sheet
from knowledge.privacy import mask_phone

IMPORTERS = frozenset({"admin", "assigner"})
PHONE_READERS = frozenset({"registrar", "assigner", "handler", "reviewer", "admin", "supervisor"})
TABLE_BYTES = 20_000_000
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


async def show_directory(console: Console, visit: Visit) -> web.StreamResponse:
    """The directory as it was on the day asked for, today if none."""
    return await _directory_page(console, visit)


async def look_at_table(console: Console, visit: Visit) -> web.StreamResponse:
    """Step one of an import: what the table would change. Nothing is changed."""
    folder = _folder(console)
    try:
        token = await asyncio.to_thread(held_files.hold, folder, visit.form.upload)
    except BadInput as error:
        return await _directory_page(console, visit, status_of(error), str(error))
    try:
        sheet = await asyncio.to_thread(lambda: read_sheet(held_files.find(folder, token)))
    except BadInput as error:
        held_files.release(folder, token)
        return await _directory_page(console, visit, status_of(error), f"这份表没有读入：{error}")
    report = await console.read(lambda db: directory.compare(db, sheet, console.opened.court, visit.today))
    if not (report.new or report.changed or report.gone):
        held_files.release(folder, token)
    return console.pages.show(
        "directory_report",
        visit.session,
        report=report,
        token=token,
        columns=COLUMNS,
        name=visit.form.upload.name if visit.form.upload else "",
        here="directory",
    )


async def commit_table(console: Console, visit: Visit) -> web.StreamResponse:
    """Step two: the very bytes that were looked at become the directory from today on."""
    folder, token, complete = _folder(console), visit.form.get("token", ""), "complete" in visit.form
    try:
        path = await asyncio.to_thread(held_files.find, folder, token)
        sheet = await asyncio.to_thread(read_sheet, path)
        report = await console.write(lambda db: _commit(db, console, visit, sheet, complete))
    except BadInput as error:
        return await _directory_page(console, visit, status_of(error), str(error))
    held_files.release(folder, token)
    done = {"done": "imported", "new": len(report.new), "changed": len(report.changed), "gone": len(report.gone)}
    return go(f"/directory?{urlencode(done)}")


async def send_empty_table(console: Console, visit: Visit) -> web.StreamResponse:
    """An empty Excel table to fill in."""
    content = await asyncio.to_thread(empty_sheet, console.opened.court)
    name = "attachment; filename=directory.xlsx; filename*=UTF-8''%E9%80%9A%E8%AE%AF%E5%BD%95.xlsx"
    return web.Response(body=content, content_type=EXCEL, headers={"Content-Disposition": name})


def _commit(db: Db, console: Console, visit: Visit, sheet: Sheet, complete: bool) -> directory.Report:
    form = visit.form
    report = directory.commit(db, sheet, console.opened.court, visit.at, visit.me.id, form.get("seen", ""), complete)
    changes = f"新增 {len(report.new)}，变更 {len(report.changed)}，停用 {len(report.gone)}，未变 {report.same}，未导入 {len(report.bad)}"
    file_hash = form["token"].partition("-")[2].partition(".")[0]
    note_audit(db, visit.at, visit.me.actor, "import_directory", "directory", f"{changes}；文件 SHA-256 {file_hash}")
    return report


async def _directory_page(console: Console, visit: Visit, status: int = 200, problem: str = "") -> web.StreamResponse:
    day = _day(visit.request.query.get("day", "")) or visit.today
    found = await console.read(lambda db: directory.lookup(db, day))
    sees_phones = visit.me.may(PHONE_READERS)
    return console.pages.show(
        "directory",
        visit.session,
        status,
        kinds=[(kind, [body for body in found if body.kind == kind]) for kind in KINDS],
        divisions=console.opened.court.divisions,
        phone=(lambda number: number) if sees_phones else mask_phone,
        day=day,
        today=visit.today,
        may_import=visit.me.may(IMPORTERS),
        problem=problem,
        done=_done(visit),
        here="directory",
    )


def _done(visit: Visit) -> str:
    if visit.done != "imported":
        return ""
    new, changed, gone = (number_in(visit.request.query.get(name, ""), 0) for name in ("new", "changed", "gone"))
    return f"通讯录已更新：新增 {new} 行，变更 {changed} 行，停用 {gone} 行。"


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _folder(console: Console) -> Path:
    return console.opened.folders.imports


ROUTES = (
    Route("GET", "/directory", SIGNED_IN, show_directory),
    Route("POST", "/directory", IMPORTERS, look_at_table, TABLE_BYTES),
    Route("POST", "/directory/commit", IMPORTERS, commit_table),
    Route("GET", "/directory/empty", IMPORTERS, send_empty_table),
)
