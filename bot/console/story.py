"""One need from the question to the last delivery, as staff may see it.

Contact details and what looks like personal data in the texts are masked unless the clerk opened them with a reason,
and that reason is a step of the story itself. Looking changes nothing, so it does not count as a change others must see
before they answer.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from bot.access import Staff, staff_name
from bot.console.board import ERASED, TO_ASKER
from bot.desk import Desk
from bot.outbox import plain
from knowledge.database import Db, row, rows
from knowledge.enterprise import FIELDS
from knowledge.errors import BadInput, Conflict
from knowledge.ledger import history
from knowledge.ledger.needs import find_need
from knowledge.ledger.workflow import ACTION_NAMES, MOVES, OPEN, STATE_NAMES
from knowledge.privacy import mask, mask_name, mask_phone
from knowledge.texts import keep_text

REVEAL = "reveal"
SHORTEST_REASON = 4
LONGEST_REASON = 500
CHANNELS = {"web": "网页", "telegram": "Telegram", "cli": "命令行"}
DELIVERY = {"waiting": "待送达", "delivered": "已送达", "failed": "失败"}
"""What the outbox calls a message, and what people call it."""


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
    source: str
    topic: str
    question: str
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
        late=due is not None and due < today,
        source=need["source"],
        topic=desk.topics[need["topic"]].name if need["topic"] in desk.topics else "",
        question=_shown(need["question"], revealed) or ERASED,
        steps=_steps(db, no, revealed),
        messages=_messages(db, no),
        notices=_notices(db, no),
        people=[_person(person, revealed) for person in _people(db, no)],
        revealed=revealed,
        version=last_change(db, no),
    )


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
    reason = reason.strip()
    if len(reason) < SHORTEST_REASON:
        raise BadInput("请写清楚为什么要看联系方式（至少 4 个字），会记入办理经过。")
    if len(reason) > LONGEST_REASON:
        raise BadInput(f"理由有 {len(reason)} 字，请控制在 {LONGEST_REASON} 字以内。")
    need = find_need(db, no)
    history.append(db, no, at, staff.actor, REVEAL, need["state"], need["state"], keep_text(db, reason))


def _steps(db: Db, no: str, revealed: bool) -> list[Step]:
    found = rows(
        db,
        "SELECT h.id, h.at, h.actor, h.action, h.from_state, h.to_state, t.body, t.erased_at FROM need_history h"
        " LEFT JOIN texts t ON t.id = h.text_id WHERE h.need_no = ? ORDER BY h.id",
        no,
    )
    return [_step(db, item, revealed) for item in found]


def _step(db: Db, item: dict[str, Any], revealed: bool) -> Step:
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
    )


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
    channels = "、".join(CHANNELS.get(name, name) for name in (person["channels"] or "").split(",") if name)
    asked = person["asked_at"][:16].replace("T", " ")
    return (
        {FIELDS[name]: value for name, value in shown.items() if value} | {"提问时间": asked} | ({"提问渠道": channels} if channels else {})
    )


def _shown(text: str | None, revealed: bool) -> str | None:
    return text if text is None or revealed else mask(text)
