"""What must still be delivered, and that it was.

A reply is written down in the same transaction as what it reports, and sent afterwards: in order within one chat, again and
again while the network is down, never silently dropped. A chat is attended when something was written for it, when it
connects, and after a restart. Delivery is at least once; the page of the web chat knows messages by their number, so
there it is exactly once.
"""

import asyncio
import html
import json
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from knowledge.clock import stamp
from knowledge.database import Database, Db, row, rows
from knowledge.errors import StorageFailed

log = logging.getLogger(__name__)
_TAG_NAME = re.compile(r"<(\w+)")

LONGEST_PAUSE = 60.0
TELEGRAM_LIMIT = 4000
"""Telegram takes 4096 characters after its own parsing; some are left for tags closed and opened again at a cut."""


class Button(NamedTuple):
    """A button under a message: what it says and what pressing it sends (at most 64 bytes)."""

    label: str
    data: str


@dataclass(frozen=True)
class Saying:
    """One message to a chat, in Telegram's HTML. With `edits`, it changes that message instead; no text means only its buttons."""

    text: str | None
    buttons: tuple[tuple[Button, ...], ...] = ()
    edits: int | None = None
    need_no: str | None = None


@dataclass(frozen=True)
class Sending:
    """A saying on its way: its number in the outbox and the chat it goes to."""

    id: int
    chat_id: int
    saying: Saying


class TryLater(Exception):
    """The channel cannot deliver now; `seconds` says when to try again, `everywhere` that the whole channel must wait."""

    def __init__(self, reason: str, seconds: float | None = None, everywhere: bool = False) -> None:
        super().__init__(reason)
        self.seconds = seconds
        self.everywhere = everywhere


class Undeliverable(Exception):
    """The channel will never deliver this (blocked, chat gone); the text is shown to staff."""


class Courier(Protocol):
    """How one channel delivers."""

    async def deliver(self, sending: Sending) -> int | None:
        """Deliver and return the channel's message id. Raises TryLater or Undeliverable."""


class Mail:
    """The messages one transaction sends; `touched` are the chats to attend once it is committed."""

    def __init__(self, db: Db, at: datetime, channel: str = "", chat_id: int = 0, inbox_id: int | None = None) -> None:
        self._db, self.at, self._channel, self._chat_id, self._inbox_id = db, at, channel, chat_id, inbox_id
        self.touched: set[tuple[str, int]] = set()

    def reply(self, *sayings: Saying) -> None:
        """Send to the chat whose message is being handled."""
        self.send(self._channel, self._chat_id, *sayings)

    def send(self, channel: str, chat_id: int, *sayings: Saying) -> list[int]:
        """Send to any chat; a text too long for Telegram goes in parts. Returns the number of each saying's last part."""
        numbers: list[int] = []
        for saying in sayings:
            for part in _parts(saying) if channel == "telegram" else [saying]:
                cursor = self._db.execute(
                    "INSERT INTO outbox (channel, chat_id, inbox_id, need_no, text, buttons, edits, created_at)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [channel, chat_id, self._inbox_id, part.need_no, part.text, _dump(part.buttons), part.edits, stamp(self.at)],
                )
            numbers.append(int(cursor.lastrowid or 0))
        self.touched.add((channel, chat_id))
        return numbers


class Outbox:
    """Delivers what waits, one task per chat."""

    def __init__(self, database: Database, couriers: dict[str, Courier], clock: Callable[[], datetime]) -> None:
        self._database, self._couriers, self._clock = database, couriers, clock
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._again: set[tuple[str, int]] = set()
        self._pauses: dict[str, float] = {}
        self._open = True

    def attend(self, channel: str, chat_id: int) -> None:
        """Deliver what waits for this chat, now or right after what is being delivered."""
        chat = (channel, chat_id)
        if channel not in self._couriers or not self._open:
            return
        if chat in self._tasks:
            self._again.add(chat)
            return
        task = asyncio.create_task(self._deliver_chat(*chat), name=f"outbox {channel}")
        self._tasks[chat] = task
        task.add_done_callback(lambda _: self._finished(chat))

    async def attend_all(self) -> None:
        """Attend every chat something waits for: once after a start."""
        for item in await asyncio.wrap_future(self._database.read(_waiting_chats)):
            self.attend(item["channel"], item["chat_id"])

    async def stop(self, seconds: float) -> None:
        """Let what is on its way arrive, then stop; what still waits is delivered after the next start."""
        self._open = False
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=seconds)
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _finished(self, chat: tuple[str, int]) -> None:
        self._tasks.pop(chat, None)
        if chat in self._again:
            self._again.discard(chat)
            self.attend(*chat)

    async def _deliver_chat(self, channel: str, chat_id: int) -> None:
        pause = 1.0
        while sending := await self._next_for(channel, chat_id):
            await asyncio.sleep(max(0.0, self._pauses.get(channel, 0.0) - asyncio.get_running_loop().time()))
            try:
                message_id = await self._couriers[channel].deliver(sending)
            except TryLater as reason:
                if reason.seconds == float("inf"):
                    return
                wait = reason.seconds if reason.seconds is not None else pause
                if reason.everywhere:
                    self._pauses[channel] = asyncio.get_running_loop().time() + wait
                await self._note(sending.id, "waiting", str(reason), None)
                await asyncio.sleep(wait)
                pause = min(LONGEST_PAUSE, pause * 2)
            except Undeliverable as reason:
                await self._note(sending.id, "failed", str(reason), None)
            else:
                pause = 1.0
                await self._note(sending.id, "delivered", None, message_id)

    async def _next_for(self, channel: str, chat_id: int) -> Sending | None:
        while True:
            try:
                return await asyncio.wrap_future(self._database.read(lambda db: _next(db, channel, chat_id)))
            except StorageFailed:
                log.warning("the outbox could not be read, it is tried again")
                await asyncio.sleep(1)

    async def _note(self, outbox_id: int, state: str, error: str | None, message_id: int | None) -> None:
        """Write down how a delivery went; if that cannot be written the message is sent again, never lost."""
        at = stamp(self._clock())

        def note(db: Db) -> None:
            db.execute(
                "UPDATE outbox SET state = ?, error = ?, attempts = attempts + 1, message_id = coalesce(?, message_id),"
                " delivered_at = ? WHERE id = ?",
                [state, error, message_id, at if state == "delivered" else None, outbox_id],
            )

        try:
            await asyncio.wrap_future(self._database.write(note))
        except StorageFailed:
            log.warning("delivery of message %s could not be written down", outbox_id)
            await asyncio.sleep(1)


def need_behind(db: Db, channel: str, chat_id: int, message_id: int) -> str | None:
    """The need a delivered message was about; this is how a reply to a notice finds its need."""
    found = row(db, "SELECT need_no FROM outbox WHERE channel = ? AND chat_id = ? AND message_id = ?", channel, chat_id, message_id)
    return found["need_no"] if found else None


def load_buttons(text: str | None) -> tuple[tuple[Button, ...], ...]:
    """Buttons as stored in the outbox."""
    return tuple(tuple(Button(*button) for button in line) for line in json.loads(text or "[]"))


def split_html(text: str, limit: int = TELEGRAM_LIMIT) -> list[str]:
    """Cut Telegram HTML into parts of at most `limit` characters, at ends of lines or sentences, with tags closed and opened again."""
    parts: list[str] = []
    rest = text
    while len(rest) > limit:
        cut = _cut(rest, limit - 100)
        head, rest = rest[:cut].rstrip(), rest[cut:].lstrip()
        opened = _open_tags(head)
        closing = "".join(f"</{_TAG_NAME.findall(tag)[0]}>" for tag in reversed(opened))
        parts.append(head + closing)
        rest = "".join(opened) + rest
    return [*parts, rest] if rest else parts


def plain(text: str) -> str:
    """Telegram HTML without its tags, for consoles and for a message whose tags were refused."""
    return html.unescape(re.sub(r"</?\w[^>]*>", "", text))


def _cut(text: str, limit: int) -> int:
    """Where to cut: after the last line end or sentence end before `limit`, never inside a tag or a character reference."""
    window = text[:limit]
    for mark in ("\n\n", "\n", "。", "；", "，"):
        at = window.rfind(mark)
        if at > limit // 2:
            return at + len(mark)
    inside_tag = window.rfind("<") > window.rfind(">")
    reference = re.search(r"&\w{0,6}$", window)
    return window.rfind("<") if inside_tag else reference.start() if reference else limit


def _open_tags(text: str) -> list[str]:
    opened: list[str] = []
    for closing, name, whole in ((m[1], m[2], m[0]) for m in re.finditer(r"<(/?)(\w+)[^>]*>", text)):
        if closing and opened and re.match(rf"<{name}\b", opened[-1]):
            opened.pop()
        elif not closing:
            opened.append(whole)
    return opened


def _parts(saying: Saying) -> list[Saying]:
    if saying.text is None or len(saying.text) <= TELEGRAM_LIMIT or saying.edits:
        return [saying]
    texts = split_html(saying.text)
    return [Saying(text, need_no=saying.need_no) for text in texts[:-1]] + [Saying(texts[-1], saying.buttons, None, saying.need_no)]


def _dump(buttons: Sequence[Sequence[Button]]) -> str | None:
    return json.dumps(buttons, ensure_ascii=False) if buttons else None


def _next(db: Db, channel: str, chat_id: int) -> Sending | None:
    found = row(db, "SELECT * FROM outbox WHERE channel = ? AND chat_id = ? AND state = 'waiting' ORDER BY id LIMIT 1", channel, chat_id)
    return _sending(found) if found else None


def _sending(found: dict[str, Any]) -> Sending:
    return Sending(found["id"], found["chat_id"], Saying(found["text"], load_buttons(found["buttons"]), found["edits"], found["need_no"]))


def _waiting_chats(db: Db) -> list[dict[str, Any]]:
    return rows(db, "SELECT DISTINCT channel, chat_id FROM outbox WHERE state = 'waiting'")
