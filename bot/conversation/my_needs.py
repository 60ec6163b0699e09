"""My questions and what became of them."""

from aiogram import F, Router
from aiogram.filters import Command
from aiogram.types import CallbackQuery, Message

from bot import replies
from bot.outbox import Mail
from bot.replies import ActionButton
from bot.turn import Turn
from knowledge.database import Db
from knowledge.ledger.needs import needs_of_person


def router() -> Router:
    """/my and its button."""
    mine = Router(name="my_needs")
    mine.message.register(on_my, Command("my"))
    mine.callback_query.register(on_my, ActionButton.filter(F.name == "my"))
    return mine


async def on_my(event: Message | CallbackQuery, turn: Turn) -> None:
    """Only what was asked from this person's own, linked chats."""

    def show(db: Db, mail: Mail) -> None:
        mail.reply(replies.my_questions(needs_of_person(db, turn.asker.person_id)))

    await turn.close("conversation", doing=show)
