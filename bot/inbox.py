"""Every incoming message is written down before anything else happens to it.

The row is keyed by channel and the channel's own key of the update, so a repeated update is the same row and has one
effect. One chat's messages are handled one after another, different chats side by side. What a message led to (outcome,
replies, changes) is written in one transaction that also marks the row done; a process killed before that handles the
message again after its restart, and then has not done anything twice.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from bot.access import Staff, staff_in_chat
from knowledge.clock import stamp
from knowledge.database import Database, Db, row, rows
from knowledge.enterprise import Asker, asker_in
from knowledge.errors import StorageFailed

log = logging.getLogger(__name__)

Outcome = Literal["answered", "offered", "need", "conversation", "refused"]
OUTCOMES = ("answered", "offered", "need", "conversation", "refused")


@dataclass(frozen=True)
class Incoming:
    """A message on record: an aiogram update as JSON, who sent it, and how often handling it was begun.

    `asker` is made known on first sight; `staff` is set when the chat is a member of staff's.
    """

    id: int
    channel: str
    chat_id: int
    payload: dict[str, Any]
    address: str | None
    received_at: str
    attempts: int
    asker: Asker
    staff: Staff | None


class Inbox:
    """Takes messages in and has them handled by `handle`, in order within a chat."""

    def __init__(self, database: Database, handle: Callable[[Incoming], Awaitable[None]], clock: Callable[[], datetime]) -> None:
        self._database, self._handle, self._clock = database, handle, clock
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._again: set[tuple[str, int]] = set()
        self._open = False

    async def receive(self, channel: str, key: str, chat_id: int, payload: dict[str, Any], address: str | None = None) -> int | None:
        """Write a message down and have it handled; returns its number, None if it was known already.

        Raises StorageFailed when it could not be written: then the sender must be told, or send it again.
        """
        at = stamp(self._clock())
        # Half of a surrogate pair, as a broken client may send it, cannot be stored.
        text = json.dumps(payload, ensure_ascii=False).encode("utf-8", "replace").decode()

        def record(db: Db) -> int | None:
            cursor = db.execute(
                "INSERT OR IGNORE INTO inbox (channel, update_key, chat_id, payload, address, received_at) VALUES (?, ?, ?, ?, ?, ?)",
                [channel, key, chat_id, text, address, at],
            )
            return cursor.lastrowid if cursor.rowcount else None

        number = await asyncio.wrap_future(self._database.write(record))
        self._work_on(channel, chat_id)
        return number

    async def resume(self) -> None:
        """Begin handling: first what a former process left undone. Until now messages were only written down."""
        self._open = True
        for item in await asyncio.wrap_future(self._database.read(_chats_with_work)):
            self._work_on(item["channel"], item["chat_id"])

    async def drain(self, seconds: float) -> None:
        """Stop beginning new messages and wait for those in hand; the rest is handled after the next start."""
        self._open = False
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=seconds)

    def _work_on(self, channel: str, chat_id: int) -> None:
        chat = (channel, chat_id)
        if chat in self._tasks or not self._open:
            self._again.add(chat)
            return
        task = asyncio.create_task(self._work(chat), name=f"inbox {channel}")
        self._tasks[chat] = task
        task.add_done_callback(lambda _: self._finished(chat))

    def _finished(self, chat: tuple[str, int]) -> None:
        self._tasks.pop(chat, None)
        if chat in self._again and self._open:
            self._again.discard(chat)
            self._work_on(*chat)

    async def _work(self, chat: tuple[str, int]) -> None:
        failures = 0
        while self._open:
            try:
                incoming = await asyncio.wrap_future(self._database.write(lambda db: _begin_next(db, *chat)))
                if incoming is None:
                    return
                await self._handle(incoming)
                failures = 0
            except StorageFailed:
                # Nothing was kept of it; the message stays on record and is tried again.
                failures += 1
                log.warning("a message could not be handled: storage failed (%s times)", failures)
                await asyncio.sleep(min(60, 2 ** (failures - 1)))


def finish(db: Db, inbox_id: int, outcome: Outcome, at: datetime) -> bool:
    """Mark a message done; False when it was done already and nothing more may follow from it."""
    cursor = db.execute("UPDATE inbox SET outcome = ?, done_at = ? WHERE id = ? AND done_at IS NULL", [outcome, stamp(at), inbox_id])
    return bool(cursor.rowcount)


def reconcile(db: Db) -> list[dict[str, Any]]:
    """Per day: messages in, each outcome, and what is still open; `gap` is what the equation misses (0 when balanced)."""
    counted = ", ".join(f"total(outcome = '{name}') AS {name}" for name in OUTCOMES)
    days = rows(
        db,
        f"SELECT substr(received_at, 1, 10) AS day, count(*) AS received, {counted}, total(done_at IS NULL) AS open,"
        " total(done_at IS NOT NULL AND outcome IS NULL) AS gap FROM inbox GROUP BY 1 ORDER BY 1",
    )
    for day in days:
        day |= {name: int(day[name]) for name in (*OUTCOMES, "open", "gap")}
        day["gap"] += day["received"] - day["open"] - sum(day[name] for name in OUTCOMES)
    return days


def broken_needs(db: Db) -> list[str]:
    """Messages whose outcome is `need` but that belong to no need: a promise broken."""
    found = rows(
        db,
        "SELECT i.id FROM inbox i LEFT JOIN askings a ON a.inbox_id = i.id WHERE i.outcome = 'need' AND a.need_no IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.inbox_id = i.id AND o.need_no IS NOT NULL)",
    )
    return [str(item["id"]) for item in found]


def _begin_next(db: Db, channel: str, chat_id: int) -> Incoming | None:
    found = row(
        db,
        "UPDATE inbox SET attempts = attempts + 1 WHERE id = (SELECT min(id) FROM inbox"
        " WHERE channel = ? AND chat_id = ? AND done_at IS NULL AND payload IS NOT NULL) RETURNING *",
        channel,
        chat_id,
    )
    if found is None:
        return None
    asker = asker_in(db, channel, chat_id, datetime.fromisoformat(found["received_at"]))
    return Incoming(
        found["id"],
        channel,
        chat_id,
        json.loads(found["payload"]),
        found["address"],
        found["received_at"],
        found["attempts"],
        asker,
        staff_in_chat(db, channel, chat_id, datetime.fromisoformat(found["received_at"])),
    )


def _chats_with_work(db: Db) -> list[dict[str, Any]]:
    return rows(db, "SELECT DISTINCT channel, chat_id FROM inbox WHERE done_at IS NULL")
