"""What a chat has said and been told, as its page shows it.

There is no third record: a chat is its inbox rows (what the visitor wrote) and its outbox rows (what the bot wrote) put
together by time, with later edits applied. Presses and /start are not shown. Texts that were purged are left out.
"""

import html
import json
from dataclasses import dataclass
from typing import Any

from bot.outbox import Button, Saying, load_buttons
from knowledge.database import Db, row, rows

MOST_ITEMS = 200
MOST_ROWS = 3 * MOST_ITEMS
Item = dict[str, Any]


@dataclass(frozen=True)
class History:
    """The newest items, oldest first; `receipts` are the outbox rows in them that still wait, `more` whether older ones exist."""

    items: list[Item]
    receipts: list[int]
    more: bool


def read_history(db: Db, chat_id: int) -> History:
    """The chat as it stands now."""
    asked = _newest(db, "inbox", chat_id)
    told = _newest(db, "outbox", chat_id)
    items = [item for _, item in sorted([*filter(None, map(_asked, asked)), *_told(told)], key=lambda pair: pair[0])]
    shown = items[-MOST_ITEMS:]
    unshown = {item["id"] for item in items[:-MOST_ITEMS] if item["from"] == "bot"}
    receipts = [line["id"] for line in told if line["state"] == "waiting" and line["id"] not in unshown]
    return History(shown, receipts, len(items) > MOST_ITEMS or MOST_ROWS in (len(asked), len(told)))


def own_item(number: int, key: str, shown: str, at: str) -> Item:
    """A message of the visitor's as the page gets it."""
    return {"type": "message", "id": number, "from": "me", "key": key, "html": html.escape(shown), "buttons": [], "at": at}


def bot_item(number: int, saying: Saying, at: str) -> Item:
    """A message of the bot's as the page gets it."""
    return {"type": "message", "id": number, "from": "bot", "html": saying.text, "buttons": page_buttons(saying.buttons), "at": at}


def page_buttons(lines: tuple[tuple[Button, ...], ...]) -> list[list[dict[str, str]]]:
    """Buttons as the page gets them."""
    return [[button._asdict() for button in line] for line in lines]


def shown_text(payload: Item) -> str | None:
    """What the page shows of an update: the text or file the visitor sent; None for a press or /start."""
    message = payload.get("message", {})
    if "document" in message:
        return f"📎 {message['document']['file_name']}"
    text = message.get("text")
    return None if text is None or text.startswith("/start") else str(text)


def was_offered(db: Db, chat_id: int, message: int, data: str) -> bool:
    """Whether this chat was ever shown this button under this message: nothing else can be pressed."""
    found = rows(db, "SELECT buttons FROM outbox WHERE channel = 'web' AND chat_id = ? AND ? IN (id, edits)", chat_id, message)
    return any(button.data == data for item in found for line in load_buttons(item["buttons"]) for button in line)


def inbox_number(db: Db, key: str) -> int | None:
    """The number of a message that was received before."""
    found = row(db, "SELECT id FROM inbox WHERE channel = 'web' AND update_key = ?", key)
    return found["id"] if found else None


def mark_delivered(db: Db, chat_id: int, numbers: list[int], at: str) -> None:
    """The page of this chat shows these; they need not be sent any more."""
    for number in numbers:
        db.execute(
            "UPDATE outbox SET state = 'delivered', delivered_at = ?, message_id = id"
            " WHERE id = ? AND channel = 'web' AND chat_id = ? AND state = 'waiting'",
            [at, number, chat_id],
        )


def _newest(db: Db, table: str, chat_id: int) -> list[Item]:
    found = rows(db, f"SELECT * FROM {table} WHERE channel = 'web' AND chat_id = ? ORDER BY id DESC LIMIT ?", chat_id, MOST_ROWS)
    return found[::-1]


def _asked(found: Item) -> tuple[tuple[Any, ...], Item] | None:
    shown = shown_text(json.loads(found["payload"])) if found["payload"] else None
    if shown is None:
        return None
    key = found["update_key"].partition(":")[2]
    return (found["received_at"], found["id"], 0, 0), own_item(found["id"], key, shown, found["received_at"])


def _told(found: list[Item]) -> list[tuple[tuple[Any, ...], Item]]:
    told: dict[int, tuple[tuple[Any, ...], Item]] = {}
    for line in found:
        buttons = load_buttons(line["buttons"])
        if line["edits"] is None and line["text"] is not None:
            # Within one second a reply stands behind the message it replies to, and that pair before the next one.
            order = (line["created_at"], line["inbox_id"] or float("inf"), 1, line["id"])
            told[line["id"]] = order, bot_item(line["id"], Saying(line["text"], buttons), line["created_at"])
        elif line["edits"] in told:
            item = told[line["edits"]][1]
            item["buttons"] = page_buttons(buttons)
            item["html"] = item["html"] if line["text"] is None else line["text"]
    return list(told.values())
