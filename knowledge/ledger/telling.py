"""Who must be told of an answer, each enterprise once, and whether it reached them.

A recipient is an enterprise whose contact staff have verified, else the person who asked. Whoever asked in several chats,
or in several needs of one group, is one recipient and gets one message, in the chat they used last. Somebody without a chat
(a walk-in, a letter) is told by phone: then the telling has no message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from knowledge.clock import stamp
from knowledge.database import Db, rows


@dataclass(frozen=True)
class Recipient:
    """One enterprise or person to be told: what they asked last in this matter and where they can be reached (None: no chat)."""

    key: str
    need_no: str
    asking_id: int
    person_id: int
    question: str | None
    channel: str | None
    chat_id: int | None


def recipients(db: Db, needs: Sequence[str]) -> list[Recipient]:
    """Everybody who asked any of these needs and has not withdrawn it, in the order of their first question."""
    marks = ",".join("?" * len(needs))
    found = rows(
        db,
        "SELECT a.id, a.need_no, a.person_id, t.body, k.channel, k.chat_id,"
        " CASE WHEN p.verified_at IS NOT NULL AND p.enterprise_id IS NOT NULL THEN 'enterprise:' || p.enterprise_id"
        " ELSE 'person:' || a.person_id END AS key"
        " FROM askings a JOIN texts t ON t.id = a.text_id JOIN needs n ON n.no = a.need_no JOIN persons p ON p.id = a.person_id"
        " LEFT JOIN askers k ON k.id = a.asker_id AND k.channel <> 'cli'"
        f" WHERE a.need_no IN ({marks}) AND n.state NOT IN ('withdrawn', 'voided') ORDER BY a.id",
        *needs,
    )
    told: dict[str, Recipient] = {}
    for item in found:
        known = told.get(item["key"])
        if known and known.channel and not item["channel"]:
            continue
        told[item["key"]] = Recipient(
            item["key"], item["need_no"], item["id"], item["person_id"], item["body"], item["channel"], item["chat_id"]
        )
    return list(told.values())


def note_telling(db: Db, answer: str, to: Recipient, at: datetime, outbox_id: int | None, entry_id: str | None = None) -> None:
    """Write down that `to` is told of `answer` (`reply:<history row>` or `entry:<id>:<hash>`) by this message of the outbox."""
    db.execute(
        "INSERT OR IGNORE INTO tellings (answer, recipient, need_no, entry_id, person_id, outbox_id, told_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [answer, to.key, to.need_no, entry_id, to.person_id, outbox_id, stamp(at)],
    )


def already_told(db: Db, answer: str) -> set[str]:
    """The recipients who have been told of this answer."""
    return {item["recipient"] for item in rows(db, "SELECT recipient FROM tellings WHERE answer = ?", answer)}


def tellings_of(db: Db, no: str) -> list[dict[str, Any]]:
    """Who was told about a need and how it went: at, channel, state (delivered, waiting, failed, phone, withdrawn), person."""
    return rows(
        db,
        "SELECT g.told_at, g.answer, g.recipient, g.person_id, g.entry_id, o.channel, o.delivered_at, o.error,"
        " CASE WHEN n.state = 'withdrawn' THEN 'withdrawn' WHEN o.id IS NULL THEN 'phone' ELSE o.state END AS state,"
        " p.company, p.contact, p.phone FROM tellings g JOIN needs n ON n.no = g.need_no LEFT JOIN outbox o ON o.id = g.outbox_id"
        " LEFT JOIN persons p ON p.id = g.person_id WHERE g.need_no = ? OR n.lead_no = ? ORDER BY g.id",
        no,
        no,
    )
