"""What the ledger says of a need, column by column, and how much of it a table may show.

Lines are read in batches, so that ten thousand needs never stand in memory together.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any

from bot.desk import Desk
from bot.sheets.cells import clean
from knowledge.database import Db, rows
from knowledge.ledger.record import OTHER_CATEGORIES, RESTRICTED
from knowledge.ledger.workflow import ACTION_NAMES, STATE_NAMES
from knowledge.privacy import mask, mask_name, mask_phone

BATCH = 500
ERASED = "（文字已删除）"
OLD_LEDGER = "（旧台账）"
"""Stands before progress taken over from an old ledger: its dates are in the text, not in the history."""
ANSWERS = ("reply", "approve", "follow_reply")
NO_PROGRESS = ("submit", "edit", "reveal", "submit_reply", *ANSWERS)
"""Steps whose words stand in another column, or are none of the table's business."""
SHORTEST_COMPANY = 5
"""A shorter name without any of these words may be a person's."""
COMPANY_WORDS = ("公司", "厂", "店", "行", "社", "部", "院", "所", "中心", "集团", "企业", "银行", "商会", "协会", "工作室", "基地")

Cell = str | date | None
Cells = dict[str, Cell]


class Privacy(Enum):
    """How much of what is personal a table shows."""

    MASKED = "masked"
    OUTSIDE = "outside"
    FULL = "full"


@dataclass(frozen=True)
class Line:
    """One need: every column but 序号 by its key, nothing masked."""

    no: str
    restricted: bool
    cells: Cells

    def shown(self, privacy: Privacy) -> Cells:
        """The cells as a table of this kind shows them."""
        if privacy is Privacy.FULL:
            return self.cells
        shown: Cells = {name: mask(cell) if isinstance(cell, str) else cell for name, cell in self.cells.items()}
        contact = mask_name(_text(self.cells["contact"])) if privacy is Privacy.MASKED else ""
        return shown | {"company": _company(_text(shown["company"])), "contact": contact, "phone": mask_phone(_text(self.cells["phone"]))}


def read_lines(db: Db, numbers: Sequence[str], desk: Desk, visible: tuple[str, Sequence[Any]]) -> Iterator[Line]:
    """The lines of these needs in this order, those left out that `visible` (a condition on `needs n`) hides."""
    for start in range(0, len(numbers), BATCH):
        part = numbers[start : start + BATCH]
        needs = {need["no"]: need for need in _needs(db, part, visible)}
        people, progress, replies = _people(db, part), _progress(db, part), _replies(db, part)
        for no in part:
            if need := needs.get(no):
                yield _line(need, people.get(no, {}), progress[no], replies.get(no), desk)


def topic_name(code: str | None, desk: Desk) -> str:
    """A category as the table writes it: B01 大企业拖欠货款."""
    if not code:
        return ""
    return f"{code} {desk.topics[code].name if code in desk.topics else OTHER_CATEGORIES.get(code, '')}".strip()


def _line(need: Mapping[str, Any], person: Mapping[str, Any], progress: Sequence[str], reply: str | None, desk: Desk) -> Line:
    said: dict[str, str | None] = {
        "company": person.get("company"),
        "uscc": person.get("uscc"),
        "street": need["street"] or person.get("street"),
        "industry": need["industry"] or person.get("industry"),
        "contact": person.get("contact"),
        "phone": person.get("phone"),
        "source": need["source"],
        "topic": topic_name(need["topic"], desk),
        "content": need["content"] if need["content"] is not None else ERASED,
        "urgency": need["urgency"],
        "division": desk.court.divisions.get(need["division"], need["division"]),
        "handler": need["handler_name"],
        "progress": "\n".join(progress),
        "visitors": need["visitors"],
        "reply": reply,
        "satisfaction": need["satisfaction"],
        "remark": need["remark"],
        "no": need["no"],
        "state": STATE_NAMES[need["state"]],
    }
    days = {name: date.fromisoformat(need[name]) if need[name] else None for name in ("registered_on", "due_on", "visited_on", "closed_on")}
    return Line(need["no"], need["visibility"] == RESTRICTED, days | {name: clean(text or "") for name, text in said.items()})


def _needs(db: Db, numbers: Sequence[str], visible: tuple[str, Sequence[Any]]) -> list[dict[str, Any]]:
    condition, args = visible
    return rows(
        db,
        "SELECT n.*, t.body AS content, s.name AS handler_name, r.body AS remark, v.body AS visitors FROM needs n"
        " JOIN texts t ON t.id = n.text_id LEFT JOIN staff s ON s.id = n.handler"
        " LEFT JOIN texts r ON r.id = n.remark_id LEFT JOIN texts v ON v.id = n.visitors_id"
        f" WHERE n.no IN ({_marks(numbers)}) AND {condition}",
        *numbers,
        *args,
    )


def _people(db: Db, numbers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By need the person who asked first; one who named a company goes before others."""
    found = rows(
        db,
        "SELECT a.need_no, coalesce(p.company, e.name) AS company, coalesce(p.uscc, e.uscc) AS uscc, p.contact, p.phone,"
        " coalesce(p.street, e.street) AS street, coalesce(p.industry, e.industry) AS industry FROM askings a"
        " JOIN persons p ON p.id = a.person_id LEFT JOIN enterprises e ON e.id = p.enterprise_id"
        f" WHERE a.need_no IN ({_marks(numbers)}) ORDER BY coalesce(p.company, e.name) IS NOT NULL, a.id DESC",
        *numbers,
    )
    return {item["need_no"]: item for item in found}


def _progress(db: Db, numbers: Sequence[str]) -> defaultdict[str, list[str]]:
    """By need what was done and said, a line for each step that has words of its own."""
    found = rows(
        db,
        "SELECT h.need_no, h.at, h.action, t.body FROM need_history h JOIN texts t ON t.id = h.text_id"
        f" WHERE h.need_no IN ({_marks(numbers)}) AND h.action NOT IN ({_marks(NO_PROGRESS)}) ORDER BY h.id",
        *numbers,
        *NO_PROGRESS,
    )
    progress: defaultdict[str, list[str]] = defaultdict(list)
    for step in found:
        progress[step["need_no"]].append(_step(step["at"][:10], step["action"], step["body"] if step["body"] is not None else ERASED))
    return progress


def _step(day: str, action: str, text: str) -> str:
    if text.startswith(OLD_LEDGER):
        return text.removeprefix(OLD_LEDGER)
    return f"{day} {text}" if action == "note" else f"{day} {ACTION_NAMES[action]}：{text}"


def _replies(db: Db, numbers: Sequence[str]) -> dict[str, str]:
    """By need the answer that counts, the last one."""
    found = rows(
        db,
        "SELECT h.need_no, t.body FROM need_history h JOIN texts t ON t.id = h.text_id"
        f" WHERE h.need_no IN ({_marks(numbers)}) AND h.action IN ({_marks(ANSWERS)}) ORDER BY h.id",
        *numbers,
        *ANSWERS,
    )
    return {item["need_no"]: item["body"] if item["body"] is not None else ERASED for item in found}


def _company(name: str) -> str:
    """A company's name stays, for a ledger is about companies; what may be a person's name does not."""
    is_company = len(name) >= SHORTEST_COMPANY or any(word in name for word in COMPANY_WORDS)
    return name if is_company else mask_name(name)


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else ""


def _marks(values: Sequence[str]) -> str:
    return ",".join("?" * len(values))
