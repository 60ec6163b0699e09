"""One incoming message and everything that follows from it, written down in one transaction.

A handler reads, thinks and decides what to do; `close` then does it: changes to the ledger, replies, the chat's state and the
message's one outcome are committed together or not at all. That is why a handler that ran twice (killed in between) has
one effect, and why no reply can report what did not happen.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from bot import inbox
from bot.inbox import Incoming, Outcome
from bot.outbox import Mail, Saying
from knowledge.database import Database, Db
from knowledge.enterprise import save_conversation

T = TypeVar("T")
Operation = Callable[[Db, Mail], Outcome | None]


class Turn:
    """What handlers are given: who asks (`asker`, `staff` if the chat is a member of staff's), and how to finish."""

    def __init__(self, database: Database, incoming: Incoming, at: datetime) -> None:
        self._database = database
        self.incoming = incoming
        self.asker, self.staff = incoming.asker, incoming.staff
        self.at = at
        self.conversation: dict[str, Any] = dict(incoming.asker.conversation)
        self.notice: Saying | None = None
        self.touched: set[tuple[str, int]] = set()
        self.closed = False

    async def read(self, operation: Callable[[Db], T]) -> T:
        """Look something up."""
        return await asyncio.wrap_future(self._database.read(operation))

    async def close(self, outcome: Outcome, *replies: Saying, doing: Operation | None = None) -> None:
        """Do `doing`, send `replies` (before what `doing` sends) and give the message its outcome, in one transaction.

        `doing` may return another outcome than the one expected. Raises what it raises; then nothing has changed and the
        turn is still open.
        """

        def commit(db: Db) -> set[tuple[str, int]]:
            if not inbox.finish(db, self.incoming.id, outcome, self.at):
                return set()
            mail = Mail(db, self.at, self.incoming.channel, self.incoming.chat_id, self.incoming.id)
            mail.reply(*replies)
            came_to = doing(db, mail) if doing else None
            if came_to:
                db.execute("UPDATE inbox SET outcome = ? WHERE id = ?", [came_to, self.incoming.id])
            if self.notice and not self.asker.greeted:
                mail.reply(self.notice)
            save_conversation(db, self.asker.id, self.conversation)
            return mail.touched

        self.touched |= await asyncio.wrap_future(self._database.write(commit))
        self.closed = True
