"""The list of needs: tabs by state, filters, search, what is due, what has not reached its asker.

Questions and companies are masked here already, so that no page can show them by mistake. Whoever may not see a need does
not find it here: the condition of `Desk.visible` is part of every question asked of the ledger.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import urlencode

from knowledge.court import Court
from knowledge.database import Db, rows
from knowledge.ledger.statistics import NUMBERS, listed
from knowledge.ledger.workflow import COUNTED, INTAKE, OPEN, STATE_NAMES
from knowledge.privacy import mask

PAGE = 50
MOST_WORDS = 6
LONGEST_SEARCH = 60
QUESTION_SHOWN = 90
ERASED = "（文字已删除）"
TABS: dict[str, tuple[str, tuple[str, ...]]] = {
    "open": ("待办", tuple(sorted(OPEN))),
    "intake": ("待登记", tuple(sorted(INTAKE))),
    "assigning": ("待分派", ("registered", "reopened")),
    "review": ("待审核", ("in_review",)),
    "replied": ("已答复", ("replied",)),
    "closed": ("已办结", ("closed",)),
    "ledger": ("台账", tuple(sorted(COUNTED))),
    "rejected": ("不予登记", ("rejected",)),
    "all": ("全部", tuple(STATE_NAMES)),
}
FILTERS = ("state", "topic", "street", "industry", "division", "handler", "source", "urgency", "litigation", "sensitive")
"""Columns that a filter compares, by the name they have in the address; 无 finds what has none."""
NONE = "无"
DAYS = {"registered": "n.registered_on", "received": "n.received_at", "replied": "n.replied_on", "closed": "n.closed_on"}
ORDERS = {
    "due": "n.duty_on IS NULL, n.duty_on, n.year, n.seq",
    "oldest": "n.year, n.seq",
    "newest": "n.year DESC, n.seq DESC",
}
TO_ASKER = (
    "EXISTS (SELECT 1 FROM askings a JOIN askers k ON k.id = a.asker_id"
    " WHERE a.need_no = o.need_no AND k.channel = o.channel AND k.chat_id = o.chat_id)"
)
"""An outbox row that goes to somebody who asked, not to staff who are told about it."""


@dataclass(frozen=True)
class Wanted:
    """What the clerk asked to see."""

    tab: str = "open"
    search: str = ""
    order: str = "due"
    page: int = 1
    filters: dict[str, str] = field(default_factory=dict)
    first: str = ""
    last: str = ""
    by: str = "registered"
    due: str = ""
    count: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Wanted":
        """From the address line; what makes no sense there counts as not given. Open needs start with what is due first."""
        filters = {name: query[name][:40] for name in FILTERS if query.get(name)}
        asked = query.get("tab", "")
        tab = asked if asked in TABS else "all" if filters.get("state") else "ledger" if query.get("from") or query.get("to") else "open"
        order = query.get("order", "")
        page = int(query["page"]) if re.fullmatch(r"[0-9]{1,6}", query.get("page", "")) else 1
        return cls(
            tab,
            " ".join(query.get("q", "").replace("\0", "").split())[:LONGEST_SEARCH],
            order if order in ORDERS else "due" if tab in ("open", "intake", "assigning", "review") else "newest",
            max(1, page),
            filters,
            _day(query.get("from", "")),
            _day(query.get("to", "")),
            query.get("by", "") if query.get("by") in DAYS else "registered",
            query.get("due", "") if query.get("due") in ("late", "today", "soon") else "",
            query.get("count", "") if query.get("count") in NUMBERS else "",
        )

    @property
    def query(self) -> dict[str, Any]:
        """What stands in the address for this list."""
        given = {
            "tab": self.tab,
            "order": self.order,
            "q": self.search,
            "from": self.first,
            "to": self.last,
            "due": self.due,
            "count": self.count,
        }
        by = {"by": self.by} if (self.first or self.last) and self.by != "registered" else {}
        return {name: value for name, value in (given | by | self.filters).items() if value}

    @property
    def filtered(self) -> bool:
        """Whether anything besides the tab narrows the list."""
        return bool(self.filters or self.first or self.last or self.due or self.count or self.search)

    def link(self, path: str = "/console/needs", **changes: Any) -> str:
        """The address of this list with something changed; `page` starts again at 1 unless it is given."""
        query = self.query | changes
        return f"{path}?" + urlencode({name: value for name, value in query.items() if value not in ("", None, 1)})


@dataclass(frozen=True)
class Line:
    """One need in the list, safe to show."""

    no: str
    state: str
    state_name: str
    received: str
    duty: str | None
    due: date | None
    late: bool
    question: str
    company: str
    division: str
    handler: str
    urgency: str
    sensitive: str | None
    askers: int
    undelivered: int


@dataclass(frozen=True)
class Board:
    """One page of the list, and how many there are under each tab."""

    wanted: Wanted
    counts: dict[str, int]
    lines: list[Line]
    late: int
    page: int
    pages: int
    total: int


def read_board(db: Db, wanted: Wanted, today: date, court: Court, visible: tuple[str, list[Any]], sees_phones: bool = False) -> Board:
    """The page of the list that was asked for, or the last one there is; `visible` is what this person may see."""
    found = find_needs(db, wanted, today, visible, sees_phones, any_state=True)
    counts = {tab: sum(need["state"] in states for need in found) for tab, (_, states) in TABS.items()}
    chosen = [need for need in found if need["state"] in TABS[wanted.tab][1]]
    late = sum(need["state"] in OPEN and bool(need["duty_on"]) and need["duty_on"] < today.isoformat() for need in found)
    pages = max(1, -(-len(chosen) // PAGE))
    page = min(wanted.page, pages)
    numbers = [need["no"] for need in chosen[(page - 1) * PAGE : page * PAGE]]
    return Board(wanted, counts, read_lines(db, numbers, today, court), late, page, pages, len(chosen))


def find_needs(
    db: Db, wanted: Wanted, today: date, visible: tuple[str, list[Any]], sees_phones: bool = False, any_state: bool = False
) -> list[dict[str, Any]]:
    """Number, state and duty of every need that fits, in order; with `any_state` the tab does not narrow."""
    condition, args = matching(wanted, today, visible, sees_phones)
    states = () if any_state else TABS[wanted.tab][1]
    chosen = f" AND n.state IN ({','.join('?' * len(states))})" if states else ""
    return rows(
        db,
        f"SELECT n.no, n.state, n.duty_on FROM needs n JOIN texts t ON t.id = n.text_id WHERE {condition}{chosen}"
        f" ORDER BY {ORDERS[wanted.order]}",
        *args,
        *states,
    )


def matching(wanted: Wanted, today: date, visible: tuple[str, list[Any]], sees_phones: bool = False) -> tuple[str, list[Any]]:
    """The SQL condition on `needs n JOIN texts t` for everything but the tab, with its parameters."""
    conditions, args = [visible[0]], list(visible[1])
    for name, value in wanted.filters.items():
        if name == "topic":
            conditions.append("n.topic IS NULL" if value == NONE else "(n.topic = ? OR substr(n.topic, 1, 1) = ?)")
            args += [] if value == NONE else [value, value]
        else:
            conditions.append(f"n.{name} IS NULL" if value == NONE and name != "litigation" else f"n.{name} = ?")
            args += [] if value == NONE and name != "litigation" else [value]
    day = f"substr({DAYS[wanted.by]}, 1, 10)"
    for limit, sign in ((wanted.first, ">="), (wanted.last, "<=")):
        if limit:
            conditions.append(f"{day} {sign} ?")
            args.append(limit)
    if wanted.due:
        sign = {"late": "<", "today": "=", "soon": ">="}[wanted.due]
        conditions.append(f"n.duty_on {sign} ?")
        args.append(today.isoformat())
    if wanted.count and wanted.first and wanted.last:
        counted, more = listed(wanted.count, date.fromisoformat(wanted.first), date.fromisoformat(wanted.last), today)
        conditions.append(counted)
        args += more
    for word in wanted.search.split()[:MOST_WORDS]:
        searched, patterns = _containing(word, sees_phones)
        conditions.append(searched)
        args += patterns
    return " AND ".join(conditions), args


def read_lines(db: Db, numbers: Sequence[str], today: date, court: Court) -> list[Line]:
    """These needs as lines, in their order."""
    found = rows(
        db,
        "SELECT n.no, n.state, n.received_at, n.duty, n.duty_on, n.division, n.urgency, n.sensitive, t.body AS question,"
        " (SELECT name FROM staff s WHERE s.id = n.handler) AS handler,"
        " (SELECT p.company FROM askings a JOIN persons p ON p.id = a.person_id"
        "  WHERE a.need_no = n.no AND p.company IS NOT NULL ORDER BY a.id LIMIT 1) AS company,"
        " (SELECT count(DISTINCT a.person_id) FROM askings a WHERE a.need_no = n.no"
        "  OR a.need_no IN (SELECT m.no FROM needs m WHERE m.lead_no = n.no)) AS askers,"
        " (SELECT count(*) FROM outbox o WHERE o.need_no = n.no AND o.state <> 'delivered' AND o.edits IS NULL"
        f"  AND {TO_ASKER}) AS undelivered"
        f" FROM needs n JOIN texts t ON t.id = n.text_id WHERE n.no IN ({','.join('?' * len(numbers))})",
        *numbers,
    )
    by_number = {need["no"]: need for need in found}
    return [_line(by_number[no], today, court) for no in numbers]


def mask_company(name: str | None) -> str:
    """A company's name for lists: its first characters, and whether it is a company; of a short one, maybe a person's, one."""
    name = (name or "").strip()
    if not name:
        return ""
    return f"{name[:2] if len(name) >= 8 else name[0]}×××{'公司' if name.endswith('公司') else ''}"


def _line(need: dict[str, Any], today: date, court: Court) -> Line:
    due = date.fromisoformat(need["duty_on"]) if need["duty_on"] and need["state"] in OPEN else None
    question = " ".join(mask(need["question"]).split()) if need["question"] is not None else ERASED
    return Line(
        no=need["no"],
        state=need["state"],
        state_name=STATE_NAMES[need["state"]],
        received=need["received_at"],
        duty=need["duty"],
        due=due,
        late=due is not None and due < today,
        question=question if len(question) <= QUESTION_SHOWN else question[: QUESTION_SHOWN - 1] + "…",
        company=mask_company(need["company"]),
        division=court.divisions.get(need["division"] or "", ""),
        handler=need["handler"] or "",
        urgency=need["urgency"],
        sensitive=need["sensitive"],
        askers=need["askers"],
        undelivered=need["undelivered"],
    )


def _containing(word: str, sees_phones: bool) -> tuple[str, list[str]]:
    """The word must stand, taken literally, in the number, the question, a text of the story or the company's name.

    A whole phone number finds its owner's needs, for those who may see phone numbers.
    """
    pattern = f"%{_literally(word)}%"
    places = [
        r"n.no LIKE ? ESCAPE '\'",
        r"t.body LIKE ? ESCAPE '\'",
        r"n.no IN (SELECT h.need_no FROM need_history h JOIN texts x ON x.id = h.text_id WHERE x.body LIKE ? ESCAPE '\')",
        "n.no IN (SELECT a.need_no FROM persons p JOIN askings a ON a.person_id = p.id"
        r" WHERE p.company LIKE ? ESCAPE '\' AND a.need_no IS NOT NULL)",
    ]
    args = [pattern] * len(places)
    if sees_phones and re.fullmatch(r"[0-9-]{7,}", word):
        places.append("n.no IN (SELECT a.need_no FROM persons p JOIN askings a ON a.person_id = p.id WHERE p.phone = ?)")
        args.append(word)
    return f"({' OR '.join(places)})", args


def _literally(word: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", word)


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return ""
