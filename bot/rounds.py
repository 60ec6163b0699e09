"""The round that is made every few minutes: who must be reminded, what is overdue for too long, what may be closed.

Deadlines are not states (DOMAIN 3.2): they follow from history and calendar. What is remembered is only that somebody was
reminded, so that nobody is told twice. People are told in the court's daytime, in one message each.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from bot.access import chats_of_roles, chats_of_staff
from bot.desk import Desk
from bot.outbox import Mail, Saying
from bot.publishing import tell_what_begins
from knowledge.clock import stamp
from knowledge.database import Db, rows
from knowledge.ledger import sensitive
from knowledge.ledger.needs import move
from knowledge.ledger.record import RESTRICTED
from knowledge.ledger.workflow import BOT, OPEN, STATE_NAMES

DAYTIME = range(8, 18)
LEVELS = {"soon": "快到期", "late": "已超期", "escalated": "超期督办"}
LISTED = 20
LAST_ANSWER = "(SELECT 'reply:' || max(h.id) FROM need_history h WHERE h.need_no IN (n.no, n.lead_no) AND h.action IN ('reply', 'approve'))"
"""SQL: the answer of need `n` or its group that was given last, as `tellings` names it."""


@dataclass(frozen=True)
class Reminder:
    """One need that somebody must be reminded of, and how pressing it is."""

    need: dict[str, Any]
    level: str

    @property
    def line(self) -> str:
        """How it is told: without a word of the question, for this message belongs to no need and would outlive its erasure."""
        need = self.need
        return f"【{LEVELS[self.level]}】<b>{need['no']}</b> {STATE_NAMES[need['state']]}，{need['duty']} {need['duty_on'][5:]} 前"


def make_round(db: Db, mail: Mail, desk: Desk, at: datetime) -> None:
    """Remind, escalate, and close what was answered long enough ago without a word from the asker. Safe to repeat."""
    _close_answered(db, desk, at)
    if at.hour in DAYTIME and desk.rules.calendar.is_working_day(at.date()) is not False:
        _remind(db, mail, desk, at)
        tell_what_begins(db, mail, desk, at)


def _remind(db: Db, mail: Mail, desk: Desk, at: datetime) -> None:
    told: dict[tuple[str, int], list[Reminder]] = defaultdict(list)
    for reminder in _due(db, desk, at.date()):
        need = reminder.need
        done = db.execute(
            "INSERT OR IGNORE INTO alerts (need_no, duty, duty_on, level, raised_at) VALUES (?, ?, ?, ?, ?)",
            [need["no"], need["duty"], need["duty_on"], reminder.level, stamp(at)],
        )
        if done.rowcount:
            for chat in _who(db, desk, reminder, at):
                told[chat].append(reminder)
    for (channel, chat_id), reminders in told.items():
        lines = [reminder.line for reminder in reminders[:LISTED]]
        more = f"\n\n另有 {len(reminders) - LISTED} 件，发送 /today 查看。" if len(reminders) > LISTED else ""
        mail.send(channel, chat_id, Saying("⏰ 期限提醒\n\n" + "\n\n".join(lines) + more))


def _due(db: Db, desk: Desk, today: date) -> list[Reminder]:
    """Every open need whose next duty is due by the next working day, as pressing as it is."""
    calendar = desk.rules.calendar
    soon = calendar.after(today, 1) or today
    escalated = calendar.before(today, desk.court.escalate_days)
    states = sorted(OPEN)
    found = rows(
        db,
        "SELECT n.no, n.duty, n.duty_on, n.handler, n.sensitive, n.visibility, n.state, t.body AS question"
        " FROM needs n JOIN texts t ON t.id = n.text_id"
        f" WHERE n.duty_on <= ? AND n.state IN ({','.join('?' * len(states))}) ORDER BY n.duty_on, n.no",
        soon.isoformat(),
        *states,
    )

    def level(day: date) -> str:
        if escalated and day <= escalated:
            return "escalated"
        return "late" if day < today else "soon"

    return [Reminder(need, level(date.fromisoformat(need["duty_on"]))) for need in found]


def _who(db: Db, desk: Desk, reminder: Reminder, at: datetime) -> list[tuple[str, int]]:
    need = reminder.need
    if need["visibility"] == RESTRICTED:
        return chats_of_staff(db, [*sensitive.duty_staff(db, need["sensitive"], desk.court), *filter(None, [need["handler"]])], at)
    if reminder.level == "escalated":
        return chats_of_roles(db, ["supervisor"], at)
    if need["state"] == "in_review":
        return chats_of_roles(db, ["reviewer"], at)
    if need["handler"] and need["state"] != "suspended":
        return chats_of_staff(db, [need["handler"]], at)
    return chats_of_roles(db, list(desk.court.notify_roles) if need["state"] in ("submitted", "need_info") else ["assigner"], at)


def _close_answered(db: Db, desk: Desk, at: datetime) -> None:
    """Close what was answered long ago and never spoken of again, once the answer has reached everybody who asked.

    Closed is not solved: that only the asker can say.
    """
    before = (at.date() - timedelta(days=desk.court.close_days)).isoformat()
    silent = rows(
        db,
        "SELECT n.no FROM needs n WHERE n.state = 'replied' AND n.replied_on < ?"
        " AND NOT EXISTS (SELECT 1 FROM need_history h WHERE h.need_no = n.no AND h.actor = 'asker' AND h.at >= ?)"
        f" AND EXISTS (SELECT 1 FROM tellings g WHERE g.answer = {LAST_ANSWER})"
        " AND NOT EXISTS (SELECT 1 FROM tellings g LEFT JOIN outbox o ON o.id = g.outbox_id"
        f"  WHERE g.answer = {LAST_ANSWER} AND coalesce(o.delivered_at, '9') > ?)",
        before,
        before,
        before,
    )
    for need in silent:
        move(db, need["no"], "close", "bot", BOT, at, desk.rules, f"答复后 {desk.court.close_days} 天没有反馈，自动办结")
