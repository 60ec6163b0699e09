"""What people say of answers: this one, none of these, solved, not solved, give me a person."""

import json
from datetime import date, timedelta

from aiogram import F, Router
from aiogram.types import CallbackQuery

from bot import replies
from bot.answering import Answering
from bot.conversation.ask import Think, add_to_need, log_need, over_limit, show_answer
from bot.conversation.filters import Expecting, pressed
from bot.desk import Desk
from bot.inbox import Outcome
from bot.joining import Joinable, Joining
from bot.outbox import Mail
from bot.replies import ActionButton, EntryButton, FeedbackButton, NeedButton, RelatedButton
from bot.turn import Turn
from knowledge import library
from knowledge.database import Db, row
from knowledge.ledger import sensitive
from knowledge.ledger.grouping import join
from knowledge.ledger.needs import Asking, asking_of, find_need, move, open_need, record_asking, set_feedback
from knowledge.ledger.workflow import ASKER


def router() -> Router:
    """Buttons under answers, offers and replies of the court."""
    buttons = Router(name="feedback")
    buttons.callback_query.register(on_choice, EntryButton.filter())
    buttons.callback_query.register(on_related, RelatedButton.filter())
    buttons.callback_query.register(on_feedback, FeedbackButton.filter())
    buttons.callback_query.register(on_reply_feedback, NeedButton.filter())
    buttons.callback_query.register(on_person, ActionButton.filter(F.name == "person"))
    buttons.callback_query.register(on_resume, ActionButton.filter(F.name == "resume"))
    buttons.callback_query.register(on_join, ActionButton.filter(F.name == "join"))
    buttons.callback_query.register(on_add, ActionButton.filter(F.name == "add"))
    buttons.message.register(on_addition, Expecting("add"))
    return buttons


async def on_choice(
    query: CallbackQuery, callback_data: EntryButton, turn: Turn, answering: Answering, desk: Desk, joining: Joining, think: Think
) -> None:
    """A candidate was tapped: its answer. 都不是, or an entry withdrawn meanwhile: a need."""
    joinable = await _joinable(turn, callback_data.asking, joining, think) if callback_data.place < 0 else None

    def choose(db: Db, mail: Mail) -> Outcome:
        asking = asking_of(db, callback_data.asking, turn.asker.id)
        if asking is None:
            mail.reply(replies.say(replies.STALE_BUTTON))
            return "conversation"
        mail.reply(replies.buttons_gone(pressed(query)))
        offered = json.loads(asking["candidates"] or "[]")
        chosen = offered[callback_data.place] if 0 <= callback_data.place < len(offered) else None
        item = library.published(db, chosen, turn.at.date()) if chosen else None
        if item is None or not answering.may_answer(item):
            set_feedback(db, asking["id"], "none_of_these")
            return log_need(db, mail, turn, asking["id"], desk, joinable=joinable)
        db.execute(
            "UPDATE askings SET band = 'answer', entry_id = ?, entry_hash = ? WHERE id = ?", [item.entry.id, item.hash, asking["id"]]
        )
        show_answer(db, mail, turn, item, asking["id"], answering)
        return "answered"

    await turn.close("answered", doing=choose)


async def on_related(query: CallbackQuery, callback_data: RelatedButton, turn: Turn, answering: Answering) -> None:
    """An entry that the answer links to was tapped. An asking of its own: what is said of either answer is said of that one."""

    def show(db: Db, mail: Mail) -> Outcome:
        asking = asking_of(db, callback_data.asking, turn.asker.id)
        item = library.published(db, callback_data.entry, turn.at.date()) if asking else None
        if asking is None or item is None or not answering.may_answer(item):
            mail.reply(replies.say(replies.STALE_BUTTON))
            return "conversation"
        followed = Asking(asking["text"] or "", "answer", item.entry.id, item.hash, reasons=("点开了相关问题",))
        asking_id = record_asking(db, followed, turn.at, turn.incoming.id, turn.asker.id, turn.asker.person_id)
        show_answer(db, mail, turn, item, asking_id, answering)
        return "answered"

    await turn.close("answered", doing=show)


async def on_feedback(query: CallbackQuery, callback_data: FeedbackButton, turn: Turn, desk: Desk, joining: Joining, think: Think) -> None:
    """解决了: thanks. 没解决: a need with everything known. 找法院工作人员: a need, and the bot falls silent."""
    joinable = await _joinable(turn, callback_data.asking, joining, think) if callback_data.verdict == "unsolved" else None

    def take(db: Db, mail: Mail) -> Outcome:
        asking = asking_of(db, callback_data.asking, turn.asker.id)
        if asking is None:
            mail.reply(replies.say(replies.STALE_BUTTON))
            return "conversation"
        mail.reply(replies.buttons_gone(pressed(query)))
        set_feedback(db, asking["id"], callback_data.verdict)
        if callback_data.verdict == "solved":
            mail.reply(replies.feedback_thanks())
            return "conversation"
        if callback_data.verdict == "person":
            return call_person(db, mail, turn, asking["id"], desk)
        return log_need(db, mail, turn, asking["id"], desk, joinable=joinable)

    await turn.close("need", doing=take)


async def _joinable(turn: Turn, asking_id: int, joining: Joining, think: Think) -> Joinable | None:
    """The group of needs that this asking could wait with, if there is one that may be shown."""
    asking = await turn.read(lambda db: asking_of(db, asking_id, turn.asker.id))
    text = str(asking["text"] or "") if asking else ""
    return await think(lambda: joining.find(text)) if text else None


async def on_reply_feedback(query: CallbackQuery, callback_data: NeedButton, turn: Turn, desk: Desk) -> None:
    """The court's reply solved it, or not: then the need is open again with its whole context."""

    def take(db: Db, mail: Mail) -> Outcome:
        asking = asking_of(db, callback_data.asking, turn.asker.id)
        if asking is None or not asking["need_no"]:
            mail.reply(replies.say(replies.STALE_BUTTON))
            return "conversation"
        no = asking["need_no"]
        solved = callback_data.verdict == "solved"
        closed_on = find_need(db, no)["closed_on"]
        if not solved and closed_on and date.fromisoformat(closed_on) + timedelta(days=desk.court.reopen_days) < turn.at.date():
            mail.reply(replies.buttons_gone(pressed(query)), replies.say(replies.TOO_LATE_TO_REOPEN.format(no=no)))
            return "conversation"
        if solved and find_need(db, no)["state"] == "closed":
            set_feedback(db, asking["id"], "solved")
            mail.reply(replies.buttons_gone(pressed(query)), replies.feedback_thanks())
            return "conversation"
        move(db, no, "confirm" if solved else "reopen", "asker", ASKER, turn.at, desk.rules)
        set_feedback(db, asking["id"], callback_data.verdict)
        if solved and turn.conversation.get("person") == no:
            del turn.conversation["person"]
        mail.reply(replies.buttons_gone(pressed(query)), replies.need_closed(no) if solved else replies.need_reopened(no))
        if not solved:
            desk.urgent_new(db, mail, no, asking["text"] or "", "答复未解决，重新打开")
        return "conversation" if solved else "need"

    await turn.close("need", doing=take)


async def on_person(query: CallbackQuery, turn: Turn, desk: Desk) -> None:
    """A person is asked for outside of any answer; what was asked last goes along."""
    kind, refused = turn.conversation.pop("refused", (None, None))
    text = refused or turn.conversation.get("before") or "（请求联系工作人员）"

    def take(db: Db, mail: Mail) -> Outcome:
        asking_id = record_asking(db, Asking(text, "need"), turn.at, turn.incoming.id, turn.asker.id, turn.asker.person_id)
        return call_person(db, mail, turn, asking_id, desk, kind)

    await turn.close("need", doing=take)


def call_person(db: Db, mail: Mail, turn: Turn, asking_id: int, desk: Desk, kind: str | None = None) -> Outcome:
    """Make a need for a person; from now on what is typed here is added to it. `kind` makes it one for named staff alone.

    Over the daily limit there is no further need; the reply says how else to reach a person.
    """
    if over_limit(db, turn, desk.court):
        mail.reply(replies.say(replies.TOO_MANY_NEEDS))
        return "refused"
    text = (asking_of(db, asking_id, turn.asker.id) or {}).get("text") or ""
    no = open_need(db, asking_id, "机器人", turn.at, desk.rules, details=sensitive.details_of(text, desk.court, kind))
    turn.conversation["person"] = no
    mail.reply(replies.person_called(no, desk.court))
    desk.urgent_new(db, mail, no, text, "要求人工")
    return "need"


async def on_resume(query: CallbackQuery, turn: Turn) -> None:
    """The bot answers again."""
    turn.conversation.pop("person", None)
    await turn.close("conversation", replies.buttons_gone(pressed(query)), replies.say(replies.HANDED_BACK))


async def on_join(query: CallbackQuery, callback_data: ActionButton, turn: Turn, desk: Desk) -> None:
    """我也遇到: this person's need waits together with the group it was shown."""
    no, _, lead = callback_data.about.partition(",")

    def take(db: Db, mail: Mail) -> Outcome:
        if row(db, "SELECT 1 FROM askings WHERE need_no = ? AND person_id = ?", no, turn.asker.person_id) is None:
            mail.reply(replies.say(replies.STALE_BUTTON))
            return "conversation"
        mail.reply(replies.buttons_gone(pressed(query)))
        join(db, no, lead, turn.at, desk.rules)
        mail.reply(replies.joined(no))
        return "conversation"

    await turn.close("conversation", doing=take)


async def on_add(query: CallbackQuery, callback_data: ActionButton, turn: Turn) -> None:
    """Something is to be added to a need: ask for it."""
    turn.conversation["expecting"] = f"add:{callback_data.about}"
    await turn.close("conversation", replies.say(f"请写下要补充到 {callback_data.about} 的内容："))


async def on_addition(message: object, turn: Turn, about: str, text: str, desk: Desk) -> None:
    """The addition itself, if the need is this person's."""

    def take(db: Db, mail: Mail) -> Outcome | None:
        turn.conversation.pop("expecting", None)
        mine = db.execute("SELECT 1 FROM askings WHERE need_no = ? AND person_id = ?", [about, turn.asker.person_id]).fetchone()
        if not mine:
            mail.reply(replies.say(replies.STALE_BUTTON))
            return "conversation"
        return add_to_need(db, mail, turn, about, text, desk)

    await turn.close("need", doing=take)
