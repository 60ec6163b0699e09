"""Court staff in the chat: see needs, answer by replying, register or turn away, publish drafts."""

from collections.abc import Callable
from html import escape
from typing import Any

from aiogram import F, Router
from aiogram.filters import Command, CommandObject
from aiogram.types import CallbackQuery, Message

from bot import access, replies
from bot.access import ANSWERERS, Staff
from bot.answering import Answering
from bot.conversation.filters import Expecting, StaffWith, Text, pressed
from bot.desk import Desk
from bot.outbox import Mail, Saying, need_behind
from bot.replies import StaffButton
from bot.turn import Turn
from bot.why import why_lines
from knowledge import library
from knowledge.court import ROLES
from knowledge.database import Db
from knowledge.errors import NotAllowed, NotFound
from knowledge.ledger.needs import find_need, need_story
from knowledge.ledger.workflow import ACTION_NAMES, INTAKE_ROLES, STATE_NAMES
from knowledge.privacy import mask

REVIEWERS = frozenset({"reviewer"})
ANY = frozenset(ROLES)


def router() -> Router:
    """Commands and buttons that only staff reach; for everybody else they do not exist."""
    staff = Router(name="staff")
    staff.message.register(on_needs, Command("needs"), StaffWith(ANY))
    staff.message.register(on_need, Command("need"), StaffWith(ANY))
    staff.message.register(on_why, Command("why"), StaffWith(ANY))
    staff.message.register(on_logout, Command("logout"), StaffWith(ANY))
    staff.message.register(on_drafts, Command("drafts"), StaffWith(REVIEWERS | {"admin"}))
    staff.message.register(on_reply, StaffWith(ANSWERERS), Expecting("reply"))
    staff.message.register(on_reject, StaffWith(INTAKE_ROLES), Expecting("reject"))
    staff.message.register(on_reply_to_notice, StaffWith(ANSWERERS), RepliesToNotice(), Text())
    staff.callback_query.register(on_show, StaffButton.filter(F.name == "show"), StaffWith(ANY))
    staff.callback_query.register(on_ask_reply, StaffButton.filter(F.name == "reply"), StaffWith(ANSWERERS))
    staff.callback_query.register(on_register, StaffButton.filter(F.name == "register"), StaffWith(INTAKE_ROLES))
    staff.callback_query.register(on_ask_reason, StaffButton.filter(F.name == "reject"), StaffWith(INTAKE_ROLES))
    staff.callback_query.register(on_publish, StaffButton.filter(F.name.in_({"publish", "withdraw"})), StaffWith(REVIEWERS))
    return staff


class RepliesToNotice(Text):
    """The message replies to a notice about a need; handed on as `no`."""

    async def __call__(self, message: Message, turn: Turn) -> bool | dict[str, str]:  # type: ignore[override]
        if message.reply_to_message is None:
            return False
        replied = message.reply_to_message.message_id
        no = await turn.read(lambda db: need_behind(db, turn.incoming.channel, turn.incoming.chat_id, replied))
        return {"no": no} if no else False


async def on_needs(message: Message, turn: Turn, desk: Desk) -> None:
    """The open needs."""
    await turn.close("conversation", doing=lambda db, mail: mail.reply(desk.needs_board(db, _me(turn), turn.at.date())))


async def on_need(message: Message, command: CommandObject, turn: Turn) -> None:
    """One need by number."""
    await turn.close("conversation", doing=lambda db, mail: _show(db, mail, turn, (command.args or "").strip().upper()))


async def on_why(message: Message, command: CommandObject, turn: Turn, answering: Answering, think: Callable[..., Any]) -> None:
    """What the bot would do with a question, and why; nothing is recorded."""
    question = (command.args or "").strip()
    if not question:
        await turn.close("conversation", replies.say("请在 /why 后面写上问题，例如：/why 客户拖欠货款怎么办"))
        return
    lines = await think(lambda: why_lines(answering.reply_to(question)))
    await turn.close("conversation", replies.say("\n".join(lines)[:3500]))


async def on_show(query: CallbackQuery, callback_data: StaffButton, turn: Turn) -> None:
    """One need, from a button."""
    await turn.close("conversation", doing=lambda db, mail: _show(db, mail, turn, callback_data.about))


async def on_ask_reply(query: CallbackQuery, callback_data: StaffButton, turn: Turn) -> None:
    """The next message is the answer."""
    turn.conversation["expecting"] = f"reply:{callback_data.about}"
    await turn.close("conversation", replies.say(f"请直接输入对 {callback_data.about} 的答复，发出后提问人马上能看到。发 /cancel 取消。"))


async def on_reply(message: Message, turn: Turn, about: str, text: str, desk: Desk) -> None:
    """The answer to a need."""
    turn.conversation.pop("expecting", None)
    await turn.close("conversation", doing=lambda db, mail: _reply(db, mail, turn, desk, about, text))


async def on_reply_to_notice(message: Message, turn: Turn, no: str, text: str, desk: Desk) -> None:
    """The answer, given by replying to the notice."""
    await turn.close("conversation", doing=lambda db, mail: _reply(db, mail, turn, desk, no, text))


async def on_register(query: CallbackQuery, callback_data: StaffButton, turn: Turn, desk: Desk) -> None:
    """Take a need into the ledger."""

    def register(db: Db, mail: Mail) -> None:
        desk.register(db, callback_data.about, _me(turn), turn.at)
        mail.reply(replies.buttons_gone(pressed(query)), replies.say(f"{callback_data.about} 已登记。"))

    await turn.close("conversation", doing=register)


async def on_ask_reason(query: CallbackQuery, callback_data: StaffButton, turn: Turn) -> None:
    """The next message is the reason."""
    turn.conversation["expecting"] = f"reject:{callback_data.about}"
    await turn.close("conversation", replies.say(f"请输入 {callback_data.about} 不予登记的理由，会告知提问人。发 /cancel 取消。"))


async def on_reject(message: Message, turn: Turn, about: str, text: str, desk: Desk) -> None:
    """Turn a need away."""
    turn.conversation.pop("expecting", None)

    def reject(db: Db, mail: Mail) -> None:
        desk.reject(db, mail, about, _me(turn), text, turn.at)
        mail.reply(replies.say(f"{about} 已不予登记，理由已告知提问人。"))

    await turn.close("conversation", doing=reject)


async def on_drafts(message: Message, turn: Turn) -> None:
    """Entries waiting for review."""

    def show(db: Db, mail: Mail) -> None:
        drafts = library.waiting_for_review(db)[:10]
        for entry in drafts:
            # The button carries the content, not the id: what is published is what was read here.
            seen = entry.content_hash()[:16]
            buttons = ((replies.staff_button("发布", "publish", seen), replies.staff_button("不用", "withdraw", seen)),)
            mail.reply(Saying(f"<b>{escape(entry.question)}</b>\n{escape(entry.answer[:600])}\n<i>{escape(entry.id)}</i>", buttons))
        if not drafts:
            mail.reply(replies.say("没有待审核的条目。"))

    await turn.close("conversation", doing=show)


async def on_publish(query: CallbackQuery, callback_data: StaffButton, turn: Turn) -> None:
    """A reviewer publishes a draft, or sets it aside; the index follows within seconds."""

    def decide(db: Db, mail: Mail) -> None:
        state = "published" if callback_data.name == "publish" else "withdrawn"
        entry = next((e for e in library.waiting_for_review(db) if e.content_hash().startswith(callback_data.about)), None)
        if entry is None:
            raise NotFound("这个草稿已经处理过，或者内容变了。请重新发送 /drafts 查看。")
        library.set_state(db, entry.id, state, turn.at, _me(turn).name)
        done = "已发布，几秒后开始用于答复" if state == "published" else "已设为不用"
        mail.reply(replies.buttons_gone(pressed(query)), replies.say(f"“{entry.question}”{done}。"))

    await turn.close("conversation", doing=decide)


async def on_logout(message: Message, turn: Turn) -> None:
    """This chat is an ordinary one again."""

    def leave(db: Db, mail: Mail) -> None:
        access.unbind_chat(db, turn.incoming.channel, turn.incoming.chat_id)
        mail.reply(replies.say("已退出工作人员身份。"))

    await turn.close("conversation", doing=leave)


def _reply(db: Db, mail: Mail, turn: Turn, desk: Desk, no: str, text: str) -> None:
    told = desk.reply(db, mail, no, _me(turn), text, turn.at)
    mail.reply(replies.say(f"{no} 的答复已发出，共通知 {told} 个提问端。送达情况可用 /need {no} 查看。"))


def _show(db: Db, mail: Mail, turn: Turn, no: str) -> None:
    """A need with its story, personal data masked, and what may be done with it."""
    if not _me(turn).may(ANSWERERS | {"assigner", "supervisor", "auditor"}):
        raise NotAllowed("您的角色看不到台账，请联系管理员。")
    need = find_need(db, no)
    story = [
        f"{step['at'][5:16].replace('T', ' ')} {access.staff_name(db, step['actor'])}：{ACTION_NAMES[step['action']]}"
        + (f"\n　{escape(mask(step['body'])[:200])}" if step["body"] and step["action"] != "submit" else "")
        for step in need_story(db, no)
    ]
    waiting = db.execute("SELECT count(*) FROM outbox WHERE need_no = ? AND state <> 'delivered'", [no]).fetchone()[0]
    delivery = f"\n\n有 {waiting} 条消息还没送达。" if waiting else ""
    text = (
        f"<b>{no}</b> {STATE_NAMES[need['state']]}\n{escape(mask(need['question'] or '（文字已删除）'))}\n\n" + "\n".join(story) + delivery
    )
    buttons = [replies.staff_button("答复", "reply", no)]
    if need["state"] == "submitted":
        buttons += [replies.staff_button("登记", "register", no), replies.staff_button("不予登记", "reject", no)]
    mail.reply(Saying(text, (tuple(buttons),), need_no=no))


def _me(turn: Turn) -> Staff:
    if turn.staff is None:
        raise NotAllowed("这个操作只对工作人员开放。")
    return turn.staff
