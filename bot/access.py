"""Who is asking, what they may do, and how often.

Roles come from the database alone. Staff get in by a one-time link (24 hours) or a Telegram id an admin typed; a browser
then holds a session. Only hashes of links and sessions are stored. Askers are limited by a token bucket per chat.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from knowledge.clock import stamp
from knowledge.court import ROLES
from knowledge.database import Db, row, rows
from knowledge.errors import BadInput, Conflict, NotFound
from knowledge.ledger.workflow import ANSWERING_ROLES

LEDGER_READERS = frozenset(ROLES)
ADMINS = frozenset({"admin"})
ANSWERERS = ANSWERING_ROLES
LINK_HOURS = 24
SESSION_HOURS = 12
SIGN_INS_PER_MINUTE = 10
"""Tries to sign in from one address."""


@dataclass(frozen=True)
class Staff:
    """A member of court staff and the roles they hold."""

    id: int
    name: str
    roles: frozenset[str]

    def may(self, allowed: frozenset[str]) -> bool:
        """Whether any of their roles is among `allowed`."""
        return bool(self.roles & allowed)

    @property
    def actor(self) -> str:
        """How the ledger's history names them."""
        return f"staff:{self.id}"

    @property
    def signature(self) -> str:
        """How an answer names them: 张三（登记员）."""
        return f"{self.name}（{'、'.join(ROLES[role] for role in ROLES if role in self.roles)}）"


@dataclass(frozen=True)
class Session:
    """A signed-in browser; `csrf` must come back with every change."""

    staff: Staff
    csrf: str


def add_staff(db: Db, name: str, roles: list[str], at: datetime, telegram_id: int | None = None) -> int:
    """Add a person. Raises BadInput for an unknown role or no name, Conflict for a name that exists."""
    name = name.strip()
    unknown = [role for role in roles if role not in ROLES]
    if unknown or not roles:
        raise BadInput(f"角色 {'、'.join(unknown) or '没有填'}，可用的有：{', '.join(ROLES)}。")
    if not 1 <= len(name) <= 30:
        raise BadInput("姓名请填 1 到 30 个字。")
    if row(db, "SELECT 1 FROM staff WHERE name = ?", name):
        raise Conflict(f"已经有名叫“{name}”的工作人员。重发登录链接请用：staff link {name}")
    found = db.execute("INSERT INTO staff (name, roles, created_at) VALUES (?, ?, ?)", [name, json.dumps(roles), stamp(at)]).lastrowid
    if telegram_id is not None:
        bind_chat(db, int(found or 0), "telegram", telegram_id)
    return int(found or 0)


def all_staff(db: Db) -> list[dict[str, Any]]:
    """Everybody with roles and where they can be reached."""
    return rows(
        db,
        "SELECT s.name, s.roles, s.active, (SELECT group_concat(DISTINCT channel) FROM staff_chats c WHERE c.staff_id = s.id) AS chats"
        " FROM staff s ORDER BY s.id",
    )


def make_link(db: Db, name: str, at: datetime) -> str:
    """A one-time sign-in token for the person called `name`. Raises NotFound."""
    found = row(db, "SELECT id FROM staff WHERE name = ? AND active = 1", name)
    if found is None:
        raise NotFound(f"没有名叫“{name}”的在职工作人员。先添加：staff add {name} --role registrar")
    token = secrets.token_urlsafe(24)
    db.execute(
        "INSERT INTO staff_links (token_hash, staff_id, expires_at) VALUES (?, ?, ?)",
        [_hash(token), found["id"], stamp(at + timedelta(hours=LINK_HOURS))],
    )
    return token


def use_link(db: Db, token: str, at: datetime) -> Staff:
    """Spend a one-time link. Raises BadInput when it is wrong, used or too old."""
    used = row(
        db,
        "UPDATE staff_links SET used_at = ?1 WHERE token_hash = ?2 AND used_at IS NULL AND expires_at >= ?1 RETURNING staff_id",
        stamp(at),
        _hash(token),
    )
    staff = _staff(row(db, "SELECT * FROM staff WHERE id = ? AND active = 1", used["staff_id"])) if used else None
    if staff is None:
        raise BadInput("这个登录链接已用过或已过期。请让管理员重新生成一个：staff link 姓名")
    return staff


def bind_chat(db: Db, staff_id: int, channel: str, chat_id: int) -> None:
    """From now on this chat is that person's."""
    db.execute("INSERT OR REPLACE INTO staff_chats (channel, chat_id, staff_id) VALUES (?, ?, ?)", [channel, chat_id, staff_id])


def unbind_chat(db: Db, channel: str, chat_id: int) -> None:
    """This chat is an ordinary asker's again."""
    db.execute("DELETE FROM staff_chats WHERE channel = ? AND chat_id = ?", [channel, chat_id])


def staff_in_chat(db: Db, channel: str, chat_id: int) -> Staff | None:
    """The member of staff this chat belongs to, or None: then nothing of staff or admin can be reached from it."""
    return _staff(
        row(
            db,
            "SELECT s.* FROM staff s JOIN staff_chats c ON c.staff_id = s.id WHERE c.channel = ? AND c.chat_id = ? AND s.active = 1",
            channel,
            chat_id,
        )
    )


def chats_of_roles(db: Db, roles: list[str]) -> list[tuple[str, int]]:
    """Every chat of active staff who hold one of `roles`."""
    found = rows(db, "SELECT c.channel, c.chat_id, s.roles FROM staff_chats c JOIN staff s ON s.id = c.staff_id WHERE s.active = 1")
    return [(item["channel"], item["chat_id"]) for item in found if set(json.loads(item["roles"])) & set(roles)]


def chats_of_staff(db: Db, staff_ids: Iterable[int]) -> list[tuple[str, int]]:
    """Every chat of these people, as far as they are active."""
    wanted = set(staff_ids)
    found = rows(db, "SELECT c.channel, c.chat_id, c.staff_id FROM staff_chats c JOIN staff s ON s.id = c.staff_id WHERE s.active = 1")
    return [(item["channel"], item["chat_id"]) for item in found if item["staff_id"] in wanted]


def staff_name(db: Db, actor: str) -> str:
    """The name behind a history actor such as `staff:3`, for screens inside the court."""
    kind, _, number = actor.partition(":")
    if kind != "staff":
        return {"asker": "提问人", "bot": "机器人", "cli": "命令行"}.get(kind, kind)
    found = row(db, "SELECT name FROM staff WHERE id = ?", int(number))
    return found["name"] if found else actor


def open_session(db: Db, staff: Staff, at: datetime) -> str:
    """Sign a browser in; returns the session token for its cookie."""
    token = secrets.token_urlsafe(32)
    db.execute("DELETE FROM sessions WHERE expires_at < ?", [stamp(at)])
    db.execute(
        "INSERT INTO sessions (token_hash, staff_id, csrf, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
        [_hash(token), staff.id, secrets.token_urlsafe(24), stamp(at), stamp(at + timedelta(hours=SESSION_HOURS))],
    )
    return token


def find_session(db: Db, token: str, at: datetime) -> Session | None:
    """The session behind a cookie, or None when it is unknown, too old, or the person no longer active."""
    found = row(
        db,
        "SELECT s.*, e.csrf FROM sessions e JOIN staff s ON s.id = e.staff_id"
        " WHERE e.token_hash = ? AND e.expires_at >= ? AND s.active = 1",
        _hash(token),
        stamp(at),
    )
    staff = _staff(found)
    return Session(staff, found["csrf"]) if staff and found else None


def close_session(db: Db, token: str) -> None:
    """Sign a browser out."""
    db.execute("DELETE FROM sessions WHERE token_hash = ?", [_hash(token)])


class Throttle:
    """A token bucket per key: `per_minute` on average, bursts of as many; forgets keys that are full again."""

    def __init__(self, per_minute: int) -> None:
        self._rate = per_minute / 60
        self._most = float(per_minute)
        self._buckets: dict[object, tuple[float, float]] = {}

    def allows(self, key: object) -> bool:
        """Whether one more is allowed now; counts it if so."""
        now = time.monotonic()
        left, since = self._buckets.get(key, (self._most, now))
        left = min(self._most, left + (now - since) * self._rate)
        if len(self._buckets) > 10_000:
            self._buckets = {k: b for k, b in self._buckets.items() if b[0] + (now - b[1]) * self._rate < self._most}
        self._buckets[key] = (left - 1 if left >= 1 else left, now)
        return left >= 1


def _staff(found: dict[str, Any] | None) -> Staff | None:
    return Staff(found["id"], found["name"], frozenset(json.loads(found["roles"]))) if found else None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
