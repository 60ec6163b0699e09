"""Where an entry comes from and what became of it: who asked, who wrote and approved it, its versions, how often it answered.

Needs the viewer may not see are neither listed nor counted: `visible` is the condition on `needs n` that says so.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from knowledge.database import Db, rows
from knowledge.entry import Entry

FIELD_NAMES = {
    "question": "问题",
    "wordings": "其他问法",
    "answer": "答复",
    "deadline": "期限提示",
    "steps": "步骤",
    "materials": "材料",
    "mistake": "常见误区",
    "basis": "依据",
    "topic": "主题",
    "valid_from": "生效日期",
    "valid_until": "失效日期",
    "elsewhere": "情况不符时",
    "not_for": "不适用的问法",
    "related": "相关条目",
    "keywords": "关键词",
    "explained": "数字说明",
    "place": "出处",
    "document_date": "文件日期",
    "kind": "种类",
}
"""What the fields of an entry are called on screen."""
Visible = tuple[str, Sequence[Any]]
TOLD = (
    "g.id, g.told_at, g.answer, g.entry_id, g.need_no, p.company, p.contact, p.phone, o.channel, o.delivered_at, o.error,"
    " CASE WHEN n.state IN ('withdrawn', 'voided') THEN 'withdrawn' WHEN o.id IS NULL THEN 'phone' ELSE o.state END AS state"
)
"""What is read of a telling `g`, its need `n`, its message `o` and its person `p`."""


@dataclass(frozen=True)
class Difference:
    """One field in which two versions differ: the lines that went and those that came."""

    name: str
    gone: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True)
class KeptVersion:
    """A version of an entry: when it was first seen, what it changed, and the steps taken with it."""

    hash: str
    first_seen_at: str
    entry: Entry
    differences: tuple[Difference, ...]
    events: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Month:
    """How often an entry answered in one month, and what the askers said of it."""

    month: str
    answered: int
    solved: int
    unsolved: int


def events_of(db: Db, entry_id: str) -> list[dict[str, Any]]:
    """Every step of an entry in order: id, hash, at, actor, action, note."""
    return rows(db, "SELECT id, hash, at, actor, action, note FROM entry_events WHERE entry_id = ? ORDER BY id", entry_id)


def versions_of(db: Db, entry_id: str) -> list[KeptVersion]:
    """Every version that was ever kept, newest first, each with what it changed against the one before."""
    found = rows(db, "SELECT hash, body, first_seen_at FROM entry_versions WHERE entry_id = ? ORDER BY rowid", entry_id)
    events = events_of(db, entry_id)
    versions: list[KeptVersion] = []
    for item in found:
        entry = Entry.from_json(item["body"])
        changed = differences(versions[-1].entry, entry) if versions else ()
        steps = tuple(event for event in events if event["hash"] == item["hash"])
        versions.append(KeptVersion(item["hash"], item["first_seen_at"], entry, changed, steps))
    return versions[::-1]


def differences(before: Entry, after: Entry) -> tuple[Difference, ...]:
    """What sets two versions apart, field by field; the state is no part of what an entry says."""
    found = []
    for item in fields(Entry):
        old, new = (_lines(getattr(entry, item.name)) for entry in (before, after))
        if old != new and item.name in FIELD_NAMES:
            gone, come = tuple(line for line in old if line not in new), tuple(line for line in new if line not in old)
            # The same lines in another order: both are shown whole.
            found.append(Difference(FIELD_NAMES[item.name], gone or (() if come else old), come or (() if gone else new)))
    return tuple(found)


def sources(db: Db, entry_id: str, visible: Visible) -> list[dict[str, Any]]:
    """The needs an entry comes from, as far as they may be seen: no, state, received_at, visited_on, company, verified, askers."""
    condition, args = visible
    return rows(
        db,
        "SELECT n.no, n.state, n.received_at, n.visited_on, n.replied_on,"
        " (SELECT p.company FROM askings a JOIN persons p ON p.id = a.person_id"
        "  WHERE a.need_no = n.no AND p.company IS NOT NULL ORDER BY a.id LIMIT 1) AS company,"
        " EXISTS (SELECT 1 FROM askings a JOIN persons p ON p.id = a.person_id"
        "  WHERE a.need_no = n.no AND p.verified_at IS NOT NULL AND p.enterprise_id IS NOT NULL) AS verified,"
        " (SELECT count(DISTINCT a.person_id) FROM askings a WHERE a.need_no = n.no) AS askers"
        f" FROM entry_sources s JOIN needs n ON n.no = s.need_no WHERE s.entry_id = ? AND {condition} ORDER BY n.year, n.seq",
        entry_id,
        *args,
    )


def verified_enterprises(db: Db, entry_id: str, visible: Visible) -> int:
    """How many enterprises with a verified contact asked what this entry answers."""
    condition, args = visible
    found = rows(
        db,
        "SELECT count(DISTINCT p.enterprise_id) AS n FROM entry_sources s JOIN needs n ON n.no = s.need_no"
        " JOIN askings a ON a.need_no = n.no JOIN persons p ON p.id = a.person_id"
        f" WHERE s.entry_id = ? AND p.verified_at IS NOT NULL AND p.enterprise_id IS NOT NULL AND {condition}",
        entry_id,
        *args,
    )
    return int(found[0]["n"])


def use_by_month(db: Db, entry_id: str) -> list[Month]:
    """How often an entry answered, month by month, newest first."""
    found = rows(
        db,
        "SELECT substr(asked_at, 1, 7) AS month, count(*) AS answered, sum(feedback = 'solved') AS solved,"
        " sum(feedback IN ('unsolved', 'person')) AS unsolved FROM askings WHERE entry_id = ? AND band = 'answer'"
        " GROUP BY 1 ORDER BY 1 DESC",
        entry_id,
    )
    return [Month(item["month"], item["answered"], item["solved"] or 0, item["unsolved"] or 0) for item in found]


def tellings_of_entry(db: Db, entry_id: str, visible: Visible) -> list[dict[str, Any]]:
    """Who was told of an entry and how it went: told_at, need_no, company, contact, channel, state, delivered_at, error."""
    condition, args = visible
    return rows(
        db,
        f"SELECT {TOLD} FROM tellings g JOIN needs n ON n.no = g.need_no LEFT JOIN outbox o ON o.id = g.outbox_id"
        f" LEFT JOIN persons p ON p.id = g.person_id WHERE g.entry_id = ? AND {condition} ORDER BY g.id",
        entry_id,
        *args,
    )


def undelivered(db: Db, visible: Visible, no: str = "", limit: int = 200) -> list[dict[str, Any]]:
    """Who was told something and has not got it, newest first: messages that wait or failed, and people without a chat.

    With `no`, only those of one need or of the needs grouped with it. Somebody who withdrew the need is not called.
    """
    condition, args = visible
    only = "AND (n.no = ? OR n.lead_no = ?)" if no else ""
    return rows(
        db,
        f"SELECT {TOLD} FROM tellings g JOIN needs n ON n.no = g.need_no LEFT JOIN outbox o ON o.id = g.outbox_id"
        " LEFT JOIN persons p ON p.id = g.person_id WHERE (o.id IS NULL OR o.state <> 'delivered')"
        f" AND n.state NOT IN ('withdrawn', 'voided') AND {condition} {only} ORDER BY g.id DESC LIMIT ?",
        *args,
        *([no, no] if no else []),
        limit,
    )


def _lines(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, tuple):
        return tuple(json.dumps(item, ensure_ascii=False) if isinstance(item, tuple) else _said(item) for item in value)
    return tuple(str(value).splitlines())


def _said(item: Any) -> str:
    version = getattr(item, "version", None)
    return f"{item}（{version} 版本）" if version else str(item)
