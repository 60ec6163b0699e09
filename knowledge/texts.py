"""What people wrote, kept so that it can be erased without breaking the ledger's chain.

The chain stores a digest of (salt, text). Erasing a text removes body and salt: the digest then proves nothing
about what was said, and the chain still verifies.
"""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime

from knowledge.clock import stamp
from knowledge.database import Db, row
from knowledge.errors import BadInput

SHORTEST_REASON, LONGEST_REASON = 4, 500


def must_be_reason(text: str, what: str) -> str:
    """A typed reason, tidied; `what` is what it is for. Raises BadInput when it is none, or a novel."""
    text = " ".join(text.split())
    if len(text) < SHORTEST_REASON:
        raise BadInput(f"{what}要写明理由（至少 {SHORTEST_REASON} 个字，不要写姓名和电话），会留下记录。")
    if len(text) > LONGEST_REASON:
        raise BadInput(f"理由有 {len(text)} 字，请控制在 {LONGEST_REASON} 字以内。")
    return text


def keep_text(db: Db, body: str) -> int:
    """Store `body` and return its id."""
    cursor = db.execute("INSERT INTO texts (salt, body) VALUES (?, ?)", [secrets.token_hex(16), body])
    return int(cursor.lastrowid or 0)


def digest_of(db: Db, text_id: int | None) -> str | None:
    """The salted SHA-256 of a stored text; None for no text or an erased one."""
    found = row(db, "SELECT salt, body FROM texts WHERE id = ?", text_id) if text_id else None
    if found is None or found["body"] is None:
        return None
    return hashlib.sha256(f"{found['salt']}\n{found['body']}".encode()).hexdigest()


def erase_texts(db: Db, text_ids: Iterable[int], at: datetime) -> int:
    """Erase bodies and salts; returns how many were still there."""
    erased = 0
    for text_id in text_ids:
        cursor = db.execute(
            "UPDATE texts SET body = NULL, salt = '', erased_at = ? WHERE id = ? AND body IS NOT NULL", [stamp(at), text_id]
        )
        erased += cursor.rowcount
    return erased
