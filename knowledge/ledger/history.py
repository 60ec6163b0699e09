"""The append-only, hash-chained history of every need.

Each row's link is the SHA-256 of the link before it and the row's own facts. Facts hold no personal data: who acted
is a role or a staff number, what was said is a salted digest of an erasable text, and `details` are the fields of the
record that the step sets (`knowledge.ledger.record`). Changing, removing or reordering any row breaks every link after
it; `verify` names the first. The head of the chain goes into each backup, so that cutting off the tail shows as well.

The columns of `needs` are a projection of the history: `rebuild` makes them again, and `verify` compares.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from knowledge.clock import stamp
from knowledge.database import Db, row, rows
from knowledge.ledger.deadlines import Rules
from knowledge.ledger.record import CACHED, PROJECTED, project
from knowledge.texts import digest_of

GENESIS = "0" * 64


@dataclass(frozen=True)
class Verified:
    """What `verify` found: `first_break` is None when the chain is whole; `erased` texts no longer have a body."""

    length: int
    head: str
    erased: int
    first_break: str | None


def head(db: Db) -> str:
    """The link of the last row, or zeros for an empty ledger."""
    last = row(db, "SELECT link FROM need_history ORDER BY id DESC LIMIT 1")
    return last["link"] if last else GENESIS


def append(
    db: Db,
    no: str,
    at: datetime,
    actor: str,
    action: str,
    from_state: str | None,
    to_state: str,
    text_id: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> int:
    """Add one row to the chain and return its number. `actor` is `asker`, `bot`, `cli` or `staff:<id>`, never a name.

    Whoever appends brings the need's columns up to date with `follow`.
    """
    facts = {
        "need_no": no,
        "at": stamp(at),
        "actor": actor,
        "action": action,
        "from_state": from_state,
        "to_state": to_state,
        "digest": digest_of(db, text_id),
    }
    if details:
        # Left out where there are none, so that links made before there were details stay true.
        facts["details"] = json.dumps(details, ensure_ascii=False, sort_keys=True)
    previous = head(db)
    cursor = db.execute(
        "INSERT INTO need_history (need_no, at, actor, action, from_state, to_state, digest, text_id, details, previous, link)"
        " VALUES (:need_no, :at, :actor, :action, :from_state, :to_state, :digest, :text_id, :details, :previous, :link)",
        {"details": None} | facts | {"text_id": text_id, "previous": previous, "link": _link(previous, facts)},
    )
    return int(cursor.lastrowid or 0)


def follow(db: Db, no: str, rules: Rules) -> None:
    """Bring the columns of one need up to date with its history."""
    _store(db, no, project(rows(db, f"{_STEPS} WHERE need_no = ? ORDER BY id", no), rules))


def rebuild(db: Db, rules: Rules | None, only: Sequence[str] = ()) -> int:
    """Make the columns of every need (or `only` some of them) again from the history; returns how many needs changed by it.

    Without `rules` there are no deadlines: then `only` must leave out the cached columns.
    """
    changed = 0
    for no, projected in _projected(db, rules):
        columns = {name: value for name, value in projected.items() if not only or name in only}
        stored = row(db, f"SELECT {', '.join(columns)} FROM needs WHERE no = ?", no)
        if stored != columns:
            _store(db, no, columns)
            changed += 1
    return changed


def verify(db: Db, rules: Rules | None = None) -> Verified:
    """Recompute the whole chain, every kept text's digest, and what the history makes of every need.

    Deadlines are compared too where `rules` are given: they follow from the calendar as well as from the history.
    """
    previous, erased, first_break = GENESIS, 0, None
    history = rows(db, "SELECT h.*, t.body, t.erased_at FROM need_history h LEFT JOIN texts t ON t.id = h.text_id ORDER BY h.id")
    for item in history:
        facts = {name: item[name] for name in ("need_no", "at", "actor", "action", "from_state", "to_state", "digest")}
        if item["details"] is not None:
            facts["details"] = item["details"]
        if item["previous"] != previous or item["link"] != _link(previous, facts):
            first_break = f"第 {item['id']} 条历史（{item['need_no']}，{item['action']}）与前后不符"
            break
        if item["erased_at"] and item["body"] is None:
            erased += 1
        elif (digest_of(db, item["text_id"]) if item["text_id"] else None) != item["digest"]:
            first_break = f"第 {item['id']} 条历史（{item['need_no']}）的文字被改过"
            break
        previous = item["link"]
    return Verified(len(history), head(db), erased, first_break or _record_break(db, rules))


def _record_break(db: Db, rules: Rules | None) -> str | None:
    """A need that says something else than its own history."""
    without = row(db, "SELECT no FROM needs n WHERE NOT EXISTS (SELECT 1 FROM need_history h WHERE h.need_no = n.no) ORDER BY no LIMIT 1")
    if without:
        return f"{without['no']} 没有历史"
    stored = {item["no"]: item for item in rows(db, f"SELECT no, {', '.join(PROJECTED)} FROM needs")}
    for no, columns in _projected(db, rules):
        need = stored.get(no)
        wrong = need is None or any(need[name] != value for name, value in columns.items() if rules or name not in CACHED)
        if wrong:
            return f"{no} 与它的历史不符"
    return None


_STEPS = "SELECT need_no, at, action, from_state, to_state, text_id, details FROM need_history"


def _projected(db: Db, rules: Rules | None) -> list[tuple[str, dict[str, Any]]]:
    steps = rows(db, f"{_STEPS} ORDER BY need_no, id")
    return [(no, project(list(own), rules)) for no, own in groupby(steps, key=lambda step: str(step["need_no"]))]


def _store(db: Db, no: str, columns: dict[str, Any]) -> None:
    db.execute(f"UPDATE needs SET {', '.join(f'{name} = :{name}' for name in columns)} WHERE no = :no", columns | {"no": no})


def _link(previous: str, facts: dict[str, str | None]) -> str:
    return hashlib.sha256((previous + json.dumps(facts, ensure_ascii=False, sort_keys=True)).encode()).hexdigest()
