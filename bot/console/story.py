"""One need from the question to the last delivery, as staff may see it.

Contact details and what looks like personal data in the texts are masked unless the clerk opened them with a reason,
and that reason is a step of the story itself. Looking changes nothing, so it does not count as a change others must see
before they answer.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from bot.access import Staff, staff_name
from bot.console.board import ERASED, TO_ASKER, mask_company
from bot.desk import Desk
from bot.outbox import plain
from knowledge.court import Topic
from knowledge.database import Db, row, rows
from knowledge.drafting import entry_of_need
from knowledge.enterprise import FIELDS, uscc_warning
from knowledge.errors import Conflict
from knowledge.ledger import history
from knowledge.ledger.directory import label_of
from knowledge.ledger.needs import find_need
from knowledge.ledger.record import NAMES, OTHER_CATEGORIES, RESTRICTED, TEXT_FIELDS
from knowledge.ledger.telling import tellings_of
from knowledge.ledger.workflow import ACTION_NAMES, MOVES, OPEN, STATE_NAMES
from knowledge.privacy import mask, mask_name, mask_phone
from knowledge.texts import keep_text, must_be_reason

REVEAL = "reveal"
CHANNELS = {"web": "网页", "telegram": "Telegram", "cli": "命令行"}
DELIVERY = {"waiting": "待送达", "delivered": "已送达", "failed": "失败"}
"""What the outbox calls a message, and what people call it."""
RECORD_FIELDS = (
    "received_at", "registered_on", "urgency", "topic", "other_topics", "street", "industry", "ent_type", "ent_size", "litigation",
    "case_no", "people", "amount", "fast_track", "division", "handler", "recused", "copies", "partners", "summary", "visited_on",
    "visitors", "reply_mode", "replied_on", "closed_on", "outcome", "satisfaction", "flags", "visibility", "sensitive", "remark", "lead_no",
)  # fmt: skip
"""The fields of the record in the order in which they are shown."""


@dataclass(frozen=True)
class Step:
    """One row of the history: who did what, when, with which words."""

    id: int
    at: str
    who: str
    action: str
    name: str
    state_name: str
    text: str | None
    set: list[tuple[str, str]]
    """The fields of the record that this step has set."""


@dataclass(frozen=True)
class Message:
    """One message to somebody who asked, and whether it got there."""

    at: str
    channel: str
    text: str
    state: str
    state_name: str
    detail: str


@dataclass(frozen=True)
class Story:
    """Everything the page of a need shows."""

    no: str
    state: str
    state_name: str
    received: str
    due: date | None
    late: bool
    duty: str | None
    duty_on: str | None
    paused_since: str | None
    source: str
    topic: str
    topic_code: str | None
    question: str
    sensitive: str | None
    restricted: bool
    without_chat: bool
    """Somebody asked in person, by phone or on paper, and cannot erase their own words in a chat."""
    urgency: str
    handler_id: int | None
    record: list[tuple[str, str]]
    missing: list[str]
    answer_waiting: str | None
    must_be_reviewed: str | None
    twins: list[str]
    entry: str | None
    tellings: list[dict[str, str]]
    steps: list[Step]
    messages: list[Message]
    notices: int
    people: list[dict[str, str]]
    revealed: bool
    version: int

    def offers(self, action: str) -> bool:
        """Whether the need is in a state this step starts from."""
        return self.state in MOVES[action].sources


def read_story(db: Db, no: str, desk: Desk, today: date, revealed: bool = False) -> Story:
    """The story of one need. Raises NotFound."""
    need = find_need(db, no)
    due = date.fromisoformat(need["due_on"]) if need["due_on"] and need["state"] in OPEN else None
    return Story(
        no=no,
        state=need["state"],
        state_name=STATE_NAMES[need["state"]],
        received=need["received_at"],
        due=due,
        late=need["state"] in OPEN and bool(need["duty_on"]) and need["duty_on"] < today.isoformat(),
        duty=need["duty"],
        duty_on=need["duty_on"],
        paused_since=need["paused_since"],
        source=need["source"],
        topic=topic_name(need["topic"], desk.topics),
        topic_code=need["topic"],
        sensitive=need["sensitive"],
        restricted=need["visibility"] == RESTRICTED,
        without_chat=row(db, "SELECT 1 FROM askings WHERE need_no = ? AND asker_id IS NULL AND person_id IS NOT NULL", no) is not None,
        urgency=need["urgency"],
        handler_id=need["handler"],
        record=read_record(db, need, desk, revealed),
        missing=missing_fields(db, need),
        answer_waiting=_answer_waiting(db, need),
        must_be_reviewed=desk.group_must_be_reviewed(db, need),
        twins=twins_of(db, need, desk),
        entry=entry_of_need(db, no),
        tellings=[_telling(item) for item in tellings_of(db, no)],
        question=_shown(need["question"], revealed) or ERASED,
        steps=_steps(db, no, desk, revealed),
        messages=_messages(db, no),
        notices=_notices(db, no),
        people=[_person(person, revealed) for person in _people(db, no)],
        revealed=revealed,
        version=last_change(db, no),
    )


def topic_name(code: str | None, topics: Mapping[str, Topic]) -> str:
    """What a category is called: a leaf of the topics, or one of the needs that are no legal question."""
    topic = topics.get(code or "")
    return topic.name if topic else OTHER_CATEGORIES.get(code or "", "")


def read_record(db: Db, need: Mapping[str, Any], desk: Desk, revealed: bool = False) -> list[tuple[str, str]]:
    """The fields of the record that have a value, by what they are called."""
    shown: list[tuple[str, str]] = []
    for name in RECORD_FIELDS:
        value = need[f"{name}_id"] if name in TEXT_FIELDS else need[name]
        if value is None or value == "[]":
            continue
        shown.append((NAMES[name], _field(db, name, value, desk, revealed)))
    return shown


def missing_fields(db: Db, need: Mapping[str, Any]) -> list[str]:
    """The mandatory fields of the ledger (DOMAIN 3.1) that have no value yet, by what they are called."""
    person = row(
        db,
        "SELECT p.company, p.contact, p.phone FROM askings a JOIN persons p ON p.id = a.person_id"
        " WHERE a.need_no = ? ORDER BY a.id LIMIT 1",
        need["no"],
    )
    about = [FIELDS[name] for name in ("company", "contact", "phone") if not (person or {}).get(name)]
    return about + [NAMES[name] for name in ("street", "topic", "litigation") if need[name] is None]


def twins_of(db: Db, need: Mapping[str, Any], desk: Desk) -> list[str]:
    """Needs that may be the same one again: the same enterprise and category within the court's days (DOMAIN 3.2)."""
    if not need["topic"]:
        return []
    # By days: a paper has no hour, and what was asked in the chat on the same day may well be the same.
    day = date.fromisoformat(need["received_at"][:10])
    since = (day - timedelta(days=desk.court.duplicate_days)).isoformat()
    found = rows(
        db,
        "SELECT DISTINCT n.no FROM needs n JOIN askings a ON a.need_no = n.no JOIN persons p ON p.id = a.person_id"
        " WHERE n.no <> ?1 AND n.topic = ?2 AND substr(n.received_at, 1, 10) BETWEEN ?3 AND ?4 AND n.visibility <> ?5"
        " AND n.state NOT IN ('voided', 'withdrawn')"
        " AND EXISTS (SELECT 1 FROM askings b JOIN persons q ON q.id = b.person_id WHERE b.need_no = ?1"
        "  AND (q.id = p.id OR q.enterprise_id = p.enterprise_id OR q.company = p.company)) ORDER BY n.no LIMIT 5",
        need["no"],
        need["topic"],
        since,
        day.isoformat(),
        RESTRICTED,
    )
    return [item["no"] for item in found]


def _answer_waiting(db: Db, need: Mapping[str, Any]) -> str | None:
    """The answer that waits for review, word for word: the reviewer must see what will be sent."""
    if need["state"] != "in_review":
        return None
    found = row(
        db,
        "SELECT t.body FROM need_history h JOIN texts t ON t.id = h.text_id WHERE h.need_no = ? AND h.action = 'submit_reply'"
        " ORDER BY h.id DESC LIMIT 1",
        need["no"],
    )
    return found["body"] if found else None


def _field(db: Db, name: str, value: Any, desk: Desk, revealed: bool) -> str:
    if name in TEXT_FIELDS:
        found = row(db, "SELECT body FROM texts WHERE id = ?", value)
        return _shown(found["body"], revealed) or ERASED if found else ERASED
    if name == "handler":
        return staff_name(db, f"staff:{value}")
    if name == "recused":
        return "、".join(staff_name(db, f"staff:{number}") for number in json.loads(value))
    if name in ("copies", "partners"):
        return "、".join(label_of(db, json.loads(value)))
    if name == "topic":
        return f"{value} {topic_name(value, desk.topics)}"
    if name in ("other_topics", "flags"):
        return "、".join(" ".join(filter(None, [item, topic_name(item, desk.topics)])) for item in json.loads(value))
    if name == "division":
        return desk.court.divisions.get(str(value), str(value))
    if name == "fast_track":
        return "是"
    if name == "amount":
        return f"{value:,} 元"
    return str(value)[:10] if name == "received_at" else str(value)


def last_change(db: Db, no: str) -> int:
    """The last step of a need's history that was more than a look."""
    found = row(db, "SELECT coalesce(max(id), 0) AS id FROM need_history WHERE need_no = ? AND action <> ?", no, REVEAL)
    return int((found or {"id": 0})["id"])


def must_be_unchanged(db: Db, no: str, seen: int) -> None:
    """Refuse to act on what the clerk did not see. Raises NotFound, or Conflict when the need went on meanwhile."""
    find_need(db, no)
    if last_change(db, no) != seen:
        raise Conflict("您打开页面之后，这件需求有了新的进展（办理经过里标出的部分），所以还没有提交。您写的内容还在，请看过新进展再决定。")


def reveal(db: Db, no: str, staff: Staff, reason: str, at: datetime) -> None:
    """Write into the history that `staff` opens the contact details, and why. Raises NotFound, BadInput for no real reason."""
    reason = must_be_reason(reason, "查看联系方式")
    need = find_need(db, no)
    history.append(db, no, at, staff.actor, REVEAL, need["state"], need["state"], keep_text(db, reason))


def _steps(db: Db, no: str, desk: Desk, revealed: bool) -> list[Step]:
    found = rows(
        db,
        "SELECT h.id, h.at, h.actor, h.action, h.from_state, h.to_state, h.details, t.body, t.erased_at FROM need_history h"
        " LEFT JOIN texts t ON t.id = h.text_id WHERE h.need_no = ? ORDER BY h.id",
        no,
    )
    return [_step(db, item, desk, revealed) for item in found]


def _step(db: Db, item: dict[str, Any], desk: Desk, revealed: bool) -> Step:
    text = ERASED if item["erased_at"] else _shown(item["body"], revealed)
    return Step(
        id=item["id"],
        at=item["at"],
        who=staff_name(db, item["actor"]),
        action=item["action"],
        name=ACTION_NAMES[item["action"]],
        state_name=STATE_NAMES[item["to_state"]] if item["to_state"] != item["from_state"] else "",
        # The question stands above the history already.
        text=None if item["action"] == "submit" else text,
        set=_set_by(db, item, desk),
    )


def _set_by(db: Db, item: dict[str, Any], desk: Desk) -> list[tuple[str, str]]:
    """What a step has set, in words; what came in with the question stands in the record."""
    details = json.loads(item["details"] or "{}") if item["action"] != "submit" else {}
    if details.get("field") in NAMES:
        return [(NAMES[details["field"]], "")]
    stored = {name: json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value for name, value in details.items()}
    return [(NAMES[name], _field(db, name, value, desk, False)) for name, value in stored.items() if name in NAMES and value is not None]


def _messages(db: Db, no: str) -> list[Message]:
    found = rows(db, f"SELECT o.* FROM outbox o WHERE o.need_no = ? AND o.edits IS NULL AND {TO_ASKER} ORDER BY o.id", no)
    return [
        Message(
            at=item["created_at"],
            channel=CHANNELS.get(item["channel"], item["channel"]),
            text=" ".join(mask(plain(item["text"])).split()) if item["text"] is not None else ERASED,
            state=item["state"],
            state_name=DELIVERY[item["state"]],
            detail=_detail(item),
        )
        for item in found
    ]


def _telling(item: dict[str, Any]) -> dict[str, str]:
    """Who was told of an answer and how it went; a recipient without a chat has to be telephoned."""
    names = DELIVERY | {"phone": "需电话告知", "withdrawn": "已撤回"}
    return {
        "state": item["state"],
        "state_name": names[item["state"]],
        "company": mask_company(item["company"]),
        "when": item["delivered_at"] or "",
    }


def _detail(item: dict[str, Any]) -> str:
    if item["state"] == "delivered":
        return (item["delivered_at"] or "")[:16].replace("T", " ")
    if item["error"]:
        return mask(item["error"])
    return "提问人下次打开网页时送达" if item["channel"] == "web" else ""


def _notices(db: Db, no: str) -> int:
    """How many notices about the need have not reached staff."""
    found = row(
        db,
        "SELECT count(*) AS n FROM outbox o WHERE o.need_no = ? AND o.edits IS NULL AND o.state <> 'delivered'"
        f" AND EXISTS (SELECT 1 FROM staff_chats c WHERE c.channel = o.channel AND c.chat_id = o.chat_id) AND NOT {TO_ASKER}",
        no,
    )
    return int((found or {"n": 0})["n"])


def _people(db: Db, no: str) -> list[dict[str, Any]]:
    return rows(
        db,
        f"SELECT {', '.join(f'p.{name}' for name in FIELDS)}, count(*) AS times, min(a.asked_at) AS asked_at,"
        " group_concat(DISTINCT k.channel) AS channels FROM askings a JOIN persons p ON p.id = a.person_id"
        " LEFT JOIN askers k ON k.id = a.asker_id WHERE a.need_no = ? GROUP BY p.id ORDER BY min(a.id)",
        no,
    )


def _person(person: dict[str, Any], revealed: bool) -> dict[str, str]:
    """What the person told about the company, by label; only what was filled in."""
    shown = {name: person[name] or "" if revealed else mask(person[name] or "") for name in FIELDS}
    if not revealed:
        shown |= {"contact": mask_name(person["contact"]), "phone": mask_phone(person["phone"])}
    if person["uscc"] and (warning := uscc_warning(person["uscc"])):
        shown["uscc"] += f"（{warning}）"
    channels = "、".join(CHANNELS.get(name, name) for name in (person["channels"] or "").split(",") if name)
    asked = person["asked_at"][:16].replace("T", " ")
    return (
        {FIELDS[name]: value for name, value in shown.items() if value} | {"提问时间": asked} | ({"提问渠道": channels} if channels else {})
    )


def _shown(text: str | None, revealed: bool) -> str | None:
    return text if text is None or revealed else mask(text)
