"""Admins in the chat: state of things, reindex, and documents dropped in as drafts."""

import asyncio
from collections.abc import Awaitable, Callable
from html import escape

from aiogram import Bot, Router
from aiogram.filters import Command, Filter
from aiogram.types import Message

from bot.access import ADMINS
from bot.conversation.filters import StaffWith
from bot.documents import keep_document
from bot.outbox import Mail, Saying
from bot.turn import Turn
from indexing.building import Report, report_lines
from knowledge import drafting, library
from knowledge.database import Db
from knowledge.entry import Entry
from knowledge.errors import BadInput
from knowledge.files import LARGEST_FILE

Reindex = Callable[[], Report]
Status = Callable[[], Awaitable[list[str]]]


def router() -> Router:
    """/status, /reindex, and documents; nobody else's documents are opened."""
    admin = Router(name="admin")
    admin.message.register(on_status, Command("status"), StaffWith(ADMINS))
    admin.message.register(on_reindex, Command("reindex"), StaffWith(ADMINS))
    admin.message.register(on_document, HasDocument(), StaffWith(ADMINS))
    return admin


class HasDocument(Filter):
    """A message with a file."""

    async def __call__(self, message: Message) -> bool:
        return message.document is not None


async def on_status(message: Message, turn: Turn, status: Status) -> None:
    """What `doctor` says, in short."""
    await turn.close("conversation", Saying("\n".join(escape(line) for line in await status())))


async def on_reindex(message: Message, turn: Turn, reindex: Reindex) -> None:
    """Rebuild from the remembered sources; questions keep being answered meanwhile."""
    report = await asyncio.to_thread(reindex)
    await turn.close("conversation", Saying("\n".join(escape(line) for line in report_lines(report))))


async def on_document(message: Message, turn: Turn, bot: Bot, documents: str) -> None:
    """A document becomes drafts; a reviewer publishes them."""
    document = message.document
    if document is None or (document.file_size or 0) > LARGEST_FILE:
        raise BadInput("文件超过 20 MB，请拆成小一点的再发。")
    name = document.file_name or "文件"
    entries, refused = await keep_document(bot, document.file_id, name, documents)

    def draft(db: Db, mail: Mail) -> None:
        actor = turn.staff.actor if turn.staff else "bot"
        for entry in entries:
            # Handed in by whoever sent it, so that somebody else has to publish it.
            library.put_entry(db, "console", entry, turn.at)
            drafting.note_event(db, entry.id, entry.content_hash(), turn.at, actor, "drafted")
            drafting.submit(db, entry.id, entry.content_hash(), actor, turn.at)
        mail.reply(Saying(_drafted(name, entries, refused)))

    await turn.close("conversation", doing=draft)


def _drafted(name: str, entries: tuple[Entry, ...], refused: tuple[str, ...]) -> str:
    lines = [f"《{escape(name)}》：读出 {len(entries)} 段，已存为草稿。审核人发送 /drafts 查看并发布。"]
    return "\n".join(lines + [f"未收：{escape(item)}" for item in refused[:10]])
