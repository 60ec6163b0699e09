"""A small court at work: a real ledger in memory, its desk, and people of every role. The tests of the ledger share it."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils

from bot import access
from bot.access import Staff
from bot.desk import Desk
from bot.outbox import Mail
from knowledge.court import load_court, load_topics
from knowledge.database import Db, row, rows
from knowledge.enterprise import asker_in, set_profile
from knowledge.ledger import history, sensitive
from knowledge.ledger.deadlines import Calendar, Rules
from knowledge.ledger.needs import Asking, move, open_need, record_asking
from knowledge.ledger.workflow import MOVES
from knowledge.migrations import migrate
from tests.office import MONDAY

QUESTION = "客户拖着三十万货款一直不给，催了半年，怎么办"
CROWD = "几十个工人堵门要工资，老板跑路了，厂里机器还在"


@cache
def _schema() -> bytes:
    db = sqlite_utils.Database(memory=True)
    migrate(db)
    kept: bytes = db.conn.serialize()
    db.close()
    return kept


def empty_ledger() -> Db:
    """A database of its own, with the newest schema and nothing in it."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(_schema())
    db = sqlite_utils.Database(connection)
    db.execute("PRAGMA foreign_keys = ON")
    return db


class Court:
    """A court at work on one ledger; `config` changes its court.yaml, `own_days` its calendar."""

    def __init__(self, db: Db, own_days: dict[date, bool] | None = None, **config: Any) -> None:
        self.db, self.topics = db, load_topics()
        self.court = replace(load_court(Path("/nowhere")), **config)
        self.rules = Rules.of(self.court, Calendar(own_days or {}))
        self.desk = Desk(self.court, self.rules, self.topics)
        self.at = MONDAY
        self._chats = 100

    def staff(self, name: str, *roles: str, division: str | None = None) -> Staff:
        """Somebody of the court with a chat of their own (telegram, 9000 and their number)."""
        number = access.add_staff(self.db, name, list(roles), self.at)
        access.bind_chat(self.db, number, "telegram", 9000 + number)
        self.db.execute("UPDATE staff SET division = ? WHERE id = ?", [division, number])
        return Staff(number, name, frozenset(roles))

    def need(self, question: str = QUESTION, chat: int | None = None, profile: dict[str, str] | None = None, **details: Any) -> str:
        """A need somebody asked in the web chat."""
        self._chats += 1
        asker = asker_in(self.db, "web", chat or self._chats, self.at)
        for name, value in (profile or {}).items():
            set_profile(self.db, asker.person_id, name, value, self.at)
        asking = record_asking(self.db, Asking(question, "need"), self.at, None, asker.id, asker.person_id)
        topic = details.pop("topic", None)
        return open_need(self.db, asking, "机器人", self.at, self.rules, topic, details=details)

    def sensitive_need(self, question: str = CROWD, **more: Any) -> str:
        """A need whose words make it one for named staff alone."""
        return self.need(question, **(sensitive.details_of(question, self.court) | more))

    def moves(self, no: str, *actions: str, actor: str = "bot", **details: Any) -> None:
        """Walk through the table, as whoever may; `details` go with the last step."""
        for action in actions:
            given = details if action == actions[-1] else None
            move(self.db, no, action, actor, MOVES[action].roles, self.at, self.rules, "理由", given)

    def does(self, doing: Callable[[Db, Mail], Any]) -> Any:
        """One transaction of the desk."""
        with self.db.atomic():
            return doing(self.db, Mail(self.db, self.at))

    def step(self, no: str, action: str, staff: Staff, text: str = "", **details: Any) -> None:
        self.does(lambda db, mail: self.desk.step(db, mail, no, action, staff, self.at, text, details))

    def look(self, no: str) -> dict[str, Any]:
        """The need as it is stored."""
        return row(self.db, "SELECT * FROM needs WHERE no = ?", no) or {}

    def steps(self, no: str) -> list[str]:
        return [item["action"] for item in rows(self.db, "SELECT action FROM need_history WHERE need_no = ? ORDER BY id", no)]

    def sent(self) -> list[tuple[str, int, str]]:
        """Everything in the outbox: channel, chat, text."""
        found = rows(self.db, "SELECT channel, chat_id, text FROM outbox ORDER BY id")
        return [(item["channel"], item["chat_id"], item["text"]) for item in found]

    def told(self, staff: Staff) -> list[str]:
        """What this member of staff was sent."""
        return [text for channel, chat, text in self.sent() if (channel, chat) == ("telegram", 9000 + staff.id)]

    def footprint(self) -> list[int]:
        """What any change would leave behind."""
        names = ("need_history", "texts", "outbox", "tellings", "needs", "persons", "enterprises", "askings")
        return [self.db[name].count for name in names]

    def is_whole(self) -> bool:
        return history.verify(self.db, self.rules).first_break is None

    def passes(self, **time: int) -> None:
        self.at += timedelta(**time)


@pytest.fixture
def db() -> Iterator[Db]:
    """An empty ledger."""
    found = empty_ledger()
    yield found
    found.close()


@pytest.fixture
def court(db: Db) -> Court:
    """The court at work on it."""
    return Court(db)
