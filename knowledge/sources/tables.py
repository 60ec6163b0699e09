"""Tables of questions: JSON lines, CSV and Excel become rows of named fields, whatever language the header speaks.

A cell is taken as it stands: a formula is refused with its address and never evaluated.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from knowledge.errors import Unreadable
from knowledge.files import Refused, read_text
from knowledge.sources.archives import read_office_file

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

_NAMES = {
    "编号": "id",
    "问题": "question",
    "其他问法": "wordings",
    "不适用问法": "not_for",
    "答复": "answer",
    "依据": "basis",
    "关键词": "keywords",
    "主题": "topic",
    "状态": "state",
}
_COLUMNS = {*_NAMES.values(), "articles"}
_MUST_HAVE = ("id", "question", "answer")


@dataclass(frozen=True)
class Row:
    """One row: its number as the person sees it in the file, and its fields under their English names."""

    number: int
    fields: Mapping[str, object]


def _json_lines(path: Path) -> Iterator[Row | Refused]:
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            yield Refused(path, number, "不是一行完整的 JSON")
            continue
        if isinstance(fields, dict):
            yield Row(number, {_name(key): value for key, value in fields.items()})
        else:
            yield Refused(path, number, "应是 {…} 形式的一行 JSON")


def _csv(path: Path) -> Iterator[Row | Refused]:
    text = read_text(path)
    header = text.split("\n", 1)[0]
    lines = csv.reader(io.StringIO(text), delimiter=max(",\t;", key=header.count))
    begins = 1
    try:
        names = _header(next(lines, []))
        begins = lines.line_num + 1
        for cells in lines:
            if any(cell.strip() for cell in cells):
                yield Row(begins, dict(zip(names, cells, strict=False)))
            begins = lines.line_num + 1
    except csv.Error:
        yield Refused(path, begins, "从这一行起不是完整的 CSV（多半是引号没有成对）")


def _excel(path: Path) -> Iterator[Row | Refused]:
    import openpyxl

    data = read_office_file(path)
    try:
        # data_only would show a formula's stored result, which nobody has checked.
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=False)
        sheets = [sheet for sheet in book.worksheets if _is_table(sheet)]
        rows = [row for sheet in sheets for row in _sheet(path, sheet)]
    except Exception as error:  # a damaged workbook fails with whatever its parser met first
        raise Unreadable("打不开这个 Excel 文件，文件可能已损坏") from error
    if not sheets:
        raise Unreadable("没有找到表头：第一行应有 编号、问题、答复（或 id、question、answer）")
    yield from rows


def _is_table(sheet: "Worksheet") -> bool:
    first = next(sheet.iter_rows(min_row=1, max_row=1, values_only=True), ())
    return set(_MUST_HAVE) <= {_name(cell) for cell in first}


def _sheet(path: Path, sheet: "Worksheet") -> Iterator[Row | Refused]:
    rows = sheet.iter_rows()
    names = _header([cell.value for cell in next(rows, ())])
    for cells in rows:
        filled = [(name, cell) for name, cell in zip(names, cells, strict=False) if cell.value not in (None, "")]
        if not filled:
            continue
        number = filled[0][1].row
        formulas = [cell.coordinate for name, cell in filled if cell.data_type == "f" and name in _COLUMNS]
        if formulas:
            yield Refused(path, number, f"单元格 {'、'.join(formulas)} 是公式，请粘贴为文字")
        else:
            yield Row(number, {name: cell.value for name, cell in filled})


def _header(cells: Sequence[object]) -> list[str]:
    names = [_name(cell) for cell in cells]
    missing = [name for name in _MUST_HAVE if name not in names]
    if missing:
        raise Unreadable(f"表头缺少列：{'、'.join(missing)}（也可用中文表头：{' '.join(_NAMES)}）")
    return names


def _name(heading: object) -> str:
    name = str(heading or "").strip().lower()
    return _NAMES.get(name, name)


TABLES: Mapping[str, Callable[[Path], Iterator[Row | Refused]]] = {".jsonl": _json_lines, ".csv": _csv, ".xlsx": _excel}
