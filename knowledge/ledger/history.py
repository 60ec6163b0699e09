"""The append-only, hash-chained history of every need.

Each row's link is the SHA-256 of the link before it and the row's own facts. Facts hold no personal data: who acted
is a role or a staff number, what was said is a salted digest of an erasable text. Changing, removing or reordering
any row breaks every link after it; `verify` names the first. The head of the chain goes into each backup, so that
cutting off the tail shows as well.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from knowledge.clock import stamp
from knowledge.database import Db, row, rows
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
    db: Db, no: str, at: datetime, actor: str, action: str, from_state: str | None, to_state: str, text_id: int | None = None
) -> None:
    """Add one row to the chain. `actor` is `asker`, `bot`, `cli` or `staff:<id>`, never a name."""
    facts = {
        "need_no": no,
        "at": stamp(at),
        "actor": actor,
        "action": action,
        "from_state": from_state,
        "to_state": to_state,
        "digest": digest_of(db, text_id),
    }
    previous = head(db)
    db.execute(
        "INSERT INTO need_history (need_no, at, actor, action, from_state, to_state, digest, text_id, previous, link)"
        " VALUES (:need_no, :at, :actor, :action, :from_state, :to_state, :digest, :text_id, :previous, :link)",
        facts | {"text_id": text_id, "previous": previous, "link": _link(previous, facts)},
    )


def verify(db: Db) -> Verified:
    """Recompute the whole chain, every kept text's digest, and every need's state."""
    previous, erased, first_break = GENESIS, 0, None
    history = rows(db, "SELECT h.*, t.body, t.erased_at FROM need_history h LEFT JOIN texts t ON t.id = h.text_id ORDER BY h.id")
    for item in history:
        facts = {name: item[name] for name in ("need_no", "at", "actor", "action", "from_state", "to_state", "digest")}
        if item["previous"] != previous or item["link"] != _link(previous, facts):
            first_break = f"第 {item['id']} 条历史（{item['need_no']}，{item['action']}）与前后不符"
            break
        if item["erased_at"] and item["body"] is None:
            erased += 1
        elif (digest_of(db, item["text_id"]) if item["text_id"] else None) != item["digest"]:
            first_break = f"第 {item['id']} 条历史（{item['need_no']}）的文字被改过"
            break
        previous = item["link"]
    return Verified(len(history), head(db), erased, first_break or _state_break(db))


def _state_break(db: Db) -> str | None:
    """A need that says something else than its own history: state, question, or when it was received (its deadline hangs on it)."""
    wrong = row(
        db,
        "SELECT n.no FROM needs n"
        " LEFT JOIN need_history last ON last.id = (SELECT max(id) FROM need_history WHERE need_no = n.no)"
        " LEFT JOIN need_history first ON first.id = (SELECT min(id) FROM need_history WHERE need_no = n.no)"
        " WHERE last.to_state IS NOT n.state OR first.text_id IS NOT n.text_id OR first.at IS NOT n.received_at ORDER BY n.no LIMIT 1",
    )
    return f"{wrong['no']} 与它的历史不符" if wrong else None


def _link(previous: str, facts: dict[str, str | None]) -> str:
    return hashlib.sha256((previous + json.dumps(facts, ensure_ascii=False, sort_keys=True)).encode()).hexdigest()
