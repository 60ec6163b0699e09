"""What may stand in a cell, so that it opens everywhere, runs nothing, and comes back as it was.

Excel, WPS and LibreOffice take a text that begins with `= + - @` for a formula and a long row of digits for a number; XML
cannot hold control characters. Writing mends that here, reading undoes it.
"""

import re
import unicodedata
from datetime import date, datetime, timedelta

LONGEST_CELL = 32_700
"""UTF-16 units in one cell; Excel's own limit is 32,767."""
CUT = "（内容过长，完整内容见系统）"
MASKS = ("****", "××", "***@", CUT)
"""Signs that a cell does not hold the whole of what the system knows."""
_NOT_IN_A_SHEET = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_RUNS = re.compile(r"[=+\-@\t＝＋－＠]")
_LOOKS_LIKE_A_NUMBER = r"(?:\d{12,}|0\d+)$"
_TO_GUARD = re.compile(rf"'*(?:{_RUNS.pattern}|{_LOOKS_LIKE_A_NUMBER})")
_GUARDED = re.compile(rf"'+(?:{_RUNS.pattern}|{_LOOKS_LIKE_A_NUMBER})")
_LOOKS_ESCAPED = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
_NOTHING = frozenset({"", "-", "--", "—", "——", "–", "－", "/", "／"})
_DAY = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?(?:[ T]\d{1,2}:\d{2}.*)?")
_SHORT_DAY = re.compile(r"(\d{4})(\d{2})(\d{2})")
_FIRST_DAY = date(1899, 12, 30)
_SERIALS = range(20_000, 80_000)
_MOST_EXACT = 10**15


def clean(text: str) -> str:
    """`text` without what no sheet can hold and without blanks around it; line ends are `\\n`."""
    return _NOT_IN_A_SHEET.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def shorten(text: str) -> str:
    """`text` if it fits into a cell of Excel, else its beginning and the sentence that says so."""
    units = text.encode("utf-16-le")
    if len(units) <= 2 * LONGEST_CELL:
        return text
    return units[: 2 * (LONGEST_CELL - len(CUT))].decode("utf-16-le", "ignore") + CUT


def runs(text: str) -> bool:
    """Whether a program would take `text` for a formula."""
    return _RUNS.match(text) is not None


def guard(text: str) -> str:
    """`text` for a CSV cell: what would run, or lose its digits, gets a `'` in front."""
    return f"'{text}" if _TO_GUARD.match(text) else text


def unguard(text: str) -> str:
    """What `guard` made, as it was."""
    return text[1:] if _GUARDED.match(text) else text


def escape(text: str) -> str:
    """`text` for an Excel cell, where `_x000D_` would mean a control character."""
    return _LOOKS_ESCAPED.sub("_x005F_", text)


def unescape(text: str) -> str:
    """What `escape` made, or Excel itself, as it was."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def is_masked(text: str) -> bool:
    """Whether something in `text` was masked or cut when it was written out."""
    return any(sign in text for sign in MASKS)


def text_in(value: object) -> str:
    """A cell as text; a dash alone says nothing. Raises ValueError for a number whose last digits Excel has lost."""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if abs(value) >= _MOST_EXACT:
            raise ValueError("这一格被表格软件当成了数字，末尾几位已经变成 0。请把这一列设为文本，重新填写")
        value = int(value) if value == int(value) else value
    text = clean(str(value)) if value is not None else ""
    return "" if text in _NOTHING else text


def day_in(value: object) -> date | None:
    """A cell as a date: a real one, a typed one (2026-11-18, 2026/11/18, 2026年11月18日, 20261118), or Excel's number of a day.

    Raises ValueError for anything else.
    """
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and int(value) in _SERIALS:
        return _FIRST_DAY + timedelta(days=int(value))
    text = unicodedata.normalize("NFKC", text_in(value))
    if not text:
        return None
    found = _DAY.fullmatch(text) or _SHORT_DAY.fullmatch(text)
    try:
        year, month, day = map(int, found.groups()) if found else (0, 0, 0)
        return date(year, month, day)
    except ValueError as error:
        raise ValueError(f"“{text[:30]}”不是日期。请写成 2026-11-18 这样") from error
