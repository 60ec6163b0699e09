"""Beginnings: what this is, help, and the topics for people who would rather look than ask."""

from aiogram import F, Router
from aiogram.filters import Command, CommandObject, CommandStart
from aiogram.types import CallbackQuery, Message

from bot import access, replies
from bot.answering import Answering
from bot.outbox import Mail, Saying
from bot.replies import ActionButton, PageButton, TopicButton
from bot.turn import Turn
from knowledge import library
from knowledge.court import Court, Topic
from knowledge.database import Db
from knowledge.entry import looking_order
from knowledge.ledger.needs import Asking, record_asking

QUESTIONS_PER_PAGE = 8


def router() -> Router:
    """/start, /help, and the two levels of topics."""
    guide = Router(name="guide")
    guide.message.register(on_start, CommandStart())
    guide.message.register(on_help, Command("help"))
    guide.callback_query.register(on_topic, TopicButton.filter())
    guide.callback_query.register(on_page, PageButton.filter())
    guide.callback_query.register(on_topics, ActionButton.filter(F.name == "topics"))
    return guide


async def on_start(message: Message, command: CommandObject, turn: Turn, court: Court, topics: dict[str, Topic]) -> None:
    """Greets; with a staff link's token it makes this chat that member of staff's."""
    turn.conversation.clear()
    token = command.args or ""
    if not token:
        await turn.close("conversation", replies.start(court, topics))
        return

    def enter(db: Db, mail: Mail) -> None:
        staff = access.use_link(db, token, turn.at)
        access.enter_chat(db, staff, turn.incoming.channel, turn.incoming.chat_id, turn.at)
        mail.reply(Saying(f"已登录为工作人员 {staff.signature}。发送 /needs 查看待办需求，/help 查看说明，/logout 退出。"))

    await turn.close("conversation", doing=enter)


async def on_help(message: Message, turn: Turn, court: Court) -> None:
    """What can be typed; staff see their commands too."""
    sayings = [replies.help_text(court)]
    if turn.staff:
        sayings.append(replies.staff_help(turn.staff.roles))
    await turn.close("conversation", *sayings)


async def on_topics(query: CallbackQuery, turn: Turn, court: Court, topics: dict[str, Topic]) -> None:
    """All groups again."""
    await turn.close("conversation", replies.start(court, topics))


async def on_topic(query: CallbackQuery, callback_data: TopicButton, turn: Turn, topics: dict[str, Topic], answering: Answering) -> None:
    """A group shows its leaves, a leaf its questions."""
    code = callback_data.code
    leaves = [topic for topic in topics.values() if topic.group == code]
    if leaves:
        await turn.close("conversation", replies.topic_leaves(leaves[0].group_name, leaves))
    elif topic := topics.get(code):
        await turn.close("conversation", doing=lambda db, mail: _show_leaf(db, mail, turn, topic, 0, answering))
    else:
        await turn.close("conversation", replies.say(replies.STALE_BUTTON))


async def on_page(query: CallbackQuery, callback_data: PageButton, turn: Turn, topics: dict[str, Topic], answering: Answering) -> None:
    """More questions of a leaf."""
    topic = topics.get(callback_data.code)
    if topic is None or callback_data.page < 0:
        await turn.close("conversation", replies.say(replies.STALE_BUTTON))
        return
    await turn.close("conversation", doing=lambda db, mail: _show_leaf(db, mail, turn, topic, callback_data.page, answering))


def _show_leaf(db: Db, mail: Mail, turn: Turn, topic: Topic, page: int, answering: Answering) -> None:
    """Questions first, then guides; each page is an asking of its own, so that its buttons know what they offered."""
    found = [item for item in library.published_on_topic(db, topic.code) if item.entry.valid_on(turn.at.date())]
    in_order = sorted((item.entry for item in found if answering.may_answer(item)), key=looking_order)
    rest = in_order[page * QUESTIONS_PER_PAGE :]
    entries = rest[:QUESTIONS_PER_PAGE]
    next_page = page + 1 if len(rest) > QUESTIONS_PER_PAGE else None
    looked = Asking(f"（浏览主题：{topic.name}）", "conversation", candidates=tuple(entry.id for entry in entries))
    asking_id = record_asking(db, looked, turn.at, turn.incoming.id, turn.asker.id, turn.asker.person_id)
    mail.reply(replies.topic_entries(topic, asking_id, [entry.question for entry in entries], next_page))
