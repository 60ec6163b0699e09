"""What court staff do with a need, the same from the chat and from the console.

Each method is one transaction's worth of work: it checks who may see the need, moves it, writes the history, and puts the
messages that follow from it (to those who asked, to colleagues) into the outbox.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from html import escape
from typing import Any

from bot import replies
from bot.access import Staff, active_staff, chats_of_staff, staff_name
from bot.outbox import Mail, Saying
from knowledge.court import Court, Topic
from knowledge.database import Db, row, rows
from knowledge.errors import BadInput, Conflict, NotAllowed, NotFound
from knowledge.ledger import sensitive
from knowledge.ledger.deadlines import CALL, Rules
from knowledge.ledger.grouping import split
from knowledge.ledger.needs import NO_NEED, find_need, move
from knowledge.ledger.record import EDITABLE, EMPTIABLE, NAMES, REJECTIONS, RESTRICTED, TEXT_FIELDS, is_empty, tidy_details
from knowledge.ledger.telling import already_told, note_telling, recipients
from knowledge.ledger.workflow import BOT, DESK_ROLES, INTAKE_ROLES, MOVES, OPEN, STATE_NAMES
from knowledge.privacy import mask

LONGEST_REPLY = 4000
SELF_REVIEWED = "本院允许一人办理，未经第二人审核"
SHOWN = 20
"""Needs in one list of the chat."""


@dataclass(frozen=True)
class Desk:
    """The staff's work on needs, under this court's rules."""

    court: Court
    rules: Rules
    topics: Mapping[str, Topic]

    def step(
        self,
        db: Db,
        mail: Mail,
        no: str,
        action: str,
        staff: Staff,
        at: datetime,
        text: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Do any step of the workflow that has no method of its own, and tell whom it concerns.

        Raises NotFound, NotAllowed (role, person or state), BadInput (reason or a field missing or wrong); then nothing has changed.
        """
        need = self.find(db, no, staff)
        details = self._details(details)
        if action == "accept" and need["handler"] is None:
            details["handler"] = staff.id
        if action == "return":
            details["handler"] = None
        if (wanted := NEEDS_DETAIL.get(action)) and wanted not in details:
            raise BadInput(f"“{MOVES[action].name}”要填{NAMES[wanted]}。")
        _days_make_sense(action, need, details, at.date())
        if action == "extend" and not self.court.allow_self_review and need["handler"] == staff.id:
            raise NotAllowed("延期要由承办人以外的审核人批准。")
        if action == "restrict":
            self._leave_group(db, need, staff, at)
        if action in ("void", "reject"):
            self.leave_members(db, mail, no, at)
        move(db, no, action, staff.actor, staff.roles, at, self.rules, text, details)
        if action == "restrict":
            self.urgent_new(db, mail, no, _text(db, need["text_id"]) or "", "设为专班")
        self._tell_askers(db, mail, no, action, text)
        self._tell_colleagues(db, mail, need, action, text, staff)

    def register(self, db: Db, no: str, staff: Staff, at: datetime, details: Mapping[str, Any] | None = None) -> None:
        """Take a need into the ledger. Raises NotFound, NotAllowed, BadInput for a field that is wrong."""
        _must_take_in(self.find(db, no, staff), staff)
        move(db, no, "register", staff.actor, staff.roles, at, self.rules, None, self._details(details))

    def edit(self, db: Db, no: str, staff: Staff, at: datetime, fields: Mapping[str, Any]) -> int:
        """Change fields of the record; returns how many really changed. Raises as `step` does."""
        need = self.find(db, no, staff)
        if unknown := [name for name in fields if name not in EDITABLE]:
            raise BadInput(f"{NAMES.get(unknown[0], unknown[0])}不能在登记信息里改，要用相应的办理步骤。")
        texts = {name: str(fields[name]).strip() for name in TEXT_FIELDS if name in fields}
        plain = self._details({name: value for name, value in fields.items() if name not in TEXT_FIELDS})
        emptied = {name: None for name in EMPTIABLE if name in fields and is_empty(fields[name]) and need[name] not in (None, "[]")}
        changed = {name: value for name, value in (plain | emptied).items() if _stored(value) != need[name]}
        if "received_at" in changed and changed["received_at"] == need["received_at"][:10]:
            del changed["received_at"]
        _days_make_sense("edit", need, changed, at.date())
        if self.must_be_reviewed(need) and not self.must_be_reviewed(need | changed) and not self._may_lift_review(need, staff):
            raise NotAllowed("这样一改，答复就不用审核了。请承办人以外的审核人来改。")
        if changed:
            move(db, no, "edit", staff.actor, staff.roles, at, self.rules, None, changed)
        new = {name: text for name, text in texts.items() if text != (_text(db, need[f"{name}_id"]) or "")}
        for name, text in new.items():
            move(db, no, "edit", staff.actor, staff.roles, at, self.rules, text or None, {"field": name})
        return len(changed) + len(new)

    def reject(self, db: Db, mail: Mail, no: str, staff: Staff, why: str, at: datetime, kind: str = "其他") -> None:
        """Do not register a need, with a reason its askers are told. Raises as `step` does."""
        if kind not in REJECTIONS:
            raise BadInput(f"不予登记的类型请选：{'、'.join(REJECTIONS)}。")
        if not why.strip():
            raise BadInput("请写明不予登记的理由，会告知提问人。")
        _must_take_in(self.find(db, no, staff), staff)
        self.step(db, mail, no, "reject", staff, at, why if kind == "其他" else f"{kind}：{why}")

    def assign(
        self,
        db: Db,
        mail: Mail,
        no: str,
        staff: Staff,
        at: datetime,
        division: str,
        handler: int | None,
        copies: Sequence[str] = (),
        why: str = "",
    ) -> None:
        """Give a need to a division and, if named, to a person; they and whoever gets a copy are told. Raises as `step` does."""
        need = self.find(db, no, staff)
        details = self._details({"division": division, "copies": list(copies)})
        if "division" not in details:
            raise BadInput("请选承办部门。")
        details["handler"] = handler
        if handler is not None:
            who = row(db, "SELECT id, name, roles, active FROM staff WHERE id = ?", handler)
            if who is None or not who["active"] or "handler" not in json.loads(who["roles"]):
                raise BadInput("承办人要选在职的、有承办人角色的工作人员。")
            if handler in json.loads(need["recused"] or "[]"):
                raise BadInput(f"{who['name']}在这件需求里应当回避，请选别人。")
        if need["state"] == "in_progress" and not why.strip():
            raise BadInput("改派办理中的需求，请写明理由。")
        move(db, no, "assign", staff.actor, staff.roles, at, self.rules, why, details)
        mine = [handler] if handler else _in_division(db, division)
        self._notify(db, mail, no, need["text_id"], "分派给您的需求", mine, at)
        self._notify(db, mail, no, need["text_id"], "抄送您的需求", _named_in_directory(db, copies), at)

    def reply(self, db: Db, mail: Mail, no: str, staff: Staff, text: str, at: datetime, mode: str | None = None) -> int:
        """Answer a need: everyone who asked it, or a need grouped with it, is told once. Returns how many messages that is.

        Raises as `step` does, and NotAllowed where the answer has to be reviewed first.
        """
        need = self.find(db, no, staff)
        if reason := self.group_must_be_reviewed(db, need):
            raise NotAllowed(f"这件需求属于“{reason}”，答复要经审核才能发出。请承办人点“提交审核”。")
        return self._answer(db, mail, need, "reply", staff, text, at, f"答复人：{staff.signature}", mode)

    def submit_reply(self, db: Db, mail: Mail, no: str, staff: Staff, text: str, at: datetime) -> None:
        """Hand an answer in for review. Raises as `step` does."""
        need = self.find(db, no, staff)
        _must_be_text(text)
        move(db, no, "submit_reply", staff.actor, staff.roles, at, self.rules, text, None if need["handler"] else {"handler": staff.id})
        others = [who.id for who in active_staff(db, ["reviewer"]) if who.id != staff.id]
        self._notify(db, mail, no, need["text_id"], "有答复等您审核", others, at)

    def approve(self, db: Db, mail: Mail, no: str, staff: Staff, at: datetime, text: str | None = None, seen: int | None = None) -> int:
        """Send out the answer that waits for review, as it is or as the reviewer has corrected it. Returns how many messages that is.

        Raises as `step` does, Conflict when it is not the answer that was `seen`, and NotAllowed for one's own answer, unless the
        court allows it; then the answer says so.
        """
        need = self.find(db, no, staff)
        waiting = answer_waiting(db, no)
        if waiting is None:
            raise NotAllowed("这件需求没有等待审核的答复。")
        if seen is not None and need["state"] == "in_review" and seen != waiting["id"]:
            raise Conflict("您看过之后，承办人又改了答复，所以没有发出。请重新查看再审核。")
        if waiting["actor"] == staff.actor and not self.court.allow_self_review:
            raise NotAllowed("不能审核自己写的答复，请另一位审核人来审。")
        author = staff_name(db, waiting["actor"])
        alone = waiting["actor"] == staff.actor
        signed = f"答复人、审核人：{author}（{SELF_REVIEWED}）" if alone else f"答复人：{author}　审核人：{staff.name}"
        return self._answer(db, mail, need, "approve", staff, text if text is not None else waiting["body"] or "", at, signed)

    def urgent_new(self, db: Db, mail: Mail, no: str, text: str, reason: str) -> None:
        """Tell the staff on duty about a new or changed need: the duty person alone where it is restricted, its handler if it has one."""
        need = find_need(db, no)
        if need["sensitive"] or need["visibility"] == RESTRICTED:
            people = [*sensitive.duty_staff(db, need["sensitive"], self.court), *filter(None, [need["handler"]])]
            reason = f"{reason}（{need['sensitive'] or RESTRICTED}，专人办理）"
        elif need["handler"]:
            people = [need["handler"]]
        else:
            people = [who.id for who in active_staff(db, self.court.notify_roles)]
        if need["duty"] == CALL:
            reason = f"{reason}（特急，{self.rules.call_hours} 小时内电话联系企业）"
        mail_all(mail, chats_of_staff(db, people, mail.at), notice(no, text, reason))

    def leave_members(self, db: Db, mail: Mail, lead: str, at: datetime) -> None:
        """The lead of a group is given up (withdrawn, turned away, voided): its members go on, each on its own."""
        for member in members_of(db, lead):
            split(db, member["no"], "bot", DESK_ROLES, at, self.rules, "牵头的需求不再办理")
            if member["state"] in OPEN:
                self.urgent_new(db, mail, member["no"], member["question"] or "", "牵头的需求不再办理，请单独办理")

    def group_must_be_reviewed(self, db: Db, need: Mapping[str, Any]) -> str | None:
        """Why an answer to this need, and to those that go with it, has to be reviewed, or None."""
        answered = [member["no"] for member in members_of(db, need["no"]) if member["state"] in OPEN | {"replied"}]
        group = [need, *(find_need(db, no) for no in answered)]
        return next(filter(None, map(self.must_be_reviewed, group)), None)

    def alert_danger(self, db: Db, mail: Mail, text: str, channel: str) -> None:
        """Tell the duty person at once that somebody may be in danger; nothing is asked of that person and nothing recorded about them."""
        chats = chats_of_staff(db, sensitive.duty_staff(db, "人身危险", self.court), mail.at)
        where = {"web": "网页对话", "telegram": "Telegram"}.get(channel, channel)
        mail_all(
            mail,
            chats,
            Saying(
                f"🚨 <b>可能有人身危险</b>（{where}）\n{escape(mask(text)[:300])}\n\n已请对方拨打 110、120、119。请值守人按本院预案处理。"
            ),
        )

    def must_be_reviewed(self, need: Mapping[str, Any]) -> str | None:
        """Why the answer to this need has to be reviewed by a second person (DOMAIN 3.2), or None."""
        if "全部" in self.court.review_always:
            return "本院规定每件审核"
        kinds = [need["urgency"], need["sensitive"], need["litigation"], "涉府" if (need["topic"] or "").startswith("J") else None]
        return next((kind for kind in kinds if kind in self.court.review_always), None)

    def needs_board(self, db: Db, staff: Staff, today: date, duties: bool = False) -> Saying:
        """The open needs this person may see, what is due first on top; with `duties` only what is due today or overdue."""
        condition, args = self.visible(staff)
        states = sorted(OPEN)
        soon = "AND n.duty_on <= ?" if duties else ""
        found = rows(
            db,
            "SELECT n.no, n.state, n.duty, n.duty_on, t.body AS question FROM needs n JOIN texts t ON t.id = n.text_id"
            f" WHERE n.state IN ({','.join('?' * len(states))}) AND {condition} {soon}"
            " ORDER BY n.duty_on IS NULL, n.duty_on, n.year, n.seq",
            *states,
            *args,
            *([today.isoformat()] if duties else []),
        )
        if not found:
            return Saying("今天没有到期的需求。" if duties else "没有待办的需求。")
        lines = [_board_line(need, today) for need in found[:SHOWN]]
        lines += [f"另有 {len(found) - SHOWN} 件，请到工作台查看（/console）。"] if len(found) > SHOWN else []
        buttons = [replies.staff_button(need["no"][3:], "show", need["no"]) for need in found[:SHOWN]]
        return Saying("\n\n".join(lines), tuple(tuple(buttons[i : i + 3]) for i in range(0, len(buttons), 3)))

    def visible(self, staff: Staff) -> tuple[str, list[Any]]:
        """An SQL condition on `needs n`, with its parameters: what this person may see."""
        return sensitive.visible_to(staff.id, staff.roles, staff.name, self.court)

    def may_see(self, db: Db, no: str, staff: Staff) -> bool:
        """Whether this person may see this need."""
        condition, args = self.visible(staff)
        return row(db, f"SELECT 1 FROM needs n WHERE n.no = ? AND {condition}", no, *args) is not None

    def find(self, db: Db, no: str, staff: Staff) -> dict[str, Any]:
        """A need this person may work on. Raises NotFound, in the words of an unknown number, for one they may not see."""
        need = find_need(db, no)
        if not self.may_see(db, no, staff):
            # Who tries numbers must not learn which are restricted.
            raise NotFound(NO_NEED.format(no=no))
        if staff.id in json.loads(need["recused"] or "[]"):
            raise NotAllowed(f"您在 {no} 里应当回避，不能办理。")
        return need

    def _details(self, details: Mapping[str, Any] | None) -> dict[str, Any]:
        return tidy_details(details or {}, self.court, list(self.topics))

    def _answer(
        self,
        db: Db,
        mail: Mail,
        need: dict[str, Any],
        action: str,
        staff: Staff,
        text: str,
        at: datetime,
        signed: str,
        mode: str | None = None,
    ) -> int:
        text = _must_be_text(text)
        no = str(need["no"])
        details = self._details({"reply_mode": mode or "线上"})
        number = move(db, no, action, staff.actor, staff.roles, at, self.rules, text, details)
        # Who was turned away, or has said that it is solved, is not written to again.
        members = [member["no"] for member in members_of(db, no) if member["state"] in OPEN | {"replied"}]
        self._follow(db, members, staff.actor, at, text, details)
        return _tell_answer(db, mail, f"reply:{number}", [no, *members], text, signed, at)

    def pass_on(self, db: Db, mail: Mail, lead: str, members: Sequence[str], staff: Staff, at: datetime) -> int:
        """Give the answer that `lead` already has to needs that were merged into it afterwards; returns how many messages that is."""
        if find_need(db, lead)["state"] not in ("replied", "closed"):
            return 0
        given = row(
            db,
            "SELECT h.id, h.actor, h.action, t.body FROM need_history h JOIN texts t ON t.id = h.text_id"
            " WHERE h.need_no = ? AND h.action IN ('reply', 'approve') ORDER BY h.id DESC LIMIT 1",
            lead,
        )
        if given is None or not given["body"]:
            return 0
        if given["action"] == "reply":
            # What needs a second pair of eyes is not answered by what had only one.
            members = [member for member in members if not self.must_be_reviewed(find_need(db, member))]
        self._follow(db, members, staff.actor, at, given["body"], self._details({"reply_mode": "线上"}))
        signed = f"{'审核人' if given['action'] == 'approve' else '答复人'}：{staff_name(db, given['actor'])}"
        return _tell_answer(db, mail, f"reply:{given['id']}", members, given["body"], signed, at)

    def _follow(self, db: Db, members: Sequence[str], actor: str, at: datetime, text: str, details: Mapping[str, Any]) -> None:
        for member in members:
            need = find_need(db, member)
            if need["state"] not in OPEN | {"replied"}:
                continue
            lead = find_need(db, need["lead_no"]) if need["lead_no"] else need
            # Who answered for the group has the member in hand, should it be opened again.
            whose = {name: lead[name] for name in ("division", "handler") if need[name] is None and lead[name] is not None}
            move(db, member, "follow_reply", actor, BOT, at, self.rules, text, {**details, **whose})

    def _leave_group(self, db: Db, need: Mapping[str, Any], staff: Staff, at: datetime) -> None:
        """A need that becomes restricted goes on alone: its group is worked on by people who may not see it."""
        if members_of(db, need["no"]):
            raise NotAllowed("这件需求牵头着一组。请先在“同类归并”里拆分，再设为专班。")
        if need["lead_no"]:
            split(db, need["no"], staff.actor, DESK_ROLES, at, self.rules, "设为专班，单独办理")

    def _may_lift_review(self, need: Mapping[str, Any], staff: Staff) -> bool:
        return staff.may(frozenset({"reviewer"})) and staff.id != need["handler"]

    def _tell_askers(self, db: Db, mail: Mail, no: str, action: str, text: str) -> None:
        if action not in TOLD_TO_ASKERS:
            return
        saying = Saying(TOLD_TO_ASKERS[action].format(no=no, text=escape(text.strip())), need_no=no)
        if action in ("ask_asker", "ask_enterprise"):
            saying = Saying(saying.text, (replies.add_buttons(no),), need_no=no)
        for to in recipients(db, [no]):
            if to.channel and to.chat_id is not None:
                mail.send(to.channel, to.chat_id, saying)

    def _tell_colleagues(self, db: Db, mail: Mail, need: dict[str, Any], action: str, text: str, staff: Staff) -> None:
        if action not in TOLD_TO_STAFF:
            return
        roles, reason = TOLD_TO_STAFF[action]
        people = [need["handler"]] if roles == ["the handler"] and need["handler"] else [who.id for who in active_staff(db, roles)]
        chats = self._chats(db, str(need["no"]), [who for who in people if who != staff.id], mail.at)
        mail_all(mail, chats, notice(str(need["no"]), text, reason))

    def _notify(self, db: Db, mail: Mail, no: str, text_id: int, reason: str, people: Sequence[int], at: datetime) -> None:
        mail_all(mail, self._chats(db, no, people, at), notice(no, _text(db, text_id) or "", reason))

    def _chats(self, db: Db, no: str, people: Sequence[int], at: datetime) -> list[tuple[str, int]]:
        """The chats of those among `people` who may see the need."""
        may = [who.id for who in active_staff(db) if who.id in people and self.may_see(db, no, who)]
        return chats_of_staff(db, may, at)


NEEDS_DETAIL = {"extend": "due_on", "suspend": "until", "transfer": "partners"}
"""A field without which a step says nothing."""
TOLD_TO_ASKERS = {
    "reject": "{no} 不予登记：{text}\n您可以换个说法重新提问，或拨打 12368 咨询（号码以官方公布为准）。",
    "restore": "{no} 经复核恢复登记，工作人员会继续处理。",
    "ask_asker": "<b>{no} 还需要您补充</b>：{text}\n补充以后继续办理，等待的时间不计入期限。",
    "ask_enterprise": "<b>{no} 还需要您补充</b>：{text}\n补充以后继续办理，等待的时间不计入期限。",
    "transfer": "{no} 已转请有关单位办理：{text}\n有了结果会在这里告诉您。",
    "extend": "{no} 需要多一些时间，已经批准延期：{text}",
}
TOLD_TO_STAFF = {
    "ask_return": (["assigner"], "承办人申请退办"),
    "ask_transfer": (["assigner"], "承办人申请转办"),
    "ask_extension": (["reviewer"], "承办人申请延期"),
    "return": (["assigner"], "已退回待分派"),
    "send_back": (["the handler"], "审核退回"),
    "extend": (["the handler"], "已批准延期"),
    "urge": (["the handler"], "催办"),
}


def notice(no: str, text: str, reason: str) -> Saying:
    """A notice to staff about a need; personal data in the text is masked."""
    return Saying(
        f"🔔 {escape(reason)} <b>{no}</b>\n{escape(mask(text)[:300])}\n\n直接回复这条消息就是答复提问人，也可以点按钮。",
        ((replies.staff_button("答复", "reply", no), replies.staff_button("查看", "show", no)),),
        need_no=no,
    )


def mail_all(mail: Mail, chats: Sequence[tuple[str, int]], saying: Saying) -> None:
    """Send one saying to several chats."""
    for channel, chat_id in dict.fromkeys(chats):
        mail.send(channel, chat_id, saying)


def urgency_mark(duty_on: str | None, today: date) -> str:
    """What stands before a need in a list: overdue, due today, or nothing."""
    if not duty_on or duty_on > today.isoformat():
        return ""
    return "【超期】" if duty_on < today.isoformat() else "【今天到期】"


def answer_waiting(db: Db, no: str) -> dict[str, Any] | None:
    """The answer that was handed in last: number of its row in the history, who wrote it, its text."""
    return row(
        db,
        "SELECT h.id, h.actor, t.body FROM need_history h JOIN texts t ON t.id = h.text_id"
        " WHERE h.need_no = ? AND h.action = 'submit_reply' ORDER BY h.id DESC LIMIT 1",
        no,
    )


def members_of(db: Db, lead: str) -> list[dict[str, Any]]:
    """The needs that go with this one: number, state, question."""
    return rows(
        db, "SELECT n.no, n.state, t.body AS question FROM needs n JOIN texts t ON t.id = n.text_id WHERE n.lead_no = ? ORDER BY n.no", lead
    )


def _tell_answer(db: Db, mail: Mail, answer: str, needs: Sequence[str], text: str, signed: str, at: datetime) -> int:
    """Tell everybody who asked one of these needs, each enterprise once for one answer; returns how many messages that is."""
    told, done = 0, already_told(db, answer)
    for to in recipients(db, needs):
        if done & {to.key, f"person:{to.person_id}"}:
            continue
        outbox_id = None
        if to.channel and to.chat_id is not None:
            (outbox_id,) = mail.send(to.channel, to.chat_id, replies.court_reply(to.need_no, to.question, text, signed, to.asking_id))
            told += 1
        note_telling(db, answer, to, at, outbox_id)
    return told


def _board_line(need: dict[str, Any], today: date) -> str:
    when = f"，{need['duty']} {need['duty_on'][5:]} 前" if need["duty_on"] else ""
    question = escape(mask(need["question"] or "（文字已删除）")[:60])
    return f"{urgency_mark(need['duty_on'], today)}<b>{need['no']}</b> {STATE_NAMES[need['state']]}{when}\n{question}"


def _must_be_text(text: str) -> str:
    text = text.strip()
    if not text:
        raise BadInput("答复内容是空的，请写好再发。")
    if len(text) > LONGEST_REPLY:
        raise BadInput(f"答复有 {len(text)} 字，请控制在 {LONGEST_REPLY} 字以内。")
    return text


def _days_make_sense(action: str, need: Mapping[str, Any], details: Mapping[str, Any], today: date) -> None:
    """Dates that cannot be: something that happens before the need came in, or a term that has already run out."""
    received = str(details.get("received_at", need["received_at"]))[:10]
    for name in ("visited_on", "registered_on", "due_on", "until"):
        if name in details and details[name] < received:
            raise BadInput(f"{NAMES[name]} {details[name]} 早于收到日期 {received}，请核对。")
    if "received_at" in details and details["received_at"] > today.isoformat():
        raise BadInput(f"收到日期 {details['received_at']} 还没有到，请核对。")
    for name in ("due_on", "until"):
        if name in details and details[name] < today.isoformat():
            raise BadInput(f"{NAMES[name]} {details[name]} 已经过去了，请填今天以后的日期。")
    if action == "extend" and need["due_on"] and details["due_on"] <= need["due_on"]:
        raise BadInput(f"延期后的期限要晚于现在的期限 {need['due_on']}。")


def _must_take_in(need: Mapping[str, Any], staff: Staff) -> None:
    """Ordinary needs are the registrars'; what they may not see is taken in by an assigner."""
    if not staff.may(INTAKE_ROLES) and need["visibility"] != RESTRICTED:
        raise NotAllowed("登记和不予登记由登记员办理。分派人只登记专班的需求。")


def _in_division(db: Db, division: str) -> list[int]:
    return [int(item["id"]) for item in rows(db, "SELECT id FROM staff WHERE division = ? AND active = 1", division)]


def _named_in_directory(db: Db, tokens: Sequence[str]) -> list[int]:
    """The staff whom these rows of the directory (`directory:12`) name."""
    numbers = [int(token.partition(":")[2]) for token in tokens if token.startswith("directory:")]
    marks = ",".join("?" * len(numbers))
    found = rows(db, f"SELECT s.id FROM directory d JOIN staff s ON s.name = d.person WHERE s.active = 1 AND d.id IN ({marks})", *numbers)
    return [int(item["id"]) for item in found]


def _stored(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def _text(db: Db, text_id: int | None) -> str | None:
    found = row(db, "SELECT body FROM texts WHERE id = ?", text_id) if text_id else None
    return found["body"] if found else None
