"""The company's details: optional, editable, deletable; and joining a second chat to the same person."""

from aiogram import F, Router
from aiogram.filters import Command, CommandObject
from aiogram.types import CallbackQuery, Message

from bot import replies
from bot.conversation.filters import Expecting
from bot.outbox import Mail
from bot.replies import ActionButton
from bot.turn import Turn
from knowledge import enterprise
from knowledge.court import Court
from knowledge.database import Db, row

CLEAR = ("清空", "删除", "无")


def router() -> Router:
    """/profile, /link, /forget and their buttons."""
    profile = Router(name="profile")
    profile.message.register(on_profile, Command("profile"))
    profile.callback_query.register(on_profile, ActionButton.filter(F.name == "profile"))
    profile.callback_query.register(on_set, ActionButton.filter(F.name == "set"))
    profile.callback_query.register(on_pick, ActionButton.filter(F.name == "pick"))
    profile.callback_query.register(on_cancel, ActionButton.filter(F.name == "cancel"))
    profile.callback_query.register(on_make_link, ActionButton.filter(F.name == "link"))
    profile.callback_query.register(on_ask_forget, ActionButton.filter(F.name == "forget"))
    profile.callback_query.register(on_erase, ActionButton.filter(F.name == "erase"))
    profile.message.register(on_link, Command("link"))
    profile.message.register(on_ask_forget, Command("forget"))
    profile.message.register(on_cancel, Command("cancel"))
    profile.message.register(on_value, Expecting("field"))
    return profile


async def on_profile(event: Message | CallbackQuery, turn: Turn) -> None:
    """What is known, with a button for each field."""
    await turn.close("conversation", doing=lambda db, mail: show(db, mail, turn))


async def on_set(query: CallbackQuery, callback_data: ActionButton, turn: Turn, court: Court) -> None:
    """One field is to be changed: ask for it."""
    field = callback_data.about
    if field not in enterprise.FIELDS:
        await turn.close("conversation", replies.say(replies.STALE_BUTTON))
        return
    turn.conversation["expecting"] = f"field:{field}"
    await turn.close("conversation", replies.ask_field(field, _choices(field, court)))


async def on_pick(query: CallbackQuery, callback_data: ActionButton, turn: Turn, court: Court) -> None:
    """A value chosen from a list."""
    field, _, place = callback_data.about.partition("-")
    choices = _choices(field, court)
    if not place.isdigit() or int(place) >= len(choices):
        await turn.close("conversation", replies.say(replies.STALE_BUTTON))
        return
    await turn.close("conversation", doing=lambda db, mail: _store(db, mail, turn, field, choices[int(place)]))


async def on_value(message: Message, turn: Turn, about: str, text: str) -> None:
    """A value typed in."""
    await turn.close("conversation", doing=lambda db, mail: _store(db, mail, turn, about, text))


async def on_cancel(event: Message | CallbackQuery, turn: Turn) -> None:
    """Leave whatever form the chat is in."""
    turn.conversation.pop("expecting", None)
    await turn.close("conversation", replies.say(replies.CANCELLED))


async def on_make_link(query: CallbackQuery, turn: Turn) -> None:
    """A one-time code for the other chat."""

    def make(db: Db, mail: Mail) -> None:
        mail.reply(replies.link_code(enterprise.link_code(db, turn.asker.person_id, turn.at)))

    await turn.close("conversation", doing=make)


async def on_link(message: Message, command: CommandObject, turn: Turn) -> None:
    """`/link CODE` joins this chat; `/link` alone makes a code."""

    def link(db: Db, mail: Mail) -> None:
        if not command.args:
            mail.reply(replies.link_code(enterprise.link_code(db, turn.asker.person_id, turn.at)))
            return
        enterprise.use_link_code(db, turn.asker, command.args, turn.at)
        mail.reply(replies.say("绑定成功，两端现在看到同样的提问和资料。"))

    await turn.close("conversation", doing=link)


async def on_ask_forget(event: Message | CallbackQuery, turn: Turn) -> None:
    """Make sure before erasing."""
    await turn.close("conversation", replies.ask_forget())


async def on_erase(query: CallbackQuery, turn: Turn) -> None:
    """Erase identity, contact and free text."""

    def erase(db: Db, mail: Mail) -> None:
        enterprise.forget(db, turn.asker.person_id, turn.at)
        turn.conversation.clear()
        mail.reply(replies.say(replies.FORGOTTEN))

    await turn.close("conversation", doing=erase)


def show(db: Db, mail: Mail, turn: Turn) -> None:
    """The profile as it stands."""
    linked = row(db, "SELECT count(*) AS n FROM askers WHERE person_id = ?", turn.asker.person_id) or {"n": 1}
    mail.reply(replies.profile(enterprise.profile(db, turn.asker.person_id), linked["n"]))


def _store(db: Db, mail: Mail, turn: Turn, field: str, value: str) -> None:
    turn.conversation.pop("expecting", None)
    cleared = value in CLEAR
    enterprise.set_profile(db, turn.asker.person_id, field, None if cleared else value, turn.at)
    warning = enterprise.uscc_warning(value) if field == "uscc" and not cleared else None
    if warning:
        mail.reply(replies.say(f"{warning}已经按您填的保存，如有误请再改。"))
    show(db, mail, turn)


def _choices(field: str, court: Court) -> tuple[str, ...]:
    return {"street": court.streets, "industry": court.industries}.get(field, ())
