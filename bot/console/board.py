"""The list of needs: tabs by state, search, what is overdue, what has not reached its asker.

Questions and companies are masked here already, so that no page can show them by mistake.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode

from knowledge.database import Db, row, rows
from knowledge.ledger.workflow import OPEN, STATE_NAMES
from knowledge.privacy import mask

PAGE = 50
MOST_WORDS = 6
LONGEST_SEARCH = 60
QUESTION_SHOWN = 90
ERASED = "（文字已删除）"
TABS: dict[str, tuple[str, tuple[str, ...]]] = {
    "open": ("待办", tuple(sorted(OPEN))),
    "replied": ("已答复", ("replied",)),
    "closed": ("已办结", ("closed",)),
    "rejected": ("不予登记", ("rejected",)),
    "all": ("全部", tuple(STATE_NAMES)),
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
    oldest_first: bool = True
    page: int = 1

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Wanted":
        """From the address line; what makes no sense there counts as not given. Open needs start with the oldest."""
        tab = query.get("tab", "open") if query.get("tab") in TABS else "open"
        order = query.get("order") or ("oldest" if tab == "open" else "newest")
        page = int(query["page"]) if re.fullmatch(r"[0-9]{1,6}", query.get("page", "")) else 1
        search = " ".join(query.get("q", "").replace("\0", "").split())[:LONGEST_SEARCH]
        return cls(tab, search, order == "oldest", max(1, page))

    def link(self, **changes: Any) -> str:
        """The address of this list with something changed."""
        query = {"tab": self.tab, "order": "oldest" if self.oldest_first else "newest", "q": self.search, "page": self.page} | changes
        return "/console?" + urlencode({name: value for name, value in query.items() if value not in ("", None)})


@dataclass(frozen=True)
class Line:
    """One need in the list, safe to show."""

    no: str
    state: str
    state_name: str
    received: str
    due: date | None
    late: bool
    question: str
    company: str
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


def read_board(db: Db, wanted: Wanted, today: date) -> Board:
    """The page of the list that was asked for, or the last one there is."""
    condition, args = _matching(wanted.search)
    by_state = {
        item["state"]: item["n"]
        for item in rows(
            db,
            f"SELECT n.state, count(*) AS n FROM needs n JOIN texts t ON t.id = n.text_id WHERE {condition} GROUP BY n.state",
            *args,
        )
    }
    counts = {tab: sum(by_state.get(state, 0) for state in states) for tab, (_, states) in TABS.items()}
    pages = max(1, -(-counts[wanted.tab] // PAGE))
    page = min(wanted.page, pages)
    found = _needs(db, wanted, condition, args, page)
    lines = [_line(need, today) for need in found]
    return Board(wanted, counts, lines, _late(db, today), page, pages)


def mask_company(name: str | None) -> str:
    """A company's name for lists: its first characters, and whether it is a company; of a short one, maybe a person's, one."""
    name = (name or "").strip()
    if not name:
        return ""
    return f"{name[:2] if len(name) >= 8 else name[0]}×××{'公司' if name.endswith('公司') else ''}"


def _needs(db: Db, wanted: Wanted, condition: str, args: list[str], page: int) -> list[dict[str, Any]]:
    states = TABS[wanted.tab][1]
    order = "ASC" if wanted.oldest_first else "DESC"
    return rows(
        db,
        "SELECT n.no, n.state, n.received_at, n.due_on, t.body AS question,"
        " (SELECT p.company FROM askings a JOIN persons p ON p.id = a.person_id"
        "  WHERE a.need_no = n.no AND p.company IS NOT NULL ORDER BY a.id LIMIT 1) AS company,"
        " (SELECT count(DISTINCT a.person_id) FROM askings a WHERE a.need_no = n.no) AS askers,"
        " (SELECT count(*) FROM outbox o WHERE o.need_no = n.no AND o.state <> 'delivered' AND o.edits IS NULL"
        f"  AND {TO_ASKER}) AS undelivered"
        " FROM needs n JOIN texts t ON t.id = n.text_id"
        f" WHERE {condition} AND n.state IN ({','.join('?' * len(states))}) ORDER BY n.year {order}, n.seq {order} LIMIT ? OFFSET ?",
        *args,
        *states,
        PAGE,
        (page - 1) * PAGE,
    )


def _line(need: dict[str, Any], today: date) -> Line:
    due = date.fromisoformat(need["due_on"]) if need["due_on"] and need["state"] in OPEN else None
    question = " ".join(mask(need["question"]).split()) if need["question"] is not None else ERASED
    return Line(
        no=need["no"],
        state=need["state"],
        state_name=STATE_NAMES[need["state"]],
        received=need["received_at"],
        due=due,
        late=due is not None and due < today,
        question=question if len(question) <= QUESTION_SHOWN else question[: QUESTION_SHOWN - 1] + "…",
        company=mask_company(need["company"]),
        askers=need["askers"],
        undelivered=need["undelivered"],
    )


def _late(db: Db, today: date) -> int:
    """How many open needs are overdue."""
    marks = ",".join("?" * len(OPEN))
    found = row(db, f"SELECT count(*) AS n FROM needs WHERE due_on < ? AND state IN ({marks})", today.isoformat(), *sorted(OPEN))
    return int((found or {"n": 0})["n"])


def _matching(search: str) -> tuple[str, list[str]]:
    """Every word must be in the number or in the question, taken literally."""
    words = search.split()[:MOST_WORDS]
    condition = " AND ".join(r"(n.no LIKE ? ESCAPE '\' OR t.body LIKE ? ESCAPE '\')" for _ in words)
    patterns = [f"%{_literally(word)}%" for word in words]
    return condition or "1", [pattern for pattern in patterns for _ in range(2)]


def _literally(word: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", word)
