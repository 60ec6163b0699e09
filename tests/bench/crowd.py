"""How many messages a second the whole bot takes, every one of them on disk before it is answered and every reply delivered.

Three ways to the same handlers: pages over websockets to a `run` in a process of its own, pages and bot in one process, and
messages handed straight to the inbox with a courier that only notes what it gets. Beside them, in the same process, an
aiogram dispatcher that does nothing but echo: what is left of it is the price of the promises.
"""

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from aiogram import Bot, Dispatcher
from aiogram.client.session.base import BaseSession
from aiogram.methods import SendMessage
from aiogram.methods.base import TelegramMethod, TelegramType
from aiogram.types import Chat, Message

from bot.app import App
from bot.channels.web_messages import said
from bot.outbox import Sending
from bot.startup import Opened
from knowledge import database
from knowledge.clock import now
from knowledge.database import Db, row, rows
from tests.bench import starting, visitors
from tests.bench.measuring import Figure, percentile, settings
from tests.bench.visitors import Talk

CHATS = 50
CHANNEL = "bench"
GOAL = 150
ECHOES = 3_000
SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")


def figures(folders: dict[str, Path], work: Path, texts: Sequence[str]) -> list[Figure]:
    """The rows about throughput: each way with the starter library, `run` with the laws too."""
    echo = asyncio.run(_echo(texts))
    found = [Figure("echo", "Bare aiogram echo, same messages, fed as polling does", f"{echo:.0f} messages/s", {"per_second": echo})]
    for name, folder in folders.items():
        with starting.running(_fresh(folder, work), cores=2) as bot:
            asyncio.run(visitors.first_health(bot.base))
            talk = asyncio.run(visitors.crowd_talks(bot.base, CHATS, texts))
        found.append(_row(f"web_{name}", f"`run` ({name}), pages in another process", talk, echo))
    talk = asyncio.run(_in_one_process(_fresh(folders["starter"], work), texts))
    found.append(_row("web_one_process", "bot (starter) and pages in one process", talk, echo))
    talk, notes = asyncio.run(_fed(_fresh(folders["starter"], work), texts))
    found.append(_row("feed", f"inbox to courier (starter), {notes}", talk, echo))
    return found


def _fresh(folder: Path, work: Path) -> Path:
    """A copy, so that no measurement finds what another one wrote."""
    return Path(shutil.copytree(folder, tempfile.mkdtemp(dir=work), dirs_exist_ok=True))


def _row(key: str, what: str, talk: Talk, echo: float) -> Figure:
    rate = talk.messages / talk.seconds
    numbers = {"per_second": rate, "share_of_echo": rate / echo, "replies": talk.replies}
    shown = f"{rate:.0f} messages/s, {rate / echo:.0%} of the echo"
    if talk.waits:
        numbers |= {"wait_p50": percentile(talk.waits, 50), "wait_p99": percentile(talk.waits, 99)}
        shown += f"; answered after {numbers['wait_p50'] * 1000:.0f} ms (p99 {numbers['wait_p99'] * 1000:.0f})"
    what = f"Whole bot, {CHATS} chats, {talk.messages:,} messages, two cores: {what}"
    return Figure(key, what, shown, numbers, f"≥ {GOAL} messages/s", rate >= GOAL)


async def _in_one_process(data_dir: Path, texts: Sequence[str]) -> Talk:
    async with _app(data_dir) as (_, port):
        return await visitors.crowd_talks(f"http://127.0.0.1:{port}", CHATS, texts)


class Recorder:
    """A courier that delivers to a list."""

    def __init__(self) -> None:
        self.delivered: list[int] = []
        self.last = 0.0

    async def deliver(self, sending: Sending) -> int | None:
        """See `bot.outbox.Courier`."""
        self.delivered.append(sending.id)
        self.last = time.perf_counter()
        return sending.id


async def _fed(data_dir: Path, texts: Sequence[str]) -> tuple[Talk, str]:
    """Everybody's messages straight into the inbox; also how they were committed, and what came of them."""
    recorder = Recorder()
    async with _app(data_dir) as (app, _):
        app._outbox._couriers[CHANNEL] = recorder

        async def feed(chat: int, own: Sequence[str]) -> None:
            for number, text in enumerate(own):
                assert await app._inbox.receive(CHANNEL, f"{chat}:{number}:{text}", chat, said(chat, text, now()))

        await asyncio.gather(*(feed(chat, ["/start"]) for chat in range(1, CHATS + 1)))
        await _idle(app)
        recorder.delivered.clear()
        with _counted_commits() as counted:
            began = time.perf_counter()
            await asyncio.gather(*(feed(chat, texts[chat - 1 :: CHATS]) for chat in range(1, CHATS + 1)))
            await _idle(app)
        return Talk(len(texts), len(recorder.delivered), recorder.last - began, ()), f"{await _notes(app)}, {counted.shown}"


@asynccontextmanager
async def _app(data_dir: Path) -> AsyncIterator[tuple[App, int]]:
    opened = Opened(settings(data_dir))
    app = App(opened)
    try:
        yield app, await app.start()
    finally:
        await app.stop()
        opened.close()


async def _idle(app: App) -> None:
    """Wait until nothing waits to be handled or delivered."""

    def open_work(db: Db) -> bool:
        handling = row(db, "SELECT 1 FROM inbox WHERE done_at IS NULL AND channel = ? LIMIT 1", CHANNEL)
        return bool(handling or row(db, "SELECT 1 FROM outbox WHERE state = 'waiting' AND channel = ? LIMIT 1", CHANNEL))

    while await asyncio.wrap_future(app.database.read(open_work)):
        await asyncio.sleep(0.1)


async def _notes(app: App) -> str:
    """The `synchronous` mode as SQLite reports it, and the outcomes."""

    def look(db: Db) -> str:
        mode = SYNCHRONOUS[int(db.execute("PRAGMA synchronous").fetchone()[0])]
        sql = "SELECT outcome, count(*) AS n FROM inbox WHERE channel = ? AND payload NOT LIKE '%/start%' GROUP BY 1 ORDER BY 2 DESC"
        counted = rows(db, sql, CHANNEL)
        return f"synchronous={mode}, {', '.join('{n} {outcome}'.format(**item) for item in counted)}"

    return await asyncio.wrap_future(app.database.read(look))


@dataclass
class Commits:
    """How many writes shared how many commits."""

    writes: int = 0
    commits: int = 0

    @property
    def shown(self) -> str:
        """For the table."""
        return f"{self.writes:,} writes in {self.commits:,} commits"


@contextmanager
def _counted_commits() -> Iterator[Commits]:
    """Count the groups the database's thread commits while this is open."""
    counted, together = Commits(), database._run_together

    def count(db: Db, group: list[Any]) -> None:
        counted.writes += len(group)
        counted.commits += bool(group)
        together(db, group)

    with patch.object(database, "_run_together", count):
        yield counted


class Captured(BaseSession):
    """Bot API calls that go nowhere: `sendMessage` gives the message it would have sent."""

    async def make_request(self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None) -> TelegramType:
        """See `BaseSession`."""
        assert isinstance(method, SendMessage)
        sent = Message(message_id=1, date=now(), chat=Chat(id=int(method.chat_id), type="private"), text=method.text)
        return cast(TelegramType, sent.as_(bot))

    async def stream_content(self, url: str, *_: Any, **__: Any) -> AsyncGenerator[bytes, None]:
        """See `BaseSession`; nothing is ever fetched."""
        raise NotImplementedError(url)
        yield b""

    async def close(self) -> None:
        """See `BaseSession`."""


async def _echo(texts: Sequence[str]) -> float:
    """Messages a second of a bare dispatcher with one handler, the median of three runs; chats side by side, as above."""
    dispatcher = Dispatcher()
    bot = Bot("1:bench", session=Captured())

    async def echo(message: Message) -> None:
        await message.answer(message.text or "")

    dispatcher.message.register(echo)

    async def feed(chat: int) -> None:
        for number in range(ECHOES // CHATS):
            text = texts[(chat + number * CHATS) % len(texts)]
            await dispatcher.feed_raw_update(bot, {"update_id": number, **said(chat, text, now())})

    rates = []
    for _ in range(3):
        began = time.perf_counter()
        await asyncio.gather(*(feed(chat) for chat in range(1, CHATS + 1)))
        rates.append(ECHOES // CHATS * CHATS / (time.perf_counter() - began))
    return statistics.median(rates)
