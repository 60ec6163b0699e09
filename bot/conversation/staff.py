"""Court staff in the chat: see needs, answer by replying, register or turn away, publish drafts."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from aiogram import F, Router
from aiogram.filters import Command, CommandObject
from aiogram.types import CallbackQuery, Message

from bot import access, publishing, replies
from bot.access import ANSWERERS, Staff
from bot.answering import Answering
from bot.consequences import Consequences
from bot.conversation.filters import Expecting, StaffWith, Text, pressed
from bot.desk import Desk, answer_waiting
from bot.intake import register_need
from bot.outbox import Button, Mail, Saying, need_behind
from bot.replies import StaffButton
from bot.settings import Settings
from bot.turn import Turn
from bot.why import why_lines
from knowledge.court import ROLES
from knowledge.database import Db
from knowledge.errors import BadInput, Conflict, NotAllowed, NotFound
from knowledge.ledger.assignment import propose
from knowledge.ledger.needs import NO_NEED, find_need, need_story
from knowledge.ledger.workflow import ACTION_NAMES, INTAKE_ROLES, MOVES, STATE_NAMES
from knowledge.privacy import mask

REVIEWERS = frozenset({"reviewer"})
ANY = frozenset(ROLES)
MOST_BUTTONS = 8
STORY_SHOWN = 15
"""Steps of a story shown in the chat, the latest; the console has all."""


def router() -> Router:
    """Commands and buttons that only staff reach; for everybody else they do not exist."""
    staff = Router(name="staff")
    staff.message.register(on_needs, Command("needs"), StaffWith(ANY))
    staff.message.register(on_today, Command("today"), StaffWith(ANY))
    staff.message.register(on_need, Command("need"), StaffWith(ANY))
    staff.message.register(on_why, Command("why"), StaffWith(ANY))
    staff.message.register(on_console, Command("console"), StaffWith(ANY))
    staff.message.register(on_logout, Command("logout"), StaffWith(ANY))
    staff.message.register(on_drafts, Command("drafts"), StaffWith(REVIEWERS | {"admin"}))
    staff.message.register(on_reply, StaffWith(ANSWERERS), Expecting("reply"))
    staff.message.register(on_reject, StaffWith(INTAKE_ROLES), Expecting("reject"))
    staff.message.register(on_reply_to_notice, StaffWith(ANSWERERS), RepliesToNotice(), Text())
    staff.callback_query.register(on_show, StaffButton.filter(F.name == "show"), StaffWith(ANY))
    staff.callback_query.register(on_ask_reply, StaffButton.filter(F.name == "reply"), StaffWith(ANSWERERS))
    staff.callback_query.register(on_register, StaffButton.filter(F.name.in_({"register", "register_all"})), StaffWith(INTAKE_ROLES))
    staff.callback_query.register(on_ask_assign, StaffButton.filter(F.name == "assign"), StaffWith(MOVES["assign"].roles))
    staff.callback_query.register(on_assign, StaffButton.filter(F.name == "assign_to"), StaffWith(MOVES["assign"].roles))
    staff.callback_query.register(on_step, StaffButton.filter(F.name.in_({"accept", "close"})), StaffWith(ANY))
    staff.callback_query.register(on_approve, StaffButton.filter(F.name == "approve"), StaffWith(REVIEWERS))
    staff.callback_query.register(on_ask_send_back, StaffButton.filter(F.name == "send_back"), StaffWith(REVIEWERS))
    staff.message.register(on_send_back, StaffWith(REVIEWERS), Expecting("send_back"))
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


async def on_today(message: Message, turn: Turn, desk: Desk) -> None:
    """What is due today or overdue."""
    await turn.close("conversation", doing=lambda db, mail: mail.reply(desk.needs_board(db, _me(turn), turn.at.date(), duties=True)))


async def on_need(message: Message, command: CommandObject, turn: Turn, desk: Desk) -> None:
    """One need by number."""
    await turn.close("conversation", doing=lambda db, mail: _show(db, mail, turn, desk, (command.args or "").strip().upper()))


async def on_why(message: Message, command: CommandObject, turn: Turn, answering: Answering, think: Callable[..., Any]) -> None:
    """What the bot would do with a question, and why; nothing is recorded."""
    question = (command.args or "").strip()
    if not question:
        await turn.close("conversation", replies.say("请在 /why 后面写上问题，例如：/why 客户拖欠货款怎么办"))
        return
    lines = await think(lambda: why_lines(answering.reply_to(question)))
    await turn.close("conversation", replies.say("\n".join(lines)[:3500]))


async def on_show(query: CallbackQuery, callback_data: StaffButton, turn: Turn, desk: Desk) -> None:
    """One need, from a button."""
    await turn.close("conversation", doing=lambda db, mail: _show(db, mail, turn, desk, callback_data.about))


async def on_ask_assign(query: CallbackQuery, callback_data: StaffButton, turn: Turn, desk: Desk) -> None:
    """Whom to give a need to: what the rules propose first, then the other handlers."""

    def ask(db: Db, mail: Mail) -> None:
        no = callback_data.about
        proposal = propose(db, _seen_need(db, turn, desk, no), desk.court)
        first = [proposal.handler] if proposal.handler else []
        others = [who for who in proposal.colleagues if who not in first]
        buttons = [
            replies.staff_button(f"{who.name}（在办 {who.in_hand}）", "assign_to", f"{no}/{who.id}")
            for who in [*first, *others][:MOST_BUTTONS]
        ]
        if not proposal.division or not buttons:
            raise NotFound(f"{no} 还没有类别，或者没有承办人可选。请在工作台分派。")
        why = "；".join(proposal.reasons)
        mail.reply(
            Saying(
                f"{no} 建议分派给<b>{escape(desk.court.divisions[proposal.division])}</b>（{escape(why)}）。点承办人：", _in_pairs(buttons)
            )
        )

    await turn.close("conversation", doing=ask)


async def on_assign(query: CallbackQuery, callback_data: StaffButton, turn: Turn, desk: Desk) -> None:
    """Give a need to the person whose button was pressed."""
    no, _, number = callback_data.about.partition("/")

    def give(db: Db, mail: Mail) -> None:
        division = propose(db, _seen_need(db, turn, desk, no), desk.court).division or ""
        if not number.isascii() or not number.isdigit():
            raise NotFound("这个按钮已经失效了，请重新打开这件需求。")
        desk.assign(db, mail, no, _me(turn), turn.at, division, int(number))
        mail.reply(replies.buttons_gone(pressed(query)), replies.say(f"{no} 已分派给{access.staff_name(db, f'staff:{number}')}。"))

    await turn.close("conversation", doing=give)


async def on_step(query: CallbackQuery, callback_data: StaffButton, turn: Turn, desk: Desk) -> None:
    """签收 or 办结."""
    action = callback_data.name

    def take(db: Db, mail: Mail) -> None:
        details = {"outcome": "答复解决"} if action == "close" else None
        desk.step(db, mail, callback_data.about, action, _me(turn), turn.at, details=details)
        mail.reply(replies.buttons_gone(pressed(query)), replies.say(f"{callback_data.about} 已{MOVES[action].name}。"))

    await turn.close("conversation", doing=take)


async def on_approve(query: CallbackQuery, callback_data: StaffButton, turn: Turn, desk: Desk) -> None:
    """The answer that waits for review goes out as it is."""

    def send_out(db: Db, mail: Mail) -> None:
        no, _, seen = callback_data.about.partition("/")
        told = desk.approve(db, mail, no, _me(turn), turn.at, seen=int(seen) if seen.isdecimal() else 0)
        mail.reply(replies.buttons_gone(pressed(query)), replies.say(f"{no} 审核通过，已通知 {told} 个提问端。"))

    await turn.close("conversation", doing=send_out)


async def on_ask_send_back(query: CallbackQuery, callback_data: StaffButton, turn: Turn) -> None:
    """The next message is the reason."""
    turn.conversation["expecting"] = f"send_back:{callback_data.about}"
    await turn.close("conversation", replies.say(f"请输入退回 {callback_data.about} 答复的理由。发 /cancel 取消。"))


async def on_send_back(message: Message, turn: Turn, about: str, text: str, desk: Desk) -> None:
    """The answer goes back to its author."""
    turn.conversation.pop("expecting", None)

    def send_back(db: Db, mail: Mail) -> None:
        desk.step(db, mail, about, "send_back", _me(turn), turn.at, text)
        mail.reply(replies.say(f"{about} 的答复已退回承办人。"))

    await turn.close("conversation", doing=send_back)


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

    no = callback_data.about

    def register(db: Db, mail: Mail) -> None:
        try:
            register_need(db, desk, _me(turn), no, {}, {}, turn.at, unknown=callback_data.name == "register_all")
        except (NotAllowed, NotFound):
            raise
        except BadInput as error:
            anyway = replies.staff_button("企业没有提供，照样登记", "register_all", no)
            mail.reply(Saying(f"{escape(str(error))}可以到工作台补全，或者点下面的按钮。", ((anyway,),), need_no=no))
            return
        mail.reply(replies.buttons_gone(pressed(query)), replies.say(f"{no} 已登记。"))

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
        waiting = publishing.waiting_versions(db)[:10]
        for version in waiting:
            # The button carries the content, not the id: what is published is what was read here.
            entry, seen = version.entry, version.hash[:16]
            buttons = ((replies.staff_button("发布", "publish", seen), replies.staff_button("不用", "withdraw", seen)),)
            mail.reply(Saying(f"<b>{escape(entry.question)}</b>\n{escape(entry.answer[:600])}\n<i>{escape(entry.id)}</i>", buttons))
        if not waiting:
            mail.reply(replies.say("没有待审核的条目。"))

    await turn.close("conversation", doing=show)


async def on_publish(query: CallbackQuery, callback_data: StaffButton, turn: Turn, desk: Desk, consequences: Consequences) -> None:
    """A reviewer publishes a draft, or sets it aside; the index follows within seconds."""
    version = await turn.read(lambda db: publishing.waiting_version(db, callback_data.about))
    entry, publishes = version.entry, callback_data.name == "publish"
    outlook = await consequences.look_ahead(entry, version.hash) if publishes else None

    def decide(db: Db, mail: Mail) -> None:
        if outlook:
            publishing.publish(db, mail, desk, entry.id, version.hash, _me(turn), turn.at, outlook)
        else:
            publishing.set_aside(db, entry.id, version.hash, _me(turn), turn.at)
        done = "已发布，几秒后开始用于答复" if publishes else "已设为不用"
        mail.reply(replies.buttons_gone(pressed(query)), replies.say(f"“{entry.question}”{done}。"))

    await turn.close("conversation", doing=decide)


async def on_console(message: Message, turn: Turn, settings: Settings) -> None:
    """A one-time link to the console."""

    def make(db: Db, mail: Mail) -> None:
        token = access.make_link(db, _me(turn).name, turn.at, _me(turn).actor)
        mail.reply(Saying(access.link_message(settings, token)))

    await turn.close("conversation", doing=make)


async def on_logout(message: Message, turn: Turn) -> None:
    """This chat is an ordinary one again."""

    def leave(db: Db, mail: Mail) -> None:
        access.unbind_chat(db, turn.incoming.channel, turn.incoming.chat_id)
        mail.reply(replies.say("已退出工作人员身份。"))

    await turn.close("conversation", doing=leave)


def _reply(db: Db, mail: Mail, turn: Turn, desk: Desk, no: str, text: str) -> None:
    """Answer, or where a second person must review it, hand it in for that: what was typed is never lost."""
    need = _seen_need(db, turn, desk, no)
    reason = desk.group_must_be_reviewed(db, need)
    if reason and _me(turn).may(MOVES["submit_reply"].roles) and need["state"] in MOVES["submit_reply"].sources:
        desk.submit_reply(db, mail, no, _me(turn), text, turn.at)
        mail.reply(replies.say(f"{no} 属于“{reason}”，答复已提交审核，通过后发给提问人。"))
        return
    last = need_story(db, no)[-1]
    if need["state"] == "replied" and last["action"] in ("reply", "approve") and last["actor"] != _me(turn).actor:
        raise Conflict(f"{no} 已由{access.staff_name(db, last['actor'])}答复。还要补充的，请看过那个答复，在工作台里再答。")
    told = desk.reply(db, mail, no, _me(turn), text, turn.at)
    mail.reply(replies.say(f"{no} 的答复已发出，共通知 {told} 个提问端。送达情况可用 /need {no} 查看。"))


def _show(db: Db, mail: Mail, turn: Turn, desk: Desk, no: str) -> None:
    """A need with its story, personal data masked, and what this person may do with it now."""
    need, me = _seen_need(db, turn, desk, no), _me(turn)
    story = [
        f"{step['at'][5:16].replace('T', ' ')} {access.staff_name(db, step['actor'])}：{ACTION_NAMES[step['action']]}"
        + (f"\n　{escape(mask(step['body'])[:200])}" if step["body"] and step["action"] != "submit" else "")
        for step in need_story(db, no)
    ]
    waiting = db.execute("SELECT count(*) FROM outbox WHERE need_no = ? AND state <> 'delivered'", [no]).fetchone()[0]
    delivery = f"\n\n有 {waiting} 条消息还没送达。" if waiting else ""
    due = f"，{need['duty']} {need['duty_on']} 前" if need["duty_on"] else ""
    question = escape(mask(need["question"] or "（文字已删除）"))
    text = f"<b>{no}</b> {STATE_NAMES[need['state']]}{due}\n{question}\n\n" + "\n".join(story[-STORY_SHOWN:]) + delivery
    waits = answer_waiting(db, no) if need["state"] == "in_review" and me.may(REVIEWERS) else None
    if waits:
        # What is approved here is what was read here: the whole of it, and no later one.
        text += f"\n\n<b>等您审核的答复</b>\n{escape(mask(waits['body'] or ''))}"
    mail.reply(Saying(text, _in_pairs(_buttons(need, me, waits["id"] if waits else 0)), need_no=no))


def _seen_need(db: Db, turn: Turn, desk: Desk, no: str) -> dict[str, Any]:
    """A need this person may see. Raises NotFound in the same words for one they may not."""
    need = find_need(db, no)
    if not desk.may_see(db, no, _me(turn)):
        raise NotFound(NO_NEED.format(no=no))
    return need


def _buttons(need: dict[str, Any], me: Staff, waiting: int) -> list[Button]:
    mine = need["handler"] in (None, me.id)
    shown = {"reply": "答复", "register": "登记", "reject": "不予登记", "assign": "分派", "accept": "签收", "close": "办结"} | {
        "approve": "审核通过",
        "send_back": "退回",
    }
    return [
        replies.staff_button(label, action, f"{need['no']}/{waiting}" if action == "approve" else need["no"])
        for action, label in shown.items()
        if me.may(MOVES[action].roles) and need["state"] in MOVES[action].sources and (mine or not MOVES[action].own)
    ]


def _in_pairs(buttons: Sequence[Button]) -> tuple[tuple[Button, ...], ...]:
    return tuple(tuple(buttons[i : i + 2]) for i in range(0, len(buttons), 2))


def _me(turn: Turn) -> Staff:
    if turn.staff is None:
        raise NotAllowed("这个操作只对工作人员开放。")
    return turn.staff
