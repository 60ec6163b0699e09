"""Needs and askings: a question that could not be answered becomes a need that somebody answers.

An asking is one question of one person and what became of it; every question has one. A need is what the court owes
an answer to; it gathers its askings, its history and its replies. A need is never deleted.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from knowledge.clock import stamp
from knowledge.database import Db, row, rows
from knowledge.errors import BadInput, NotAllowed, NotFound
from knowledge.ledger import history
from knowledge.ledger.deadlines import Rules
from knowledge.ledger.workflow import ANSWERING, BACK, MOVES, next_state
from knowledge.texts import keep_text

NO_NEED = "没有编号为 {no} 的需求，请核对编号（样子像 XQ-2026-0001）。"
LONGEST_TEXT = 4000
"""Characters of a reason, a note or an answer; what an asker writes has its own limit."""


@dataclass(frozen=True)
class Asking:
    """What a person asked and how it was met; `band` is answer, offer, need, conversation or refused."""

    text: str
    band: str
    entry_id: str | None = None
    entry_hash: str | None = None
    confidence: float = 0.0
    candidates: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


def record_asking(
    db: Db, asking: Asking, at: datetime, inbox_id: int | None = None, asker_id: int | None = None, person_id: int | None = None
) -> int:
    """Write down one question; the same incoming message (`inbox_id`) is written once. Returns the asking's id."""
    known = row(db, "SELECT id FROM askings WHERE inbox_id = ?", inbox_id) if inbox_id else None
    if known:
        return int(known["id"])
    cursor = db.execute(
        "INSERT INTO askings (inbox_id, asker_id, person_id, text_id, asked_at, band, entry_id, entry_hash, confidence,"
        " candidates, reasons) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            inbox_id,
            asker_id,
            person_id,
            keep_text(db, asking.text),
            stamp(at),
            asking.band,
            asking.entry_id,
            asking.entry_hash,
            asking.confidence,
            json.dumps(asking.candidates, ensure_ascii=False),
            json.dumps(asking.reasons, ensure_ascii=False),
        ],
    )
    return int(cursor.lastrowid or 0)


def open_need(
    db: Db,
    asking_id: int,
    source: str,
    at: datetime,
    rules: Rules,
    topic: str | None = None,
    actor: str = "bot",
    details: Mapping[str, Any] | None = None,
) -> str:
    """Make a need of an asking and return its number, `XQ-2026-0001`; an asking has at most one need.

    `details` are further fields of the record; `received_at` among them is the day a paper or a call came in.
    """
    asking = _asking(db, asking_id)
    if asking["need_no"]:
        return str(asking["need_no"])
    seq = int((row(db, "SELECT coalesce(max(seq), 0) + 1 AS seq FROM needs WHERE year = ?", at.year) or {})["seq"])
    no = f"XQ-{at.year}-{seq:04d}"
    db.execute(
        "INSERT INTO needs (no, year, seq, state, source, topic, text_id, received_at) VALUES (?, ?, ?, 'submitted', ?, ?, ?, ?)",
        [no, at.year, seq, source, topic, asking["text_id"], stamp(at)],
    )
    db.execute("UPDATE askings SET need_no = ? WHERE id = ?", [no, asking_id])
    facts = {"source": source} | ({"topic": topic} if topic else {}) | dict(details or {})
    history.append(db, no, at, actor, "submit", None, "submitted", asking["text_id"], facts)
    history.follow(db, no, rules)
    return no


def move(
    db: Db,
    no: str,
    action: str,
    actor: str,
    roles: frozenset[str],
    at: datetime,
    rules: Rules,
    text: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> int:
    """Do one step of the workflow and write it into the history; returns the number of that row.

    Raises NotFound for an unknown number, NotAllowed for a step this role, person or state does not have, BadInput for a
    missing reason or a text too long; then nothing has changed.
    """
    need = find_need(db, no)
    step = MOVES[action]
    state = next_state(action, need["state"], roles, _state_before(db, need) if step.target == BACK else None)
    if step.own:
        _must_be_own(db, need, step.name, actor)
    if action in ANSWERING:
        _must_not_be_recused(need, step.name, actor)
    text = (text or "").strip()
    if step.why and not text:
        raise BadInput(f"“{step.name}”要写明理由或内容，会记入办理经过。")
    if len(text) > LONGEST_TEXT and actor != "asker":
        raise BadInput(f"内容有 {len(text)} 字，请控制在 {LONGEST_TEXT} 字以内。")
    text_id = keep_text(db, text) if text else None
    number = history.append(db, no, at, actor, action, need["state"], state, text_id, details)
    history.follow(db, no, rules)
    return number


def set_text(db: Db, no: str, field: str, text: str, actor: str, roles: frozenset[str], at: datetime, rules: Rules) -> int:
    """Set a field whose value is an erasable text (`record.TEXT_FIELDS`). Raises as `move` does."""
    return move(db, no, "edit", actor, roles, at, rules, text or None, {"field": field})


def _must_be_own(db: Db, need: Mapping[str, Any], name: str, actor: str) -> None:
    """A need that has a handler is worked on by them; askers and the bot are held by the states alone."""
    if need["handler"] is None or not actor.startswith("staff:") or actor == f"staff:{need['handler']}":
        return
    handler = row(db, "SELECT name FROM staff WHERE id = ?", need["handler"]) or {"name": "别人"}
    raise NotAllowed(f"这件需求由{handler['name']}承办，“{name}”要由本人来做。需要换人，请分派人改派。")


def _must_not_be_recused(need: Mapping[str, Any], name: str, actor: str) -> None:
    """Who must keep out of a need does not work on it, also where it was given to their whole division."""
    if actor in {f"staff:{number}" for number in json.loads(need["recused"] or "[]")}:
        raise NotAllowed(f"您在这件需求里应当回避，不能“{name}”，请分派人改派。")


def _state_before(db: Db, need: Mapping[str, Any]) -> str | None:
    found = row(
        db,
        "SELECT from_state FROM need_history WHERE need_no = ? AND to_state = ? AND from_state <> to_state ORDER BY id DESC LIMIT 1",
        need["no"],
        need["state"],
    )
    return found["from_state"] if found else None


def set_feedback(db: Db, asking_id: int, feedback: str) -> None:
    """Remember what the asker said of an answer: `solved`, `unsolved` or `person`."""
    db.execute("UPDATE askings SET feedback = ? WHERE id = ?", [feedback, asking_id])


def find_need(db: Db, no: str) -> dict[str, Any]:
    """One need with its question (None if erased). Raises NotFound."""
    need = row(db, "SELECT n.*, t.body AS question FROM needs n JOIN texts t ON t.id = n.text_id WHERE n.no = ?", no)
    if need is None:
        raise NotFound(NO_NEED.format(no=no))
    return need


def list_needs(db: Db, limit: int = 100) -> list[dict[str, Any]]:
    """Needs, newest first, with question, company and how often their last reply is still undelivered."""
    return rows(
        db,
        "SELECT n.no, n.state, n.source, n.topic, n.received_at, n.due_on, n.visibility, t.body AS question, p.company, p.phone, p.contact,"
        " (SELECT count(*) FROM outbox o WHERE o.need_no = n.no AND o.state <> 'delivered' AND o.text IS NOT NULL) AS undelivered"
        " FROM needs n JOIN texts t ON t.id = n.text_id LEFT JOIN askings a ON a.need_no = n.no"
        " LEFT JOIN persons p ON p.id = a.person_id GROUP BY n.no ORDER BY n.year DESC, n.seq DESC LIMIT ?",
        limit,
    )


def need_story(db: Db, no: str) -> list[dict[str, Any]]:
    """The history of one need in order, with its texts (None if erased)."""
    return rows(
        db,
        "SELECT h.at, h.actor, h.action, h.to_state, t.body, t.erased_at FROM need_history h"
        " LEFT JOIN texts t ON t.id = h.text_id WHERE h.need_no = ? ORDER BY h.id",
        no,
    )


def needs_of_person(db: Db, person_id: int, limit: int = 20) -> list[dict[str, Any]]:
    """What this person asked, newest first, with the need's number and state where there is one."""
    return rows(
        db,
        "SELECT a.id, a.asked_at, a.band, a.feedback, t.body AS question, n.no, n.state FROM askings a"
        " JOIN texts t ON t.id = a.text_id LEFT JOIN needs n ON n.no = a.need_no"
        " WHERE a.person_id = ? AND a.band IN ('answer', 'offer', 'need') ORDER BY a.id DESC LIMIT ?",
        person_id,
        limit,
    )


def asking_of(db: Db, asking_id: int, asker_id: int) -> dict[str, Any] | None:
    """An asking with its text, if it is this asker's; a button from somebody else's message finds nothing."""
    return row(
        db,
        "SELECT a.*, t.body AS text FROM askings a JOIN texts t ON t.id = a.text_id WHERE a.id = ? AND a.asker_id = ?",
        asking_id,
        asker_id,
    )


def _asking(db: Db, asking_id: int) -> dict[str, Any]:
    asking = row(db, "SELECT * FROM askings WHERE id = ?", asking_id)
    if asking is None:
        raise NotFound("这条提问已经不在了，请重新提问。")
    return asking
