"""Needs that not everybody may see: a crowd, a petition, danger, a complaint about a case or a judge.

The court's own words decide (`sensitive_words`), and a person can always set or lift it. Such a need is seen only by those
who must deal with it, is told only to the named duty person, is never offered to others as 我也遇到, and never becomes a draft.
"""

import json
from typing import Any

from knowledge.court import Court
from knowledge.database import Db, row, rows
from knowledge.ledger.record import RESTRICTED

WATCHERS = frozenset({"supervisor", "auditor"})
"""Roles that see restricted needs besides the duty person and the handler.

An assigner does until somebody has signed for it, a reviewer while an answer waits for them.
"""


def kind_of(text: str, court: Court) -> str | None:
    """The kind of a sensitive text, the first in the court's own order; None for an ordinary one."""
    flat = "".join(text.split())
    return next((kind for kind, words in court.sensitive_words.items() if any(word in flat for word in words)), None)


def urgency_of(text: str, court: Court) -> str:
    """The urgency proposed for a new need; a person confirms it."""
    flat = "".join(text.split())
    return "紧急" if any(word in flat for word in court.urgent_words) else "一般"


def details_of(text: str, court: Court, known: str | None = None) -> dict[str, Any]:
    """What the text of a new need sets in its record; `known` is its sensitive kind where that is certain already."""
    kind, urgency = known or kind_of(text, court), urgency_of(text, court)
    found: dict[str, Any] = {"sensitive": kind, "visibility": RESTRICTED} if kind else {}
    return found | ({"urgency": urgency} if urgency != "一般" else {})


def duty_staff(db: Db, kind: str | None, court: Court) -> list[int]:
    """The ids of who is on duty for a kind: the named person if there is one and they are active, else every supervisor."""
    named = row(db, "SELECT id FROM staff WHERE name = ? AND active = 1", court.duty_persons.get(kind or "", ""))
    if named:
        return [int(named["id"])]
    found = rows(db, "SELECT id, roles FROM staff WHERE active = 1 ORDER BY id")
    return [int(item["id"]) for item in found if "supervisor" in json.loads(item["roles"])]


def visible_to(staff_id: int, roles: frozenset[str], name: str, court: Court) -> tuple[str, list[Any]]:
    """An SQL condition on `needs n`, with its parameters: the needs this person may see."""
    if roles & WATCHERS:
        return "1", []
    besides = " OR n.state = 'in_review'" if "reviewer" in roles else ""
    besides += " OR n.handler IS NULL OR n.state = 'assigned'" if "assigner" in roles else ""
    kinds = [kind for kind, duty in court.duty_persons.items() if duty == name]
    marks = ",".join("?" * len(kinds))
    return f"(n.visibility <> ? OR n.handler = ? OR n.sensitive IN ({marks}){besides})", [RESTRICTED, staff_id, *kinds]
