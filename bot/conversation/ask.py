"""Free questions: the main path. on_question -> reply_to -> search -> nearest | matching."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from aiogram import Router
from aiogram.types import CallbackQuery, Message

from bot import replies
from bot.answering import Answering, Verdict
from bot.conversation.filters import Text
from bot.desk import Desk
from bot.inbox import Outcome
from bot.joining import Joinable, Joining
from bot.outbox import Mail, Saying
from bot.red_lines import refusal
from bot.turn import Turn
from knowledge import library
from knowledge.court import Court
from knowledge.database import Db, row
from knowledge.ledger import sensitive
from knowledge.ledger.needs import asking_of, find_need, move, open_need, record_asking
from knowledge.ledger.workflow import ASKER, MOVES
from knowledge.library import Published

LONGEST = 4000
MOST_KEPT = 1000
T = TypeVar("T")


class Think(Protocol):
    """Runs work on the one thread that searches."""

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]: ...


def router() -> Router:
    """The last router: whatever no other took is a question, or something that cannot be read."""
    questions = Router(name="ask")
    questions.message.register(on_question, Text())
    questions.message.register(on_unreadable)
    questions.edited_message.register(on_edited)
    questions.callback_query.register(on_stale_button)
    return questions


async def on_question(message: Message, turn: Turn, text: str, answering: Answering, joining: Joining, desk: Desk, think: Think) -> None:
    """Answered, offered, recorded as a need, small talk, or refused; while a person has the chat, added to the need."""
    turn.conversation.pop("expecting", None)
    turn.conversation.pop("refused", None)
    if len(text) > LONGEST:
        await turn.close("refused", replies.say(replies.TOO_LONG))
        return
    held = turn.conversation.get("person")
    if held and refusal(text) != "R5":
        await turn.close("need", doing=lambda db, mail: add_to_need(db, mail, turn, held, text, desk))
        return
    verdict = await think(lambda: answering.reply_to(text, turn.conversation.get("before")))
    if verdict.band == "refused":
        kind = SENSITIVE_RULES.get(verdict.kind or "")
        if kind:
            # Should the person now ask for somebody of the court, this is what it is about.
            turn.conversation["refused"] = [kind, text[:MOST_KEPT]]
        alerts = (lambda db, mail: desk.alert_danger(db, mail, text, turn.incoming.channel)) if verdict.kind == "R5" else None
        await turn.close("refused", replies.refusal(verdict), doing=alerts)
    elif verdict.band == "conversation":
        await turn.close("conversation", replies.small_talk(verdict))
    else:
        turn.conversation["before"] = verdict.query.text[-200:]
        joinable = await think(lambda: joining.find(text)) if verdict.band == "need" else None
        await turn.close(OUTCOMES[verdict.band], doing=lambda db, mail: carry_out(db, mail, turn, verdict, answering, desk, joinable))


SENSITIVE_RULES = {"R5": "人身危险", "R7": "信访", "R2": "个案投诉"}
"""Red lines behind which a person may stand who needs one: the need they ask for is for named staff alone."""
OUTCOMES: dict[str, Outcome] = {"answer": "answered", "offer": "offered", "need": "need"}


def carry_out(
    db: Db, mail: Mail, turn: Turn, verdict: Verdict, answering: Answering, desk: Desk, joinable: Joinable | None = None
) -> Outcome | None:
    """Write the question down and reply as the verdict says."""
    best = verdict.answer
    asking_id = record_asking(db, verdict.as_asking(), turn.at, turn.incoming.id, turn.asker.id, turn.asker.person_id)
    if best:
        show_answer(db, mail, turn, best.published, asking_id, answering, verdict.frames)
        return None
    if verdict.band == "offer":
        mail.reply(replies.offer(verdict, asking_id))
        return None
    likely = verdict.candidates[0] if verdict.candidates and verdict.candidates[0].confidence > 0.1 else None
    return log_need(db, mail, turn, asking_id, desk, likely.published.entry.topic if likely else None, verdict, joinable)


def show_answer(
    db: Db, mail: Mail, turn: Turn, item: Published, asking_id: int, answering: Answering, frames: tuple[str, ...] = ()
) -> None:
    """The entry, and those of the entries it links to that may be shown."""
    today = turn.at.date()
    linked = [library.published(db, entry_id, today) for entry_id in item.entry.related]
    related = [other.entry for other in linked if other and answering.may_answer(other)]
    mail.reply(replies.answer(item, asking_id, today, related, frames))


def log_need(
    db: Db,
    mail: Mail,
    turn: Turn,
    asking_id: int,
    desk: Desk,
    topic: str | None = None,
    verdict: Verdict | None = None,
    joinable: Joinable | None = None,
) -> Outcome:
    """Make a need of an asking, give its receipt and tell the staff; over the daily limit it stays on record without a number."""
    if over_limit(db, turn, desk.court):
        mail.reply(replies.say(replies.TOO_MANY_NEEDS))
        return "refused"
    asked = asking_of(db, asking_id, turn.asker.id) or {"text": ""}
    text = asked["text"] or ""
    no = open_need(db, asking_id, "机器人", turn.at, desk.rules, topic, details=sensitive.details_of(text, desk.court))
    need = find_need(db, no)
    mail.reply(replies.receipt(no, need["due_on"], desk.rules.answer_days(need["urgency"], need["source"]), verdict))
    if joinable and not need["sensitive"]:
        mail.reply(replies.join_offer(no, joinable))
    desk.urgent_new(db, mail, no, text, "新需求")
    return "need"


def add_to_need(db: Db, mail: Mail, turn: Turn, no: str, text: str, desk: Desk) -> Outcome | None:
    """What the asker adds goes into the need's history; staff are told. A need that is over gives the chat back to the bot."""
    need = row(db, "SELECT state FROM needs WHERE no = ?", no)
    action = next((name for name in ("complete", "resume", "add") if need and need["state"] in MOVES[name].sources), None)
    if action is None:
        turn.conversation.pop("person", None)
        mail.reply(Saying(f"{no} 已经办完，机器人继续为您服务。请把问题再发一遍。"))
        return "conversation"
    move(db, no, action, "asker", ASKER, turn.at, desk.rules, text)
    mail.reply(replies.added(no))
    desk.urgent_new(db, mail, no, text, "提问人补充")
    return None


async def on_unreadable(message: Message, turn: Turn) -> None:
    """A photo, a voice message, only spaces: what to do instead."""
    await turn.close("conversation", replies.say(replies.UNREADABLE))


async def on_edited(message: Message, turn: Turn) -> None:
    """An edited message: its answer may be on its way, so the person is asked to send it again."""
    await turn.close("conversation", replies.say(replies.EDITED))


async def on_stale_button(query: CallbackQuery, turn: Turn) -> None:
    """A button nobody knows any more, or of somebody else's message."""
    await turn.close("conversation", replies.say(replies.STALE_BUTTON))


def over_limit(db: Db, turn: Turn, court: Court) -> bool:
    """Whether this asker or this address has made enough needs today."""
    today = turn.at.date().isoformat()
    by_asker = row(
        db, "SELECT count(*) AS n FROM askings WHERE asker_id = ? AND need_no IS NOT NULL AND asked_at >= ?", turn.asker.id, today
    )
    if by_asker and by_asker["n"] >= court.anonymous_needs_per_asker:
        return True
    by_address = row(
        db,
        "SELECT count(*) AS n FROM askings a JOIN inbox i ON i.id = a.inbox_id"
        " WHERE i.address = ? AND a.need_no IS NOT NULL AND i.received_at >= ?",
        turn.incoming.address,
        today,
    )
    return bool(turn.incoming.address and by_address and by_address["n"] >= court.anonymous_needs_per_address)
