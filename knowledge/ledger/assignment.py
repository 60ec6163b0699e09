"""Who should handle a need: the rules of DOMAIN section 3.3, in their order. They propose; the assigner decides.

1. who must keep out (民事诉讼法第四十七条: a judge or clerk of a pending case of this enterprise), as named on the need;
2. crowds and utmost urgency go to the division named for that; 3. the topic names the division; 4. street and key
enterprise name who gets a copy; 5. of those who can, whoever has least in hand.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from knowledge.court import Court
from knowledge.database import Db, rows
from knowledge.ledger.workflow import WORKING

RISKY_PEOPLE = 10
"""People concerned from which a need counts as a crowd's (DOMAIN 3.5, W1)."""
RETURNS_TO_PERSON = 2
"""Hand-backs in a row after which nobody is proposed any more: a person has to decide."""


@dataclass(frozen=True)
class Colleague:
    """Somebody who could handle a need, and how many they have in hand."""

    id: int
    name: str
    division: str | None
    in_hand: int


@dataclass(frozen=True)
class Proposal:
    """The proposed division and handler with the reasons, everybody who could do it, and whom to send a copy."""

    division: str | None
    handler: Colleague | None
    colleagues: tuple[Colleague, ...]
    copies: tuple[str, ...]
    reasons: tuple[str, ...]


def propose(db: Db, need: Mapping[str, Any], court: Court, copies: tuple[str, ...] = ()) -> Proposal:
    """What the rules make of a need (a row of `needs`); `copies` are the directory's people for its street and enterprise."""
    division, reasons = _division(need, court)
    recused = set(json.loads(need["recused"] or "[]"))
    if recused:
        reasons.append(f"已排除应回避的 {len(recused)} 人")
    colleagues = tuple(who for who in handlers(db) if who.id not in recused)
    nearest = [who for who in colleagues if who.division == division]
    handler = min(nearest, key=lambda who: (who.in_hand, who.id), default=None)
    if handler:
        reasons.append(f"{handler.name}手上最少（{handler.in_hand} 件）")
    if _returns(db, need["no"]) >= RETURNS_TO_PERSON:
        handler = None
        reasons.append(f"已连续退办 {RETURNS_TO_PERSON} 次，请分派人直接定")
    outside = court.routing_copy.get((need["topic"] or "")[:1])
    return Proposal(division, handler, colleagues, (*copies, *((outside,) if outside else ())), tuple(reasons))


def handlers(db: Db) -> list[Colleague]:
    """Every active handler with their division and what they have in hand."""
    marks = ",".join("?" * len(WORKING))
    found = rows(
        db,
        "SELECT s.id, s.name, s.division, s.roles,"
        f" (SELECT count(*) FROM needs n WHERE n.handler = s.id AND n.state IN ({marks})) AS in_hand"
        " FROM staff s WHERE s.active = 1 ORDER BY s.id",
        *sorted(WORKING),
    )
    able = [item for item in found if "handler" in json.loads(item["roles"])]
    return [Colleague(item["id"], item["name"], item["division"], item["in_hand"]) for item in able]


def _division(need: Mapping[str, Any], court: Court) -> tuple[str | None, list[str]]:
    if need["urgency"] == "特急" or need["sensitive"] == "群体性" or (need["people"] or 0) >= RISKY_PEOPLE:
        return court.routing_urgent, [f"群体性或特急，先交{court.divisions[court.routing_urgent]}"]
    topic = need["topic"] or ""
    division = court.routing.get(topic) or court.routing.get(topic[:1])
    return division, [f"类别 {topic} 对应{court.divisions[division]}"] if division else ["没有类别，或类别没有对应的部门"]


def _returns(db: Db, no: str) -> int:
    """How often the need was handed back since it was last accepted."""
    count = 0
    for step in rows(db, "SELECT action FROM need_history WHERE need_no = ? AND action IN ('return', 'accept') ORDER BY id DESC", no):
        if step["action"] == "accept":
            break
        count += 1
    return count
