"""What publishing an entry would change: every past question is asked again, of what serves and of what would serve.

The rehearsal is the real thing in a temporary folder: the published entries and the draft in a small library of their own,
the index refreshed from the one that serves (vectors of known texts are used again) by the function that will refresh the
real one. Nothing that serves is touched. Only questions near the draft can change, so only those are judged in full.
"""

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bot.answering import Answering, Candidate, Verdict
from bot.startup import Opened
from indexing import building
from indexing.building import Generation
from indexing.index import Vector
from knowledge import library
from knowledge.database import Database, Db, rows
from knowledge.entry import Entry
from knowledge.ledger.record import RESTRICTED
from knowledge.privacy import mask

FLOOR = 0.4
"""Cosine of a question to the nearest text of a draft below which the draft cannot change its answer. Measured on the shipped library with
2,135 questions: no entry answered one directly that was further away than 0.70, none took one away from another further away than 0.51."""
MOST_QUESTIONS = 5_000
MOST_JUDGED = 300
NEAREST = 5
NEAR_FROM = 0.1
"""Confidence from which an existing entry is worth comparing with; below it people would read five strangers."""
SAME_FROM = 0.85
"""Confidence from which a candidate without any difference counts as the same question."""
REHEARSAL = "预演"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """A past question (masked) and which entry answers it directly before and after; `why` makes it a conflict."""

    question: str
    before: str | None
    before_question: str
    after: str | None
    after_question: str
    why: str = ""


@dataclass(frozen=True)
class Outlook:
    """What publishing would change: questions that get an answer, those that get another one or none, and which of it needs a reason."""

    asked: int
    judged: int
    gains: tuple[Change, ...] = ()
    changed: tuple[Change, ...] = ()
    conflicts: tuple[Change, ...] = ()


NOTHING_SERVES = Outlook(0, 0)
"""Without an index nothing answers yet, so nothing can change."""


@dataclass(frozen=True)
class Near:
    """An existing entry that is like a draft, how sure we are that it means the same, and what sets them apart."""

    id: str
    question: str
    confidence: float
    cosine: float
    relation: str
    differences: tuple[str, ...]


@dataclass(frozen=True)
class _Past:
    """A question somebody asked, and the entries whose answer to it was confirmed."""

    text: str
    solved_by: frozenset[str]


class Consequences:
    """Looks ahead for one data folder; one look at a time, kept in memory as long as the same index serves."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        # Looking ahead takes seconds; finding what is near must not wait for it.
        self._one, self._near = threading.Lock(), threading.Lock()
        # A thread of its own: whoever looks ahead must not hold up those who sign in or export.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="consequences")
        self._looks: dict[tuple[str, int], Outlook] = {}
        self._vectors: dict[str, Vector] = {}
        self._serving: tuple[int, Answering] | None = None

    def seen(self, version: str) -> Outlook | None:
        """What was found for this version (an entry's hash) over the index that serves now; None if nobody has looked."""
        generation = building.current(self._opened.folders.index)
        return self._looks.get((version, generation.number)) if generation else NOTHING_SERVES

    async def look_ahead(self, entry: Entry, version: str) -> Outlook:
        """`look`, one after another, while everything else goes on."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.look, entry, version)

    def look(self, entry: Entry, version: str) -> Outlook:
        """Ask all past questions with and without `entry`. Takes seconds.

        Raises IndexUnusable when the index is damaged or another model's.
        """
        with self._one:
            generation = building.current(self._opened.folders.index)
            if generation is None:
                return NOTHING_SERVES
            key = (version, generation.number)
            if key not in self._looks:
                found = self._compare(entry, generation)
                self._looks = {known: look for known, look in self._looks.items() if known[1] == generation.number} | {key: found}
            return self._looks[key]

    def nearest(self, entry: Entry) -> list[Near]:
        """The published entries most like this one, without itself: so that a wording is added there instead of a second entry."""
        with self._near:
            generation = building.current(self._opened.folders.index)
            if generation is None or not entry.question.strip():
                return []
            candidates = self._now(generation).reply_to(entry.question, k=NEAREST + 1).candidates
            return [_near(c) for c in candidates if c.published.entry.id != entry.id and c.confidence >= NEAR_FROM][:NEAREST]

    def central(self, texts: Sequence[str]) -> str | None:
        """The text most like all the others; the first of several, None of none."""
        if not texts:
            return None
        vectors = self._opened.encoder.encode(list(texts))
        # Rounded, so that of two texts, which are as like each other as the other way round, the first is taken.
        return texts[int((vectors @ vectors.T).mean(axis=1).round(4).argmax())]

    def _now(self, generation: Generation) -> Answering:
        """What serves, opened for `nearest` alone: the bot's own is used by another thread."""
        if self._serving is None or self._serving[0] != generation.number:
            self._serving = (generation.number, self._answering(self._opened.database, self._opened.folders.index, generation))
        return self._serving[1]

    def _answering(self, database: Database, folder: Path, generation: Generation) -> Answering:
        opened = self._opened
        return Answering(
            database,
            opened.encoder,
            opened.calibration,
            # Which articles of a law are near is not asked here.
            building.open_generation(folder, replace(generation, laws=None), opened.encoder),
            opened.clock,
            opened.thesaurus[0],
            opened.spelling,
            opened.settings.answer_only_reviewed,
        )

    def _compare(self, entry: Entry, generation: Generation) -> Outlook:
        past, served, old = self._opened.database.read(lambda db: (_past(db), _served(db), library.find(db, entry.id))).result()
        texts = [*entry.searchable_texts(), *(old.entry.searchable_texts() if old else ())]
        questions = self._within_reach(past, texts)
        before = self._answering(self._opened.database, self._opened.folders.index, generation)
        with tempfile.TemporaryDirectory(prefix="yuanqitong-") as scratch:
            folder = Path(scratch)
            rehearsed = Database(folder / "library.db", "OFF")
            try:
                rehearsed.write(lambda db: _stock(db, served, entry, generation.covers)).result()
                index = self._beside(generation, folder / "index")
                made = building.refresh(rehearsed, index, self._opened.encoder, self._opened.clock())
                after = self._answering(rehearsed, index, made or generation)
                changes = [_change(item, before.reply_to(item.text), after.reply_to(item.text), entry) for item in questions]
                taken = self._taken(entry, served, before, after)
            finally:
                rehearsed.close()
        real = [change for change in changes if change]
        return Outlook(
            len(past),
            len(questions),
            gains=tuple(change for change in real if change.before is None),
            changed=tuple(change for change in real if change.before is not None),
            conflicts=(*(change for change in real if change.why), *taken),
        )

    def _within_reach(self, past: Sequence[_Past], texts: Sequence[str]) -> list[_Past]:
        """The past questions near enough to be changed, nearest first."""
        missing = [item.text for item in past if item.text not in self._vectors]
        if missing:
            wanted = {item.text for item in past}
            kept = {text: vector for text, vector in self._vectors.items() if text in wanted}
            self._vectors = kept | dict(zip(missing, self._opened.encoder.encode(missing), strict=True))
        if not past:
            return []
        own = self._opened.encoder.encode(list(texts))
        near = (np.stack([self._vectors[item.text] for item in past]) @ own.T).max(axis=1)
        ranked = np.argsort(-near, kind="stable")[:MOST_JUDGED]
        return [past[place] for place in ranked if near[place] >= FLOOR]

    def _taken(self, entry: Entry, served: Sequence[Row], before: Answering, after: Answering) -> list[Change]:
        """Questions and wordings of other entries that the draft would answer in their place."""
        index = before.opened.entries
        near = {found.unit for vector in self._opened.encoder.encode(list(entry.searchable_texts())) for found in index.nearest(vector, 20)}
        units = index.units(sorted(near))
        keys = {unit.key for unit in units.values() if unit.key != entry.id}
        others = {item["id"]: Entry.from_json(item["body"]) for item in served if item["id"] in keys}
        found = []
        for unit in units.values():
            other = others.get(unit.key)
            if other is None or unit.text not in (other.question, *other.wordings):
                continue
            answer = after.reply_to(unit.text).answer
            if answer and answer.published.entry.id == entry.id:
                why = f"条目 {unit.key} 自己的问法会改由这个条目答复"
                found.append(Change(unit.text, unit.key, other.question, entry.id, entry.question, why))
        return found

    def _beside(self, generation: Generation, folder: Path) -> Path:
        """An index folder that begins where the real one is; its entries are only pointed to."""
        real = self._opened.folders.index.resolve()
        folder.mkdir()
        for name in ("current", f"{generation.number:06d}.json"):
            shutil.copyfile(real / name, folder / name)
        (folder / generation.entries).symlink_to(real / generation.entries, target_is_directory=True)
        return folder


@lru_cache(maxsize=2)
def consequences_of(opened: Opened) -> Consequences:
    """The one that looks ahead for this data folder, shared by everything that publishes."""
    return Consequences(opened)


def _past(db: Db) -> list[_Past]:
    """The newest different questions that were met with an answer, choices or a need; nothing of restricted needs, nothing erased."""
    found = rows(
        db,
        "SELECT t.body, max(a.id) AS last, group_concat(CASE WHEN a.feedback = 'solved' THEN a.entry_id END, char(10)) AS solved"
        " FROM askings a JOIN texts t ON t.id = a.text_id LEFT JOIN needs n ON n.no = a.need_no"
        " WHERE t.body IS NOT NULL AND a.band IN ('answer', 'offer', 'need')"
        " AND (n.no IS NULL OR (n.sensitive IS NULL AND n.visibility <> ?)) GROUP BY t.body ORDER BY last DESC LIMIT ?",
        RESTRICTED,
        MOST_QUESTIONS,
    )
    return [_Past(item["body"], frozenset(filter(None, (item["solved"] or "").split("\n")))) for item in found]


def _served(db: Db) -> Sequence[Row]:
    return rows(db, "SELECT id, origin, hash, body, state, reviewed_by, reviewed_at, updated_at FROM entries WHERE state = 'published'")


def _stock(db: Db, served: Sequence[Row], entry: Entry, covers: int) -> None:
    """A library that holds what is published and, as if published, the draft."""
    for item in served:
        db.execute(f"INSERT INTO entries ({', '.join(item)}) VALUES ({', '.join('?' * len(item))})", list(item.values()))
    # What begins to hold later is judged as if it held today.
    draft = replace(entry, state="draft", valid_from=None)
    at = "2000-01-01T00:00:00+08:00"
    db.execute(
        "INSERT OR REPLACE INTO entries (id, origin, hash, body, state, reviewed_by, reviewed_at, updated_at)"
        " VALUES (?, 'console', ?, ?, 'published', ?, ?, ?)",
        [draft.id, draft.content_hash(), draft.to_json(), REHEARSAL, at, at],
    )
    library.remember(db, "library_revision", covers + 1)


def _change(item: _Past, before: Verdict, after: Verdict, entry: Entry) -> Change | None:
    """What becomes of one question, or None when nothing does."""
    was, will = (verdict.answer.published if verdict.answer else None for verdict in (before, after))
    same = was is not None and will is not None and was.entry.id == will.entry.id
    if was is None and (will is None or will.entry.id != entry.id):
        return None
    if same and was and will and _answers_alike(was.entry, will.entry):
        return None
    why = ""
    if was and was.entry.id in item.solved_by:
        why = "提问人确认过原来的答复解决了问题"
    elif was and was.reviewed_by and not same:
        why = "原来的答复是本院审核过的"
    return Change(
        mask(item.text),
        was.entry.id if was else None,
        was.entry.question if was else "",
        will.entry.id if will else None,
        will.entry.question if will else "",
        why,
    )


def _answers_alike(one: Entry, other: Entry) -> bool:
    """Whether two versions of an entry tell the asker the same."""
    said = [(entry.answer, entry.deadline, entry.steps, entry.materials) for entry in (one, other)]
    return said[0] == said[1]


def _near(candidate: Candidate) -> Near:
    differences, entry = candidate.differences, candidate.published.entry
    if differences.forbidding:
        relation = "说法相反"
    elif candidate.confidence >= SAME_FROM and not differences.reasons:
        relation = "意思相同"
    else:
        relation = "相近"
    return Near(entry.id, entry.question, candidate.confidence, candidate.hit.cosine, relation, differences.reasons)
