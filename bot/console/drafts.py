"""Entries that wait for a reviewer: drafts, and shipped or imported ones that answer as 未经本院审核 until somebody signs for them.

What is published is exactly what the reviewer read, or it is not published.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from bot.access import Staff
from knowledge import library
from knowledge.database import Db, row, rows
from knowledge.entry import Entry
from knowledge.errors import Conflict, NotFound

PAGE = 30
WAITING = "(state IN ('draft', 'review') OR (state = 'published' AND reviewed_by IS NULL))"
READERS = frozenset({"reviewer", "admin", "supervisor", "auditor"})
ORIGINS = {"shipped": "随软件附带", "files": "本院导入", "console": "工作人员上传"}
STATES = {"draft": "草稿", "review": "审核中", "published": "已发布", "withdrawn": "不用"}


@dataclass(frozen=True)
class Draft:
    """An entry with the hash of exactly this content and where it came from."""

    entry: Entry
    hash: str
    origin: str
    state_name: str
    updated: str


@dataclass(frozen=True)
class Drafts:
    """One page of what waits, and how many entries there are by origin and state."""

    waiting: list[Draft]
    total: int
    page: int
    pages: int
    table: list[tuple[str, list[int]]]
    states: list[str]


def read_drafts(db: Db, page: int) -> Drafts:
    """A page of drafts, newest first."""
    counted = library.counts(db)
    total = int((row(db, f"SELECT count(*) AS n FROM entries WHERE {WAITING}") or {"n": 0})["n"])
    pages = max(1, -(-total // PAGE))
    page = min(max(1, page), pages)
    table = [(name, [counted.get(f"{origin}/{state}", 0) for state in STATES]) for origin, name in ORIGINS.items()]
    return Drafts(_waiting(db, page), total, page, pages, table, list(STATES.values()))


def decide(db: Db, entry_id: str, seen_hash: str, state: str, staff: Staff, at: datetime) -> None:
    """Publish an entry or set it aside. Raises NotFound, or Conflict when it is no longer what the reviewer saw."""
    found = row(db, f"SELECT hash, state, {WAITING} AS waiting FROM entries WHERE id = ?", entry_id)
    if found is None:
        raise NotFound("没有这个条目，可能已被新的导入替换。请返回条目列表查看。")
    if not found["waiting"]:
        raise Conflict(f"这个条目已经是“{STATES[found['state']]}”，这次没有改动。请返回条目列表查看。")
    if found["hash"] != seen_hash:
        raise Conflict("这个条目的内容在您审阅时变了，所以没有提交。请返回条目列表，看过新内容再决定。")
    library.set_state(db, entry_id, state, at, staff.name)


def _waiting(db: Db, page: int) -> list[Draft]:
    found = rows(
        db,
        f"SELECT * FROM entries WHERE {WAITING} ORDER BY state = 'published', updated_at DESC, id LIMIT ? OFFSET ?",
        PAGE,
        (page - 1) * PAGE,
    )
    return [
        Draft(
            replace(Entry.from_json(item["body"]), state=item["state"]),
            item["hash"],
            ORIGINS.get(item["origin"], item["origin"]),
            "已在使用，未经本院审核" if item["state"] == "published" else STATES[item["state"]],
            item["updated_at"],
        )
        for item in found
    ]
