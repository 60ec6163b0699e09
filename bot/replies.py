"""Every sentence and button an enterprise can see, in one place.

Telegram's HTML subset; whatever comes from people, entries or documents is escaped here. Plain words first, the deadline
warning on top, the legal basis below, one next step at the end.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from html import escape
from typing import Any

from aiogram.filters.callback_data import CallbackData

from bot.answering import Verdict
from bot.joining import Joinable
from bot.outbox import Button, Saying
from knowledge.citations import change_notice, load_register
from knowledge.court import Court, Topic
from knowledge.enterprise import FIELDS
from knowledge.entry import Entry
from knowledge.ledger.record import SATISFACTION
from knowledge.ledger.workflow import MOVES, STATE_NAMES
from knowledge.library import Published
from knowledge.privacy import mask

PRIVACY = (
    "使用说明：为了答复和跟进，您发来的内容会记录在本系统里，只用于法律服务；联系方式只有您自己填写才会保存。"
    "请不要发送身份证号、银行卡号和商业秘密。发送 /forget 可以删除您的资料和提问文字。"
)
LONGEST_BUTTON_ID = 40
MOST_WITHDRAWN = 3
MOST_RELATED = 2
DISCLAIMER = "以上是一般法律知识，不是对具体案件的意见，也不是法院裁判；以现行法律文本和法院书面文书为准。"
UNREVIEWED = "通用参考，未经本院审核"
EMERGENCY = "<b>如果现在有人有危险，请先拨打 110、120 或 119；正在被要求转账，请先停下，拨打 110 或 96110。</b>"
FRAMES = {
    "R1": "具体案件会怎么认定，由审判组织依法决定，这里只讲一般规则。",
    "R9": "涉及的期限和金额请按自己的情况核对，以法院核定为准。",
}
REFUSALS = {
    "R2": "\n".join(
        (
            "这里不能打听在办案件的情况，不能提供法官的私人联系方式，也不能转交材料或转达请求，这样才能对双方都公平。",
            "过问案件的情况，法院按规定逢问必录。",
            "查进度、约法官、交材料：请拨 <b>12368</b>（号码以官方公布为准），或用诉讼服务网、立案大厅窗口、承办部门的公开电话。",
            "对案件的意见，请在开庭时说，或写成书面材料交到诉讼服务中心。",
        )
    ),
    "R3": "\n".join(
        (
            "这里不能代写个案文书，不能推荐具体的律师或鉴定机构，更不能帮忙制作不真实的证据：法院要对双方保持中立，作假证据会"
            "被罚款、拘留，甚至追究刑事责任。",
            "需要律师或法律援助：请拨 <b>12348</b>，或查当地律师协会公布的名录。",
            "想知道起诉状怎么写、要带哪些证据，可以直接问我，例如「起诉状有哪些内容」。",
        )
    ),
    "R5": "\n".join(
        (
            "请先保证人的安全，现在就拨打：",
            "<b>110</b> 报警（有人受伤害、被扣留、被威胁，或有人要伤害自己）　<b>120</b> 急救　<b>119</b> 火警和高处救援",
            "正在被骗转账：立刻停止转账、挂断电话，拨打 <b>110</b> 或 <b>96110</b>（反诈，号码以官方公布为准）",
            "如果是您自己很难受：您不必一个人扛，请先离开危险的地方，打 110 或 120，并告诉身边的人。",
            "法律问题可以晚一点再问，人的安全最要紧。",
        )
    ),
    "R6": "\n".join(
        (
            "刑事案件怎么定罪、判多久、能不能取保，这里不能回答，因为要由办案机关依法认定；逃避调查的办法也不能提供。",
            "要报案：<b>110</b>。对刑事办案有意见：检察服务 <b>12309</b>（号码以官方公布为准）。",
            "需要律师或法律援助：<b>12348</b>。自己已经牵涉其中，越早咨询律师、如实说明，越主动。",
        )
    ),
    "R7": "\n".join(
        (
            "您对结果不满意，我们理解。这里不能改变判决，也不能处理信访，因为判决只能经法定程序改变。",
            "还没生效的：在判决书写明的期限内上诉。已经生效的：可以申请再审，之后还可以向检察院申请监督（<b>12309</"
            "b>，号码以官方公布为准）。",
            "信访和材料补交：请拨 <b>12368</b> 或到诉讼服务中心（号码以官方公布为准）。",
            "想知道上诉、再审的期限和材料，可以直接问我。",
        )
    ),
    "R8": "\n".join(
        (
            "这里不接收举报材料，也不会把您说的话转给被举报的人；举报要由有权调查的机关受理，才能保护您。",
            "举报违纪违法：纪检监察 <b>12388</b>；政法干警：<b>12337</b>；法院工作人员：<b>12368</b>（号码以官方公布为准）。",
            "请把证据留好，直接交给上述机关。",
        )
    ),
    "R10": "\n".join(
        (
            "这里不能提供别人的个人信息、其他企业的登记记录，也不能公开系统的内部设置，因为这些信息受法律保护。",
            "本企业登记的事项，经核验的联系人可以查询。",
            "打官司需要对方的信息，可以问我「怎么查被告的身份信息」，或请律师申请调查令。",
        )
    ),
    "R11": "\n".join(
        (
            "请不要在这里发送图纸、配方、客户名单、底价，或任何带密级的文件：这里不是保密渠道，发出去就收不回来。",
            "已经发出的，请尽快撤回或删除。",
            "需要法院看的材料，请线下交到诉讼服务中心或承办部门，并说明要求保密；涉及国家秘密的，请先问本单位保密部门。",
            "只讲大概情况、不带具体内容，我可以告诉您商业秘密怎么保护。",
        )
    ),
}
SMALL_TALK = {
    "greeting": "您好！请直接说遇到的事，比如“客户拖着货款不给怎么办”。",
    "thanks": "不客气。还有问题随时问。",
    "bye": "再见，祝生意顺利。您登记的问题有了答复，会在这里通知您。",
    "who_are_you": "我是院企通，给企业答疑的智能助手，不是法官。法律问题直接问我，答不上来的会登记给法院工作人员。",
    "insult": "抱歉没能帮上忙。您可以换个说法再问一次，或者点“找法院工作人员”。",
    "too_short": "能再说具体一点吗？比如是谁欠谁的钱、有没有合同、过了多久。",
    "gibberish": "这句我没看懂，请用一两句话说说遇到的事。",
    "off_topic": "这个不在我的范围里。我只回答和企业经营有关的法律问题，比如欠款、用工、租赁、公司、执行。",
}
UNREADABLE = "这类消息我看不懂，请用文字把问题打出来。比如：客户拖着货款不给怎么办？"
TOO_LONG = "这条消息太长了，请控制在 4000 字以内，先说最要紧的一件事。"
EDITED = "看到您改了上一条消息。请把改好的问题重新发一遍，我按新的问题回答。"
STALE_BUTTON = "这个按钮已经失效了。请直接打字提问，或发送 /start 重新开始。"
THROTTLED = "您发得有点快，这条已经收到但没有处理。请过一分钟再发。"
TOO_MANY_NEEDS = "今天登记的问题已经比较多了，这条已经记下，但不再单独编号。您可以明天再登记，或拨打 12368 咨询（号码以官方公布为准）。"
SORRY = "刚才处理这条消息时出了问题。您的问题已经原样登记，由工作人员查看。"
TOO_LATE_TO_REOPEN = "{no} 办结已经很久，不能再打开。请把还没解决的情况重新提问，会另外登记一件。"
CANCELLED = "好的，已取消。您可以继续提问。"
HANDED_BACK = "好的，机器人继续为您服务。请说说您的问题。"
FORGOTTEN = "已经删除您的企业资料、联系方式和提问文字。需求编号、类别、日期和办理状态按规定保留，不含您的个人信息。"
NOTHING_ASKED = "您还没有提过问题。直接打字问就行，比如：员工没签合同要赔多少？"


class TopicButton(CallbackData, prefix="t"):
    """A group (`A`) or a leaf (`A01`) of the topics."""

    code: str


class PageButton(CallbackData, prefix="p"):
    """A further page of a leaf's questions, counted from 0."""

    code: str
    page: int


class EntryButton(CallbackData, prefix="e"):
    """An offered candidate: which asking it was offered for and its place in that list; -1 is 都不是."""

    asking: int
    place: int


class RelatedButton(CallbackData, prefix="r"):
    """Another entry that the answer links to, shown in place of it."""

    asking: int
    entry: str


class FeedbackButton(CallbackData, prefix="f"):
    """What the asker says of an answer: solved, unsolved or person."""

    asking: int
    verdict: str


class NeedButton(CallbackData, prefix="n"):
    """What the asker says of a reply from the court: solved or unsolved."""

    asking: int
    verdict: str


class ActionButton(CallbackData, prefix="a"):
    """A plain action (person, resume, my, profile, set, pick, link, forget, cancel, add, topics) and what it is about."""

    name: str
    about: str = ""


class StaffButton(CallbackData, prefix="s"):
    """What staff do with a need or a draft: show, reply, register, reject, publish, withdraw."""

    name: str
    about: str


def menu() -> tuple[Button, ...]:
    """The line of buttons that is always at hand."""
    return (_action("我的提问", "my"), _action("企业资料", "profile"), _action("找法院工作人员", "person"))


def start(court: Court, topics: dict[str, Topic]) -> Saying:
    """What this is and is not, and the topics to choose from."""
    name = court.name or "区人民法院"
    demo = f"<b>【{escape(court.watermark)}】</b>\n" if court.is_demo else ""
    text = (
        f"{demo}您好，这里是<b>{escape(name)} 院企通</b>，给企业答疑的智能助手。\n\n"
        "直接打字问，比如“客户拖着货款不给怎么办”。答得上来的马上答，并列出法律依据；"
        "答不上来的会登记下来、给您一个编号，由工作人员答复后在这里通知您。\n\n"
        "我不是法官，不评判具体案件，也不能打听案件进展。也可以点下面的主题看看。"
    )
    groups = list(dict.fromkeys((topic.group, topic.group_name) for topic in topics.values()))
    return Saying(text, (*_pairs(Button(label, TopicButton(code=code).pack()) for code, label in groups), menu()))


def topic_leaves(group_name: str, leaves: Sequence[Topic]) -> Saying:
    """The leaves of a group."""
    return Saying(
        f"<b>{escape(group_name)}</b>\n请选一个具体的题目：",
        (*_pairs(Button(leaf.name, TopicButton(code=leaf.code).pack()) for leaf in leaves), (_action("返回主题", "topics"),)),
    )


def topic_entries(topic: Topic, asking_id: int, questions: Sequence[str], next_page: int | None) -> Saying:
    """One page of a leaf's questions; `next_page` is None on the last."""
    if not questions:
        return Saying(f"“{escape(topic.name)}”还没有现成的答复。请直接打字提问，答不上来的会登记。", (menu(),))
    listed = tuple((Button(_short(question), EntryButton(asking=asking_id, place=i).pack()),) for i, question in enumerate(questions))
    more = (Button("更多问题", PageButton(code=topic.code, page=next_page).pack()),) if next_page is not None else ()
    return Saying(f"<b>{escape(topic.name)}</b>\n点一个最接近的问题：", (*listed, (*more, _action("返回主题", "topics"))))


def help_text(court: Court) -> Saying:
    """What can be typed."""
    return Saying(
        "怎么用：\n"
        "· 直接打字提问，一次说一件事，带上时间、金额、有没有合同\n"
        "· /start 主题列表　/my 我的提问和办理状态\n"
        "· /profile 填写企业资料（自愿）　/link 绑定另一端\n"
        "· /forget 删除我的资料\n"
        f"· 要找人：点“找法院工作人员”（{escape(court.office_hours)}）",
        (menu(),),
    )


def staff_help(roles: frozenset[str]) -> Saying:
    """What staff can type, by role."""
    lines = [
        "工作人员命令：",
        "/today 今天到期和超期的　/needs 待办需求　/need 编号 查看一件",
        "/why 问题 看机器人会怎么答、为什么　/console 登录工作台　/logout 退出身份",
        "直接回复新需求的通知，就是答复提问人。",
    ]
    if roles & {"reviewer", "admin"}:
        lines.append("/drafts 待审核的条目")
    if "admin" in roles:
        lines.append("/status 体检　/reindex 重建索引　直接发文件（docx、pdf、xlsx、txt、md）存为草稿")
    return Saying("\n".join(lines))


def refusal(verdict: Verdict) -> Saying:
    """The way out for a red line; danger first of all gives the numbers to call."""
    if verdict.kind == "R5":
        return Saying(REFUSALS["R5"])
    return Saying(_emergency(verdict) + REFUSALS[verdict.kind or ""], (menu(),))


def small_talk(verdict: Verdict) -> Saying:
    """A short answer to what is no question."""
    return Saying(_emergency(verdict) + SMALL_TALK[verdict.kind or ""], (menu(),))


def answer(item: Published, asking_id: int, today: date, related: Iterable[Entry] = (), frames: Iterable[str] = ()) -> Saying:
    """One entry, word for word: deadline first, then the answer, steps, materials, mistake, basis, and who stands behind it.

    `related` are the entries it links to; the first few can be tapped.
    """
    entry = item.entry
    frames = tuple(frames)
    parts = [EMERGENCY] if "R5" in frames else []
    parts.append(f"<b>{escape(entry.question)}</b>")
    if entry.deadline:
        parts.append(f"⏰ <b>期限提示：{escape(entry.deadline)}</b>")
    parts.append(_original(entry) if entry.kind == "passage" else escape(entry.answer))
    parts += _lists(entry)
    if entry.basis:
        parts.append("<b>依据</b>\n" + "\n".join(f"· {escape(line)}" for line in basis_lines(entry, today)))
    if entry.elsewhere:
        parts.append(f"如果和您的情况对不上：{escape(entry.elsewhere)}")
    parts += [FRAMES[frame] for frame in frames if frame in FRAMES]
    parts.append(f"<i>{escape(_stands_behind(item))}。{DISCLAIMER}</i>")
    linked = [(_short(f"相关：{other.question}"), RelatedButton(asking=asking_id, entry=other.id)) for other in related if _fits(other.id)]
    return Saying("\n\n".join(parts), (*((Button(text, to.pack()),) for text, to in linked[:MOST_RELATED]), feedback_buttons(asking_id)))


def basis_lines(entry: Entry, today: date) -> list[str]:
    """The legal basis, one citation a line, with its version and what is known to change."""
    register = load_register()
    return [
        f"{citation}" + (f"（{citation.version} 版本）" if citation.version else "") + (f"，{notice}" if notice else "")
        for citation in entry.basis
        for notice in [change_notice(citation, register, today)]
    ]


def _fits(entry_id: str) -> bool:
    """Whether the id fits into a button; Telegram carries 64 bytes."""
    return ":" not in entry_id and len(entry_id.encode()) <= LONGEST_BUTTON_ID


def offer(verdict: Verdict, asking_id: int) -> Saying:
    """Up to three questions to tap."""
    listed = tuple(
        (Button(_short(candidate.published.entry.question), EntryButton(asking=asking_id, place=i).pack()),)
        for i, candidate in enumerate(verdict.offers)
    )
    none = (Button("都不是", EntryButton(asking=asking_id, place=-1).pack()), _person(asking_id))
    return Saying(_emergency(verdict) + "您是想问下面哪一个？点一下就能看到答复：", (*listed, none))


def receipt(no: str, due_on: str | None, days: int, verdict: Verdict | None = None) -> Saying:
    """A need is on record: its number and when to expect the answer."""
    due = date.fromisoformat(due_on) if due_on else None
    when = f"预计在 <b>{due.month}月{due.day}日</b> 前答复（{days} 个工作日内）" if due else f"预计 {days} 个工作日内答复"
    articles = verdict.articles if verdict else ()
    related = "".join(f"\n· {escape(f'《{a.law}》{a.article}')}：{escape(_short(a.text, 60))}" for a in articles)
    return Saying(
        (_emergency(verdict) if verdict else "") + f"这个问题我没有把握答准，已经登记，编号 <b>{no}</b>。\n"
        f"法院工作人员会看到它，{when}，答复会直接发到这里。"
        + (f"\n\n相关法条，供参考：{related}" if related else "")
        + "\n\n发送 /my 随时查看进度。情况有补充，请点下面的按钮。",
        (add_buttons(no),),
        need_no=no,
    )


def join_offer(no: str, joinable: Joinable) -> Saying:
    """Others wait for the same answer: one button to wait together; whoever does not press it loses nothing."""
    return Saying(
        f"已有 <b>{joinable.enterprises}</b> 家企业问过同样的问题：“{escape(joinable.shown)}”。\n"
        "是同一件事的话，可以一起等答复；不点也照常办理。",
        ((_action("一起等答复", "join", f"{no},{joinable.lead}"),),),
        need_no=no,
    )


def joined(no: str) -> Saying:
    """The need waits together with others."""
    return Saying(f"好的，<b>{no}</b> 已和同样的问题一起办理，有了答复会发到这里。", ((_action("我的提问", "my"),),), need_no=no)


def person_called(no: str, court: Court) -> Saying:
    """A person was asked for; the bot falls silent."""
    return Saying(
        f"已经转给法院工作人员，编号 <b>{no}</b>。值守时间：{escape(court.office_hours)}，其他时间会在上班后处理。\n"
        "从现在起机器人不再插话，您可以继续把情况写在这里，工作人员都能看到。",
        ((_action("让机器人继续回答", "resume"),),),
        need_no=no,
    )


def add_buttons(no: str) -> tuple[Button, ...]:
    """Under a request for more: the way to add it."""
    return (_action("补充说明", "add", no), _action("我的提问", "my"))


def added(no: str) -> Saying:
    """Something was added to a need."""
    return Saying(f"已补充到 <b>{no}</b>，工作人员会看到。", need_no=no)


def court_reply(no: str, question: str | None, text: str, signature: str, asking_id: int) -> Saying:
    """The court's answer to a need, naming who approved it."""
    about = f"您的问题：{escape(_short(question, 80))}\n\n" if question else ""
    return Saying(
        f"<b>关于 {no} 的答复</b>\n\n{about}{escape(text)}\n\n<i>{escape(signature)}。{DISCLAIMER}</i>\n\n解决了吗？",
        (
            (
                Button("解决了", NeedButton(asking=asking_id, verdict="solved").pack()),
                Button("没解决", NeedButton(asking=asking_id, verdict="unsolved").pack()),
            ),
        ),
        need_no=no,
    )


def need_closed(no: str) -> Saying:
    """The asker said it is solved; how satisfied they are is asked once."""
    grades = [_action(grade, "rate", f"{no}/{i}") for i, grade in enumerate(SATISFACTION)]
    return Saying(f"谢谢反馈，{no} 已办结。以后有问题随时来问。\n\n这次办理您满意吗？", (tuple(grades[:2]), tuple(grades[2:])))


def ask_withdraw(no: str) -> Saying:
    """Make sure before a need is withdrawn."""
    return Saying(
        f"要撤回 {no} 吗？撤回后工作人员不再答复，编号和经过仍会保留。",
        ((_action("确认撤回", "withdraw_sure", no), _action("取消", "cancel")),),
    )


def need_reopened(no: str) -> Saying:
    """The asker said it is not solved."""
    return Saying(
        f"抱歉没能解决。{no} 已重新打开，原来的内容都在，工作人员会继续处理。可以直接补充还差什么：",
        ((_action("补充说明", "add", no),),),
        need_no=no,
    )


def my_questions(items: Sequence[dict[str, Any]], ours: Sequence[dict[str, Any]] = ()) -> Saying:
    """What the person asked, with states an owner understands; `ours` are needs that colleagues of the same enterprise asked."""
    if not items and not ours:
        return Saying(NOTHING_ASKED, (menu(),))
    lines = ["您最近的提问：", *(_my_line(item, _short(item["question"] or "（文字已删除）", 40)) for item in items)] if items else []
    if ours:
        lines += ["本企业其他人的提问：", *(_my_line(item, mask(_short(item["question"] or "（文字已删除）", 40))) for item in ours)]
    mine = [item["no"] for item in items if item["no"] and item["state"] in MOVES["withdraw"].sources][:MOST_WITHDRAWN]
    withdraw = tuple((_action(f"撤回 {no}", "withdraw", no),) for no in dict.fromkeys(mine))
    return Saying("\n\n".join(lines[:1]) + "\n\n" + "\n".join(lines[1:]), (*withdraw, menu()))


def _my_line(item: dict[str, Any], question: str) -> str:
    direct = {"answer": "已直接答复", "offer": "已列出相近问题"}
    state = STATE_NAMES[item["state"]] if item["no"] else direct.get(item["band"], "已记录")
    number = f"<b>{item['no']}</b> " if item["no"] else ""
    return f"{item['asked_at'][5:10]} {number}{escape(question)}\n　{state}"


def profile(fields: dict[str, str | None], linked: int) -> Saying:
    """What we know about the company, and how to change it."""
    lines = [f"{label}：{escape(fields[name] or '（未填）')}" for name, label in FIELDS.items()]
    chats = f"\n\n已绑定 {linked} 个聊天端。" if linked > 1 else ""
    edit = _pairs(_action(f"改{label}", "set", name) for name, label in FIELDS.items())
    return Saying(
        "企业资料（自愿填写，填了方便工作人员联系和走访，不影响提问）：\n\n" + "\n".join(lines) + chats,
        (*edit, (_action("绑定另一端", "link"), _action("全部删除", "forget"))),
    )


def ask_field(field: str, choices: Sequence[str] = ()) -> Saying:
    """Ask for one field of the profile."""
    consent = "\n填写联系方式即同意法院工作人员为答复这些问题与您联系，可随时删除。" if field in ("contact", "phone") else ""
    buttons = _pairs(_action(choice, "pick", f"{field}-{i}") for i, choice in enumerate(choices))
    return Saying(
        f"请输入{FIELDS[field]}，或发“清空”删除这一项。{consent}",
        (*buttons, (_action("取消", "cancel"),)),
    )


def link_code(code: str) -> Saying:
    """A one-time code that joins another chat to this person."""
    return Saying(
        f"请在另一端（网页或 Telegram）发送：\n<code>/link {code}</code>\n10 分钟内有效，只能用一次。绑定后两端看到同样的“我的提问”。"
    )


def ask_forget() -> Saying:
    """Make sure before erasing."""
    return Saying(
        "要删除您的企业资料、联系方式和提问文字吗？删除后不能恢复；办理中的需求会保留编号，但工作人员看不到原来的文字。",
        ((_action("确认删除", "erase"), _action("取消", "cancel")),),
    )


def say(text: str) -> Saying:
    """A plain sentence of ours or of an error; escaped."""
    return Saying(escape(text))


def feedback_thanks() -> Saying:
    """The answer helped."""
    return Saying("很高兴帮到您。还有问题可以继续问。")


def buttons_gone(message_id: int) -> Saying:
    """Take the buttons off a message that has been used."""
    return Saying(None, (), edits=message_id)


def feedback_buttons(asking_id: int) -> tuple[Button, ...]:
    """Under every answer."""
    return (
        Button("解决了", FeedbackButton(asking=asking_id, verdict="solved").pack()),
        Button("没解决", FeedbackButton(asking=asking_id, verdict="unsolved").pack()),
        _person(asking_id),
    )


def staff_button(label: str, name: str, about: str) -> Button:
    """A button for staff."""
    return Button(label, StaffButton(name=name, about=about).pack())


def _person(asking_id: int) -> Button:
    return Button("找法院工作人员", FeedbackButton(asking=asking_id, verdict="person").pack())


def _emergency(verdict: Verdict) -> str:
    return f"{EMERGENCY}\n\n" if "R5" in verdict.frames else ""


def _action(label: str, name: str, about: str = "") -> Button:
    return Button(label, ActionButton(name=name, about=about).pack())


def _pairs(buttons: Iterable[Button]) -> tuple[tuple[Button, ...], ...]:
    listed = list(buttons)
    return tuple(tuple(listed[i : i + 2]) for i in range(0, len(listed), 2))


def _lists(entry: Entry) -> list[str]:
    parts = []
    if entry.steps:
        parts.append("<b>怎么做</b>\n" + "\n".join(f"{i}. {escape(step)}" for i, step in enumerate(entry.steps, 1)))
    if entry.materials:
        parts.append("<b>要准备</b>\n" + "\n".join(f"· {escape(item)}" for item in entry.materials))
    if entry.mistake:
        parts.append(f"<b>常见误区</b>\n{escape(entry.mistake)}")
    return parts


def _original(entry: Entry) -> str:
    place = "，".join(filter(None, [entry.place, entry.document_date]))
    return f"<b>原文</b>（{escape(place)}）\n<blockquote>{escape(entry.answer)}</blockquote>"


def _stands_behind(item: Published) -> str:
    if item.reviewed_by:
        return f"本院审核：{item.reviewed_by}，{(item.reviewed_at or '')[:10]}"
    return UNREVIEWED


def _short(text: str | None, length: int = 30) -> str:
    text = " ".join((text or "").split())
    return text if len(text) <= length else text[: length - 1] + "…"
