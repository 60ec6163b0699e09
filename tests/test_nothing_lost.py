"""Nothing is lost: killed, stopped, cut off, locked out or out of space, every question keeps its one outcome and every reply arrives.

The bot runs as a process of its own where it is killed or starved, in this process where it is enough to take something away
from it. `Page` does what the script of the chat page does: it keeps what the server has not confirmed, repeats it under the
same key after every reconnect, and shows a message of the bot's once, by its number.
"""

import asyncio
import errno
import json
import multiprocessing
import os
import resource
import signal
import socket
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import Random
from typing import Any, Self

import pytest
from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, CookieJar, WSMsgType
from pydantic import SecretStr

from bot import access, replies
from bot.__main__ import main
from bot.answering import Answering, Verdict
from bot.app import App
from bot.channels.web import NOT_RECORDED
from bot.channels.web_messages import said
from bot.channels.web_security import COOKIE, load_signer
from bot.conversation.ask import OUTCOMES as QUESTION_OUTCOMES
from bot.inbox import OUTCOMES
from bot.settings import ROOT, Settings
from bot.startup import Opened
from indexing import building
from knowledge import database as database_module
from knowledge import library
from knowledge.clock import now, stamp
from knowledge.database import Db
from knowledge.entry import Entry
from tests.bot_api import TOKEN, BotApi, message
from tests.conftest import Running
from tests.visitors import TelegramVisitor

PATIENCE = 30.0
KNOWN = "客户一直拖着货款不给，怎么办"
UNKNOWN = "捡到一只走失的鸽子脚上有环，送回去能要点饲料钱吗"
SMALL_TALK = ("你好", "谢谢您", "/help", "/my")
REFUSED = ("工人爬上塔吊说不给工资就跳下来", "把承办法官的私人电话给我", "判决不公我要改判")
MISSES = ("没解决", "都不是")

FORK = multiprocessing.get_context("forkserver")
# Importing the product takes seconds; a process forked from one that has done it is as much a process of its own.
FORK.set_forkserver_preload(["bot.app", "bot.asking", "model2vec", "tests.test_nothing_lost"])


# People and processes


@dataclass
class Page:
    """The chat page's script without its browser."""

    port: int
    random: Random = field(default_factory=lambda: Random(1))
    dislikes: bool = False
    """Presses 没解决 or 都不是 under every fifth message that has such a button."""
    sent: dict[str, str] = field(default_factory=dict)
    """Every key with its text, or with the data of the pressed button."""
    pending: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: dict[str, dict[str, Any]] = field(default_factory=dict)
    shown: dict[int, str] = field(default_factory=dict)
    buttons: dict[int, dict[str, str]] = field(default_factory=dict)
    welcomes: int = 0
    chat_id: int = 0
    _socket: ClientWebSocketResponse | None = None

    async def __aenter__(self) -> Self:
        self._session = ClientSession(headers={"Origin": f"http://127.0.0.1:{self.port}"}, cookie_jar=CookieJar(unsafe=True))
        self._life = asyncio.create_task(self._live())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._life.cancel()
        await asyncio.gather(self._life, return_exceptions=True)
        await self._session.close()

    async def asks(self, text: str) -> str:
        """Type a message; returns its key."""
        return await self._submit({"type": "say", "text": text}, text)

    async def presses(self, number: int, label: str) -> str:
        """Press a button under a message."""
        data = self.buttons[number][label]
        return await self._submit({"type": "press", "message": number, "data": data}, data)

    async def again(self, key: str) -> None:
        """Tap 重新发送 under a message that was not taken."""
        self.problems.pop(key)
        await self._send(self.pending[key])

    async def confirmed(self, key: str) -> None:
        """Wait until the server says that this message is on record."""
        await until(lambda: key not in self.pending)

    async def sees(self, words: str) -> str:
        """Wait for a message with these words."""
        await until(lambda: any(words in html for html in self.shown.values()))
        return next(html for html in self.shown.values() if words in html)

    async def _submit(self, wire: dict[str, Any], content: str) -> str:
        key = self.random.randbytes(16).hex()
        self.pending[key] = wire | {"key": key}
        self.sent[key] = content
        await self._send(self.pending[key])
        return key

    async def _send(self, wire: dict[str, Any]) -> None:
        # On a connection that is lost it stays pending and goes out after the next history.
        if self._socket is not None:
            with suppress(ClientError, ConnectionError):
                await self._socket.send_json(wire)

    async def _live(self) -> None:
        address = f"127.0.0.1:{self.port}"
        while True:
            with suppress(ClientError, ConnectionError):
                if not self.chat_id:
                    async with self._session.get(f"http://{address}/"):
                        cookie = next(cookie for cookie in self._session.cookie_jar if cookie.key == COOKIE)
                        self.chat_id = int(cookie.value.partition(".")[0])
                async with self._session.ws_connect(f"ws://{address}/ws") as connection:
                    async for event in connection:
                        if event.type is WSMsgType.TEXT:
                            await self._hears(connection, json.loads(event.data))
            self._socket = None
            await asyncio.sleep(0.05)

    async def _hears(self, connection: ClientWebSocketResponse, heard: dict[str, Any]) -> None:
        match heard["type"]:
            case "history":
                for item in heard["items"]:
                    self._shows(item)
                if heard["receipts"]:
                    await connection.send_json({"type": "got", "ids": heard["receipts"]})
                self._socket = connection
                self.welcomes += 1
                for wire in list(self.pending.values()):
                    await self._send(wire)
            case "message":
                if heard["from"] == "bot":
                    await connection.send_json({"type": "got", "ids": [heard["id"]]})
                await self._reacts(heard["id"], self._shows(heard))
            case "edit":
                await connection.send_json({"type": "got", "ids": [heard["receipt"]]})
                self.buttons[heard["id"]] = _buttons(heard)
            case "received":
                self.pending.pop(heard["key"], None)
            case "problem":
                self.problems[heard["key"]] = heard

    def _shows(self, item: dict[str, Any]) -> bool:
        """Show an item unless it stands here already; whether it is new."""
        if item["from"] == "me":
            self.pending.pop(item["key"], None)
            return False
        self.buttons[item["id"]] = _buttons(item)
        is_new = item["id"] not in self.shown
        assert is_new or self.shown[item["id"]] == item["html"], "a number stands for one message"
        self.shown[item["id"]] = item["html"]
        return is_new

    async def _reacts(self, number: int, is_new: bool) -> None:
        label = next((label for label in MISSES if label in self.buttons.get(number, {})), None)
        if self.dislikes and is_new and label and number % 5 == 0:
            await self.presses(number, label)


def _buttons(item: dict[str, Any]) -> dict[str, str]:
    return {button["label"]: button["data"] for line in item["buttons"] for button in line}


async def until(happened: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(seconds):
        while not happened():
            await asyncio.sleep(0.01)


def free_port() -> int:
    """A port nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _command(arguments: list[str], environment: dict[str, str], log: str, fatal: tuple[str, str] | None) -> None:
    """`python -m bot …` in a forked process; with `fatal`, killed just before that happens (an audit event and its file)."""
    os.environ.update(environment)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    if fatal:
        sys.addaudithook(lambda event, args: _die_at(event, args, *fatal))
    main(arguments, prog_name="python -m bot")


def _die_at(event: str, args: tuple[Any, ...], fatal: str, file: str) -> None:
    if event == fatal and fnmatch(str(args[0]), file) and (event != "open" or "w" in str(args[1])):
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Commands:
    """Processes over one data folder."""

    data_dir: Path
    environment: dict[str, str] = field(default_factory=dict)
    _all: list[ForkServerProcess] = field(default_factory=list)

    @property
    def log(self) -> Path:
        """What they printed."""
        return self.data_dir.with_name("process.log")

    def start(self, *arguments: str, fatal: tuple[str, str] | None = None) -> ForkServerProcess:
        """Begin a command."""
        line = ["--data-dir", str(self.data_dir), *arguments]
        process = FORK.Process(target=_command, args=(line, self.environment, str(self.log), fatal))
        process.start()
        self._all.append(process)
        return process

    async def finish(self, *arguments: str, fatal: tuple[str, str] | None = None) -> int:
        """Run a command to its end; returns its exit code."""
        return await ended(self.start(*arguments, fatal=fatal))

    def end(self) -> None:
        """Leave nothing running."""
        for process in self._all:
            process.kill()
            process.join()


async def ended(process: ForkServerProcess) -> int:
    """The exit code of a process, once there is one."""
    await until(lambda: process.exitcode is not None)
    assert process.exitcode is not None
    return process.exitcode


async def kill(process: ForkServerProcess) -> None:
    """kill -9."""
    process.kill()
    assert await ended(process) == -signal.SIGKILL


@pytest.fixture
def commands(data_dir: Path) -> Iterator[Commands]:
    """Commands on this test's data folder, without limits on how much one may ask."""
    (data_dir / "court.yaml").write_text("messages_per_minute: 1000\nanonymous_needs_per_day: {asker: 1000, address: 1000}\n")
    found = Commands(data_dir)
    yield found
    found.end()


@asynccontextmanager
async def working(data_dir: Path, api: BotApi | None = None, port: int = 0) -> AsyncIterator[tuple[App, int]]:
    """The bot in this process, from start to stop."""
    telegram = {"telegram_bot_token": SecretStr(TOKEN), "telegram_api_base": api.url} if api else {}
    opened = Opened(Settings(data_dir=data_dir, web_port=port, **telegram))  # type: ignore[arg-type]
    app = App(opened)
    try:
        yield app, await app.start()
    finally:
        await app.stop()
        opened.close()


# What is on record


def look(data_dir: Path, sql: str, *args: Any) -> list[dict[str, Any]]:
    """Rows of a query, read beside whatever process works on the database."""
    with closing(sqlite3.connect(data_dir / "yuanqitong.db", timeout=30)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(found) for found in connection.execute(sql, args)]


def unfinished(data_dir: Path) -> int:
    """How many messages wait to be handled or delivered."""
    found = look(
        data_dir,
        "SELECT (SELECT count(*) FROM inbox WHERE done_at IS NULL) + (SELECT count(*) FROM outbox WHERE state = 'waiting') AS n",
    )
    return int(found[0]["n"])


def outcomes(data_dir: Path) -> list[str | None]:
    """Every message's outcome, oldest first."""
    return [found["outcome"] for found in look(data_dir, "SELECT outcome FROM inbox ORDER BY id")]


def verdicts(data_dir: Path, texts: set[str]) -> dict[str, str]:
    """The outcome each text deserves, asked in peace."""
    opened = Opened(Settings(data_dir=data_dir))
    try:
        bands = {text: "conversation" if text.startswith("/") else opened.answering.reply_to(text).band for text in texts}
    finally:
        opened.close()
    return {text: QUESTION_OUTCOMES.get(band, band) for text, band in bands.items()}


async def check_books(commands: Commands, pages: list[Page], telegram: dict[str, str]) -> None:
    """Whatever happened: every message is there once, with one outcome, its replies, and at most one need; and the checks agree."""
    data_dir = commands.data_dir
    inbox = look(data_dir, "SELECT * FROM inbox ORDER BY id")
    sent = {("web", f"{page.chat_id}:{key}"): text for page in pages for key, text in page.sent.items()}
    sent |= {("telegram", key): text for key, text in telegram.items()}
    recorded = [(item["channel"], item["update_key"]) for item in inbox]
    assert sorted(recorded) == sorted(sent), "every question is there once"
    assert all(item["outcome"] in OUTCOMES and item["done_at"] for item in inbox), "every question has its one outcome"

    needs = look(data_dir, "SELECT no FROM needs")
    owned = look(data_dir, "SELECT need_no FROM askings WHERE need_no IS NOT NULL")
    assert sorted(item["need_no"] for item in owned) == sorted(item["no"] for item in needs), "a need belongs to one asking"
    assert len(needs) == sum(item["outcome"] == "need" for item in inbox), "no need was made twice"
    begun = look(data_dir, "SELECT need_no FROM need_history WHERE action = 'submit'")
    assert sorted(item["need_no"] for item in begun) == sorted(item["no"] for item in needs)

    outbox = look(data_dir, "SELECT * FROM outbox ORDER BY id")
    assert {item["inbox_id"] for item in outbox} >= {item["id"] for item in inbox}, "every question has a reply"
    doubled = Counter((item["inbox_id"], item["chat_id"], item["text"], item["edits"]) for item in outbox)
    assert set(doubled.values()) == {1}, "no reply was written twice"
    assert all(item["state"] == "delivered" for item in outbox), "every reply arrived"
    for page in pages:
        told = {item["id"]: item["text"] for item in outbox if item["chat_id"] == page.chat_id and item["edits"] is None}
        assert page.shown == told and list(page.shown) == sorted(page.shown), "the page shows each reply once, in order"

    for arguments in (["reconcile"], ["ledger", "verify"]):
        assert await commands.finish(*arguments) == 0, commands.log.read_text()[-2000:]

    # Data of a pressed button has a colon in it.
    deserved = verdicts(data_dir, {text for text in sent.values() if ":" not in text})
    came_to = {(item["channel"], item["update_key"]): item["outcome"] for item in inbox}
    wrong = {text: came_to[key] for key, text in sent.items() if text in deserved and came_to[key] != deserved[text]}
    assert not wrong, "a question came to something else than it would have in peace"


def script(data_dir: Path, number: int, random: Random) -> list[str]:
    """What people send: things that are known, things nobody knows, small talk, and what is refused."""
    found = look(data_dir, "SELECT body FROM entries WHERE state = 'published' ORDER BY id")
    known = [text for text in (Entry.from_json(item["body"]).question for item in found) if len(text) > 14]
    animals, deeds = ("猫", "鹦鹉", "乌龟", "仓鼠", "孔雀", "羊驼"), ("在店里下了崽", "把彩灯啃坏了", "偷吃了月饼", "学会了敲门")

    def one() -> str:
        kind = random.random()
        if kind < 0.45:
            return random.choice(known)
        if kind < 0.8:
            return f"我家{random.choice(animals)}{random.choice(deeds)}，第{random.randrange(1000)}位顾客要领养，给它办个身份牌要排队吗"
        return random.choice(SMALL_TALK if kind < 0.9 else REFUSED)

    return [one() for _ in range(number)]


# Killed and stopped


async def test_killed_at_random_moments_while_200_questions_come_in(commands: Commands) -> None:
    random = Random(20261122)
    kills, web, chats = 5, 160, (70101, 70102, 70103, 70104)
    questions = script(commands.data_dir, 200, random)
    rounds = [questions[start :: kills + 1] for start in range(kills + 1)]
    port = free_port()
    telegram: dict[str, str] = {}
    updates: list[tuple[int, dict[str, Any]]] = []
    async with BotApi() as api:
        commands.environment = {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_API_BASE": api.url}
        pages = [Page(port, Random(number), dislikes=True) for number in range(10)]
        process = commands.start("run", "--port", str(port))

        async def send(texts: list[str]) -> None:
            for text in texts:
                await asyncio.sleep(random.random() * 0.01)
                if random.random() < web / len(questions):
                    await random.choice(pages).asks(text)
                else:
                    event = message(random.choice(chats), text)
                    updates.append((await api.queue(message=event), event))
                    telegram[str(updates[-1][0])] = text

        def on_record() -> int:
            return sum(len(page.sent) - len(page.pending) for page in pages)

        async with _all(pages):
            for number, texts in enumerate(rounds[:-1]):
                welcomes = sum(page.welcomes for page in pages)
                sending = asyncio.create_task(send(texts))
                if number == 2:
                    # In the middle of starting: pages are let in before questions can be answered.
                    await until(lambda before=welcomes: sum(page.welcomes for page in pages) > before)  # type: ignore[misc]
                else:
                    enough = on_record() + random.randrange(2, 20)
                    await until(lambda enough=enough: on_record() >= enough)  # type: ignore[misc]
                    await asyncio.sleep(random.random() * 0.1)
                await kill(process)
                await sending
                for update, event in random.sample(updates, min(8, len(updates))):
                    await api.queue(update_id=update, message=event)
                process = commands.start("run", "--port", str(port))
            await send(rounds[-1])
            await until(lambda: not any(page.pending for page in pages))
            total = sum(len(page.sent) for page in pages) + len(telegram)
            await until(lambda: len(outcomes(commands.data_dir)) >= total and not unfinished(commands.data_dir))
            process.terminate()
            assert await ended(process) == 0
            assert not any(page.problems for page in pages)

        for chat in chats:
            sql = "SELECT text FROM outbox WHERE chat_id = ? AND edits IS NULL ORDER BY id"
            told, arrived = [item["text"] for item in look(commands.data_dir, sql, chat)], api.texts(chat)
            # A kill between sending and noting it sends one message again; none is missing, none overtakes another.
            assert len(arrived) - len(told) <= kills
            assert _without_repeats(arrived) == _without_repeats(told)
    assert set(outcomes(commands.data_dir)) >= {"need", "conversation", "refused"}
    await check_books(commands, pages, telegram)


def _without_repeats(texts: list[str]) -> list[str]:
    return [text for number, text in enumerate(texts) if number == 0 or texts[number - 1] != text]


@asynccontextmanager
async def _all(pages: list[Page]) -> AsyncIterator[None]:
    """Every page open."""
    for page in pages:
        await page.__aenter__()
    try:
        yield
    finally:
        await asyncio.gather(*(page.__aexit__() for page in pages))


async def test_stopped_in_the_middle_it_ends_cleanly_and_goes_on_after_the_next_start(commands: Commands) -> None:
    """With the command exactly as people type it."""
    port = free_port()
    questions = script(commands.data_dir, 60, Random(7))
    line = [sys.executable, "-m", "bot", "--data-dir", str(commands.data_dir), "run", "--port", str(port)]
    with commands.log.open("ab") as log:
        process = await asyncio.create_subprocess_exec(*line, cwd=ROOT, stdout=log, stderr=log)
    try:
        pages = [Page(port, Random(number)) for number in range(6)]
        async with _all(pages):
            await until(lambda: all(page.welcomes for page in pages))
            for number, text in enumerate(questions):
                await pages[number % 6].asks(text)
                if number == 40:
                    await until(lambda: sum(len(page.pending) for page in pages) <= 35)
                    process.terminate()
            async with asyncio.timeout(15):
                assert await process.wait() == 0, commands.log.read_text()[-2000:]
            again = commands.start("run", "--port", str(port))
            await until(lambda: not any(page.pending for page in pages))
            await until(lambda: not unfinished(commands.data_dir))
            again.terminate()
            assert await ended(again) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert len(outcomes(commands.data_dir)) == 60
    await check_books(commands, pages, {})


async def test_what_is_asked_during_the_start_waits_for_the_index_and_is_answered(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are let in before questions can be answered: what they ask then must not fall to the last resort."""
    may_open, ensure_index = threading.Event(), Opened.ensure_index

    def slow(opened: Opened) -> building.Generation:
        assert may_open.wait(PATIENCE)
        return ensure_index(opened)

    monkeypatch.setattr(Opened, "ensure_index", slow)
    port = free_port()
    app = App(opened := Opened(Settings(data_dir=data_dir, web_port=port)))
    starting = asyncio.create_task(app.start())
    try:
        async with Page(port) as page:
            await page.confirmed(await page.asks(KNOWN))
            # The confirmation of a second message shows that there was time to begin with the first.
            await page.confirmed(await page.asks("/help"))
            await asyncio.sleep(0.1)
            assert outcomes(data_dir) == [None, None]
            may_open.set()
            await until(lambda: not unfinished(data_dir))
            assert not any(replies.SORRY in html for html in page.shown.values())
            assert outcomes(data_dir)[0] in ("answered", "offered") and outcomes(data_dir)[1] == "conversation"
    finally:
        may_open.set()
        await starting
        await app.stop()
        opened.close()


# The same thing twice


async def test_an_update_that_comes_twice_has_one_effect(data_dir: Path) -> None:
    chat = 70201
    async with BotApi() as api:
        async with working(data_dir, api) as (app, _):
            person = TelegramVisitor(app, api, chat)
            await person.says(KNOWN)
            await until(lambda: any(set(MISSES) & seen.buttons.keys() for seen in person.seen))
            pressed = next(seen for seen in person.seen if set(MISSES) & seen.buttons.keys())
            data = next(pressed.buttons[label] for label in MISSES if label in pressed.buttons)
            await person.presses(next(label for label in MISSES if label in pressed.buttons))
            assert "XQ-" in person.sees()
        before = {table: look(data_dir, f"SELECT * FROM {table} ORDER BY 1") for table in ("askings", "needs", "need_history", "outbox")}
        known = look(data_dir, "SELECT update_key, payload FROM inbox ORDER BY id")
        # The next start asks without an offset: Telegram sends what it does not know to be confirmed, here all of it, twice.
        for item in [*known, *known]:
            await api.queue(update_id=int(item["update_key"]), **json.loads(item["payload"]))
        fresh = message(chat, UNKNOWN)
        number = await api.queue(message=fresh)
        await api.queue(update_id=number, message=fresh)
        async with working(data_dir, api) as (app, _):
            person = TelegramVisitor(app, api, chat)
            await person.waits("XQ-")
            await until(lambda: len(look(data_dir, "SELECT 1 FROM needs")) == 2 and not unfinished(data_dir))
            # Another press of the same button, on another device, is another update; it still makes no second need.
            await api.press(chat, data, pressed.id)
            await until(lambda: len(outcomes(data_dir)) == 4 and not unfinished(data_dir))
    assert [item["update_key"] for item in look(data_dir, "SELECT update_key FROM inbox ORDER BY id")][:3] == [
        *(item["update_key"] for item in known),
        str(number),
    ]
    for table in ("askings", "needs", "need_history"):
        assert len(look(data_dir, f"SELECT * FROM {table}")) == len(before[table]) + 1, table
    replied = look(data_dir, "SELECT * FROM outbox WHERE inbox_id <= ? ORDER BY id", len(known))
    assert replied == before["outbox"]


# Cut off


async def test_unreachable_telegram_loses_no_message_and_no_reply(running: Running) -> None:
    app, api, data_dir = running.app, running.api, running.app.database.path.parent
    app.database.write(lambda db: access.add_staff(db, "李登记", ["registrar"], app.clock(), 90001)).result()
    before = TelegramVisitor(app, api, 70301)
    await before.says("你好")
    api.unreachable = True
    asked = [f"{UNKNOWN}，说的是第{number}窝" for number in range(4)]
    async with Page(running.port) as page:
        for number, text in enumerate(asked):
            await page.asks(text)
            await page.sees(f"XQ-{now().year}-{number + 1:04d}")

        def refused(method: str) -> int:
            return sum(call.method == method and call.status == 0 for call in api.calls)

        # The first comes through the poll that was open already; its reply has to wait, and the second message as well.
        await api.say(70301, f"{UNKNOWN}，说的是第五窝")
        await until(lambda: refused("sendMessage") >= 2 and refused("getUpdates") >= 1)
        await api.say(70301, f"{UNKNOWN}，说的是第六窝")
        assert api.texts(90001) == [] and "第六窝" not in str(look(data_dir, "SELECT payload FROM inbox"))
        api.unreachable = False
        await until(lambda: len(outcomes(data_dir)) == 7 and not unfinished(data_dir))
    notices = api.texts(90001)
    assert len(notices) == 6 and all(text in notice for text, notice in zip([*asked, "第五窝", "第六窝"], notices, strict=True))
    numbers = [text.partition("XQ-")[2][5:9] for text in api.texts(70301) if "XQ-" in text]
    assert numbers == ["0005", "0006"]


# Storage that fails


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a locked database gives up at once."""
    monkeypatch.setattr(database_module, "BUSY_MS", 50)


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Another program holds the database."""
    with closing(sqlite3.connect(data_dir / "yuanqitong.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


async def test_a_locked_database_refuses_honestly_and_takes_the_question_afterwards(impatient: None, running: Running) -> None:
    data_dir = running.app.database.path.parent
    async with Page(running.port) as page:
        await until(lambda: page.welcomes == 1)
        with locked(data_dir):
            key = await page.asks(KNOWN)
            number = await running.api.say(70401, UNKNOWN)
            await until(lambda: key in page.problems)
            assert page.problems[key]["text"] == NOT_RECORDED and page.problems[key]["retry"] is True
            assert (running.api.confirmed or 0) < number, "an update that is not on record is not confirmed"
        assert look(data_dir, "SELECT * FROM inbox WHERE channel = 'web'") == []
        await page.again(key)
        await page.confirmed(key)
        await until(lambda: len(outcomes(data_dir)) == 2 and not unfinished(data_dir))
        assert page.shown
    assert Counter(item["channel"] for item in look(data_dir, "SELECT channel FROM inbox")) == {"web": 1, "telegram": 1}
    assert None not in outcomes(data_dir)
    assert any("XQ-" in text for text in running.api.texts(70401))


async def test_a_database_locked_while_answering_delays_the_answer_and_doubles_nothing(
    impatient: None, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir, reply_to = running.app.database.path.parent, Answering.reply_to
    with closing(sqlite3.connect(data_dir / "yuanqitong.db", isolation_level=None, check_same_thread=False)) as other:

        def lock_once(answering: Answering, *args: Any, **more: Any) -> Verdict:
            verdict = reply_to(answering, *args, **more)
            monkeypatch.setattr(Answering, "reply_to", reply_to)
            other.execute("BEGIN EXCLUSIVE")
            return verdict

        monkeypatch.setattr(Answering, "reply_to", lock_once)
        async with Page(running.port) as page:
            await page.confirmed(await page.asks(UNKNOWN))
            await until(lambda: other.in_transaction)
            await asyncio.sleep(0.3)
            assert look(data_dir, "SELECT * FROM needs") == [] == look(data_dir, "SELECT * FROM outbox")
            other.execute("ROLLBACK")
            await page.sees("XQ-")
            await until(lambda: not unfinished(data_dir))
            assert sum("XQ-" in html for html in page.shown.values()) == 1
    assert outcomes(data_dir) == ["need"] and len(look(data_dir, "SELECT * FROM needs")) == 1


async def test_a_database_locked_before_handling_begins_does_not_forget_the_question(impatient: None, data_dir: Path) -> None:
    """On record before a restart, and another program holds the database when its turn comes; nobody writes again."""
    chat = load_signer(data_dir).new_chat()
    with closing(sqlite3.connect(data_dir / "yuanqitong.db")) as before:
        columns = "channel, update_key, chat_id, payload, received_at"
        payload = json.dumps(said(chat, UNKNOWN, now()))
        before.execute(f"INSERT INTO inbox ({columns}) VALUES ('web', 'k', ?, ?, ?)", (chat, payload, stamp(now())))
        before.commit()
    opened = Opened(Settings(data_dir=data_dir, web_port=0))
    opened.follow_rules()  # As the run before left it: a start writes nothing unless the rules have changed.
    app = App(opened)
    try:
        with locked(data_dir):
            await app.start()
            await asyncio.sleep(0.3)
            assert outcomes(data_dir) == [None]
        await until(lambda: outcomes(data_dir) == ["need"], 10)
    finally:
        await app.stop()
        opened.close()


@pytest.mark.parametrize("room", [0, 3])
async def test_a_full_disk_refuses_or_keeps_and_never_half_writes(room: int, running: Running) -> None:
    """No room for the question: it is refused. Room for the question and not for its need: it waits on record. Then space returns."""
    app = running.app
    data_dir = app.database.path.parent
    long = UNKNOWN + "".join(f"，第{number}位顾客领养的小猫每天吃掉{number}两猫粮" for number in range(1, 180))

    def limit(db: Db, pages: int) -> None:
        db.execute(f"PRAGMA max_page_count = {pages}")

    async with Page(running.port) as page:
        await until(lambda: page.welcomes == 1)
        size = int(look(data_dir, "PRAGMA page_count")[0]["page_count"])
        assert look(data_dir, "PRAGMA freelist_count")[0]["freelist_count"] == 0
        app.database.write(lambda db: limit(db, size + room)).result()
        key = await page.asks(long)
        await until(lambda: key in page.problems or key not in page.pending)
        if room:
            await until(lambda: look(data_dir, "SELECT attempts FROM inbox")[0]["attempts"] > 0)
            await asyncio.sleep(0.3)
            assert outcomes(data_dir) == [None]
        else:
            assert page.problems[key]["text"] == NOT_RECORDED and page.problems[key]["retry"] is True
            assert outcomes(data_dir) == []
        for table in ("askings", "needs", "texts", "outbox"):
            assert look(data_dir, f"SELECT * FROM {table}") == [], "nothing is half written"
        app.database.write(lambda db: limit(db, 1_000_000)).result()
        if not room:
            await page.again(key)
        await page.confirmed(key)
        await until(lambda: not unfinished(data_dir))
        assert len(page.shown) == len(look(data_dir, "SELECT 1 FROM outbox WHERE edits IS NULL")) > 0
    assert len(outcomes(data_dir)) == len(look(data_dir, "SELECT 1 FROM askings")) == 1


async def test_a_process_that_may_not_write_recovers_when_it_may(commands: Commands) -> None:
    """Every write of the process fails, the database's and the log's alike, as on a full disk."""
    port = free_port()
    async with BotApi() as api:
        commands.environment = {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_API_BASE": api.url}
        process = commands.start("run", "--port", str(port))
        assert process.pid
        async with Page(port) as page:
            await page.confirmed(await page.asks("你好"))
            await until(lambda: not unfinished(commands.data_dir))
            _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, most))
            key = await page.asks(KNOWN)
            number = await api.say(70501, UNKNOWN)
            await until(lambda: key in page.problems)
            assert page.problems[key]["text"] == NOT_RECORDED and page.problems[key]["retry"] is True
            assert len(outcomes(commands.data_dir)) == 1 and (api.confirmed or 0) < number
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))
            await page.again(key)
            await until(lambda: len(outcomes(commands.data_dir)) == 3 and not unfinished(commands.data_dir))
            assert look(commands.data_dir, "PRAGMA integrity_check")[0]["integrity_check"] == "ok"
            process.terminate()
            assert await ended(process) == 0
    await check_books(commands, [page], {str(number): UNKNOWN})


# The index


KILLING = {
    "half built": ("open", "*/manifest.json"),
    "before the corpus has its name": ("os.rename", "*/entries-*.partial*"),
    "before the generation has its name": ("os.rename", "*.json.partial"),
    "before the switch": ("os.rename", "*/current.partial"),
    "before old corpora are removed": ("shutil.rmtree", "*/entries-????????????"),
}


async def test_killed_while_reindexing_a_whole_index_serves_and_the_next_one_cleans_up(commands: Commands, tmp_path: Path) -> None:
    opened = Opened(Settings(data_dir=commands.data_dir))
    folder = opened.folders.index
    try:
        expected = opened.answering.reply_to(KNOWN).candidates[0].published.entry.id
        for number, fatal in enumerate(KILLING.values()):
            before = building.current(folder)
            assert before
            source = _table(tmp_path / f"展台{number}.jsonl", number)
            code = await commands.finish("reindex", "--knowledge", str(source), fatal=fatal)
            assert code == -signal.SIGKILL, f"{fatal} never happened: {commands.log.read_text()[-2000:]}"
            served = building.current(folder)
            assert served and (served.number > before.number if fatal[0] == "shutil.rmtree" else served == before)
            assert "partial" not in served.entries
            index = building.open_generation(folder, served, opened.encoder)
            index.entries.check()
            opened.answering.serve(index)
            assert opened.answering.reply_to(KNOWN).candidates[0].published.entry.id == expected
        source = _table(tmp_path / "展台.jsonl", 99)
        assert await commands.finish("reindex", "--knowledge", str(source)) == 0, commands.log.read_text()[-2000:]
        last = building.current(folder)
        assert last and not [path.name for path in folder.iterdir() if "partial" in path.name]
        kept = [json.loads(path.read_text()) for path in folder.glob("[0-9]*.json")]
        assert {path.name for path in folder.iterdir() if path.is_dir()} == {generation["entries"] for generation in kept}
        assert await commands.finish("ask", "第99号展台的彩灯由谁来换，换一次多少钱", "--json") == 0
        answer = json.loads(commands.log.read_text().splitlines()[-1])
        assert answer["candidates"][0]["entry"].endswith(":99")
    finally:
        opened.close()


def _table(path: Path, number: int) -> Path:
    row = {"id": str(number), "question": f"第{number}号展台的彩灯由谁来换，换一次多少钱？", "answer": f"由第{number}号展台的人来换。"}
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n")
    return path


@pytest.mark.parametrize("how", ["reindex", "refresh"])
def test_a_build_that_ran_out_of_space_does_not_stand_in_the_way_of_the_next(
    how: str, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one process, as in `run`: the same build is tried again once there is space."""
    opened = Opened(Settings(data_dir=data_dir))
    folder, source = opened.folders.index, _table(tmp_path / "展台.jsonl", 1)
    added = Entry("c-1", "夜市的灯笼由谁来挂，挂一次多少钱？", "由夜市的人来挂。")

    def build() -> None:
        if how == "reindex":
            building.reindex(opened.database, folder, opened.encoder, now(), knowledge=[source])
        else:
            building.refresh(opened.database, folder, opened.encoder, now())

    try:
        before = building.current(folder)
        if how == "refresh":
            opened.database.write(lambda db: library.put_entry(db, "console", added, now())).result()
        with monkeypatch.context() as full:
            full.setattr("indexing.local._write_text", _no_space)
            with pytest.raises(OSError, match="No space"):
                build()
        assert building.current(folder) == before
        build()
        served = building.current(folder)
        assert before and served and served.entry_count == before.entry_count + 1
        assert not [path.name for path in folder.iterdir() if "partial" in path.name]
    finally:
        opened.close()


def _no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _prepare(db: Db) -> None:
    library.put_entry(db, "console", Entry("c-changed", "灯笼要挂多高？", "两米。"), now())
    library.put_entry(db, "console", Entry("c-withdrawn", "灯笼要挂多久？", "三天。"), now())
    library.put_entry(db, "console", Entry("c-draft", "灯笼什么时候摘？", "十五以后。", state="draft"), now())


def _change(db: Db) -> None:
    library.put_entry(db, "console", Entry("c-changed", "灯笼要挂多高？", "改成三米。"), now())
    for entry_id in ("c-withdrawn", "B01-2", "展台:1"):
        library.set_state(db, entry_id, "withdrawn", now(), "王审核")
    library.set_state(db, "c-draft", "published", now(), "王审核")


def test_what_people_change_while_an_index_is_built_survives_it(data_dir: Path, tmp_path: Path) -> None:
    """Published, changed and withdrawn, whether shipped, imported or written here; also in the index after that."""
    opened = Opened(Settings(data_dir=data_dir))
    source, folder = _table(tmp_path / "展台.jsonl", 1), opened.folders.index
    changed: list[int] = []

    def meanwhile(*_: object) -> None:
        if not changed:
            opened.database.write(_change).result()
            changed.append(opened.database.read(library.revision).result())

    def states() -> dict[str, str]:
        wanted = "('c-changed', 'c-withdrawn', 'c-draft', 'B01-2', '展台:1', '展台:2')"
        return {item["id"]: item["state"] for item in look(data_dir, f"SELECT id, state FROM entries WHERE id IN {wanted}")}

    expected = dict.fromkeys(("c-changed", "c-draft", "展台:2"), "published") | dict.fromkeys(
        ("c-withdrawn", "B01-2", "展台:1"), "withdrawn"
    )
    try:
        opened.database.write(_prepare).result()
        building.reindex(opened.database, folder, opened.encoder, now(), knowledge=[source])
        # The import changes too, so that there is something to build.
        source.write_text(source.read_text().replace("由第", "归第") + _table(tmp_path / "二.jsonl", 2).read_text())
        report = building.reindex(opened.database, folder, opened.encoder, now(), knowledge=[source], progress=meanwhile)
        assert changed, "nothing was built, so nothing was tested"
        assert states() == expected
        served = building.current(folder)
        assert served == report.generation and served.covers == opened.database.read(library.revision).result()
        bodies = dict(building.open_generation(folder, served, opened.encoder).entries.sql("SELECT id, body FROM entries"))
        assert {entry_id: entry_id in bodies for entry_id in expected} == {name: state == "published" for name, state in expected.items()}
        assert "改成三米" in bodies["c-changed"]
        building.reindex(opened.database, folder, opened.encoder, now())
        assert states() == expected, "the next reindex leaves it so too"
    finally:
        opened.close()


# Our own failures


async def test_a_handler_that_always_fails_ends_as_a_need_and_lets_the_next_message_through(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir, reply_to, tries = running.app.database.path.parent, Answering.reply_to, []

    def breaks(answering: Answering, question: str, *args: Any, **more: Any) -> Verdict:
        if question == KNOWN:
            tries.append(question)
            raise RuntimeError("a bug")
        return reply_to(answering, question, *args, **more)

    monkeypatch.setattr(Answering, "reply_to", breaks)
    running.app.database.write(lambda db: access.add_staff(db, "李登记", ["registrar"], now(), 90001)).result()
    async with Page(running.port) as page:
        await page.asks(KNOWN)
        await page.asks("/help")
        assert replies.SORRY in await page.sees("XQ-")
        await until(lambda: not unfinished(data_dir))
    assert len(tries) == 3 and outcomes(data_dir) == ["need", "conversation"]
    asked = look(data_dir, "SELECT t.body FROM needs n JOIN texts t ON t.id = n.text_id")
    assert [item["body"] for item in asked] == [KNOWN]
    assert look(data_dir, "SELECT attempts FROM inbox ORDER BY id")[0]["attempts"] == 3
    assert any(KNOWN in text for text in running.api.texts(90001)), "the staff on duty are told of this need as of any other"


async def test_an_index_that_breaks_while_serving_loses_no_question(running: Running) -> None:
    data_dir = running.app.database.path.parent
    served = building.current(data_dir / "index")
    assert served
    with (data_dir / "index" / served.entries / "text.sqlite").open("r+b") as file:
        file.write(b"\0" * 4096)
    async with Page(running.port) as page:
        await page.asks(KNOWN)
        await until(lambda: bool(page.shown) and not unfinished(data_dir))
        assert "reindex" not in str(page.shown), "a command is no help to an enterprise"
        assert "XQ-" in str(page.shown)
    assert outcomes(data_dir) == ["need"]
