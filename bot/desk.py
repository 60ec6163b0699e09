"""What court staff do with a need, the same from the chat and from the console.

Each function is one transaction's worth of work: it checks the role, moves the need, writes the history, and puts the
messages that follow from it into the outbox.
"""

from datetime import date, datetime
from html import escape

from bot import replies
from bot.access import ANSWERERS, Staff, chats_of_roles
from bot.outbox import Button, Mail, Saying
from knowledge.court import Court
from knowledge.database import Db, row
from knowledge.errors import BadInput, NotAllowed
from knowledge.ledger.deadlines import Calendar
from knowledge.ledger.needs import askers_of, find_need, list_needs, move
from knowledge.ledger.workflow import STATE_NAMES
from knowledge.privacy import mask

LONGEST_REPLY = 4000
OPEN_STATES = ("submitted", "registered", "reopened")


def reply_to_need(db: Db, mail: Mail, no: str, staff: Staff, text: str, at: datetime) -> int:
    """Answer a need: everyone who asked it is told. Returns how many chats that is.

    Raises NotFound, NotAllowed (role or state), BadInput (empty or too long); then nothing has changed.
    """
    text = text.strip()
    if not text:
        raise BadInput("答复内容是空的，请写好再发。")
    if len(text) > LONGEST_REPLY:
        raise BadInput(f"答复有 {len(text)} 字，请控制在 {LONGEST_REPLY} 字以内。")
    need = find_need(db, no)
    move(db, no, "reply", staff.actor, staff.roles, at, text)
    told = askers_of(db, no)
    for asker in told:
        question = row(db, "SELECT t.body FROM askings a JOIN texts t ON t.id = a.text_id WHERE a.id = ?", asker["asking_id"])
        saying = replies.court_reply(no, question["body"] if question else need["question"], text, staff.signature, asker["asking_id"])
        mail.send(asker["channel"], asker["chat_id"], saying)
    return len(told)


def reject_need(db: Db, mail: Mail, no: str, staff: Staff, why: str, at: datetime) -> None:
    """Do not register a need, with a reason the asker is told. Raises as `reply_to_need` does."""
    if not why.strip():
        raise BadInput("请写明不予登记的理由，会告知提问人。")
    move(db, no, "reject", staff.actor, staff.roles, at, why.strip())
    for asker in askers_of(db, no):
        text = f"{no} 不予登记：{escape(why.strip())}\n您可以换个说法重新提问，或拨打 12368 咨询（号码以官方公布为准）。"
        mail.send(asker["channel"], asker["chat_id"], Saying(text, need_no=no))


def register_need(db: Db, no: str, staff: Staff, at: datetime) -> None:
    """Take a need into the ledger. Raises NotFound or NotAllowed."""
    move(db, no, "register", staff.actor, staff.roles, at)


def tell_staff(db: Db, mail: Mail, no: str, text: str, court: Court, reason: str) -> None:
    """Tell the staff on duty about a need; personal data in the text is masked."""
    saying = Saying(
        f"🔔 {escape(reason)} <b>{no}</b>\n{escape(mask(text)[:300])}\n\n直接回复这条消息就是答复提问人，也可以点按钮。",
        ((replies.staff_button("答复", "reply", no), replies.staff_button("查看", "show", no)),),
        need_no=no,
    )
    for channel, chat_id in chats_of_roles(db, list(court.notify_roles)):
        mail.send(channel, chat_id, saying)


def needs_board(db: Db, staff: Staff, today: date, court: Court, calendar: Calendar) -> Saying:
    """The open needs, oldest first, with what is overdue marked. Raises NotAllowed for who may not see the ledger."""
    if not staff.may(ANSWERERS | {"assigner", "supervisor", "auditor"}):
        raise NotAllowed("您的角色看不到台账，请联系管理员。")
    open_needs = list(reversed(list_needs(db, OPEN_STATES, 20)))
    if not open_needs:
        return Saying("没有待办的需求。")
    lines: list[str] = []
    buttons: list[Button] = []
    for need in open_needs:
        due = due_date(need["received_at"], court, calendar)
        late = "【超期】" if due and due < today else ""
        when = f"，{due:%m-%d} 前" if due else ""
        lines.append(
            f"{late}<b>{need['no']}</b> {STATE_NAMES[need['state']]}{when}\n{escape(mask(need['question'] or '（文字已删除）')[:60])}"
        )
        buttons.append(replies.staff_button(need["no"][3:], "show", need["no"]))
    return Saying("\n\n".join(lines), tuple(tuple(buttons[i : i + 3]) for i in range(0, len(buttons), 3)))


def due_date(received_at: str, court: Court, calendar: Calendar) -> date | None:
    """The last working day for an answer; None when the calendar has no data for it."""
    return calendar.after(date.fromisoformat(received_at[:10]), court.answer_days)
