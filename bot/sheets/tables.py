"""A ledger somebody else filled in, as rows of our columns: old ledgers and review sheets, Excel or CSV.

Headings may come in any order, under other names, and below a few title rows; columns we do not know are named and left
out. A cell is taken as it stands, a formula is refused. What is wrong with a row stays with the row; what is wrong with
the file as a whole ends it with one sentence.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl

from bot.sheets.cells import day_in, text_in, unescape, unguard
from bot.sheets.columns import BY_KEY, Column, column_of
from bot.sheets.ledger_out import CHAIN_HEAD, NOTES
from knowledge.errors import Unreadable
from knowledge.files import read_text
from knowledge.sources.archives import read_office_file

MOST_ROWS = 20_000
MOST_COLUMNS = 80
MOST_LINES = 100_000
"""Rows of a sheet, empty ones among them."""
HEADER_WITHIN = 10
"""Rows at the top of a sheet among which the header must be."""
OLD_LEDGER_NEEDS = ("registered_on", "company", "content")
REVIEW_SHEET_NEEDS = ("no",)
_OLD_EXCEL, _ZIP = b"\xd0\xcf\x11\xe0", b"PK\x03\x04"
OUR_NUMBER = re.compile(r"XQ-\d{4}-\d{4,}")


class Problem(NamedTuple):
    """What is wrong in a row: the column's heading ("" for the row as a whole), and a sentence with what to do."""

    column: str
    text: str


@dataclass(frozen=True)
class Row:
    """One row that says something: where it stands, its filled cells by column, and cells that cannot be read."""

    number: int
    sheet: str
    cells: Mapping[str, str | date]
    problems: tuple[Problem, ...] = ()

    @property
    def no(self) -> str:
        """The number of the need it speaks of, if it is one of ours."""
        no = self.text("no").upper()
        return no if OUR_NUMBER.fullmatch(no) else ""

    def text(self, key: str) -> str:
        """A cell as text; empty where there is none."""
        cell = self.cells.get(key, "")
        return cell.isoformat() if isinstance(cell, date) else cell

    def day(self, key: str) -> date | None:
        """A cell as a date; None where there is none."""
        cell = self.cells.get(key)
        return cell if isinstance(cell, date) else None


@dataclass
class Table:
    """What was read: the rows, headings that were left out, and the head of the chain when the file was exported."""

    rows: list[Row] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    chain_head: str | None = None


class _Sheet(NamedTuple):
    """A sheet as it stands: its name and its rows with their numbers."""

    name: str
    rows: Iterator[tuple[int, Sequence[Any]]]


FORMULA = object()
"""In place of the value of a cell that holds a formula."""


def read_table(path: Path) -> Table:
    """The rows of an Excel or CSV file.

    Raises Unreadable in one sentence: another kind of file, damaged, too large or too long, no header, a heading that
    appears twice, or no row below it.
    """
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(_OLD_EXCEL):
        raise Unreadable("这是旧的 .xls 文件，或有密码的文件。请用 WPS 或 Excel 另存为没有密码的 .xlsx 再试。")
    table = _read_workbook(path) if start.startswith(_ZIP) else _gather([_Sheet("", _csv_rows(read_text(path)))])
    if not table.rows:
        raise Unreadable("表头下面没有内容，什么都没有改动。")
    return table


def _read_workbook(path: Path) -> Table:
    data = read_office_file(path)
    try:
        # data_only would show a formula's stored result, which nobody has checked.
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=False)
        sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible" and sheet.title != NOTES]
        table = _gather([_Sheet(sheet.title, _excel_rows(sheet)) for sheet in sheets])
        table.chain_head = _chain_head(book[NOTES]) if NOTES in book.sheetnames else None
    except Unreadable:
        raise
    except Exception as error:  # a damaged workbook fails with whatever its parser met first
        raise Unreadable("打不开这个 Excel 文件，文件可能已损坏。请用 WPS 或 Excel 打开后另存一次再试。") from error
    return table


def _excel_rows(sheet: Any) -> Iterator[tuple[int, Sequence[Any]]]:
    # What a sheet says of its own size is not believed: some programs write none, or a million rows.
    sheet.reset_dimensions()
    for number, cells in enumerate(sheet.iter_rows(max_col=MOST_COLUMNS), 1):
        if number > MOST_LINES:
            raise Unreadable(f"“{sheet.title}”这一页有超过 {MOST_LINES} 行（含空行），没有读入。请把要导入的行复制到新文件里再试。")
        yield number, [FORMULA if cell.data_type == "f" else _unescaped(cell.value) for cell in cells]


def _unescaped(value: object) -> object:
    return unescape(value) if isinstance(value, str) else value


def _chain_head(sheet: Any) -> str | None:
    for cells in sheet.iter_rows(max_row=30, max_col=2, values_only=True):
        if len(cells) == 2 and cells[0] == CHAIN_HEAD and re.fullmatch(r"[0-9a-f]{64}", str(cells[1])):
            return str(cells[1])
    return None


def _csv_rows(text: str) -> Iterator[tuple[int, Sequence[Any]]]:
    top = "\n".join(text.split("\n", HEADER_WITHIN)[:HEADER_WITHIN])
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=max(",\t;", key=top.count))
    number = 1
    try:
        for cells in lines:
            yield number, [unguard(cell) for cell in cells[:MOST_COLUMNS]]
            number = lines.line_num + 1
    except csv.Error as error:
        raise Unreadable(f"从第 {number} 行起不是完整的 CSV（多半是引号没有成对，或一格内容太长）。请改好再导入。") from error


def _gather(sheets: Sequence[_Sheet]) -> Table:
    """The rows of every sheet that has a header. Raises Unreadable when none has."""
    table, nearest, found = Table(), set(OLD_LEDGER_NEEDS), 0
    for sheet in sheets:
        columns = None
        for number, cells in sheet.rows:
            if columns is None:
                known = [column_of(str(cell)) if isinstance(cell, str) else None for cell in cells]
                missing = _missing({column.key for column in known if column})
                if not missing:
                    columns = _header(known, cells, table)
                    found += 1
                elif len(missing) < len(nearest):
                    nearest = missing
                if columns is None and number >= HEADER_WITHIN:
                    break
            elif row := _row(number, sheet.name if len(sheets) > 1 else "", columns, cells):
                table.rows.append(row)
                if len(table.rows) > MOST_ROWS:
                    raise Unreadable(f"超过 {MOST_ROWS} 行，没有读入。请拆成几个文件分别导入。")
    if not found:
        names = "、".join(column.heading for key, column in BY_KEY.items() if key in nearest)
        raise Unreadable(f"前 {HEADER_WITHIN} 行里没有找到完整的表头，缺少：{names}。请对照导出的台账改好表头，什么都没有改动。")
    return table


def _missing(keys: set[str]) -> set[str]:
    return set() if set(REVIEW_SHEET_NEEDS) <= keys else set(OLD_LEDGER_NEEDS) - keys


def _header(known: Sequence[Column | None], cells: Sequence[Any], table: Table) -> list[Column | None]:
    keys = [column.key for column in known if column]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        headings = "、".join(str(cell).strip() for column, cell in zip(known, cells, strict=True) if column and column.key == twice)
        raise Unreadable(f"有几列都是“{BY_KEY[twice].heading}”：{headings}。请只留一列，什么都没有改动。")
    unknown = [str(cell).strip()[:30] for column, cell in zip(known, cells, strict=True) if column is None and cell not in (None, "")]
    table.ignored += [heading for heading in unknown if heading not in table.ignored]
    return list(known)


def _row(number: int, sheet: str, columns: Sequence[Column | None], cells: Sequence[Any]) -> Row | None:
    """The row, or None where it says nothing."""
    read: dict[str, str | date] = {}
    problems = []
    for column, cell in zip(columns, cells, strict=False):
        if column is None or column.key == "seq" or cell is None:
            continue
        try:
            if value := _read_cell(column, cell):
                read[column.key] = value
        except ValueError as error:
            problems.append(Problem(column.heading, f"{error}。"))
    return Row(number, sheet, read, tuple(problems)) if read or problems else None


def _read_cell(column: Column, cell: object) -> str | date | None:
    if cell is FORMULA:
        raise ValueError("是公式，请复制后选“粘贴为数值”")
    if column.kind == "day":
        return day_in(cell)
    return text_in(cell)
