"""The library: every entry with its versions, its review and where it came from.

Three origins: `shipped` content of the product, `files` the court imports with `reindex --knowledge`, `console` entries
made or dropped in by staff. The first two are replaced as a whole by what their sources say now; console entries stay
until a person changes them. An entry that a reviewer published keeps that mark only while its content stays the same.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from knowledge.clock import stamp
from knowledge.database import Db, row, rows
from knowledge.entry import Entry
from knowledge.errors import NotFound


@dataclass(frozen=True)
class Published:
    """An entry as the library holds it, with who published it (None: shipped or imported, not yet reviewed here)."""

    entry: Entry
    origin: str
    hash: str
    reviewed_by: str | None
    reviewed_at: str | None


@dataclass
class Changes:
    """What a replacement changed, by entry id."""

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    kept_ours: list[str] = field(default_factory=list)
    """Left out, because staff made an entry of the same id."""


def replace_origin(db: Db, origin: str, entries: Iterable[Entry], at: datetime) -> Changes:
    """Make `origin` hold exactly `entries`; what is no longer there is withdrawn, not deleted."""
    changes = Changes()
    found = rows(db, "SELECT id, hash, state, reviewed_by FROM entries WHERE origin = ?", origin)
    before = {item["id"]: item for item in found}
    # What a person of the court withdrew stays withdrawn, whatever its source says now.
    ours = "origin = 'console' AND (state <> 'withdrawn' OR reviewed_by IS NOT NULL)"
    made_here = {item["id"] for item in rows(db, f"SELECT id FROM entries WHERE {ours}")}
    for entry in entries:
        if entry.id in made_here:
            changes.kept_ours.append(entry.id)
            continue
        known = before.pop(entry.id, None)
        if known is None:
            changes.new.append(entry.id)
        elif known["hash"] == entry.content_hash() and (known["state"] == entry.state or known["reviewed_by"]):
            changes.same.append(entry.id)
            continue
        else:
            changes.changed.append(entry.id)
        withdrawn_here = known is not None and known["state"] == "withdrawn" and known["reviewed_by"]
        put_entry(db, origin, replace(entry, state="withdrawn") if withdrawn_here else entry, at)
    for entry_id, known in before.items():
        if known["state"] != "withdrawn":
            set_state(db, entry_id, "withdrawn", at)
            changes.withdrawn.append(entry_id)
    return changes


def put_entry(db: Db, origin: str, entry: Entry, at: datetime) -> None:
    """Add or change one entry and keep this version; a change loses the reviewer's mark."""
    content = entry.content_hash()
    known = row(db, "SELECT hash, state FROM entries WHERE id = ?", entry.id)
    db.execute(
        "INSERT INTO entries (id, origin, hash, body, state, updated_at) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET origin = excluded.origin, hash = excluded.hash, body = excluded.body,"
        " state = excluded.state, updated_at = excluded.updated_at",
        [entry.id, origin, content, entry.to_json(), entry.state, stamp(at)],
    )
    if known and known["hash"] != content and entry.state != "withdrawn":
        db.execute("UPDATE entries SET reviewed_by = NULL, reviewed_at = NULL WHERE id = ?", [entry.id])
    keep_version(db, entry, at)
    _follow(db, known["state"] if known else "draft", entry.state)


def keep_version(db: Db, entry: Entry, at: datetime) -> str:
    """Keep this version without letting it serve; what serves under its id stays as it is. Returns its hash."""
    content = entry.content_hash()
    db.execute("INSERT OR IGNORE INTO entry_versions VALUES (?, ?, ?, ?)", [entry.id, content, entry.to_json(), stamp(at)])
    return content


def set_state(db: Db, entry_id: str, state: str, at: datetime, reviewer: str | None = None) -> None:
    """Publish, withdraw or send back one entry; `reviewer` is named when a person of the court publishes it. Raises NotFound."""
    mark = (reviewer, stamp(at)) if reviewer else (None, None)
    known = row(db, "SELECT state FROM entries WHERE id = ?", entry_id)
    if known is None:
        raise NotFound(f"没有编号为 {entry_id} 的条目。")
    db.execute(
        "UPDATE entries SET state = ?, updated_at = ?, reviewed_by = coalesce(?, reviewed_by),"
        " reviewed_at = coalesce(?, reviewed_at) WHERE id = ?",
        [state, stamp(at), *mark, entry_id],
    )
    _follow(db, known["state"], state)


@dataclass(frozen=True)
class Held:
    """An entry in whatever state the library holds it; `entry.state` is that state."""

    entry: Entry
    origin: str
    hash: str
    reviewed_by: str | None
    reviewed_at: str | None
    updated_at: str


def find(db: Db, entry_id: str) -> Held | None:
    """The entry of this id in any state, or None."""
    found = row(db, "SELECT * FROM entries WHERE id = ?", entry_id)
    return _held(found) if found else None


def entries_with(db: Db, words: Sequence[str], limit: int) -> list[Held]:
    """Entries of any state that say every one of `words` (in their id, question, wordings or answer), published ones first."""
    fields = ("e.id", *(f"json_extract(e.body, '$.{name}')" for name in ("question", "wordings", "answer")))
    said = " || ' ' || ".join(fields)
    condition = " AND ".join(f"instr({said}, ?) > 0" for _ in words) or "0"
    found = rows(db, f"SELECT e.* FROM entries e WHERE {condition} ORDER BY e.state <> 'published', e.id LIMIT ?", *words, limit)
    return [_held(item) for item in found]


def running_out(db: Db, last: date) -> list[Held]:
    """Published entries whose validity ends on `last` or earlier (some may have run out), the soonest first."""
    found = rows(
        db,
        "SELECT * FROM entries WHERE state = 'published' AND json_extract(body, '$.valid_until') <= ?"
        " ORDER BY json_extract(body, '$.valid_until'), id",
        last.isoformat(),
    )
    return [_held(item) for item in found]


class Shelf:
    """Published entries at hand: each is read once, and again only after the library has changed. For one thread at a time."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._revision = -1
        self._items: dict[str, Published | None] = {}

    def take(self, entry_ids: Iterable[str], today: date) -> dict[str, Published]:
        """Those of `entry_ids` that are published and valid today: only these may answer."""
        now = revision(self._db)
        if now != self._revision:
            self._revision, self._items = now, {}
        found = {}
        for entry_id in entry_ids:
            if entry_id not in self._items:
                stored = row(self._db, "SELECT * FROM entries WHERE id = ? AND state = 'published'", entry_id)
                self._items[entry_id] = _published(stored) if stored else None
            item = self._items[entry_id]
            if item and item.entry.valid_on(today):
                found[entry_id] = item
        return found


def published(db: Db, entry_id: str, today: date) -> Published | None:
    """The entry if it is published and valid today, else None: only these may answer."""
    found = row(db, "SELECT * FROM entries WHERE id = ? AND state = 'published'", entry_id)
    if found is None:
        return None
    item = _published(found)
    return item if item.entry.valid_on(today) else None


def all_published(db: Db) -> list[Published]:
    """Every published entry, by id: what an index is built from."""
    return [_published(item) for item in rows(db, "SELECT * FROM entries WHERE state = 'published' ORDER BY id")]


def published_on_topic(db: Db, topic: str) -> list[Published]:
    """The published entries of one leaf, by id."""
    found = rows(db, "SELECT * FROM entries WHERE state = 'published' AND json_extract(body, '$.topic') = ? ORDER BY id", topic)
    return [_published(item) for item in found]


def waiting_for_review(db: Db) -> list[Entry]:
    """Drafts and entries in review, newest first."""
    found = rows(db, "SELECT body, state FROM entries WHERE state IN ('draft', 'review') ORDER BY updated_at DESC")
    return [replace(Entry.from_json(item["body"]), state=item["state"]) for item in found]


@dataclass(frozen=True)
class Shelved:
    """A published entry and the day it last changed."""

    published: Published
    updated_at: date


def on_shelves(db: Db) -> list[Shelved]:
    """Every published entry with the day of its last change, by id."""
    found = rows(db, "SELECT * FROM entries WHERE state = 'published' ORDER BY id")
    return [Shelved(_published(item), datetime.fromisoformat(item["updated_at"]).date()) for item in found]


def states(db: Db) -> dict[str, int]:
    """How many entries there are in each state."""
    return {item["state"]: item["n"] for item in rows(db, "SELECT state, count(*) AS n FROM entries GROUP BY 1 ORDER BY 1")}


def counts(db: Db) -> dict[str, int]:
    """How many entries there are by `origin/state`."""
    found = rows(db, "SELECT origin || '/' || state AS kind, count(*) AS n FROM entries GROUP BY 1 ORDER BY 1")
    return {item["kind"]: item["n"] for item in found}


def revision(db: Db) -> int:
    """A number that grows with every change of the library; an index remembers which one it was built from."""
    return int(recall(db, "library_revision", 0))


def remember(db: Db, key: str, value: Any) -> None:
    """Keep a small decision (remembered sources, say) as JSON."""
    db.execute("INSERT OR REPLACE INTO memory (key, value) VALUES (?, ?)", [key, json.dumps(value, ensure_ascii=False)])


def recall(db: Db, key: str, default: Any) -> Any:
    """What `remember` kept, or `default`."""
    found = row(db, "SELECT value FROM memory WHERE key = ?", key)
    return json.loads(found["value"]) if found else default


def _follow(db: Db, before: str, after: str) -> None:
    """Let the index follow, if the entry was or is in it: a draft on its way changes nothing that serves."""
    if "published" in (before, after):
        _changed(db)


def _changed(db: Db) -> None:
    remember(db, "library_revision", revision(db) + 1)


def _published(found: dict[str, Any]) -> Published:
    return Published(Entry.from_json(found["body"]), found["origin"], found["hash"], found["reviewed_by"], found["reviewed_at"])


def _held(found: dict[str, Any]) -> Held:
    entry = replace(Entry.from_json(found["body"]), state=found["state"])
    return Held(entry, found["origin"], found["hash"], found["reviewed_by"], found["reviewed_at"], found["updated_at"])
