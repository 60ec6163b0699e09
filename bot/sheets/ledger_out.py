"""The ledger as a workbook or a CSV file, exactly the needs that were asked for, in the court's own order of columns.

Rows are written as they are read. The first row is the header, so that the file can be filled in and read back by
`ledger_in`; who made it, when, of what and with what masked stands on the sheet 说明, together with the head of the
history's chain: from that `ledger_in` knows what has changed since.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, BinaryIO, Literal

from openpyxl import Workbook
from openpyxl.cell import Cell as SheetCell
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation

from bot.desk import Desk
from bot.sheets.cells import escape, guard, runs, shorten
from bot.sheets.columns import BY_KEY, COLUMNS, Column
from bot.sheets.lines import Cell, Cells, Privacy, read_lines, topic_name
from knowledge.database import Db, rows
from knowledge.ledger import history
from knowledge.ledger.record import NOT_GIVEN, OTHER_CATEGORIES, SATISFACTION, SOURCES, URGENCIES

SHEET, NOTES, CHOICES = "台账", "说明", "选项"
CHAIN_HEAD = "历史链头"
"""The label on the sheet 说明 behind which the head of the chain stands."""
ROWS_TO_FILL_IN = 500
"""Rows below the last one that have drop-downs, for a sheet that somebody goes on filling in."""
PRIVACY_NOTES = {
    Privacy.MASKED: "联系人、电话和文字里的个人信息已遮盖",
    Privacy.OUTSIDE: "对外、汇报用：不含联系人，电话和文字里的个人信息已遮盖，不含专班办理的需求",
    Privacy.FULL: "含完整的联系人和电话，仅限院内办理使用，用完请删除",
}
_DAY_FORMAT = "yyyy-mm-dd"
_LINE = Side(style="thin", color="D9DFE6")


@dataclass(frozen=True)
class Export:
    """What somebody asked for: the file's kind, how much it may show, who wants it when, and the filter in words."""

    kind: Literal["xlsx", "csv"]
    privacy: Privacy
    by: str
    at: datetime
    chosen: str


def write_ledger(db: Db, numbers: Sequence[str], out: BinaryIO, desk: Desk, visible: tuple[str, Sequence[Any]], export: Export) -> int:
    """Write these needs, in this order, to `out`; returns how many rows that are.

    Left out is what `visible` (a condition on `needs n` with its parameters, see `Desk.visible`) hides, and from a table
    for outside every need that only named persons may see. Reads one snapshot if `db` is in a transaction.
    """
    lines = read_lines(db, numbers, desk, visible)
    cells = (line.shown(export.privacy) for line in lines if not (line.restricted and export.privacy is Privacy.OUTSIDE))
    if export.kind == "csv":
        return _write_csv(cells, out)
    return _write_workbook(cells, out, desk, export, history.head(db))


def registered(db: Db) -> list[str]:
    """The numbers of every need of the ledger, which begins with 已登记, in their order."""
    return [need["no"] for need in rows(db, "SELECT no FROM needs WHERE registered_on IS NOT NULL ORDER BY year, seq")]


def _write_csv(lines: Iterable[Cells], out: BinaryIO) -> int:
    text = io.TextIOWrapper(out, encoding="utf-8-sig", newline="")
    sheet = csv.writer(text)
    sheet.writerow([column.heading for column in COLUMNS])
    count = 0
    for count, line in enumerate(lines, 1):
        sheet.writerow([_plain_cell(column, count, line) for column in COLUMNS])
    text.flush()
    text.detach()
    return count


def _plain_cell(column: Column, number: int, line: Cells) -> str:
    if column.key == "seq":
        return str(number)
    cell = line[column.key]
    return cell.isoformat() if isinstance(cell, date) else guard(shorten(cell or ""))


def _write_workbook(lines: Iterable[Cells], out: BinaryIO, desk: Desk, export: Export, chain_head: str) -> int:
    book = Workbook(write_only=True)
    mark = desk.court.watermark if desk.court.is_demo else ""
    properties = book.properties
    properties.title, properties.creator = "司法需求台账", desk.court.name or "院企通"
    properties.description = "；".join(filter(None, (mark, export.chosen, PRIVACY_NOTES[export.privacy])))
    choices = _choices(desk)
    sheet: Any = book.create_sheet(SHEET)
    _prepare(sheet, mark)
    count = 0
    sheet.append(_header(sheet))
    styles = _Styles(sheet)
    for count, line in enumerate(lines, 1):
        sheet.append([styles.cell(column, count, line) for column in COLUMNS])
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(COLUMNS))}{count + 1}"
    for place, (key, names) in enumerate(choices.items(), 1):
        sheet.data_validations.append(_drop_down(key, place, len(names), count))
    _write_notes(book.create_sheet(NOTES), mark, export, count, chain_head)
    hidden: Any = book.create_sheet(CHOICES)
    hidden.sheet_state = "hidden"
    hidden.append([BY_KEY[key].heading for key in choices])
    for number in range(max(map(len, choices.values()))):
        hidden.append([names[number] if number < len(names) else None for names in choices.values()])
    book.save(out)
    return count


def _prepare(sheet: Any, mark: str) -> None:
    """Everything of a sheet that has to be said before its first row."""
    sheet.freeze_panes = "A2"
    sheet.print_title_rows = "1:1"
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", 8
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.HeaderFooter.oddHeader.center.text = mark or "司法需求台账"
    sheet.HeaderFooter.oddFooter.center.text = "第 &P 页，共 &N 页" + (f"　{mark}" if mark else "")
    for number, column in enumerate(COLUMNS, 1):
        sheet.column_dimensions[get_column_letter(number)].width = column.width


def _header(sheet: Any) -> Iterator[SheetCell]:
    for column in COLUMNS:
        cell = WriteOnlyCell(sheet, column.heading)
        cell.font, cell.fill = Font(bold=True), PatternFill("solid", fgColor="E4EAF2")
        cell.alignment = Alignment(horizontal="center", vertical="center", wrap_text=True)
        cell.border = Border(bottom=_LINE)
        yield cell


class _Styles:
    """Cells of each kind, made after one pattern each: to style every cell anew would take most of the time."""

    def __init__(self, sheet: Any) -> None:
        self._sheet = sheet
        self._day = self._pattern(_DAY_FORMAT, wrap=False)
        self._text = self._pattern("@", wrap=True)
        self._number = self._pattern("0", wrap=False)
        self._guarded = self._pattern("@", wrap=True)
        self._guarded.quotePrefix = True

    def cell(self, column: Column, number: int, line: Cells) -> SheetCell | None:
        """The cell of a column; None where there is nothing to say."""
        if column.key == "seq":
            return self._like(self._number, number)
        value: Cell = line[column.key]
        if not value:
            return None
        if isinstance(value, date):
            return self._like(self._day, value)
        cell = self._like(self._guarded if runs(value) else self._text, escape(shorten(value)))
        # Never a formula, whatever it begins with.
        cell.data_type = "s"
        return cell

    def _pattern(self, number_format: str, wrap: bool) -> Any:
        cell: Any = WriteOnlyCell(self._sheet)
        cell.number_format = number_format
        cell.alignment = Alignment(vertical="top", wrap_text=wrap)
        cell.border = Border(bottom=_LINE)
        return cell

    def _like(self, pattern: Any, value: str | int | date) -> SheetCell:
        return SheetCell(self._sheet, row=1, column=1, value=value, style_array=pattern._style)


def _choices(desk: Desk) -> dict[str, list[str]]:
    """What can be picked in a column."""
    court = desk.court
    return {
        "street": [*court.streets, NOT_GIVEN],
        "industry": [*court.industries, NOT_GIVEN],
        "source": list(SOURCES),
        "topic": [topic_name(code, desk) for code in (*desk.topics, *OTHER_CATEGORIES)],
        "urgency": list(URGENCIES),
        "division": list(court.divisions.values()),
        "satisfaction": list(SATISFACTION),
    }


def _drop_down(key: str, place: int, length: int, count: int) -> DataValidation:
    """A list to pick from; another value is asked back, not forbidden, for old ledgers have their own words."""
    source, column = get_column_letter(place), get_column_letter(COLUMNS.index(BY_KEY[key]) + 1)
    return DataValidation(
        type="list",
        formula1=f"'{CHOICES}'!${source}$2:${source}${length + 1}",
        allow_blank=True,
        showErrorMessage=True,
        errorStyle="warning",
        errorTitle=BY_KEY[key].heading,
        error="请从下拉列表里选，否则导入时会被退回。",
        sqref=f"{column}2:{column}{count + ROWS_TO_FILL_IN}",
    )


def _write_notes(sheet: Any, mark: str, export: Export, count: int, chain_head: str) -> None:
    editable = "、".join(column.heading for column in COLUMNS if column.editable)
    said = (
        ("名称", "司法需求台账" + (f"（{mark}）" if mark else "")),
        ("导出人", export.by),
        ("导出时间", export.at.strftime("%Y-%m-%d %H:%M")),
        ("筛选", export.chosen),
        ("件数", f"{count} 件"),
        ("个人信息", PRIVACY_NOTES[export.privacy]),
        (CHAIN_HEAD, chain_head),
        ("怎样填回", f"可以改的列：{editable}。改好后在工作台“导入台账”上传，先看检查结果，再确认。其他列请在系统里改。"),
        ("注意", "不要改“编号”，也不要删这一页：导入时靠它们认出原来的需求和导出以后的变化。"),
    )
    sheet.column_dimensions["A"].width, sheet.column_dimensions["B"].width = 14, 100
    for label, text in said:
        name, value = WriteOnlyCell(sheet, label), WriteOnlyCell(sheet, escape(text))
        name.font = Font(bold=True)
        value.alignment, value.number_format = Alignment(wrap_text=True, vertical="top"), "@"
        value.data_type = "s"
        sheet.append([name, value])
