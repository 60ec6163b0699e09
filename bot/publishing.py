"""A version becomes what the bot answers: read by a second person, looked ahead, told to everybody who asked.

The same rules hold wherever it is done (console, chat): exactly what was read is published; nobody reviews their own version
unless the court allows it, and then the entry says so; what the look ahead found to conflict, and a citation that is wrong,
need a typed reason; what looks personal must be confirmed to be none.
"""

from dataclasses import replace
from datetime import date, datetime, timedelta
from html import escape

from bot import replies
from bot.access import Staff
from bot.audit import note_audit
from bot.consequences import Outlook
from bot.desk import Desk
from bot.outbox import Button, Mail, Saying
from knowledge import library
from knowledge.database import Db, row, rows
from knowledge.drafting import (
    Version,
    check,
    citation_warnings,
    drop,
    follow_groups,
    looks_personal,
    must_be,
    must_not_be_sensitive,
    new_sources,
    note_event,
    working,
    writers_of,
)
from knowledge.entry import Entry
from knowledge.errors import BadInput, Conflict, NotAllowed, NotFound
from knowledge.ledger.needs import find_need, move
from knowledge.ledger.telling import Recipient, note_telling, recipients
from knowledge.ledger.workflow import BOT, OPEN
from knowledge.texts import must_be_reason

ALONE = "（一人办理）"
"""Stands behind the reviewer's name where the court lets one person write and publish."""
TOLD_WITHIN_DAYS = 31
"""An entry that begins to hold later is told on its first day, or as soon after as the bot runs."""


def publish(
    db: Db,
    mail: Mail,
    desk: Desk,
    entry_id: str,
    seen_hash: str,
    staff: Staff,
    at: datetime,
    outlook: Outlook,
    why: str = "",
    sure: bool = False,
) -> int:
    """Publish the version that was read, and tell those who asked; returns how many that are.

    `outlook` is what publishing would change, `why` the typed reason for conflicts and wrong citations, `sure` that what looks
    personal is not. Raises NotFound; Conflict when it is another version, or not handed in; NotAllowed for one's own, or one from a
    need that is restricted now; BadInput for a reason or confirmation that is missing. Then nothing has changed.
    """
    version = must_be(db, entry_id, seen_hash)
    alone = _must_be_second(db, version, staff, desk)
    check(version.entry)
    if version.entry.valid_until and version.entry.valid_until < at.date():
        raise BadInput(f"失效日期 {version.entry.valid_until} 已经过去，请先改好再发布。")
    must_not_be_sensitive(db, new_sources(db, entry_id))
    note = _must_be_weighed(version.entry, outlook, why, sure, at.date())
    library.put_entry(db, "console", replace(version.entry, state="draft"), at)
    _sign(db, entry_id, version.hash, staff, at, alone, note)
    return tell_askers(db, mail, desk, entry_id, staff.actor, at)


def sign(db: Db, entry_id: str, seen_hash: str, staff: Staff, at: datetime) -> None:
    """Put the court's name under an entry that already answers (shipped or imported), as it stands. Raises NotFound, Conflict."""
    held = _must_serve(db, entry_id, seen_hash)
    if held.reviewed_by:
        raise Conflict("这个条目已经有人审核过，这次没有改动。")
    _sign(db, entry_id, held.hash, staff, at, False, "")


def withdraw(db: Db, entry_id: str, seen_hash: str, staff: Staff, at: datetime, why: str) -> None:
    """Let a published entry answer no more; the index follows within seconds. Raises NotFound, Conflict, BadInput without a reason."""
    held = _must_serve(db, entry_id, seen_hash)
    why = must_be_reason(why, "停用")
    library.set_state(db, entry_id, "withdrawn", at, staff.name)
    note_event(db, entry_id, held.hash, at, staff.actor, "withdrawn", why)
    note_audit(db, at, staff.actor, "entry_withdrawn", entry_id, why)


def set_aside(db: Db, entry_id: str, seen_hash: str, staff: Staff, at: datetime, why: str = "") -> None:
    """Do not use a draft; it stays on record. Raises NotFound, Conflict."""
    drop(db, entry_id, seen_hash, staff.actor, staff.name, at, why)
    note_audit(db, at, staff.actor, "entry_dropped", entry_id, why)


def waiting_versions(db: Db) -> list[Version]:
    """What a reviewer can decide on in the chat, newest first: versions handed in, and entries that came with a document."""
    found = [version for entry in library.waiting_for_review(db) if (version := working(db, entry.id))]
    return [version for version in found if version.state == "review" or version.author is None]


def waiting_version(db: Db, hash_begins: str) -> Version:
    """The version among them whose hash begins so: what a button names. Raises NotFound."""
    for version in waiting_versions(db):
        if version.hash.startswith(hash_begins):
            return version
    raise NotFound("这个草稿已经处理过，或者内容变了。请重新发送 /drafts 查看。")


def needs_a_reason(entry: Entry, outlook: Outlook | None, day: date) -> list[str]:
    """Why publishing this needs a typed reason, in Chinese; nothing when it needs none."""
    found = [f"有 {len(outlook.conflicts)} 处冲突"] if outlook and outlook.conflicts else []
    return found + citation_warnings(entry, day)


def tell_askers(db: Db, mail: Mail, desk: Desk, entry_id: str, actor: str, at: datetime) -> int:
    """Tell everybody who asked what this entry answers, each enterprise once; returns how many messages went out.

    Left out is who has been told this entry before, and who has had the same answer as a reply since they last said it was not
    solved. An entry that does not hold yet is told on its first day (`tell_what_begins`). Who has no chat is noted for a call.
    """
    held = library.find(db, entry_id)
    if held is None or held.entry.state != "published" or not held.entry.valid_on(at.date()):
        return 0
    needs = follow_groups(db, entry_id, actor, at)
    done = {item["recipient"] for item in rows(db, "SELECT recipient FROM tellings WHERE entry_id = ?", entry_id)}
    told = 0
    for to in recipients(db, needs):
        if done & {to.key, f"person:{to.person_id}"} or _has_the_reply(db, to, needs):
            continue
        outbox_id = None
        state = _answered(db, desk, to.need_no, held.entry.answer, actor, at)
        if to.channel and to.chat_id is not None:
            saying = reviewed_answer(to, held, with_buttons=state in ("replied", "closed"))
            (outbox_id,) = mail.send(to.channel, to.chat_id, saying)
            told += 1
        note_telling(db, f"entry:{entry_id}:{held.hash[:12]}", to, at, outbox_id, entry_id)
    return told


def tell_what_begins(db: Db, mail: Mail, desk: Desk, at: datetime) -> int:
    """Tell of the entries that were published for a later day and hold since a few weeks at most; safe to repeat."""
    first = at.date() - timedelta(days=TOLD_WITHIN_DAYS)
    found = rows(
        db,
        "SELECT DISTINCT e.id FROM entries e JOIN entry_sources s ON s.entry_id = e.id WHERE e.state = 'published'"
        " AND json_extract(e.body, '$.valid_from') BETWEEN ? AND ?",
        first.isoformat(),
        at.date().isoformat(),
    )
    return sum(tell_askers(db, mail, desk, item["id"], "bot", at) for item in found)


def reviewed_answer(to: Recipient, held: library.Held, with_buttons: bool) -> Saying:
    """What somebody who asked is told when the answer has become an entry; the buttons close or reopen their need."""
    question = " ".join((to.question or "").split())
    about = f"您问过的“{escape(question[:80])}{'…' if len(question) > 80 else ''}”" if question else f"您问过的 {to.need_no} "
    entry = held.entry
    parts = [f"<b>{about}现在有了经审核的答复</b>（{to.need_no}）", f"<b>{escape(entry.question)}</b>"]
    if entry.deadline:
        parts.append(f"⏰ <b>期限提示：{escape(entry.deadline)}</b>")
    parts.append(escape(entry.answer))
    if entry.basis:
        parts.append("<b>依据</b>\n" + "\n".join(f"· {escape(str(citation))}" for citation in entry.basis))
    parts.append(f"<i>本院审核：{escape(held.reviewed_by or '')}，{(held.reviewed_at or '')[:10]}。{replies.DISCLAIMER}</i>")
    if not with_buttons:
        return Saying("\n\n".join(parts), need_no=to.need_no)
    buttons = tuple(
        Button(label, replies.NeedButton(asking=to.asking_id, verdict=verdict).pack())
        for label, verdict in (("解决了", "solved"), ("没解决", "unsolved"))
    )
    return Saying("\n\n".join([*parts, "解决了吗？"]), (buttons,), need_no=to.need_no)


def _must_be_second(db: Db, version: Version, staff: Staff, desk: Desk) -> bool:
    """A second person reviews what was handed in; returns whether it is the author alone, where the court allows that."""
    if version.author is None:
        return False
    if version.state != "review":
        raise Conflict("这个条目还没有提交审核，不能发布。请作者在条目页面点“提交审核”。")
    if staff.actor not in writers_of(db, version.entry.id):
        return False
    if not desk.court.allow_self_review:
        raise NotAllowed("不能审核自己写的条目，请另一位审核人来发布。")
    return True


def _must_be_weighed(entry: Entry, outlook: Outlook, why: str, sure: bool, day: date) -> str:
    """What is written down about publishing in spite of warnings; raises BadInput where the reason or the confirmation is missing."""
    notes = []
    if personal := looks_personal(entry):
        if not sure:
            raise BadInput(f"内容里有像个人信息的地方（{'；'.join(personal[:3])}）。请改掉，或者核对后勾选“已核对，不是个人信息”。")
        notes.append("已核对没有个人信息")
    if reasons := needs_a_reason(entry, outlook, day):
        notes += [*reasons[:5], f"理由：{must_be_reason(why, f'发布前请在条目页面看过提示（{reasons[0]}）；仍要发布，')}"]
    elif why.strip():
        notes.append(why.strip()[:500])
    return "；".join(notes)


def _sign(db: Db, entry_id: str, version: str, staff: Staff, at: datetime, alone: bool, note: str) -> None:
    library.set_state(db, entry_id, "published", at, staff.name + (ALONE if alone else ""))
    note = "；".join(filter(None, ["一人办理，未经第二人审核" if alone else "", note]))
    note_event(db, entry_id, version, at, staff.actor, "published", note)
    note_audit(db, at, staff.actor, "entry_published", entry_id, note)


def _must_serve(db: Db, entry_id: str, seen_hash: str) -> library.Held:
    held = library.find(db, entry_id)
    if held is None:
        raise NotFound("没有这个条目，可能已被新的导入替换。请返回条目列表查看。")
    if held.entry.state != "published":
        raise Conflict("这个条目现在没有用于答复，这次没有改动。请刷新后查看最新状态。")
    if held.hash != seen_hash:
        raise Conflict("这个条目的内容在您审阅时变了，所以没有提交。请刷新，看过新内容再决定。")
    return held


def _has_the_reply(db: Db, to: Recipient, needs: list[str]) -> bool:
    """Whether they were told a reply to one of these needs after they last said that it was not solved."""
    marks = ",".join("?" * len(needs))
    reopened = row(
        db,
        f"SELECT coalesce(max(h.id), 0) AS id FROM need_history h WHERE h.action = 'reopen' AND h.need_no IN ({marks})"
        " AND EXISTS (SELECT 1 FROM askings a JOIN persons p ON p.id = a.person_id WHERE a.need_no = h.need_no"
        "  AND (p.id = ? OR 'enterprise:' || p.enterprise_id = ?))",
        *needs,
        to.person_id,
        to.key,
    ) or {"id": 0}
    found = row(
        db,
        "SELECT 1 FROM tellings WHERE recipient IN (?, ?) AND answer LIKE 'reply:%' AND CAST(substr(answer, 7) AS INTEGER) > ?"
        f" AND need_no IN ({marks})",
        to.key,
        f"person:{to.person_id}",
        reopened["id"],
        *needs,
    )
    return found is not None


def _answered(db: Db, desk: Desk, no: str, answer: str, actor: str, at: datetime) -> str:
    """The state of a need whose asker is told now. One that joined a group after its reply is answered by this."""
    need = find_need(db, no)
    reopened = row(db, "SELECT 1 FROM need_history WHERE need_no = ? AND action = 'reopen'", no)
    if need["lead_no"] and need["state"] in OPEN and not reopened:
        move(db, no, "follow_reply", actor, BOT, at, desk.rules, answer, {"reply_mode": "线上"})
        return "replied"
    return str(need["state"])
