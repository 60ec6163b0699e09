"""The street's words and the law's: 老赖 is 失信被执行人, 打白条 is 欠条. A table, so that the court can mend it.

`content/thesaurus.csv` is the shipped one; `thesaurus.csv` in the data folder wins: a row there replaces all shipped rows of
the same colloquial term, and an empty `legal` takes the term out. Columns:

- `colloquial`, `legal`: two ways of saying it.
- `direction`: `→` when only the first leads to the second, `↔` when each leads to the other.
- `topic`: a leaf or group of the taxonomy, for the people who keep the table.
"""

import csv
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from knowledge.errors import Unreadable
from knowledge.files import Refused, read_text

SHIPPED = Path(__file__).parent / "content" / "thesaurus.csv"
COLUMNS = ("colloquial", "legal", "direction", "topic")
DIRECTIONS = ("→", "↔")
LONGEST = 20
MOST = 6
"""Of the terms found in one question at most so many are added, the longest ones: more would drown what was asked."""


class Row(NamedTuple):
    """One line of the table."""

    colloquial: str
    legal: str
    direction: str
    topic: str


@dataclass(frozen=True)
class Expansion:
    """A term that stands in the question, and what it means besides."""

    said: str
    meant: str

    def __str__(self) -> str:
        return f"{self.said} → {self.meant}"


class Thesaurus:
    """Finds the terms of the table in a text."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(rows)
        self._meant: dict[str, list[str]] = {}
        for row in self.rows:
            self._add(row.colloquial, row.legal)
            if row.direction == "↔":
                self._add(row.legal, row.colloquial)
        self._lengths = sorted({len(term) for term in self._meant}, reverse=True)

    def _add(self, said: str, meant: str) -> None:
        meanings = self._meant.setdefault(said, [])
        if meant not in meanings:
            meanings.append(meant)

    def expansions(self, text: str) -> list[Expansion]:
        """What a cleaned text says in other words, in the order of the text; a term inside a longer one is not looked at.

        What the text says already is not repeated.
        """
        found: list[tuple[int, str]] = []
        taken = bytearray(len(text))
        for length in self._lengths:
            for start in range(len(text) - length + 1):
                term = text[start : start + length]
                if term in self._meant and not any(taken[start : start + length]):
                    taken[start : start + length] = b"\x01" * length
                    found.append((start, term))
        says_more = [(start, term) for start, term in found if any(other not in text for other in self._meant[term])]
        meant: dict[str, Expansion] = {}
        for _, term in sorted(says_more[:MOST]):
            for other in self._meant[term]:
                if other not in text:
                    meant.setdefault(other, Expansion(term, other))
        return list(meant.values())


def load_thesaurus(
    own: Path | None = None, topics: Collection[str] | None = None, clean: Callable[[str], str] = str.lower
) -> tuple[Thesaurus, list[Refused]]:
    """The shipped table with the court's own in front, and the rows of either that cannot be used, with file and line.

    `topics` are the known codes (leaves and groups); None accepts any. `clean` makes a term of the court's look as questions do when
    they are searched. A file that cannot be read at all is refused as a whole.
    """
    shipped, refused = read_rows(SHIPPED, topics)
    if own is None or not own.exists():
        return Thesaurus(shipped), refused
    ours, also_refused = read_rows(own, topics, clean)
    replaced = {row.colloquial for row in ours}
    one_way = (row._replace(direction="→") if row.legal in replaced else row for row in shipped)
    kept = [row for row in one_way if row.colloquial not in replaced]
    return Thesaurus([*(row for row in ours if row.legal), *kept]), refused + also_refused


def read_rows(
    path: Path, topics: Collection[str] | None = None, clean: Callable[[str], str] = str.lower
) -> tuple[list[Row], list[Refused]]:
    """The usable rows of one table, and the others with line and reason."""
    rows: list[Row] = []
    refused: list[Refused] = []
    try:
        reader = csv.DictReader(read_text(path).splitlines())
        reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        if tuple(reader.fieldnames) != COLUMNS:
            return [], [Refused(path, None, f"表头应是 {','.join(COLUMNS)}")]
        seen: set[tuple[str, str]] = set()
        for fields in reader:
            said, meant, direction, topic = ((fields[name] or "").strip() for name in COLUMNS)
            row = Row(clean(said).strip(), clean(meant).strip(), direction, topic)
            problem = _problem(fields, row, topics) or ("与前面的一行重复" if row[:2] in seen else None)
            if problem:
                refused.append(Refused(path, reader.line_num, problem))
            else:
                seen.add(row[:2])
                rows.append(row)
    except (Unreadable, csv.Error) as error:
        return [], [Refused(path, None, str(error) if isinstance(error, Unreadable) else "表格写法有误，请检查引号是否成对")]
    return rows, refused


def _problem(fields: Mapping[str | None, object], row: Row, topics: Collection[str] | None) -> str | None:
    if None in fields or not row.colloquial:
        return f"应有 {len(COLUMNS)} 列，第一列不能空"
    if max(len(row.colloquial), len(row.legal)) > LONGEST or len(row.colloquial) < 2 or len(row.legal) == 1:
        return f"“{row.colloquial[:LONGEST]}”：每个词 2 到 {LONGEST} 个字"
    if row.colloquial == row.legal:
        return f"“{row.colloquial}”两边是同一个词"
    if row.direction not in DIRECTIONS and row.legal:
        return f"“{row.colloquial}”的方向应是 → 或 ↔"
    if topics is not None and row.topic and row.topic not in topics:
        return f"“{row.colloquial}”：不认识的主题“{row.topic[:20]}”"
    return None
