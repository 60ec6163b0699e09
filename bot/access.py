"""Who is asking, what they may do, and how often.

Roles come from the database alone. Staff get in by a one-time link (24 hours), by name and password, or by a Telegram id
an admin typed; a browser then holds a session. Only hashes of links, passwords and sessions are stored. A web chat is
staff's only while that person has an open session. Askers are limited by a token bucket per chat.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from typing import Any

from bot.audit import note_audit
from bot.settings import Settings
from knowledge.clock import now, stamp
from knowledge.court import ROLES
from knowledge.database import Db, row, rows
from knowledge.errors import BadInput, Conflict, NotFound
from knowledge.ledger.workflow import ANSWERING_ROLES

CONTACT_READERS = frozenset({"registrar", "handler", "reviewer", "supervisor", "admin"})
"""Who may open contact details, with a reason; a supervisor because danger is theirs where nobody else is named."""
ADMINS = frozenset({"admin"})
ANSWERERS = ANSWERING_ROLES
LINK_HOURS = 24
SESSION_HOURS = 12
SIGN_INS_PER_MINUTE = 10
"""Tries to sign in from one address."""
WEB_CHAT = "网页对话"
"""What stands for the browser of a session that began in the chat."""
_SESSION_ID = "substr(token_hash, 1, 16)"
_REACHED = "(c.channel <> 'web' OR EXISTS (SELECT 1 FROM sessions e WHERE e.staff_id = c.staff_id AND e.expires_at >= ?))"
"""An SQL condition on `staff_chats c`, with this moment as its parameter: the chat is still theirs."""


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
    """A signed-in browser; `csrf` must come back with every change. `id` names it on screen and opens nothing."""

    staff: Staff
    csrf: str
    id: str


def add_staff(
    db: Db,
    name: str,
    roles: list[str],
    at: datetime,
    telegram_id: int | None = None,
    division: str | None = None,
    by: str = "cli",
) -> int:
    """Add a person; `by` is the history actor who adds them.

    Raises BadInput for an unknown role or no name, Conflict for a name or a Telegram id that is somebody's already.
    """
    name = name.strip()
    held = _roles(roles)
    if not 1 <= len(name) <= 30:
        raise BadInput("姓名请填 1 到 30 个字。")
    if row(db, "SELECT 1 FROM staff WHERE name = ?", name):
        raise Conflict(f"已经有名叫“{name}”的工作人员。重发登录链接请用：staff link {name}；同名的同事请加上部门，例如“{name}（执行局）”。")
    found = db.execute(
        "INSERT INTO staff (name, roles, division, created_at) VALUES (?, ?, ?, ?)", [name, json.dumps(held), division, stamp(at)]
    ).lastrowid
    staff_id = int(found or 0)
    if telegram_id is not None:
        _must_be_free(db, telegram_id)
        bind_chat(db, staff_id, "telegram", telegram_id)
    note_audit(db, at, by, "staff_added", f"staff:{staff_id}", _described(held, division))
    return staff_id


def change_staff(db: Db, staff_id: int, roles: list[str], division: str | None, at: datetime, by: str) -> None:
    """Give a person these roles and this division. Raises NotFound, BadInput (roles), Conflict (nobody would be admin)."""
    held, before = _roles(roles), find_staff(db, staff_id)
    if "admin" not in held:
        _must_not_be_last_admin(db, staff_id)
    old = _described(json.loads(before["roles"]), before["division"])
    db.execute("UPDATE staff SET roles = ?, division = ? WHERE id = ?", [json.dumps(held), division, staff_id])
    note_audit(db, at, by, "staff_changed", f"staff:{staff_id}", f"{old} → {_described(held, division)}")


def deactivate(db: Db, staff_id: int, at: datetime, by: str) -> None:
    """Shut a person out at once: sessions, chats and unused links end. Raises NotFound, Conflict (oneself, or the last admin)."""
    find_staff(db, staff_id)
    if by == f"staff:{staff_id}":
        raise Conflict("不能停用自己。请让另一位管理员来做。")
    _must_not_be_last_admin(db, staff_id)
    db.execute("UPDATE staff SET active = 0 WHERE id = ?", [staff_id])
    sign_out_everywhere(db, staff_id, at, by)
    note_audit(db, at, by, "staff_deactivated", f"staff:{staff_id}")


def activate(db: Db, staff_id: int, at: datetime, by: str) -> None:
    """Let a person in again; they need a new link, or their password. Raises NotFound."""
    find_staff(db, staff_id)
    db.execute("UPDATE staff SET active = 1 WHERE id = ?", [staff_id])
    note_audit(db, at, by, "staff_activated", f"staff:{staff_id}")


def find_staff(db: Db, staff_id: int) -> dict[str, Any]:
    """The row of a person. Raises NotFound."""
    found = row(db, "SELECT * FROM staff WHERE id = ?", staff_id)
    if found is None:
        raise NotFound("没有这位工作人员。请回到“工作人员”页面重新选择。")
    return found


def all_staff(db: Db) -> list[dict[str, Any]]:
    """Everybody with roles and where they can be reached."""
    return rows(
        db,
        "SELECT s.name, s.roles, s.active, (SELECT group_concat(DISTINCT channel) FROM staff_chats c WHERE c.staff_id = s.id) AS chats"
        " FROM staff s ORDER BY s.id",
    )


def make_link(db: Db, name: str, at: datetime, by: str = "cli") -> str:
    """A one-time sign-in token for the person called `name`; `by` is the history actor who makes it. Raises NotFound."""
    found = row(db, "SELECT id FROM staff WHERE name = ? AND active = 1", name)
    if found is None:
        raise NotFound(f"没有名叫“{name}”的在职工作人员。先添加：staff add {name} --role registrar")
    token = secrets.token_urlsafe(24)
    db.execute(
        "INSERT INTO staff_links (token_hash, staff_id, expires_at) VALUES (?, ?, ?)",
        [_hash(token), found["id"], stamp(at + timedelta(hours=LINK_HOURS))],
    )
    note_audit(db, at, by, "link_made", f"staff:{found['id']}")
    return token


def link_address(settings: Settings, token: str) -> str:
    """Where a one-time token is spent."""
    address = settings.console_url or f"http://{settings.web_host}:{settings.web_port}"
    return f"{address.rstrip('/')}/console/enter?token={token}"


def link_message(settings: Settings, token: str) -> str:
    """What the bot writes to the person the token is for."""
    return f"工作台登录链接，{LINK_HOURS} 小时内有效，只能用一次，请不要转发：\n{escape(link_address(settings, token))}"


def use_link(db: Db, token: str, at: datetime, where: str = "") -> Staff:
    """Spend a one-time link; `where` is the browser and address, for the audit. Raises BadInput when it is wrong, used or too old."""
    used = row(
        db,
        "UPDATE staff_links SET used_at = ?1 WHERE token_hash = ?2 AND used_at IS NULL AND expires_at >= ?1 RETURNING staff_id",
        stamp(at),
        _hash(token),
    )
    staff = _staff(row(db, "SELECT * FROM staff WHERE id = ? AND active = 1", used["staff_id"])) if used else None
    if staff is None:
        raise BadInput("这个登录链接已用过或已过期。请让管理员重新生成一个：staff link 姓名")
    note_audit(db, at, staff.actor, "sign_in_link", staff.actor, where)
    return staff


def find_password(db: Db, name: str) -> tuple[Staff, str | None] | None:
    """The active person called `name` and the hash of their password, if they have set one."""
    found = row(db, "SELECT * FROM staff WHERE name = ? AND active = 1", name.strip())
    staff = _staff(found)
    return (staff, found["password_hash"]) if staff and found else None


def use_password(db: Db, staff: Staff, kept: str, renewed: str | None, at: datetime, where: str) -> bool:
    """Note that the password kept as `kept` was right; `renewed` is the same password hashed anew.

    False when the person or the password is no longer the same: then nothing has changed.
    """
    held = db.execute(
        "UPDATE staff SET password_hash = ? WHERE id = ? AND active = 1 AND password_hash = ?", [renewed or kept, staff.id, kept]
    )
    if not held.rowcount:
        return False
    note_audit(db, at, staff.actor, "sign_in_password", staff.actor, where)
    return True


def note_wrong_password(db: Db, staff: Staff | None, at: datetime, where: str) -> None:
    """Write down a password that did not match, and whose it was to be; None when nobody active has that name."""
    note_audit(db, at, "bot", "sign_in_failed", staff.actor if staff else "", where)


def set_password(db: Db, staff: Staff, kept: str | None, renewed: str, at: datetime) -> None:
    """Replace the hash `kept` by `renewed`. Raises Conflict when it has been replaced meanwhile."""
    done = db.execute("UPDATE staff SET password_hash = ? WHERE id = ? AND active = 1 AND password_hash IS ?", [renewed, staff.id, kept])
    if not done.rowcount:
        raise Conflict("密码刚刚在别处改过，这次没有改动。请刷新后再试。")
    note_audit(db, at, staff.actor, "password_set", staff.actor)


def clear_password(db: Db, staff_id: int, at: datetime, by: str) -> None:
    """From now on this person gets in by link alone, until they set a password again."""
    if db.execute("UPDATE staff SET password_hash = NULL WHERE id = ? AND password_hash IS NOT NULL", [staff_id]).rowcount:
        note_audit(db, at, by, "password_cleared", f"staff:{staff_id}")


def bind_chat(db: Db, staff_id: int, channel: str, chat_id: int) -> None:
    """From now on this chat is that person's."""
    db.execute("INSERT OR REPLACE INTO staff_chats (channel, chat_id, staff_id) VALUES (?, ?, ?)", [channel, chat_id, staff_id])


def enter_chat(db: Db, staff: Staff, channel: str, chat_id: int, at: datetime) -> None:
    """Sign a chat in. A web chat gets a session of its own, so that it ends like every other browser's."""
    if channel == "web":
        open_session(db, staff, at, WEB_CHAT)
    bind_chat(db, staff.id, channel, chat_id)


def unbind_chat(db: Db, channel: str, chat_id: int) -> None:
    """This chat is an ordinary asker's again."""
    db.execute("DELETE FROM staff_chats WHERE channel = ? AND chat_id = ?", [channel, chat_id])


def staff_in_chat(db: Db, channel: str, chat_id: int, at: datetime | None = None) -> Staff | None:
    """The member of staff this chat belongs to at `at` (now), or None: then nothing of staff or admin can be reached from it."""
    return _staff(
        row(
            db,
            "SELECT s.* FROM staff s JOIN staff_chats c ON c.staff_id = s.id"
            f" WHERE c.channel = ? AND c.chat_id = ? AND s.active = 1 AND {_REACHED}",
            channel,
            chat_id,
            stamp(at or now()),
        )
    )


def active_staff(db: Db, roles: Iterable[str] = ROLES) -> list[Staff]:
    """Everybody at work who holds one of `roles`."""
    wanted = frozenset(roles)
    found = [_staff(item) for item in rows(db, "SELECT * FROM staff WHERE active = 1 ORDER BY id")]
    return [staff for staff in found if staff and staff.may(wanted)]


def chats_of_roles(db: Db, roles: list[str], at: datetime | None = None) -> list[tuple[str, int]]:
    """Every chat, at `at` (now), of active staff who hold one of `roles`."""
    return [(item["channel"], item["chat_id"]) for item in _chats(db, at) if set(json.loads(item["roles"])) & set(roles)]


def chats_of_staff(db: Db, staff_ids: Iterable[int], at: datetime | None = None) -> list[tuple[str, int]]:
    """Every chat of these people at `at` (now), as far as they are active."""
    wanted = set(staff_ids)
    return [(item["channel"], item["chat_id"]) for item in _chats(db, at) if item["staff_id"] in wanted]


def staff_name(db: Db, actor: str) -> str:
    """The name behind a history actor such as `staff:3`, for screens inside the court."""
    kind, _, number = actor.partition(":")
    if kind != "staff":
        return {"asker": "提问人", "bot": "机器人", "cli": "命令行"}.get(kind, kind)
    found = row(db, "SELECT name FROM staff WHERE id = ?", int(number))
    return found["name"] if found else actor


def open_session(db: Db, staff: Staff, at: datetime, agent: str = "", address: str = "") -> str:
    """Sign a browser in, `agent` at `address`; returns the session token for its cookie."""
    token = secrets.token_urlsafe(32)
    db.execute("DELETE FROM sessions WHERE expires_at < ?", [stamp(at)])
    # Else a chat left behind in another browser would be staff's again with this session.
    db.execute("DELETE FROM staff_chats WHERE channel = 'web' AND staff_id NOT IN (SELECT staff_id FROM sessions)")
    db.execute(
        "INSERT INTO sessions (token_hash, staff_id, csrf, created_at, expires_at, agent, address) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [_hash(token), staff.id, secrets.token_urlsafe(24), stamp(at), stamp(at + timedelta(hours=SESSION_HOURS)), agent, address],
    )
    return token


def find_session(db: Db, token: str, at: datetime) -> Session | None:
    """The session behind a cookie, or None when it is unknown, too old, or the person no longer active."""
    found = row(
        db,
        f"SELECT s.*, e.csrf, {_SESSION_ID} AS session FROM sessions e JOIN staff s ON s.id = e.staff_id"
        " WHERE e.token_hash = ? AND e.expires_at >= ? AND s.active = 1",
        _hash(token),
        stamp(at),
    )
    staff = _staff(found)
    return Session(staff, found["csrf"], found["session"]) if staff and found else None


def sessions_of(db: Db, staff_id: int, at: datetime) -> list[dict[str, Any]]:
    """A person's open sessions, newest first: id, created_at, expires_at, agent, address."""
    return rows(
        db,
        f"SELECT {_SESSION_ID} AS id, created_at, expires_at, agent, address FROM sessions"
        " WHERE staff_id = ? AND expires_at >= ? ORDER BY created_at DESC, token_hash",
        staff_id,
        stamp(at),
    )


def close_session(db: Db, session: Session, chat_id: int | None, at: datetime) -> None:
    """Sign a browser out; its chat, if it was that person's, is an ordinary one again."""
    if db.execute(f"DELETE FROM sessions WHERE {_SESSION_ID} = ?", [session.id]).rowcount:
        note_audit(db, at, session.staff.actor, "sign_out", session.staff.actor)
    db.execute("DELETE FROM staff_chats WHERE channel = 'web' AND chat_id = ? AND staff_id = ?", [chat_id, session.staff.id])


def close_others(db: Db, session: Session, chat_id: int | None, at: datetime, only: str = "") -> int:
    """Sign out the person's other browsers, or `only` one of them; returns how many.

    Which browser a web chat stands in is not known: all of theirs but `chat_id`, this browser's, are ordinary ones again.
    """
    staff = session.staff
    ended = db.execute(
        f"DELETE FROM sessions WHERE staff_id = ? AND {_SESSION_ID} <> ? AND ? IN ('', {_SESSION_ID})", [staff.id, session.id, only]
    ).rowcount
    if ended:
        db.execute("DELETE FROM staff_chats WHERE channel = 'web' AND staff_id = ? AND chat_id IS NOT ?", [staff.id, chat_id])
        note_audit(db, at, staff.actor, "sign_out", staff.actor, f"另外 {ended} 个浏览器")
    return int(ended)


def sign_out_everywhere(db: Db, staff_id: int, at: datetime, by: str) -> None:
    """End every session, every chat and every unused link of a person. Raises NotFound."""
    find_staff(db, staff_id)
    ended = db.execute("DELETE FROM sessions WHERE staff_id = ?", [staff_id]).rowcount
    chats = db.execute("DELETE FROM staff_chats WHERE staff_id = ?", [staff_id]).rowcount
    db.execute("DELETE FROM staff_links WHERE staff_id = ? AND used_at IS NULL", [staff_id])
    note_audit(db, at, by, "signed_out", f"staff:{staff_id}", f"{ended} 个浏览器，{chats} 个对话")


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


def _chats(db: Db, at: datetime | None) -> list[dict[str, Any]]:
    return rows(
        db,
        "SELECT c.channel, c.chat_id, c.staff_id, s.roles FROM staff_chats c JOIN staff s ON s.id = c.staff_id"
        f" WHERE s.active = 1 AND {_REACHED}",
        stamp(at or now()),
    )


def _roles(roles: list[str]) -> list[str]:
    """Roles in their own order, each once. Raises BadInput."""
    unknown = [role for role in roles if role not in ROLES]
    if unknown or not roles:
        raise BadInput(f"角色 {'、'.join(unknown) or '没有填'}，可用的有：{', '.join(ROLES)}。")
    return [role for role in ROLES if role in roles]


def _described(roles: list[str], division: str | None) -> str:
    return "、".join(ROLES[role] for role in roles) + (f"（{division}）" if division else "")


def _must_be_free(db: Db, telegram_id: int) -> None:
    taken = row(
        db,
        "SELECT s.name FROM staff_chats c JOIN staff s ON s.id = c.staff_id WHERE c.channel = 'telegram' AND c.chat_id = ?",
        telegram_id,
    )
    if taken:
        raise Conflict(f"这个 Telegram 编号已经是 {taken['name']} 的，没有添加。请核对编号。")


def _must_not_be_last_admin(db: Db, staff_id: int) -> None:
    admins = [item["id"] for item in rows(db, "SELECT id, roles FROM staff WHERE active = 1") if "admin" in json.loads(item["roles"])]
    if admins == [staff_id]:
        raise Conflict("这是最后一位在职的管理员，不能停用，也不能去掉管理员角色。请先让另一位同事成为管理员。")


def _staff(found: dict[str, Any] | None) -> Staff | None:
    return Staff(found["id"], found["name"], frozenset(json.loads(found["roles"]))) if found else None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
