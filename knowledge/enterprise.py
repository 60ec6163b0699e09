"""Who the enterprises are: what a person has told us about their company, voluntarily, and what staff know of it.

A person is one human being; each chat they use (web browser, Telegram) is an asker of theirs. Two chats become one
person only by a one-time code. What is typed here opens nothing: it only saves asking again.

An enterprise is the court's own record, kept by staff. A person who types its name claims to speak for it; only when staff
have checked that, by phone or paper, is the person its verified contact and sees what it has asked.
"""

import hashlib
import json
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from stdnum.cn import uscc as company_code

from knowledge.clock import stamp
from knowledge.database import Db, row, rows
from knowledge.errors import BadInput, Conflict, NotFound
from knowledge.ledger.record import CHOICES, RESTRICTED
from knowledge.texts import erase_texts

FIELDS = {
    "company": "企业名称",
    "uscc": "统一社会信用代码",
    "street": "所属街道/园区",
    "industry": "行业",
    "contact": "联系人",
    "phone": "联系电话",
}
ENTERPRISE_FIELDS = {
    "name": "企业名称",
    "uscc": "统一社会信用代码",
    "ent_type": "企业类型",
    "ent_size": "企业规模",
    "street": "所属街道/园区",
    "industry": "行业",
    "chain": "产业链",
}
LONGEST_FIELD = 100
CLAIMS = "p.verified_at IS NULL AND (p.enterprise_id = e.id OR replace(p.company, ' ', '') = replace(e.name, ' ', '') OR p.uscc = e.uscc)"
"""SQL: person `p` says, without anybody having checked it, that they belong to enterprise `e`."""
LINK_MINUTES = 10
CONTACT_FIELDS = ("contact", "phone")
ERASED_NOTICE = "（提问人已要求删除这条内容）"


@dataclass(frozen=True)
class Asker:
    """One chat of one person. `conversation` is what the chat is in the middle of."""

    id: int
    person_id: int
    channel: str
    chat_id: int
    conversation: dict[str, Any]
    greeted: bool


def asker_in(db: Db, channel: str, chat_id: int, at: datetime) -> Asker:
    """The asker of this chat, made on first sight."""
    found = row(db, "SELECT * FROM askers WHERE channel = ? AND chat_id = ?", channel, chat_id)
    if found is None:
        person = db.execute("INSERT INTO persons (created_at, updated_at) VALUES (?, ?)", [stamp(at), stamp(at)]).lastrowid
        db.execute(
            "INSERT INTO askers (channel, chat_id, person_id, created_at) VALUES (?, ?, ?, ?)", [channel, chat_id, person, stamp(at)]
        )
        return asker_in(db, channel, chat_id, at)
    return Asker(found["id"], found["person_id"], channel, chat_id, json.loads(found["conversation"]), bool(found["greeted"]))


def save_conversation(db: Db, asker_id: int, conversation: dict[str, Any]) -> None:
    """Remember what this chat is in the middle of."""
    db.execute("UPDATE askers SET conversation = ?, greeted = 1 WHERE id = ?", [json.dumps(conversation, ensure_ascii=False), asker_id])


def profile(db: Db, person_id: int) -> dict[str, str | None]:
    """What the person has told about the company; every field may be None."""
    return row(db, f"SELECT {', '.join(FIELDS)} FROM persons WHERE id = ?", person_id) or dict.fromkeys(FIELDS)


def set_profile(db: Db, person_id: int, field: str, value: str | None, at: datetime) -> None:
    """Set or clear one field. Raises BadInput for a value that is too long; giving contact details is the consent to keep them."""
    if field not in FIELDS:
        raise BadInput("没有这一项资料。")
    value = tidy(field, value) if value else None
    if value and len(value) > 100:
        raise BadInput(f"{FIELDS[field]}太长了，请控制在 100 字以内。")
    consent = ", consented_at = coalesce(consented_at, :at)" if value and field in CONTACT_FIELDS else ""
    db.execute(
        f"UPDATE persons SET {field} = :value, updated_at = :at{consent} WHERE id = :id",
        {"value": value, "at": stamp(at), "id": person_id},
    )


def tidy(field: str, value: str) -> str:
    """A typed value in its usual form; a company code loses spaces and hyphens and is upper case."""
    value = unicodedata.normalize("NFKC", value).strip()
    return value.replace(" ", "").replace("-", "").upper() if field == "uscc" else value


def uscc_warning(code: str) -> str | None:
    """What looks wrong about a company code, or None. Never a reason to refuse it: real codes with odd digits exist (DOMAIN 5.1)."""
    code = tidy("uscc", code)
    if company_code.is_valid(code):
        return None
    if len(code) != 18:
        return f"统一社会信用代码一般是 18 位，您填的是 {len(code)} 位。"
    return "这个统一社会信用代码的校验位对不上，可能有一位输错了（代码里没有字母 I、O、Z、S、V）。"


def link_code(db: Db, person_id: int, at: datetime) -> str:
    """A one-time code, valid ten minutes, that joins another chat to this person."""
    code = f"{secrets.randbelow(10**8):08d}"
    db.execute(
        "INSERT OR REPLACE INTO link_codes (code_hash, person_id, expires_at) VALUES (?, ?, ?)",
        [_hash(code), person_id, stamp(at + timedelta(minutes=LINK_MINUTES))],
    )
    return code


def use_link_code(db: Db, asker: Asker, code: str, at: datetime) -> None:
    """Join this chat to the person who made `code`. Raises BadInput when the code is wrong, used or too old."""
    found = row(db, "DELETE FROM link_codes WHERE code_hash = ? AND expires_at >= ? RETURNING person_id", _hash(code), stamp(at))
    if found is None:
        raise BadInput("绑定码不对或已过期。请在另一端重新生成一个，10 分钟内使用。")
    db.execute("UPDATE askers SET person_id = ? WHERE id = ?", [found["person_id"], asker.id])
    db.execute("UPDATE askings SET person_id = ? WHERE asker_id = ?", [found["person_id"], asker.id])


def forget(db: Db, person_id: int, at: datetime) -> int:
    """Erase identity, contact and free text of a person; numbers, categories, dates and states stay. Returns texts erased."""
    owned = rows(
        db,
        "SELECT text_id FROM askings WHERE person_id = ?1 UNION SELECT h.text_id FROM need_history h"
        " JOIN askings a ON a.need_no = h.need_no WHERE a.person_id = ?1 AND h.text_id IS NOT NULL AND (h.actor = 'asker'"
        # What staff noted about this person goes as well; the court's answers stay.
        " OR h.action IN ('note', 'call', 'revisit', 'reveal') OR json_extract(h.details, '$.field') IS NOT NULL)",
        person_id,
    )
    erased = erase_texts(db, [item["text_id"] for item in owned], at)
    _forget_enterprise(db, person_id, at)
    _forget_drafts(db, person_id)
    db.execute("DELETE FROM imported_rows WHERE need_no IN (SELECT need_no FROM askings WHERE person_id = ?)", [person_id])
    cleared = ", ".join(f"{name} = NULL" for name in FIELDS)
    db.execute(
        f"UPDATE persons SET {cleared}, consented_at = NULL, enterprise_id = NULL, verified_at = NULL, verified_by = NULL, updated_at = ?"
        " WHERE id = ?",
        [stamp(at), person_id],
    )
    # A message not handled yet keeps its text until it is; notices to staff about this person's needs lose theirs.
    db.execute(
        "UPDATE outbox SET text = CASE state WHEN 'waiting' THEN :notice ELSE NULL END WHERE text IS NOT NULL"
        " AND (need_no IN (SELECT need_no FROM askings WHERE person_id = :person)"
        # An alarm carries no number of a need; it goes with the message that gave it.
        " OR need_no IS NULL AND inbox_id IN (SELECT i.id FROM inbox i JOIN askers k ON k.channel = i.channel AND k.chat_id = i.chat_id"
        "  WHERE k.person_id = :person AND (k.channel <> outbox.channel OR k.chat_id <> outbox.chat_id)))",
        {"notice": ERASED_NOTICE, "person": person_id},
    )
    for asker in rows(db, "SELECT id, channel, chat_id FROM askers WHERE person_id = ?", person_id):
        chat = [asker["channel"], asker["chat_id"]]
        db.execute("UPDATE inbox SET payload = NULL, address = NULL WHERE channel = ? AND chat_id = ? AND done_at IS NOT NULL", chat)
        db.execute("UPDATE outbox SET text = NULL, buttons = NULL WHERE channel = ? AND chat_id = ? AND state <> 'waiting'", chat)
        db.execute("UPDATE askers SET conversation = '{}' WHERE id = ?", [asker["id"]])
    return erased


def _forget_enterprise(db: Db, person_id: int, at: datetime) -> None:
    """The record of an enterprise that bears a person's name (a 个体户, say) loses it with its last contact."""
    db.execute(
        "UPDATE enterprises SET name = '（已删除）' || id, uscc = NULL, updated_at = ?1"
        " WHERE id = (SELECT enterprise_id FROM persons WHERE id = ?2)"
        " AND NOT EXISTS (SELECT 1 FROM persons p WHERE p.enterprise_id = enterprises.id AND p.id <> ?2)"
        " AND (ent_type = '个体' OR uscc LIKE '92%' OR name NOT LIKE '%公司%')",
        [stamp(at), person_id],
    )


def _forget_drafts(db: Db, person_id: int) -> None:
    """Drafts made from this person's needs that were never published: their words are the person's."""
    mine = (
        "SELECT s.entry_id FROM entry_sources s JOIN askings a ON a.need_no = s.need_no WHERE a.person_id = ?"
        " AND NOT EXISTS (SELECT 1 FROM entry_events v WHERE v.entry_id = s.entry_id AND v.action = 'published')"
    )
    found = [item["entry_id"] for item in rows(db, mine, person_id)]
    for entry_id in dict.fromkeys(found):
        db.execute("DELETE FROM entries WHERE id = ? AND origin = 'console' AND state <> 'published'", [entry_id])
        if row(db, "SELECT 1 FROM entries WHERE id = ?", entry_id) is None:
            for table in ("entry_versions", "entry_events", "entry_sources"):
                db.execute(f"DELETE FROM {table} WHERE entry_id = ?", [entry_id])


def find_or_make_enterprise(db: Db, fields: Mapping[str, str | None], at: datetime) -> int:
    """The id of the enterprise with this code, else of this name, else of a new one; of `fields` only ENTERPRISE_FIELDS count.

    What is known of it stays, what is missing is filled in. Raises BadInput for a value that cannot be, or no name to make
    one with; Conflict when an enterprise of this name has another code, because two codes are two enterprises.
    """
    given = _tidy_enterprise({name: value for name, value in fields.items() if name in ENTERPRISE_FIELDS})
    found = _enterprise_where(db, "uscc = ?", given.get("uscc")) or _named(db, given.get("name"))
    if found is None:
        if not given.get("name"):
            raise BadInput("请填企业名称。")
        names = list(given)
        cursor = db.execute(
            f"INSERT INTO enterprises ({', '.join(names)}, created_at, updated_at) VALUES ({', '.join('?' * len(names))}, ?, ?)",
            [*given.values(), stamp(at), stamp(at)],
        )
        return int(cursor.lastrowid or 0)
    if given.get("uscc") and found["uscc"] and found["uscc"] != given["uscc"]:
        raise Conflict("这个名称的企业已有档案，统一社会信用代码不同。请核对哪一个对；确是两家，请用全称区分。")
    missing = {name: value for name, value in given.items() if value and found[name] is None}
    if missing:
        set_enterprise(db, found["id"], missing, at)
    return int(found["id"])


def find_enterprise(db: Db, enterprise_id: int) -> dict[str, Any]:
    """One enterprise. Raises NotFound."""
    found = _enterprise_where(db, "id = ?", enterprise_id)
    if found is None:
        raise NotFound("没有这家企业的档案。请从企业列表重新进入。")
    return found


def set_enterprise(db: Db, enterprise_id: int, fields: Mapping[str, str | None], at: datetime) -> list[str]:
    """Set these fields, an empty value clears one; returns those that really changed.

    Raises NotFound, BadInput for a value that cannot be, Conflict for a name or code that is another enterprise's.
    """
    known = find_enterprise(db, enterprise_id)
    given = _tidy_enterprise(fields)
    if "name" in given and not given["name"]:
        raise BadInput("企业名称不能空着。")
    changed = [name for name, value in given.items() if value != known[name]]
    for other in (_named(db, given.get("name")), _enterprise_where(db, "uscc = ?", given.get("uscc"))):
        if changed and other and other["id"] != enterprise_id:
            raise Conflict("另一家企业的档案已用了这个名称或统一社会信用代码，没有保存。请查找一下，核对是不是同一家。")
    for name in changed:
        db.execute(f"UPDATE enterprises SET {name} = ?, updated_at = ? WHERE id = ?", [given[name], stamp(at), enterprise_id])
    return changed


def verify_contact(db: Db, person_id: int, enterprise_id: int, staff_id: int, at: datetime) -> None:
    """Staff have checked that this person speaks for this enterprise; from now on they see its needs.

    Raises NotFound; Conflict when the person is already a verified contact.
    """
    find_enterprise(db, enterprise_id)
    person = row(db, "SELECT verified_at FROM persons WHERE id = ?", person_id)
    if person is None:
        raise NotFound("没有这位联系人，可能已要求删除资料。请刷新页面查看。")
    if person["verified_at"]:
        raise Conflict("这位联系人已经核对过身份。请刷新页面查看；要改成别的企业，请先取消核对。")
    db.execute(
        "UPDATE persons SET enterprise_id = ?, verified_at = ?, verified_by = ?, updated_at = ? WHERE id = ?",
        [enterprise_id, stamp(at), staff_id, stamp(at), person_id],
    )


def unverify_contact(db: Db, person_id: int, at: datetime) -> None:
    """Take that back; what the person says of their company is a claim again. Raises NotFound when they are not verified."""
    done = db.execute(
        "UPDATE persons SET enterprise_id = NULL, verified_at = NULL, verified_by = NULL, updated_at = ?"
        " WHERE id = ? AND verified_at IS NOT NULL",
        [stamp(at), person_id],
    )
    if not done.rowcount:
        raise NotFound("这位联系人没有核对过身份，可能刚被取消。请刷新页面查看。")


def contacts_of(db: Db, enterprise_id: int) -> list[dict[str, Any]]:
    """The enterprise's people: `verified` ones first, then those who only say so, by name or code, and at most 100 in all."""
    return rows(
        db,
        f"SELECT p.id, {', '.join(f'p.{name}' for name in FIELDS)}, p.verified_at, s.name AS verified_by,"
        " p.verified_at IS NOT NULL AS verified"
        f" FROM enterprises e JOIN persons p ON (p.enterprise_id = e.id AND p.verified_at IS NOT NULL) OR ({CLAIMS})"
        " LEFT JOIN staff s ON s.id = p.verified_by WHERE e.id = ? ORDER BY verified DESC, p.verified_at, p.id LIMIT 100",
        enterprise_id,
    )


def needs_of_enterprise(db: Db, enterprise_id: int, limit: int = 20) -> list[dict[str, Any]]:
    """The needs of an enterprise's verified contacts, newest first: no, state, asked_at, question (as asked).

    For a verified contact's eyes. What only named staff may see (信访、个案投诉 and the like) is left out: it belongs to the
    person who wrote it, who finds it among their own.
    """
    return rows(
        db,
        "SELECT n.no, n.state, n.received_at AS asked_at, t.body AS question FROM needs n JOIN texts t ON t.id = n.text_id"
        " WHERE n.visibility <> ? AND n.no IN (SELECT a.need_no FROM askings a JOIN persons p ON p.id = a.person_id"
        "  WHERE p.enterprise_id = ? AND p.verified_at IS NOT NULL)"
        " ORDER BY n.year DESC, n.seq DESC LIMIT ?",
        RESTRICTED,
        enterprise_id,
        limit,
    )


def enterprise_of(db: Db, person_id: int) -> int | None:
    """The enterprise this person is a verified contact of, or None."""
    found = row(db, "SELECT enterprise_id FROM persons WHERE id = ? AND verified_at IS NOT NULL", person_id)
    return found["enterprise_id"] if found else None


def _tidy_enterprise(fields: Mapping[str, str | None]) -> dict[str, str | None]:
    """The fields in their usual form. Raises BadInput for an unknown one or a value that is too long or not on its list."""
    given: dict[str, str | None] = {}
    for name, value in fields.items():
        if name not in ENTERPRISE_FIELDS:
            raise BadInput("没有这一项资料。")
        tidied = " ".join(tidy(name, value or "").split())
        if len(tidied) > LONGEST_FIELD:
            raise BadInput(f"{ENTERPRISE_FIELDS[name]}有 {len(tidied)} 字，请控制在 {LONGEST_FIELD} 字以内。")
        if name == "name" and len(tidied) == 1:
            raise BadInput("企业名称太短，请填全称。")
        if tidied and name in CHOICES and tidied not in CHOICES[name]:
            raise BadInput(f"{ENTERPRISE_FIELDS[name]}没有“{tidied}”这一项。请选：{'、'.join(CHOICES[name])}。")
        given[name] = tidied or None
    return given


def _named(db: Db, name: str | None) -> dict[str, Any] | None:
    return _enterprise_where(db, "replace(name, ' ', '') = ?", name and name.replace(" ", ""))


def _enterprise_where(db: Db, condition: str, value: object) -> dict[str, Any] | None:
    if value is None:
        return None
    return row(db, f"SELECT id, {', '.join(ENTERPRISE_FIELDS)} FROM enterprises WHERE {condition}", value)


def _hash(code: str) -> str:
    return hashlib.sha256(code.strip().encode()).hexdigest()
