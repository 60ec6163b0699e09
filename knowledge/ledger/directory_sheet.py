"""The directory as a table file: how one is read, and the empty one a court fills in.

Columns may stand in any order and under a few other names; what a cell says is taken as text and never evaluated. What
cannot be used is named with its row; whether a row makes sense is decided where it meets the directory.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from knowledge.court import Court
from knowledge.errors import Unreadable
from knowledge.files import read_bytes, read_text
from knowledge.sources.archives import read_office_file

DIVISION, STREET, KEY_ENTERPRISE = "庭室", "街道", "重点企业"
OUTSIDE = ("部门", "治理单位", "调解组织", "合作单位")
"""Kinds a need can be passed on to, or worked on with."""
KINDS = (DIVISION, STREET, KEY_ENTERPRISE, *OUTSIDE)
"""What may stand in the column 类别."""
COLUMNS = {
    "kind": "类别",
    "name": "名称",
    "code": "代号",
    "person": "负责人或联络员",
    "phone": "电话",
    "team": "对接专班",
    "note": "备注",
}
"""The columns of the table, and what each is called on screen."""
MOST_ROWS = 5000
HEADER_WITHIN = 10
"""Rows from the top in which the header must stand; titles may come before it."""
COMMENTS = ("说明", "#")
"""A row whose kind begins so explains the table and is passed over."""

_ALSO = {
    "kind": ("类型", "种类", "分类"),
    "name": ("单位名称", "单位", "机构名称", "企业名称", "街道名称"),
    "code": ("代码", "庭室代号"),
    "person": ("负责人", "联络员", "联系人", "姓名", "包联庭长", "包联领导", "负责人/联络员"),
    "phone": ("联系电话", "办公电话", "电话号码"),
    "team": ("专班", "对接团队"),
    "note": ("说明",),
}
_FIELD_OF = {heading: field for field, name in COLUMNS.items() for heading in (name, *_ALSO[field])}
_ZIP = b"PK\x03\x04"
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True)
class SheetRow:
    """One filled row: where it stands (第 3 行), and its cells by field; a column the table does not have is not in them."""

    place: str
    cells: dict[str, str]


@dataclass(frozen=True)
class BadRow:
    """A row that is left out, and why."""

    place: str
    reason: str


@dataclass(frozen=True)
class Sheet:
    """What a table file says: its rows, the rows that cannot be read, and the columns we have no use for."""

    rows: tuple[SheetRow, ...]
    bad: tuple[BadRow, ...]
    unused: tuple[str, ...]


@dataclass(frozen=True)
class _Line:
    """A row of cells as text, its number in the file, and which of the cells are formulas."""

    number: int
    cells: list[str]
    formulas: frozenset[int] = frozenset()


def read_sheet(path: Path) -> Sheet:
    """Read an Excel workbook (every sheet that has our header) or a CSV in UTF-8 or GB18030; the content decides which it is.

    Raises Unreadable when it is neither, is damaged, has no header with 类别 and 名称, or has over 5000 rows.
    """
    data = read_bytes(path)
    if data.startswith(_OLD_EXCEL):
        raise Unreadable("这是旧版 Excel（.xls）或加了密码的文件。请在表格软件里另存为 .xlsx 或 CSV，再上传。")
    sheets = _excel(path) if data.startswith(_ZIP) else [_sheet("", _csv_lines(read_text(path)))]
    found = [sheet for sheet in sheets if sheet]
    if not found:
        raise Unreadable("没有找到表头：要有“类别”和“名称”两列。请下载空白表，把内容填进去再上传。")
    unused = dict.fromkeys(heading for sheet in found for heading in sheet.unused)
    return Sheet(tuple(row for sheet in found for row in sheet.rows), tuple(row for sheet in found for row in sheet.bad), tuple(unused))


def empty_sheet(court: Court) -> bytes:
    """An Excel file with the header, one row that explains it, and on a second sheet what may stand in some columns."""
    import openpyxl
    from openpyxl.styles import Font

    book = openpyxl.Workbook()
    table, choices = book.worksheets[0], book.create_sheet("可以填什么")
    table.title = "通讯录"
    table.append(list(COLUMNS.values()))
    table.append(["说明：这一行导入时跳过。类别、街道、庭室代号的写法见第二张表；没有的留空，不要填待定。"])
    table.freeze_panes = "A2"
    for column, width in zip("ABCDEFG", (12, 30, 16, 20, 20, 20, 30), strict=True):
        table.column_dimensions[column].width = width
        table[f"{column}1"].font = Font(bold=True)
    # As text from the start, so that a phone number keeps its leading zero.
    table.column_dimensions["E"].number_format = "@"
    choices.append(["类别", "街道（填在名称）", "庭室（填在名称）", "庭室代号"])
    for row in zip_longest(KINDS, court.streets, court.divisions.values(), court.divisions):
        choices.append(row)
    for column in "ABCD":
        choices.column_dimensions[column].width = 30
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def _csv_lines(text: str) -> Iterator[_Line | BadRow]:
    header = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text), delimiter=max(",\t;", key=header.count))
    begins = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield _Line(begins, cells)
            begins = reader.line_num + 1
    except csv.Error:
        yield BadRow(f"第 {begins} 行", "从这一行起读不下去：引号没有成对，或者一格太长。后面的行都没有读")


def _excel(path: Path) -> list[Sheet | None]:
    import openpyxl

    data = read_office_file(path)
    try:
        # data_only would show a formula's stored result, which nobody has checked.
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=False)
        several = len(book.worksheets) > 1
        sheets = [_sheet(sheet.title if several else "", _excel_lines(sheet)) for sheet in book.worksheets]
        book.close()
    except Unreadable:
        raise
    except Exception as error:  # a damaged workbook fails with whatever its parser met first
        raise Unreadable("打不开这个 Excel 文件，可能已损坏。请在表格软件里打开，另存为 .xlsx 后再传。") from error
    return sheets


def _excel_lines(sheet: Any) -> Iterator[_Line | BadRow]:
    """The filled rows of a read-only worksheet (openpyxl's types do not know its methods)."""
    # Some programs write down a size that is smaller than the sheet.
    sheet.reset_dimensions()
    for number, row in enumerate(sheet.iter_rows(), start=1):
        if any(cell.value is not None for cell in row):
            formulas = frozenset(place for place, cell in enumerate(row) if cell.data_type == "f")
            yield _Line(number, [_text(cell.value) for cell in row], formulas)


def _text(value: object) -> str:
    """A cell as a person would read it: 88881234.0 is a number somebody typed without a point."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def _sheet(title: str, lines: Iterator[_Line | BadRow]) -> Sheet | None:
    """What one sheet says, or None when it has no header of ours: then no more of it is read. Raises Unreadable when it is too long."""
    fields = _header(lines)
    if fields is None:
        return None
    where = f"“{title}”" if title else ""
    found: list[SheetRow] = []
    bad: list[BadRow] = []
    for line in lines:
        if isinstance(line, BadRow):
            bad.append(line)
            continue
        cells = {field: "" for field in fields.values() if field in COLUMNS}
        cells |= {fields[i]: " ".join(cell.split()) for i, cell in enumerate(line.cells) if fields.get(i) in COLUMNS}
        if not any(cells.values()) or cells["kind"].startswith(COMMENTS):
            continue
        place = f"{where}第 {line.number} 行"
        formulas = [COLUMNS[fields[i]] for i in sorted(line.formulas) if fields.get(i) in COLUMNS]
        if formulas:
            bad.append(BadRow(place, f"“{'、'.join(formulas)}”是公式。请在表里改成文字（复制后选择性粘贴为数值）"))
        else:
            found.append(SheetRow(place, cells))
        if len(found) + len(bad) > MOST_ROWS:
            raise Unreadable(f"表里超过 {MOST_ROWS} 行，没有读入。请拆成几个文件上传。")
    return Sheet(tuple(found), tuple(bad), tuple(heading for heading in fields.values() if heading not in COLUMNS))


def _header(lines: Iterator[_Line | BadRow]) -> dict[int, str] | None:
    """Which column is which field, by place; an unknown heading stands for itself. None when there is no header.

    Raises Unreadable when two columns mean the same.
    """
    for _, line in zip(range(HEADER_WITHIN), lines, strict=False):
        if isinstance(line, BadRow):
            return None
        headings = {i: "".join(cell.split()).strip("*★") for i, cell in enumerate(line.cells) if cell.strip()}
        fields = {i: _FIELD_OF.get(heading, heading) for i, heading in headings.items()}
        if not {"kind", "name"} <= set(fields.values()):
            continue
        for field, name in COLUMNS.items():
            twice = [headings[i] for i in fields if fields[i] == field]
            if len(twice) > 1:
                raise Unreadable(f"表头里“{'”和“'.join(twice)}”都是{name}。请只留一列。")
        return fields
    return None
