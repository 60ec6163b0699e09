"""My questions and what became of them: to look, to withdraw, to say how satisfied I am."""

from aiogram import F, Router
from aiogram.filters import Command
from aiogram.types import CallbackQuery, Message

from bot import replies
from bot.conversation.filters import pressed
from bot.desk import Desk
from bot.outbox import Mail
from bot.replies import ActionButton
from bot.turn import Turn
from knowledge.database import Db, row
from knowledge.enterprise import enterprise_of, needs_of_enterprise
from knowledge.ledger.needs import move, needs_of_person
from knowledge.ledger.record import SATISFACTION
from knowledge.ledger.workflow import ASKER


def router() -> Router:
    """/my and its button."""
    mine = Router(name="my_needs")
    mine.message.register(on_my, Command("my"))
    mine.callback_query.register(on_my, ActionButton.filter(F.name == "my"))
    mine.callback_query.register(on_ask_withdraw, ActionButton.filter(F.name == "withdraw"))
    mine.callback_query.register(on_withdraw, ActionButton.filter(F.name == "withdraw_sure"))
    mine.callback_query.register(on_rate, ActionButton.filter(F.name == "rate"))
    return mine


async def on_my(event: Message | CallbackQuery, turn: Turn) -> None:
    """What was asked from this person's own, linked chats; and, for a contact whom staff have verified, the enterprise's needs."""

    def show(db: Db, mail: Mail) -> None:
        mine = needs_of_person(db, turn.asker.person_id)
        enterprise = enterprise_of(db, turn.asker.person_id)
        numbers = {item["no"] for item in mine}
        ours = [item for item in needs_of_enterprise(db, enterprise) if item["no"] not in numbers] if enterprise else []
        mail.reply(replies.my_questions(mine, ours))

    await turn.close("conversation", doing=show)


async def on_ask_withdraw(query: CallbackQuery, callback_data: ActionButton, turn: Turn) -> None:
    """Make sure first."""
    await turn.close("conversation", replies.ask_withdraw(callback_data.about))


async def on_withdraw(query: CallbackQuery, callback_data: ActionButton, turn: Turn, desk: Desk) -> None:
    """A need of one's own is withdrawn: nobody need answer it any more, and it stays on record."""
    no = callback_data.about

    def withdraw(db: Db, mail: Mail) -> None:
        mail.reply(replies.buttons_gone(pressed(query)))
        if not _is_mine(db, turn, no):
            mail.reply(replies.say(replies.STALE_BUTTON))
            return
        desk.leave_members(db, mail, no, turn.at)
        move(db, no, "withdraw", "asker", ASKER, turn.at, desk.rules)
        if turn.conversation.get("person") == no:
            del turn.conversation["person"]
        desk.urgent_new(db, mail, no, "", "提问人已撤回")
        mail.reply(replies.say(f"{no} 已撤回。以后需要，随时再问。"))

    await turn.close("conversation", doing=withdraw)


async def on_rate(query: CallbackQuery, callback_data: ActionButton, turn: Turn, desk: Desk) -> None:
    """How satisfied the enterprise is; who is not is called back."""
    no, _, place = callback_data.about.partition("/")
    grade = SATISFACTION[int(place)] if place.isdecimal() and int(place) < len(SATISFACTION) else None

    def rate(db: Db, mail: Mail) -> None:
        mail.reply(replies.buttons_gone(pressed(query)))
        if grade is None or not _is_mine(db, turn, no):
            mail.reply(replies.say(replies.STALE_BUTTON))
            return
        move(db, no, "rate", "asker", ASKER, turn.at, desk.rules, None, {"satisfaction": grade})
        if grade == SATISFACTION[-1]:
            desk.urgent_new(db, mail, no, "", "企业不满意，请回访")
        mail.reply(replies.say("收到您的评价，谢谢。" if grade != SATISFACTION[-1] else "抱歉没有办好，工作人员会再联系您。"))

    await turn.close("conversation", doing=rate)


def _is_mine(db: Db, turn: Turn, no: str) -> bool:
    return row(db, "SELECT 1 FROM askings WHERE need_no = ? AND person_id = ?", no, turn.asker.person_id) is not None
