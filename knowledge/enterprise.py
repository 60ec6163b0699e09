"""Who the enterprises are: what a person has told us about their company, voluntarily.

A person is one human being; each chat they use (web browser, Telegram) is an asker of theirs. Two chats become one
person only by a one-time code. What is typed here opens nothing: it only saves asking again.
"""

import hashlib
import json
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from stdnum.cn import uscc as company_code

from knowledge.clock import stamp
from knowledge.database import Db, row, rows
from knowledge.errors import BadInput
from knowledge.texts import erase_texts

FIELDS = {
    "company": "企业名称",
    "uscc": "统一社会信用代码",
    "street": "所属街道/园区",
    "industry": "行业",
    "contact": "联系人",
    "phone": "联系电话",
}
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
        " JOIN askings a ON a.need_no = h.need_no WHERE a.person_id = ?1 AND h.actor = 'asker' AND h.text_id IS NOT NULL",
        person_id,
    )
    erased = erase_texts(db, [item["text_id"] for item in owned], at)
    cleared = ", ".join(f"{name} = NULL" for name in FIELDS)
    db.execute(f"UPDATE persons SET {cleared}, consented_at = NULL, updated_at = ? WHERE id = ?", [stamp(at), person_id])
    # A message not handled yet keeps its text until it is; notices to staff about this person's needs lose theirs.
    db.execute(
        "UPDATE outbox SET text = CASE state WHEN 'waiting' THEN ? ELSE NULL END"
        " WHERE text IS NOT NULL AND need_no IN (SELECT need_no FROM askings WHERE person_id = ?)",
        [ERASED_NOTICE, person_id],
    )
    for asker in rows(db, "SELECT id, channel, chat_id FROM askers WHERE person_id = ?", person_id):
        chat = [asker["channel"], asker["chat_id"]]
        db.execute("UPDATE inbox SET payload = NULL, address = NULL WHERE channel = ? AND chat_id = ? AND done_at IS NOT NULL", chat)
        db.execute("UPDATE outbox SET text = NULL, buttons = NULL WHERE channel = ? AND chat_id = ? AND state <> 'waiting'", chat)
        db.execute("UPDATE askers SET conversation = '{}' WHERE id = ?", [asker["id"]])
    return erased


def _hash(code: str) -> str:
    return hashlib.sha256(code.strip().encode()).hexdigest()
