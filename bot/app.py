"""Puts the pieces together, starts them, stops them cleanly.

    channels -> inbox -> dispatcher (aiogram) -> Turn.close -> outbox -> channels

The web server starts first and takes messages in at once; they are answered as soon as the index is open. On SIGTERM no new
message is begun, those in hand are finished, and whatever is left is on record for the next start.
"""

import asyncio
import fcntl
import logging
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import IO, Any, TypeVar

from aiogram import Bot, Dispatcher
from aiogram.types import Update
from aiohttp import web
from pydantic import ValidationError

from bot import replies
from bot.access import Throttle, staff_in_chat
from bot.channels.telegram import TelegramChannel
from bot.channels.web import WebChannel
from bot.consequences import consequences_of
from bot.console import ROUTES, Console, held_files
from bot.conversation import build_dispatcher
from bot.desk import Desk
from bot.doctor import examine
from bot.inbox import Inbox, Incoming
from bot.joining import Joining
from bot.outbox import Courier, Mail, Outbox, Saying
from bot.quality import exam
from bot.rounds import make_round
from bot.startup import Opened
from bot.topics_page import TopicsPage
from bot.turn import Turn
from bot.why import why_lines
from indexing import building
from knowledge import library
from knowledge.clock import stamp
from knowledge.database import Db
from knowledge.errors import Conflict, IndexUnusable, StorageFailed, YuanqitongError
from knowledge.ledger.needs import Asking, open_need, record_asking

log = logging.getLogger(__name__)
T = TypeVar("T")

FOLLOW_SECONDS = 1.0
ROUND_SECONDS = 300.0
DRAIN_SECONDS = 8.0
LAST_DELIVERIES_SECONDS = 2.0
TRIES = 3


class App:
    """The running bot over one data folder."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self.database, self._court, self.clock = opened.database, opened.court, opened.clock
        self._thinking = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._throttle = Throttle(self._court.messages_per_minute)
        self._dispatcher: Dispatcher | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._inbox = Inbox(self.database, self._handle, self.clock)
        self._web = WebChannel(opened.settings, self.database, self._court, self.clock, self.is_ready, self._may_upload)
        self._telegram = TelegramChannel(opened.settings) if opened.settings.telegram_bot_token else None
        couriers: dict[str, Courier] = {"web": self._web} | ({"telegram": self._telegram} if self._telegram else {})
        self._outbox = Outbox(self.database, couriers, self.clock)
        self._desk = Desk(self._court, opened.rules, opened.topics)
        self._console = Console(opened, self._outbox, self._why)
        self._runner: web.AppRunner | None = None
        self._lock: IO[str] | None = None

    def is_ready(self) -> bool:
        """Whether a question can be answered now."""
        return self._dispatcher is not None

    async def start(self) -> int:
        """Start everything; returns the port the web server listens on. Raises Conflict when another bot runs on this data folder."""
        self._lock_data_folder()
        await asyncio.to_thread(self._opened.follow_rules)
        port = await self._start_web()
        await asyncio.to_thread(lambda: self._opened.answering)
        self._dispatcher = build_dispatcher(
            answering=self._opened.answering,
            court=self._court,
            topics=self._opened.topics,
            joining=Joining(self.database.path, self._opened.encoder, self._court, self._opened.topics),
            desk=self._desk,
            settings=self._opened.settings,
            consequences=consequences_of(self._opened),
            documents=str(self._opened.folders.documents),
            think=self._think,
            reindex=self.reindex,
            status=self._status,
        )
        await self._inbox.resume()
        if self._telegram:
            await self._telegram.start(self._inbox)
        await self._outbox.attend_all()
        works = {"follow": self._follow(), "purge": self._purge(), "rounds": self._make_rounds()}
        self._tasks = [asyncio.create_task(work, name=name) for name, work in works.items()]
        return port

    async def stop(self) -> None:
        """Finish what is in hand and stop."""
        for task in self._tasks:
            task.cancel()
        await self._inbox.drain(DRAIN_SECONDS)
        await self._outbox.stop(LAST_DELIVERIES_SECONDS)
        if self._telegram:
            await self._telegram.stop()
        await self._web.stop()
        if self._runner:
            await self._runner.cleanup()
        self._thinking.shutdown()
        if self._lock:
            self._lock.close()

    def reindex(self) -> building.Report:
        """Rebuild from the remembered sources; blocks, while questions are answered from the old index.

        Raises BadInput when the new index would find clearly less: whoever wants it all the same uses the command line (`--accept`).
        """
        opened = self._opened
        return building.reindex(self.database, opened.folders.index, opened.encoder, self.clock(), exam=exam(opened))

    async def _start_web(self) -> int:
        settings = self._opened.settings
        application = web.Application()
        self._web.attach(application)
        self._console.attach(application, ROUTES)
        TopicsPage(self._opened).attach(application)
        if self._telegram:
            application.add_routes(self._telegram.routes())
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, settings.web_host, settings.web_port)
        try:
            await site.start()
        except OSError as error:
            raise Conflict(f"端口 {settings.web_port} 已被占用。请改用别的端口：run --port 8090") from error
        await self._web.start(self._inbox, self._outbox)
        return int(self._runner.addresses[0][1])

    async def _handle(self, incoming: Incoming) -> None:
        """Have one message handled: by its handler, or by telling what is wrong, or, when we fail again and again, by a person."""
        turn = Turn(self.database, incoming, self.clock())
        turn.notice = replies.say(replies.PRIVACY)
        try:
            await self._feed(turn)
        except StorageFailed:
            raise
        except IndexUnusable:
            # That is for the court's IT to mend; the question goes to a person.
            log.exception("message %s could not be searched", incoming.id)
            await turn.close("need", doing=lambda db, mail: self._give_to_staff(db, mail, turn))
        except YuanqitongError as error:
            await turn.close("conversation", replies.say(str(error)))
        except ValidationError:
            await turn.close("conversation", replies.say(replies.UNREADABLE))
        except Exception:
            log.exception("handling message %s failed (try %s)", incoming.id, incoming.attempts)
            if incoming.attempts >= TRIES:
                await turn.close("need", doing=lambda db, mail: self._give_to_staff(db, mail, turn))
        finally:
            for channel, chat_id in turn.touched:
                self._outbox.attend(channel, chat_id)
        await self._offer_commands(turn)

    async def _offer_commands(self, turn: Turn) -> None:
        """Telegram's command menu follows the roles; it is shown anew when a chat starts or roles may have changed."""
        message = turn.incoming.payload.get("message")
        text = str(message.get("text", "")) if isinstance(message, dict) else ""
        if self._telegram and turn.incoming.channel == "telegram" and text.startswith(("/start", "/logout")):
            chat_id = turn.incoming.chat_id
            staff = await asyncio.wrap_future(self.database.read(lambda db: staff_in_chat(db, "telegram", chat_id, self.clock())))
            await self._telegram.set_commands(chat_id, staff.roles if staff else ())

    def _give_to_staff(self, db: Db, mail: Mail, turn: Turn) -> None:
        """The last resort for a message our own code keeps failing on: no question is lost."""
        message = turn.incoming.payload.get("message", {})
        text = message.get("text") if isinstance(message, dict) else None
        asking = Asking(text or "（非文字消息）", "need", reasons=("处理出错",))
        asking_id = record_asking(db, asking, turn.at, turn.incoming.id, turn.asker.id, turn.asker.person_id)
        no = open_need(db, asking_id, "机器人", turn.at, self._opened.rules)
        mail.reply(Saying(f"{replies.SORRY}编号 <b>{no}</b>。", need_no=no))
        self._desk.urgent_new(db, mail, no, asking.text, "处理出错，请人工查看")

    async def _feed(self, turn: Turn) -> None:
        if turn.staff is None and "message" in turn.incoming.payload and not self._throttle.allows(turn.asker.id):
            await turn.close("refused", replies.say(replies.THROTTLED))
            return
        bot: Bot = self._telegram.bot if turn.incoming.channel == "telegram" and self._telegram else self._web.bot
        update = Update.model_validate({**turn.incoming.payload, "update_id": turn.incoming.id}, context={"bot": bot})
        assert self._dispatcher is not None
        await self._dispatcher.feed_update(bot, update, turn=turn)
        if not turn.closed:
            await turn.close("conversation", replies.say(replies.UNREADABLE))

    async def _think(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thinking, work)

    async def _why(self, question: str) -> list[str]:
        """What would be done with a question, and why. Raises Conflict while the bot is still starting."""
        if not self.is_ready():
            raise Conflict("系统正在启动，请过几秒再试。")
        return await self._think(lambda: why_lines(self._opened.answering.reply_to(question)))

    async def _may_upload(self, chat_id: int) -> bool:
        staff = await asyncio.wrap_future(self.database.read(lambda db: staff_in_chat(db, "web", chat_id, self.clock())))
        return staff is not None and "admin" in staff.roles

    async def _status(self) -> list[str]:
        findings = await asyncio.to_thread(examine, self._opened)
        return [str(finding) for finding in findings]

    async def _follow(self) -> None:
        """Serve a new generation as soon as it is switched, and index what staff changed."""
        folder, served = self._opened.folders.index, self._opened.answering.opened.generation.number
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            try:
                generation = await asyncio.to_thread(building.current, folder)
                if generation and generation.number != served:
                    opened = await asyncio.to_thread(building.open_generation, folder, generation, self._opened.encoder)
                    self._opened.answering.serve(opened)
                    served = generation.number
                    log.info("serving index generation %s", served)
                elif generation and await asyncio.wrap_future(self.database.read(library.revision)) != generation.covers:
                    await asyncio.to_thread(building.refresh, self.database, folder, self._opened.encoder, self.clock())
            except Conflict:
                continue
            except (IndexUnusable, StorageFailed, OSError) as error:
                log.error("the index could not be followed, the old one serves on: %s", error)

    async def _make_rounds(self) -> None:
        """Every few minutes: reminders, escalation, and what may be closed."""

        def one(db: Db) -> set[tuple[str, int]]:
            mail = Mail(db, self.clock())
            make_round(db, mail, self._desk, self.clock())
            return mail.touched

        while True:
            try:
                for channel, chat_id in await asyncio.wrap_future(self.database.write(one)):
                    self._outbox.attend(channel, chat_id)
            except Exception:
                # Whatever it was, the next round is made: reminders must not end in silence.
                log.exception("the round failed")
            await asyncio.sleep(ROUND_SECONDS)

    async def _purge(self) -> None:
        """Once a day, erase raw messages that are old enough; outcomes and numbers stay."""
        while True:
            try:
                await asyncio.wrap_future(self.database.write(self._purge_once))
                await asyncio.to_thread(held_files.sweep, self._opened.folders.imports)
            except Exception:
                log.exception("the purge failed")
            await asyncio.sleep(24 * 3600)

    def _purge_once(self, db: Db) -> None:
        raw = stamp(self.clock() - timedelta(days=self._court.retention_raw_days))
        refused = stamp(self.clock() - timedelta(days=self._court.retention_refused_days))
        db.execute(
            "UPDATE inbox SET payload = NULL, address = NULL WHERE done_at IS NOT NULL AND payload IS NOT NULL AND received_at < ?", [raw]
        )
        db.execute(
            "UPDATE inbox SET payload = NULL, address = NULL WHERE outcome = 'refused' AND payload IS NOT NULL AND received_at < ?",
            [refused],
        )
        db.execute("UPDATE outbox SET text = NULL, buttons = NULL WHERE state <> 'waiting' AND text IS NOT NULL AND created_at < ?", [raw])

    def _lock_data_folder(self) -> None:
        self._opened.folders.data.mkdir(parents=True, exist_ok=True)
        self._lock = (self._opened.folders.data / "run.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict("这个数据文件夹已经有一个院企通在运行。请先停掉它，或用 --data-dir 指定别的文件夹。") from error


async def serve(opened: Opened, say: Callable[[str], Any]) -> None:
    """Run until SIGINT or SIGTERM; `say` is told the addresses."""
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    app = App(opened)
    try:
        port = await app.start()
        host = opened.settings.web_host
        say(f"院企通已启动：http://{host}:{port}/　工作台：http://{host}:{port}/console　按 Ctrl+C 停止")
        await stop.wait()
    finally:
        await app.stop()
