"""Entries as staff see them: what waits for review, one entry with everything about it, and the form that changes it.

What is published is exactly what the reviewer read, or it is not published. Companies are masked here already.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from bot.access import Staff, staff_name
from bot.console.board import mask_company
from bot.desk import Desk
from bot.publishing import set_aside, sign, withdraw
from knowledge import drafting, library, lineage
from knowledge.database import Db, row, rows
from knowledge.drafting import ACTIONS, Version
from knowledge.entry import Entry
from knowledge.errors import BadInput, Conflict, NotFound
from knowledge.ledger.workflow import STATE_NAMES
from knowledge.lineage import Difference, Month
from knowledge.privacy import mask, mask_name, mask_phone

PAGE = 30
MOST_FOUND = 50
MOST_WORDS = 6
LONGEST_SEARCH = 60
SOON_DAYS = 30
"""Entries whose validity ends within these days are shown to the reviewers."""
_OPEN_EVENT = (
    "EXISTS (SELECT 1 FROM entry_events v WHERE v.id = (SELECT max(id) FROM entry_events WHERE entry_id = entries.id)"
    f" AND v.action IN ({', '.join(repr(action) for action in sorted(drafting.OPEN))}))"
)
WAITING = f"(state IN ('draft', 'review') OR (state = 'published' AND reviewed_by IS NULL)) AND NOT {_OPEN_EVENT}"
"""Entries nobody here wrote a version of, and nobody has signed for: documents sent in, shipped and imported ones."""
READERS = frozenset({"registrar", "handler", "reviewer", "admin", "supervisor", "auditor"})
EDITORS = frozenset({"registrar", "handler", "reviewer", "admin"})
ORIGINS = {"shipped": "随软件附带", "files": "本院导入", "console": "工作人员编写"}
STATES = {"draft": "草稿", "review": "审核中", "published": "已发布", "withdrawn": "不用"}
DELIVERY = {"waiting": "待送达", "delivered": "已送达", "failed": "失败", "phone": "需电话告知", "withdrawn": "已撤回"}
TEXTS = ("question", "answer", "deadline", "mistake", "elsewhere")
LISTS = ("wordings", "steps", "materials")


@dataclass(frozen=True)
class Draft:
    """An entry with the hash of exactly this content and where it came from; `serves` says that it answers already."""

    entry: Entry
    hash: str
    origin: str
    state_name: str
    updated: str
    link: str
    serves: bool


@dataclass(frozen=True)
class Work:
    """A version on its way: who wrote it, since when it waits."""

    id: str
    question: str
    state: str
    state_name: str
    author: str
    at: str
    link: str
    serves: bool


@dataclass(frozen=True)
class RunningOut:
    """A published entry whose validity ends soon."""

    id: str
    question: str
    last: date
    over: bool
    link: str


@dataclass(frozen=True)
class Found:
    """An entry somebody searched for."""

    id: str
    question: str
    state: str
    state_name: str
    link: str


@dataclass(frozen=True)
class Drafts:
    """One page of what waits, what staff are working on, what runs out soon, and how many entries there are."""

    works: list[Work]
    running_out: list[RunningOut]
    waiting: list[Draft]
    total: int
    page: int
    pages: int
    table: list[tuple[str, list[int]]]
    states: list[str]


@dataclass(frozen=True)
class Happened:
    """One step of an entry, for people."""

    at: str
    who: str
    name: str
    note: str


@dataclass(frozen=True)
class ShownVersion:
    """A kept version: when, by which steps, and what it changed."""

    at: str
    hash: str
    serves: bool
    differences: tuple[Difference, ...]
    happened: list[Happened]


@dataclass(frozen=True)
class Told:
    """One enterprise that was told something, masked, and whether it got there."""

    at: str
    no: str
    company: str
    contact: str
    phone: str
    about: str
    state: str
    state_name: str
    detail: str


@dataclass(frozen=True)
class Source:
    """A need an entry comes from, masked."""

    no: str
    state: str
    state_name: str
    company: str
    verified: bool
    askers: int
    received: str
    visited: str


@dataclass(frozen=True)
class EntryPage:
    """Everything the page of one entry shows."""

    id: str
    link: str
    held: library.Held | None
    origin: str
    state: str
    state_name: str
    version: Version | None
    author: str
    mine: bool
    personal: list[str]
    citation_warnings: list[str]
    topic: str
    sources: list[Source]
    verified: int
    told: list[Told]
    months: list[Month]
    versions: list[ShownVersion]
    events: list[Happened]

    @property
    def shown(self) -> Entry:
        """The version people are asked about: the one on its way, else what the library holds."""
        if self.version:
            return self.version.entry
        assert self.held is not None
        return self.held.entry

    @property
    def hash(self) -> str:
        """The hash of what is shown."""
        if self.version:
            return self.version.hash
        assert self.held is not None
        return self.held.hash


def link(entry_id: str) -> str:
    """The address of an entry below /console; ids may hold colons, slashes and Chinese."""
    return "/entries/" + quote(entry_id, safe="")


def read_drafts(db: Db, page: int, today: date) -> Drafts:
    """A page of drafts, newest first, below what staff are working on."""
    counted = library.counts(db)
    total = int((row(db, f"SELECT count(*) AS n FROM entries WHERE {WAITING}") or {"n": 0})["n"])
    pages = max(1, -(-total // PAGE))
    page = min(max(1, page), pages)
    table = [(name, [counted.get(f"{origin}/{state}", 0) for state in STATES]) for origin, name in ORIGINS.items()]
    works = [_work(db, version) for version in drafting.open_versions(db)]
    return Drafts(works, _running_out(db, today), _waiting(db, page), total, page, pages, table, list(STATES.values()))


def find_entries(db: Db, text: str) -> list[Found]:
    """Entries of any state that say every word of `text`."""
    words = text.split()[:MOST_WORDS]
    return [
        Found(item.entry.id, item.entry.question, item.entry.state, STATES[item.entry.state], link(item.entry.id))
        for item in library.entries_with(db, words, MOST_FOUND)
    ]


def decide(db: Db, entry_id: str, seen_hash: str, decision: str, staff: Staff, at: datetime, why: str = "") -> None:
    """Sign for an entry that answers already, or do not use one that waits; a draft itself is published by `publishing.publish`.

    Raises NotFound, BadInput without a reason where one is needed, or Conflict when it is no longer what the reviewer saw.
    """
    if row(db, "SELECT 1 FROM entries WHERE id = ?", entry_id) is None:
        raise NotFound("没有这个条目，可能已被新的导入替换。请返回条目列表查看。")
    waiting = row(db, f"SELECT hash, state FROM entries WHERE id = ? AND {WAITING}", entry_id)
    if waiting is None:
        raise Conflict("这个条目已经处理过，或者有人正在修改，这次没有改动。请返回条目列表查看。")
    if waiting["hash"] != seen_hash:
        raise Conflict("这个条目的内容在您审阅时变了，所以没有提交。请返回条目列表，看过新内容再决定。")
    if waiting["state"] != "published":
        set_aside(db, entry_id, seen_hash, staff, at, why)
    elif decision == "publish":
        sign(db, entry_id, seen_hash, staff, at)
    else:
        withdraw(db, entry_id, seen_hash, staff, at, why)


def is_draft(db: Db, entry_id: str) -> bool:
    """Whether there is a version of this entry that is not published yet."""
    return drafting.working(db, entry_id) is not None


def read_entry(db: Db, entry_id: str, desk: Desk, staff: Staff, today: date) -> EntryPage:
    """One entry with where it comes from and what became of it. Raises NotFound."""
    held, version = library.find(db, entry_id), drafting.working(db, entry_id)
    if held is None:
        raise NotFound("没有这个条目，可能已被新的导入替换。请返回条目列表查看。")
    visible = desk.visible(staff)
    shown = version.entry if version else held.entry
    events = lineage.events_of(db, entry_id)
    return EntryPage(
        id=entry_id,
        link=link(entry_id),
        held=held,
        origin=ORIGINS.get(held.origin, held.origin),
        state=held.entry.state,
        state_name=STATES[held.entry.state],
        version=version,
        author=staff_name(db, version.author) if version and version.author else "",
        mine=version is not None and staff.actor in drafting.writers_of(db, entry_id),
        personal=drafting.looks_personal(shown) if version else [],
        citation_warnings=drafting.citation_warnings(shown, today),
        topic=desk.topics[shown.topic].name if shown.topic and shown.topic in desk.topics else "",
        sources=[_source(item) for item in lineage.sources(db, entry_id, visible)],
        verified=lineage.verified_enterprises(db, entry_id, visible),
        told=[_told(item) for item in lineage.tellings_of_entry(db, entry_id, visible)],
        months=lineage.use_by_month(db, entry_id),
        versions=[_version(db, item, held) for item in lineage.versions_of(db, entry_id)],
        events=[_happened(db, event) for event in events],
    )


def read_undelivered(db: Db, desk: Desk, staff: Staff, no: str = "", revealed: bool = False) -> list[Told]:
    """Who was told something and has not got it; contacts are masked unless they were opened with a reason."""
    return [_told(item, revealed) for item in lineage.undelivered(db, desk.visible(staff), no)]


def typed_entry(form: Mapping[str, str], before: Entry, topics: Mapping[str, Any], today: date) -> Entry:
    """The entry as the form says it; what the form does not ask stays. Raises BadInput naming the field that cannot be read."""
    typed: dict[str, Any] = {name: form.get(name, "").strip() or None for name in TEXTS}
    typed |= {"question": " ".join((typed["question"] or "").split()), "answer": typed["answer"] or ""}
    typed |= {name: drafting.wordings_of(form.get(name, "")) for name in LISTS}
    typed |= {name: _day(form.get(name, ""), label) for name, label in (("valid_from", "生效日期"), ("valid_until", "失效日期"))}
    lines = drafting.wordings_of(form.get("basis", ""))
    typed["basis"] = tuple(dict.fromkeys(drafting.citation_of(line, before.basis, today) for line in lines))
    typed["topic"] = form.get("topic", "") or None
    if typed["topic"] and typed["topic"] not in topics:
        raise BadInput("没有这个主题，请从列表里选。")
    return replace(before, state="draft", **typed)


def as_typed(entry: Entry) -> dict[str, str]:
    """What the form shows for an entry."""
    fields = {name: getattr(entry, name) or "" for name in TEXTS}
    fields |= {name: "\n".join(getattr(entry, name)) for name in LISTS}
    fields |= {name: (getattr(entry, name) or "") and getattr(entry, name).isoformat() for name in ("valid_from", "valid_until")}
    return fields | {"basis": "\n".join(map(str, entry.basis)), "topic": entry.topic or ""}


def _day(text: str, label: str) -> date | None:
    if not text.strip():
        return None
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise BadInput(f"{label}请写成 2026-11-18 这样的日期；您填的是“{text[:30]}”。") from error


def _work(db: Db, version: Version) -> Work:
    entry_id = version.entry.id
    held = library.find(db, entry_id)
    return Work(
        entry_id,
        version.entry.question,
        version.state,
        {"review": "等待审核", "draft": "正在编写"}[version.state],
        staff_name(db, version.author) if version.author else "",
        version.at,
        link(entry_id),
        held is not None and held.entry.state == "published",
    )


def _running_out(db: Db, today: date) -> list[RunningOut]:
    return [
        RunningOut(item.entry.id, item.entry.question, item.entry.valid_until, item.entry.valid_until < today, link(item.entry.id))
        for item in library.running_out(db, today + timedelta(days=SOON_DAYS))
        if item.entry.valid_until
    ]


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
            link(item["id"]),
            item["state"] == "published",
        )
        for item in found
    ]


def _source(item: Mapping[str, Any]) -> Source:
    return Source(
        item["no"],
        item["state"],
        STATE_NAMES[item["state"]],
        mask_company(item["company"]),
        bool(item["verified"]),
        item["askers"],
        item["received_at"],
        item["visited_on"] or "",
    )


def _told(item: Mapping[str, Any], revealed: bool = False) -> Told:
    detail = (item["delivered_at"] or "")[:16].replace("T", " ") if item["state"] == "delivered" else mask(item["error"] or "")
    if item["state"] == "waiting" and item["channel"] == "web" and not detail:
        detail = "对方下次打开网页时送达"
    return Told(
        item["told_at"],
        item["need_no"],
        (item["company"] or "") if revealed else mask_company(item["company"]),
        (item["contact"] or "") if revealed else mask_name(item["contact"]),
        (item["phone"] or "") if revealed else mask_phone(item["phone"]),
        "条目发布" if item["entry_id"] else "答复",
        item["state"],
        DELIVERY[item["state"]],
        detail,
    )


def _version(db: Db, item: lineage.KeptVersion, held: library.Held) -> ShownVersion:
    serves = item.hash == held.hash and held.entry.state == "published"
    return ShownVersion(item.first_seen_at, item.hash[:8], serves, item.differences, [_happened(db, event) for event in item.events])


def _happened(db: Db, event: Mapping[str, Any]) -> Happened:
    return Happened(event["at"], staff_name(db, event["actor"]), ACTIONS[event["action"]], event["note"] or "")
